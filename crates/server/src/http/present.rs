//! From what the server knows to what a page shows.

mod findings;
mod history;
mod picture;

use std::collections::BTreeMap;

use touchmark_authority::AuthorityError;
use touchmark_authority::registry::{CertificateRecord, CertificateStatus, Device, DeviceStatus, KeyRecord};
use touchmark_authority::x509::HeldCertificate;
use touchmark_identity::assurance::{Basis, Grade, HostBinding, KeyAssurance, Provenance, Storage};
use touchmark_identity::event::{Event, EventBody, RawDigest, RenewalOutcome};
use touchmark_identity::finding::{Certainty, EventRef, Finding};
use touchmark_identity::ids::DeviceId;
use touchmark_identity::timestamp::Timestamp;

use crate::app::App;
use crate::dashboard::view;
use crate::error::ServerError;
use crate::events::EventLog;
use crate::triage::Standing;
use crate::watch;

pub use findings::{FilterQuery, event, findings, sources};
pub use history::history;

/// A device that was heard within this many seconds counts as live.
const LIVE_S: u64 = 120;
/// No more findings than this are shown on one page.
const MAX_FINDINGS: u32 = 50;
/// No more devices than this are shown on the overview.
const MAX_DEVICES: usize = 500;
/// No more events than this are read for a timeline.
const MAX_EVENTS: u32 = 300;
/// No more journal entries than this are searched for acts that a finding led to.
const MAX_ACTS: u32 = 1_000;

/// What surrounds every page.
pub fn frame(app: &App) -> view::Frame {
    let mut banners = Vec::new();
    if app.config.attestation.dangerously_accept_test_endorsers {
        banners.push(view::Banner {
            tone: view::BannerTone::Danger,
            title: "TEST endorsers are accepted.".to_owned(),
            text: "The private key of the TEST root is public, so anybody can forge its evidence. Remove \
                   dangerously_accept_test_endorsers before real devices enrol."
                .to_owned(),
        });
    }
    if let Some(weakness) = &app.custody.weakness {
        banners.push(view::Banner {
            tone: view::BannerTone::Notice,
            title: "The authority's keys are in software.".to_owned(),
            text: format!("They are kept {}; {weakness}.", app.custody.kept),
        });
    }
    view::Frame {
        now: app.now(),
        instance: app.config.authority.organisation.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        banners,
    }
}

/// What the page says when there is no page.
#[must_use]
pub fn trouble(app: &App, error: &ServerError) -> view::Trouble {
    view::Trouble {
        frame: frame(app),
        status: error.status().as_u16(),
        code: error.code().to_owned(),
        text: error.to_string(),
    }
}

/// What the registry knows, read at once.
struct Fleet {
    devices: Vec<Device>,
    keys: Vec<KeyRecord>,
    certificates: Vec<CertificateRecord>,
}

impl Fleet {
    fn read(app: &App) -> Result<Self, ServerError> {
        let mut authority = app.authority();
        let registry = authority.registry();
        Ok(Self {
            devices: registry.devices().map_err(AuthorityError::from)?,
            keys: registry.keys(None).map_err(AuthorityError::from)?,
            certificates: registry.certificates("device", None).map_err(AuthorityError::from)?,
        })
    }

    /// The key that the device holds now: the newest.
    fn key(&self, device: &DeviceId) -> Option<&KeyRecord> {
        self.keys.iter().rfind(|k| k.device == *device)
    }

    fn certificate(&self, device: &DeviceId) -> Option<&CertificateRecord> {
        self.certificates.iter().find(|c| c.device.as_ref() == Some(device) && c.der.is_some())
    }
}

fn all_findings(watch: &watch::Watch) -> Result<Vec<Finding>, ServerError> {
    let lines = watch.log().findings(10_000)?;
    Ok(lines.iter().filter_map(|line| Finding::from_line(line.as_bytes()).ok()).collect())
}

fn status(status: DeviceStatus) -> view::DeviceStatus {
    match status {
        DeviceStatus::Registered => view::DeviceStatus::Pending,
        DeviceStatus::Enrolled => view::DeviceStatus::Active,
        DeviceStatus::Quarantined => view::DeviceStatus::Quarantined,
        DeviceStatus::Revoked => view::DeviceStatus::Revoked,
    }
}

fn certainty(grade: Certainty) -> view::FindingGrade {
    match grade {
        Certainty::Note => view::FindingGrade::Note,
        Certainty::Suspect => view::FindingGrade::Suspect,
        Certainty::Confirmed => view::FindingGrade::Confirmed,
    }
}

fn finding_row(finding: &Finding, standing: Standing) -> view::FindingRow {
    view::FindingRow {
        id: finding.id.to_string(),
        grade: certainty(finding.grade),
        kind: finding.kind.to_string(),
        device: finding.device.clone(),
        identity: finding.identity.label(),
        says: finding.says.clone(),
        detected: finding.detected,
        action: finding.action.to_string(),
        revision: u64::from(finding.revision.saturating_sub(1)),
        closed: finding.closed.is_some(),
        regime: finding.regime,
        standing,
    }
}

fn from_seconds(seconds: u64) -> Timestamp {
    Timestamp::from_micros(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
}

/// The record of a device that has no key yet.
fn nothing_known() -> KeyAssurance {
    KeyAssurance { basis: Basis::Unknown, ..KeyAssurance::declared(Storage::Software) }
}

/// The overview.
///
/// # Errors
/// [`ServerError`] when registry or event log refuse.
pub fn overview(app: &App) -> Result<view::Overview, ServerError> {
    let fleet = Fleet::read(app)?;
    let now = app.now();
    let watch = app.watch();
    let findings = all_findings(&watch)?;
    // What somebody has settled stays out of the first page; the list of findings has it.
    let current: Vec<(&Finding, Standing)> = findings
        .iter()
        .map(|finding| (finding, watch.triage().standing(finding, now)))
        .filter(|(_, standing)| standing.is_current())
        .collect();
    let mut worst: BTreeMap<&str, view::FindingGrade> = BTreeMap::new();
    for (finding, _) in &current {
        if let Some(device) = &finding.device {
            let grade = certainty(finding.grade);
            worst.entry(device).and_modify(|g| *g = (*g).max(grade)).or_insert(grade);
        }
    }
    let mut rows = Vec::with_capacity(fleet.devices.len());
    let mut grades: BTreeMap<Grade, u64> = Grade::ALL.iter().map(|g| (*g, 0)).collect();
    let mut storage: BTreeMap<(Storage, Basis), u64> = BTreeMap::new();
    for device in &fleet.devices {
        let key = fleet.key(&device.id);
        let assurance = key.map_or_else(nothing_known, |k| k.assurance.clone());
        if key.is_some() {
            *grades.entry(assurance.grade()).or_default() += 1;
            *storage.entry((assurance.storage, assurance.basis)).or_default() += 1;
        }
        rows.push(view::DeviceRow {
            id: device.id.to_string(),
            device_type: device.device_type.to_string(),
            storage: assurance.storage,
            basis: assurance.basis,
            grade: assurance.grade(),
            status: status(device.status),
            finding: worst.get(device.id.as_str()).copied(),
            last_seen: watch.seen(device.id.as_str()).map(|s| s.at),
            certificate_ends: fleet.certificate(&device.id).map(|c| from_seconds(c.not_after_s)),
        });
    }
    // What needs a look comes first.
    rows.sort_by(|a, b| b.finding.cmp(&a.finding).then_with(|| a.id.cmp(&b.id)));
    let live_ms = i64::try_from(LIVE_S).unwrap_or(i64::MAX).saturating_mul(1_000);
    let live = rows.iter().filter(|r| r.last_seen.is_some_and(|at| now.ms_since(at) < live_ms)).count();
    let of = |wanted| rows.iter().filter(|r| r.status == wanted).count() as u64;
    let graded = |wanted| current.iter().filter(|(f, _)| f.grade == wanted).count() as u64;
    let counts = view::Counts {
        devices: rows.len() as u64,
        live: live as u64,
        live_within_s: LIVE_S,
        quarantined: of(view::DeviceStatus::Quarantined),
        revoked: of(view::DeviceStatus::Revoked),
        confirmed: graded(Certainty::Confirmed),
        suspect: graded(Certainty::Suspect),
        note: graded(Certainty::Note),
    };
    let authority_keys = ["Root CA", "Issuing CA"].map(|role| view::AuthorityKey {
        role: role.to_owned(),
        kept: app.custody.kept.clone(),
        weakness: app.custody.weakness.clone(),
    });
    let fleet_total = rows.len() as u64;
    rows.truncate(MAX_DEVICES);
    Ok(view::Overview {
        frame: frame(app),
        counts,
        grades: grades.into_iter().collect(),
        storage: storage
            .into_iter()
            .map(|((storage, basis), devices)| view::StorageCount { storage, basis, devices })
            .collect(),
        authority_keys: authority_keys.into(),
        findings_total: current.len() as u64,
        findings: current
            .iter()
            .take(MAX_FINDINGS as usize)
            .map(|(finding, standing)| finding_row(finding, *standing))
            .collect(),
        fleet: rows,
        fleet_total,
        inputs: watch.inputs.iter().map(|(name, input)| input_view(name, input)).collect(),
    })
}

fn input_view(name: &str, input: &watch::InputState) -> view::Input {
    let state = match (&input.trouble, input.lag_bytes) {
        (Some(_), _) => view::InputState::Unreadable,
        (None, Some(behind)) if behind > 0 => view::InputState::Behind,
        _ => view::InputState::Following,
    };
    let mut refused: Vec<_> = input
        .refused
        .iter()
        .map(|(reason, (lines, _))| view::Refusal { reason: reason.clone(), lines: *lines })
        .collect();
    refused.sort_by_key(|r| std::cmp::Reverse(r.lines));
    let reads = match (&input.trouble, input.reads.as_str()) {
        (Some(trouble), _) => trouble.clone(),
        (None, "") => "inside the server".to_owned(),
        (None, reads) => reads.to_owned(),
    };
    view::Input {
        source: name.to_owned(),
        reads,
        state,
        lag_bytes: input.lag_bytes,
        last_event: input.last_event,
        accepted: input.accepted,
        refused,
    }
}

/// A device's page.
///
/// # Errors
/// [`ServerError::NotFound`] when there is no such device.
pub fn device(app: &App, id: &str) -> Result<view::DevicePage, ServerError> {
    let missing = || ServerError::NotFound { what: "device" };
    let id = DeviceId::new(id).map_err(|_| missing())?;
    let fleet = Fleet::read(app)?;
    let device = fleet.devices.iter().find(|d| d.id == id).ok_or_else(missing)?;
    let key = fleet.key(&id);
    let certificates: Vec<_> = fleet.certificates.iter().filter(|c| c.device.as_ref() == Some(&id)).collect();
    let watch = app.watch();
    let seen = watch.seen(id.as_str()).cloned();
    let events = watch.log().of_device(id.as_str(), MAX_EVENTS)?;
    let timeline_total = watch.log().count_of_device(id.as_str())?;
    let findings: Vec<_> =
        all_findings(&watch)?.into_iter().filter(|f| f.device.as_deref() == Some(id.as_str())).collect();
    let (now, shown) = (app.now(), findings.iter().take(MAX_FINDINGS as usize));
    let finding_rows = shown.map(|f| finding_row(f, watch.triage().standing(f, now))).collect();
    drop(watch);
    let parsed: Vec<Event> =
        events.iter().filter_map(|row| Event::from_line(row.line.as_bytes()).ok()).collect();
    Ok(view::DevicePage {
        frame: frame(app),
        id: id.to_string(),
        device_type: device.device_type.to_string(),
        status: status(device.status),
        status_reason: device.reason.clone(),
        enrolled: certificates.last().and_then(|c| c.issued),
        last_seen: seen.as_ref().map(|s| s.at),
        firmware: seen.and_then(|s| s.firmware),
        assurance: assurance_view(key),
        certificates: certificates
            .iter()
            .enumerate()
            .filter_map(|(at, c)| certificate_view(app, at, c))
            .collect(),
        findings: finding_rows,
        timeline: timeline(device, &certificates, &findings, &parsed),
        timeline_total: timeline_total + certificates.len() as u64 + findings.len() as u64,
    })
}

fn assurance_view(key: Option<&KeyRecord>) -> view::AssuranceView {
    let none = nothing_known();
    let a = key.map_or(&none, |k| &k.assurance);
    let claimed = key.and_then(|k| k.claimed);
    let reasons = key.map(|k| k.reasons.clone()).unwrap_or_default();
    let standing = match a.basis {
        Basis::Attested => view::Standing::Proven,
        Basis::Journalled => view::Standing::Journalled,
        Basis::Declared => view::Standing::Claimed,
        Basis::Unknown => view::Standing::Unknown,
    };
    let refuted = claimed.filter(|c| *c != a.storage);
    let how = match a.basis {
        Basis::Attested => "evidence was appraised against a pinned endorser's root",
        Basis::Journalled => "our own factory line's journal says so",
        Basis::Declared => "somebody said so; nothing proves it",
        Basis::Unknown => "nobody said anything",
    };
    let known = |yes: bool| if yes { standing } else { view::Standing::Unknown };
    let mut fields = vec![
        view::AssuranceField {
            name: "Storage".to_owned(),
            value: a.storage.to_string(),
            claimed: refuted.map(|c| c.to_string()),
            standing: if refuted.is_some() { view::Standing::Refuted } else { standing },
            why: match refuted {
                Some(claim) => format!("the device claimed {claim} and did not prove it"),
                None => how.to_owned(),
            },
        },
        view::AssuranceField {
            name: "Basis".to_owned(),
            value: a.basis.to_string(),
            claimed: None,
            standing,
            why: how.to_owned(),
        },
        view::AssuranceField {
            name: "Provenance".to_owned(),
            value: a.provenance.to_string(),
            claimed: None,
            standing: known(a.provenance != Provenance::Unknown),
            why: match a.provenance {
                Provenance::GeneratedOnChip => "the chip states that it generated the key itself",
                Provenance::PreProvisioned => "the part's maker put the key in",
                Provenance::InjectedWrapped => "the key was made outside and brought in",
                Provenance::DerivedFromSharedSecret => "the secret behind it opens other devices too",
                Provenance::Unknown => "nothing says where the key came from",
            }
            .to_owned(),
        },
        view::AssuranceField {
            name: "Host binding".to_owned(),
            value: a.host_binding.to_string(),
            claimed: None,
            standing: known(a.host_binding != HostBinding::Unknown),
            why: "whether the chip would sign on another board too".to_owned(),
        },
    ];
    if let Some(id) = &a.class_break {
        fields.push(view::AssuranceField {
            name: "Class break".to_owned(),
            value: id.clone(),
            claimed: None,
            standing: view::Standing::Refuted,
            why: "a flaw of the part is known: the proof stands, and is worth no more than a claim"
                .to_owned(),
        });
    }
    if let Some(part) = &a.part {
        let firmware = part.firmware.as_deref().map(|f| format!(", firmware {f}")).unwrap_or_default();
        fields.push(view::AssuranceField {
            name: "Part".to_owned(),
            value: format!("{} {}{firmware}", part.vendor, part.model),
            claimed: None,
            standing,
            why: "named by the endorsed certificate of the part".to_owned(),
        });
    }
    view::AssuranceView {
        grade: a.grade(),
        regime: a.grade().regime(),
        regime_basis: a.summary(),
        fields,
        reasons,
        evidence_sha256: a.evidence_sha256.map(hex::encode),
        endorser: key.and_then(|k| k.endorser.clone()),
        test_endorser: a.test_endorser,
        appraised: a.appraised,
    }
}

fn certificate_view(app: &App, at: usize, c: &CertificateRecord) -> Option<view::CertificateView> {
    let held = HeldCertificate::from_der(c.der.as_deref()?).ok()?;
    let tbs = &held.certificate.tbs_certificate;
    let state = match c.status {
        CertificateStatus::Hold => view::CertificateState::OnHold,
        CertificateStatus::Revoked | CertificateStatus::Orphaned => view::CertificateState::Revoked,
        _ if from_seconds(c.not_after_s) < app.now() => view::CertificateState::Expired,
        _ if at > 0 => view::CertificateState::Superseded,
        _ => view::CertificateState::Valid,
    };
    let reason = c.reason.and_then(|r| serde_json::to_value(r).ok());
    Some(view::CertificateView {
        profile: "IDevID".to_owned(),
        serial: hex::encode(&c.serial),
        issuer: tbs.issuer.to_string(),
        not_before: from_seconds(tbs.validity.not_before.to_unix_duration().as_secs()),
        not_after: from_seconds(c.not_after_s),
        state,
        revoked: c.revoked,
        reason: reason.and_then(|r| r.as_str().map(str::to_owned)),
        sha256: c.cert_sha256.clone().unwrap_or_default(),
        spki_sha256: c.spki_sha256.to_string(),
    })
}

/// What happened, newest first; heartbeats and connections that follow each other are summarised.
fn timeline(
    device: &Device,
    certificates: &[&CertificateRecord],
    findings: &[Finding],
    events: &[Event],
) -> Vec<view::TimelineEntry> {
    let entry = |at, kind, title: &str, detail: String| view::TimelineEntry {
        at,
        since: None,
        kind,
        title: title.to_owned(),
        detail,
        count: 1,
        finding: None,
    };
    let mut all: Vec<view::TimelineEntry> = Vec::new();
    for c in certificates {
        if let Some(at) = c.issued {
            let detail = format!("Serial {}.", hex::encode(&c.serial));
            all.push(entry(at, view::TimelineKind::Enrolled, "Certificate issued", detail));
        }
    }
    let reason = device.reason.clone().unwrap_or_default();
    match device.status {
        DeviceStatus::Quarantined => {
            all.push(entry(device.changed, view::TimelineKind::Quarantined, "Quarantined", reason));
        }
        DeviceStatus::Revoked => {
            all.push(entry(device.changed, view::TimelineKind::Revoked, "Revoked", reason))
        }
        DeviceStatus::Registered | DeviceStatus::Enrolled => {}
    }
    for f in findings {
        let mut found = entry(f.detected, view::TimelineKind::Finding, f.kind.as_str(), f.says.clone());
        found.finding = Some(f.id.to_string());
        all.push(found);
    }
    for event in events {
        let (kind, title, detail) = match &event.body {
            EventBody::Heartbeat(beat) => {
                let from = beat.peer.as_ref().map(|p| format!(" from {}", p.ip)).unwrap_or_default();
                let counter = beat.counter.map(|c| format!("Counter {c}{from}.")).unwrap_or_default();
                (view::TimelineKind::Heartbeat, "Heartbeat", counter)
            }
            EventBody::Authentication(a) => {
                let from = a.peer.as_ref().map(|p| format!("From {}.", p.ip)).unwrap_or_default();
                let kind = match a.renewal.map(|renewal| renewal.outcome) {
                    None => view::TimelineKind::Authenticated,
                    Some(RenewalOutcome::Superseded) => view::TimelineKind::Refused,
                    // The certificate itself stands there.
                    Some(RenewalOutcome::Renewed | RenewalOutcome::Repeated) => continue,
                };
                (kind, history::login_title(a), from)
            }
            EventBody::SessionEnd(_) | EventBody::Registry(_) => continue,
        };
        all.push(entry(event.time, kind, title, detail));
    }
    all.sort_by_key(|e| std::cmp::Reverse(e.at));
    let mut out: Vec<view::TimelineEntry> = Vec::new();
    for entry in all {
        let same = out
            .iter_mut()
            .rev()
            .take_while(|e| {
                use view::TimelineKind::{Authenticated, Heartbeat, Refused};
                matches!(e.kind, Heartbeat | Authenticated | Refused)
            })
            .find(|e| e.kind == entry.kind && entry.kind != view::TimelineKind::Finding);
        match same {
            Some(summary) => {
                summary.count += 1;
                summary.since = Some(entry.at);
            }
            None => out.push(entry),
        }
    }
    out
}

/// A finding's page.
///
/// # Errors
/// [`ServerError::NotFound`] when there is no such finding.
pub fn finding(app: &App, id: &str) -> Result<view::FindingPage, ServerError> {
    let missing = || ServerError::NotFound { what: "finding" };
    let (now, watch) = (app.now(), app.watch());
    let line = watch.log().finding(id)?.ok_or_else(missing)?;
    let finding = Finding::from_line(line.as_bytes()).map_err(|_| missing())?;
    let (mut events, total) = events_of_its_time(watch.log(), &finding)?;
    let references = finding.events.iter().map(|e| event_ref(watch.log(), e)).collect::<Result<_, _>>()?;
    let standing = watch.triage().standing(&finding, now);
    let triage = watch.triage().of(id).to_vec();
    let suppressed_by = watch.triage().suppression(&finding, now).cloned();
    drop(watch);
    events.iter_mut().for_each(|(_, event)| app.places.complete(event));
    Ok(view::FindingPage {
        frame: frame(app),
        picture: picture::picture(&finding, &events, total),
        places: picture::places(&finding, &events),
        acts: acts(app, &finding)?,
        case: app.case(id)?,
        triage,
        suppressed_by,
        first_event: finding.first_event,
        rules: finding.rules.clone(),
        regime: finding.regime,
        regime_basis: finding.regime_basis.clone(),
        branches: finding.branches.iter().map(branch).collect(),
        original: finding
            .original
            .map(|o| view::Original { branch: u64::from(o.branch), probability: o.probability }),
        evidence: finding
            .evidence
            .iter()
            .map(|e| view::EvidenceRow {
                sign: e.sign.clone(),
                decibans: e.decibans,
                group: e.group.clone(),
                says: e.says.clone(),
            })
            .collect(),
        benign_causes: finding
            .benign_causes
            .iter()
            .map(|b| view::BenignCause {
                cause: b.cause.clone(),
                rejected_because: b.rejected_because.clone(),
            })
            .collect(),
        events: references,
        finding: finding_row(&finding, standing),
    })
}

/// The events of a finding's device in the time that its picture shows, and how many there are; of an identity that
/// the registry does not know, the events that the finding refers to.
fn events_of_its_time(log: &EventLog, finding: &Finding) -> Result<(Vec<(u64, Event)>, u64), ServerError> {
    let (from, to) = picture::span(finding);
    let (rows, total) = match &finding.device {
        Some(device) => (
            log.of_device_between(device, from, to, picture::MAX_EVENTS)?,
            log.count_of_device_between(device, from, to)?,
        ),
        None => {
            let mut rows = Vec::new();
            for reference in &finding.events {
                rows.extend(looked_up(log, reference)?);
            }
            let total = rows.len() as u64;
            (rows, total)
        }
    };
    let read =
        |row: &crate::events::LoggedEvent| Some((row.seq, Event::from_line(row.line.as_bytes()).ok()?));
    Ok((rows.iter().filter_map(read).collect(), total))
}

fn looked_up(
    log: &EventLog,
    reference: &EventRef,
) -> Result<Option<crate::events::LoggedEvent>, ServerError> {
    match &reference.event_id {
        Some(id) => log.event_named(&reference.source, id),
        None => Ok(None),
    }
}

/// A reference with what the log holds under its name: the digest is computed anew.
fn event_ref(log: &EventLog, reference: &EventRef) -> Result<view::EventRef, ServerError> {
    let check = match looked_up(log, reference)? {
        None => view::Recheck::Absent,
        Some(row) if RawDigest::of(row.line.as_bytes()) == reference.sha256 => {
            view::Recheck::Matches { seq: row.seq }
        }
        Some(row) => view::Recheck::Differs { seq: row.seq },
    };
    Ok(view::EventRef {
        source: reference.source.clone(),
        event_id: reference.event_id.clone(),
        sha256: reference.sha256.to_string(),
        check,
    })
}

/// What the journal says was done because of a finding: its entries name the finding as their reason.
fn acts(app: &App, finding: &Finding) -> Result<Vec<view::ActRow>, ServerError> {
    let Some(device) = &finding.device else { return Ok(Vec::new()) };
    let entries = app.authority().registry().journal_of(device, MAX_ACTS).map_err(AuthorityError::from)?;
    let id = finding.id.to_string();
    let named = entries.iter().rev().filter_map(|entry| {
        let detail = history::reason(entry).filter(|reason| reason.contains(&id))?;
        Some(view::ActRow { at: entry.at, title: history::act_title(&entry.kind), detail })
    });
    Ok(named.collect())
}

fn branch(branch: &touchmark_identity::finding::Branch) -> view::Branch {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.push((name.to_owned(), value));
        }
    };
    fact("Events", branch.sightings.map(|n| n.to_string()));
    fact("Booted", branch.booted.map(|at| at.to_string()));
    fact("Boot count", branch.boot_count.map(|n| n.to_string()));
    let counter = match (branch.counter_first, branch.counter_last) {
        (Some(first), Some(last)) => Some(format!("{first} to {last}")),
        (one, other) => one.or(other).map(|n| n.to_string()),
    };
    fact("Counter", counter);
    view::Branch {
        id: u64::from(branch.id),
        first_seen: branch.first_seen,
        last_seen: branch.last_seen,
        networks: branch.networks.clone(),
        firmware: branch.firmware.clone(),
        facts,
    }
}
