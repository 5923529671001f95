//! Evidence on its way from an Attester to the Verifier (RFC 9334 §8.1): a chip's own statement, in the chip's own
//! form, inside a CBOR envelope.
//!
//! A single statement is a conceptual message wrapper in its CBOR record form (draft-ietf-rats-msg-wrap §3.1):
//! an array of a media type (text) and the native statement (bytes). The bytes are again CBOR: one map with small
//! integer keys, listed at each type below. Such a record by itself is an envelope of version 1.
//!
//! An [`Envelope`] of version 2 holds the claims of an Entity Attestation Token (RFC 9711) around such records.

mod cbor;
mod claims;
mod envelope;
mod statements;

#[cfg(test)]
mod tests;

use std::fmt;

use ciborium::Value;

use cbor::{Fields, bytes, list, numbered};

pub use claims::{Claims, OemId, tpm_part, yubico_firmware};
pub use envelope::{Envelope, PROFILE};

use crate::key::sha256;

/// Media type of [`TpmEvidence`].
pub const TPM_MEDIA_TYPE: &str = "application/vnd.touchmark.tpm2-certify+cbor";
/// Media type of [`ElementEvidence`].
pub const ELEMENT_MEDIA_TYPE: &str = "application/vnd.touchmark.se05x-attested-read+cbor";
/// Media type of [`BoundReadEvidence`].
pub const BOUND_READ_MEDIA_TYPE: &str = "application/vnd.touchmark.se05x-bound-read+cbor";
/// Media type of [`Pkcs11Evidence`].
pub const PKCS11_MEDIA_TYPE: &str = "application/vnd.touchmark.pkcs11-attestation+cbor";
/// No envelope is larger than this, in bytes: the firmware's event log of a large machine fits.
pub const MAX_EVIDENCE_BYTES: usize = 256 * 1024;

/// Why bytes are not evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// More bytes than any known kind needs.
    #[error("evidence of {found} bytes is over the limit of {MAX_EVIDENCE_BYTES}")]
    TooLarge {
        /// The number of bytes found.
        found: usize,
    },
    /// Not CBOR, or CBOR of another shape.
    #[error(
        "evidence is neither an entity attestation token in CBOR nor a CBOR array of media type and bytes"
    )]
    NotAnEnvelope,
    /// The claims are made by other rules.
    #[error("the evidence follows the profile {found:?}, not {PROFILE:?}")]
    OtherProfile {
        /// The profile found; empty for none.
        found: String,
    },
    /// A submodule is missing, or holds no record.
    #[error("the evidence has no submodule {name:?} with a statement in it")]
    Submodule {
        /// The submodule.
        name: &'static str,
    },
    /// A map has a key twice.
    #[error("a map in the evidence has a key twice")]
    DoubleKey,
    /// An envelope of a kind that nobody here can appraise.
    #[error("evidence has the unknown media type {found:?}")]
    UnknownKind {
        /// The media type found.
        found: String,
    },
    /// A field is missing or has the wrong type.
    #[error("field {key} ({name}) of the evidence is missing or not {expected}")]
    Field {
        /// The map key.
        key: i64,
        /// What the field means.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// A fresh value that the Verifier chose and the Attester signs: 8 to 64 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

/// The words before a nonce in [`Nonce::possession_bytes`], with the zero byte that ends them.
const POSSESSION_PREFIX: &[u8] = b"touchmark.possession/1\0";

/// A nonce of a length that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a nonce has 8 to 64 bytes, this one has {found}")]
pub struct NonceError {
    /// The number of bytes found.
    pub found: usize,
}

impl Nonce {
    /// Takes bytes that the Verifier chose at random.
    ///
    /// # Errors
    /// [`NonceError`] outside 8 to 64 bytes: below, freshness is guessable; above, TPM2B_DATA cannot hold it.
    pub fn new(bytes: &[u8]) -> Result<Self, NonceError> {
        if (8..=64).contains(&bytes.len()) {
            Ok(Self(bytes.to_vec()))
        } else {
            Err(NonceError { found: bytes.len() })
        }
    }

    /// The bytes as chosen: what a TPM signs as `extraData`.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What a device key signs to show that it answers this nonce itself. The words in front keep it apart from
    /// everything else that the key signs: see [`crate::challenge`].
    #[must_use]
    pub fn possession_bytes(&self) -> Vec<u8> {
        [POSSESSION_PREFIX, &self.0].concat()
    }

    /// What a secure element signs as freshness, which is 16 bytes long there: the nonce itself when it has 16
    /// bytes, else the first 16 bytes of its SHA-256.
    #[must_use]
    pub fn freshness16(&self) -> [u8; 16] {
        let mut short = [0; 16];
        match <[u8; 16]>::try_from(self.0.as_slice()) {
            Ok(exact) => short = exact,
            Err(_) => short.copy_from_slice(sha256(&self.0).split_at(16).0),
        }
        short
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({})", hex::encode(&self.0))
    }
}

/// Evidence of any kind that Touchmark knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// A TPM 2.0 vouches for one of its keys.
    Tpm(TpmEvidence),
    /// A secure element with SE05x-compatible commands vouches for one of its keys.
    Element(ElementEvidence),
    /// The same by an applet of 7.2 or later, whose statement names the command.
    BoundRead(BoundReadEvidence),
    /// A token behind PKCS#11 certified one of its keys.
    Pkcs11(Pkcs11Evidence),
}

/// `TPM2_Certify` of a device key by an attestation key (TCG TPM 2.0 Library part 3, §18.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TpmEvidence {
    /// Key 1: the EK certificate, DER.
    pub ek_certificate: Vec<u8>,
    /// Key 2: intermediate certificates between the EK certificate and its root, DER, may be empty.
    pub ek_chain: Vec<Vec<u8>>,
    /// Key 3: `TPMT_PUBLIC` of the EK.
    pub ek_public: Vec<u8>,
    /// Key 4: `TPMT_PUBLIC` of the attestation key.
    pub ak_public: Vec<u8>,
    /// Key 5: `TPMT_PUBLIC` of the certified device key.
    pub key_public: Vec<u8>,
    /// Key 6: `TPMS_ATTEST`, the signed statement.
    pub certify_info: Vec<u8>,
    /// Key 7: `TPMT_SIGNATURE` over the statement by the attestation key.
    pub signature: Vec<u8>,
}

/// A read of a key object with attestation (NXP AN12413 §4.7, version with the concatenated-values signature).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementEvidence {
    /// Key 1: the chip's attestation certificate, DER.
    pub chip_certificate: Vec<u8>,
    /// Key 2: intermediate certificates up to the root, DER, may be empty.
    pub chip_chain: Vec<Vec<u8>>,
    /// Key 3: response tag 41, the object's data: the uncompressed public point.
    pub data: Vec<u8>,
    /// Key 4: response tag 42, the object's attributes.
    pub attributes: Vec<u8>,
    /// Key 5: response tag 43, the chip's time stamp (12 bytes).
    pub timestamp: Vec<u8>,
    /// Key 6: response tag 44, the freshness value (16 bytes).
    pub freshness: Vec<u8>,
    /// Key 7: response tag 45, the chip's unique id (18 bytes).
    pub chip_id: Vec<u8>,
    /// Key 8: response tag 46, the signature over the concatenated values.
    pub signature: Vec<u8>,
    /// Key 9: the applet version answered to SELECT (7 bytes).
    pub applet_version: Vec<u8>,
}

/// A read of a key object with attestation by an applet of 7.2 or later, which signs the digest of the command and the
/// answer ([`crate::apdu::se05x::bound`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundReadEvidence {
    /// Key 1: the chip's attestation certificate, DER.
    pub chip_certificate: Vec<u8>,
    /// Key 2: intermediate certificates up to the root, DER, may be empty.
    pub chip_chain: Vec<Vec<u8>>,
    /// Key 3: the command with the freshness value: header, length in three bytes, fields; no Le.
    pub command: Vec<u8>,
    /// Key 4: the answer's TLVs `41` to `4F`, byte for byte: public point, chip id, attributes, size, time stamp.
    pub answer: Vec<u8>,
    /// Key 5: the value of the answer's TLV `52`, the signature.
    pub signature: Vec<u8>,
    /// Key 6: the applet version answered to SELECT (7 bytes).
    pub applet_version: Vec<u8>,
}

/// A certificate by which a token states that it made a key itself, as it lies among the token's objects, and the key's
/// own signature: the certificate is as old as the key, so freshness has to come from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Evidence {
    /// Key 1: the certificate for the key, signed by the token's attestation key, DER.
    pub certificate: Vec<u8>,
    /// Key 2: the certificate of the attestation key, and further ones towards the maker's root, DER.
    pub chain: Vec<Vec<u8>>,
    /// Key 3: ECDSA with SHA-256 by the key over [`Nonce::possession_bytes`], DER.
    pub signature: Vec<u8>,
}

impl Evidence {
    /// The media type in the envelope.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Tpm(_) => TPM_MEDIA_TYPE,
            Self::Element(_) => ELEMENT_MEDIA_TYPE,
            Self::BoundRead(_) => BOUND_READ_MEDIA_TYPE,
            Self::Pkcs11(_) => PKCS11_MEDIA_TYPE,
        }
    }

    /// The record: media type and native statement.
    fn record(&self) -> Value {
        Value::Array(vec![Value::Text(self.media_type().to_owned()), Value::Bytes(self.body())])
    }

    fn body(&self) -> Vec<u8> {
        numbered(match self {
            Self::Tpm(e) => vec![
                bytes(&e.ek_certificate),
                list(&e.ek_chain),
                bytes(&e.ek_public),
                bytes(&e.ak_public),
                bytes(&e.key_public),
                bytes(&e.certify_info),
                bytes(&e.signature),
            ],
            Self::Element(e) => vec![
                bytes(&e.chip_certificate),
                list(&e.chip_chain),
                bytes(&e.data),
                bytes(&e.attributes),
                bytes(&e.timestamp),
                bytes(&e.freshness),
                bytes(&e.chip_id),
                bytes(&e.signature),
                bytes(&e.applet_version),
            ],
            Self::BoundRead(e) => vec![
                bytes(&e.chip_certificate),
                list(&e.chip_chain),
                bytes(&e.command),
                bytes(&e.answer),
                bytes(&e.signature),
                bytes(&e.applet_version),
            ],
            Self::Pkcs11(e) => vec![bytes(&e.certificate), list(&e.chain), bytes(&e.signature)],
        })
    }

    /// The bytes of the record, which is an envelope of version 1.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        cbor::write(&self.record())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`EvidenceError`] for anything that is not complete evidence of a known kind; map keys that are not listed
    /// at the kind are ignored, so that evidence may grow.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > MAX_EVIDENCE_BYTES {
            return Err(EvidenceError::TooLarge { found: bytes.len() });
        }
        Self::from_record(&cbor::read(bytes).ok_or(EvidenceError::NotAnEnvelope)?)
    }

    fn from_record(record: &Value) -> Result<Self, EvidenceError> {
        let (kind, body) = statements::parts(record)?;
        let fields = Fields::inside(body)?;
        match kind {
            TPM_MEDIA_TYPE => Ok(Self::Tpm(TpmEvidence {
                ek_certificate: fields.bytes(1, "EK certificate")?,
                ek_chain: fields.list(2, "EK chain")?,
                ek_public: fields.bytes(3, "EK public area")?,
                ak_public: fields.bytes(4, "AK public area")?,
                key_public: fields.bytes(5, "key public area")?,
                certify_info: fields.bytes(6, "certify info")?,
                signature: fields.bytes(7, "signature")?,
            })),
            ELEMENT_MEDIA_TYPE => Ok(Self::Element(ElementEvidence {
                chip_certificate: fields.bytes(1, "chip certificate")?,
                chip_chain: fields.list(2, "chip chain")?,
                data: fields.bytes(3, "object data")?,
                attributes: fields.bytes(4, "object attributes")?,
                timestamp: fields.bytes(5, "time stamp")?,
                freshness: fields.bytes(6, "freshness")?,
                chip_id: fields.bytes(7, "chip id")?,
                signature: fields.bytes(8, "signature")?,
                applet_version: fields.bytes(9, "applet version")?,
            })),
            BOUND_READ_MEDIA_TYPE => Ok(Self::BoundRead(BoundReadEvidence {
                chip_certificate: fields.bytes(1, "chip certificate")?,
                chip_chain: fields.list(2, "chip chain")?,
                command: fields.bytes(3, "command")?,
                answer: fields.bytes(4, "answer")?,
                signature: fields.bytes(5, "signature")?,
                applet_version: fields.bytes(6, "applet version")?,
            })),
            PKCS11_MEDIA_TYPE => Ok(Self::Pkcs11(Pkcs11Evidence {
                certificate: fields.bytes(1, "certificate")?,
                chain: fields.list(2, "chain")?,
                signature: fields.bytes(3, "signature")?,
            })),
            other => Err(EvidenceError::UnknownKind { found: other.chars().take(80).collect() }),
        }
    }

    /// SHA-256 of the record. A certificate and the journal name the one of the whole envelope instead.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.to_cbor())
    }
}
