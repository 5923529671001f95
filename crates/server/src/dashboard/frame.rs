//! What surrounds every page: head, brand, notices, the state of the live connection, foot.

use maud::{DOCTYPE, Markup, html};

use super::asset_url;
use super::view::{BannerTone, Frame};

/// The way back from a page: address and words, from the top down. The page itself is not among them.
pub(super) type Crumbs<'a> = &'a [(&'a str, &'a str)];

/// The pages that every page leads to.
const PAGES: [(&str, &str); 4] =
    [("/", "Overview"), ("/findings", "Findings"), ("/sources", "Sources"), ("/decide/cost", "Decide")];

/// A whole page.
pub(super) fn page(frame: &Frame, title: &str, crumbs: Crumbs<'_>, content: &Markup) -> String {
    page_with(frame, title, crumbs, content, &[], &[])
}

/// A whole page with further style sheets and scripts, by the names of their assets.
pub(super) fn page_with(
    frame: &Frame,
    title: &str,
    crumbs: Crumbs<'_>,
    content: &Markup,
    styles: &[&str],
    scripts: &[&str],
) -> String {
    html! {
        (DOCTYPE)
        html lang="en" data-now=(frame.now) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="same-origin";
                title { (title) " · Touchmark" }
                link rel="icon" type="image/svg+xml" href=(asset_url("emblem.svg"));
                link rel="stylesheet" href=(asset_url("dashboard.css"));
                @for style in styles { link rel="stylesheet" href=(asset_url(style)); }
                script src=(asset_url("live.js")) defer {}
                @for script in scripts { script src=(asset_url(script)) defer {} }
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header.top {
                    a.brand href="/" {
                        img src=(asset_url("emblem.svg")) alt="" width="36" height="36";
                        span { "Touchmark" }
                    }
                    span.instance { (frame.instance) }
                    nav.site aria-label="Pages" {
                        ul {
                            @for (address, words) in PAGES {
                                li { a href=(address) aria-current=[(words == title).then_some("page")] { (words) } }
                            }
                        }
                    }
                    div.live {
                        span #live-state { "As of " (super::parts::moment(frame.now, false)) }
                        button #live-toggle type="button" aria-pressed="false" hidden { "Pause" }
                    }
                }
                @if !frame.banners.is_empty() {
                    aside.banners aria-label="Notices" {
                        @for banner in &frame.banners {
                            @let (class, word) = match banner.tone {
                                BannerTone::Danger => ("banner danger", "Warning"),
                                BannerTone::Notice => ("banner notice", "Notice"),
                            };
                            p class=(class) {
                                span.label { (word) } " " strong { (banner.title) } " " (banner.text)
                            }
                        }
                    }
                }
                main #content tabindex="-1" {
                    @if !crumbs.is_empty() {
                        nav.crumbs aria-label="Breadcrumb" {
                            ol {
                                @for (address, words) in crumbs { li { a href=(address) { (words) } } }
                                li aria-current="page" { (title) }
                            }
                        }
                    }
                    (content)
                }
                p #announcer.unseen role="status" aria-live="polite" {}
                footer { "Touchmark " (frame.version) " · A grade says what was proven, not what was promised." }
            }
        }
    }
    .into_string()
}
