//! The page `/device/{id}/timeline`: everything that happened to a device on one axis of time, and the same as a table.

use maud::{Markup, html};

use super::chart::{Axis, LEFT, RIGHT, WIDTH, clock, duration, figure};
use super::frame;
use super::parts::{counted, device_url, event_url, finding_url, moment, number};
use super::view::{DeviceTimeline, HistoryRow, Lane};

const LANES: [Lane; 5] = [Lane::Authority, Lane::Finding, Lane::Registry, Lane::Session, Lane::Heartbeat];
const HEIGHT: f64 = 40.0;
const TOP: f64 = 14.0;

/// The page `/device/{id}/timeline`.
#[must_use]
pub fn history(view: &DeviceTimeline) -> String {
    let device = device_url(&view.id);
    let title = format!("Timeline of {}", view.id);
    let content = html! {
        div.title {
            h1.name { (title) }
            p.lead { (counted(view.total, "event", "events")) " in the log, and what the authority and the monitor did." }
        }
        section.panel aria-labelledby="axis-title" {
            h2 #axis-title { "On one axis" }
            @if view.rows.is_empty() { p.empty { "Nothing happened yet." } }
            @else {
                div.scroll tabindex="0" role="region" aria-labelledby="axis-title" { (drawn(view)) }
            }
        }
        section.panel aria-labelledby="table-title" {
            h2 #table-title { "As a table" }
            (table(view))
            nav.pages aria-label="Pages" {
                @if view.newer { a rel="first" href={ (device) "/timeline" } { "Newest" } }
                @if let Some(before) = view.older { a rel="next" href={ (device) "/timeline?before=" (before) } { "Older" } }
            }
        }
    };
    frame::page(&view.frame, &title, &[("/", "Overview"), (&device, &view.id)], &content)
}

fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Authority => "Authority",
        Lane::Finding => "Findings",
        Lane::Registry => "Registry",
        Lane::Session => "Connections",
        Lane::Heartbeat => "Heartbeats",
    }
}

fn drawn(view: &DeviceTimeline) -> Markup {
    let axis = Axis::new(view.span);
    let lanes: Vec<Lane> =
        LANES.into_iter().filter(|lane| view.rows.iter().any(|row| row.lane == *lane)).collect();
    let (from, to) = view.span;
    let counts = lanes.iter().map(|lane| {
        format!(
            "{}: {}",
            name(*lane),
            number(view.rows.iter().filter(|row| row.lane == *lane).count() as u64)
        )
    });
    let says = format!("From {from} to {to}. {}.", counts.collect::<Vec<_>>().join("; "));
    let tops = std::iter::successors(Some(TOP), |top| Some(top + HEIGHT));
    let bottom = lanes.iter().fold(TOP, |bottom, _| bottom + HEIGHT);
    html! {
        svg.tracks viewBox={ "0 0 " (figure(WIDTH)) " " (figure(bottom + 26.0)) } role="img" aria-labelledby="history-name"
            aria-describedby="history-says" {
            title #history-name { "Events over time" }
            desc #history-says { (says) }
            (axis.drawn(TOP - 8.0, bottom))
            @for (lane, top) in lanes.iter().zip(tops) {
                @let y = top + HEIGHT / 2.0;
                text.track-name x="0" y=(figure(y + 4.0)) { (name(*lane)) }
                line.track.shared x1=(figure(LEFT)) y1=(figure(y)) x2=(figure(RIGHT)) y2=(figure(y)) {}
                @for row in view.rows.iter().filter(|row| row.lane == *lane) { (mark(axis, y, row)) }
            }
        }
    }
}

fn mark(axis: Axis, y: f64, row: &HistoryRow) -> Markup {
    let x = axis.x(row.at);
    let shape = html! {
        @match row.lane {
            Lane::Heartbeat => line.beat x1=(figure(x)) y1=(figure(y - 9.0)) x2=(figure(x)) y2=(figure(y + 9.0)) {},
            Lane::Session => {
                @let end = row.until.map_or(x, |until| axis.x(until));
                rect.session x=(figure(x)) y=(figure(y - 5.0)) width=(figure((end - x).max(4.0))) height="10" rx="3" {}
            },
            Lane::Finding => path.alarm d={ "M" (figure(x)) " " (figure(y - 8.0)) "l8 8-8 8-8-8z" } {},
            Lane::Registry => circle.told cx=(figure(x)) cy=(figure(y)) r="4" {},
            Lane::Authority => rect.act x=(figure(x - 5.0)) y=(figure(y - 5.0)) width="10" height="10" {},
        }
    };
    let words =
        html! { title { (row.title) " " (clock(row.at)) @if !row.detail.is_empty() { ": " (row.detail) } } };
    html! {
        @match (&row.finding, row.seq) {
            (Some(id), _) => a href=(finding_url(id)) tabindex="-1" { (words) (shape) },
            (None, Some(seq)) => a href=(event_url(seq)) tabindex="-1" { (words) (shape) },
            (None, None) => g { (words) (shape) },
        }
    }
}

fn table(view: &DeviceTimeline) -> Markup {
    html! {
        @if view.rows.is_empty() {
            p.empty { "Nothing happened yet." }
        } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="table-title" {
                table.history {
                    thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Details" } th scope="col" { "Line" } } }
                    tbody {
                        @for row in &view.rows {
                            tr {
                                td.time { (moment(row.at, false)) }
                                td {
                                    @match &row.finding { Some(id) => a href=(finding_url(id)) { (row.title) }, None => (row.title) }
                                    @if let Some(until) = row.until { span.reads { "for " (duration(until.ms_since(row.at))) } }
                                }
                                td { (row.detail) }
                                td { @match row.seq { Some(seq) => a href=(event_url(seq)) { (number(seq)) }, None => span.faint { "–" } } }
                            }
                        }
                    }
                }
            }
        }
    }
}
