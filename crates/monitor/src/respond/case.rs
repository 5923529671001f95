//! One finding on its ladder. A pure machine: what happened in, what is to be done out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use touchmark_identity::assurance::{Regime, Storage};
use touchmark_identity::event::IdentityRef;
use touchmark_identity::finding::{Branch, Finding, FindingId, Original};
use touchmark_identity::text::printable;
use touchmark_identity::timestamp::Timestamp;

use super::ResponseError;
use super::policy::{Duplicates, Harmless, Policy, Rung, Step};
use super::request::{Act, Confirmation, Confirmed, Measure, ReKeyRequest, Request, RevokeRequest, SCHEMA};

/// What an instance gave to a challenge, as the server judged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Fresh evidence that the key lives in the chip, appraised.
    Attested,
    /// A good signature and no evidence. A copy of the key gives the same.
    SignatureOnly,
    /// A signature or evidence that does not verify.
    Failed,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attested => "attested",
            Self::SignatureOnly => "signature-only",
            Self::Failed => "failed",
        }
    }
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Take the next step now.
    Proceed,
    /// Stay where it is; what was done stays.
    Hold,
    /// Go on after [`Decision::Hold`]; the next step is due at once.
    Resume,
    /// Take everything back and end the case.
    Release,
    /// Revoke the device.
    Revoke(Confirmation),
}

/// What triage says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Triage {
    /// The finding is explained; everything is taken back.
    Suppressed,
    /// It is not explained after all: the case starts anew.
    Lifted,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// The finding, or a later revision. Another finding, or a revision that was seen, is passed over.
    Finding(&'a Finding),
    /// An instance answered the challenge that is open.
    Answer {
        /// The instance's number.
        branch: u32,
        /// What it gave.
        verdict: Verdict,
    },
    /// Time has passed.
    Tick,
    /// A person decided.
    Decision(Decision),
    /// Triage spoke.
    Triage(Triage),
}

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The monitor closed the finding.
    Closed,
    /// A person took everything back.
    Released,
    /// A person had the device revoked.
    Revoked,
}

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Suspect: at most a challenge.
    Watching,
    /// Confirmed, on the ladder.
    Climbing {
        /// What allows it.
        confirmed: Confirmed,
        /// The next step's place in the ladder.
        next: usize,
        /// When that is due.
        due: Timestamp,
    },
    /// The ladder is at its end; a person decides.
    Waiting {
        /// What allowed it.
        confirmed: Confirmed,
    },
    /// A person stopped it.
    Held {
        /// Present when the finding is confirmed.
        confirmed: Option<Confirmed>,
        /// The next step's place in the ladder.
        next: usize,
    },
    /// Triage explained it; everything was taken back.
    Suppressed {
        /// Present when the finding is confirmed.
        confirmed: Option<Confirmed>,
    },
    /// It is over.
    Ended {
        /// How.
        how: End,
    },
}

impl State {
    /// The word for it; how a case ended is said by [`End`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Climbing { .. } => "climbing",
            Self::Waiting { .. } => "waiting",
            Self::Held { .. } => "held",
            Self::Suppressed { .. } => "suppressed",
            Self::Ended { .. } => "ended",
        }
    }

    fn confirmed(self) -> Option<Confirmed> {
        match self {
            Self::Climbing { confirmed, .. } | Self::Waiting { confirmed } => Some(confirmed),
            Self::Held { confirmed, .. } | Self::Suppressed { confirmed } => confirmed,
            Self::Watching | Self::Ended { .. } => None,
        }
    }
}

/// What the case knows of its finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Subject {
    revision: u32,
    identity: IdentityRef,
    device: Option<String>,
    claims_chip: bool,
    branches: Vec<Branch>,
    original: Option<Original>,
}

/// One finding on its ladder. It holds its own copy of the ladder, so that a change of policy meets new cases alone.
/// It can be stored as JSON and read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    finding: FindingId,
    rule: String,
    ladder: Vec<Rung>,
    suspects: Harmless,
    original_percent: u8,
    duplicates: Option<Duplicates>,
    state: State,
    subject: Subject,
    /// What was done and not taken back, oldest first.
    in_force: Vec<Measure>,
    answers: BTreeMap<u32, Verdict>,
    /// Set once the challenge was weighed: from then on an instance that alone attested counts as the original.
    weighed: bool,
    acts: u32,
}

/// Who is thought to be the original, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Winner {
    branch: u32,
    because: &'static str,
}

impl Case {
    /// Opens a case where the policy says that something follows from the finding. Nothing has been done yet: give the
    /// finding to [`Case::handle`].
    #[must_use]
    pub fn open(policy: &Policy, finding: &Finding, device_type: Option<&str>) -> Option<Self> {
        if finding.closed.is_some() {
            return None;
        }
        let rule = policy.rule_for(finding, device_type)?;
        Some(Self {
            finding: finding.id,
            rule: rule.name.clone(),
            ladder: rule.ladder.clone(),
            suspects: rule.suspects,
            original_percent: rule.original_percent,
            duplicates: policy.duplicates_for(finding, device_type),
            state: State::Watching,
            subject: Subject::of(finding, 0),
            in_force: Vec::new(),
            answers: BTreeMap::new(),
            weighed: false,
            acts: 0,
        })
    }

    /// The finding.
    #[must_use]
    pub fn finding(&self) -> FindingId {
        self.finding
    }

    /// The policy rule whose ladder it climbs.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The device, where the finding names one; at most 128 printable characters.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.subject.device.as_deref()
    }

    /// The instances, as the latest revision of the finding tells them apart.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.subject.branches
    }

    /// What the instances gave to the challenge, by their numbers.
    #[must_use]
    pub fn answers(&self) -> &BTreeMap<u32, Verdict> {
        &self.answers
    }

    /// The step that waits for its time or for a person, if one does.
    #[must_use]
    pub fn next_step(&self) -> Option<Step> {
        match self.state {
            State::Climbing { next, .. } | State::Held { next, .. } => self.ladder.get(next).map(|r| r.step),
            State::Watching | State::Waiting { .. } | State::Suppressed { .. } | State::Ended { .. } => None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What was done and not taken back, oldest first.
    #[must_use]
    pub fn in_force(&self) -> &[Measure] {
        &self.in_force
    }

    /// When the next step is due, if one waits: give [`Input::Tick`] then.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        match self.state {
            State::Climbing { due, .. } => Some(due),
            _ => None,
        }
    }

    /// Takes a person's word that the device shall be revoked.
    ///
    /// # Errors
    /// [`ResponseError::NotConfirmed`] when what was typed is not the device's name, or the finding names none.
    pub fn confirm(&self, by: &str, typed: &str) -> Result<Confirmation, ResponseError> {
        Confirmation::new(self.finding, self.subject.device.as_deref(), by, typed)
    }

    /// Takes what happened at `now` and returns what is to be done, in this order. Input that means nothing in the
    /// state leaves the case as it is and asks for nothing.
    #[must_use]
    pub fn handle(mut self, now: Timestamp, input: Input<'_>) -> (Self, Vec<Act>) {
        let mut acts = Vec::new();
        match input {
            Input::Finding(finding) => self.take_finding(now, finding, &mut acts),
            Input::Answer { branch, verdict } => self.take_answer(now, branch, verdict, &mut acts),
            Input::Tick => {
                if let State::Climbing { confirmed, next, due } = self.state
                    && due <= now
                {
                    self.weigh(now, &mut acts);
                    self.climb(now, confirmed, next, &mut acts);
                }
            }
            Input::Decision(decision) => self.decide(now, decision, &mut acts),
            Input::Triage(triage) => self.triage(now, triage, &mut acts),
        }
        (self, acts)
    }

    fn take_finding(&mut self, now: Timestamp, finding: &Finding, acts: &mut Vec<Act>) {
        if finding.id != self.finding || finding.revision <= self.subject.revision {
            return;
        }
        if matches!(self.state, State::Ended { .. }) {
            return;
        }
        self.subject = Subject::of(finding, finding.revision);
        if finding.closed.is_some() {
            let (ends, stays) =
                std::mem::take(&mut self.in_force).into_iter().partition(Measure::ends_with_the_finding);
            self.in_force = ends;
            self.undo_all(now, "the finding was closed", acts);
            self.in_force = stays;
            self.state = State::Ended { how: End::Closed };
            return;
        }
        let confirmed = Confirmed::of(finding);
        match (self.state, confirmed) {
            (State::Watching, Some(confirmed)) => self.climb(now, confirmed, 0, acts),
            (State::Watching, None) if self.suspects == Harmless::Challenge => self.challenge(now, acts),
            (State::Held { confirmed: None, next }, Some(_)) => self.state = State::Held { confirmed, next },
            (State::Suppressed { confirmed: None }, Some(_)) => self.state = State::Suppressed { confirmed },
            _ => {}
        }
        self.reconsider(now, acts);
    }

    fn take_answer(&mut self, now: Timestamp, branch: u32, verdict: Verdict, acts: &mut Vec<Act>) {
        let asked: Vec<u32> = match self.open_challenge() {
            Some(branches) if branches.contains(&branch) => branches.to_vec(),
            _ => return,
        };
        // The first answer counts: whoever can answer again must not be able to talk a bad answer away.
        if self.answers.contains_key(&branch) {
            return;
        }
        self.answers.insert(branch, verdict);
        let says = match verdict {
            Verdict::Attested => format!("instance {branch} gave fresh evidence of its key"),
            Verdict::SignatureOnly => {
                format!("instance {branch} signed without evidence, as a copy of the key would")
            }
            Verdict::Failed => format!("what instance {branch} gave does not verify"),
        };
        self.record(now, says, acts);
        let complete = asked.iter().all(|id| self.answers.contains_key(id));
        if complete {
            self.weigh(now, acts);
            if let State::Climbing { confirmed, next, .. } = self.state
                && next
                    .checked_sub(1)
                    .and_then(|last| self.ladder.get(last))
                    .is_some_and(|r| r.step == Step::Challenge)
            {
                self.climb(now, confirmed, next, acts);
            }
        }
        self.reconsider(now, acts);
    }

    fn decide(&mut self, now: Timestamp, decision: Decision, acts: &mut Vec<Act>) {
        match (self.state, decision) {
            // What took rights outlives the finding, so there has to be a way to give them back.
            (State::Ended { how: End::Closed }, Decision::Release) if !self.in_force.is_empty() => {
                self.undo_all(now, "a person released it", acts);
                self.state = State::Ended { how: End::Released };
            }
            (State::Ended { .. }, _) => {}
            (_, Decision::Release) => {
                self.undo_all(now, "a person released it", acts);
                self.state = State::Ended { how: End::Released };
                self.record(now, "a person ended the case".to_owned(), acts);
            }
            (State::Climbing { confirmed, next, .. }, Decision::Proceed)
            | (State::Held { confirmed: Some(confirmed), next }, Decision::Proceed) => {
                self.weigh(now, acts);
                self.climb(now, confirmed, next, acts);
            }
            (State::Climbing { confirmed, next, .. }, Decision::Hold) => {
                self.state = State::Held { confirmed: Some(confirmed), next };
                self.record(now, "a person stopped the ladder".to_owned(), acts);
            }
            (State::Watching, Decision::Hold) => {
                self.state = State::Held { confirmed: None, next: 0 };
                self.record(now, "a person stopped the ladder".to_owned(), acts);
            }
            (State::Held { confirmed, next }, Decision::Resume) => {
                self.state = match confirmed {
                    Some(confirmed) => State::Climbing { confirmed, next, due: now },
                    None => State::Watching,
                };
                self.record(now, "a person let the ladder go on".to_owned(), acts);
            }
            (state, Decision::Revoke(word)) => {
                // Not from a suspicion, not while triage explains it, and with the word given for this very case.
                if matches!(state, State::Suppressed { .. }) || word.case() != self.finding {
                    return;
                }
                let Some(confirmed) = state.confirmed() else { return };
                let says = "a person confirmed the revocation".to_owned();
                self.push(now, Request::Revoke(RevokeRequest::new(confirmed, word)), says, acts);
                let (ends, stays) =
                    std::mem::take(&mut self.in_force).into_iter().partition(Measure::ends_with_the_finding);
                self.in_force = ends;
                self.undo_all(now, "the device is revoked", acts);
                self.in_force = stays;
                self.state = State::Ended { how: End::Revoked };
            }
            (
                State::Watching | State::Waiting { .. } | State::Suppressed { .. },
                Decision::Proceed | Decision::Hold | Decision::Resume,
            )
            | (State::Climbing { .. }, Decision::Resume)
            | (State::Held { confirmed: None, .. }, Decision::Proceed)
            | (State::Held { .. }, Decision::Hold) => {}
        }
    }

    fn triage(&mut self, now: Timestamp, triage: Triage, acts: &mut Vec<Act>) {
        match (self.state, triage) {
            (State::Ended { .. }, _)
            | (State::Suppressed { .. }, Triage::Suppressed)
            | (
                State::Watching | State::Climbing { .. } | State::Waiting { .. } | State::Held { .. },
                Triage::Lifted,
            ) => {}
            (state, Triage::Suppressed) => {
                self.undo_all(now, "triage explained the finding", acts);
                self.answers.clear();
                self.weighed = false;
                self.state = State::Suppressed { confirmed: state.confirmed() };
                self.record(now, "triage explained the finding".to_owned(), acts);
            }
            (State::Suppressed { confirmed }, Triage::Lifted) => {
                self.state = State::Watching;
                self.record(now, "triage took its explanation back".to_owned(), acts);
                match confirmed {
                    Some(confirmed) => self.climb(now, confirmed, 0, acts),
                    None if self.suspects == Harmless::Challenge => self.challenge(now, acts),
                    None => {}
                }
            }
        }
    }

    /// Takes steps from place `next` on until one waits or the ladder ends.
    fn climb(&mut self, now: Timestamp, confirmed: Confirmed, next: usize, acts: &mut Vec<Act>) {
        if let Some(duplicates) = self.duplicates {
            self.settle_duplicates(now, confirmed, duplicates, acts);
            return;
        }
        let mut next = next;
        while let Some(rung) = self.ladder.get(next).cloned() {
            next += 1;
            let done = self.step(now, confirmed, rung.step, acts);
            // A step that was left out is not waited for.
            if done && rung.wait_s > 0 {
                self.state =
                    State::Climbing { confirmed, next, due: now.plus_ms(i64::from(rung.wait_s) * 1_000) };
                return;
            }
        }
        self.state = State::Waiting { confirmed };
        self.record(now, "the ladder is at its end: a person decides".to_owned(), acts);
    }

    /// Takes one step; false when it was left out. [`Confirmed`] is what allows any of them.
    fn step(&mut self, now: Timestamp, _: Confirmed, step: Step, acts: &mut Vec<Act>) -> bool {
        if step == Step::WorkOrder {
            let measure = Measure::WorkOrder {
                device: self.subject.device.clone(),
                identity: self.subject.identity.clone(),
            };
            return self.enact(now, measure, "somebody has to look at the device".to_owned(), acts);
        }
        let Some(device) = self.subject.device.clone() else {
            self.record(
                now,
                format!("{} left out: the registry knows no device of this identity", step.as_str()),
                acts,
            );
            return false;
        };
        match step {
            Step::Challenge => {
                self.challenge(now, acts);
                self.open_challenge().is_some() && !self.weighed
            }
            Step::ReduceRights => {
                let Some(winner) = self.winner() else { return self.undecided(now, step, acts) };
                let others: Vec<Branch> =
                    self.subject.branches.iter().filter(|b| b.id != winner.branch).cloned().collect();
                if others.is_empty() {
                    self.record(now, "rights stay: there is no other instance".to_owned(), acts);
                    return false;
                }
                let says =
                    format!("instance {} is taken for the original ({})", winner.branch, winner.because);
                self.enact(now, Measure::ReduceRights { device, branches: others }, says, acts)
            }
            Step::RekeyWinner => {
                let chosen = self.winner().and_then(|w| {
                    let branch = self.subject.branches.iter().find(|b| b.id == w.branch)?;
                    Some((w, branch.clone()))
                });
                let Some((winner, branch)) = chosen else { return self.undecided(now, step, acts) };
                let request = ReKeyRequest {
                    device,
                    identity: self.subject.identity.clone(),
                    branch,
                    because: winner.because.to_owned(),
                };
                let says = format!("instance {} should get a new key", winner.branch);
                self.enact(now, Measure::RekeyWinner(request), says, acts)
            }
            Step::Quarantine => {
                let says = "every instance is held, the original included".to_owned();
                self.enact(now, Measure::Quarantine { device }, says, acts)
            }
            Step::Revoke => {
                let says = "revocation needs a person's confirmation".to_owned();
                self.enact(now, Measure::AskRevoke { device }, says, acts)
            }
            Step::WorkOrder => false,
        }
    }

    /// Keeps one of several devices that were given one image.
    fn settle_duplicates(
        &mut self,
        now: Timestamp,
        confirmed: Confirmed,
        how: Duplicates,
        acts: &mut Vec<Act>,
    ) {
        self.state = State::Waiting { confirmed };
        let dated = || self.subject.branches.iter().filter(|b| b.first_seen.is_some());
        let kept = match how {
            Duplicates::Allow => {
                self.record(now, "the group allows duplicates: nothing is done".to_owned(), acts);
                return;
            }
            Duplicates::Replace => dated().max_by_key(|b| (b.first_seen, b.id)),
            Duplicates::Reject => dated().min_by_key(|b| (b.first_seen, b.id)),
        };
        let (Some(kept), Some(device)) = (kept.map(|b| b.id), self.subject.device.clone()) else {
            self.record(
                now,
                "nothing is done: neither device nor age of the instances is known".to_owned(),
                acts,
            );
            return;
        };
        let branches: Vec<Branch> = self.subject.branches.iter().filter(|b| b.id != kept).cloned().collect();
        if branches.is_empty() {
            self.record(now, "nothing is done: there is one instance".to_owned(), acts);
            return;
        }
        let age = if how == Duplicates::Replace { "newest" } else { "oldest" };
        let says = format!("the group keeps the {age} instance, {kept}");
        self.enact(now, Measure::ReduceRights { device, branches }, says, acts);
    }

    fn challenge(&mut self, now: Timestamp, acts: &mut Vec<Act>) {
        let Some(device) = self.subject.device.clone() else {
            self.record(now, "no challenge: the registry knows no device of this identity".to_owned(), acts);
            return;
        };
        let evidence = self.subject.claims_chip;
        let says = if evidence {
            "evidence of the chip tells its holder from one who has a copy"
        } else {
            "the key is in software: a copy can answer as well, so the answer will not tell them apart"
        };
        let branches = self.subject.branches.iter().map(|b| b.id).collect();
        self.enact(now, Measure::Challenge { device, branches, evidence }, says.to_owned(), acts);
    }

    /// The instances that the open challenge asks.
    fn open_challenge(&self) -> Option<&[u32]> {
        self.in_force.iter().find_map(|measure| match measure {
            Measure::Challenge { branches, .. } => Some(branches.as_slice()),
            _ => None,
        })
    }

    /// Weighs what the challenge brought, once.
    fn weigh(&mut self, now: Timestamp, acts: &mut Vec<Act>) {
        let asked = self.open_challenge().map_or(0, <[u32]>::len);
        if self.weighed || asked == 0 {
            return;
        }
        self.weighed = true;
        let silent = asked.saturating_sub(self.answers.len());
        let says = if !self.subject.claims_chip {
            format!(
                "{} of {asked} instances answered: with a key in software that decides nothing",
                self.answers.len()
            )
        } else {
            match self.attested().as_slice() {
                [one] if asked > 1 => format!(
                    "instance {one} alone gave fresh evidence, {silent} of {asked} were silent: it holds the chip"
                ),
                [_] => "the one instance that was asked gave fresh evidence: nothing to compare it with"
                    .to_owned(),
                [] => format!(
                    "no instance gave fresh evidence, {silent} of {asked} were silent: the claim of a chip is in doubt"
                ),
                several => format!(
                    "{} instances gave fresh evidence: one chip lent to others, or one key in several",
                    several.len()
                ),
            }
        };
        self.record(now, says, acts);
    }

    fn attested(&self) -> Vec<u32> {
        let good = self.answers.iter().filter(|(_, verdict)| **verdict == Verdict::Attested);
        good.map(|(branch, _)| *branch).collect()
    }

    /// The likely original: whoever alone attested, else by the finding's estimate. Where several attested, nobody.
    fn winner(&self) -> Option<Winner> {
        let asked = self.open_challenge().map_or(0, <[u32]>::len);
        if self.weighed && self.subject.claims_chip {
            match self.attested().as_slice() {
                [] => {}
                [one] if asked > 1 => return Some(Winner { branch: *one, because: "attested" }),
                [_] => {}
                _ => return None,
            }
        }
        let original = self.subject.original?;
        (original.probability * 100.0 >= f64::from(self.original_percent))
            .then_some(Winner { branch: original.branch, because: "probability" })
    }

    /// Gives rights back to an instance that is now taken for the original, or that attested since.
    fn reconsider(&mut self, now: Timestamp, acts: &mut Vec<Act>) {
        // Which duplicate stays is the operator's choice, not an estimate.
        if self.duplicates.is_some() {
            return;
        }
        let mut right: Vec<u32> = self.winner().map(|w| w.branch).into_iter().collect();
        if self.subject.claims_chip {
            right.extend(self.attested());
        }
        let wrong = |measure: &Measure| match measure {
            Measure::ReduceRights { branches, .. } => branches.iter().any(|b| right.contains(&b.id)),
            Measure::RekeyWinner(request) => !right.is_empty() && !right.contains(&request.branch.id),
            _ => false,
        };
        let (undo, keep): (Vec<_>, Vec<_>) = std::mem::take(&mut self.in_force).into_iter().partition(wrong);
        self.in_force = undo;
        self.undo_all(now, "it met an instance that is now taken for the original", acts);
        self.in_force = keep;
    }

    fn undecided(&mut self, now: Timestamp, step: Step, acts: &mut Vec<Act>) -> bool {
        let says = format!(
            "{} left out: which instance is the original is not known to {} percent",
            step.as_str(),
            self.original_percent
        );
        self.record(now, says, acts);
        false
    }

    /// Asks for a measure, unless one of its sort is in force: a step is not done twice.
    fn enact(&mut self, now: Timestamp, measure: Measure, says: String, acts: &mut Vec<Act>) -> bool {
        if self.in_force.iter().any(|m| m.as_str() == measure.as_str()) {
            return true;
        }
        self.in_force.push(measure.clone());
        self.push(now, Request::Do(measure), says, acts);
        true
    }

    /// Takes back what is in force, newest first.
    fn undo_all(&mut self, now: Timestamp, why: &str, acts: &mut Vec<Act>) {
        while let Some(measure) = self.in_force.pop() {
            self.push(now, Request::Undo(measure), why.to_owned(), acts);
        }
    }

    fn record(&mut self, now: Timestamp, says: String, acts: &mut Vec<Act>) {
        self.push(now, Request::Record, says, acts);
    }

    fn push(&mut self, at: Timestamp, request: Request, says: String, acts: &mut Vec<Act>) {
        self.acts = self.acts.saturating_add(1);
        acts.push(Act {
            schema: SCHEMA,
            finding: self.finding,
            number: self.acts,
            rule: self.rule.clone(),
            at,
            request,
            says,
        });
    }
}

impl Subject {
    fn of(finding: &Finding, revision: u32) -> Self {
        let storage = finding.regime_basis.split('/').next().unwrap_or_default();
        let chips = [Storage::SecureElement, Storage::Tpm];
        Self {
            revision,
            identity: finding.identity.clone(),
            device: finding.device.as_deref().map(|name| printable(name, 128)),
            claims_chip: finding.regime == Regime::Behaviour || chips.iter().any(|c| c.as_str() == storage),
            branches: finding.branches.clone(),
            original: finding.original,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
