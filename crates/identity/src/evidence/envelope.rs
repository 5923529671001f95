//! The envelope of version 2: an unprotected CWT claims set (RFC 9781, tag 601) with the claims of an Entity Attestation
//! Token (RFC 9711) and, in its submodules, the parts' own signed statements.
//!
//! | Key | Claim | Value |
//! |---|---|---|
//! | 10 | `eat_nonce` | the Verifier's nonce |
//! | 256 … 273 | see [`Claims`] | |
//! | 265 | `eat_profile` | [`PROFILE`] |
//! | 266 | `submods` | a map of `key`, `boot`, `counter`, `creation` to claims sets |
//!
//! Each submodule's claims set holds one claim with the private key -70001: the record (media type and native statement)
//! of draft-ietf-rats-msg-wrap §3.1, whose own claim key has no number yet. Nothing in the envelope is signed
//! but what stands in these records. Claims and submodules of other names are ignored.

use ciborium::Value;

use super::cbor::{self, Fields};
use super::claims::Claims;
use super::statements::Statement;
use super::{Evidence, EvidenceError, MAX_EVIDENCE_BYTES, Nonce};
use crate::tpm::proof::{CertifiedCounter, CertifiedCreation, Quote};

/// The rules by which such envelopes are made (RFC 9711 §6).
pub const PROFILE: &str = "tag:touchmark.example,2026:evidence/2";

/// The tag of an unprotected CWT claims set (RFC 9781 §7.1).
const UNPROTECTED_CLAIMS: u64 = 601;
const EAT_NONCE: i64 = 10;
const EAT_PROFILE: i64 = 265;
const SUBMODS: i64 = 266;
/// A claim key for private use (RFC 8392 §9.1: less than -65536).
const RECORD: i64 = -70_001;

/// What an Attester sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The nonce that it answers; absent in version 1, where the native statement alone has it.
    pub nonce: Option<Nonce>,
    /// The claims; none in version 1.
    pub claims: Claims,
    /// Where the device's key lives.
    pub key: Evidence,
    /// How the platform started.
    pub boot: Option<Quote>,
    /// A counter's value.
    pub counter: Option<CertifiedCounter>,
    /// The TPM made the key itself.
    pub creation: Option<CertifiedCreation>,
}

impl Envelope {
    /// An envelope of version 2 around one statement, with the claims that follow from it.
    #[must_use]
    pub fn new(nonce: &Nonce, key: Evidence) -> Self {
        let claims = Claims::of(&key, None);
        Self { nonce: Some(nonce.clone()), claims, key, boot: None, counter: None, creation: None }
    }

    /// The same with a quote, and the measurements that follow from it.
    #[must_use]
    pub fn with_boot(mut self, boot: Quote) -> Self {
        self.claims = Claims::of(&self.key, Some(&boot));
        self.boot = Some(boot);
        self
    }

    /// The version: 1 for a record by itself.
    #[must_use]
    pub fn version(&self) -> u8 {
        if self.nonce.is_some() { 2 } else { 1 }
    }

    /// The bytes. Without a nonce they are those of version 1: the record of the key alone.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let Some(nonce) = &self.nonce else { return self.key.to_cbor() };
        let mut submods = vec![("key", self.key.record())];
        submods.extend(self.boot.as_ref().map(|boot| ("boot", boot.record())));
        submods.extend(self.counter.as_ref().map(|counter| ("counter", counter.record())));
        submods.extend(self.creation.as_ref().map(|creation| ("creation", creation.record())));
        let submods = submods.into_iter().map(|(name, record)| {
            (Value::Text(name.to_owned()), Value::Map(vec![(Value::from(RECORD), record)]))
        });
        let mut claims = vec![
            (Value::from(EAT_NONCE), cbor::bytes(nonce.bytes())),
            (Value::from(EAT_PROFILE), Value::Text(PROFILE.to_owned())),
        ];
        claims.extend(self.claims.entries());
        claims.push((Value::from(SUBMODS), Value::Map(submods.collect())));
        cbor::write(&Value::Tag(UNPROTECTED_CLAIMS, Box::new(Value::Map(claims))))
    }

    /// Reads an envelope of either version.
    ///
    /// # Errors
    /// [`EvidenceError`] for anything else, for another profile, and without evidence of a known kind about a key.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > MAX_EVIDENCE_BYTES {
            return Err(EvidenceError::TooLarge { found: bytes.len() });
        }
        let claims = match cbor::read(bytes).ok_or(EvidenceError::NotAnEnvelope)? {
            Value::Tag(UNPROTECTED_CLAIMS, claims) => match *claims {
                Value::Map(claims) => Fields::without_doubles(claims)?,
                _ => return Err(EvidenceError::NotAnEnvelope),
            },
            record => {
                let key = Evidence::from_record(&record)?;
                let claims = Claims::default();
                return Ok(Self { nonce: None, claims, key, boot: None, counter: None, creation: None });
            }
        };
        match claims.value(EAT_PROFILE) {
            Some(Value::Text(profile)) if profile == PROFILE => {}
            Some(Value::Text(other)) => {
                return Err(EvidenceError::OtherProfile { found: other.chars().take(80).collect() });
            }
            _ => return Err(EvidenceError::OtherProfile { found: String::new() }),
        }
        let nonce = claims.bytes(EAT_NONCE, "eat_nonce")?;
        let nonce = Nonce::new(&nonce).map_err(|_| EvidenceError::Field {
            key: EAT_NONCE,
            name: "eat_nonce",
            expected: "8 to 64 bytes",
        })?;
        let submods = match claims.value(SUBMODS) {
            Some(Value::Map(submods)) => Fields::without_doubles(submods.clone())?,
            _ => {
                return Err(EvidenceError::Field { key: SUBMODS, name: "submods", expected: "a map" });
            }
        };
        Ok(Self {
            nonce: Some(nonce),
            claims: Claims::read(&claims)?,
            key: match record(&submods, "key")? {
                Some(record) => Evidence::from_record(record)?,
                None => return Err(EvidenceError::Submodule { name: "key" }),
            },
            boot: record(&submods, "boot")?.map(Quote::from_record).transpose()?,
            counter: record(&submods, "counter")?.map(CertifiedCounter::from_record).transpose()?,
            creation: record(&submods, "creation")?.map(CertifiedCreation::from_record).transpose()?,
        })
    }
}

/// The record in a submodule; none where there is no such submodule.
fn record<'a>(submods: &'a Fields, name: &'static str) -> Result<Option<&'a Value>, EvidenceError> {
    let Some((_, submodule)) = submods.0.iter().find(|(key, _)| key.as_text() == Some(name)) else {
        return Ok(None);
    };
    let wrong = EvidenceError::Submodule { name };
    let Value::Map(claims) = submodule else { return Err(wrong) };
    let record = claims.iter().find(|(key, _)| *key == Value::from(RECORD));
    record.map(|(_, record)| Some(record)).ok_or(wrong)
}
