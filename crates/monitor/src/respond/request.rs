//! What is asked of those who carry it out, one JSON object a line (`touchmark.response/1`).

use serde::{Deserialize, Serialize};
use touchmark_identity::event::IdentityRef;
use touchmark_identity::finding::{Branch, Certainty, Finding, FindingId};
use touchmark_identity::text::printable;
use touchmark_identity::timestamp::Timestamp;

use super::ResponseError;

/// The format of [`Act::to_line`].
pub const SCHEMA: &str = "touchmark.response/1";

/// Proof that a finding was confirmed. Made from such a finding alone, or read back with the case that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    finding: FindingId,
    revision: u32,
}

impl Confirmed {
    /// From a finding that is confirmed and not closed.
    #[must_use]
    pub fn of(finding: &Finding) -> Option<Self> {
        (finding.grade == Certainty::Confirmed && finding.closed.is_none())
            .then_some(Self { finding: finding.id, revision: finding.revision })
    }
}

/// A person's word that a device shall be revoked. [`super::Case::confirm`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    case: FindingId,
    device: String,
    by: String,
}

impl Confirmation {
    pub(super) fn new(
        case: FindingId,
        device: Option<&str>,
        by: &str,
        typed: &str,
    ) -> Result<Self, ResponseError> {
        match device {
            Some(device) if device == typed => {
                Ok(Self { case, device: device.to_owned(), by: printable(by, 128) })
            }
            _ => Err(ResponseError::NotConfirmed {
                typed: printable(typed, 128),
                device: device.unwrap_or_default().to_owned(),
            }),
        }
    }

    pub(super) fn case(&self) -> FindingId {
        self.case
    }
}

/// Revoke a device: the one request without a way back. Its fields are private, so that it comes about from
/// [`Confirmed`] and [`Confirmation`] alone; it can be written and not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevokeRequest {
    device: String,
    confirmed_by: String,
    revision: u32,
}

impl RevokeRequest {
    pub(super) fn new(confirmed: Confirmed, word: Confirmation) -> Self {
        Self { device: word.device, confirmed_by: word.by, revision: confirmed.revision }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Who confirmed it.
    #[must_use]
    pub fn confirmed_by(&self) -> &str {
        &self.confirmed_by
    }
}

/// That the original be given a new key, so that its copies hold a worthless one.
///
/// As JSON: `{"device":"meter-000017","identity":{"spki_sha256":"…"},"branch":{"id":0,…},"because":"attested"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReKeyRequest {
    /// The device.
    pub device: String,
    /// The identity whose key is to be left behind.
    pub identity: IdentityRef,
    /// The instance that is to get the new key, as the finding tells it apart.
    pub branch: Branch,
    /// Why it is thought to be the original: `attested` when it alone gave fresh evidence, `probability` when the
    /// finding's estimate reached the rule's `original_percent`.
    pub because: String,
}

/// What can be done and be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "measure", rename_all = "kebab-case")]
pub enum Measure {
    /// Ask each instance for a signature over a fresh nonce, drawn by whoever carries it out. Taken back: the nonce is
    /// no longer accepted.
    Challenge {
        /// The device.
        device: String,
        /// Numbers of the instances.
        branches: Vec<u32>,
        /// Whether evidence of the chip is asked for too.
        evidence: bool,
    },
    /// Refuse what these instances ask for and serve the others. Taken back: they are served again.
    ReduceRights {
        /// The device.
        device: String,
        /// The instances, with what tells them apart.
        branches: Vec<Branch>,
    },
    /// See [`ReKeyRequest`]. Taken back: the request is withdrawn.
    RekeyWinner(ReKeyRequest),
    /// Cut the device's rights. Taken back: the device is released.
    Quarantine {
        /// The device.
        device: String,
    },
    /// Send somebody. Taken back: the order is cancelled.
    WorkOrder {
        /// The device, where known.
        device: Option<String>,
        /// The identity.
        identity: IdentityRef,
    },
    /// Ask a person whether to revoke. Taken back: the question is withdrawn.
    AskRevoke {
        /// The device.
        device: String,
    },
}

impl Measure {
    /// The word for it in the policy; `revoke` for the question whether to.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Challenge { .. } => "challenge",
            Self::ReduceRights { .. } => "reduce-rights",
            Self::RekeyWinner(_) => "rekey-winner",
            Self::Quarantine { .. } => "quarantine",
            Self::WorkOrder { .. } => "work-order",
            Self::AskRevoke { .. } => "ask-revoke",
        }
    }

    /// Whether a closed finding takes it back. What took rights stays until a person gives them back.
    pub(super) fn ends_with_the_finding(&self) -> bool {
        match self {
            Self::ReduceRights { .. } | Self::Quarantine { .. } => false,
            Self::Challenge { .. }
            | Self::RekeyWinner(_)
            | Self::WorkOrder { .. }
            | Self::AskRevoke { .. } => true,
        }
    }
}

/// What an act asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Do it.
    Do(Measure),
    /// Take it back.
    Undo(Measure),
    /// Revoke. There is no way back.
    Revoke(RevokeRequest),
    /// Do nothing: what was decided or left out is written down.
    Record,
}

/// One act of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Act {
    /// The format.
    pub schema: &'static str,
    /// The finding.
    pub finding: FindingId,
    /// Its number within the case, from 1. Finding and number name an act: whoever has carried it out once does not do
    /// so again.
    pub number: u32,
    /// The policy rule.
    pub rule: String,
    /// When it was decided.
    pub at: Timestamp,
    /// What is asked for.
    #[serde(flatten)]
    pub request: Request,
    /// Why, in plain words.
    pub says: String,
}

impl Act {
    /// One line without a line feed, fields in a fixed order.
    #[must_use]
    pub fn to_line(&self) -> String {
        #[expect(clippy::expect_used, reason = "a record of texts and numbers always has a JSON form")]
        serde_json::to_string(self).expect("an act is plain data")
    }
}
