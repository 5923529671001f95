//! The page `/event/{seq}`: one line of the event log as it stands, with its digest.

use maud::html;

use super::frame;
use super::parts::{code, device_url, moment_or_absent, number};
use super::view::EventPage;

/// The page `/event/{seq}`.
#[must_use]
pub fn event(view: &EventPage) -> String {
    let device = view.device.as_deref().map(|device| (device_url(device), device));
    let mut crumbs = vec![("/", "Overview")];
    if let Some((address, device)) = &device {
        crumbs.push((address, device));
    }
    let title = format!("Event {}", number(view.seq));
    let content = html! {
        div.title { h1 { (title) } }
        section.panel aria-labelledby="line-title" {
            h2 #line-title { "The line, as it was written down" }
            pre.line { (view.line) }
            dl.details {
                div { dt { "SHA-256" } dd { (code(&view.sha256)) } }
                div { dt { "Type" } dd { @if view.kind.is_empty() { "not readable" } @else { (view.kind) } } }
                div { dt { "Happened" } dd { (moment_or_absent(view.at, false)) } }
                div { dt { "Source" } dd { (view.source) } }
            }
            p.note { "The digest is over the line without its line feed, computed when this page was made: " code { "printf '%s' LINE | sha256sum" } " gives the same." }
        }
    };
    frame::page(&view.frame, &title, &crumbs, &content)
}
