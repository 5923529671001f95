//! Climbing ladders: what the policy asks for is done here, once, and can be taken back.
//!
//! Place in the life of a credential: watch. The monitor argues, `touchmark_monitor::respond` decides, this carries out.
//! A finding's revision waits in a queue that is written with it; a case and what it asks for are one transaction; acts
//! are carried out after that and marked ([`store`]). So nothing is lost and nothing done twice, whatever is killed when.
//!
//! - [`Responses`]: the policy, and what is in force at the telemetry endpoint ([`orders`]).
//! - [`App::respond`] works through what waits, [`App::respond_in_time`] also through what is due.
//! - [`App::decide_case`] takes a person's word, [`App::answer_challenge`] an instance's.
//! - [`CaseView`]: a case as people and programs see it, `touchmark.case/1`.
//!
//! One case is handled at a time. Whoever handles one holds the turn, and takes other locks one by one under it; work that
//! comes in meanwhile is left in the queue for the holder.
//!
//! Deliberately absent: revocation without a person, and any judgement of a finding.

mod carry;
pub mod challenge;
mod file;
pub mod instances;
pub mod orders;
pub mod store;
mod view;

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use touchmark_authority::AuthorityError;
use touchmark_identity::finding::Finding;
use touchmark_identity::ids::DeviceId;
use touchmark_identity::key::PublicKey;
use touchmark_monitor::respond::{
    Case, Decision, Harmless, Input, Measure, Policy, Rule, Rung, State, Step, Triage, Verdict,
};

pub use file::PolicyFile;
pub use view::{ActView, AnswerView, CaseDecision, CaseView};

use crate::app::App;
use crate::config::Response;
use crate::error::ServerError;
use challenge::AnswerBody;
use orders::Orders;
use store::{Kept, Outcome};

/// The name of the rule that stands for `quarantine_on_confirmed`.
const AT_ONCE: &str = "quarantine_on_confirmed";

/// The policy, whose turn it is, and what is in force at the telemetry endpoint.
#[derive(Debug, Default)]
pub struct Responses {
    policy: Policy,
    dry_run: bool,
    turn: Mutex<()>,
    orders: Mutex<Orders>,
}

impl Responses {
    /// Reads the policy file that the configuration names.
    ///
    /// # Errors
    /// [`ServerError::Config`] with the file and what is wrong in it.
    pub fn new(config: &Response) -> Result<Self, ServerError> {
        let policy = match &config.policy {
            Some(path) => {
                let wrong = |detail: String| ServerError::Config { path: path.display().to_string(), detail };
                let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
                let file = PolicyFile::parse(&text).map_err(wrong)?;
                file.into_parts().map_err(|error| wrong(error.to_string()))?.1
            }
            None if config.quarantine_on_confirmed.is_empty() => Policy::default(),
            None => at_once(config)?,
        };
        Ok(Self { policy, dry_run: config.dry_run, ..Self::default() })
    }

    /// Whether anything follows from findings.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.policy.is_empty()
    }

    /// Whether acts are written down alone.
    #[must_use]
    pub fn dry_run(&self) -> bool {
        self.dry_run
    }

    /// What is in force at the telemetry endpoint. Never taken by who holds the event log or the authority.
    pub fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ladder of one step for which `quarantine_on_confirmed` stands.
fn at_once(config: &Response) -> Result<Policy, ServerError> {
    let rule = Rule {
        name: AT_ONCE.to_owned(),
        kinds: config.quarantine_on_confirmed.clone(),
        grade: touchmark_identity::finding::Certainty::Confirmed,
        regime: None,
        group: None,
        suspects: Harmless::Watch,
        original_percent: 100,
        ladder: vec![Rung { step: Step::Quarantine, wait_s: 0 }],
    };
    Policy::new(vec![rule], std::collections::BTreeMap::new())
        .map_err(|error| ServerError::Config { path: "[response]".to_owned(), detail: error.to_string() })
}

fn finding_of(app: &App, id: &str) -> Result<Option<Finding>, ServerError> {
    let line = app.watch().log().finding(id)?;
    Ok(line.and_then(|line| Finding::from_line(line.as_bytes()).ok()))
}

/// Something that failed for one finding must not hold up the others; it stays written down and is tried again.
fn log_failure(id: &str, done: Result<(), ServerError>) {
    if let Err(error) = done {
        tracing::error!(id, code = error.code(), "the response waits: {}", error.chain());
    }
}

impl App {
    /// Works through the findings that wait. Returns at once where another thread does: that one looks again before it
    /// ends, and what comes in at that very moment is found a second later.
    pub fn respond(&self) {
        let _turn = match self.responses.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.drain();
    }

    /// Works through everything that waits: findings, acts that are owed, steps that are due.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database cannot be read; single failures are logged and tried again.
    pub fn respond_in_time(&self) -> Result<(), ServerError> {
        let _turn = self.responses.turn();
        let owing = self.watch().log().owing()?;
        for id in owing {
            log_failure(&id, self.carry_out(&id));
        }
        let due = self.watch().log().due(self.now())?;
        for id in due {
            log_failure(&id, self.step(&id, vec![Input::Tick]));
        }
        self.drain();
        Ok(())
    }

    /// Brings the responses to where they stood, at the start.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database cannot be read.
    pub fn resume_responses(&self) -> Result<(), ServerError> {
        let devices = self.watch().log().devices_with_measures()?;
        for device in devices {
            self.renew_orders(&device)?;
        }
        self.respond_in_time()
    }

    /// Tells cases what people decided about their findings, and which decisions ran out.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database cannot be read.
    pub fn respond_to_triage(&self) -> Result<(), ServerError> {
        let _turn = self.responses.turn();
        let open = self.watch().log().open_cases()?;
        for id in open {
            let told = finding_of(self, &id).and_then(|finding| match finding {
                Some(finding) => self.tell_triage(&finding),
                None => Ok(()),
            });
            log_failure(&id, told);
        }
        self.drain();
        Ok(())
    }

    /// The findings that wait, until none does. The caller holds the turn.
    fn drain(&self) {
        let mut failed = std::collections::BTreeSet::new();
        loop {
            let waiting = match self.watch().log().queued() {
                Ok(waiting) => waiting,
                Err(error) => {
                    tracing::error!(code = error.code(), "responses wait: {}", error.chain());
                    return;
                }
            };
            let fresh: Vec<String> = waiting.into_iter().filter(|id| !failed.contains(id)).collect();
            if fresh.is_empty() {
                return;
            }
            for id in fresh {
                let done = self.take_finding(&id);
                if done.is_err() {
                    failed.insert(id.clone());
                }
                log_failure(&id, done);
            }
        }
    }

    /// Opens a finding's case, or tells it the new revision.
    fn take_finding(&self, id: &str) -> Result<(), ServerError> {
        let Some(finding) = finding_of(self, id)? else { return self.watch().log_mut().dequeue(id) };
        let kept = self.watch().log().case(id)?;
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let device_type = self.device_type(&finding)?;
                match Case::open(&self.responses.policy, &finding, device_type.as_deref()) {
                    Some(case) => Kept { case, opened: self.now(), dry: self.responses.dry_run },
                    None => return self.watch().log_mut().dequeue(id),
                }
            }
        };
        let held_back = self.watch().triage().holds_back(&finding, self.now());
        // Triage speaks first, so that what is explained does not climb a step on its way in.
        let triage = if held_back { Triage::Suppressed } else { Triage::Lifted };
        self.advance(kept, vec![Input::Triage(triage), Input::Finding(&finding)])
    }

    fn device_type(&self, finding: &Finding) -> Result<Option<String>, ServerError> {
        let Some(device) = finding.device.as_deref().and_then(|name| DeviceId::new(name).ok()) else {
            return Ok(None);
        };
        let known = self.authority().registry().device(&device).map_err(AuthorityError::from)?;
        Ok(known.map(|known| known.device_type.to_string()))
    }

    fn tell_triage(&self, finding: &Finding) -> Result<(), ServerError> {
        let id = finding.id.to_string();
        let Some(kept) = self.watch().log().case(&id)? else { return Ok(()) };
        let held_back = self.watch().triage().holds_back(finding, self.now());
        let suppressed = matches!(kept.case.state(), State::Suppressed { .. });
        match (held_back, suppressed) {
            (true, false) => self.advance(kept, vec![Input::Triage(Triage::Suppressed)]),
            (false, true) => self.advance(kept, vec![Input::Triage(Triage::Lifted)]),
            _ => Ok(()),
        }
    }

    /// Gives a case what happened; one that is not there is passed over.
    fn step(&self, id: &str, inputs: Vec<Input<'_>>) -> Result<(), ServerError> {
        let kept = self.watch().log().case(id)?;
        kept.map_or(Ok(()), |kept| self.advance(kept, inputs))
    }

    /// Gives a case what happened, writes down where it stands and what it asks for, and carries that out.
    fn advance(&self, kept: Kept, inputs: Vec<Input<'_>>) -> Result<(), ServerError> {
        let now = self.now();
        let mut acts = Vec::new();
        let mut case = kept.case;
        for input in inputs {
            let (next, more) = case.handle(now, input);
            case = next;
            acts.extend(more);
        }
        let id = case.finding().to_string();
        let kept = Kept { case, ..kept };
        self.watch().log_mut().put_case(&kept, &acts)?;
        self.carry_out(&id)
    }

    /// Carries out what a case is owed, in its order; the first failure leaves the rest for later.
    fn carry_out(&self, id: &str) -> Result<(), ServerError> {
        let Some(kept) = self.watch().log().case(id)? else { return Ok(()) };
        let acts = self.watch().log().acts(id)?;
        let mut carried = Ok(());
        for act in acts.iter().filter(|act| act.outcome == Outcome::Owed) {
            // What became of the acts before it may matter to this one.
            let acts = self.watch().log().acts(id)?;
            carried = carry::carry(self, &kept, act, &acts).and_then(|(outcome, detail)| {
                tracing::warn!(id, act = act.number, outcome = outcome.as_str(), "{} {detail}", act.says);
                self.metrics.response(outcome.as_str());
                self.watch().log_mut().settle(id, act.number, outcome, &detail, self.now())
            });
            if carried.is_err() {
                break;
            }
        }
        if let Some(device) = kept.case.device() {
            self.renew_orders(device)?;
        }
        carried
    }

    fn renew_orders(&self, device: &str) -> Result<(), ServerError> {
        let mut orders = self.responses.orders();
        orders.renew(self.watch().log(), device)
    }

    /// Takes a person's decision about a case. `by` says through what it came; there are no names.
    ///
    /// # Errors
    /// [`ServerError::NotFound`] without such a case; [`ServerError::CaseRefuses`] when the decision means nothing
    /// where the case stands; [`ServerError::NotConfirmed`] for a revocation without the device's name.
    pub fn decide_case(
        &self,
        id: &str,
        decision: CaseDecision,
        confirm: Option<&str>,
        by: &str,
    ) -> Result<CaseView, ServerError> {
        let _turn = self.responses.turn();
        let kept = self.watch().log().case(id)?.ok_or(ServerError::NotFound { what: "case" })?;
        let offers = view::offers(&kept.case);
        let refuses = |detail: String| Err(ServerError::CaseRefuses { detail });
        if !offers.contains(&decision) {
            let words: Vec<&str> = offers.iter().map(|offer| offer.as_str()).collect();
            let takes = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
            return refuses(format!(
                "{} means nothing to a case that is {}; it takes {takes}",
                decision.as_str(),
                kept.case.state().as_str()
            ));
        }
        let decision = match decision {
            CaseDecision::Proceed => Decision::Proceed,
            CaseDecision::Hold => Decision::Hold,
            CaseDecision::Resume => Decision::Resume,
            CaseDecision::Release => Decision::Release,
            CaseDecision::Revoke => {
                if kept.dry || self.responses.dry_run {
                    return refuses(
                        "this is a dry run, in which nothing is revoked; use `authority revoke`".to_owned(),
                    );
                }
                let word = kept.case.confirm(by, confirm.unwrap_or_default()).map_err(|_| {
                    let name = kept.case.device().unwrap_or_default().to_owned();
                    ServerError::NotConfirmed { act: "revoking a device", name }
                })?;
                Decision::Revoke(word)
            }
        };
        self.advance(kept, vec![Input::Decision(decision)])?;
        self.drain();
        view::of(self, id)?.ok_or(ServerError::NotFound { what: "case" })
    }

    /// Takes an instance's answer to a challenge. The first answer counts; a repetition is told what it came to.
    ///
    /// # Errors
    /// [`ServerError::BadAnswer`] when nobody asked this, or not any more; the database and the registry may refuse.
    pub fn answer_challenge(
        &self,
        device: &DeviceId,
        key: &PublicKey,
        answer: &AnswerBody,
    ) -> Result<(Verdict, String), ServerError> {
        let bad = |detail: &str| ServerError::BadAnswer { detail: detail.to_owned() };
        let known = self.watch().log().nonce(&answer.nonce)?;
        let nonce = known.ok_or_else(|| bad("nobody asked for this nonce"))?;
        let id = nonce.finding.to_string();
        if let Some(verdict) = nonce.verdict {
            return Ok((verdict, nonce.detail));
        }
        let (verdict, detail) = challenge::judge(self, key, answer, self.now())?;
        let _turn = self.responses.turn();
        let kept = self.watch().log().case(&id)?.ok_or_else(|| bad("its case is gone"))?;
        if kept.case.device() != Some(device.as_str()) {
            return Err(bad("it was another device that was asked"));
        }
        let open = |measure: &Measure| matches!(measure, Measure::Challenge { branches, .. } if branches.contains(&nonce.branch));
        if !kept.case.in_force().iter().any(open) {
            return Err(bad("the challenge was taken back"));
        }
        // The case first: an answer that it knows and that is not marked comes again and changes nothing.
        self.advance(kept, vec![Input::Answer { branch: nonce.branch, verdict }])?;
        self.watch().log_mut().answered(&answer.nonce, verdict, &detail, self.now())?;
        self.renew_orders(device.as_str())?;
        Ok((verdict, detail))
    }
}

#[cfg(test)]
mod tests;
