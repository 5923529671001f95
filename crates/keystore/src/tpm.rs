//! A TPM 2.0 as key store, without a C library: over TCP to a TPM in software, or through the kernel's resource
//! manager to a chip.
//!
//! Source: TCG TPM 2.0 Library Specification, Family 2.0, Revision 01.59 (part 2 "Structures", part 3 "Commands"); TCG
//! EK Credential Profile for TPM Family 2.0, version 2.4.
//!
//! Several processes may share one TPM, so a connection lives for one operation, and every object that the operation
//! loads is flushed when it ends, well or badly. Nothing is kept in memory between two operations.
//!
//! # What lies where
//! | What | Handles | How |
//! |---|---|---|
//! | device keys | persistent, 0x81700000 to 0x817fffff | P-256, made under the storage primary key |
//! | counters | NV, 0x01800000 to 0x018fffff | `TPM_NT_COUNTER` |
//! | ratchets | NV, 0x01900000 to 0x019fffff | `TPM_NT_BITS`: floor n is n bits set, at most 64 |
//! | objects | NV, 0x01a00000 to 0x01afffff | a length of two bytes and the bytes |
//!
//! The last 20 bits of each come from the name: the first 20 bits of SHA-256 over the kind, a zero byte and the name.
//! The whole hash is also the authorisation policy of the key or index. No policy session can ever have a digest with a
//! preimage chosen like this, so it authorises nobody; it is there as a label, by which two names that share 20 bits
//! are told apart. The second of them is refused as [`StoreError::Exists`].
//!
//! # On the bus
//! Commands that authorise run in sessions that are salted to the storage primary key: an HMAC covers each command and
//! its response, and the first parameter is encrypted where it has a size in front. A wrong HMAC is
//! [`StoreError::Tampered`]. The salt key's Name is pinned by the address (`?salt-key=`) or at the first use.
//!
//! # What it does not protect from
//! The passwords of all hierarchies and of all objects are empty, as the TPM's maker delivers them: whoever may talk
//! to the TPM may use its keys. Whoever holds owner authorisation may remove a key, and may undefine a counter's or
//! ratchet's index. A counter that is defined again continues above all values that any counter of this TPM ever had
//! (part 1, on NV counters); a ratchet begins at 0 again.

mod command;
mod connection;
mod measured;
mod names;
mod session;
mod store;
mod template;
mod transport;

#[cfg(test)]
mod tests;

pub use measured::{MAX_SEALED_BYTES, Measured, Sealed, Terms, state_policy};
pub use store::TpmStore;

#[cfg(doc)]
use crate::StoreError;
