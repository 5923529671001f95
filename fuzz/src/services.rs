//! The same for the parsers of authority and monitor.

use std::path::Path;

use rapidhash::v3::rapidhash_v3;
use touchmark_authority::registry::sqlite::SqliteRegistry;
use touchmark_authority::registry::{Intent, Registry};
use touchmark_authority::{Authority, Settings};

use crate::{joined, known_public, known_store, now, pieces, trial_policy};

/// Findings of every kind, one a line.
pub const FINDINGS: &str = include_str!("../../crates/identity/tests/samples/finding-1.ndjson");
/// What a snapshot of the monitor begins with.
const SNAPSHOT_MAGIC: [u8; 4] = *b"TMS4";
/// Serial number of a good certificate in the registry of [`authority`].
pub const GOOD_SERIAL: [u8; 20] = [0x11; 20];
/// Serial number of a certificate that counts as revoked there.
pub const REVOKED_SERIAL: [u8; 20] = [0x22; 20];

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

/// Settings with small bounds, so that an input can reach them.
#[must_use]
pub fn small_settings() -> touchmark_monitor::Settings {
    touchmark_monitor::Settings {
        max_identities: 4,
        remembered_events: 8,
        ..touchmark_monitor::Settings::default()
    }
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
