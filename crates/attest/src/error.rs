//! The one error of an appraisal.

use touchmark_identity::assurance::Provenance;
use touchmark_identity::timestamp::Timestamp;

/// Why evidence was not accepted, sorted by whose fault it is. Texts taken from certificates are cut to 120 characters
/// and hold no control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppraisalError {
    /// AT-0001, policy: no root is pinned, so nobody can vouch for anything.
    #[error("no endorser root is configured; add the root certificates of your parts' makers")]
    NoEndorsers,
    /// AT-0002, policy: the root's private key is public, so its word is worth nothing outside a trial.
    #[error(
        "the endorser {endorser:?} is a TEST root whose private key is public; only a trial may accept it, with the \
         setting `dangerously_accept_test_endorsers`"
    )]
    TestEndorser {
        /// The root's name.
        endorser: String,
    },
    /// AT-0003, policy: the path ends at an issuer that is not pinned.
    #[error(
        "no pinned endorser issued {subject:?}, whose issuer is {issuer:?}; pin that maker's root if you trust it"
    )]
    UnknownEndorser {
        /// Subject of the last certificate found.
        subject: String,
        /// Its issuer, for which no certificate was found.
        issuer: String,
    },
    /// AT-0004, peer: bytes that do not have the form of what they claim to be.
    #[error("{what} is not well formed: {detail}")]
    Malformed {
        /// Which part of the evidence.
        what: &'static str,
        /// What was expected and found.
        detail: String,
    },
    /// AT-0005, peer: a signature does not verify.
    #[error("the signature of {what} does not verify under the key of {by}")]
    BadSignature {
        /// What was signed.
        what: String,
        /// Whose key should have signed it.
        by: String,
    },
    /// AT-0006, peer: a certificate is used outside its validity.
    #[error("the certificate of {subject:?} is valid from {from} to {until}, not at {at}")]
    NotValid {
        /// Whose certificate.
        subject: String,
        /// notBefore.
        from: Timestamp,
        /// notAfter.
        until: Timestamp,
        /// The moment of the appraisal.
        at: Timestamp,
    },
    /// AT-0007, peer: a certificate in the path may not issue the one below it.
    #[error("the certificate of {subject:?} may not issue the one below it: {reason}")]
    NotAnIssuer {
        /// Whose certificate.
        subject: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// AT-0008, peer: an extension that must be understood is not.
    #[error(
        "the certificate of {subject:?} has the critical extension {oid}, which this verifier does not process"
    )]
    CriticalExtension {
        /// Whose certificate.
        subject: String,
        /// The extension's object identifier.
        oid: String,
    },
    /// AT-0009, peer: a certificate is made for something else.
    #[error("the certificate of {subject:?} is not one for {purpose}: {detail}")]
    WrongPurpose {
        /// Whose certificate.
        subject: String,
        /// What it should be for.
        purpose: &'static str,
        /// What was expected and found.
        detail: String,
    },
    /// AT-0010, peer incompatible: an algorithm, curve or key size that this verifier does not accept.
    #[error("{what} uses {found}, which this verifier does not accept; accepted are {accepted}")]
    UnsupportedAlgorithm {
        /// Where it is used.
        what: String,
        /// The algorithm found.
        found: String,
        /// The algorithms that would do.
        accepted: &'static str,
    },
    /// AT-0011, peer: more of something than an honest part sends.
    #[error("{found} {what} are over the limit of {limit}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much was found.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// AT-0012, peer: the statement answers another question than the one asked now.
    #[error("the statement is bound to the nonce {found}, not to {expected}, which was asked")]
    NotFresh {
        /// The nonce asked for, hex.
        expected: String,
        /// The nonce in the statement, hex.
        found: String,
    },
    /// AT-0013, peer: two things that must be the same key are not.
    #[error("{what} is {found}, expected {expected}")]
    KeyMismatch {
        /// Which key.
        what: &'static str,
        /// What it should be, as a name or hash in hex.
        expected: String,
        /// What it is.
        found: String,
    },
    /// AT-0014, peer: a key lacks a protection without which the statement means nothing.
    #[error("{object} lacks the attribute {attribute}: {meaning}")]
    MissingAttribute {
        /// Which object.
        object: &'static str,
        /// The attribute by its standard's name.
        attribute: &'static str,
        /// What follows from its absence.
        meaning: &'static str,
    },
    /// AT-0015, peer: a key has an attribute with which the statement means nothing.
    #[error("{object} has the attribute {attribute}: {meaning}")]
    ForbiddenAttribute {
        /// Which object.
        object: &'static str,
        /// The attribute by its standard's name.
        attribute: &'static str,
        /// What follows from its presence.
        meaning: &'static str,
    },
    /// AT-0016, peer: a field of a signed statement has another value than the standard gives it.
    #[error("{what} is {found}, expected {expected}")]
    WrongValue {
        /// Which field.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// AT-0017, peer: the challenge was not opened by the TPM that it was made for.
    #[error(
        "the activated secret is not the one in the challenge; the attestation key and the EK are not in one TPM"
    )]
    NotActivated,
    /// AT-0018, bug or platform: the cryptographic library failed without a cause.
    #[error("the cryptographic library failed in {operation}")]
    Crypto {
        /// The operation.
        operation: &'static str,
    },
    /// AT-0019, policy: the platform started with something else than the policy allows, or than its log tells.
    #[error("register {register} has the value {found}, expected {expected}")]
    RegisterMismatch {
        /// Bank and number.
        register: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// AT-0020, policy: what the policy judges by is not there.
    #[error("nothing vouches for {what}; quote it along")]
    NotMeasured {
        /// What is missing.
        what: String,
    },
    /// AT-0021, policy: nothing shows that the attestation key lives in the TPM of the EK certificate.
    #[error("the attestation key is not known to live in the TPM of the EK certificate: {why}")]
    UnknownAk {
        /// Why not.
        why: String,
    },
    /// AT-0022, policy: the part is of a revision that the policy does not accept.
    #[error("the firmware of {part} is {found}, the policy accepts {minimum} or later")]
    PartTooOld {
        /// Maker and model.
        part: String,
        /// The firmware found, `unknown` where nothing states it.
        found: String,
        /// The lowest one accepted.
        minimum: String,
    },
    /// AT-0023, policy: the part is not one that the policy lists.
    #[error("the part {part} is not one that the policy accepts")]
    PartNotListed {
        /// Maker and model, `unknown` where nothing states them.
        part: String,
    },
    /// AT-0024, policy: the key also exists, or existed, elsewhere.
    #[error("the key was not generated in the part: {provenance}")]
    NotGenerated {
        /// Where it came from.
        provenance: Provenance,
    },
}

impl AppraisalError {
    /// The stable code, as listed in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoEndorsers => "AT-0001",
            Self::TestEndorser { .. } => "AT-0002",
            Self::UnknownEndorser { .. } => "AT-0003",
            Self::Malformed { .. } => "AT-0004",
            Self::BadSignature { .. } => "AT-0005",
            Self::NotValid { .. } => "AT-0006",
            Self::NotAnIssuer { .. } => "AT-0007",
            Self::CriticalExtension { .. } => "AT-0008",
            Self::WrongPurpose { .. } => "AT-0009",
            Self::UnsupportedAlgorithm { .. } => "AT-0010",
            Self::TooMuch { .. } => "AT-0011",
            Self::NotFresh { .. } => "AT-0012",
            Self::KeyMismatch { .. } => "AT-0013",
            Self::MissingAttribute { .. } => "AT-0014",
            Self::ForbiddenAttribute { .. } => "AT-0015",
            Self::WrongValue { .. } => "AT-0016",
            Self::NotActivated => "AT-0017",
            Self::Crypto { .. } => "AT-0018",
            Self::RegisterMismatch { .. } => "AT-0019",
            Self::NotMeasured { .. } => "AT-0020",
            Self::UnknownAk { .. } => "AT-0021",
            Self::PartTooOld { .. } => "AT-0022",
            Self::PartNotListed { .. } => "AT-0023",
            Self::NotGenerated { .. } => "AT-0024",
        }
    }
}
