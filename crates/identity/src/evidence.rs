//! Evidence on its way from an Attester to the Verifier (RFC 9334 §8.1): a chip's own statement, in the chip's own
//! form, inside a small CBOR envelope.
//!
//! The envelope is a conceptual message wrapper in its CBOR record form (draft-ietf-rats-msg-wrap §3.1):
//! an array of a media type (text) and the native statement (bytes). The bytes are again CBOR: one map with small
//! integer keys, listed at each type below.

use std::fmt;

use ciborium::Value;

use crate::key::sha256;

/// Media type of [`TpmEvidence`].
pub const TPM_MEDIA_TYPE: &str = "application/vnd.touchmark.tpm2-certify+cbor";
/// Media type of [`ElementEvidence`].
pub const ELEMENT_MEDIA_TYPE: &str = "application/vnd.touchmark.se05x-attested-read+cbor";
/// No evidence of a known kind is larger than this, in bytes.
pub const MAX_EVIDENCE_BYTES: usize = 64 * 1024;

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
    #[error("evidence is not a CBOR array of media type and bytes")]
    NotAnEnvelope,
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
        key: u8,
        /// What the field means.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// A fresh value that the Verifier chose and the Attester signs: 8 to 64 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

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

impl Evidence {
    /// The media type in the envelope.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Tpm(_) => TPM_MEDIA_TYPE,
            Self::Element(_) => ELEMENT_MEDIA_TYPE,
        }
    }

    /// The envelope's bytes.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let bytes = |v: &[u8]| Value::Bytes(v.to_vec());
        let list = |v: &[Vec<u8>]| Value::Array(v.iter().map(|item| Value::Bytes(item.clone())).collect());
        let fields = match self {
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
        };
        let map = Value::Map((1u8..).map(Value::from).zip(fields).collect());
        let envelope =
            Value::Array(vec![Value::Text(self.media_type().to_owned()), Value::Bytes(write_cbor(&map))]);
        write_cbor(&envelope)
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// [`EvidenceError`] for anything that is not complete evidence of a known kind; map keys that are not listed
    /// at the kind are ignored, so that evidence may grow.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > MAX_EVIDENCE_BYTES {
            return Err(EvidenceError::TooLarge { found: bytes.len() });
        }
        let Some(Value::Array(parts)) = read_cbor(bytes) else { return Err(EvidenceError::NotAnEnvelope) };
        let [Value::Text(kind), Value::Bytes(body)] = parts.as_slice() else {
            return Err(EvidenceError::NotAnEnvelope);
        };
        let fields = Fields(match read_cbor(body) {
            Some(Value::Map(map)) => map,
            _ => return Err(EvidenceError::NotAnEnvelope),
        });
        match kind.as_str() {
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
            other => Err(EvidenceError::UnknownKind { found: other.chars().take(80).collect() }),
        }
    }

    /// SHA-256 of the envelope: what a certificate and the journal name instead of the evidence itself.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.to_cbor())
    }
}

struct Fields(Vec<(Value, Value)>);

impl Fields {
    fn value(&self, key: u8) -> Option<&Value> {
        self.0.iter().find(|(k, _)| *k == Value::from(key)).map(|(_, v)| v)
    }

    fn bytes(&self, key: u8, name: &'static str) -> Result<Vec<u8>, EvidenceError> {
        match self.value(key) {
            Some(Value::Bytes(bytes)) => Ok(bytes.clone()),
            _ => Err(EvidenceError::Field { key, name, expected: "a byte string" }),
        }
    }

    fn list(&self, key: u8, name: &'static str) -> Result<Vec<Vec<u8>>, EvidenceError> {
        let wrong = EvidenceError::Field { key, name, expected: "an array of byte strings" };
        let Some(Value::Array(items)) = self.value(key) else { return Err(wrong) };
        items
            .iter()
            .map(|item| match item {
                Value::Bytes(bytes) => Ok(bytes.clone()),
                _ => Err(wrong.clone()),
            })
            .collect()
    }
}

fn write_cbor(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing a `Value` without floats or tags into memory has no way to fail.
    let _infallible = ciborium::into_writer(value, &mut out);
    out
}

/// Reads exactly one CBOR item; trailing bytes are refused, nesting is limited.
fn read_cbor(bytes: &[u8]) -> Option<Value> {
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, 8).ok()?;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..40)
    }

    fn tpm() -> impl Strategy<Value = Evidence> {
        let parts =
            (bytes(), proptest::collection::vec(bytes(), 0..3), bytes(), bytes(), bytes(), bytes(), bytes());
        parts.prop_map(
            |(ek_certificate, ek_chain, ek_public, ak_public, key_public, certify_info, signature)| {
                Evidence::Tpm(TpmEvidence {
                    ek_certificate,
                    ek_chain,
                    ek_public,
                    ak_public,
                    key_public,
                    certify_info,
                    signature,
                })
            },
        )
    }

    fn element() -> impl Strategy<Value = Evidence> {
        (bytes(), proptest::collection::vec(bytes(), 0..3), bytes(), bytes(), bytes()).prop_map(
            |(chip_certificate, chip_chain, data, attributes, signature)| {
                Evidence::Element(ElementEvidence {
                    chip_certificate,
                    chip_chain,
                    data,
                    attributes,
                    timestamp: vec![1; 12],
                    freshness: vec![2; 16],
                    chip_id: vec![3; 18],
                    signature,
                    applet_version: vec![4; 7],
                })
            },
        )
    }

    proptest! {
        #[test]
        fn round_trip(evidence in prop_oneof![tpm(), element()]) {
            prop_assert_eq!(Evidence::from_cbor(&evidence.to_cbor()).unwrap(), evidence);
        }

        #[test]
        fn every_truncation_is_refused(evidence in tpm()) {
            let whole = evidence.to_cbor();
            for end in 0..whole.len() {
                prop_assert!(Evidence::from_cbor(&whole[..end]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Evidence::from_cbor(&bytes);
        }
    }

    #[test]
    fn says_what_is_missing() {
        let envelope = write_cbor(&Value::Array(vec![
            Value::Text(TPM_MEDIA_TYPE.into()),
            Value::Bytes(write_cbor(&Value::Map(vec![(Value::from(1), Value::Bytes(vec![]))]))),
        ]));
        let wrong = Evidence::from_cbor(&envelope).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "field 2 (EK chain) of the evidence is missing or not an array of byte strings"
        );
    }

    #[test]
    fn freshness_is_the_nonce_where_it_fits() {
        assert_eq!(Nonce::new(&[7; 16]).unwrap().freshness16(), [7; 16]);
        assert_eq!(Nonce::new(&[7; 32]).unwrap().freshness16(), sha256(&[7; 32])[..16]);
        assert_eq!(Nonce::new(&[7; 7]), Err(NonceError { found: 7 }));
    }
}
