//! What is known of a fleet: counts, from its registry and from what the monitor wrote down.
//!
//! Plain numbers and words, so that whoever has them, from whatever registry, can fill them in. Words are those of the
//! registry: `secure-element`, `attested`, `hardware-bound`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{EconomicsError, Text};

/// Counts by word.
pub type Counts = BTreeMap<String, u64>;

/// What is known of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetFacts {
    /// What was read, for people: a data directory, or the name of the worked example.
    pub place: String,
    /// When: RFC 3339, UTC. Empty for the worked example.
    pub as_of: String,
    /// Whether this is the worked example, and no fleet at all.
    pub example: bool,
    /// From the registry, where there is one.
    pub registry: Option<RegistryFacts>,
    /// From the log of events and findings, where there is one.
    pub events: Option<EventFacts>,
}

/// What the registry says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryFacts {
    /// Devices.
    pub devices: u64,
    /// Devices by type.
    pub by_type: Counts,
    /// Devices by where they stand: `registered`, `enrolled`, `quarantined`, `revoked`.
    pub by_status: Counts,
    /// Devices with a key and a certificate that was issued for it.
    pub complete: u64,
    /// The newest key of each device.
    pub keys: KeyFacts,
    /// Device certificates.
    pub certificates: CertificateFacts,
    /// Class breaks that were applied, the oldest first.
    pub class_breaks: Vec<String>,
    /// Entries of the authority's journal.
    pub journal_entries: u64,
    /// Whether the journal's chain of hashes is whole.
    pub journal_whole: bool,
    /// Number of the newest CRL of the issuing CA; 0 where there is none.
    pub crl_number: u64,
    /// Whether that CRL has not run out.
    pub crl_current: bool,
}

/// What is known of the newest key of each device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyFacts {
    /// Devices that have a key: as many as newest keys.
    pub devices: u64,
    /// Keys by storage: `software`, `enclave`, `tpm`, `secure-element`.
    pub by_storage: Counts,
    /// Keys by how that is known: `unknown`, `declared`, `journalled`, `attested`.
    pub by_basis: Counts,
    /// Keys by grade, from `exposed` to `hardware-certified`.
    pub by_grade: Counts,
    /// Keys by where they came from: `generated-on-chip` and so on.
    pub by_provenance: Counts,
    /// Keys by host binding: `bound`, `unbound`, `unknown`.
    pub by_host_binding: Counts,
    /// Keys by part, as `VENDOR/MODEL@REVISION`.
    pub by_part: Counts,
    /// Keys whose part is recorded.
    pub with_part: u64,
    /// Keys whose part's library version is recorded.
    pub with_library: u64,
    /// Keys whose part's certification is recorded.
    pub with_certification: u64,
    /// Keys that a TEST root vouches for.
    pub test_endorsed: u64,
    /// Keys that a class break hit.
    pub class_broken: u64,
}

/// What became of device certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateFacts {
    /// Issued at all.
    pub issued: u64,
    /// Good, not replaced and not expired.
    pub in_use: u64,
    /// Of those in use, those that expire soon.
    pub expiring: u64,
    /// The newest of their device, good, and expired.
    pub expired: u64,
    /// On hold.
    pub on_hold: u64,
    /// Revoked.
    pub revoked: u64,
    /// That took another's place.
    pub replacing: u64,
    /// Of those, those that the device asked for with its old certificate.
    pub renewed: u64,
}

/// What the log of events and findings says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventFacts {
    /// Events.
    pub events: u64,
    /// Events by type: `authentication`, `heartbeat` and so on.
    pub by_type: Counts,
    /// Findings by kind: `clone`, `downgrade` and so on.
    pub findings: Counts,
    /// Decisions of people about findings.
    pub decisions: u64,
    /// Cases that were opened for findings.
    pub cases: u64,
    /// Acts in these cases.
    pub acts: u64,
    /// Devices by the firmware version that they reported last.
    pub firmware: Counts,
    /// Devices that reported a firmware version.
    pub firmware_devices: u64,
}

impl FleetFacts {
    /// The worked example that comes with the product.
    ///
    /// # Errors
    /// EC-0001 where it is wrong, which a test excludes.
    pub fn example() -> Result<Self, EconomicsError> {
        let text = include_str!("../../../../data/economics/fleet-example.toml");
        Text { file: "data/economics/fleet-example.toml", text }.parse()
    }

    /// What was read and when, for the origin of a figure.
    #[must_use]
    pub fn origin(&self) -> String {
        let at = if self.as_of.is_empty() { String::new() } else { format!(" as of {}", self.as_of) };
        format!("{}{at}", self.place)
    }
}

/// How many have this word.
#[must_use]
pub fn count(counts: &Counts, word: &str) -> u64 {
    counts.get(word).copied().unwrap_or(0)
}

/// All of them together.
#[must_use]
pub fn total(counts: &Counts) -> u64 {
    counts.values().sum()
}
