//! A case as people and programs see it.

use serde::{Deserialize, Serialize};
use touchmark_identity::finding::FindingId;
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::respond::{Case, End, Measure, ReKeyRequest, State};

use super::store::{Asked, Kept, KeptAct, KeptNonce};
use crate::app::App;
use crate::error::ServerError;

/// What a person may decide about a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseDecision {
    /// Take the next step now.
    Proceed,
    /// Stay where it is; what was done stays.
    Hold,
    /// Go on after that; the next step is due at once.
    Resume,
    /// Take everything back and end the case.
    Release,
    /// Revoke the device. There is no way back.
    Revoke,
}

impl CaseDecision {
    /// Every one of them.
    pub const ALL: [Self; 5] = [Self::Proceed, Self::Hold, Self::Resume, Self::Release, Self::Revoke];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proceed => "proceed",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Release => "release",
            Self::Revoke => "revoke",
        }
    }
}

impl std::str::FromStr for CaseDecision {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|decision| decision.as_str() == word)
            .ok_or_else(|| "a decision is proceed, hold, resume, release or revoke".to_owned())
    }
}

/// The decisions that mean something where a case stands.
#[must_use]
pub(super) fn offers(case: &Case) -> Vec<CaseDecision> {
    use CaseDecision::{Hold, Proceed, Release, Resume, Revoke};
    // Only a device that has a name can be confirmed by it.
    let revoke = case.device().map(|_| Revoke);
    let mut offers = match case.state() {
        State::Watching => vec![Hold, Release],
        State::Climbing { .. } => vec![Proceed, Hold, Release],
        State::Waiting { .. } | State::Suppressed { .. } => vec![Release],
        State::Held { confirmed: Some(_), .. } => vec![Proceed, Resume, Release],
        State::Held { confirmed: None, .. } => vec![Resume, Release],
        State::Ended { how: End::Closed } if !case.in_force().is_empty() => vec![Release],
        State::Ended { .. } => Vec::new(),
    };
    let surely = matches!(
        case.state(),
        State::Climbing { .. } | State::Waiting { .. } | State::Held { confirmed: Some(_), .. }
    );
    offers.extend(revoke.filter(|_| surely));
    offers
}

/// An act of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActView {
    /// Its number within the case.
    pub number: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// `do`, `undo`, `revoke` or `record`.
    pub request: String,
    /// The measure, for `do` and `undo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<String>,
    /// Why.
    pub says: String,
    /// `owed`, `done`, `left-out`, `dry-run` or `recorded`.
    pub outcome: String,
    /// More about the outcome.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// When it was carried out or left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
}

/// What an instance was asked, and gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerView {
    /// The instance's number in the finding.
    pub branch: u32,
    /// `attested`, `signature-only` or `failed`; absent while nothing came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// When it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Timestamp>,
}

/// A case: `touchmark.case/1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseView {
    /// The format.
    pub schema: String,
    /// The finding.
    pub finding: FindingId,
    /// The device, where the finding names one.
    pub device: Option<String>,
    /// The policy rule.
    pub rule: String,
    /// `watching`, `climbing`, `waiting`, `held`, `suppressed` or `ended`.
    pub state: String,
    /// For one that ended: `closed`, `released` or `revoked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// When it was opened.
    pub opened: Timestamp,
    /// Whether its acts are written down alone.
    pub dry_run: bool,
    /// The next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// When that is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Measures that were not taken back, oldest first.
    pub in_force: Vec<String>,
    /// The new key that is asked for the likely original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekey: Option<ReKeyRequest>,
    /// What instances were asked.
    pub answers: Vec<AnswerView>,
    /// All acts, in their order.
    pub acts: Vec<ActView>,
    /// The decisions that a person may take.
    pub takes: Vec<CaseDecision>,
}

/// A finding's case.
///
/// # Errors
/// [`ServerError::EventLog`] when the database refuses.
pub(super) fn of(app: &App, id: &str) -> Result<Option<CaseView>, ServerError> {
    let watch = app.watch();
    let Some(kept) = watch.log().case(id)? else { return Ok(None) };
    let (acts, nonces) = (watch.log().acts(id)?, watch.log().nonces(id)?);
    Ok(Some(CaseView::new(&kept, acts, nonces)))
}

/// The re-keying that a case asks for and that was not taken back.
#[must_use]
pub(super) fn rekey(case: &Case) -> Option<&ReKeyRequest> {
    case.in_force().iter().find_map(|measure| match measure {
        Measure::RekeyWinner(request) => Some(request),
        _ => None,
    })
}

impl CaseView {
    fn new(kept: &Kept, acts: Vec<KeptAct>, nonces: Vec<KeptNonce>) -> Self {
        let case = &kept.case;
        let how = match case.state() {
            State::Ended { how: End::Closed } => Some("closed"),
            State::Ended { how: End::Released } => Some("released"),
            State::Ended { how: End::Revoked } => Some("revoked"),
            _ => None,
        };
        // A later challenge of the same case asks with other nonces; the newest is what counts.
        let newest = nonces.iter().map(|nonce| nonce.number).max();
        Self {
            schema: "touchmark.case/1".to_owned(),
            finding: case.finding(),
            device: case.device().map(str::to_owned),
            rule: case.rule().to_owned(),
            state: case.state().as_str().to_owned(),
            how: how.map(str::to_owned),
            opened: kept.opened,
            dry_run: kept.dry,
            next: case.next_step().map(|step| step.as_str().to_owned()),
            due: case.due(),
            in_force: case.in_force().iter().map(|measure| measure.as_str().to_owned()).collect(),
            rekey: rekey(case).cloned(),
            answers: nonces
                .into_iter()
                .filter(|nonce| Some(nonce.number) == newest)
                .map(|nonce| AnswerView {
                    branch: nonce.branch,
                    verdict: nonce.verdict.map(|verdict| verdict.as_str().to_owned()),
                    detail: nonce.detail,
                    answered: nonce.answered,
                })
                .collect(),
            acts: acts.into_iter().map(ActView::from).collect(),
            takes: offers(case),
        }
    }
}

impl From<KeptAct> for ActView {
    fn from(act: KeptAct) -> Self {
        let (request, measure) = match &act.asked {
            Asked::Do(measure) => ("do", Some(measure.as_str())),
            Asked::Undo(measure) => ("undo", Some(measure.as_str())),
            Asked::Revoke { .. } => ("revoke", None),
            Asked::Record => ("record", None),
        };
        Self {
            number: act.number,
            at: act.at,
            request: request.to_owned(),
            measure: measure.map(str::to_owned),
            says: act.says,
            outcome: act.outcome.as_str().to_owned(),
            detail: act.detail,
            settled: act.settled,
        }
    }
}

impl App {
    /// The case of a finding; `None` where the policy asks for nothing.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn case(&self, finding: &str) -> Result<Option<CaseView>, ServerError> {
        of(self, finding)
    }

    /// The cases of a device, or of all, the newest first, at most 10,000.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn cases(&self, device: Option<&str>) -> Result<Vec<CaseView>, ServerError> {
        let watch = self.watch();
        let mut views = Vec::new();
        for kept in watch.log().cases(device)? {
            let id = kept.case.finding().to_string();
            views.push(CaseView::new(&kept, watch.log().acts(&id)?, watch.log().nonces(&id)?));
        }
        Ok(views)
    }

    /// The new keys that are asked for: device and request.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn rekeys(&self) -> Result<Vec<ReKeyRequest>, ServerError> {
        let cases = self.watch().log().cases(None)?;
        Ok(cases.iter().filter(|kept| !kept.dry).filter_map(|kept| rekey(&kept.case).cloned()).collect())
    }
}
