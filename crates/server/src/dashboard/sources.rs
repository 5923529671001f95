//! The page `/sources`: where events come from, how far each source has reported, and what was refused.

use maud::{Markup, html};

use super::chart::duration;
use super::frame;
use super::parts::{absent, bytes, input_state, moment_or_absent, number, silent_tag};
use super::view::{SourceRow, SourcesPage};

/// The parts of the page that live on, by the name in their address.
pub const SOURCES_PARTS: &[&str] = &["table"];

/// The page `/sources`.
#[must_use]
pub fn sources(view: &SourcesPage) -> String {
    let content = html! {
        div.title {
            h1 { "Sources" }
            p.lead { "A finding is as good as the events behind it: how far each source has reported, and what it sent that is no event." }
        }
        section.panel aria-labelledby="sources-title" {
            h2 #sources-title { "Sources of events" }
            div data-live="/fragment/sources/table" { (table(&view.sources)) }
        }
    };
    frame::page(&view.frame, "Sources", &[("/", "Overview")], &content)
}

/// One of [`SOURCES_PARTS`] by its name, as it stands inside the page.
#[must_use]
pub fn sources_fragment(part: &str, view: &SourcesPage) -> Option<String> {
    (part == "table").then(|| table(&view.sources).into_string())
}

fn table(rows: &[SourceRow]) -> Markup {
    html! {
        @if rows.is_empty() {
            p.empty { "Nothing is read. Name a log in the configuration, so that the monitor has something to watch." }
        } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="sources-title" {
                table.sources {
                    thead {
                        tr {
                            th scope="col" { "Source" }
                            th scope="col" { "State" }
                            th scope="col" title="the newest moment that it has reported, by its own clock" { "Reported up to" }
                            th.count scope="col" title="from the moment of its last event to its arrival here" { "Lag" }
                            th.count scope="col" { "Unread" }
                            th scope="col" title="by this server's clock" { "Last heard" }
                            th.count scope="col" title="the longest pause that is usual for it" { "Usual pause" }
                            th.count scope="col" { "Accepted" }
                        }
                    }
                    @for row in rows { (source(row)) }
                }
            }
            p.note { "Figures count from the start of this server. A source is marked as silent after three of its usual pauses, and never within five minutes." }
        }
    }
}

fn source(row: &SourceRow) -> Markup {
    let input = &row.input;
    let refused: u64 = input.refused.iter().map(|refusal| refusal.lines).sum();
    html! {
        tbody id={ "source-" (input.source) } {
            tr {
                th scope="row" { (input.source) span.reads { (input.reads) } }
                td { (input_state(input.state)) @if row.silent { " " (silent_tag()) } }
                td.time { (moment_or_absent(row.watermark, false)) }
                td.count { @match row.delay_ms { Some(delay) => (duration(delay)), None => (absent()) } }
                td.count { @match input.lag_bytes { Some(lag) => (bytes(lag)), None => (absent()) } }
                td.time { (moment_or_absent(row.heard, true)) }
                td.count { @match row.usual_ms { Some(usual) => (duration(usual)), None => (absent()) } }
                td.count { (number(input.accepted)) }
            }
            @if refused > 0 {
                tr.refused {
                    td colspan="8" {
                        p { strong { (number(refused)) " refused" } }
                        dl {
                            @for (refusal, example) in input.refused.iter().zip(&row.examples) {
                                div {
                                    dt { strong { (number(refusal.lines)) } " " (refusal.reason) }
                                    dd { @if example.is_empty() { span.faint { "no example" } } @else { code.long { (example) } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
