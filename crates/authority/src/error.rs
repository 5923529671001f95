//! Why the authority refused or failed, sorted by whose fault it is.

use touchmark_attest::AppraisalError;
use touchmark_identity::assurance::Grade;
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::StoreError;

use crate::registry::RegistryError;

/// Why the authority did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// AU-0001, peer: not a certification request, or one of a form that is not accepted.
    #[error("the certification request is not acceptable: {detail}")]
    BadRequest {
        /// What was expected and found.
        detail: String,
    },
    /// AU-0002, peer: the request is not signed by the key it names (RFC 2986 §4.2).
    #[error(
        "the certification request is not signed by the key it names; make it anew with the device's key"
    )]
    NoProofOfPossession,
    /// AU-0003, peer: the request names another device than the one that asks.
    #[error("the request names {found:?}, and {expected:?} asks; use the device id as common name")]
    WrongSubject {
        /// The device that authenticated.
        expected: String,
        /// The name in the request.
        found: String,
    },
    /// AU-0004, peer: unknown device, unknown token, spent or expired token. One answer for all, so that nobody can
    /// probe for device names.
    #[error("device id and enrolment token do not match; ask the operator for a new token")]
    BadToken,
    /// AU-0005, policy: the proven grade is below what the profile asks for.
    #[error("the key is graded {found}, the profile asks for {required} at least")]
    GradeTooLow {
        /// The grade that was proven.
        found: Grade,
        /// The grade that is asked for.
        required: Grade,
    },
    /// AU-0006, policy: a quarantined, revoked or retired device asks.
    #[error("device {device} is {status}; it gets no certificate until the operator decides otherwise")]
    NotInService {
        /// The device.
        device: String,
        /// Its state.
        status: String,
    },
    /// AU-0007, policy: a new key for a hardware identity comes without evidence.
    #[error(
        "the key of {device} is graded {held}; a new key needs new evidence, so enrol it with attestation"
    )]
    RekeyWithoutEvidence {
        /// The device.
        device: String,
        /// The grade that the present key has.
        held: Grade,
    },
    /// AU-0008, peer: the enrolment session is unknown or too old.
    #[error("the enrolment session is unknown or older than {limit_s} s; begin again")]
    NoSession {
        /// How long a session lives, in seconds.
        limit_s: u64,
    },
    /// AU-0009, caller: there is no such device, key or certificate.
    #[error("there is no {what} {name:?} in the registry")]
    Unknown {
        /// `device` or `certificate`.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
    /// AU-0010, caller: a device of this name is registered.
    #[error("device {device} is registered already")]
    DeviceExists {
        /// The device.
        device: String,
    },
    /// AU-0011, caller: the step is not possible from the present state.
    #[error("device {device} is {status}, so it cannot be {asked}")]
    WrongState {
        /// The device.
        device: String,
        /// Its state.
        status: String,
        /// What was asked for.
        asked: &'static str,
    },
    /// AU-0012, peer: the key belongs to another device already.
    #[error("this key is registered for device {owner}; each device needs a key of its own")]
    KeyInUse {
        /// The device that has it.
        owner: String,
    },
    /// AU-0013, environment: too many enrolments are under way.
    #[error("{open} enrolments are under way, the limit; try again in a minute")]
    Busy {
        /// The number under way.
        open: usize,
    },
    /// AU-0014, environment: the key store of the authority does not hold the key of its certificate.
    #[error(
        "the key store holds {found} under {name:?}, the certificate was made for {expected}; open the right store"
    )]
    WrongCaKey {
        /// The key's name.
        name: String,
        /// SPKI hash in the certificate.
        expected: String,
        /// SPKI hash in the store.
        found: String,
    },
    /// AU-0015, environment: the key store failed.
    #[error("the authority's key store failed")]
    Store(#[from] StoreError),
    /// AU-0016, environment: the registry failed. Nothing was acknowledged.
    #[error("the registry failed")]
    Registry(#[from] RegistryError),
    /// AU-0017, peer: the endorsement of the device's chip was refused.
    #[error("the chip's endorsement was not accepted")]
    Appraisal(#[from] AppraisalError),
    /// AU-0018, bug: what was signed differs from what was written down, or cannot be encoded.
    #[error("the authority could not encode {what}")]
    Encoding {
        /// What was being encoded.
        what: &'static str,
    },
    /// AU-0019, peer: bytes that are no OCSP request.
    #[error("the OCSP request is not valid DER of RFC 6960 §4.1")]
    BadOcspRequest,
    /// AU-0020, policy: the key was revoked because it is in other hands.
    #[error(
        "the key {spki_sha256} was revoked as compromised and is not certified again; generate a new one"
    )]
    KeyCompromised {
        /// The key.
        spki_sha256: String,
    },
    /// AU-0021, policy: the certificate that asks for renewal was renewed before. The refusal is in the journal.
    #[error(
        "the certificate of {device} was renewed at {renewed}, and its successor {successor} {}: two hold this identity, \
         or a backup was restored; look at the device's findings, then give the device a new token (authority enrol \
         --again) to enrol with",
        used(*.first_used)
    )]
    Superseded {
        /// The device.
        device: String,
        /// When the presented certificate was renewed.
        renewed: Timestamp,
        /// The serial number of the certificate that took its place, hex.
        successor: String,
        /// When that one was first seen to be used; `None` when it was not, and is for another key than asked for.
        first_used: Option<Timestamp>,
        /// SHA-256 of the certificate at the end of the chain, hex.
        head: String,
    },
}

fn used(first: Option<Timestamp>) -> String {
    match first {
        Some(first) => format!("has been in use since {first}"),
        None => "is for another key".to_owned(),
    }
}

impl AuthorityError {
    /// The stable code, as listed in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "AU-0001",
            Self::NoProofOfPossession => "AU-0002",
            Self::WrongSubject { .. } => "AU-0003",
            Self::BadToken => "AU-0004",
            Self::GradeTooLow { .. } => "AU-0005",
            Self::NotInService { .. } => "AU-0006",
            Self::RekeyWithoutEvidence { .. } => "AU-0007",
            Self::NoSession { .. } => "AU-0008",
            Self::Unknown { .. } => "AU-0009",
            Self::DeviceExists { .. } => "AU-0010",
            Self::WrongState { .. } => "AU-0011",
            Self::KeyInUse { .. } => "AU-0012",
            Self::Busy { .. } => "AU-0013",
            Self::WrongCaKey { .. } => "AU-0014",
            Self::Store(_) => "AU-0015",
            Self::Registry(_) => "AU-0016",
            Self::Appraisal(_) => "AU-0017",
            Self::Encoding { .. } => "AU-0018",
            Self::BadOcspRequest => "AU-0019",
            Self::KeyCompromised { .. } => "AU-0020",
            Self::Superseded { .. } => "AU-0021",
        }
    }
}
