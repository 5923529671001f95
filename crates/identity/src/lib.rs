//! The language of Touchmark: the nouns and byte formats that every part shares.
//!
//! Place in the life of a credential: everywhere. What leaves one stage and enters the next has its type here:
//! device names ([`ids`]), public keys and their hash ([`key`]), the graded record of where a key lives
//! ([`assurance`]), evidence on the way to the verifier ([`evidence`]), events on the way to the monitor
//! ([`event`]) and findings on the way out of it ([`finding`]); and the two chip dialects that a device and its
//! verifier both speak ([`apdu`], [`tpm`]).
//!
//! Deliberately absent: I/O, async, a clock, randomness, policy.
//!
//! ```
//! use touchmark_identity::assurance::{Basis, Grade, KeyAssurance, Provenance, Storage};
//!
//! let claimed = KeyAssurance::declared(Storage::Tpm);
//! assert_eq!(claimed.grade(), Grade::Copyable, "a claim is not a proof");
//!
//! let proven = KeyAssurance { basis: Basis::Attested, provenance: Provenance::GeneratedOnChip, ..claimed };
//! assert_eq!(proven.grade(), Grade::HardwareBound);
//! ```

pub mod apdu;
pub mod assurance;
pub mod challenge;
pub mod event;
pub mod evidence;
pub mod finding;
pub mod ids;
pub mod key;
pub mod t1oi2c;
pub mod text;
pub mod timestamp;
pub mod tpm;
