//! What follows from a finding: a ladder of steps, from the harmless to the heavy.
//!
//! A [`Policy`] says which ladder a finding climbs and how long each step waits. A [`Case`] is one finding on its
//! ladder: [`Case::handle`] takes what happened and returns what is to be done, as [`Act`]s that somebody else carries
//! out. [`rehearse`] does that over findings of the past and touches nothing.
//!
//! What the types rule out:
//! - Every [`Measure`] can be taken back: [`Request::Undo`] exists for each of them. Revocation is not a measure.
//! - A measure that costs a device anything needs a [`Confirmed`], which only a confirmed finding gives. A suspect
//!   leads to [`Harmless`] steps alone.
//! - [`Request::Revoke`] needs a [`Confirmed`] and a [`Confirmation`], which only a person who typed the device's name
//!   gives. The ladder's `revoke` step *asks* for one.
//!
//! `docs/response.md` has the policy file, the states and the limits.

mod case;
mod policy;
mod rehearse;
mod request;

pub use case::{Case, Decision, End, Input, State, Triage, Verdict};
pub use policy::{Duplicates, Group, Harmless, Policy, Rule, Rung, Step};
pub use rehearse::{MAX_CASES, Rehearsal, RehearsalSummary, rehearse};
pub use request::{Act, Confirmation, Confirmed, Measure, ReKeyRequest, Request, RevokeRequest, SCHEMA};

/// Why a policy cannot be used, or a person's word not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// RP-0001, caller: the policy contradicts itself or goes beyond what is kept.
    #[error("response {rule:?}: {detail}")]
    Policy {
        /// The rule's name, or the group's.
        rule: String,
        /// What is wrong and what to do.
        detail: String,
    },
    /// RP-0002, caller: what was typed to confirm a revocation is not the device's name.
    #[error("{typed:?} does not confirm the revocation of {device:?}: type the device's name")]
    NotConfirmed {
        /// What was typed, shortened.
        typed: String,
        /// The device of the case, empty when the finding names none.
        device: String,
    },
}

impl ResponseError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Policy { .. } => "RP-0001",
            Self::NotConfirmed { .. } => "RP-0002",
        }
    }
}
