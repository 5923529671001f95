//! The public areas from which keys are made, and where the maker left the EK certificates.

use touchmark_identity::tpm::{
    AlgorithmId, CurveId, Handle, KeyParameters, ObjectAttributes, PublicArea, Scheme, Symmetric,
};

/// PolicyA with SHA-256: `TPM2_PolicySecret` with the endorsement hierarchy (TCG EK Credential Profile 2.4, annex B).
const POLICY_A_SHA256: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd,
    0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];
/// PolicyB with SHA-256: PolicyA or a policy in an NV index of the owner's (the same annex).
const POLICY_B_SHA256: [u8; 32] = [
    0xca, 0x3d, 0x0a, 0x99, 0xa2, 0xb9, 0x39, 0x06, 0xf7, 0xa3, 0x34, 0x24, 0x14, 0xef, 0xcf, 0xb3, 0xa3,
    0x85, 0xd4, 0x4c, 0xd1, 0xfd, 0x45, 0x90, 0x89, 0xd1, 0x9b, 0x50, 0x71, 0xc0, 0xb7, 0xa0,
];
/// PolicyB with SHA-384 (the same annex).
const POLICY_B_SHA384: [u8; 48] = [
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a, 0x07,
    0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47,
    0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
];

const ECDSA_SHA256: Scheme = Scheme { algorithm: AlgorithmId::ECDSA, hash: Some(AlgorithmId::SHA256) };

/// What a key has that was made in this TPM and never leaves it.
fn made_here() -> ObjectAttributes {
    ObjectAttributes::FIXED_TPM | ObjectAttributes::FIXED_PARENT | ObjectAttributes::SENSITIVE_DATA_ORIGIN
}

fn aes_cfb(key_bits: u16) -> Symmetric {
    Symmetric { algorithm: AlgorithmId::AES, key_bits, mode: AlgorithmId::CFB }
}

/// The storage primary key: P-256, AES-128, unique field of zeros (TCG TPM v2.0 Provisioning Guidance 1.0, on the storage root key).
pub(super) fn storage_primary() -> PublicArea {
    PublicArea {
        name_alg: AlgorithmId::SHA256,
        attributes: made_here()
            | ObjectAttributes::USER_WITH_AUTH
            | ObjectAttributes::NO_DA
            | ObjectAttributes::RESTRICTED
            | ObjectAttributes::DECRYPT,
        auth_policy: Vec::new(),
        key: KeyParameters::Ecc {
            symmetric: Some(aes_cfb(128)),
            scheme: None,
            curve: CurveId::NIST_P256,
            kdf: None,
            x: vec![0; 32],
            y: vec![0; 32],
        },
    }
}

/// Sealed bytes. With a policy they are given back in a session that fulfils it and no other; guessing of a value is
/// locked by the TPM, where there is one.
pub(super) fn sealed(auth_policy: Vec<u8>, without_value: bool) -> PublicArea {
    let mut attributes = ObjectAttributes::FIXED_TPM | ObjectAttributes::FIXED_PARENT;
    if auth_policy.is_empty() {
        attributes = attributes | ObjectAttributes::USER_WITH_AUTH;
    }
    if without_value {
        attributes = attributes | ObjectAttributes::NO_DA;
    }
    let key = KeyParameters::Sealed { unique: Vec::new() };
    PublicArea { name_alg: AlgorithmId::SHA256, attributes, auth_policy, key }
}

fn p256_signing(attributes: ObjectAttributes, auth_policy: Vec<u8>) -> PublicArea {
    PublicArea {
        name_alg: AlgorithmId::SHA256,
        attributes: attributes
            | made_here()
            | ObjectAttributes::USER_WITH_AUTH
            | ObjectAttributes::NO_DA
            | ObjectAttributes::SIGN,
        auth_policy,
        key: KeyParameters::Ecc {
            symmetric: None,
            scheme: Some(ECDSA_SHA256),
            curve: CurveId::NIST_P256,
            kdf: None,
            x: Vec::new(),
            y: Vec::new(),
        },
    }
}

/// A device key. Without password, so the dictionary-attack lockout, by which any process could take it out of
/// service, does not apply to it (noDA).
pub(super) fn device_key(label: &[u8; 32]) -> PublicArea {
    p256_signing(ObjectAttributes::default(), label.to_vec())
}

/// The attestation key: restricted, so that it signs only what the TPM itself says. The same seed and template give
/// the same key, so it need not be stored.
pub(super) fn attestation_key() -> PublicArea {
    p256_signing(ObjectAttributes::RESTRICTED, Vec::new())
}

/// A place where a maker leaves an EK certificate, with the template of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EkTemplate {
    /// RSA-2048, low range.
    L1,
    /// P-256, low range.
    L2,
    /// RSA-2048, high range.
    H1,
    /// P-256, high range.
    H2,
    /// P-384, high range.
    H3,
}

impl EkTemplate {
    /// In the order in which they are looked for: elliptic curves first, stronger ones before weaker ones.
    pub(super) const ALL: [Self; 5] = [Self::H3, Self::H2, Self::L2, Self::H1, Self::L1];

    /// The NV index of the certificate (TCG EK Credential Profile 2.4, §2.2.1.4 low range, §2.2.1.5 high range).
    pub(super) fn certificate_index(self) -> Handle {
        Handle(match self {
            Self::L1 => 0x01c0_0002,
            Self::L2 => 0x01c0_000a,
            Self::H1 => 0x01c0_0012,
            Self::H2 => 0x01c0_0014,
            Self::H3 => 0x01c0_0016,
        })
    }

    /// The NV index where the maker may leave another template than the default one (the same places).
    pub(super) fn template_index(self) -> Handle {
        Handle(match self {
            Self::L1 => 0x01c0_0004,
            Self::L2 => 0x01c0_000c,
            Self::H1 => 0x01c0_0013,
            Self::H2 => 0x01c0_0015,
            Self::H3 => 0x01c0_0017,
        })
    }

    /// The NV index of the bytes that stand at the front of the unique field, in the low range alone.
    pub(super) fn nonce_index(self) -> Option<Handle> {
        match self {
            Self::L1 => Some(Handle(0x01c0_0003)),
            Self::L2 => Some(Handle(0x01c0_000b)),
            _ => None,
        }
    }

    /// The public area from which the TPM makes the key again. Low-range keys need the policy and have unique fields of
    /// zeros; high-range keys may also be used with their password and have empty unique fields (annex B).
    pub(super) fn public_area(self) -> PublicArea {
        let low = matches!(self, Self::L1 | Self::L2);
        let restricted = made_here()
            | ObjectAttributes::ADMIN_WITH_POLICY
            | ObjectAttributes::RESTRICTED
            | ObjectAttributes::DECRYPT;
        let unique = |size: usize| if low { vec![0; size] } else { Vec::new() };
        let ecc = |curve, key_bits| KeyParameters::Ecc {
            symmetric: Some(aes_cfb(key_bits)),
            scheme: None,
            curve,
            kdf: None,
            x: unique(32),
            y: unique(32),
        };
        let (name_alg, auth_policy, key) = match self {
            Self::L1 | Self::H1 => {
                let policy = if low { POLICY_A_SHA256 } else { POLICY_B_SHA256 };
                let key = KeyParameters::Rsa {
                    symmetric: Some(aes_cfb(128)),
                    scheme: None,
                    key_bits: 2_048,
                    exponent: 0,
                    modulus: unique(256),
                };
                (AlgorithmId::SHA256, policy.to_vec(), key)
            }
            Self::L2 => (AlgorithmId::SHA256, POLICY_A_SHA256.to_vec(), ecc(CurveId::NIST_P256, 128)),
            Self::H2 => (AlgorithmId::SHA256, POLICY_B_SHA256.to_vec(), ecc(CurveId::NIST_P256, 128)),
            Self::H3 => (AlgorithmId::SHA384, POLICY_B_SHA384.to_vec(), ecc(CurveId::NIST_P384, 256)),
        };
        let attributes = if low { restricted } else { restricted | ObjectAttributes::USER_WITH_AUTH };
        PublicArea { name_alg, attributes, auth_policy, key }
    }
}

/// A template with the maker's nonce at the front of its unique field: of the modulus, or of the point's x. A nonce that
/// is longer than the field is no nonce for it.
pub(super) fn with_nonce(mut area: PublicArea, nonce: &[u8]) -> PublicArea {
    let field = match &mut area.key {
        KeyParameters::Rsa { modulus, .. } => modulus,
        KeyParameters::Ecc { x, .. } => x,
        KeyParameters::Sealed { unique } => unique,
    };
    if let Some(front) = field.get_mut(..nonce.len()) {
        front.copy_from_slice(nonce);
    }
    area
}

/// NV indexes with the certificates that issued the EK certificates, in parts (the same profile, §2.2.1.5).
pub(super) const EK_CHAIN_FIRST: Handle = Handle(0x01c0_0100);
/// The last of them.
pub(super) const EK_CHAIN_LAST: Handle = Handle(0x01c0_01ff);
/// Persistent objects that may be EKs: the endorsement hierarchy's range (TCG Registry of Reserved TPM 2.0 Handles).
pub(super) const EK_FIRST: Handle = Handle(0x8101_0000);
/// The last of them.
pub(super) const EK_LAST: Handle = Handle(0x8101_ffff);
