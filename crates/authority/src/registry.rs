//! The registry: which devices there are, which keys they hold, which certificates were intended, issued, revoked.
//!
//! [`Registry`] is the one way to storage. Each method is one transaction: when it returns, what it wrote survives a
//! crash and a power loss; when it fails, nothing of it is there.

pub mod chain;
pub mod journal;
pub mod sqlite;
pub mod survey;

use serde::{Deserialize, Serialize};
use touchmark_identity::assurance::{ClassBreak, KeyAssurance, Storage};
use touchmark_identity::ids::{DeviceId, DeviceType};
use touchmark_identity::key::SpkiHash;
use touchmark_identity::timestamp::Timestamp;

use chain::RefusedRenewal;
use journal::JournalEntry;

/// Why the registry did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// RG-0001, caller: an entry of this name exists.
    #[error("there is a {what} {name} already")]
    Exists {
        /// `device`, `key` or `certificate`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// RG-0002, caller: there is no such entry, or it is not in the state that the change starts from.
    #[error("there is no {what} {name} in the state that this change starts from")]
    Missing {
        /// `device`, `key` or `certificate`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// RG-0003, environment: the database refused; nothing was written.
    #[error("the database refused to {action}; check the disk's space and permissions")]
    Database {
        /// What was being done.
        action: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// RG-0004, environment: a row cannot be read. It is left as it is.
    #[error("a row of table {table} is damaged: {detail}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What was expected and found.
        detail: String,
    },
    /// RG-0005, environment: the journal's chain of hashes is broken.
    #[error("the journal is broken at entry {entry}: its hash is not that of its content and predecessor")]
    JournalBroken {
        /// The first entry that does not fit.
        entry: u64,
    },
    /// RG-0006, environment: the database was written by a newer program.
    #[error("the database has schema {found}, this program knows {known}; use the newer program")]
    Schema {
        /// The version found.
        found: u32,
        /// The version known.
        known: u32,
    },
    /// RG-0007, environment: another process holds the registry.
    #[error("another process holds the registry in {path}; stop it, or ask it through its control socket")]
    Held {
        /// The data directory.
        path: String,
    },
    /// RG-0008, caller: the directory has no registry.
    #[error("there is no registry in {path}; name the data directory of an authority")]
    Absent {
        /// The directory.
        path: String,
    },
}

impl RegistryError {
    /// The stable code, as listed in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "RG-0001",
            Self::Missing { .. } => "RG-0002",
            Self::Database { .. } => "RG-0003",
            Self::Damaged { .. } => "RG-0004",
            Self::JournalBroken { .. } => "RG-0005",
            Self::Schema { .. } => "RG-0006",
            Self::Held { .. } => "RG-0007",
            Self::Absent { .. } => "RG-0008",
        }
    }
}

/// Where a device stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceStatus {
    /// Known to the operator, without a certificate.
    Registered,
    /// In service.
    Enrolled,
    /// Held back: its certificates are on hold, and may be released.
    Quarantined,
    /// Its certificates are revoked, for good.
    Revoked,
}

impl DeviceStatus {
    /// The word in JSON and on the dashboard.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Enrolled => "enrolled",
            Self::Quarantined => "quarantined",
            Self::Revoked => "revoked",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Registered, Self::Enrolled, Self::Quarantined, Self::Revoked]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

impl std::fmt::Display for DeviceStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its name.
    pub id: DeviceId,
    /// Its kind.
    pub device_type: DeviceType,
    /// Where it stands.
    pub status: DeviceStatus,
    /// Why it stands there, in the words of whoever changed it last.
    pub reason: Option<String>,
    /// When it was registered.
    pub registered: Timestamp,
    /// When its state changed last.
    pub changed: Timestamp,
}

/// The one-time token with which a device enrols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolToken {
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// After this moment it opens nothing.
    pub expires: Timestamp,
    /// The key for which it was spent.
    pub spent_for: Option<SpkiHash>,
}

/// A key with what is known about where it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRecord {
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub spki_sha256: SpkiHash,
    /// The device that holds it.
    pub device: DeviceId,
    /// What the device claimed.
    pub claimed: Option<Storage>,
    /// What is known.
    pub assurance: KeyAssurance,
    /// The evidence, as it came.
    #[serde(skip)]
    pub evidence: Option<Vec<u8>>,
    /// The endorser whose root the evidence chains to.
    pub endorser: Option<String>,
    /// Why a claim was not proven, one reason a line.
    pub reasons: Vec<String>,
    /// When this was written.
    pub recorded: Timestamp,
}

/// What became of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateStatus {
    /// Written down, not known to be signed.
    Intended,
    /// Issued and good.
    Good,
    /// On hold (RFC 5280 §5.3.1 `certificateHold`).
    Hold,
    /// Revoked for good.
    Revoked,
    /// Intended, and its signature was lost in a crash: treated as revoked, for it may have been made.
    Orphaned,
}

impl CertificateStatus {
    /// The word in JSON and on the dashboard.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Good => "good",
            Self::Hold => "hold",
            Self::Revoked => "revoked",
            Self::Orphaned => "orphaned",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Intended, Self::Good, Self::Hold, Self::Revoked, Self::Orphaned]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

/// Why a certificate is revoked (RFC 5280 §5.3.1), as far as this authority says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// Nothing said.
    Unspecified = 0,
    /// The private key is in other hands: the reason for a clone.
    KeyCompromise = 1,
    /// Another certificate took its place.
    Superseded = 4,
    /// The device is out of use.
    CessationOfOperation = 5,
    /// On hold.
    CertificateHold = 6,
}

impl RevocationReason {
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        [
            Self::Unspecified,
            Self::KeyCompromise,
            Self::Superseded,
            Self::CessationOfOperation,
            Self::CertificateHold,
        ]
        .into_iter()
        .find(|r| *r as i64 == number)
    }
}

impl std::str::FromStr for RevocationReason {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unspecified" => Ok(Self::Unspecified),
            "key-compromise" => Ok(Self::KeyCompromise),
            "superseded" => Ok(Self::Superseded),
            "cessation-of-operation" => Ok(Self::CessationOfOperation),
            other => Err(format!(
                "{other:?} is none of: unspecified, key-compromise, superseded, cessation-of-operation"
            )),
        }
    }
}

/// A certificate before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// 20 bytes, never used before.
    pub serial: Vec<u8>,
    /// The profile's name.
    pub profile: &'static str,
    /// The device, for a device certificate.
    pub device: Option<DeviceId>,
    /// The key.
    pub spki_sha256: SpkiHash,
    /// What will be signed, DER.
    pub tbs: Vec<u8>,
    /// What is known about the key, written in the same transaction. `None` leaves the key's record as it is.
    pub key: Option<KeyRecord>,
    /// The end of its validity.
    pub not_after_s: u64,
    /// Whether the device's enrolment token is spent on it.
    pub spends_token: bool,
    /// The serial number of the certificate whose place it takes, for a device certificate that is not the first.
    pub predecessor: Option<Vec<u8>>,
    /// Whether it was asked for with its predecessor.
    pub renewal: bool,
}

/// A certificate in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateRecord {
    /// The serial number, in hex.
    #[serde(with = "hex::serde")]
    pub serial: Vec<u8>,
    /// The profile's name.
    pub profile: String,
    /// The device, for a device certificate.
    pub device: Option<DeviceId>,
    /// The key.
    pub spki_sha256: SpkiHash,
    /// What became of it.
    pub status: CertificateStatus,
    /// Why, when revoked or on hold.
    pub reason: Option<RevocationReason>,
    /// Since when it is revoked or on hold.
    pub revoked: Option<Timestamp>,
    /// When it was issued.
    pub issued: Option<Timestamp>,
    /// The end of its validity, seconds since 1970.
    pub not_after_s: u64,
    /// The certificate.
    #[serde(skip)]
    pub der: Option<Vec<u8>>,
    /// SHA-1 of the certificate, hex: the name that nginx logs.
    pub cert_sha1: Option<String>,
    /// SHA-256 of the certificate, hex.
    pub cert_sha256: Option<String>,
    /// The serial number of the certificate whose place it took.
    #[serde(serialize_with = "hex_or_none")]
    pub predecessor: Option<Vec<u8>>,
    /// Whether it was asked for with its predecessor.
    pub renewal: bool,
    /// For an issued device certificate: its [`chain::link`].
    #[serde(serialize_with = "hex_or_none")]
    pub link: Option<[u8; 32]>,
    /// When it was first seen to be used.
    pub first_used: Option<Timestamp>,
}

fn hex_or_none<S: serde::Serializer>(bytes: &Option<impl AsRef<[u8]>>, out: S) -> Result<S::Ok, S::Error> {
    bytes.as_ref().map(hex::encode).serialize(out)
}

/// A certificate that a CRL lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedEntry {
    /// The serial number.
    pub serial: Vec<u8>,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// A CRL as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlRecord {
    /// Its number (RFC 5280 §5.2.3).
    pub number: u64,
    /// Built at.
    pub this_update: Timestamp,
    /// Replaced before.
    pub next_update: Timestamp,
    /// The CRL.
    pub der: Vec<u8>,
}

/// A change of a device's state with what it means for its certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusChange {
    /// Hold its good certificates.
    Quarantine,
    /// Release its held certificates.
    Release,
    /// Revoke its good and held certificates.
    Revoke(RevocationReason),
}

/// The one way to storage. Methods block; each is one durable transaction.
pub trait Registry: Send {
    /// Adds a device with its enrolment token.
    ///
    /// # Errors
    /// [`RegistryError::Exists`] when the device is there.
    fn add_device(
        &mut self,
        id: &DeviceId,
        device_type: &DeviceType,
        token: &EnrolToken,
        at: Timestamp,
    ) -> Result<(), RegistryError>;

    /// Gives a device a new enrolment token in place of its old one.
    ///
    /// # Errors
    /// [`RegistryError::Missing`] when there is no such device.
    fn replace_token(
        &mut self,
        id: &DeviceId,
        token: &EnrolToken,
        at: Timestamp,
    ) -> Result<(), RegistryError>;

    /// A device.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn device(&mut self, id: &DeviceId) -> Result<Option<Device>, RegistryError>;

    /// All devices, by name.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn devices(&mut self) -> Result<Vec<Device>, RegistryError>;

    /// A device's enrolment token.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn token(&mut self, id: &DeviceId) -> Result<Option<EnrolToken>, RegistryError>;

    /// Changes a device's state and its certificates with it.
    ///
    /// # Errors
    /// [`RegistryError::Missing`] when there is no such device.
    fn change_status(
        &mut self,
        id: &DeviceId,
        change: StatusChange,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), RegistryError>;

    /// Writes down what is about to be signed. A serial number that was ever used is refused.
    ///
    /// # Errors
    /// [`RegistryError::Exists`] when the serial number was used before.
    fn intend(&mut self, intent: &Intent, at: Timestamp) -> Result<(), RegistryError>;

    /// Writes down what was signed; from here on it may be handed out.
    ///
    /// # Errors
    /// [`RegistryError::Missing`] when there is no such intent.
    fn complete(&mut self, serial: &[u8], der: &[u8], at: Timestamp) -> Result<(), RegistryError>;

    /// Turns every intent without a certificate into an orphan, which counts as revoked, and gives the devices back
    /// tokens that were spent on nothing. Returns the serial numbers. Called once, at the start.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn close_intents(&mut self, at: Timestamp) -> Result<Vec<Vec<u8>>, RegistryError>;

    /// What is known of a key.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn key(&mut self, spki: &SpkiHash) -> Result<Option<KeyRecord>, RegistryError>;

    /// All keys by device, the newest of each last; of one device, when one is named.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn keys(&mut self, device: Option<&DeviceId>) -> Result<Vec<KeyRecord>, RegistryError>;

    /// Records a class break, and the lowered records of the keys that it hits.
    ///
    /// # Errors
    /// [`RegistryError::Exists`] when one of this id is recorded.
    fn add_class_break(
        &mut self,
        entry: &ClassBreak,
        lowered: &[KeyRecord],
        at: Timestamp,
    ) -> Result<(), RegistryError>;

    /// All class breaks, the oldest first.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn class_breaks(&mut self) -> Result<Vec<ClassBreak>, RegistryError>;

    /// A certificate by its serial number.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn certificate(&mut self, serial: &[u8]) -> Result<Option<CertificateRecord>, RegistryError>;

    /// A certificate by its SHA-256 in lower-case hex.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn certificate_by_sha256(
        &mut self,
        cert_sha256: &str,
    ) -> Result<Option<CertificateRecord>, RegistryError>;

    /// Writes down that a certificate was used. The first moment stays.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn mark_used(&mut self, serial: &[u8], at: Timestamp) -> Result<(), RegistryError>;

    /// Journals a renewal that was refused; of one certificate, once an hour at most.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn refuse_renewal(&mut self, refused: &RefusedRenewal<'_>, at: Timestamp) -> Result<(), RegistryError>;

    /// All certificates of a profile, newest first; of one device, when one is named.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn certificates(
        &mut self,
        profile: &str,
        device: Option<&DeviceId>,
    ) -> Result<Vec<CertificateRecord>, RegistryError>;

    /// What the issuing CA's CRL lists: certificates that are on hold, revoked or orphaned.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn revoked(&mut self) -> Result<Vec<RevokedEntry>, RegistryError>;

    /// The newest CRL of this CA (`issuing` or `root`).
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn latest_crl(&mut self, ca: &str) -> Result<Option<CrlRecord>, RegistryError>;

    /// Stores a CRL, whose number must be new.
    ///
    /// # Errors
    /// [`RegistryError::Exists`] when the number was used.
    fn add_crl(&mut self, ca: &str, crl: &CrlRecord) -> Result<(), RegistryError>;

    /// When a device or certificate changed its state last.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn last_status_change(&mut self) -> Result<Option<Timestamp>, RegistryError>;

    /// Journal entries from a number on, at most `limit`.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn journal(&mut self, from: u64, limit: u32) -> Result<Vec<JournalEntry>, RegistryError>;

    /// The newest journal entries about one subject, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    fn journal_of(&mut self, subject: &str, limit: u32) -> Result<Vec<JournalEntry>, RegistryError>;

    /// Recomputes the journal's chain and returns the number of its entries.
    ///
    /// # Errors
    /// [`RegistryError::JournalBroken`] at the first entry that does not fit.
    fn verify_journal(&mut self) -> Result<u64, RegistryError>;
}
