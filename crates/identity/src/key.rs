//! Public keys of devices: ECDSA on P-256, the one curve that every back end holds.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// What precedes the point in the DER `SubjectPublicKeyInfo` of an uncompressed P-256 key (RFC 5480 §2).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Why bytes are not a usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Another algorithm, another curve, or no key at all.
    #[error("the key is not an uncompressed P-256 public key in SubjectPublicKeyInfo form ({found} bytes)")]
    NotP256 {
        /// The number of bytes found.
        found: usize,
    },
    /// The form is right, the point is not on the curve.
    #[error("the point is not on the curve P-256")]
    NotOnCurve,
}

/// A P-256 public key that is known to be on its curve.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    point: [u8; 65],
}

impl PublicKey {
    /// Reads the uncompressed point: 0x04, x (32 bytes, big-endian), y (32 bytes). SEC 1 §2.3.3.
    ///
    /// # Errors
    /// [`PublicKeyError`] when the bytes have another form or the point is not on the curve.
    pub fn from_point(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let point: [u8; 65] = bytes.try_into().map_err(|_| PublicKeyError::NotP256 { found: bytes.len() })?;
        if point[0] != 4 {
            return Err(PublicKeyError::NotP256 { found: bytes.len() });
        }
        aws_lc_rs::signature::ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .map_err(|_| PublicKeyError::NotOnCurve)?;
        Ok(Self { point })
    }

    /// Reads a DER `SubjectPublicKeyInfo` (RFC 5280 §4.1, RFC 5480 §2).
    ///
    /// # Errors
    /// [`PublicKeyError`] as for [`PublicKey::from_point`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        match der.split_at_checked(SPKI_PREFIX.len()) {
            Some((prefix, point)) if prefix == SPKI_PREFIX => Self::from_point(point),
            _ => Err(PublicKeyError::NotP256 { found: der.len() }),
        }
    }

    /// The uncompressed point, 65 bytes.
    #[must_use]
    pub fn point(&self) -> &[u8; 65] {
        &self.point
    }

    /// The DER `SubjectPublicKeyInfo`, 91 bytes.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        [&SPKI_PREFIX[..], &self.point[..]].concat()
    }

    /// SHA-256 of the DER `SubjectPublicKeyInfo`: the identity that survives a renewal with the same key.
    #[must_use]
    pub fn spki_sha256(&self) -> SpkiHash {
        SpkiHash(sha256(&self.spki_der()))
    }

    /// Checks an ECDSA signature (DER `Ecdsa-Sig-Value`, RFC 3279 §2.2.3) over the SHA-256 of `message`.
    ///
    /// # Errors
    /// [`BadSignature`] when the signature was not made by this key over this message.
    pub fn verify(&self, message: &[u8], signature_der: &[u8]) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(message, signature_der)
            .map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey(spki_sha256 {})", self.spki_sha256())
    }
}

/// A signature that does not belong to the key and message it was held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify under the given public key")]
pub struct BadSignature;

/// SHA-256 of a `SubjectPublicKeyInfo`; 64 lower-case hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpkiHash(pub [u8; 32]);

impl fmt::Display for SpkiHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SpkiHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a SHA-256 is written with 64 hex digits, this text has {found} characters or others than hex digits"
)]
pub struct HashTextError {
    /// The number of characters found.
    pub found: usize,
}

impl std::str::FromStr for SpkiHash {
    type Err = HashTextError;
    fn from_str(text: &str) -> Result<Self, HashTextError> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| HashTextError { found: text.chars().count() })?;
        Ok(Self(hash))
    }
}

impl TryFrom<String> for SpkiHash {
    type Error = HashTextError;
    fn try_from(text: String) -> Result<Self, HashTextError> {
        text.parse()
    }
}

impl From<SpkiHash> for String {
    fn from(hash: SpkiHash) -> Self {
        hash.to_string()
    }
}

/// SHA-256 (FIPS 180-4 §6.2).
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use proptest::prelude::*;

    fn pair() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
    }

    #[test]
    fn spki_round_trip_and_verify() {
        let pair = pair();
        let key = PublicKey::from_point(pair.public_key().as_ref()).unwrap();
        assert_eq!(PublicKey::from_spki_der(&key.spki_der()).unwrap(), key);
        let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
        assert_eq!(key.verify(b"message", signature.as_ref()), Ok(()));
        assert_eq!(key.verify(b"messagE", signature.as_ref()), Err(BadSignature));
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let mut point = *PublicKey::from_point(pair().public_key().as_ref()).unwrap().point();
        point[64] ^= 1;
        assert_eq!(PublicKey::from_point(&point), Err(PublicKeyError::NotOnCurve));
    }

    #[test]
    fn every_truncation_is_refused() {
        let der = PublicKey::from_point(pair().public_key().as_ref()).unwrap().spki_der();
        for end in 0..der.len() {
            assert!(PublicKey::from_spki_der(&der[..end]).is_err());
        }
    }

    proptest! {
        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = PublicKey::from_spki_der(&bytes);
        }

        #[test]
        fn hash_text_round_trip(bytes: [u8; 32]) {
            prop_assert_eq!(SpkiHash(bytes).to_string().parse::<SpkiHash>().unwrap(), SpkiHash(bytes));
        }
    }
}
