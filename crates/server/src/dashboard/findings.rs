//! The page `/findings`: what was found, narrowed by kind, grade, regime, standing and device.

use maud::{Markup, html};
use touchmark_identity::assurance::Regime;
use touchmark_identity::finding::{Certainty, Kind};

use super::decisions::word;
use super::frame;
use super::parts::{counted, escaped_query, finding_url, findings as finding_list, kind, moment, number};
use super::view::{FindingFilter, FindingsPage, StandingFilter};
use crate::triage::{Standing, Triage};

/// The parts of the page that live on, by the name in their address.
pub const FINDINGS_PARTS: &[&str] = &["list", "suppressions"];

/// The page `/findings`.
#[must_use]
pub fn findings(view: &FindingsPage) -> String {
    let live = |part: &str| format!("/fragment/findings/{part}{}", query(&view.filter));
    let content = html! {
        div.title {
            h1 { "Findings" }
            p.lead { "What the monitor concluded, newest first, and how it stands with the people who look after it." }
        }
        section.panel aria-labelledby="filter-title" {
            h2.unseen #filter-title { "Filter" }
            (form(&view.filter))
        }
        section.panel aria-labelledby="list-title" {
            h2.unseen #list-title { "List" }
            div data-live=(live("list")) { (list(view)) }
        }
        section.panel aria-labelledby="suppressions-title" {
            h2 #suppressions-title { "Suppressions in force" }
            div data-live=(live("suppressions")) { (suppressions(&view.suppressions)) }
        }
    };
    frame::page(&view.frame, "Findings", &[("/", "Overview")], &content)
}

/// One of [`FINDINGS_PARTS`] by its name, as it stands inside the page.
#[must_use]
pub fn findings_fragment(part: &str, view: &FindingsPage) -> Option<String> {
    let content = match part {
        "list" => list(view),
        "suppressions" => suppressions(&view.suppressions),
        _ => return None,
    };
    Some(content.into_string())
}

/// The words of a standing filter in addresses.
fn standing_word(standing: StandingFilter) -> &'static str {
    match standing {
        StandingFilter::Current => "current",
        StandingFilter::All => "all",
        StandingFilter::Only(standing) => standing.as_str(),
    }
}

/// The query of the address that shows this; empty for everything that is current.
fn query(filter: &FindingFilter) -> String {
    let page = (filter.page > 0).then(|| filter.page.to_string());
    let standing = (filter.standing != StandingFilter::Current).then(|| standing_word(filter.standing));
    let pairs = [
        ("kind", filter.kind.map(Kind::as_str)),
        ("grade", filter.grade.map(Certainty::as_str)),
        ("regime", filter.regime.map(Regime::as_str)),
        ("standing", standing),
        ("device", Some(filter.device.as_str()).filter(|text| !text.is_empty())),
        ("page", page.as_deref()),
    ];
    escaped_query(pairs.iter().filter_map(|(name, value)| value.map(|value| (*name, value))))
}

fn address(filter: &FindingFilter) -> String {
    format!("/findings{}", query(filter))
}

fn form(filter: &FindingFilter) -> Markup {
    html! {
        form.filters method="get" action="/findings" role="search" {
            p {
                label for="filter-kind" { "Kind" }
                select #filter-kind name="kind" {
                    option value="" { "any" }
                    @for value in Kind::ALL {
                        option value=(value.as_str()) selected[filter.kind == Some(*value)] { (kind(value.as_str())) }
                    }
                }
            }
            p {
                label for="filter-grade" { "Grade" }
                select #filter-grade name="grade" {
                    option value="" { "any" }
                    @for value in Certainty::ALL.iter().rev() {
                        option value=(value.as_str()) selected[filter.grade == Some(*value)] { (value.as_str()) }
                    }
                }
            }
            p {
                label for="filter-regime" { "Regime" }
                select #filter-regime name="regime" {
                    option value="" { "any" }
                    @for value in [Regime::Duplication, Regime::Behaviour] {
                        option value=(value.as_str()) selected[filter.regime == Some(value)] { (value.as_str()) }
                    }
                }
            }
            p {
                label for="filter-standing" { "Standing" }
                select #filter-standing name="standing" {
                    @for value in standings() {
                        option value=(standing_word(value)) selected[filter.standing == value] { (standing_says(value)) }
                    }
                }
            }
            p.wide {
                label for="filter-device" { "Device or identity" }
                input #filter-device name="device" type="search" value=(filter.device) maxlength="128" autocomplete="off" spellcheck="false";
            }
            p { button.primary type="submit" { "Show" } " " a.clear href="/findings" { "Clear" } }
        }
    }
}

fn standings() -> impl Iterator<Item = StandingFilter> {
    [StandingFilter::Current, StandingFilter::All]
        .into_iter()
        .chain(Standing::ALL.iter().copied().map(StandingFilter::Only))
}

fn standing_says(standing: StandingFilter) -> &'static str {
    match standing {
        StandingFilter::Current => "current",
        StandingFilter::All => "all",
        StandingFilter::Only(standing) => standing.says(),
    }
}

fn list(view: &FindingsPage) -> Markup {
    let [confirmed, suspect, note] = view.grades;
    let of = |filter: StandingFilter| -> u64 {
        let counted = view.standings.iter().filter(|(standing, _)| match filter {
            StandingFilter::Current => standing.is_current(),
            StandingFilter::All => true,
            StandingFilter::Only(only) => *standing == only,
        });
        counted.map(|(_, count)| count).sum()
    };
    let shown = |filter: StandingFilter| {
        let always = matches!(filter, StandingFilter::Current | StandingFilter::All);
        always || of(filter) > 0 || view.filter.standing == filter
    };
    html! {
        nav.tabs aria-label="Standing" {
            ul {
                @for standing in standings().filter(|standing| shown(*standing)) {
                    @let here = view.filter.standing == standing;
                    li {
                        a href=(address(&FindingFilter { standing, page: 0, ..view.filter.clone() })) aria-current=[here.then_some("true")] {
                            (standing_says(standing)) " " span.count { (number(of(standing))) }
                        }
                    }
                }
            }
        }
        @if view.rows.is_empty() {
            p.empty { "Nothing matches. The monitor reports here as soon as two holders of one key show themselves." }
        } @else {
            p.tally {
                (counted(view.matching, "finding", "findings")) ": "
                (number(confirmed)) " confirmed, " (number(suspect)) " suspect, " (counted(note, "note", "notes")) "."
            }
            (finding_list(&view.rows, true))
            @if view.pages > 1 { (pages(view)) }
        }
    }
}

fn pages(view: &FindingsPage) -> Markup {
    let to = |page: u64| address(&FindingFilter { page, ..view.filter.clone() });
    let here = view.filter.page;
    html! {
        nav.pages aria-label="Pages" {
            @if here > 0 { a rel="prev" href=(to(here - 1)) { "Newer" } }
            span { "Page " (number(here + 1)) " of " (number(view.pages)) }
            @if here + 1 < view.pages { a rel="next" href=(to(here + 1)) { "Older" } }
        }
    }
}

fn suppressions(rows: &[Triage]) -> Markup {
    html! {
        @if rows.is_empty() {
            p.empty { "None. A suppression is made on the page of a finding, and ends by itself." }
        } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="suppressions-title" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Device or identity" }
                            th scope="col" { "Kind" }
                            th scope="col" { "Up to" }
                            th scope="col" { "Rule" }
                            th scope="col" { "Reason" }
                            th scope="col" { "Until" }
                            th scope="col" { span.unseen { "Finding" } }
                        }
                    }
                    tbody {
                        @for row in rows {
                            @if let Some(reach) = &row.what.suppression {
                                tr {
                                    th scope="row" { (row.device.as_deref().unwrap_or(&row.identity)) }
                                    td { (kind(row.kind.as_str())) }
                                    td { (reach.ceiling.as_str()) }
                                    td { @match &reach.rule { Some(rule) => code { (rule) }, None => span.faint { "any" } } }
                                    td {
                                        (row.what.reason.map_or("", |reason| reason.says()))
                                        @if !row.what.note.is_empty() { span.reads { (row.what.note) } }
                                    }
                                    td.time { (moment(reach.until, true)) }
                                    td { a href=(finding_url(&row.finding)) { (word(row.what.decision)) " here" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
