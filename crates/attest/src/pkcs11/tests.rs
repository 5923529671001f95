use aws_lc_rs::rand::SystemRandom;
use der::asn1::{Null, OctetString};
use der::oid::ObjectIdentifier;
use touchmark_identity::assurance::Grade;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::KeyUsages;

use super::*;
use crate::chain::tests::{Party, ca_extensions, extension, issue, now, pinned, usage};

fn nonce() -> Nonce {
    Nonce::new(&[0x5a; 24]).unwrap()
}

/// The firmware version as the PIV application writes it: three bytes, without a DER header.
pub(crate) fn firmware(version: &[u8]) -> Extension {
    Extension {
        extn_id: ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.3"),
        critical: false,
        extn_value: OctetString::new(version).unwrap(),
    }
}

fn answer(key: &Party, nonce: &Nonce) -> Vec<u8> {
    key.key.sign(&SystemRandom::new(), &nonce.possession_bytes()).unwrap().as_ref().to_vec()
}

/// A maker, a token's attestation key, and a key of the token.
pub(crate) fn token() -> (Pkcs11Evidence, Policy) {
    let (maker, attestation, key) = (Party::new("maker"), Party::new("token 1"), Party::new("slot 9a"));
    let root = issue(&maker, &maker, ca_extensions());
    let evidence = Pkcs11Evidence {
        certificate: issue(&key, &attestation, vec![firmware(&[5, 7, 1])]),
        chain: vec![issue(&attestation, &maker, ca_extensions())],
        signature: answer(&key, &nonce()),
    };
    (evidence, pinned(&[&root]))
}

fn judged(evidence: &Pkcs11Evidence, policy: &Policy) -> Result<AttestedKey, AppraisalError> {
    appraise(evidence, &nonce(), policy, now()).map(Appraised::into_value)
}

#[test]
fn a_key_that_a_token_made_is_hardware_bound() {
    let (evidence, policy) = token();
    let attested = judged(&evidence, &policy).unwrap();
    let record = attested.assurance;
    assert_eq!((record.storage, record.basis), (Storage::SecureElement, Basis::Attested));
    assert_eq!((record.provenance, record.grade()), (Provenance::GeneratedOnChip, Grade::HardwareBound));
    assert_eq!(record.part.unwrap().firmware.as_deref(), Some("5.7.1"));
    assert_eq!(attested.endorser, "maker");
}

#[test]
fn each_lie_has_its_reason() {
    let (evidence, policy) = token();
    let stale = appraise(&evidence, &Nonce::new(&[1; 24]).unwrap(), &policy, now());
    assert!(matches!(stale, Err(AppraisalError::BadSignature { .. })), "{stale:?}");
    let (_, others) = token();
    assert!(matches!(judged(&evidence, &others), Err(AppraisalError::BadSignature { .. })), "another maker");
    assert!(matches!(judged(&evidence, &Policy::default()), Err(AppraisalError::NoEndorsers)));
    let alone = Pkcs11Evidence { chain: Vec::new(), ..evidence.clone() };
    assert!(matches!(judged(&alone, &policy), Err(AppraisalError::UnknownEndorser { .. })));
    for byte in 0..evidence.certificate.len() {
        let mut lie = evidence.clone();
        lie.certificate[byte] ^= 4;
        assert!(judged(&lie, &policy).is_err(), "byte {byte} of the certificate");
    }
    for byte in 0..evidence.signature.len() {
        let mut lie = evidence.clone();
        lie.signature[byte] ^= 1;
        assert!(judged(&lie, &policy).is_err(), "byte {byte} of the signature");
    }
}

/// Whoever holds any other certificate under the same root has no attested key.
#[test]
fn an_ordinary_certificate_is_no_attestation() {
    let (maker, key) = (Party::new("maker"), Party::new("key"));
    let policy = pinned(&[&issue(&maker, &maker, ca_extensions())]);
    let with = |extensions: Vec<Extension>| Pkcs11Evidence {
        certificate: issue(&key, &maker, extensions),
        chain: Vec::new(),
        signature: answer(&key, &nonce()),
    };
    assert!(judged(&with(vec![firmware(&[5, 2, 7])]), &policy).is_ok());
    for wrong in [vec![], vec![firmware(&[5, 2])], vec![firmware(&[4, 3, 5, 2, 7])]] {
        let refused = judged(&with(wrong), &policy);
        assert!(matches!(refused, Err(AppraisalError::WrongPurpose { .. })), "{refused:?}");
    }
    let not_for_signing = vec![firmware(&[5, 2, 7]), usage(KeyUsages::KeyAgreement)];
    assert!(matches!(judged(&with(not_for_signing), &policy), Err(AppraisalError::WrongPurpose { .. })));
    let unknown = extension(ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.99"), true, &Null);
    let refused = judged(&with(vec![firmware(&[5, 2, 7]), unknown]), &policy);
    assert!(matches!(refused, Err(AppraisalError::CriticalExtension { .. })), "{refused:?}");
}
