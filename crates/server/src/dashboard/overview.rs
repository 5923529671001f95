//! The page `/`: the fleet by what its keys are worth, and what was seen of it.

use maud::{Markup, html};
use touchmark_identity::assurance::{Basis, Grade, Storage};
use touchmark_identity::timestamp::Timestamp;

use super::frame;
use super::parts::{
    absent, basis_meaning, bytes, certificate_state, counted, device_status, device_url, finding_grade,
    findings, grade, grade_class, input_state, moment_or_absent, number, pips, seconds, storage, weak_tag,
};
use super::view::{
    AuthorityKey, CertificateState, Counts, DeviceRow, FindingRow, Input, Overview, StorageCount,
};

/// 9999-12-31T00:00:00Z, in seconds since 1970.
const NO_END_S: u64 = 253_402_214_400;

/// The parts of the overview that live on, by the name in their address.
pub const OVERVIEW_PARTS: &[&str] = &["counts", "grades", "findings", "storage", "keys", "fleet", "inputs"];

/// The page `/`.
#[must_use]
pub fn overview(view: &Overview) -> String {
    let content = html! {
        div.title {
            h1 { "Overview" }
            p.lead { "Where each device's key lives, how that is known, and what has been seen since." }
        }
        div.figures data-live="/fragment/overview/counts" { (counts(&view.counts)) }
        section.panel aria-labelledby="grades-title" {
            h2 #grades-title { "Fleet by grade" }
            div data-live="/fragment/overview/grades" { (grades(&view.grades)) }
        }
        div.columns {
            section.panel aria-labelledby="findings-title" {
                div.panel-head { h2 #findings-title { "Findings" } a href="/findings" { "All, with filters" } }
                div data-live="/fragment/overview/findings" { (all_findings(&view.findings, view.findings_total)) }
            }
            div.stack {
                section.panel aria-labelledby="storage-title" {
                    h2 #storage-title { "Where keys live, and how that is known" }
                    div data-live="/fragment/overview/storage" { (storage_table(&view.storage)) }
                }
                section.panel aria-labelledby="keys-title" {
                    h2 #keys-title { "The authority's own keys" }
                    div data-live="/fragment/overview/keys" { (authority_keys(&view.authority_keys)) }
                }
            }
        }
        section.panel aria-labelledby="fleet-title" {
            div.panel-head {
                h2 #fleet-title { "Devices" }
                div.filter hidden data-filter-for="fleet" {
                    label for="fleet-filter" { "Filter" }
                    input #fleet-filter type="search" autocomplete="off" spellcheck="false"
                        placeholder="meter copyable quarantined";
                    output for="fleet-filter" aria-live="polite" {}
                }
            }
            div #fleet data-live="/fragment/overview/fleet" { (fleet(&view.fleet, view.fleet_total, view.frame.now)) }
        }
        section.panel aria-labelledby="inputs-title" {
            div.panel-head { h2 #inputs-title { "Inputs" } a href="/sources" { "Lag and examples" } }
            div data-live="/fragment/overview/inputs" { (inputs(&view.inputs)) }
        }
    };
    frame::page(&view.frame, "Overview", &[], &content)
}

/// One of [`OVERVIEW_PARTS`] by its name, as it stands inside the page.
#[must_use]
pub fn overview_fragment(part: &str, view: &Overview) -> Option<String> {
    let content = match part {
        "counts" => counts(&view.counts),
        "grades" => grades(&view.grades),
        "findings" => all_findings(&view.findings, view.findings_total),
        "storage" => storage_table(&view.storage),
        "keys" => authority_keys(&view.authority_keys),
        "fleet" => fleet(&view.fleet, view.fleet_total, view.frame.now),
        "inputs" => inputs(&view.inputs),
        _ => return None,
    };
    Some(content.into_string())
}

fn counts(counts: &Counts) -> Markup {
    let figure = |name: &str, value: u64, tone: &str, title: &str| {
        let class = if value == 0 { "figure zero".to_owned() } else { format!("figure {tone}") };
        html! { div class=(class) title=(title) { dt { (name) } dd { (number(value)) } } }
    };
    let live_title = format!("heard from within {}", seconds(counts.live_within_s));
    html! {
        div role="group" aria-label="Devices" {
            dl.group {
                (figure("Devices", counts.devices, "", "in the registry"))
                (figure("Live", counts.live, "", &live_title))
                (figure("Quarantined", counts.quarantined, "warn", "set apart until somebody decides"))
                (figure("Revoked", counts.revoked, "danger", "with a revoked certificate"))
            }
        }
        div role="group" aria-label="Open findings" {
            dl.group {
                (figure("Confirmed findings", counts.confirmed, "danger", "open, and no benign cause explains them"))
                (figure("Suspect", counts.suspect, "warn", "open, and likely enough to look at"))
                (figure("Notes", counts.note, "", "open, and worth knowing"))
            }
        }
    }
}

/// Widths of the bar's segments in thousandths; a grade that has devices keeps a width that can be seen.
fn widths(counts: &[(Grade, u64)]) -> Vec<(Grade, u64)> {
    const LEAST: u128 = 10;
    let total: u128 = counts.iter().map(|(_, devices)| u128::from(*devices)).sum();
    let width = |devices: u64| {
        let share = (u128::from(devices) * 1000).checked_div(total).unwrap_or(0);
        u64::try_from(share.max(LEAST)).unwrap_or(1000)
    };
    counts
        .iter()
        .filter(|(_, devices)| *devices > 0)
        .map(|(grade, devices)| (*grade, width(*devices)))
        .collect()
}

/// A share in per cent: whole, with `<1` for what would round to nothing.
fn share(devices: u64, total: u64) -> String {
    let percent = (u128::from(devices) * 100).checked_div(u128::from(total)).unwrap_or(0);
    if devices > 0 && percent == 0 { "<1\u{a0}%".to_owned() } else { format!("{percent}\u{a0}%") }
}

fn grades(given: &[(Grade, u64)]) -> Markup {
    let of = |grade| given.iter().filter(|(g, _)| *g == grade).map(|(_, devices)| *devices).sum::<u64>();
    let counts: Vec<(Grade, u64)> = Grade::ALL.iter().map(|grade| (*grade, of(*grade))).collect();
    let total: u64 = counts.iter().map(|(_, devices)| *devices).sum();
    let widths = widths(&counts);
    let whole: u64 = widths.iter().map(|(_, width)| *width).sum();
    let segments = widths.iter().scan(0, |x, (grade, width)| {
        let at = *x;
        *x += width;
        Some((*grade, at, *width))
    });
    html! {
        @if total == 0 {
            p.empty { "No devices yet. Enrol one with " code { "touchmark agent enrol" } "." }
        } @else {
            svg.gradebar viewBox={ "0 0 " (whole) " 20" } preserveAspectRatio="none" aria-hidden="true" {
                @for (grade, x, width) in segments {
                    rect class=(grade_class(grade)) x=(x) y="0" width=(width) height="20" {}
                }
            }
        }
        ul.legend {
            @for (grade, devices) in &counts {
                li class=[(*devices == 0).then_some("zero")] {
                    span.legend-name { (pips(*grade)) (grade.as_str()) }
                    span.legend-count { (number(*devices)) " " span.faint { (share(*devices, total)) } }
                    span.legend-says { (grade.meaning()) }
                }
            }
        }
    }
}

fn all_findings(rows: &[FindingRow], total: u64) -> Markup {
    html! {
        @if rows.is_empty() {
            p.empty { "Nothing found. The monitor reports here as soon as two holders of one key show themselves." }
        } @else {
            (findings(rows, true))
            @let shown = rows.len() as u64;
            @if total > shown {
                p.more { "The newest " (number(shown)) " of " (counted(total, "current finding", "current findings")) "." }
            }
        }
    }
}

fn storage_table(given: &[StorageCount]) -> Markup {
    let columns = [Basis::Attested, Basis::Journalled, Basis::Declared, Basis::Unknown];
    let rows = [Storage::SecureElement, Storage::Tpm, Storage::Enclave, Storage::Software];
    let of = |storage, basis| {
        given.iter().filter(|c| c.storage == storage && c.basis == basis).map(|c| c.devices).sum::<u64>()
    };
    let most = given.iter().map(|c| c.devices).max().unwrap_or(0);
    html! {
        table.matrix {
            thead {
                tr {
                    th scope="col" { span.unseen { "Storage" } }
                    @for basis in columns { th scope="col" title=(basis_meaning(basis)) { (basis.as_str()) } }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { (storage(row)) }
                        @for basis in columns {
                            @let devices = of(row, basis);
                            td class={ "heat" (heat(devices, most)) } { (number(devices)) }
                        }
                    }
                }
            }
        }
        p.note { "Only the first two columns are proof; a declared chip counts as copyable." }
    }
}

/// How strongly a cell is shaded: 0 for none, then 1 to 4 by its share of the largest.
fn heat(devices: u64, most: u64) -> u64 {
    if devices == 0 {
        return 0;
    }
    let quarters = (u128::from(devices) * 4).div_ceil(u128::from(most.max(1)));
    u64::try_from(quarters).unwrap_or(4).clamp(1, 4)
}

fn authority_keys(keys: &[AuthorityKey]) -> Markup {
    html! {
        @if keys.is_empty() {
            p.empty { "No authority keys are loaded." }
        } @else {
            dl.keys {
                @for key in keys {
                    div {
                        dt { (key.role) }
                        dd {
                            (key.kept)
                            @if let Some(weakness) = &key.weakness { p.weakness { (weak_tag()) " " (weakness) } }
                        }
                    }
                }
            }
        }
    }
}

fn fleet(rows: &[DeviceRow], total: u64, now: Timestamp) -> Markup {
    html! {
        @if rows.is_empty() {
            p.empty { "No devices in the registry." }
        } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="fleet-title" {
                table.fleet {
                    thead {
                        tr {
                            th scope="col" { "Device" }
                            th scope="col" { "Type" }
                            th scope="col" { "Key lives in" }
                            th scope="col" { "Grade" }
                            th scope="col" { "Status" }
                            th scope="col" { "Finding" }
                            th scope="col" { "Last seen" }
                            th scope="col" { "Certificate ends" }
                        }
                    }
                    tbody { @for row in rows { (device_row(row, now)) } }
                }
            }
            @let shown = rows.len() as u64;
            @if total > shown {
                p.more {
                    (number(shown)) " of " (counted(total, "device", "devices")) ", those that deserve attention first. "
                    "The filter looks at these; " code { "touchmark authority inventory" } " lists all."
                }
            }
        }
    }
}

fn device_row(row: &DeviceRow, now: Timestamp) -> Markup {
    html! {
        tr id={ "device-" (row.id) } data-row {
            th scope="row" { a href=(device_url(&row.id)) { (row.id) } }
            td { (row.device_type) }
            td { (storage(row.storage)) " " span.faint { (row.basis.as_str()) } }
            td { (grade(row.grade)) }
            td { (device_status(row.status)) }
            td {
                @match row.finding {
                    Some(finding) => (finding_grade(finding)),
                    None => span.faint { "none" },
                }
            }
            td.time { (moment_or_absent(row.last_seen, true)) }
            td.time {
                @match row.certificate_ends {
                    // IEEE 802.1AR-2018 §8.7: the year 9999 stands for no well-defined end.
                    Some(end) if end.seconds() >= NO_END_S => span.faint { "no end" },
                    end => (moment_or_absent(end, true)),
                }
                @if row.certificate_ends.is_some_and(|end| end <= now) { " " (certificate_state(CertificateState::Expired)) }
            }
        }
    }
}

fn inputs(inputs: &[Input]) -> Markup {
    html! {
        @if inputs.is_empty() {
            p.empty { "Nothing is read. Name a log in the configuration, so that the monitor has something to watch." }
        } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="inputs-title" {
                table.inputs {
                    thead {
                        tr {
                            th scope="col" { "Source" }
                            th scope="col" { "State" }
                            th.count scope="col" { "Unread" }
                            th.count scope="col" { "Accepted" }
                            th scope="col" { "Last event" }
                            th scope="col" { "Refused lines" }
                        }
                    }
                    tbody { @for input in inputs { (input_row(input)) } }
                }
            }
        }
    }
}

fn input_row(input: &Input) -> Markup {
    html! {
        tr id={ "input-" (input.source) } {
            th scope="row" { (input.source) span.reads { (input.reads) } }
            td { (input_state(input.state)) }
            td.count {
                @match input.lag_bytes {
                    Some(lag) => (bytes(lag)),
                    None => (absent()),
                }
            }
            td.count { (number(input.accepted)) }
            td.time {
                (moment_or_absent(input.last_event, true))
            }
            td {
                @if input.refused.is_empty() { span.faint { "none" } }
                @else {
                    ul.refusals {
                        @for refusal in &input.refused {
                            li { strong { (number(refusal.lines)) } " " (refusal.reason) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_grade_with_devices_can_be_seen(counts: [u64; 5]) {
            let counts: Vec<_> = Grade::ALL.iter().copied().zip(counts).collect();
            let widths = widths(&counts);
            prop_assert_eq!(widths.len(), counts.iter().filter(|(_, devices)| *devices > 0).count());
            prop_assert!(widths.iter().all(|(_, width)| (10..=1000).contains(width)));
        }

        #[test]
        fn shading_is_zero_for_none_alone(devices: u64, more: u64) {
            let shade = heat(devices, devices.saturating_add(more));
            prop_assert_eq!(shade == 0, devices == 0);
            prop_assert!(shade <= 4);
        }
    }

    #[test]
    fn shares_do_not_hide_the_few() {
        assert_eq!(share(1, 100_000), "<1\u{a0}%");
        assert_eq!(share(0, 100_000), "0\u{a0}%");
        assert_eq!(share(0, 0), "0\u{a0}%");
        assert_eq!(share(1, 2), "50\u{a0}%");
    }
}
