//! Findings: what the monitor concluded and why, one JSON object a line (`touchmark.finding/1`).
//!
//! A finding is an argument, not an alarm: it names the rule, the instances side by side, the evidence for and against
//! with its weight, the harmless causes that were considered, and the raw lines by which anyone can check it again. A
//! finding that grows is written again under the same `id` with a higher `revision`; `closed` ends it.
//! `docs/schemas/finding.schema.json` is the JSON Schema.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::assurance::{Regime, UnknownWord, kebab_enum};
use crate::event::{IdentityRef, RawDigest};
use crate::key::sha256;
use crate::text::printable;
use crate::timestamp::Timestamp;

/// The format that this code reads and writes.
pub const SCHEMA: &str = "touchmark.finding/1";

/// The longest line that is read, in bytes without its line feed: 64 KiB.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

kebab_enum! {
    /// What it is about.
    Kind {
        /// Two instances answer under one copyable key.
        Clone = 0 => "clone",
        /// One key is used from two places at once, although it is proven to live in a chip.
        ConcurrentSession = 1 => "concurrent-session",
        /// Another instance has taken over and the original is silent.
        Takeover = 2 => "takeover",
        /// A recorded message came again.
        Replay = 3 => "replay",
        /// Older firmware than allowed or than reported before.
        Downgrade = 4 => "downgrade",
        /// The device is not where it is installed.
        Relocation = 5 => "relocation",
        /// The device does not behave as it or its kind usually does.
        Behaviour = 6 => "behaviour",
        /// The chip works on another board.
        Transplant = 7 => "transplant",
        /// The chip signs for somebody else.
        OracleUse = 8 => "oracle-use",
        /// A second instance listens and says nothing.
        ReadOnlyClone = 9 => "read-only-clone",
        /// An installer put one image on several devices.
        InstallerDuplicate = 10 => "installer-duplicate",
        /// Many devices changed together.
        FleetIncident = 11 => "fleet-incident",
        /// The source of the events is at fault.
        SourceFault = 12 => "source-fault",
    }
}

kebab_enum! {
    /// How sure it is. The order is that of certainty.
    Certainty {
        /// Worth writing down.
        Note = 0 => "note",
        /// More likely than not.
        Suspect = 1 => "suspect",
        /// Impossible for one device. Only this may be followed by an act without a person.
        Confirmed = 2 => "confirmed",
    }
}

kebab_enum! {
    /// What is proposed. It is never an order: policy decides, and revocation is never proposed, because on passive
    /// evidence it hits the original as well.
    Action {
        /// Nothing.
        None = 0 => "none",
        /// Keep the identity under observation.
        Watch = 1 => "watch",
        /// Send somebody to the device.
        WorkOrder = 2 => "work-order",
        /// Ask every instance for fresh proof, and evidence where its class claims a chip.
        ChallengeBoth = 3 => "challenge-both",
        /// Cut the identity's rights until a person has decided. Proposed by confirmed findings alone.
        Quarantine = 4 => "quarantine",
    }
}

/// The format's name; another one is refused while reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Schema;

impl TryFrom<String> for Schema {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == SCHEMA {
            Ok(Self)
        } else {
            Err(format!(
                "the schema is {:?}, this reads {SCHEMA:?}",
                text.chars().take(64).collect::<String>()
            ))
        }
    }
}

impl From<Schema> for &'static str {
    fn from(_: Schema) -> Self {
        SCHEMA
    }
}

/// Names a finding over all its revisions: 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FindingId([u8; 16]);

impl FindingId {
    /// The id follows from what the finding is about, so that a replay gives the same one: the first half of SHA-256
    /// over the identity's strongest name, the kind, the first rule and the raw line at which the matter began.
    #[must_use]
    pub fn derive(identity: &IdentityRef, kind: Kind, rule: &str, began: RawDigest) -> Self {
        let name = identity.names().next();
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(name.map_or([0; 32], |name| name.digest));
        bytes.extend([name.map_or(u8::MAX, |name| name.kind as u8), kind as u8]);
        bytes.extend(began.0);
        bytes.extend(rule.as_bytes());
        let mut id = [0; 16];
        id.iter_mut().zip(sha256(&bytes)).for_each(|(to, from)| *to = from);
        Self(id)
    }
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl From<FindingId> for String {
    fn from(id: FindingId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for FindingId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let mut id = [0; 16];
        hex::decode_to_slice(&text, &mut id).map_err(|_| "a finding's id is 32 hex digits".to_owned())?;
        Ok(Self(id))
    }
}

/// One instance that answers under the identity, as far as it could be told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Its number, unique within the identity.
    pub id: u32,
    /// When it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// When it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// How many events it sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sightings: Option<u64>,
    /// When it booted, as its uptime says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted: Option<Timestamp>,
    /// How often it had booted, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_count: Option<u64>,
    /// First counter it sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_first: Option<u64>,
    /// Highest counter it sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_last: Option<u64>,
    /// Networks it came from: `AS64500`, or a prefix such as `192.0.2.0/24`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Firmware versions it reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firmware: Vec<String>,
}

/// Which instance is thought to be the original.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Original {
    /// The branch.
    pub branch: u32,
    /// How likely, 0 to 1.
    pub probability: f64,
}

/// One sign, for or against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The sign's stable name.
    pub sign: String,
    /// Its weight in decibans (ten times the decimal logarithm of the likelihood ratio); negative ones exonerate.
    pub decibans: f64,
    /// Signs of one group have one cause; the strongest of a group counts.
    pub group: String,
    /// In plain words.
    pub says: String,
}

/// A harmless cause that was considered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenignCause {
    /// The cause.
    pub cause: String,
    /// Why it does not explain what was seen; begins with `not rejected:` where it still may.
    pub rejected_because: String,
}

/// The way back to a raw input line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRef {
    /// The event's source.
    pub source: String,
    /// The event's id, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// SHA-256 of the raw line without its line feed, 64 lower-case hex digits.
    #[serde(with = "digest_text")]
    pub sha256: RawDigest,
}

mod digest_text {
    use super::RawDigest;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(digest: &RawDigest, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RawDigest, D::Error> {
        let mut digest = [0; 32];
        hex::decode_to_slice(String::deserialize(from)?, &mut digest).map_err(serde::de::Error::custom)?;
        Ok(RawDigest(digest))
    }
}

/// What was concluded about one identity. Fields are written in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The format.
    pub schema: Schema,
    /// Names the finding over all its revisions.
    pub id: FindingId,
    /// Counts the times it was written, from 1.
    #[serde(default = "first_revision")]
    pub revision: u32,
    /// Whom it is about.
    pub identity: IdentityRef,
    /// The device, where the registry knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What it is about.
    pub kind: Kind,
    /// How sure it is.
    pub grade: Certainty,
    /// How the identity is watched.
    pub regime: Regime,
    /// Why it is watched so: storage and basis, such as `software/declared`, or `unregistered`.
    pub regime_basis: String,
    /// When the matter began.
    pub first_event: Timestamp,
    /// The event time at which this revision could first be known.
    pub detected: Timestamp,
    /// The rules that fired, in the order in which they did.
    pub rules: Vec<String>,
    /// The instances side by side.
    pub branches: Vec<Branch>,
    /// Which of them is thought to be the original; `null` when undecided.
    pub original: Option<Original>,
    /// Signs for and against.
    pub evidence: Vec<Evidence>,
    /// Harmless causes that were considered.
    pub benign_causes: Vec<BenignCause>,
    /// The raw lines that it rests on: the first and the latest.
    pub events: Vec<EventRef>,
    /// What is proposed.
    pub action: Action,
    /// One paragraph in plain words.
    pub says: String,
    /// When it ended, and that it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Timestamp>,
}

fn first_revision() -> u32 {
    1
}

/// Why a line is not a finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindingError {
    /// FN-0001, peer: the line is longer than is read.
    #[error("the line has {found} bytes, at most {max} are read")]
    TooLong {
        /// Bytes in the line.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// FN-0002, peer: not a JSON object of this format, or of another version of it.
    #[error("the line is not a JSON object of the format {SCHEMA}: {detail}")]
    Malformed {
        /// What the JSON reader expected and found, and where.
        detail: String,
    },
}

impl FindingError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "FN-0001",
            Self::Malformed { .. } => "FN-0002",
        }
    }
}

impl Finding {
    /// Reads one line; a line feed at its end does not count.
    ///
    /// # Errors
    /// [`FindingError`]; nothing is read from a line above [`MAX_LINE_BYTES`].
    pub fn from_line(line: &[u8]) -> Result<Self, FindingError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() > MAX_LINE_BYTES {
            return Err(FindingError::TooLong { found: line.len(), max: MAX_LINE_BYTES });
        }
        serde_json::from_slice(line)
            .map_err(|error| FindingError::Malformed { detail: printable(&error.to_string(), 200) })
    }

    /// Writes one line without a line feed, fields in a fixed order: equal findings give equal bytes.
    #[must_use]
    pub fn to_line(&self) -> String {
        #[expect(
            clippy::expect_used,
            reason = "a record of texts, numbers and finite floats always has a JSON form"
        )]
        serde_json::to_string(self).expect("a finding is plain data")
    }
}

#[cfg(test)]
mod tests;
