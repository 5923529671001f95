//! Events: what happened, one JSON object a line (`touchmark.event/1`).
//!
//! A line is read with [`Event::from_line`] and written with [`Event::to_line`]. Names of an identity are brought into
//! one form while reading: hex digits in lower case, no colons, serial numbers without leading zeros. Unknown fields
//! are skipped, because the format may grow by optional fields; an unknown `type` is refused, because nothing could be
//! concluded from it. `docs/schemas/event.schema.json` is the JSON Schema.
//!
//! ```
//! use touchmark_identity::event::{Event, EventBody};
//!
//! let line = br#"{"schema":"touchmark.event/1","type":"heartbeat","time":"2026-11-20T22:00:00Z","source":"gate",
//!     "identity":{"common_name":"meter-000017"},"counter":41,"uptime_ms":900000}"#;
//! let event = Event::from_line(line)?;
//! assert!(matches!(event.body, EventBody::Heartbeat(beat) if beat.counter == Some(41)));
//! # Ok::<(), touchmark_identity::event::EventError>(())
//! ```

mod dn;
mod error;
mod names;
mod renewal;
mod wire;

use std::fmt;
use std::net::IpAddr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use dn::canonical_dn;
pub use error::EventError;
pub use names::{CertSerial, CertSha1, CertSha256, IdentityRef, NameKey, NameKind};
pub use renewal::{Renewal, RenewalOutcome};

use crate::assurance::{Basis, Grade, KeyAssurance, Part, Regime, Storage};
use crate::key::sha256;
use crate::timestamp::Timestamp;

/// The format that this code reads and writes.
pub const SCHEMA: &str = "touchmark.event/1";

/// The longest line that is read, in bytes without its line feed: 64 KiB. A longer one is refused unread.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// The longest text in a field, in bytes. Tokens, which are only compared, are bounded by the line alone.
pub const MAX_TEXT_BYTES: usize = 512;

/// The most aliases that one registry line may name.
pub const MAX_ALIASES: usize = 32;

/// SHA-256 of a raw input line without its line feed: by it anyone can find the line again and re-check a finding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawDigest(pub [u8; 32]);

impl RawDigest {
    /// The digest of one line; a line feed at its end does not count.
    #[must_use]
    pub fn of(line: &[u8]) -> Self {
        Self(sha256(line.strip_suffix(b"\n").unwrap_or(line)))
    }
}

impl fmt::Display for RawDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RawDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One thing that happened to, or was said by, an identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened, by the source's clock.
    pub time: Timestamp,
    /// When the source or a collector took it in; where absent, `time` counts.
    pub received: Option<Timestamp>,
    /// The terminator, broker or collector that says so.
    pub source: String,
    /// Unique per source; a second event of the same id is the same event.
    pub event_id: Option<String>,
    /// Whom it is about, by at least one name.
    pub identity: IdentityRef,
    /// What happened.
    pub body: EventBody,
}

/// What happened; the field `type` on the line.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// `authentication`: a connection proved possession of the identity's key.
    Authentication(Box<Authentication>),
    /// `session_end`: a connection is over.
    SessionEnd(SessionEnd),
    /// `heartbeat`: what the device says of itself, inside an authenticated session.
    Heartbeat(Box<Heartbeat>),
    /// `registry`: what is known of an identity, from then on.
    Registry(Box<Registry>),
}

impl EventBody {
    /// The word in the field `type`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Authentication(_) => "authentication",
            Self::SessionEnd(_) => "session_end",
            Self::Heartbeat(_) => "heartbeat",
            Self::Registry(_) => "registry",
        }
    }
}

/// A connection proved possession of the identity's key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Authentication {
    /// The connection, unique per source.
    pub session: String,
    /// Where it came from.
    pub peer: Option<Peer>,
    /// How it was protected.
    pub tls: Option<Tls>,
    /// The kind of device, as the source knows it.
    pub device_type: Option<String>,
    /// Firmware version, as the device says.
    pub firmware: Option<String>,
    /// The client id of the application protocol. It is not proven by the key and never resolves an identity.
    pub client_id: Option<String>,
    /// The server-issued continuity token that it presented.
    pub token: Option<String>,
    /// The token that it was given in return.
    pub token_issued: Option<String>,
    /// A random number of this boot, as the device says.
    pub boot_id: Option<String>,
    /// The device's counter.
    pub counter: Option<u64>,
    /// Milliseconds since the device booted.
    pub uptime_ms: Option<u64>,
    /// The renewal that was asked for over the connection, if one was.
    pub renewal: Option<Renewal>,
}

/// A connection is over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionEnd {
    /// The connection, as in its `authentication`.
    pub session: String,
    /// How long it was open, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Bytes from the device.
    pub bytes_in: Option<u64>,
    /// Bytes to the device.
    pub bytes_out: Option<u64>,
    /// Messages from the device.
    pub messages_in: Option<u64>,
    /// Messages to the device.
    pub messages_out: Option<u64>,
    /// Why it ended, in the source's words.
    pub reason: Option<String>,
}

/// What the device says of itself, inside an authenticated session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heartbeat {
    /// The connection it came over.
    pub session: Option<String>,
    /// Where it came from.
    pub peer: Option<Peer>,
    /// Advances with each heartbeat.
    pub counter: Option<u64>,
    /// Evidence signed by the element over the counter, in the element's own form; carried, not read here.
    pub counter_quote: Option<serde_json::Value>,
    /// Milliseconds since the device booted; may wrap at 2^32 (49.7 days).
    pub uptime_ms: Option<u64>,
    /// How often the device has booted.
    pub boot_count: Option<u64>,
    /// Firmware version.
    pub firmware: Option<String>,
    /// Security version of the firmware, which only goes up.
    pub security_version: Option<u64>,
    /// The kind of device.
    pub device_type: Option<String>,
    /// The server-issued continuity token that it presented.
    pub token: Option<String>,
    /// The token that it was given in return.
    pub token_issued: Option<String>,
    /// The device's own clock.
    pub device_time: Option<Timestamp>,
    /// Size of the message in bytes.
    pub bytes: Option<u64>,
}

/// What is known of an identity, from then on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registry {
    /// The device that the identity belongs to.
    pub device: String,
    /// The kind of device.
    pub device_type: Option<String>,
    /// Where its key lives and how that is known.
    pub assurance: Option<AssuranceSummary>,
    /// Where it is installed.
    pub home: Option<Home>,
    /// Further names of the same device.
    pub aliases: Vec<IdentityRef>,
    /// What the device's firmware may not be older than.
    pub anti_rollback_floor: Option<AntiRollbackFloor>,
    /// Life-cycle status, such as `active`, `quarantined`, `revoked` or `retired`.
    pub status: Option<String>,
}

/// The other end of a connection. What is given here wins over a look-up database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The autonomous system that the address belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// Country, two letters (ISO 3166-1 alpha-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Latitude in degrees, -90 to 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// Longitude in degrees, -180 to 180.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
}

impl Peer {
    /// A peer of which only the address is known.
    #[must_use]
    pub fn at(ip: IpAddr) -> Self {
        Self { ip, port: None, asn: None, country: None, lat: None, lon: None }
    }
}

/// An autonomous system number (RFC 6793 §3: four octets). JSON: a number; the text `AS64500` is read as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(pub u32);

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

impl Serialize for Asn {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Asn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct AsnVisitor;
        impl Visitor<'_> for AsnVisitor {
            type Value = Asn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an autonomous system number, 0 to 4294967295, or its text with the prefix AS")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Asn, E> {
                u32::try_from(number)
                    .map(Asn)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Asn, E> {
                let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
                digits.parse().map(Asn).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(AsnVisitor)
    }
}

/// How a connection was protected, as far as the source tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Protocol version in the source's words, such as `TLSv1.3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether an earlier session was resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<bool>,
    /// JA4 fingerprint of the client's hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ja4: Option<String>,
    /// Server name that the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
}

/// Where a key lives and how that is known, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssuranceSummary {
    /// What kind of place holds the key.
    pub storage: Storage,
    /// How that is known; absent means unknown.
    #[serde(default = "unknown_basis")]
    pub basis: Basis,
    /// The part, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The grade, where the registry has derived it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Grade>,
}

fn unknown_basis() -> Basis {
    Basis::Unknown
}

impl AssuranceSummary {
    /// How the identity has to be watched. [`Regime::Behaviour`] needs a separate chip, a basis that is a proof
    /// (attested or journalled) and, where a grade is given, one that reaches `hardware-bound`; everything else is
    /// [`Regime::Duplication`]: a claim is not a proof.
    #[must_use]
    pub fn regime(&self) -> Regime {
        let chip = matches!(self.storage, Storage::SecureElement | Storage::Tpm);
        let proven = matches!(self.basis, Basis::Attested | Basis::Journalled);
        let graded = self.grade.is_none_or(|grade| grade.regime() == Regime::Behaviour);
        if chip && proven && graded { Regime::Behaviour } else { Regime::Duplication }
    }

    /// Storage and basis in short, as findings write it: `software/declared`.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{}/{}", self.storage, self.basis)
    }
}

impl From<&KeyAssurance> for AssuranceSummary {
    fn from(record: &KeyAssurance) -> Self {
        Self {
            storage: record.storage,
            basis: record.basis,
            part: record.part.clone(),
            grade: Some(record.grade()),
        }
    }
}

/// Where a device is installed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Home {
    /// Latitude in degrees, -90 to 90.
    pub lat: f64,
    /// Longitude in degrees, -180 to 180.
    pub lon: f64,
    /// How far it may be from there, in kilometres, at least 0.
    pub radius_km: f64,
}

/// What a device's firmware may not be older than. JSON: a number is a security version, a text a firmware version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AntiRollbackFloor {
    /// The lowest security version that is allowed.
    SecurityVersion(u64),
    /// The lowest firmware version that is allowed.
    Firmware(String),
}

impl Serialize for AntiRollbackFloor {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::SecurityVersion(version) => out.serialize_u64(*version),
            Self::Firmware(version) => out.serialize_str(version),
        }
    }
}

impl<'de> Deserialize<'de> for AntiRollbackFloor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct FloorVisitor;
        impl Visitor<'_> for FloorVisitor {
            type Value = AntiRollbackFloor;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a security version (number) or a firmware version (text)")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<AntiRollbackFloor, E> {
                Ok(AntiRollbackFloor::SecurityVersion(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<AntiRollbackFloor, E> {
                Ok(AntiRollbackFloor::Firmware(text.to_owned()))
            }
        }
        from.deserialize_any(FloorVisitor)
    }
}

impl Event {
    /// Reads one line; a line feed at its end does not count.
    ///
    /// # Errors
    /// [`EventError`], by whose fault and which field; nothing is read from a line above [`MAX_LINE_BYTES`].
    pub fn from_line(line: &[u8]) -> Result<Self, EventError> {
        wire::read(line)
    }

    /// Writes one line without a line feed, fields in a fixed order: equal events give equal bytes.
    #[must_use]
    pub fn to_line(&self) -> String {
        wire::write(self)
    }
}

#[cfg(test)]
mod tests;
