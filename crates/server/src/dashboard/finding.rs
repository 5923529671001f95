//! The page `/finding/{id}`: what was seen, what speaks for and against it, and what to do.

use maud::{Markup, html};

use super::case::case;
use super::decisions::{decisions, form};
use super::frame;
use super::parts::{
    about_link, action, code, counted, device_url, event_url, finding_fragment_url, finding_grade, kind,
    moment, moment_or_absent, odds, original_tag, possible_tag, recheck_tag, regime_meaning, standing_tag,
};
use super::picture::{picture, places};
use super::view::{ActRow, BenignCause, Branch, EventRef, EvidenceRow, FindingPage, Original, Recheck};

/// What a finding starts from, in decibans: 1 in 10 000 (`docs/monitoring.md`, "Weights").
const PRIOR_DECIBANS: f64 = -40.0;

/// The parts of a finding's page that live on, by the name in their address.
pub const FINDING_PARTS: &[&str] = &[
    "summary",
    "picture",
    "places",
    "branches",
    "evidence",
    "benign",
    "events",
    "acts",
    "decisions",
    "case",
];

/// The page `/finding/{id}`.
#[must_use]
pub fn finding(view: &FindingPage) -> String {
    let live = |part| finding_fragment_url(&view.finding.id, part);
    let title = kind(&view.finding.kind);
    let device = view.finding.device.as_deref().map(|device| (device_url(device), device));
    let mut crumbs = vec![("/", "Overview"), ("/findings", "Findings")];
    if let Some((address, device)) = &device {
        crumbs.push((address, device));
    }
    let content = html! {
        div.title {
            h1 { (title) }
            div data-live=(live("summary")) { (summary(view)) }
        }
        section.panel aria-labelledby="picture-title" {
            h2 #picture-title { "As a picture" }
            div data-live=(live("picture")) { (picture(view)) }
        }
        div.columns {
            section.panel aria-labelledby="decisions-title" {
                h2 #decisions-title { "What people decided" }
                div data-live=(live("decisions")) { (decisions(view)) }
                (form(view))
            }
            div.stack {
                section.panel aria-labelledby="places-title" {
                    h2 #places-title { "Where they were" }
                    div data-live=(live("places")) { (places(view)) }
                }
                section.panel aria-labelledby="acts-title" {
                    h2 #acts-title { "What was done" }
                    div data-live=(live("acts")) { (acts(&view.acts)) }
                }
            }
        }
        section.panel aria-labelledby="case-title" {
            h2 #case-title { "What follows by policy" }
            div data-live=(live("case")) { (case(view)) }
        }
        section.panel aria-labelledby="branches-title" {
            h2 #branches-title { "The histories side by side" }
            div data-live=(live("branches")) { (branches(&view.branches, view.original)) }
        }
        section.panel aria-labelledby="evidence-title" {
            h2 #evidence-title { "Evidence" }
            div data-live=(live("evidence")) { (evidence(&view.evidence)) }
        }
        div.columns.even {
            section.panel aria-labelledby="benign-title" {
                h2 #benign-title { "Harmless explanations that were considered" }
                div data-live=(live("benign")) { (benign(&view.benign_causes)) }
            }
            section.panel aria-labelledby="events-title" {
                h2 #events-title { "Events behind it" }
                div data-live=(live("events")) { (events(&view.events)) }
            }
        }
    };
    frame::page(&view.frame, title, &crumbs, &content)
}

/// One of [`FINDING_PARTS`] by its name, as it stands inside the page.
#[must_use]
pub fn finding_fragment(part: &str, view: &FindingPage) -> Option<String> {
    let content = match part {
        "summary" => summary(view),
        "picture" => picture(view),
        "places" => places(view),
        "decisions" => decisions(view),
        "acts" => acts(&view.acts),
        "case" => case(view),
        "branches" => branches(&view.branches, view.original),
        "evidence" => evidence(&view.evidence),
        "benign" => benign(&view.benign_causes),
        "events" => events(&view.events),
        _ => return None,
    };
    Some(content.into_string())
}

fn summary(view: &FindingPage) -> Markup {
    let row = &view.finding;
    html! {
        div.facts {
            (finding_grade(row.grade))
            (standing_tag(row.standing))
            (about_link(row))
            dl {
                div { dt { "Detected" } dd { (moment(row.detected, false)) } }
                div { dt { "First event" } dd { (moment(view.first_event, false)) } }
                div { dt { "State" } dd {
                    (if row.closed { "closed" } else { "open" })
                    @if row.revision > 0 { ", grew " (counted(row.revision, "time", "times")) }
                } }
            }
        }
        p.statement { (row.says) }
        dl.details.wide {
            div { dt { "Proposed" } dd { strong { (action(&row.action)) } } }
            div {
                dt { (if view.rules.len() == 1 { "Rule" } else { "Rules" }) }
                dd { @for (place, rule) in view.rules.iter().enumerate() { @if place > 0 { ", " } code { (rule) } } }
            }
            div {
                dt { "Regime" }
                dd {
                    strong { (view.regime.as_str()) } ", because " code { (view.regime_basis) } ". "
                    (regime_meaning(view.regime))
                }
            }
            div { dt { "Identity" } dd { (code(&row.identity)) } }
            div { dt { "Finding" } dd { (code(&row.id)) } }
        }
    }
}

fn branches(branches: &[Branch], original: Option<Original>) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in branches.iter().flat_map(|branch| &branch.facts) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let fact = |branch: &Branch, name: &str| {
        branch.facts.iter().find(|(n, _)| n == name).map_or("–", |(_, value)| value.as_str()).to_owned()
    };
    html! {
        @if branches.is_empty() {
            p.empty { "This finding knows one history only." }
        } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="branches-title" {
                table.branches {
                    thead {
                        tr {
                            th scope="col" { span.unseen { "Fact" } }
                            @for branch in branches {
                                th scope="col" {
                                    span.branch-name { "Branch " (branch.id) }
                                    @if let Some(original) = original.filter(|original| original.branch == branch.id) {
                                        (original_tag()) span.faint { " " (percent(original.probability)) }
                                    }
                                }
                            }
                        }
                    }
                    tbody {
                        tr {
                            th scope="row" { "First seen" }
                            @for branch in branches { td { (moment_or_absent(branch.first_seen, false)) } }
                        }
                        tr {
                            th scope="row" { "Last seen" }
                            @for branch in branches { td { (moment_or_absent(branch.last_seen, false)) } }
                        }
                        (compared("Networks", branches, |branch| branch.networks.join(", ")))
                        (compared("Firmware", branches, |branch| branch.firmware.join(", ")))
                        @for name in names { (compared(name, branches, |branch| fact(branch, name))) }
                    }
                }
            }
            @if original.is_none() && branches.len() > 1 {
                p.note { "It is not decided which of them is the device itself." }
            }
        }
    }
}

/// A row of values, marked when they are not all equal.
fn compared(name: &str, branches: &[Branch], value: impl Fn(&Branch) -> String) -> Markup {
    let values: Vec<String> = branches.iter().map(value).collect();
    let differs = values.windows(2).any(|pair| matches!(pair, [left, right] if left != right));
    html! {
        tr class=[differs.then_some("differs")] {
            th scope="row" { (name) @if differs { " " span.unequal { span aria-hidden="true" { "≠" } span.unseen { "differs" } } } }
            @for value in &values { td { @if value.is_empty() { "–" } @else { (value) } } }
        }
    }
}

/// A probability in per cent; what rounds to certainty is written as less.
fn percent(probability: f64) -> String {
    if !(0.0..=1.0).contains(&probability) {
        return "no valid probability".to_owned();
    }
    if probability > 0.99 {
        "over 99\u{a0}%".to_owned()
    } else {
        format!("{:.0}\u{a0}%", probability * 100.0)
    }
}

fn evidence(rows: &[EvidenceRow]) -> Markup {
    // The scale never narrows below one order of magnitude, so that a weak sign looks weak.
    let sum = sum(rows);
    let ends = rows.iter().map(|row| row.decibans).chain([PRIOR_DECIBANS, sum]);
    let most = ends.map(f64::abs).filter(|size| size.is_finite()).fold(10.0, f64::max);
    html! {
        @if rows.is_empty() {
            p.empty { "The rule speaks for itself; no sign was weighed." }
        } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="evidence-title" {
                table.evidence {
                    thead {
                        tr {
                            th scope="col" { "Sign" }
                            th scope="col" { "What it says" }
                            th scope="col" { span.axis { span { "against" } span { "for" } } }
                            th.count scope="col" { "Decibans" }
                            th.count scope="col" { "Odds" }
                        }
                    }
                    tbody {
                        tr.edge {
                            th scope="row" { "Before any sign" }
                            td.says { "Findings of this kind are rare: 1 in 10\u{202f}000." }
                            td.bar { (bar(PRIOR_DECIBANS, most)) }
                            td.count { (decibans(PRIOR_DECIBANS)) }
                            td.count { (odds(PRIOR_DECIBANS)) }
                        }
                    }
                    @for group in groups(rows) { tbody {
                        @for (row, counts) in group {
                            tr class=[(!counts).then_some("uncounted")] {
                                th scope="row" {
                                    code { (row.sign) } span.reads { "group " (row.group) @if !counts { ", not counted" } }
                                }
                                td.says { (row.says) }
                                td.bar { (bar(row.decibans, most)) }
                                td.count { (decibans(row.decibans)) }
                                td.count { (odds(row.decibans)) }
                            }
                        }
                    } }
                    tfoot {
                        tr.edge {
                            th scope="row" { "Sum" }
                            td.says { "From 0 on a finding is a suspect. Confirmed is what one device cannot do, whatever the sum." }
                            td.bar { (bar(sum, most)) }
                            td.count { (decibans(sum)) }
                            td.count { (odds(sum)) }
                        }
                    }
                }
            }
            p.note {
                "Ten decibans are a factor of ten in the odds. Signs of one group have one cause: the strongest for and the "
                "strongest against count, and the others do not add up."
            }
        }
    }
}

/// Signs by group in the order in which groups appear, each with whether it counts: of a group, the strongest for and the
/// strongest against do.
fn groups(rows: &[EvidenceRow]) -> Vec<Vec<(&EvidenceRow, bool)>> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.group.as_str()) {
            names.push(&row.group);
        }
    }
    let strongest = |name: &str, against: bool| {
        let own =
            rows.iter().enumerate().filter(|(_, row)| row.group == name && (row.decibans < 0.0) == against);
        // Of equals, the first counts.
        own.rev().max_by(|(_, a), (_, b)| a.decibans.abs().total_cmp(&b.decibans.abs())).map(|(at, _)| at)
    };
    let counted: Vec<usize> =
        names.iter().flat_map(|name| [strongest(name, false), strongest(name, true)]).flatten().collect();
    let of = |name: &&str| {
        let own = rows.iter().enumerate().filter(|(_, row)| row.group == **name);
        own.map(|(at, row)| (row, counted.contains(&at))).collect()
    };
    names.iter().map(of).collect()
}

/// What the signs that count add up to from [`PRIOR_DECIBANS`].
fn sum(rows: &[EvidenceRow]) -> f64 {
    let counted = groups(rows).into_iter().flatten().filter(|(_, counts)| *counts);
    PRIOR_DECIBANS + counted.map(|(row, _)| row.decibans).filter(|value| value.is_finite()).sum::<f64>()
}

fn decibans(value: f64) -> String {
    if value.is_finite() { format!("{value:+.1}").replace('-', "−") } else { "–".to_owned() }
}

/// A bar that grows to the right for, to the left against.
fn bar(value: f64, most: f64) -> Markup {
    let share = if value.is_finite() { (value / most).clamp(-1.0, 1.0) * 100.0 } else { 0.0 };
    let (class, x) = if share < 0.0 { ("against", share) } else { ("for", 0.0) };
    html! {
        svg.weight viewBox="-100 0 200 10" preserveAspectRatio="none" aria-hidden="true" {
            rect class=(class) x=(format!("{x:.1}")) y="1" width=(format!("{:.1}", share.abs())) height="8" {}
            path.zero d="M0 0V10" {}
        }
    }
}

/// How the reason of a cause begins that may still hold (`touchmark.finding/1`).
const STILL_POSSIBLE: &str = "not rejected:";

/// What was done about it, as it was written down.
fn acts(rows: &[ActRow]) -> Markup {
    html! {
        @if rows.is_empty() {
            p.empty { "Nothing was done about this finding." }
        } @else {
            ol.timeline {
                @for row in rows {
                    li.warn {
                        div.timeline-head { h3 { (row.title) } p.when { (moment(row.at, false)) } }
                        @if !row.detail.is_empty() { p { (row.detail) } }
                    }
                }
            }
        }
    }
}

fn benign(causes: &[BenignCause]) -> Markup {
    html! {
        @if causes.is_empty() {
            p.empty { "None applies to this kind of finding." }
        } @else {
            dl.causes {
                @for cause in causes {
                    div {
                        dt {
                            (cause.cause)
                            @if cause.rejected_because.starts_with(STILL_POSSIBLE) { " " (possible_tag()) }
                        }
                        dd { (cause.rejected_because.strip_prefix(STILL_POSSIBLE).unwrap_or(&cause.rejected_because)) }
                    }
                }
            }
        }
    }
}

fn events(events: &[EventRef]) -> Markup {
    html! {
        @if events.is_empty() {
            p.empty { "No event is referred to." }
        } @else {
            ol.events {
                @for event in events {
                    li {
                        p {
                            strong { (event.source) } " "
                            @let name = event.event_id.as_deref().unwrap_or("line");
                            @match event.check {
                                Recheck::Matches { seq } | Recheck::Differs { seq } => a.long href=(event_url(seq)) { code { (name) } },
                                Recheck::Absent => code.long { (name) },
                            }
                            " " (recheck_tag(event.check))
                        }
                        (code(&event.sha256))
                    }
                }
            }
            p.note { "Each digest is the SHA-256 of the raw input line, so that anyone can check it; this page has just done so against the log." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn certainty_is_not_claimed() {
        assert_eq!(percent(1.0), "over 99\u{a0}%");
        assert_eq!(percent(0.98), "98\u{a0}%");
        assert_eq!(percent(f64::NAN), "no valid probability");
    }

    #[test]
    fn signs_are_kept() {
        assert_eq!(decibans(17.0), "+17.0");
        assert_eq!(decibans(-15.25), "−15.2");
        assert_eq!(decibans(f64::INFINITY), "–");
    }

    #[test]
    fn of_a_group_the_strongest_on_each_side_count() {
        let row = |group: &str, decibans: f64| EvidenceRow {
            sign: format!("{group}{decibans}"),
            decibans,
            group: group.to_owned(),
            says: String::new(),
        };
        let rows =
            [row("a", 20.0), row("b", 6.0), row("a", 45.0), row("b", -3.0), row("b", 6.0), row("a", -1.0)];
        assert!((sum(&rows) - (-40.0 + 45.0 - 1.0 + 6.0 - 3.0)).abs() < 1e-9);
        let counted: Vec<bool> = groups(&rows).into_iter().flatten().map(|(_, counts)| counts).collect();
        assert_eq!(counted, [false, true, true, true, true, false]);
        assert!((sum(&[]) - PRIOR_DECIBANS).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn a_bar_stays_inside_its_box(value: f64, most in 10.0f64..1e6) {
            let drawn = bar(value, most).into_string();
            prop_assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
        }
    }
}
