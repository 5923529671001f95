//! Evidence of virtual elements, as they give it and as a liar would change it.

mod bound;

use std::fs;
use std::path::Path;

use touchmark_element::{Class, Element, TEST_ROOT_CERTIFICATE_PEM};
use touchmark_identity::apdu::se05x::{
    AID, ATTESTATION_CERTIFICATE, ATTESTATION_KEY, CURVE_NIST_P256, ECDSA_SHA256, Instruction,
    Policy as ObjectPolicy, TAG_1, TAG_2, TAG_3, TAG_4, TAG_5, TAG_6, TAG_7, TAG_POLICY, rule,
};
use touchmark_identity::apdu::tlv::{self, Tlvs};
use touchmark_identity::apdu::{Command, Response, StatusWord};
use touchmark_identity::assurance::Grade;
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::sha256;
use touchmark_keystore::KeyStore;
use touchmark_keystore::element::ElementStore;

use super::*;
use crate::Endorsers;

const OBJECT: u32 = 0x1000_0000;

/// The key pair of RFC 6979 appendix A.2.5: a key that the whole world knows.
const KNOWN_PRIVATE: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
const KNOWN_POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                           7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

pub(crate) fn now() -> Timestamp {
    "2026-11-20T00:00:00Z".parse().unwrap()
}

pub(crate) fn nonce() -> Nonce {
    Nonce::new(&[0x5a; 32]).unwrap()
}

pub(crate) fn trial() -> Policy {
    let endorsers = Endorsers::default().with_test_element_root(TEST_ROOT_CERTIFICATE_PEM).unwrap();
    Policy { endorsers, dangerously_accept_test_endorsers: true, ..Policy::default() }
}

/// A host that talks to an element as it likes.
struct Host(Element);

impl Host {
    fn create(dir: &Path) -> Self {
        Self::create_of(dir, Class::default())
    }

    fn create_of(dir: &Path, class: Class) -> Self {
        Self::select(Element::create_of_class(dir, now(), class).unwrap())
    }

    fn select(mut element: Element) -> Self {
        let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
        element.transmit(&select.encode().unwrap());
        Self(element)
    }

    fn ask(&mut self, instruction: Instruction, fields: &[(u8, &[u8])]) -> Vec<u8> {
        let mut command = instruction.command(tlv::encode(fields).unwrap());
        command.le = command.le.map(|_| 65_536);
        let response = Response::parse(&self.0.transmit(&command.encode().unwrap())).unwrap();
        assert_eq!(response.sw, StatusWord::SUCCESS, "{}", instruction.spec().name);
        response.data
    }

    fn evidence(&mut self, id: u32) -> ElementEvidence {
        let certificate =
            self.ask(Instruction::ReadObject, &[(TAG_1, &ATTESTATION_CERTIFICATE.to_be_bytes())]);
        let version = self.ask(Instruction::GetVersion, &[]);
        let read = self.ask(
            Instruction::ReadObjectAttested,
            &[
                (TAG_1, &id.to_be_bytes()),
                (TAG_5, &ATTESTATION_KEY.to_be_bytes()),
                (TAG_6, &[ECDSA_SHA256]),
                (TAG_7, &nonce().freshness16()),
            ],
        );
        let value = |data: &[u8], tag| Tlvs::parse(data).unwrap().required(tag).unwrap().to_vec();
        ElementEvidence {
            chip_certificate: value(&certificate, TAG_1),
            chip_chain: vec![],
            data: value(&read, TAG_1),
            attributes: value(&read, TAG_2),
            timestamp: value(&read, TAG_3),
            freshness: value(&read, TAG_4),
            chip_id: value(&read, TAG_5),
            signature: value(&read, TAG_6),
            applet_version: value(&version, TAG_1),
        }
    }

    fn generate(&mut self) {
        self.ask(Instruction::WriteEcKeyPair, &[(TAG_1, &OBJECT.to_be_bytes()), (TAG_2, &[CURVE_NIST_P256])]);
    }

    /// Imports the known key, with a policy set.
    fn import(&mut self, policies: &[u8]) {
        let (private, point) = (hex::decode(KNOWN_PRIVATE).unwrap(), hex::decode(KNOWN_POINT).unwrap());
        let id = OBJECT.to_be_bytes();
        let mut fields: Vec<(u8, &[u8])> = vec![];
        if !policies.is_empty() {
            fields.push((TAG_POLICY, policies));
        }
        fields.extend([(TAG_1, &id[..]), (TAG_2, &[CURVE_NIST_P256]), (TAG_3, &private), (TAG_4, &point)]);
        self.ask(Instruction::WriteEcKeyPair, &fields);
    }
}

pub(crate) use bound::generated as generated_bound;

pub(crate) fn generated() -> (tempfile::TempDir, ElementEvidence) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create(dir.path());
    host.generate();
    let evidence = host.evidence(OBJECT);
    (dir, evidence)
}

fn refused(evidence: &ElementEvidence) -> AppraisalError {
    appraise(evidence, &nonce(), &trial(), now()).expect_err("this evidence must be refused")
}

#[test]
fn a_key_of_the_driver_is_hardware_bound() {
    let dir = tempfile::tempdir().unwrap();
    let mut element = Element::create(dir.path(), now()).unwrap();
    let mut store = ElementStore::new(Box::new(move |apdu: &[u8]| element.transmit(apdu))).unwrap();
    let name = KeyName::new("device").unwrap();
    let public = store.generate(&name).unwrap();
    let attested = KeyStore::attest(&mut store).unwrap().attest(&name, &nonce()).unwrap();
    let evidence = Evidence::from_cbor(&attested.evidence.to_cbor()).unwrap();
    let Evidence::Element(evidence) = evidence else { panic!("another kind of evidence") };

    let appraised = appraise(&evidence, &nonce(), &trial(), now()).unwrap().into_value();
    assert_eq!(appraised.key, public);
    let record = appraised.assurance;
    assert_eq!(record.grade(), Grade::HardwareBound);
    assert_eq!((record.basis, record.provenance), (Basis::Attested, Provenance::GeneratedOnChip));
    assert!(record.test_endorser, "the record says that its endorser is a TEST one");
    assert_eq!(record.appraised, Some(now()));
    assert_eq!(record.evidence_sha256, Some(attested.evidence.sha256()));
    assert_eq!(
        record.part,
        Some(Part {
            vendor: "TEST Touchmark".into(),
            model: "TEST Touchmark virtual secure element".into(),
            firmware: Some("3.1.1".into()),
            crypto_library: Some("1.0".into()),
        })
    );
}

#[test]
fn a_test_element_is_refused_by_default() {
    let (_dir, evidence) = generated();
    let policy = Policy { dangerously_accept_test_endorsers: false, ..trial() };
    let refused = appraise(&evidence, &nonce(), &policy, now());
    assert!(matches!(refused, Err(AppraisalError::TestEndorser { .. })), "{refused:?}");
    let refused = appraise(&evidence, &nonce(), &Policy::default(), now());
    assert!(matches!(refused, Err(AppraisalError::NoEndorsers)), "{refused:?}");
}

#[test]
fn another_nonce_and_another_time_are_refused() {
    let (_dir, evidence) = generated();
    let other = Nonce::new(&[0x5b; 32]).unwrap();
    let refused = appraise(&evidence, &other, &trial(), now());
    assert!(matches!(refused, Err(AppraisalError::NotFresh { .. })), "{refused:?}");
    let refused = appraise(&evidence, &nonce(), &trial(), now().plus_ms(-1_000));
    assert!(matches!(refused, Err(AppraisalError::NotValid { .. })), "{refused:?}");
}

type Field = (&'static str, fn(&mut ElementEvidence) -> &mut Vec<u8>);

const FIELDS: [Field; 8] = [
    ("chip certificate", |e| &mut e.chip_certificate),
    ("data", |e| &mut e.data),
    ("attributes", |e| &mut e.attributes),
    ("time stamp", |e| &mut e.timestamp),
    ("freshness", |e| &mut e.freshness),
    ("chip id", |e| &mut e.chip_id),
    ("signature", |e| &mut e.signature),
    ("applet version", |e| &mut e.applet_version),
];

#[test]
fn every_changed_byte_is_refused() {
    let (_dir, good) = generated();
    appraise(&good, &nonce(), &trial(), now()).unwrap();
    for (name, field) in FIELDS {
        for at in 0..field(&mut good.clone()).len() {
            for mask in [0x01, 0x80] {
                let mut bad = good.clone();
                field(&mut bad)[at] ^= mask;
                assert!(
                    appraise(&bad, &nonce(), &trial(), now()).is_err(),
                    "{name}, byte {at}, mask {mask:#x}"
                );
            }
        }
    }
}

#[test]
fn every_shorter_or_longer_field_is_refused() {
    let (_dir, good) = generated();
    for (name, field) in FIELDS {
        for end in 0..field(&mut good.clone()).len() {
            let mut bad = good.clone();
            field(&mut bad).truncate(end);
            assert!(appraise(&bad, &nonce(), &trial(), now()).is_err(), "{name}, cut at {end}");
        }
        let mut bad = good.clone();
        field(&mut bad).push(0);
        assert!(appraise(&bad, &nonce(), &trial(), now()).is_err(), "{name}, one byte longer");
    }
    // A byte that moves from one field to its neighbour leaves the signed bytes as they are.
    for pair in FIELDS[1..6].windows(2) {
        let (mut right, mut left) = (good.clone(), good.clone());
        let last = pair[0].1(&mut right).pop().unwrap();
        pair[1].1(&mut right).insert(0, last);
        assert!(appraise(&right, &nonce(), &trial(), now()).is_err(), "{} to {}", pair[0].0, pair[1].0);
        let first = pair[1].1(&mut left).remove(0);
        pair[0].1(&mut left).push(first);
        assert!(appraise(&left, &nonce(), &trial(), now()).is_err(), "{} to {}", pair[1].0, pair[0].0);
    }
}

#[test]
fn another_chips_certificate_is_refused() {
    let (_one, mut evidence) = generated();
    let (_two, other) = generated();
    evidence.chip_certificate = other.chip_certificate;
    assert!(matches!(refused(&evidence), AppraisalError::BadSignature { .. }));
}

#[test]
fn a_chip_that_lies_about_its_id_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create(dir.path());
    host.generate();
    let id = hex::encode(host.0.chip_id());
    drop(host);
    // Its state is edited, and gets hashes that fit: each record has the length of its payload (4 bytes), a check of that
    // (4) and a hash (32), both with the hash before.
    let path = dir.path().join("state");
    let state = fs::read(&path).unwrap();
    let end = state.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (format, mut records) = state.split_at(end);
    let (mut edited, mut hash, mut found) = (format.to_vec(), sha256(format), false);
    while !records.is_empty() {
        let (header, rest) = records.split_at(40);
        let bytes = u32::from_be_bytes(header[..4].try_into().unwrap());
        let (payload, rest) = rest.split_at(usize::try_from(bytes).unwrap());
        let mut payload = payload.to_vec();
        let at = payload.windows(36).position(|part| part == id.as_bytes());
        if let Some(at) = at.filter(|_| !found) {
            payload[at..at + 36].copy_from_slice(&[b'e'; 36]);
            found = true;
        }
        let check = sha256(&[&hash, &header[..4]].concat());
        hash = sha256(&[&hash[..], &header[..4], &payload].concat());
        edited.extend([&header[..4], &check[..4], &hash, &payload].concat());
        records = rest;
    }
    assert!(found);
    fs::write(&path, edited).unwrap();
    let evidence = Host::select(Element::open(dir.path()).unwrap()).evidence(OBJECT);
    assert!(matches!(refused(&evidence), AppraisalError::WrongValue { what: "the id of the chip", .. }));
}

#[test]
fn an_imported_key_is_no_better_than_hardened() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create(dir.path());
    host.import(&[]);
    let appraised = appraise(&host.evidence(OBJECT), &nonce(), &trial(), now()).unwrap();
    assert_eq!(appraised.value().assurance.provenance, Provenance::InjectedWrapped);
    assert_eq!(appraised.value().assurance.grade(), Grade::Hardened);
}

#[test]
fn a_generated_key_with_a_policy_is_accepted_an_imported_one_is_not() {
    let policies = [ObjectPolicy { authentication: 0, rule: rule::SIGN | rule::READ, extension: vec![] }];
    let policies = ObjectPolicy::encode_set(&policies).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create(dir.path());
    host.import(&policies);
    assert!(matches!(refused(&host.evidence(OBJECT)), AppraisalError::ForbiddenAttribute { .. }));

    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create(dir.path());
    let id = OBJECT.to_be_bytes();
    host.ask(
        Instruction::WriteEcKeyPair,
        &[(TAG_POLICY, &policies), (TAG_1, &id), (TAG_2, &[CURVE_NIST_P256])],
    );
    let appraised = appraise(&host.evidence(OBJECT), &nonce(), &trial(), now()).unwrap();
    assert_eq!(appraised.value().assurance.provenance, Provenance::GeneratedOnChip);
}

/// The attack that the module's documentation speaks of: the known key is not in the chip at all.
#[test]
fn a_binary_object_dressed_as_a_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create(dir.path());
    let point = hex::decode(KNOWN_POINT).unwrap();
    // Attributes of a key pair, and a policy long enough to swallow the true attributes but for their last byte.
    let dress = [
        &point[..],
        &OBJECT.to_be_bytes(),
        &[ObjectType::EC_KEY_PAIR.0, NOT_SET, 0, 0, 0, 0, 0, 0, 0, 0],
        &[44, 0, 0, 0, 0],
        &(rule::READ | rule::REQUIRE_PCR).to_be_bytes(),
        &[0; 36 - 14],
    ]
    .concat();
    let length = u16::try_from(dress.len()).unwrap().to_be_bytes();
    let id = OBJECT.to_be_bytes();
    host.ask(Instruction::WriteBinary, &[(TAG_1, &id), (TAG_3, &length), (TAG_4, &dress)]);
    let mut evidence = host.evidence(OBJECT);
    assert!(matches!(refused(&evidence), AppraisalError::Malformed { what: "the attested object", .. }));

    let (data, made_up) = evidence.data.split_at(POINT_BYTES);
    evidence.attributes = [made_up, &evidence.attributes].concat();
    evidence.data = data.to_vec();
    let attributes = Attributes::parse(&evidence.attributes).unwrap();
    assert_eq!(attributes.object_type, ObjectType::EC_KEY_PAIR, "the dress fits");
    assert!(matches!(refused(&evidence), AppraisalError::ForbiddenAttribute { .. }));
}

#[test]
fn objects_that_are_no_key_pair_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create(dir.path());
    let point = hex::decode(KNOWN_POINT).unwrap();
    let (public, file) = (0x1000_0004u32.to_be_bytes(), 0x1000_0008u32.to_be_bytes());
    host.ask(
        Instruction::WriteEcPublicKey,
        &[(TAG_1, &public), (TAG_2, &[CURVE_NIST_P256]), (TAG_4, &point)],
    );
    host.ask(Instruction::WriteBinary, &[(TAG_1, &file), (TAG_3, &[0, 65]), (TAG_4, &point)]);
    for id in [0x1000_0004, 0x1000_0008] {
        let wrong = refused(&host.evidence(id));
        assert!(matches!(&wrong, AppraisalError::WrongValue { what: "the attested object", .. }), "{wrong}");
    }
}
