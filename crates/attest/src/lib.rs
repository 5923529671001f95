//! The RATS Verifier (RFC 9334): evidence in, key assurance out.
//!
//! Place in the life of a credential: between the device that proves where its key lives and the authority that
//! issues a certificate for it. Nothing else in Touchmark can make a record with the basis `attested`: it comes
//! inside an [`Appraised`] value, which only this crate constructs.
//!
//! - [`Endorsers`] are the pinned roots of the parts' makers; [`Policy`] says which of them count.
//! - [`Policy::verify_chain`] walks an X.509 path to one of them, a subset of RFC 5280 §6.
//! - [`judge`] takes what a device sent and gives a [`Verdict`], whatever was sent: what is missing or wrong lowers the
//!   record and leaves a reason.
//! - [`tpm`] appraises TPM 2.0 evidence (`TPM2_Certify` by an activated attestation key).
//! - [`element`] appraises attested reads of a secure element.
//! - [`pkcs11`] appraises certificates by which a token says that it made a key.
//! - [`Requirements`] are floors for parts and platforms.
//!
//! Everything here is a function of its arguments: the moment and the verifier's secrets are passed in. What is
//! missing is refused: no roots means no appraisal, never "self-signed is fine".
//!
//! Deliberately absent: I/O, a clock, fetching of issuer certificates or revocation lists of the parts' makers.
//!
//! ```
//! use touchmark_attest::{AppraisalError, ChainPurpose, Endorsers, Policy};
//! use touchmark_identity::timestamp::Timestamp;
//!
//! let nobody = Policy { endorsers: Endorsers::default(), ..Policy::default() };
//! let refused = nobody.verify_chain(b"any", &[], Timestamp::from_micros(0), ChainPurpose::TpmEndorsement);
//! assert!(matches!(refused, Err(AppraisalError::NoEndorsers)));
//! ```

pub mod element;
pub mod pkcs11;
pub mod tpm;

mod chain;
mod endorsers;
mod error;
mod requirements;
mod verdict;

pub use chain::{ChainPurpose, Policy, VerifiedChain};
pub use endorsers::{Endorser, EndorserError, Endorsers};
pub use error::AppraisalError;
pub use requirements::{PartFloor, Requirements};
pub use verdict::{Appraisal, Verdict, judge};

use touchmark_identity::assurance::KeyAssurance;
use touchmark_identity::key::PublicKey;

/// The result of an appraisal. Only this crate makes one, after all checks have passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appraised<T> {
    value: T,
}

impl<T> Appraised<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value }
    }

    /// What was appraised.
    #[must_use]
    pub fn value(&self) -> &T {
        &self.value
    }

    /// What was appraised, without the proof that it was.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }
}

/// A device key and the graded record of where it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedKey {
    /// The public half of the device's key.
    pub key: PublicKey,
    /// Where the private half lives, basis `attested`.
    pub assurance: KeyAssurance,
    /// The endorser whose root the evidence chains to, as the policy names it.
    pub endorser: String,
}
