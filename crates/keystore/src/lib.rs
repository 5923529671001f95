//! Keys that do not leave: one interface over whatever holds a device's key.
//!
//! Place in the life of a credential: wherever a private key is used, on the device and in the authority. A back end
//! implements [`KeyStore`], whose methods are possible on *every* back end, and hands out what else it can do as
//! small capability traits: [`Attest`], [`ActivateCredential`], [`Counters`], [`Ratchet`], [`Objects`]. What a store
//! says of itself ([`KeyStore::info`]) is a claim; only the Verifier turns evidence into proof.
//!
//! Back ends: [`software`] (a key file), [`tpm`] (TPM 2.0 over TCP or a character device, without a C library),
//! [`element`] (a secure element with SE05x-compatible commands), [`pkcs11`] (any PKCS#11 module: HSMs, and chips by
//! their makers' modules). [`uri`] opens one of them by its address. Every back end passes the suite in
//! `conformance`, which the feature of that name offers to back ends elsewhere.
//!
//! Deliberately absent: exporting a private key, and any default that answers "not supported".

pub mod durable;
pub mod element;
pub mod pkcs11;
pub mod software;
pub mod tpm;
pub mod uri;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

mod kind;
mod store;

pub use store::{
    ActivateCredential, Attest, Attested, Counters, CredentialChallenge, EndorsementIdentity, KeyStore,
    Objects, Ratchet, StoreError, StoreInfo,
};
