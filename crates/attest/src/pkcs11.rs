//! Appraising what a token behind PKCS#11 says of its keys: a certificate for the key, signed by the token's attestation key.
//!
//! PKCS #11 knows no attestation of its own. One form is read here, that of Yubico's PIV application: the device's
//! attestation key signs an X.509 certificate for a key that was *generated* in it, and for no other; an extension names the
//! firmware. Such a certificate is as old as the key, so the key itself signs the Verifier's nonce beside it.
//!
//! It has been tried with certificates of this form that OpenSSL made, in a token in software, and with no device.

use der::Encode;
use touchmark_identity::assurance::{Basis, HostBinding, KeyAssurance, Part, Provenance, Storage};
use touchmark_identity::evidence::{Evidence, Nonce, Pkcs11Evidence, yubico_firmware};
use touchmark_identity::key::PublicKey;
use touchmark_identity::timestamp::Timestamp;

use crate::{AppraisalError, Appraised, AttestedKey, ChainPurpose, Policy};

/// Appraises a token's certificate for a key, and the key's answer to the nonce.
///
/// # Errors
/// [`AppraisalError`] when the certificate does not chain to a pinned root, is not of the form that says where the key was
/// made, or the nonce is not signed by its key.
pub fn appraise(
    evidence: &Pkcs11Evidence,
    nonce: &Nonce,
    policy: &Policy,
    at: Timestamp,
) -> Result<Appraised<AttestedKey>, AppraisalError> {
    let chain = policy.verify_chain(&evidence.certificate, &evidence.chain, at, ChainPurpose::TokenKey)?;
    // An ordinary certificate under a pinned root says who somebody is, and not where his key lives.
    let Some(firmware) = yubico_firmware(&chain.leaf) else {
        return Err(AppraisalError::WrongPurpose {
            subject: crate::chain::shown(&chain.leaf.tbs_certificate.subject),
            purpose: "a key that a token made",
            detail: "it has no extension of Yubico's PIV application with the firmware version".to_owned(),
        });
    };
    let spki = chain.leaf.tbs_certificate.subject_public_key_info.to_der();
    let spki = spki.map_err(|error| AppraisalError::Malformed {
        what: "the token's certificate for the key",
        detail: error.to_string(),
    })?;
    let key = PublicKey::from_spki_der(&spki).map_err(|error| AppraisalError::UnsupportedAlgorithm {
        what: "the certified key".to_owned(),
        found: error.to_string(),
        accepted: "ECDSA on P-256 with SHA-256",
    })?;
    key.verify(&nonce.possession_bytes(), &evidence.signature).map_err(|_| AppraisalError::BadSignature {
        what: "the nonce".to_owned(),
        by: "the certified key".to_owned(),
    })?;
    Ok(Appraised::new(AttestedKey {
        key,
        assurance: KeyAssurance {
            storage: Storage::SecureElement,
            basis: Basis::Attested,
            provenance: Provenance::GeneratedOnChip,
            host_binding: HostBinding::Unknown,
            part: Some(Part {
                vendor: "Yubico".to_owned(),
                model: "PIV application".to_owned(),
                firmware: Some(firmware),
                crypto_library: None,
            }),
            certification: None,
            counter_budget: None,
            evidence_sha256: Some(Evidence::Pkcs11(evidence.clone()).sha256()),
            appraised: Some(at),
            test_endorser: chain.test,
            class_break: None,
        },
        endorser: chain.endorser,
    }))
}

#[cfg(test)]
pub(crate) mod tests;
