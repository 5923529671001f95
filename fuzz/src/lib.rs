//! What the fuzz targets and the maker of their first inputs share: one fixed world, so that an input which reached
//! deep in one process does so in the next.
//!
//! The crates below the server write no log: what stands in one is their errors. [`tell`] formats each, so that what happens
//! only with logging on happens here.
//!
//! Keys in here are public: the example key of RFC 6979, and the TEST root of virtual elements.

pub mod acts;
pub mod journal;
#[cfg(feature = "all")]
pub mod services;

use std::error::Error;
use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use touchmark_attest::{Endorsers, Policy};
use touchmark_element::TEST_ROOT_CERTIFICATE_PEM;
use touchmark_identity::evidence::Nonce;
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::PublicKey;
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};

/// Private key of RFC 6979 appendix A.2.5, big-endian.
pub const KNOWN_SCALAR: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
/// Its point, uncompressed.
pub const KNOWN_POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                               7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

/// Prints an error and its causes as a log would, and holds the text against what a log may hold: it says something,
/// and no control character of the sender's gets through to a terminal.
pub fn tell(error: &(dyn Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(!text.is_empty(), "an error without words: {error:?}");
        let control = text.chars().find(|c| c.is_control());
        assert!(control.is_none(), "{control:?} in the message {text:?}");
        std::hint::black_box(format!("{error:?}"));
        next = error.source();
    }
}

/// [`tell`] for what went wrong; gives back what did not.
pub fn told<T, E: Error + 'static>(result: Result<T, E>) -> Option<T> {
    result.inspect_err(|error| tell(error)).ok()
}

/// The moment at which everything happens.
#[must_use]
pub fn now() -> Timestamp {
    "2026-11-20T00:00:00Z".parse().expect("a moment")
}

/// The nonce that evidence answers.
#[must_use]
pub fn nonce() -> Nonce {
    Nonce::new(&[0x5a; 32]).expect("a nonce of 32 bytes")
}

/// A Verifier that accepts the TEST root and nothing else.
#[must_use]
pub fn trial_policy() -> Policy {
    let endorsers =
        Endorsers::default().with_test_element_root(TEST_ROOT_CERTIFICATE_PEM).expect("the TEST root");
    Policy { endorsers, dangerously_accept_test_endorsers: true, ..Policy::default() }
}

/// The key pair that everybody knows.
#[must_use]
pub fn known_pair() -> EcdsaKeyPair {
    let (scalar, point) = (hex::decode(KNOWN_SCALAR).expect("hex"), hex::decode(KNOWN_POINT).expect("hex"));
    EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &scalar, &point)
        .expect("the example of RFC 6979")
}

/// Its public half.
#[must_use]
pub fn known_public() -> PublicKey {
    PublicKey::from_point(&hex::decode(KNOWN_POINT).expect("hex")).expect("the example of RFC 6979")
}

/// A key file in `directory` that holds the known key under these names.
#[must_use]
pub fn known_store(directory: &Path, names: &[&str]) -> SoftwareStore {
    let medium = FileMedium::hold(&directory.join("keys.toml")).expect("a new file");
    let mut store = SoftwareStore::open(Box::new(medium), &Protection::PlainFlash).expect("a new store");
    let pkcs8 = known_pair().to_pkcs8v1().expect("a key that may leave");
    for name in names {
        store.import(&KeyName::new(name).expect("a name"), pkcs8.as_ref()).expect("a new name");
    }
    store
}

/// Cuts an input into pieces, each behind its length in two bytes, big-endian; at most `most`.
pub fn pieces(mut data: &[u8], most: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let (piece, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        data = rest;
        Some(piece)
    })
    .take(most)
}

/// The opposite of [`pieces`].
#[must_use]
pub fn joined(pieces: &[Vec<u8>]) -> Vec<u8> {
    let length = |piece: &Vec<u8>| u16::try_from(piece.len()).expect("a short piece").to_be_bytes();
    pieces.iter().flat_map(|piece| [&length(piece)[..], piece].concat()).collect()
}
