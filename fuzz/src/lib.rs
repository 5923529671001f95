//! What the fuzz targets and the maker of their first inputs share: one fixed world, so that an input which reached
//! deep in one process does so in the next.
//!
//! Keys in here are public: the example key of RFC 6979, and the TEST root of virtual elements.

use std::error::Error;
use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rapidhash::v3::rapidhash_v3;
use touchmark_attest::{Endorsers, Policy};
use touchmark_authority::registry::sqlite::SqliteRegistry;
use touchmark_authority::registry::{Intent, Registry};
use touchmark_authority::{Authority, Settings};
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
/// Findings of every kind, one a line.
pub const FINDINGS: &str = include_str!("../../crates/identity/tests/samples/finding-1.ndjson");
/// What a snapshot of the monitor begins with.
const SNAPSHOT_MAGIC: [u8; 4] = *b"TMS4";
/// Serial number of a good certificate in the registry of [`authority`].
pub const GOOD_SERIAL: [u8; 20] = [0x11; 20];
/// Serial number of a certificate that counts as revoked there.
pub const REVOKED_SERIAL: [u8; 20] = [0x22; 20];

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

/// An authority whose two CAs have the known key, with one certificate that is good and one that counts as revoked.
#[must_use]
pub fn authority(directory: &Path) -> Authority {
    let mut registry = SqliteRegistry::open(directory).expect("a new registry");
    for serial in [GOOD_SERIAL, REVOKED_SERIAL] {
        let intent = Intent {
            serial: serial.to_vec(),
            profile: "device",
            device: None,
            spki_sha256: known_public().spki_sha256(),
            tbs: vec![0x30, 0],
            key: None,
            not_after_s: 4_000_000_000,
            spends_token: false,
            predecessor: None,
            renewal: false,
        };
        registry.intend(&intent, now()).expect("an intent");
    }
    registry.complete(&GOOD_SERIAL, &[0x30, 0], now()).expect("a certificate");
    let keys = known_store(directory, &["root-ca", "issuing-ca"]);
    Authority::open(Box::new(registry), Box::new(keys), Settings::default(), trial_policy(), now())
        .expect("a new authority")
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

/// Settings with small bounds, so that an input can reach them.
#[must_use]
pub fn small_settings() -> touchmark_monitor::Settings {
    touchmark_monitor::Settings { max_identities: 4, remembered_events: 8, ..touchmark_monitor::Settings::default() }
}

/// A snapshot of the monitor with these sections (see [`pieces`]): magic, lengths, hashes and end are as they must be.
#[must_use]
pub fn sealed(sections: &[u8]) -> Vec<u8> {
    let mut bytes = SNAPSHOT_MAGIC.to_vec();
    for section in pieces(sections, 100) {
        bytes.extend((section.len() as u64).to_le_bytes());
        bytes.extend(rapidhash_v3(section).max(1).to_le_bytes());
        bytes.extend(section);
    }
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(rapidhash_v3(&SNAPSHOT_MAGIC).max(1).to_le_bytes());
    bytes
}

/// The opposite of [`sealed`]: the sections of a snapshot, as [`pieces`] reads them.
#[must_use]
pub fn sections(snapshot: &[u8]) -> Vec<u8> {
    let mut rest = snapshot.strip_prefix(&SNAPSHOT_MAGIC).expect("a snapshot");
    let mut sections = Vec::new();
    while let Some((length, body)) = rest.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).expect("a short section");
        if length == 0 {
            break;
        }
        let (section, after) = body[8..].split_at(length);
        sections.push(section.to_vec());
        rest = after;
    }
    joined(&sections)
}
