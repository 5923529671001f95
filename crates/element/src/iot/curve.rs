//! The curves: their ids, sizes and algorithms.

use aws_lc_rs::agreement;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1,
    ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm,
    ParsedPublicKey, VerificationAlgorithm,
};
use touchmark_identity::apdu::se05x;

/// A curve that the cryptographic library has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
    Secp256k1,
    Ed25519,
    X25519,
}

impl Curve {
    const ALL: [Self; 6] = [Self::P256, Self::P384, Self::P521, Self::Secp256k1, Self::Ed25519, Self::X25519];

    /// The id in commands.
    pub(crate) fn id(self) -> u8 {
        match self {
            Self::P256 => se05x::CURVE_NIST_P256,
            Self::P384 => se05x::CURVE_NIST_P384,
            Self::P521 => se05x::CURVE_NIST_P521,
            Self::Secp256k1 => se05x::CURVE_SECP256K1,
            Self::Ed25519 => se05x::CURVE_ED25519,
            Self::X25519 => se05x::CURVE_X25519,
        }
    }

    pub(crate) fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.id() == id)
    }

    /// The curve of a pair.
    pub(crate) fn of(pair: &EcdsaKeyPair) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.signing() == Some(pair.algorithm()))
    }

    /// ECDSA on the curve.
    pub(crate) fn signing(self) -> Option<&'static EcdsaSigningAlgorithm> {
        match self {
            Self::P256 => Some(&ECDSA_P256_SHA256_ASN1_SIGNING),
            Self::P384 => Some(&ECDSA_P384_SHA384_ASN1_SIGNING),
            Self::P521 => Some(&ECDSA_P521_SHA512_ASN1_SIGNING),
            Self::Secp256k1 => Some(&ECDSA_P256K1_SHA256_ASN1_SIGNING),
            Self::Ed25519 | Self::X25519 => None,
        }
    }

    /// How signatures are verified.
    pub(crate) fn verifying(self) -> Option<&'static dyn VerificationAlgorithm> {
        match self {
            Self::P256 => Some(&ECDSA_P256_SHA256_ASN1),
            Self::P384 => Some(&ECDSA_P384_SHA384_ASN1),
            Self::P521 => Some(&ECDSA_P521_SHA512_ASN1),
            Self::Secp256k1 => Some(&ECDSA_P256K1_SHA256_ASN1),
            Self::Ed25519 => Some(&ED25519),
            Self::X25519 => None,
        }
    }

    /// Key agreement on the curve.
    pub(crate) fn agreement(self) -> Option<&'static agreement::Algorithm> {
        match self {
            Self::P256 => Some(&agreement::ECDH_P256),
            Self::P384 => Some(&agreement::ECDH_P384),
            Self::P521 => Some(&agreement::ECDH_P521),
            Self::X25519 => Some(&agreement::X25519),
            Self::Secp256k1 | Self::Ed25519 => None,
        }
    }

    /// The number of bytes of a private key.
    pub(crate) fn bytes(self) -> u8 {
        match self {
            Self::P256 | Self::Secp256k1 | Self::Ed25519 | Self::X25519 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Whether the curve's values cross the wire in the opposite order of bytes: NXP's hosts turn what RFC 7748 and
    /// RFC 8032 write with the least significant byte first.
    pub(crate) fn turned(self) -> bool {
        matches!(self, Self::Ed25519 | Self::X25519)
    }

    /// The curve's object identifier as parameters of a key, DER with its tag (RFC 5480 §2.1.1.1, SEC 2 §A.2).
    pub(crate) fn oid(self) -> Option<&'static [u8]> {
        match self {
            Self::P256 => Some(&[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]),
            Self::P384 => Some(&[0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22]),
            Self::P521 => Some(&[0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x23]),
            Self::Secp256k1 => Some(&[0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x0A]),
            Self::Ed25519 | Self::X25519 => None,
        }
    }

    /// Whether bytes are a public key of the curve: an uncompressed point on it, or 32 bytes.
    pub(crate) fn is_public_key(self, bytes: &[u8]) -> bool {
        match self {
            Self::X25519 => bytes.len() == 32,
            Self::Ed25519 => bytes.len() == 32 && ParsedPublicKey::new(&ED25519, bytes).is_ok(),
            _ => {
                bytes.first() == Some(&0x04)
                    && bytes.len() == 1 + 2 * usize::from(self.bytes())
                    && self
                        .verifying()
                        .is_some_and(|algorithm| ParsedPublicKey::new(algorithm, bytes).is_ok())
            }
        }
    }
}
