//! Appraisal of TPM 2.0 evidence.
//!
//! Two steps, because a TPM's endorsement key (EK) decrypts and does not sign:
//!
//! 1. *Activation*, once for each TPM. [`begin`] checks the EK certificate and encrypts a secret of the Verifier's for
//!    that EK and the Name of an attestation key (AK). Only the TPM that holds both can open it. A returned secret
//!    makes an [`ActivatedAk`] ([`Pending::activated`]): the AK lives in that TPM and has the attributes in its Name.
//! 2. *Appraisal*, for each device key. [`appraise`] checks what the AK states about the key
//!    (`TPM2_Certify`, TCG TPM 2.0 Library part 3, §18.2) against a nonce of the Verifier's.
//!
//! With an activated AK, [`appraise_quote`] judges how the platform started, [`appraise_counter`] reads a counter, and
//! [`appraise_creation`] takes the TPM's word that it made a key itself.
//!
//! Source: TCG TPM 2.0 Library Specification, Family 2.0, Revision 01.59, parts 1 and 2; TCG EK Credential Profile for
//! TPM Family 2.0, version 2.4.

mod credential;
mod measured;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use measured::read_quote;
pub use measured::{Boot, BootPolicy, CounterValue, appraise_counter, appraise_creation, appraise_quote};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use touchmark_identity::assurance::{Basis, HostBinding, KeyAssurance, Part, Provenance, Storage};
use touchmark_identity::evidence::{Evidence, Nonce, TpmEvidence, tpm_part};
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;
use touchmark_identity::tpm::{
    AlgorithmId, Attest, Attested, CurveId, KeyParameters, Name, ObjectAttributes, PublicArea, StructureTag,
    TpmFormatError, TpmSignature,
};
use zeroize::Zeroizing;

use crate::chain::{ChainPurpose, Policy};
use crate::error::AppraisalError;
use crate::{Appraised, AttestedKey};

/// Who endorsed a key that the operator pinned by hand.
const OPERATOR: &str = "operator-pinned AK";

const AK: &str = "the attestation key";
const EK: &str = "the endorsement key";
const KEY: &str = "the certified key";

/// Who a TPM says it is, before anything is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedIdentity {
    /// The EK certificate, DER.
    pub ek_certificate: Vec<u8>,
    /// Further certificates towards the maker's root, DER; may be empty.
    pub ek_chain: Vec<Vec<u8>>,
    /// `TPMT_PUBLIC` of the EK.
    pub ek_public: Vec<u8>,
    /// `TPMT_PUBLIC` of the AK.
    pub ak_public: Vec<u8>,
}

impl From<&TpmEvidence> for ClaimedIdentity {
    fn from(evidence: &TpmEvidence) -> Self {
        Self {
            ek_certificate: evidence.ek_certificate.clone(),
            ek_chain: evidence.ek_chain.clone(),
            ek_public: evidence.ek_public.clone(),
            ak_public: evidence.ak_public.clone(),
        }
    }
}

/// What the device gives to `TPM2_ActivateCredential`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// `TPM2B_ID_OBJECT` without its size prefix.
    pub credential_blob: Vec<u8>,
    /// `TPM2B_ENCRYPTED_SECRET` without its size prefix.
    pub encrypted_secret: Vec<u8>,
}

/// An activation that waits for its secret. Lives in memory for as long as the device takes to answer; it cannot be
/// stored, because it holds the secret.
pub struct Pending {
    ak: ActivatedAk,
    secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("ak_name", &self.ak.name).finish_non_exhaustive()
    }
}

/// Proof that an AK lives in the TPM of an EK certificate, or an operator's decision to believe that it does. Only
/// [`Pending::activated`] and [`trust_ak_name`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivatedAk {
    name: Name,
    ek_certificate_sha256: Option<[u8; 32]>,
    part: Option<Part>,
    endorser: String,
    test: bool,
}

impl ActivatedAk {
    /// The Name of the AK: algorithm and hash of its public area.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// SHA-256 of the EK certificate; absent when the operator pinned the AK.
    #[must_use]
    pub fn ek_certificate_sha256(&self) -> Option<[u8; 32]> {
        self.ek_certificate_sha256
    }

    /// Maker, model and version of the TPM as its certificate names them.
    #[must_use]
    pub fn part(&self) -> Option<&Part> {
        self.part.as_ref()
    }

    /// Who vouches for the TPM.
    #[must_use]
    pub fn endorser(&self) -> &str {
        &self.endorser
    }

    /// True when the endorser is a TEST one.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.test
    }
}

/// Checks who a TPM says it is and makes the challenge that only this TPM can open, if its AK is what it says.
///
/// `secret` comes from the caller's random generator, is used once, and proves the activation when it comes back.
///
/// # Errors
/// [`AppraisalError`] when the EK certificate does not chain to a pinned root, is not for this EK, or the AK lacks a
/// protection.
pub fn begin(
    claimed: &ClaimedIdentity,
    policy: &Policy,
    at: Timestamp,
    secret: &[u8; 32],
) -> Result<(Challenge, Pending), AppraisalError> {
    let chain =
        policy.verify_chain(&claimed.ek_certificate, &claimed.ek_chain, at, ChainPurpose::TpmEndorsement)?;
    let ek = public_area("the public area of the EK", &claimed.ek_public)?;
    if !ek.is_key_of(&chain.leaf.tbs_certificate.subject_public_key_info) {
        let spki = ek.spki_der().unwrap_or_default();
        let certified = der::Encode::to_der(&chain.leaf.tbs_certificate.subject_public_key_info);
        return Err(AppraisalError::KeyMismatch {
            what: "the SHA-256 of the EK's public key",
            expected: hex::encode(sha256(&certified.unwrap_or_default())),
            found: hex::encode(sha256(&spki)),
        });
    }
    check_ek(&ek)?;
    let ak = public_area("the public area of the AK", &claimed.ak_public)?;
    check_ak(&ak)?;
    let name = name_of("the public area of the AK", &ak)?;

    let mut seed = Zeroizing::new([0; 48]);
    rand::fill(&mut *seed).map_err(|_| AppraisalError::Crypto { operation: "drawing a seed" })?;
    let challenge = credential::make(&ek, &name, secret, &seed)?;
    let ak = ActivatedAk {
        name,
        ek_certificate_sha256: Some(sha256(&claimed.ek_certificate)),
        part: tpm_part(&chain.leaf),
        endorser: chain.endorser,
        test: chain.test,
    };
    Ok((challenge, Pending { ak, secret: Zeroizing::new(*secret) }))
}

impl Pending {
    /// The Name of the AK that is being activated.
    #[must_use]
    pub fn ak_name(&self) -> &Name {
        &self.ak.name
    }

    /// Takes the secret that the device's TPM found in the challenge.
    ///
    /// # Errors
    /// [`AppraisalError::NotActivated`] when it is another one.
    pub fn activated(&self, secret: &[u8]) -> Result<ActivatedAk, AppraisalError> {
        verify_slices_are_equal(&*self.secret, secret).map_err(|_| AppraisalError::NotActivated)?;
        Ok(self.ak.clone())
    }
}

/// For operators who read the Name of an AK from the TPM by hand and pin it: the operator vouches for the TPM, in place
/// of its maker. What the TPM is stays unknown.
#[must_use]
pub fn trust_ak_name(name: &[u8]) -> ActivatedAk {
    ActivatedAk {
        name: Name(name.to_vec()),
        ek_certificate_sha256: None,
        part: None,
        endorser: OPERATOR.to_owned(),
        test: false,
    }
}

/// Appraises what an activated AK states about a device key.
///
/// The record says `generated-on-chip` when the key has sensitiveDataOrigin, and `injected-wrapped` when it has not.
///
/// # Errors
/// [`AppraisalError`] when the statement is by another key, stale, about another key, or when the key may leave the
/// TPM.
pub fn appraise(
    evidence: &TpmEvidence,
    nonce: &Nonce,
    ak: &ActivatedAk,
    at: Timestamp,
) -> Result<Appraised<AttestedKey>, AppraisalError> {
    let ak_public = public_area("the public area of the AK", &evidence.ak_public)?;
    let ak_name = name_of("the public area of the AK", &ak_public)?;
    if ak_name != ak.name {
        let (expected, found) = (ak.name.to_string(), ak_name.to_string());
        return Err(AppraisalError::KeyMismatch { what: "the Name of the attestation key", expected, found });
    }
    check_ak(&ak_public)?;
    if let Some(expected) = ak.ek_certificate_sha256
        && expected != sha256(&evidence.ek_certificate)
    {
        return Err(AppraisalError::KeyMismatch {
            what: "the SHA-256 of the EK certificate",
            expected: hex::encode(expected),
            found: hex::encode(sha256(&evidence.ek_certificate)),
        });
    }

    verify_statement(&ak_public, &evidence.certify_info, &evidence.signature)?;
    // Part 1, on attestation: a restricted key signs a digest only if the TPM made it over a structure that begins with
    // TPM_GENERATED_VALUE, so what is signed by it and begins so is the TPM's word. `Attest::from_bytes` checks it.
    let statement =
        Attest::from_bytes(&evidence.certify_info).map_err(|cause| format_error("TPMS_ATTEST", &cause))?;
    let Attested::Certify { name: certified, .. } = &statement.attested else {
        return Err(AppraisalError::WrongValue {
            what: "the type of TPMS_ATTEST",
            expected: StructureTag::ATTEST_CERTIFY.to_string(),
            found: statement.kind().to_string(),
        });
    };
    // Part 2, §10.12: extraData is "external information supplied by caller", here the Verifier's nonce.
    if statement.extra_data != nonce.bytes() {
        return Err(AppraisalError::NotFresh {
            expected: hex::encode(nonce.bytes()),
            found: hex::encode(&statement.extra_data),
        });
    }

    let key = public_area("the public area of the key", &evidence.key_public)?;
    let key_name = name_of("the public area of the key", &key)?;
    if key_name != *certified {
        let (expected, found) = (certified.to_string(), key_name.to_string());
        return Err(AppraisalError::KeyMismatch { what: "the Name of the certified key", expected, found });
    }
    let provenance = check_key(&key)?;
    let public_key = key.to_public_key().map_err(|cause| AppraisalError::UnsupportedAlgorithm {
        what: KEY.to_owned(),
        found: cause.to_string(),
        accepted: "ECDSA on P-256",
    })?;

    let part = ak.part.clone().map(|mut part| {
        if let Some(firmware) = statement.plain_firmware(&ak_public) {
            part.firmware = Some(format!("{:x}.{:x}", firmware >> 32, firmware & 0xffff_ffff));
        }
        part
    });
    Ok(Appraised::new(AttestedKey {
        key: public_key,
        assurance: KeyAssurance {
            storage: Storage::Tpm,
            basis: Basis::Attested,
            provenance,
            host_binding: HostBinding::Unknown,
            part,
            certification: None,
            counter_budget: None,
            evidence_sha256: Some(Evidence::Tpm(evidence.clone()).sha256()),
            appraised: Some(at),
            test_endorser: ak.test,
            class_break: None,
        },
        endorser: ak.endorser.clone(),
    }))
}

fn format_error(what: &'static str, cause: &TpmFormatError) -> AppraisalError {
    AppraisalError::Malformed { what, detail: cause.to_string() }
}

fn public_area(what: &'static str, bytes: &[u8]) -> Result<PublicArea, AppraisalError> {
    PublicArea::from_bytes(bytes).map_err(|cause| format_error(what, &cause))
}

fn name_of(what: &'static str, public: &PublicArea) -> Result<Name, AppraisalError> {
    public.name().map_err(|cause| format_error(what, &cause))
}

fn require(
    object: &'static str,
    public: &PublicArea,
    required: &[(ObjectAttributes, &'static str, &'static str)],
) -> Result<(), AppraisalError> {
    match required.iter().find(|(attribute, ..)| !public.attributes.contains(*attribute)) {
        Some((_, attribute, meaning)) => Err(AppraisalError::MissingAttribute { object, attribute, meaning }),
        None => Ok(()),
    }
}

fn forbid(
    object: &'static str,
    public: &PublicArea,
    forbidden: &[(ObjectAttributes, &'static str, &'static str)],
) -> Result<(), AppraisalError> {
    match forbidden.iter().find(|(attribute, ..)| public.attributes.contains(*attribute)) {
        Some((_, attribute, meaning)) => {
            Err(AppraisalError::ForbiddenAttribute { object, attribute, meaning })
        }
        None => Ok(()),
    }
}

/// Part 2, §8.3 (fixedTPM): "The hierarchy of the object, as indicated by its Qualified Name, may not change."
const FIXED_TPM: (ObjectAttributes, &str, &str) =
    (ObjectAttributes::FIXED_TPM, "fixedTPM", "it may be copied to another TPM together with its parent");
/// Part 2, §8.3 (fixedParent): "The parent of the object may not change."
const FIXED_PARENT: (ObjectAttributes, &str, &str) =
    (ObjectAttributes::FIXED_PARENT, "fixedParent", "it may be duplicated out of this TPM");
/// Part 2, §8.3 (sensitiveDataOrigin): "Indicates that, when the object was created with TPM2_Create() or
/// TPM2_CreatePrimary(), the TPM generated all of the sensitive data other than the authValue."
const SENSITIVE_DATA_ORIGIN: (ObjectAttributes, &str, &str) =
    (ObjectAttributes::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin", "it was made outside of the TPM");

/// The EK's attributes are the device's word; its certificate vouches for the key. They are checked all the same,
/// because an honest TPM cannot use a key for activation that lacks them.
fn check_ek(ek: &PublicArea) -> Result<(), AppraisalError> {
    require(
        EK,
        ek,
        &[
            FIXED_TPM,
            FIXED_PARENT,
            SENSITIVE_DATA_ORIGIN,
            (ObjectAttributes::RESTRICTED, "restricted", "it decrypts the challenge for everybody"),
            (ObjectAttributes::DECRYPT, "decrypt", "it cannot open a challenge"),
        ],
    )
}

fn check_ak(ak: &PublicArea) -> Result<(), AppraisalError> {
    require(
        AK,
        ak,
        &[
            FIXED_TPM,
            FIXED_PARENT,
            SENSITIVE_DATA_ORIGIN,
            // Part 2, §8.3 (restricted): "Key usage is restricted to manipulate structures of known format".
            (ObjectAttributes::RESTRICTED, "restricted", "it signs statements that no TPM made"),
            (ObjectAttributes::SIGN, "sign", "it cannot sign"),
        ],
    )?;
    forbid(AK, ak, &[(ObjectAttributes::DECRYPT, "decrypt", "an attestation key signs and nothing else")])
}

/// Whether the key may leave the TPM, and where it was made.
fn check_key(key: &PublicArea) -> Result<Provenance, AppraisalError> {
    require(KEY, key, &[FIXED_TPM, FIXED_PARENT, (ObjectAttributes::SIGN, "sign", "it cannot sign")])?;
    // Part 2, §8.3 (encryptedDuplication): it has a meaning for keys that may be duplicated alone.
    let duplication =
        (ObjectAttributes::ENCRYPTED_DUPLICATION, "encryptedDuplication", "it is made to be duplicated");
    forbid(KEY, key, &[duplication])?;
    if key.attributes.contains(ObjectAttributes::SENSITIVE_DATA_ORIGIN) {
        Ok(Provenance::GeneratedOnChip)
    } else {
        Ok(Provenance::InjectedWrapped)
    }
}

fn verify_statement(ak: &PublicArea, statement: &[u8], signature: &[u8]) -> Result<(), AppraisalError> {
    let signature =
        TpmSignature::from_bytes(signature).map_err(|cause| format_error("TPMT_SIGNATURE", &cause))?;
    let unsupported = || AppraisalError::UnsupportedAlgorithm {
        what: "the signature of the attestation key".to_owned(),
        found: match (&signature, &ak.key) {
            (TpmSignature::Ecdsa { hash, .. }, KeyParameters::Ecc { curve, .. }) => {
                format!("ECDSA with {hash} on {curve}")
            }
            (TpmSignature::Rsassa { hash, .. }, KeyParameters::Rsa { key_bits, .. }) => {
                format!("RSASSA with {hash} and {key_bits} bits")
            }
            _ => "a signature of another algorithm than the key's".to_owned(),
        },
        accepted: "ECDSA on P-256 or P-384 and RSASSA from 2048 bits, with SHA-256 or SHA-384",
    };
    let algorithm: &'static dyn VerificationAlgorithm = match (&signature, &ak.key) {
        (TpmSignature::Ecdsa { hash, .. }, KeyParameters::Ecc { curve, .. }) => match (*curve, *hash) {
            (CurveId::NIST_P256, AlgorithmId::SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
            (CurveId::NIST_P256, AlgorithmId::SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
            (CurveId::NIST_P384, AlgorithmId::SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
            (CurveId::NIST_P384, AlgorithmId::SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
            _ => return Err(unsupported()),
        },
        (TpmSignature::Rsassa { hash, .. }, KeyParameters::Rsa { .. }) => match *hash {
            AlgorithmId::SHA256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            AlgorithmId::SHA384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            _ => return Err(unsupported()),
        },
        _ => return Err(unsupported()),
    };
    let bad = || AppraisalError::BadSignature { what: "the statement".to_owned(), by: AK.to_owned() };
    let key = ak.subject_public_key().ok_or_else(unsupported)?;
    let der = signature.to_der().map_err(|cause| format_error("TPMT_SIGNATURE", &cause))?;
    UnparsedPublicKey::new(algorithm, key).verify(statement, &der).map_err(|_| bad())
}
