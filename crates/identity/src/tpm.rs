//! TPM 2.0 structures as bytes: what a device's TPM and the Verifier both read and write. No I/O.
//!
//! The source is the TCG TPM 2.0 Library Specification, Family 2.0, Revision 01.59; "part 2" below is its part
//! "Structures", part 1 is "Architecture". All integers are big-endian (part 2, §5); variable-size bytes carry a
//! 16-bit size in front (`TPM2B_...`, part 2, §10.4).
//!
//! - [`wire`]: a bounded reader and a writer.
//! - [`constants`]: algorithms, handles, command codes, structure tags, and response codes with their meaning.
//! - [`public`]: `TPMT_PUBLIC`, object attributes and Names.
//! - [`attest`]: `TPMS_ATTEST`, the statement that a TPM signs.
//! - [`signature`]: `TPMT_SIGNATURE`, ECDSA and RSASSA.
//! - [`policy`]: policy digests.
//! - [`event_log`]: the firmware's log of measurements.
//! - [`proof`]: quotes, certified counters and certified creations, as they travel to the Verifier.
//!
//! Deliberately absent: HMAC and symmetric keys as objects, and structures that no Touchmark part uses.

pub mod attest;
pub mod constants;
pub mod event_log;
pub mod policy;
pub mod proof;
pub mod public;
pub mod signature;
pub mod wire;

pub use attest::{Attest, Attested, ClockInfo, PcrSelection};
pub use constants::{
    AlgorithmId, CommandCode, CurveId, Handle, ResponseCode, StructureTag, TPM_GENERATED_VALUE,
};
pub use public::{KeyParameters, Name, ObjectAttributes, PublicArea, Scheme, Symmetric};
pub use signature::TpmSignature;
pub use wire::{Reader, TpmFormatError, Writer};

use aws_lc_rs::digest;

/// The digest of an algorithm that a Name or signature may use: SHA-256 or SHA-384.
///
/// # Errors
/// [`TpmFormatError::Unsupported`] for any other algorithm.
pub fn hash(algorithm: AlgorithmId, bytes: &[u8]) -> Result<Vec<u8>, TpmFormatError> {
    let digest_algorithm = match algorithm {
        AlgorithmId::SHA256 => &digest::SHA256,
        AlgorithmId::SHA384 => &digest::SHA384,
        other => {
            return Err(TpmFormatError::Unsupported { what: "hash algorithm", found: other.to_string() });
        }
    };
    Ok(digest::digest(digest_algorithm, bytes).as_ref().to_vec())
}
