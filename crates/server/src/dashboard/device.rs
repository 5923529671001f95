//! The page `/device/{id}`: one device, what its key is worth and why, and what happened to it.

use maud::{Markup, html};

use super::frame;
use super::parts::{
    certificate_state, code, counted, device_fragment_url, device_status, device_url, finding_url, findings,
    grade, moment, moment_or_absent, number, regime_meaning, standing, test_tag,
};
use super::view::{
    AssuranceView, CertificateView, DevicePage, DeviceStatus, FindingRow, TimelineEntry, TimelineKind,
};

/// The parts of a device's page that live on, by the name in their address.
pub const DEVICE_PARTS: &[&str] = &["status", "findings", "assurance", "certificates", "timeline"];

/// The page `/device/{id}`.
#[must_use]
pub fn device(view: &DevicePage) -> String {
    let live = |part| device_fragment_url(&view.id, part);
    let content = html! {
        div.title {
            h1.name { (view.id) }
            div data-live=(live("status")) { (status(view)) }
        }
        div.columns {
            div.stack {
                section.panel aria-labelledby="findings-title" {
                    h2 #findings-title { "Findings" }
                    div data-live=(live("findings")) { (device_findings(&view.findings)) }
                }
                section.panel aria-labelledby="assurance-title" {
                    h2 #assurance-title { "Key assurance" }
                    div data-live=(live("assurance")) { (assurance(&view.assurance)) }
                }
                section.panel aria-labelledby="certificates-title" {
                    h2 #certificates-title { "Certificates" }
                    div data-live=(live("certificates")) { (certificates(&view.certificates)) }
                }
            }
            section.panel aria-labelledby="timeline-title" {
                div.panel-head {
                    h2 #timeline-title { "Timeline" }
                    a href={ (device_url(&view.id)) "/timeline" } { "All of it, on one axis" }
                }
                div data-live=(live("timeline")) { (timeline(&view.timeline, view.timeline_total)) }
            }
        }
    };
    frame::page(&view.frame, &view.id, &[("/", "Overview")], &content)
}

/// One of [`DEVICE_PARTS`] by its name, as it stands inside the page.
#[must_use]
pub fn device_fragment(part: &str, view: &DevicePage) -> Option<String> {
    let content = match part {
        "status" => status(view),
        "findings" => device_findings(&view.findings),
        "assurance" => assurance(&view.assurance),
        "certificates" => certificates(&view.certificates),
        "timeline" => timeline(&view.timeline, view.timeline_total),
        _ => return None,
    };
    Some(content.into_string())
}

fn status(view: &DevicePage) -> Markup {
    let tone = match view.status {
        DeviceStatus::Quarantined => "reason warn",
        DeviceStatus::Revoked => "reason danger",
        DeviceStatus::Pending | DeviceStatus::Active | DeviceStatus::Retired => "reason",
    };
    html! {
        div.facts {
            (device_status(view.status))
            (grade(view.assurance.grade))
            dl {
                div { dt { "Type" } dd { (view.device_type) } }
                @if let Some(firmware) = &view.firmware { div { dt { "Firmware" } dd { (firmware) } } }
                div { dt { "Enrolled" } dd { (moment_or_absent(view.enrolled, false)) } }
                div { dt { "Last seen" } dd { (moment_or_absent(view.last_seen, true)) } }
            }
        }
        @if let Some(reason) = &view.status_reason { p class=(tone) { (reason) } }
    }
}

fn device_findings(rows: &[FindingRow]) -> Markup {
    html! {
        @if rows.is_empty() { p.empty { "Nothing was found about this device." } }
        @else { (findings(rows, false)) }
    }
}

fn assurance(view: &AssuranceView) -> Markup {
    html! {
        p.verdict { (grade(view.grade)) " " (view.grade.meaning()) "." }
        p {
            span.label { "Regime" } " " strong { (view.regime.as_str()) } ", because " code { (view.regime_basis) } ". "
            (regime_meaning(view.regime))
        }
        @if !view.reasons.is_empty() {
            div.reason.danger {
                p { strong { "Claimed, and not proven" } }
                ul { @for reason in &view.reasons { li { (reason) } } }
            }
        }
        div.scroll tabindex="0" role="region" aria-labelledby="assurance-title" {
            table.assurance {
                thead {
                    tr {
                        th scope="col" { "Field" }
                        th scope="col" { "Recorded" }
                        th scope="col" { "How it is known" }
                    }
                }
                tbody {
                    @for field in &view.fields {
                        tr {
                            th scope="row" { (field.name) }
                            td {
                                span.value { (field.value) }
                                @if let Some(claimed) = &field.claimed {
                                    span.claimed { "claimed: " s { (claimed) } }
                                }
                            }
                            td { (standing(field.standing)) " " span.why { (field.why) } }
                        }
                    }
                }
            }
        }
        dl.details {
            div {
                dt { "Evidence, SHA-256" }
                dd {
                    @match &view.evidence_sha256 {
                        Some(digest) => (code(digest)),
                        None => "none was appraised",
                    }
                }
            }
            div {
                dt { "Endorser" }
                dd {
                    @match &view.endorser {
                        Some(endorser) => (endorser),
                        None => "nobody vouches for this key",
                    }
                    @if view.test_endorser { " " (test_tag()) }
                }
            }
            @if let Some(at) = view.appraised { div { dt { "Appraised" } dd { (moment(at, false)) } } }
        }
    }
}

fn certificates(rows: &[CertificateView]) -> Markup {
    html! {
        @if rows.is_empty() {
            p.empty { "None was issued." }
        } @else {
            ol.certificates { @for row in rows { (certificate(row)) } }
        }
    }
}

fn certificate(row: &CertificateView) -> Markup {
    html! {
        li id={ "certificate-" (row.serial) } {
            div.certificate-head { h3 { (row.profile) } (certificate_state(row.state)) }
            dl.details {
                @if let Some(at) = row.revoked {
                    div {
                        dt { "Revoked" }
                        dd { (moment(at, false)) @if let Some(reason) = &row.reason { ", " code { (reason) } } }
                    }
                }
                div {
                    dt { "Valid" }
                    dd { (moment(row.not_before, false)) " to " (moment(row.not_after, false)) }
                }
                div { dt { "Serial" } dd { (code(&row.serial)) } }
                div { dt { "Issuer" } dd { (row.issuer) } }
                div { dt { "SHA-256" } dd { (code(&row.sha256)) } }
                div { dt { "Key, SHA-256" } dd { (code(&row.spki_sha256)) } }
            }
        }
    }
}

fn timeline(entries: &[TimelineEntry], total: u64) -> Markup {
    html! {
        @if entries.is_empty() {
            p.empty { "Nothing happened yet." }
        } @else {
            ol.timeline { @for entry in entries { (timeline_entry(entry)) } }
            @let shown = entries.len() as u64;
            @if total > shown {
                p.more { "The newest " (number(shown)) " of " (counted(total, "entry", "entries")) "." }
            }
        }
    }
}

fn timeline_entry(entry: &TimelineEntry) -> Markup {
    let tone = match entry.kind {
        TimelineKind::Enrolled | TimelineKind::Released => "fine",
        TimelineKind::Authenticated | TimelineKind::Heartbeat => "quiet",
        TimelineKind::Refused | TimelineKind::Regraded | TimelineKind::Quarantined => "warn",
        TimelineKind::Finding | TimelineKind::Revoked => "danger",
    };
    html! {
        li class=(tone) {
            div.timeline-head {
                h3 {
                    @match &entry.finding {
                        Some(id) => a href=(finding_url(id)) { (entry.title) },
                        None => (entry.title),
                    }
                    @if entry.count > 1 { span.times { "× " (number(entry.count)) } }
                }
                p.when {
                    @if let Some(since) = entry.since { (moment(since, false)) " to " }
                    (moment(entry.at, false))
                }
            }
            @if !entry.detail.is_empty() { p { (entry.detail) } }
        }
    }
}
