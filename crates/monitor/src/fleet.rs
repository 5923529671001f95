//! What happens to many at once: incidents of the fleet, and faults of sources.
//!
//! Signs that a common cause explains as well (older firmware, another place, another instance) are held back for a
//! while. Where many devices show the same one together it is one incident, and its members are not reported; otherwise
//! each is reported as it was. Confirmed findings are never held back. All this happens where the partitions' findings
//! are joined, in the order of events, so it does not depend on threads.

use std::collections::BTreeMap;

use touchmark_identity::assurance::Regime;
use touchmark_identity::event::{IdentityRef, RawDigest};
use touchmark_identity::finding::{
    Action, BenignCause, Certainty, EventRef, Evidence, Finding, FindingId, Kind, Schema,
};
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;

use crate::peers::Peers;

/// For how long a sign waits for others like it, in microseconds: 15 minutes.
const HOLD: i64 = 900 * 1_000_000;
/// So many devices with one sign are an incident.
const INCIDENT: usize = 20;
/// Members that an incident names by their raw lines.
const NAMED: usize = 8;
/// A minute with so many new connections can be a storm.
const STORM: u64 = 1_000;
/// And it has to have so many times as many as usual.
const STORM_FACTOR: u64 = 10;
/// Minutes of connections that are known before the usual number is.
const KNOWN_MINUTES: u64 = 10;
/// Late events in turn by which a source is taken to be at fault.
const LATE: u32 = 200;

/// Findings on their way out.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Fleet {
    /// What is held back, by sign.
    waiting: BTreeMap<String, Vec<Finding>>,
    /// Incidents that go on: what was written last, and how many devices it has.
    open: BTreeMap<String, (Finding, u64)>,
    /// New connections by minute since 1970, until the minute is over.
    minutes: BTreeMap<i64, u64>,
    /// The usual number in a minute, times 16, and of how many minutes it was learnt.
    usual: u64,
    learnt: u64,
    /// Late events in turn, by source.
    late: BTreeMap<u64, u32>,
    /// What devices of a type do.
    pub(crate) peers: Peers,
}

/// The sign that the finding shares with others of one cause; none for what is about one device alone.
fn common(finding: &Finding) -> Option<String> {
    let shared = matches!(
        finding.kind,
        Kind::Downgrade | Kind::Relocation | Kind::Takeover | Kind::Transplant | Kind::Behaviour
    );
    if !shared || finding.grade == Certainty::Confirmed || finding.closed.is_some() || finding.revision > 1 {
        return None;
    }
    let sign = match finding.kind {
        Kind::Downgrade => finding.evidence.first().map_or("", |sign| sign.says.as_str()),
        Kind::Behaviour => finding.rules.first().map_or("", String::as_str),
        _ => "",
    };
    Some(format!("{}: {sign}", finding.kind))
}

impl Fleet {
    /// A connection was opened.
    pub(crate) fn connected(&mut self, ms: i64) {
        *self.minutes.entry(ms.div_euclid(60_000)).or_default() += 1;
    }

    /// An event came, `late` or in time. Gives the finding when the source seems to be at fault.
    pub(crate) fn arrived(
        &mut self,
        source: u64,
        name: &dyn Fn() -> String,
        ms: i64,
        late: bool,
    ) -> Option<Finding> {
        if !late {
            // Nearly every source is never late.
            if !self.late.is_empty() {
                self.late.remove(&source);
            }
            return None;
        }
        let count = self.late.entry(source).or_default();
        *count = count.saturating_add(1);
        (*count == LATE).then(|| source_fault(&name(), Timestamp::from_micros(ms.saturating_mul(1_000))))
    }

    /// Takes findings in the order of their events and gives those that go out; `watermark` is the moment up to which
    /// everything is observed.
    pub(crate) fn pass(&mut self, found: Vec<Finding>, watermark: i64, out: &mut Vec<Finding>) {
        let mut found: Vec<Finding> =
            found.into_iter().filter_map(|finding| self.peers.keep(finding)).collect();
        found.extend(self.peers.compare(watermark.div_euclid(1_000)));
        for finding in found {
            match common(&finding) {
                Some(sign) => self.hold(sign, finding, out),
                None => {
                    // A finding that became surer while it waited goes out as it is now.
                    for waiting in self.waiting.values_mut() {
                        waiting.retain(|other| other.id != finding.id);
                    }
                    out.push(finding);
                }
            }
        }
        let over = watermark.saturating_mul(1_000).saturating_sub(HOLD);
        let mut alone: Vec<Finding> = Vec::new();
        self.waiting.retain(|_, waiting| {
            let (go, stay) =
                std::mem::take(waiting).into_iter().partition(|finding| finding.detected.micros() <= over);
            alone.append(&mut { go });
            *waiting = stay;
            !waiting.is_empty()
        });
        alone.sort_by_key(|finding| (finding.detected, finding.id));
        out.append(&mut alone);
        self.open.retain(|_, (finding, _)| finding.detected.micros() > over);
        self.storms(watermark, out);
    }

    fn hold(&mut self, sign: String, finding: Finding, out: &mut Vec<Finding>) {
        if let Some((incident, members)) = self.open.get_mut(&sign) {
            *members += 1;
            incident.detected = incident.detected.max(finding.detected);
            // Written again at each doubling, so that a wave does not become a flood.
            if members.is_power_of_two() {
                incident.revision += 1;
                incident.says = says(&sign, *members, incident.first_event, incident.detected);
                out.push(incident.clone());
            }
            return;
        }
        let waiting = self.waiting.entry(sign.clone()).or_default();
        waiting.push(finding);
        if waiting.len() >= INCIDENT {
            let members = self.waiting.remove(&sign).unwrap_or_default();
            if let Some(incident) = incident(&sign, &members) {
                out.push(incident.clone());
                self.open.insert(sign, (incident, u64::try_from(members.len()).unwrap_or(0)));
            }
        }
    }

    fn storms(&mut self, watermark: i64, out: &mut Vec<Finding>) {
        let now = watermark.div_euclid(60_000);
        while let Some(entry) = self.minutes.first_entry() {
            if *entry.key() >= now {
                break;
            }
            let (minute, count) = entry.remove_entry();
            let usual = self.usual / 16;
            let storm =
                count >= STORM && self.learnt >= KNOWN_MINUTES && count >= usual.saturating_mul(STORM_FACTOR);
            if storm {
                out.push(storm_finding(minute, count, usual));
            } else {
                self.usual = self.usual - self.usual / 16 + count;
                if self.learnt == 0 {
                    self.usual = count.saturating_mul(16);
                }
                self.learnt += 1;
            }
        }
    }
}

fn says(sign: &str, members: u64, first: Timestamp, last: Timestamp) -> String {
    format!(
        "{members} devices showed the same sign between {first} and {last} ({sign}). So many together have one cause, such \
         as a roll-back, a changed address database or restored backups; they are not reported one by one. Compare with \
         the plan of the release and with what the networks announce."
    )
}

/// A finding about many, or about none: the identity is a name that says so.
fn about(name: &str, kind: Kind, rule: &str, began: (Timestamp, EventRef), detected: Timestamp) -> Finding {
    let identity = IdentityRef::by_common_name(name);
    Finding {
        schema: Schema,
        id: FindingId::derive(&identity, kind, rule, began.1.sha256),
        revision: 1,
        identity,
        device: None,
        kind,
        grade: Certainty::Note,
        regime: Regime::Duplication,
        regime_basis: "fleet".to_owned(),
        first_event: began.0,
        detected,
        rules: vec![rule.to_owned()],
        branches: Vec::new(),
        original: None,
        evidence: Vec::new(),
        benign_causes: Vec::new(),
        events: vec![began.1],
        action: Action::None,
        says: String::new(),
        closed: None,
    }
}

fn incident(sign: &str, members: &[Finding]) -> Option<Finding> {
    let first = members.iter().min_by_key(|member| (member.first_event, member.id))?;
    let last = members.iter().map(|member| member.detected).max()?;
    let began = (first.first_event, first.events.first()?.clone());
    let mut finding = about("fleet", Kind::FleetIncident, "fleet.common", began, last);
    let count = u64::try_from(members.len()).unwrap_or(0);
    finding.says = says(sign, count, first.first_event, last);
    finding.events = members.iter().filter_map(|member| member.events.first()).take(NAMED).cloned().collect();
    finding.evidence = vec![Evidence {
        sign: "fleet.together".to_owned(),
        decibans: 0.0,
        group: "fleet".to_owned(),
        says: format!("{count} devices within 15 minutes: {sign}"),
    }];
    Some(finding)
}

/// Where there is no line to point to, the digest is that of what is said.
fn pointed(source: &str, says: &str) -> EventRef {
    EventRef { source: source.to_owned(), event_id: None, sha256: RawDigest(sha256(says.as_bytes())) }
}

fn storm_finding(minute: i64, count: u64, usual: u64) -> Finding {
    let at = Timestamp::from_micros(minute.saturating_mul(60_000_000));
    let end = Timestamp::from_micros(minute.saturating_add(1).saturating_mul(60_000_000));
    let says = format!(
        "{count} connections were opened in the minute from {at}; {usual} are usual. A reconnect storm, as after a broker's or \
         a carrier's outage; nothing is concluded about the devices."
    );
    let mut finding = about("fleet", Kind::FleetIncident, "fleet.storm", (at, pointed("fleet", &says)), end);
    finding.says = says;
    finding
}

fn source_fault(source: &str, at: Timestamp) -> Finding {
    let says = format!(
        "{LATE} events in turn of the source {source:?} came long after their time, the last one dated {at}. A log that is \
         sent again, a shipper that catches up, or a clock that was set back; late events cannot show the order of \
         messages, so its devices are watched less closely meanwhile."
    );
    let mut finding = about(source, Kind::SourceFault, "source.late", (at, pointed(source, &says)), at);
    finding.regime_basis = "source".to_owned();
    finding.benign_causes = vec![BenignCause {
        cause: "a log that was sent a second time".to_owned(),
        rejected_because: "not rejected: then every event is a duplicate, and nothing follows".to_owned(),
    }];
    finding.says = says;
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lower(number: u64, minute: i64) -> Finding {
        let at = Timestamp::from_micros(minute * 60_000_000);
        let says = "it reported firmware 2.3.0 after 2.4.0".to_owned();
        let began = (at, pointed("gate", &number.to_string()));
        let mut finding = about(&format!("meter-{number}"), Kind::Downgrade, "downgrade.lower", began, at);
        finding.grade = Certainty::Suspect;
        finding.evidence =
            vec![Evidence { sign: "version.lower".into(), decibans: 42.0, group: "version".into(), says }];
        finding
    }

    fn run(findings: Vec<Finding>, until: i64) -> Vec<Finding> {
        let (mut fleet, mut out) = (Fleet::default(), Vec::new());
        for finding in findings {
            let now = finding.detected.micros() / 1_000;
            fleet.pass(vec![finding], now, &mut out);
        }
        fleet.pass(Vec::new(), until * 60_000, &mut out);
        out
    }

    #[test]
    fn a_roll_back_of_many_is_one_incident() {
        let out = run((0..100).map(|n| lower(n, i64::try_from(n).unwrap() / 10)).collect(), 60);
        let kinds: Vec<Kind> = out.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [Kind::FleetIncident; 3], "at 20, 32 and 64");
        assert_eq!(out.iter().map(|finding| finding.revision).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(out[2].says.contains("64 devices"), "{}", out[2].says);
    }

    #[test]
    fn few_are_reported_each_and_a_confirmed_one_at_once() {
        let mut sure = lower(7, 3);
        sure.grade = Certainty::Confirmed;
        sure.revision = 2;
        let out = run(vec![lower(7, 2), lower(8, 2), sure.clone()], 60);
        assert_eq!(out.first(), Some(&sure));
        assert_eq!(out.len(), 2, "the confirmed one took the place of its first revision");
        assert!(run(vec![lower(7, 2)], 10).is_empty(), "it still waits");
    }

    #[test]
    fn a_storm_is_said_once_a_minute_and_does_not_become_usual() {
        let (mut fleet, mut out) = (Fleet::default(), Vec::new());
        for minute in 0..20 {
            (0..100).for_each(|_| fleet.connected(minute * 60_000));
        }
        (0..5_000).for_each(|_| fleet.connected(20 * 60_000));
        fleet.pass(Vec::new(), 22 * 60_000, &mut out);
        assert_eq!(out.len(), 1);
        assert!(out[0].says.contains("5000 connections"), "{}", out[0].says);
        assert_eq!(fleet.usual / 16, 100);
    }

    #[test]
    fn a_source_that_is_late_again_and_again_is_named_once() {
        let mut fleet = Fleet::default();
        let mut late = |late| fleet.arrived(1, &|| "gate".to_owned(), 0, late).is_some();
        assert!(!(0..150).any(|_| late(true)));
        late(false);
        assert_eq!((0..1_000).filter(|_| late(true)).count(), 1);
    }
}
