//! Paths made by hand, each with one fault.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use der::asn1::{BitString, OctetString, UtcTime};
use der::flagset::FlagSet;
use der::{DateTime, Encode, EncodePem, pem::LineEnding};
use proptest::prelude::*;
use std::slice::from_ref;
use std::str::FromStr;
use x509_cert::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::KeyUsages;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::{Time, Validity};

use super::*;
use crate::{EndorserError, Endorsers};

const EK_LEAF: ChainPurpose = ChainPurpose::TpmEndorsement;

/// A name with its key.
pub(crate) struct Party {
    name: Name,
    pub(crate) key: EcdsaKeyPair,
}

impl Party {
    pub(crate) fn new(common_name: &str) -> Self {
        let name = Name::from_str(&format!("CN={common_name}")).unwrap();
        Self { name, key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap() }
    }

    fn spki(&self) -> SubjectPublicKeyInfoOwned {
        let key = touchmark_identity::key::PublicKey::from_point(self.key.public_key().as_ref()).unwrap();
        SubjectPublicKeyInfoOwned::from_der(&key.spki_der()).unwrap()
    }
}

pub(crate) fn extension<T: Encode>(extn_id: ObjectIdentifier, critical: bool, value: &T) -> Extension {
    Extension { extn_id, critical, extn_value: OctetString::new(value.to_der().unwrap()).unwrap() }
}

fn ca(path_len_constraint: Option<u8>) -> Extension {
    extension(BASIC_CONSTRAINTS, true, &BasicConstraints { ca: true, path_len_constraint })
}

pub(crate) fn usage(usages: impl Into<FlagSet<KeyUsages>>) -> Extension {
    extension(KEY_USAGE, true, &KeyUsage(usages.into()))
}

pub(crate) fn ca_extensions() -> Vec<Extension> {
    vec![ca(None), usage(KeyUsages::KeyCertSign)]
}

fn ek_extensions() -> Vec<Extension> {
    vec![
        usage(KeyUsages::KeyAgreement),
        extension(EXTENDED_KEY_USAGE, false, &ExtendedKeyUsage(vec![EK_CERTIFICATE_PURPOSE])),
    ]
}

fn year(year: u16) -> Time {
    Time::UtcTime(UtcTime::from_date_time(DateTime::new(year, 1, 1, 0, 0, 0).unwrap()).unwrap())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn now() -> Timestamp {
    at("2026-06-01T00:00:00Z")
}

/// A certificate from 2020 to 2040.
pub(crate) fn issue(subject: &Party, issuer: &Party, extensions: Vec<Extension>) -> Vec<u8> {
    issue_with(subject, issuer, extensions, |_| {})
}

fn issue_with(
    subject: &Party,
    issuer: &Party,
    extensions: Vec<Extension>,
    change: impl FnOnce(&mut TbsCertificate),
) -> Vec<u8> {
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None };
    let mut tbs_certificate = TbsCertificate {
        version: x509_cert::Version::V3,
        serial_number: SerialNumber::new(&[1]).unwrap(),
        signature: algorithm.clone(),
        issuer: issuer.name.clone(),
        validity: Validity { not_before: year(2020), not_after: year(2040) },
        subject: subject.name.clone(),
        subject_public_key_info: subject.spki(),
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    };
    change(&mut tbs_certificate);
    let signature = issuer.key.sign(&SystemRandom::new(), &tbs_certificate.to_der().unwrap()).unwrap();
    let signature = BitString::from_bytes(signature.as_ref()).unwrap();
    Certificate { tbs_certificate, signature_algorithm: algorithm, signature }.to_der().unwrap()
}

fn pem(der: &[u8]) -> String {
    Certificate::from_der(der).unwrap().to_pem(LineEnding::LF).unwrap()
}

pub(crate) fn pinned(roots: &[&[u8]]) -> Policy {
    let files = roots.iter().map(|root| ("root.pem", pem(root)));
    Policy { endorsers: Endorsers::from_pem(files).unwrap(), ..Policy::default() }
}

/// A root, an intermediate and a leaf.
struct Three {
    root: Party,
    middle: Party,
    leaf: Party,
    root_der: Vec<u8>,
    middle_der: Vec<u8>,
    leaf_der: Vec<u8>,
}

impl Three {
    fn with(
        root_extensions: Vec<Extension>,
        middle_extensions: Vec<Extension>,
        leaf_extensions: Vec<Extension>,
    ) -> Self {
        let (root, middle, leaf) = (Party::new("Root"), Party::new("Middle"), Party::new("Leaf"));
        Self {
            root_der: issue(&root, &root, root_extensions),
            middle_der: issue(&middle, &root, middle_extensions),
            leaf_der: issue(&leaf, &middle, leaf_extensions),
            root,
            middle,
            leaf,
        }
    }

    fn good() -> Self {
        Self::with(ca_extensions(), ca_extensions(), ek_extensions())
    }

    fn verify(&self) -> Result<VerifiedChain, AppraisalError> {
        pinned(&[&self.root_der]).verify_chain(&self.leaf_der, from_ref(&self.middle_der), now(), EK_LEAF)
    }
}

#[test]
fn a_path_over_an_intermediate_ends_at_the_root() {
    let three = Three::good();
    let chain = three.verify().unwrap();
    assert_eq!((chain.endorser.as_str(), chain.test), ("Root", false));
    assert_eq!(chain.leaf, Certificate::from_der(&three.leaf_der).unwrap());
    // The intermediate may come from the operator's files in place of the device.
    let policy = pinned(&[&three.root_der, &three.middle_der]);
    assert_eq!(policy.endorsers.roots().len(), 1);
    policy.verify_chain(&three.leaf_der, &[], now(), EK_LEAF).unwrap();
    // Roots and strangers that the device sends along change nothing.
    let sent = [three.root_der.clone(), three.leaf_der.clone(), three.middle_der.clone()];
    policy.verify_chain(&three.leaf_der, &sent, now(), EK_LEAF).unwrap();
}

#[test]
fn nobody_vouches_without_roots_and_a_root_sent_along_is_no_root() {
    let three = Three::good();
    let sent = [three.middle_der.clone(), three.root_der.clone()];
    let refused = Policy::default().verify_chain(&three.leaf_der, &sent, now(), EK_LEAF);
    assert!(matches!(refused, Err(AppraisalError::NoEndorsers)), "{refused:?}");
    let other = Party::new("Another root");
    let policy = pinned(&[&issue(&other, &other, ca_extensions())]);
    let refused = policy.verify_chain(&three.leaf_der, &sent, now(), EK_LEAF).unwrap_err();
    assert!(
        matches!(&refused, AppraisalError::UnknownEndorser { subject, .. } if subject.contains("Root")),
        "{refused:?}"
    );
    // A leaf that is signed by itself is not fine.
    let own = issue(&three.leaf, &three.leaf, ek_extensions());
    let refused = policy.verify_chain(&own, &[], now(), EK_LEAF);
    assert!(matches!(refused, Err(AppraisalError::UnknownEndorser { .. })), "{refused:?}");
    // Intermediates in the operator's files are not roots either.
    let policy = pinned(&[&three.middle_der]);
    let refused = policy.verify_chain(&three.leaf_der, &sent, now(), EK_LEAF);
    assert!(matches!(refused, Err(AppraisalError::NoEndorsers)), "{refused:?}");
}

#[test]
fn a_root_of_the_same_name_with_another_key_is_refused() {
    let three = Three::good();
    let impostor = Party::new("Root");
    let policy = pinned(&[&issue(&impostor, &impostor, ca_extensions())]);
    let refused = policy.verify_chain(&three.leaf_der, from_ref(&three.middle_der), now(), EK_LEAF);
    assert!(matches!(refused, Err(AppraisalError::BadSignature { .. })), "{refused:?}");
    // Beside the right root the impostor does no harm.
    let policy = pinned(&[&issue(&impostor, &impostor, ca_extensions()), &three.root_der]);
    policy.verify_chain(&three.leaf_der, from_ref(&three.middle_der), now(), EK_LEAF).unwrap();
}

#[test]
fn test_roots_are_refused_unless_the_policy_says_otherwise() {
    let (root, leaf) = (Party::new("TEST root"), Party::new("Leaf"));
    let root_der = issue(&root, &root, ca_extensions());
    let leaf_der = issue(&leaf, &root, ek_extensions());
    let mut policy = pinned(&[&root_der]);
    let refused = policy.verify_chain(&leaf_der, &[], now(), EK_LEAF).unwrap_err();
    assert!(refused.to_string().contains("dangerously_accept_test_endorsers"), "{refused}");
    policy.dangerously_accept_test_endorsers = true;
    assert!(policy.verify_chain(&leaf_der, &[], now(), EK_LEAF).unwrap().test);

    // A TEST certificate on the way counts as well.
    let (root, middle) = (Party::new("Root"), Party::new("TEST middle"));
    let middle_der = issue(&middle, &root, ca_extensions());
    let policy = pinned(&[&issue(&root, &root, ca_extensions())]);
    let refused = policy.verify_chain(&issue(&leaf, &middle, ek_extensions()), &[middle_der], now(), EK_LEAF);
    assert!(matches!(refused, Err(AppraisalError::TestEndorser { .. })), "{refused:?}");

    assert!(Endorsers::default().with_test_element_root(&pem(&root_der)).is_ok());
    let not_test = Endorsers::default().with_test_element_root(&pem(&issue(&root, &root, ca_extensions())));
    assert!(matches!(not_test, Err(EndorserError::NotTest { .. })), "{not_test:?}");
}

#[test]
fn certificates_count_within_their_validity_alone() {
    let three = Three::good();
    let policy = pinned(&[&three.root_der]);
    let verify =
        |moment| policy.verify_chain(&three.leaf_der, from_ref(&three.middle_der), at(moment), EK_LEAF);
    assert!(verify("2020-01-01T00:00:00Z").is_ok());
    assert!(verify("2040-01-01T00:00:00Z").is_ok());
    for outside in ["2019-12-31T23:59:59Z", "2040-01-01T00:00:01Z"] {
        assert!(matches!(verify(outside), Err(AppraisalError::NotValid { .. })), "{outside}");
    }
    // An expired intermediate under a valid leaf.
    let expired =
        issue_with(&three.middle, &three.root, ca_extensions(), |tbs| tbs.validity.not_after = year(2025));
    let refused = policy.verify_chain(&three.leaf_der, &[expired], now(), EK_LEAF);
    assert!(
        matches!(&refused, Err(AppraisalError::NotValid { subject, .. }) if subject == "CN=Middle"),
        "{refused:?}"
    );
}

#[test]
fn only_a_ca_issues() {
    let not_ca =
        vec![extension(BASIC_CONSTRAINTS, true, &BasicConstraints { ca: false, path_len_constraint: None })];
    for middle in [vec![], not_ca, vec![ca(None), usage(KeyUsages::DigitalSignature)]] {
        let refused = Three::with(ca_extensions(), middle, ek_extensions()).verify();
        assert!(matches!(refused, Err(AppraisalError::NotAnIssuer { .. })), "{refused:?}");
    }
    // Path length 0 allows leaves alone.
    let refused = Three::with(vec![ca(Some(0))], ca_extensions(), ek_extensions()).verify();
    assert!(matches!(refused, Err(AppraisalError::NotAnIssuer { .. })), "{refused:?}");
    Three::with(vec![ca(Some(1))], vec![ca(Some(0))], ek_extensions()).verify().unwrap();
}

#[test]
fn long_paths_and_floods_are_refused() {
    let parties: Vec<Party> = (0..6).map(|n| Party::new(&format!("CA {n}"))).collect();
    let root_der = issue(&parties[0], &parties[0], ca_extensions());
    let middles: Vec<Vec<u8>> =
        parties.windows(2).map(|pair| issue(&pair[1], &pair[0], ca_extensions())).collect();
    let leaf = Party::new("Leaf");
    let policy = pinned(&[&root_der]);
    // Three intermediates make five certificates; four are too many.
    policy.verify_chain(&issue(&leaf, &parties[3], ek_extensions()), &middles, now(), EK_LEAF).unwrap();
    let refused = policy.verify_chain(&issue(&leaf, &parties[4], ek_extensions()), &middles, now(), EK_LEAF);
    assert!(refused.is_err());

    let many = vec![middles[0].clone(); 9];
    let refused = policy.verify_chain(&issue(&leaf, &parties[0], ek_extensions()), &many, now(), EK_LEAF);
    assert!(matches!(refused, Err(AppraisalError::TooMuch { found: 9, .. })), "{refused:?}");

    // Two CAs that certify each other in eight ways: the search gives up.
    let (one, two) = (Party::new("One"), Party::new("Two"));
    let serial = |n: u8| move |tbs: &mut TbsCertificate| tbs.serial_number = SerialNumber::new(&[n]).unwrap();
    let maze: Vec<Vec<u8>> = (1..=4)
        .flat_map(|n| {
            [
                issue_with(&one, &two, ca_extensions(), serial(n)),
                issue_with(&two, &one, ca_extensions(), serial(n)),
            ]
        })
        .collect();
    let refused = policy.verify_chain(&issue(&leaf, &one, ek_extensions()), &maze, now(), EK_LEAF);
    assert!(matches!(refused, Err(AppraisalError::TooMuch { what: "signature checks", .. })), "{refused:?}");
}

#[test]
fn extensions_that_are_not_understood_are_refused_when_critical() {
    let unknown = |critical| {
        let oid = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1");
        vec![usage(KeyUsages::KeyAgreement), extension(oid, critical, &der::asn1::Null)]
    };
    Three::with(ca_extensions(), ca_extensions(), unknown(false)).verify().unwrap();
    let refused = Three::with(ca_extensions(), ca_extensions(), unknown(true)).verify();
    assert!(matches!(refused, Err(AppraisalError::CriticalExtension { .. })), "{refused:?}");
    // Name constraints are not processed, so they are refused where they count.
    let constraints = Extension {
        extn_id: ObjectIdentifier::new_unwrap("2.5.29.30"),
        critical: true,
        extn_value: OctetString::new([0x30, 0]).unwrap(),
    };
    let middle = [ca_extensions(), vec![constraints]].concat();
    let refused = Three::with(ca_extensions(), middle, ek_extensions()).verify();
    assert!(matches!(refused, Err(AppraisalError::CriticalExtension { .. })), "{refused:?}");
    let twice = [ek_extensions(), ek_extensions()].concat();
    let refused = Three::with(ca_extensions(), ca_extensions(), twice).verify();
    assert!(matches!(refused, Err(AppraisalError::Malformed { .. })), "{refused:?}");
}

#[test]
fn a_certificate_for_something_else_is_refused() {
    let server = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
    for leaf in [
        vec![extension(EXTENDED_KEY_USAGE, false, &ExtendedKeyUsage(vec![server]))],
        vec![usage(KeyUsages::DigitalSignature)],
        vec![ca(None)],
    ] {
        let refused = Three::with(ca_extensions(), ca_extensions(), leaf).verify();
        assert!(matches!(refused, Err(AppraisalError::WrongPurpose { .. })), "{refused:?}");
    }
    let three = Three::with(ca_extensions(), ca_extensions(), vec![usage(KeyUsages::DigitalSignature)]);
    let policy = pinned(&[&three.root_der]);
    let element = |leaf: &[u8]| {
        policy.verify_chain(leaf, from_ref(&three.middle_der), now(), ChainPurpose::ElementAttestation)
    };
    element(&three.leaf_der).unwrap();
    let refused = element(&issue(&three.leaf, &three.middle, vec![usage(KeyUsages::KeyAgreement)]));
    assert!(matches!(refused, Err(AppraisalError::WrongPurpose { .. })), "{refused:?}");
}

#[test]
fn the_signed_and_the_outer_algorithm_agree() {
    let three = Three::good();
    let other = issue_with(&three.leaf, &three.middle, ek_extensions(), |tbs| {
        tbs.signature.oid = ECDSA_WITH_SHA384;
    });
    let refused =
        pinned(&[&three.root_der]).verify_chain(&other, from_ref(&three.middle_der), now(), EK_LEAF);
    assert!(matches!(refused, Err(AppraisalError::Malformed { .. })), "{refused:?}");
}

#[test]
fn every_changed_bit_of_a_certificate_is_refused() {
    let three = Three::good();
    let policy = pinned(&[&three.root_der]);
    for at in 0..three.leaf_der.len() {
        let mut changed = three.leaf_der.clone();
        changed[at] ^= 1;
        let verified = policy.verify_chain(&changed, from_ref(&three.middle_der), now(), EK_LEAF);
        assert!(verified.is_err(), "byte {at}");
        let truncated =
            policy.verify_chain(&three.leaf_der[..at], from_ref(&three.middle_der), now(), EK_LEAF);
        assert!(truncated.is_err(), "{at} bytes");
    }
}

#[test]
fn files_of_endorsers_are_read_or_refused() {
    let three = Three::good();
    let both = format!("# a comment\n{}between\n{}", pem(&three.root_der), pem(&three.middle_der));
    let endorsers = Endorsers::from_pem([("both.pem", both.as_str()), ("again.pem", both.as_str())]).unwrap();
    assert_eq!((endorsers.roots.len(), endorsers.intermediates.len()), (1, 1));
    assert_eq!(endorsers.roots()[0].name, "Root");

    let read = |text: &str| Endorsers::from_pem([("file.pem", text)]);
    assert!(matches!(read(""), Err(EndorserError::NotPem { .. })));
    assert!(matches!(read("-----BEGIN CERTIFICATE-----\n"), Err(EndorserError::NotPem { .. })));
    let text = pem(&three.root_der).replace("MII", "M!I");
    assert!(matches!(read(&text), Err(EndorserError::NotPem { .. })));
    // A root whose signature by itself does not verify.
    let mut forged = three.root_der.clone();
    let at = forged.len() - 1;
    forged[at] ^= 1;
    assert!(matches!(read(&pem(&forged)), Err(EndorserError::BadCertificate { number: 1, .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,200}") {
        prop_assert!(Link::parse("any", &bytes).is_err());
        prop_assert!(Endorsers::from_pem([("any", text)]).is_err());
    }
}
