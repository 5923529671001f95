//! From what a detector claims to a finding that explains itself.
//!
//! Weights are decibans (ten times the decimal logarithm of a likelihood ratio). Signs of one group have one cause, so
//! the strongest for and the strongest against of each group count. With the prior of [`PRIOR_DECIBANS`] a sum of 0 or
//! more makes a suspect; only what is impossible for one device is confirmed, whatever the sum.

use touchmark_identity::assurance::Regime;
use touchmark_identity::event::IdentityRef;
use touchmark_identity::finding::{
    Action, BenignCause, Branch, Certainty, EventRef, Evidence, Finding, FindingId, Kind, Original, Schema,
};
use touchmark_identity::timestamp::Timestamp;

/// How likely it is beforehand that a given identity has a second instance: 1 in 10 000.
pub(crate) const PRIOR_DECIBANS: f64 = -40.0;
/// From this sum on a sign is worth a note: one chance in 32 or better.
pub(crate) const NOTE_DECIBANS: f64 = -15.0;
/// Different signs that one finding lists.
const SIGNS: usize = 12;
/// First and latest raw lines that one finding names, each.
const REFERENCES: usize = 4;

/// What a detector saw.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) kind: Kind,
    pub(crate) rules: Vec<&'static str>,
    pub(crate) evidence: Vec<Evidence>,
    /// One device cannot have done it.
    pub(crate) impossible: bool,
    /// The sign has to come this often before `impossible` confirms it.
    pub(crate) confirm_after: u64,
    pub(crate) began: (Timestamp, EventRef),
    pub(crate) branches: Vec<Branch>,
    pub(crate) original: Option<Original>,
    pub(crate) benign: Vec<BenignCause>,
    /// What was seen, in whole sentences.
    pub(crate) seen: String,
    /// Of several claims in one finding the deepest tells the story.
    pub(crate) depth: Depth,
}

/// How much a claim knows of the instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) enum Depth {
    /// Only where they connected from.
    Network,
    /// What the device said itself.
    Message,
}

/// Whom a finding is about.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) identity: IdentityRef,
    pub(crate) device: Option<String>,
    pub(crate) regime: Regime,
    pub(crate) basis: String,
}

impl Subject {
    fn name(&self) -> String {
        match &self.device {
            Some(device) => format!("{device} ({})", self.identity.label()),
            None => format!("The identity with {}", self.identity.label()),
        }
    }
}

/// A finding that may still grow.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Open {
    finding: Finding,
    signs: u64,
    /// Signs that one device cannot give.
    impossible: u64,
    /// What the deepest claim saw, and how deep it was.
    seen: (Depth, String),
    /// Written again when as many signs have come.
    next: u64,
    first: Vec<EventRef>,
    latest: Vec<EventRef>,
}

impl Open {
    pub(crate) fn kind(&self) -> Kind {
        self.finding.kind
    }

    /// Opens a finding; `None` when the claim is too weak to be one.
    pub(crate) fn begin(
        subject: &Subject,
        claim: Claim,
        detected: Timestamp,
        event: EventRef,
    ) -> Option<(Self, Finding)> {
        let grade = graded(&claim.evidence, claim.impossible && claim.confirm_after <= 1)?;
        // A note of two instances would be confirmed by others as weak.
        let noted = matches!(
            claim.kind,
            Kind::Downgrade
                | Kind::Takeover
                | Kind::Transplant
                | Kind::ReadOnlyClone
                | Kind::OracleUse
                | Kind::Relocation
                | Kind::Behaviour
        );
        if grade == Certainty::Note && !noted {
            return None;
        }
        let rule = claim.rules.first().copied().unwrap_or("unnamed");
        let (first_event, began) = &claim.began;
        let finding = Finding {
            schema: Schema,
            id: FindingId::derive(&subject.identity, claim.kind, rule, began.sha256),
            revision: 0,
            identity: subject.identity.clone(),
            device: None,
            kind: claim.kind,
            grade,
            regime: subject.regime,
            regime_basis: String::new(),
            first_event: *first_event,
            detected,
            rules: Vec::new(),
            branches: Vec::new(),
            original: None,
            evidence: Vec::new(),
            benign_causes: Vec::new(),
            events: Vec::new(),
            action: Action::Watch,
            says: String::new(),
            closed: None,
        };
        let first = vec![began.clone()];
        let seen = (claim.depth, String::new());
        let mut open = Self { finding, signs: 0, impossible: 0, seen, next: 1, first, latest: Vec::new() };
        let written = open.grow(subject, claim, detected, event)?;
        Some((open, written))
    }

    /// Adds a claim; gives the next revision when the finding became surer, another rule joined it, or its signs have
    /// doubled since it was last written, so that a flood of signs does not become a flood of findings.
    pub(crate) fn grow(
        &mut self,
        subject: &Subject,
        claim: Claim,
        detected: Timestamp,
        event: EventRef,
    ) -> Option<Finding> {
        self.signs += 1;
        for sign in claim.evidence {
            let list = &mut self.finding.evidence;
            if let Some(at) = list.iter().position(|known| known.sign == sign.sign) {
                list.splice(at..=at, [sign]);
            } else if list.len() < SIGNS {
                list.push(sign);
            }
        }
        self.refer(event);
        self.impossible += u64::from(claim.impossible);
        let impossible = claim.impossible && self.impossible >= claim.confirm_after;
        let grade =
            graded(&self.finding.evidence, impossible).unwrap_or(self.finding.grade).max(self.finding.grade);
        let mut news = grade > self.finding.grade;
        self.finding.grade = grade;
        for rule in claim.rules {
            if !self.finding.rules.iter().any(|known| known == rule) {
                self.finding.rules.push(rule.to_owned());
                news = true;
            }
        }
        // The first story is told from what was known before the fork; a later one would take a boot since for another
        // instance. It gives way to a deeper one alone.
        let tells_more = claim.depth > self.seen.0 || self.signs == 1;
        if tells_more {
            self.seen = (claim.depth, claim.seen);
            self.finding.branches = claim.branches;
            self.finding.original = claim.original;
            self.finding.benign_causes = claim.benign;
        }
        if !news && self.signs < self.next {
            return None;
        }
        self.next = self.signs.saturating_mul(2);
        let finding = &mut self.finding;
        finding.revision += 1;
        finding.detected = detected;
        finding.device.clone_from(&subject.device);
        finding.regime = subject.regime;
        finding.regime_basis.clone_from(&subject.basis);
        finding.events = self.first.iter().chain(&self.latest).cloned().collect();
        finding.action = action(finding);
        finding.says = says(subject, finding, &self.seen.1, self.signs);
        Some(finding.clone())
    }

    /// Ends the finding.
    pub(crate) fn close(mut self, at: Timestamp, why: &str) -> Finding {
        self.finding.revision += 1;
        self.finding.closed = Some(at);
        self.finding.action = Action::None;
        self.finding.says = format!("Closed: {why}. Before: {}", self.finding.says);
        self.finding
    }

    fn refer(&mut self, event: EventRef) {
        let known = |list: &[EventRef]| list.iter().any(|other| other.sha256 == event.sha256);
        if known(&self.first) || known(&self.latest) {
            return;
        }
        if self.first.len() < REFERENCES {
            self.first.push(event);
            return;
        }
        if self.latest.len() == REFERENCES {
            self.latest.remove(0);
        }
        self.latest.push(event);
    }
}

/// A finding to which a comparison with others adds a sign; none where that leaves too little of it.
pub(crate) fn weighed(mut finding: Finding, sign: Evidence, cause: Option<BenignCause>) -> Option<Finding> {
    finding.evidence.push(sign);
    finding.benign_causes.extend(cause);
    finding.grade = graded(&finding.evidence, false)?;
    let before = todo(finding.action);
    finding.action = action(&finding);
    if let Some(says) = finding.says.strip_suffix(before) {
        finding.says = format!("{says}{}", todo(finding.action));
    }
    Some(finding)
}

/// How sure it is; `None` below a note.
fn graded(evidence: &[Evidence], impossible: bool) -> Option<Certainty> {
    if impossible {
        Some(Certainty::Confirmed)
    } else {
        match posterior(evidence) {
            0.0.. => Some(Certainty::Suspect),
            NOTE_DECIBANS.. => Some(Certainty::Note),
            _ => None,
        }
    }
}

/// The prior and, of each group, the strongest sign for and the strongest against.
fn posterior(evidence: &[Evidence]) -> f64 {
    let strongest = |at: usize, sign: &Evidence| {
        let rival =
            |other: &Evidence| other.group == sign.group && (other.decibans < 0.0) == (sign.decibans < 0.0);
        let beaten = |(place, other): (usize, &Evidence)| {
            rival(other)
                && (other.decibans.abs() > sign.decibans.abs()
                    || (other.decibans.abs() == sign.decibans.abs() && place < at))
        };
        !evidence.iter().enumerate().any(beaten)
    };
    let counted = evidence.iter().enumerate().filter(|(at, sign)| strongest(*at, sign));
    PRIOR_DECIBANS + counted.map(|(_, sign)| sign.decibans).sum::<f64>()
}

/// Probability from decibans, to three digits.
pub(crate) fn probability(decibans: f64) -> f64 {
    let odds = 10f64.powf(decibans / 10.0);
    (odds / (1.0 + odds) * 1000.0).round() / 1000.0
}

/// What is proposed. Passive evidence alone never asks for a revocation, because it hits the original as well:
///
/// | Finding | Proposed |
/// |---|---|
/// | two instances, confirmed, original undecided | `quarantine` |
/// | two instances, otherwise | `challenge-both` |
/// | replay, confirmed | `challenge-both` |
/// | downgrade below the registry's floor | `quarantine` |
/// | downgrade, otherwise | `work-order` |
/// | anything else | `watch` |
fn action(finding: &Finding) -> Action {
    match (finding.kind, finding.grade) {
        (_, Certainty::Note) => Action::None,
        (Kind::Clone | Kind::ConcurrentSession | Kind::InstallerDuplicate, Certainty::Confirmed)
            if finding.original.is_none() =>
        {
            Action::Quarantine
        }
        (Kind::Clone | Kind::ConcurrentSession | Kind::InstallerDuplicate, _)
        | (Kind::Replay, Certainty::Confirmed) => Action::ChallengeBoth,
        (Kind::Downgrade, Certainty::Confirmed) => Action::Quarantine,
        (Kind::Downgrade, Certainty::Suspect) => Action::WorkOrder,
        _ => Action::Watch,
    }
}

/// What is proposed, in words.
fn todo(action: Action) -> &'static str {
    match action {
        Action::None => "Nothing needs to be done.",
        Action::Watch => "Watch the identity.",
        Action::WorkOrder => "Send somebody to look at the device.",
        Action::ChallengeBoth => "Challenge every instance for fresh proof before anything is revoked.",
        Action::Quarantine => "Take its rights until a person has decided; do not revoke on this alone.",
    }
}

fn says(subject: &Subject, finding: &Finding, seen: &str, signs: u64) -> String {
    let regime = match subject.regime {
        Regime::Duplication if subject.basis == "unregistered" => {
            "Nothing is registered about where its key lives, so it is watched as a key that can be copied."
                .to_owned()
        }
        Regime::Duplication => format!("Its key is {}, so it can have been copied.", subject.basis),
        Regime::Behaviour => format!(
            "Its key is proven to live in a chip ({}), so a copy is the least likely cause; a host that lets others use \
             the chip, a key that was put into two chips, or a fault in the log come first.",
            subject.basis
        ),
    };
    let original = match finding.original {
        Some(original) if original.probability > 0.99 => {
            format!(" Instance {} is the likely original (over 99 %).", original.branch)
        }
        Some(original) => format!(
            " Instance {} is the likely original ({:.0} %).",
            original.branch,
            original.probability * 100.0
        ),
        None if finding.branches.len() > 1 => " Which instance is the original is undecided.".to_owned(),
        None => String::new(),
    };
    let todo = todo(finding.action);
    let times = if signs > 1 { format!(" Seen {signs} times.") } else { String::new() };
    format!("{}: {seen}{times} {regime}{original} {todo}", subject.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(group: &str, decibans: f64) -> Evidence {
        Evidence {
            sign: format!("{group}{decibans}"),
            decibans,
            group: group.to_owned(),
            says: String::new(),
        }
    }

    #[test]
    fn one_cause_is_not_counted_twice() {
        assert_eq!(posterior(&[sign("a", 30.0), sign("a", 20.0), sign("a", 30.0)]), -10.0);
        assert_eq!(posterior(&[sign("a", 30.0), sign("b", 20.0), sign("b", -15.0)]), -5.0);
        assert_eq!(posterior(&[]), PRIOR_DECIBANS);
    }

    #[test]
    fn only_the_impossible_is_confirmed() {
        assert_eq!(graded(&[sign("a", 500.0)], false), Some(Certainty::Suspect));
        assert_eq!(graded(&[sign("a", 39.0)], false), Some(Certainty::Note));
        assert_eq!(graded(&[sign("a", 24.0)], false), None);
        assert_eq!(graded(&[sign("a", 1.0)], true), Some(Certainty::Confirmed));
    }

    #[test]
    fn probabilities() {
        assert_eq!(probability(17.0), 0.98);
        assert_eq!(probability(0.0), 0.5);
    }
}
