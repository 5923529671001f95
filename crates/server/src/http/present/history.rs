//! A device's whole history, page by page: events from the log, acts from the journal, findings.

use std::collections::BTreeMap;

use touchmark_authority::AuthorityError;
use touchmark_authority::registry::journal::JournalEntry;
use touchmark_identity::event::{Authentication, Event, EventBody, RenewalOutcome};
use touchmark_identity::ids::DeviceId;
use touchmark_identity::text::printable;
use touchmark_identity::timestamp::Timestamp;

use super::{all_findings, frame};
use crate::app::App;
use crate::dashboard::view::{DeviceTimeline, HistoryRow, Lane};
use crate::error::ServerError;

/// Events on one page.
const PAGE: u32 = 200;
/// No more journal entries than this are read for one device.
const MAX_ACTS: u32 = 1_000;

/// The page of a device's timeline whose events have numbers below `before`.
///
/// # Errors
/// [`ServerError::NotFound`] when there is no such device; registry and event log may refuse.
pub fn history(app: &App, id: &str, before: Option<u64>) -> Result<DeviceTimeline, ServerError> {
    let missing = || ServerError::NotFound { what: "device" };
    let id = DeviceId::new(id).map_err(|_| missing())?;
    let (acts, issued) = {
        let mut authority = app.authority();
        let registry = authority.registry();
        registry.device(&id).map_err(AuthorityError::from)?.ok_or_else(missing)?;
        let certificates = registry.certificates("device", Some(&id)).map_err(AuthorityError::from)?;
        (registry.journal_of(id.as_str(), MAX_ACTS).map_err(AuthorityError::from)?, certificates)
    };
    let watch = app.watch();
    let logged = watch.log().of_device_before(id.as_str(), before.unwrap_or(u64::MAX), PAGE)?;
    let total = watch.log().count_of_device(id.as_str())?;
    let findings = all_findings(&watch)?;
    drop(watch);
    let full = u32::try_from(logged.len()).is_ok_and(|read| read == PAGE);
    let lowest = logged.last().map(|row| row.seq);
    let mut events: Vec<(u64, Event)> = logged
        .iter()
        .filter_map(|row| Some((row.seq, Event::from_line(row.line.as_bytes()).ok()?)))
        .collect();
    events.iter_mut().for_each(|(_, event)| app.places.complete(event));
    let mut rows = event_rows(&events);
    // Acts and findings belong to the page on whose stretch of time they fall; the last page takes all that is older,
    // the first all that is newer.
    let oldest = rows.iter().map(|row| row.at).min().filter(|_| full);
    let newest = rows.iter().map(|row| row.at).max().filter(|_| before.is_some());
    let here =
        |at: Timestamp| oldest.is_none_or(|oldest| oldest <= at) && newest.is_none_or(|newest| at <= newest);
    rows.extend(acts.iter().map(act_row).filter(|row| here(row.at)));
    let certificates = issued.iter().filter_map(|record| {
        let detail = format!("Serial {}.", hex::encode(&record.serial));
        Some(row(record.issued?, Lane::Authority, "Certificate issued", detail))
    });
    rows.extend(certificates.filter(|row| here(row.at)));
    let own = findings.iter().filter(|finding| finding.device.as_deref() == Some(id.as_str()));
    rows.extend(own.filter(|finding| here(finding.detected)).map(|finding| HistoryRow {
        finding: Some(finding.id.to_string()),
        ..row(
            finding.detected,
            Lane::Finding,
            &format!("Finding: {}, {}", finding.kind, finding.grade),
            finding.says.clone(),
        )
    }));
    rows.sort_by_key(|row| (std::cmp::Reverse(row.at), std::cmp::Reverse(row.seq)));
    let now = app.now();
    let first = rows.iter().map(|row| row.at).min().unwrap_or(now);
    let last = rows.iter().map(|row| row.until.unwrap_or(row.at)).max().unwrap_or(now);
    Ok(DeviceTimeline {
        frame: frame(app),
        id: id.to_string(),
        span: (first, last),
        rows,
        older: lowest.filter(|_| full),
        newer: before.is_some(),
        total,
    })
}

fn row(at: Timestamp, lane: Lane, title: &str, detail: String) -> HistoryRow {
    HistoryRow { at, until: None, lane, title: title.to_owned(), detail, seq: None, finding: None }
}

/// The reason in a journal entry's body, where it gives one.
pub(super) fn reason(entry: &JournalEntry) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(&entry.body).ok()?;
    body.get("reason").and_then(serde_json::Value::as_str).map(|reason| printable(reason, 500))
}

/// A journal entry's kind in words.
pub(super) fn act_title(kind: &str) -> String {
    match kind {
        "device.registered" => "Registered",
        "device.token-replaced" => "New enrolment token",
        "device.quarantined" => "Quarantined",
        "device.released" => "Released from quarantine",
        "device.revoked" => "Revoked",
        "renewal.refused" => "Renewal refused",
        other => other,
    }
    .to_owned()
}

fn act_row(entry: &JournalEntry) -> HistoryRow {
    row(entry.at, Lane::Authority, &act_title(&entry.kind), reason(entry).unwrap_or_default())
}

fn event_rows(events: &[(u64, Event)]) -> Vec<HistoryRow> {
    let ends: BTreeMap<(&str, &str), Timestamp> = events
        .iter()
        .filter_map(|(_, event)| match &event.body {
            EventBody::SessionEnd(end) => Some(((event.source.as_str(), end.session.as_str()), event.time)),
            _ => None,
        })
        .collect();
    events.iter().map(|(seq, event)| HistoryRow { seq: Some(*seq), ..event_row(event, &ends) }).collect()
}

/// What a connection was for.
pub(super) fn login_title(login: &Authentication) -> &'static str {
    match login.renewal.map(|renewal| renewal.outcome) {
        None => "Authenticated",
        Some(RenewalOutcome::Renewed) => "Renewed its certificate",
        Some(RenewalOutcome::Repeated) => "Got its renewed certificate again",
        Some(RenewalOutcome::Superseded) => "Renewal refused: the certificate had been renewed before",
    }
}

fn event_row(event: &Event, ends: &BTreeMap<(&str, &str), Timestamp>) -> HistoryRow {
    let from = |peer: Option<&touchmark_identity::event::Peer>| {
        peer.map(|peer| match &peer.country {
            Some(country) => format!("from {} ({country})", peer.ip),
            None => format!("from {}", peer.ip),
        })
    };
    match &event.body {
        EventBody::Heartbeat(beat) => {
            let mut parts = Vec::new();
            parts.extend(beat.counter.map(|counter| format!("counter {counter}")));
            parts.extend(beat.uptime_ms.map(|ms| format!("up for {} s", ms / 1_000)));
            parts.extend(beat.boot_count.map(|boots| format!("boot {boots}")));
            parts.extend(beat.firmware.as_ref().map(|version| format!("firmware {version}")));
            parts.extend(from(beat.peer.as_ref()));
            let title = if beat.counter.is_some() { "Heartbeat" } else { "Connection in use" };
            row(event.time, Lane::Heartbeat, title, parts.join(", "))
        }
        EventBody::Authentication(login) => {
            let mut parts = vec![format!("session {}", login.session)];
            parts.extend(from(login.peer.as_ref()));
            parts.extend(login.tls.as_ref().and_then(|tls| tls.version.clone()));
            let until = ends.get(&(event.source.as_str(), login.session.as_str())).copied();
            HistoryRow {
                until: until.filter(|until| *until >= event.time),
                ..row(event.time, Lane::Session, login_title(login), parts.join(", "))
            }
        }
        EventBody::SessionEnd(end) => {
            let mut parts = vec![format!("session {}", end.session)];
            parts.extend(end.reason.clone());
            row(event.time, Lane::Session, "Session ended", parts.join(", "))
        }
        EventBody::Registry(known) => {
            let mut parts = Vec::new();
            parts.extend(known.status.as_ref().map(|status| format!("status {status}")));
            parts.extend(
                known.assurance.as_ref().map(|assurance| format!("assurance {}", assurance.summary())),
            );
            row(event.time, Lane::Registry, "Registry", parts.join(", "))
        }
    }
}
