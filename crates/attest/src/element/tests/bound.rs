//! Reads that are bound to their command, as an applet 7.2 gives them and as a liar would change them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use touchmark_element::{Applet, Flaw};
use touchmark_identity::apdu::se05x::bound::{self, BoundRead};
use touchmark_identity::evidence::BoundReadEvidence;

use super::*;

/// An element with the applet 7.2.
const CLASS: Class = Class { applet: Applet::V7_2, flaw: None };
const VERSION: [u8; 7] = [7, 2, 0, 0x02, 0x9E, 1, 0];

impl Host {
    fn bound_evidence(&mut self, id: u32) -> BoundReadEvidence {
        let value = |data: &[u8], tag| Tlvs::parse(data).unwrap().required(tag).unwrap().to_vec();
        let certificate =
            self.ask(Instruction::ReadObject, &[(TAG_1, &ATTESTATION_CERTIFICATE.to_be_bytes())]);
        let version = self.ask(Instruction::GetVersion, &[]);
        let fields = asking(id, &nonce().freshness16());
        let fields: Vec<(u8, &[u8])> = fields.iter().map(|(tag, value)| (*tag, value.as_slice())).collect();
        let answer = self.ask(Instruction::ReadObjectAttested, &fields);
        let (signed, signature) = bound::divide(&answer).unwrap();
        BoundReadEvidence {
            chip_certificate: value(&certificate, TAG_1),
            chip_chain: vec![],
            command: command(&fields),
            answer: signed.to_vec(),
            signature: signature.to_vec(),
            applet_version: value(&version, TAG_1),
        }
    }
}

fn asking(id: u32, freshness: &[u8]) -> [(u8, Vec<u8>); 4] {
    [
        (TAG_1, id.to_be_bytes().to_vec()),
        (TAG_5, ATTESTATION_KEY.to_be_bytes().to_vec()),
        (TAG_6, vec![ECDSA_SHA256]),
        (TAG_7, freshness.to_vec()),
    ]
}

fn command(fields: &[(u8, &[u8])]) -> Vec<u8> {
    bound::command_bytes(Instruction::ReadObjectAttested, &tlv::encode(fields).unwrap()).unwrap()
}

pub(crate) fn generated() -> (tempfile::TempDir, BoundReadEvidence) {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create_of(dir.path(), CLASS);
    host.generate();
    let evidence = host.bound_evidence(OBJECT);
    (dir, evidence)
}

fn judged(evidence: &BoundReadEvidence) -> Result<AttestedKey, AppraisalError> {
    appraise_bound(evidence, &nonce(), &trial(), now()).map(Appraised::into_value)
}

#[test]
fn a_key_of_the_driver_is_hardware_bound() {
    let dir = tempfile::tempdir().unwrap();
    let mut element = Element::create_of_class(dir.path(), now(), CLASS).unwrap();
    let mut store = ElementStore::new(Box::new(move |apdu: &[u8]| element.transmit(apdu))).unwrap();
    let name = KeyName::new("device").unwrap();
    let public = store.generate(&name).unwrap();
    let attested = KeyStore::attest(&mut store).unwrap().attest(&name, &nonce()).unwrap();
    let evidence = Evidence::from_cbor(&attested.evidence.to_cbor()).unwrap();
    let Evidence::BoundRead(evidence) = evidence else { panic!("another kind of evidence") };

    let appraised = judged(&evidence).unwrap();
    assert_eq!(appraised.key, public);
    let record = appraised.assurance;
    assert_eq!(record.grade(), Grade::HardwareBound);
    assert_eq!((record.basis, record.provenance), (Basis::Attested, Provenance::GeneratedOnChip));
    assert!(record.test_endorser, "the record says that its endorser is a TEST one");
    assert_eq!(record.evidence_sha256, Some(attested.evidence.sha256()));
    assert_eq!(record.part.unwrap().firmware.as_deref(), Some("7.2.0"));
}

#[test]
fn another_policy_nonce_or_time_is_refused() {
    let (_dir, evidence) = generated();
    let policy = Policy { dangerously_accept_test_endorsers: false, ..trial() };
    let refused = appraise_bound(&evidence, &nonce(), &policy, now());
    assert!(matches!(refused, Err(AppraisalError::TestEndorser { .. })), "{refused:?}");
    let refused = appraise_bound(&evidence, &nonce(), &Policy::default(), now());
    assert!(matches!(refused, Err(AppraisalError::NoEndorsers)), "{refused:?}");
    let other = Nonce::new(&[0x5b; 32]).unwrap();
    let refused = appraise_bound(&evidence, &other, &trial(), now());
    assert!(matches!(refused, Err(AppraisalError::NotFresh { .. })), "{refused:?}");
    let refused = appraise_bound(&evidence, &nonce(), &trial(), now().plus_ms(-1_000));
    assert!(matches!(refused, Err(AppraisalError::NotValid { .. })), "{refused:?}");
}

type BoundField = (&'static str, fn(&mut BoundReadEvidence) -> &mut Vec<u8>);

const BOUND_FIELDS: [BoundField; 5] = [
    ("chip certificate", |e| &mut e.chip_certificate),
    ("command", |e| &mut e.command),
    ("answer", |e| &mut e.answer),
    ("signature", |e| &mut e.signature),
    ("applet version", |e| &mut e.applet_version),
];

#[test]
fn every_changed_byte_and_every_other_length_is_refused() {
    let (_dir, good) = generated();
    judged(&good).unwrap();
    for (name, field) in BOUND_FIELDS {
        for at in 0..field(&mut good.clone()).len() {
            for mask in [0x01, 0x80] {
                let mut bad = good.clone();
                field(&mut bad)[at] ^= mask;
                assert!(judged(&bad).is_err(), "{name}, byte {at}, mask {mask:#x}");
            }
            let mut bad = good.clone();
            field(&mut bad).truncate(at);
            assert!(judged(&bad).is_err(), "{name}, cut at {at}");
        }
        let mut bad = good.clone();
        field(&mut bad).push(0);
        assert!(judged(&bad).is_err(), "{name}, one byte longer");
    }
    let mut bad = good.clone();
    bad.chip_chain.push(vec![0x30, 0]);
    assert!(judged(&bad).is_err(), "a chain with what is no certificate");
    let (_other, other) = generated();
    let stolen = BoundReadEvidence { chip_certificate: other.chip_certificate, ..good };
    assert!(matches!(judged(&stolen), Err(AppraisalError::BadSignature { .. })));
}

#[test]
fn imported_keys_are_hardened_with_and_without_a_policy() {
    let policies = [ObjectPolicy { authentication: 0, rule: rule::SIGN | rule::READ, extension: vec![] }];
    for set in [vec![], ObjectPolicy::encode_set(&policies).unwrap()] {
        let dir = tempfile::tempdir().unwrap();
        let mut host = Host::create_of(dir.path(), CLASS);
        host.import(&set);
        let appraised = judged(&host.bound_evidence(OBJECT)).unwrap();
        assert_eq!(appraised.assurance.provenance, Provenance::InjectedWrapped);
        assert_eq!(appraised.assurance.grade(), Grade::Hardened);
    }
}

#[test]
fn objects_that_are_no_readable_key_pair_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create_of(dir.path(), CLASS);
    let point = hex::decode(KNOWN_POINT).unwrap();
    let ids = [0x1000_0004, 0x1000_0008, 0x1000_000C].map(u32::to_be_bytes);
    let public = [(TAG_1, &ids[0][..]), (TAG_2, &[CURVE_NIST_P256]), (TAG_4, &point)];
    host.ask(Instruction::WriteEcPublicKey, &public);
    host.ask(Instruction::WriteBinary, &[(TAG_1, &ids[1]), (TAG_3, &[0, 65]), (TAG_4, &point)]);
    for id in [0x1000_0004, 0x1000_0008] {
        let wrong = judged(&host.bound_evidence(id)).unwrap_err();
        assert!(matches!(&wrong, AppraisalError::WrongValue { what: "the attested object", .. }), "{wrong}");
    }
    let unread = ObjectPolicy { authentication: 0, rule: rule::SIGN, extension: vec![] };
    let set = ObjectPolicy::encode_set(&[unread]).unwrap();
    host.ask(
        Instruction::WriteEcKeyPair,
        &[(TAG_POLICY, &set), (TAG_1, &ids[2]), (TAG_2, &[CURVE_NIST_P256])],
    );
    let wrong = judged(&host.bound_evidence(0x1000_000C)).unwrap_err();
    assert!(matches!(&wrong, AppraisalError::Malformed { what: "the attested object", .. }), "{wrong}");
}

/// The version that a maker's certificate does not name is a claim; a liar makes it, and says another layout.
#[test]
fn a_layout_that_the_version_does_not_have_is_refused() {
    let (_seven, honest) = generated();
    for version in [[3, 1, 1], [4, 4, 0], [6, 0, 0], [7, 1, 9]] {
        let mut lie = honest.clone();
        lie.applet_version[..3].copy_from_slice(&version);
        let wrong = judged(&lie).unwrap_err();
        let layout = "the layout of the attested read";
        assert!(matches!(&wrong, AppraisalError::WrongValue { what, .. } if *what == layout), "{wrong}");
    }
    let (_three, honest) = super::generated();
    for version in [[4, 4, 0], [6, 0, 0], [7, 2, 0], [8, 0, 0]] {
        let mut lie = honest.clone();
        lie.applet_version[..3].copy_from_slice(&version);
        let wrong = refused(&lie);
        let layout = "the layout of the attested read";
        assert!(matches!(&wrong, AppraisalError::WrongValue { what, .. } if *what == layout), "{wrong}");
    }
}

#[test]
fn a_read_of_one_layout_is_none_in_the_other() {
    // What an applet 3.1 said, with the tags of 7.2.
    let (_three, old) = super::generated();
    let attributes = [&old.attributes[..], &[0; 4]].concat();
    for attributes in [&old.attributes, &attributes] {
        let read = BoundRead {
            data: Some(&old.data),
            chip_id: old.chip_id.clone().try_into().unwrap(),
            attributes,
            size: 32,
            timestamp: old.timestamp.clone().try_into().unwrap(),
        };
        let fields = asking(OBJECT, &old.freshness);
        let fields: Vec<(u8, &[u8])> = fields.iter().map(|(tag, value)| (*tag, value.as_slice())).collect();
        let lie = BoundReadEvidence {
            chip_certificate: old.chip_certificate.clone(),
            chip_chain: vec![],
            command: command(&fields),
            answer: read.encode().unwrap(),
            signature: old.signature.clone(),
            applet_version: VERSION.to_vec(),
        };
        assert!(matches!(judged(&lie), Err(AppraisalError::BadSignature { .. })));
    }
    // What an applet 7.2 said, with the fields of 3.1.
    let (_seven, new) = generated();
    let read = BoundRead::parse(&new.answer).unwrap();
    let version = vec![3, 1, 1, 0x02, 0x9E, 1, 0];
    for attributes in [read.attributes, &read.attributes[..15]] {
        let lie = ElementEvidence {
            chip_certificate: new.chip_certificate.clone(),
            chip_chain: vec![],
            data: read.data.unwrap().to_vec(),
            attributes: attributes.to_vec(),
            timestamp: read.timestamp.to_vec(),
            freshness: nonce().freshness16().to_vec(),
            chip_id: read.chip_id.to_vec(),
            signature: new.signature.clone(),
            applet_version: version.clone(),
        };
        assert!(matches!(refused(&lie), AppraisalError::BadSignature { .. }));
    }
}

/// An applet 3.1 signs bare values: here those of a binary object that begins as a statement of 7.2 does.
#[test]
fn a_binary_object_dressed_as_a_bound_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::create(dir.path());
    let point = hex::decode(KNOWN_POINT).unwrap();
    let fields = asking(OBJECT, &nonce().freshness16());
    let fields: Vec<(u8, &[u8])> = fields.iter().map(|(tag, value)| (*tag, value.as_slice())).collect();
    let command = command(&fields);
    let attributes =
        [&OBJECT.to_be_bytes()[..], &[1, NOT_SET], &[0; 8], &[Origin::INTERNAL.0], &[0; 4]].concat();
    let read = BoundRead {
        data: Some(&point),
        chip_id: host.0.chip_id(),
        attributes: &attributes,
        size: 32,
        timestamp: [0; TIMESTAMP_BYTES],
    };
    let made_up = read.encode().unwrap();
    // The time stamp, or another value, would have to swallow what the chip itself puts behind the object: attributes,
    // time stamp, freshness, chip id.
    for kept in [made_up.len(), made_up.len() - TIMESTAMP_BYTES, made_up.len() - TIMESTAMP_BYTES - 4] {
        let content = [&sha256(&command)[..], &made_up[..kept]].concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let id = OBJECT.to_be_bytes();
        host.ask(Instruction::WriteBinary, &[(TAG_1, &id), (TAG_3, &length), (TAG_4, &content)]);
        let old = host.evidence(OBJECT);
        let tail = [old.attributes, old.timestamp, old.freshness, old.chip_id].concat();
        let lie = BoundReadEvidence {
            chip_certificate: old.chip_certificate,
            chip_chain: vec![],
            command: command.clone(),
            answer: [&made_up[..kept], &tail].concat(),
            signature: old.signature,
            applet_version: VERSION.to_vec(),
        };
        let wrong = judged(&lie).unwrap_err();
        assert!(matches!(&wrong, AppraisalError::Malformed { .. }), "{wrong}");
        host.ask(Instruction::DeleteSecureObject, &[(TAG_1, &id)]);
    }
}

/// A chip whose attestation key got out: whoever has the key signs what he likes, and what a chip does not say is
/// refused all the same.
struct Forger {
    key: EcdsaKeyPair,
    honest: BoundReadEvidence,
}

impl Forger {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let class = Class { flaw: Some(Flaw::ReadableKeys), ..CLASS };
        let mut host = Host::create_of(dir.path(), class);
        host.generate();
        let honest = host.bound_evidence(OBJECT);
        let leaked = host.ask(Instruction::ReadObject, &[(TAG_1, &ATTESTATION_KEY.to_be_bytes())]);
        let scalar = Tlvs::parse(&leaked).unwrap().required(TAG_1).unwrap().to_vec();
        let der = [
            hex::decode("30310201010420").unwrap(),
            scalar,
            hex::decode("a00a06082a8648ce3d030107").unwrap(),
        ];
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der.concat()).unwrap();
        Self { key, honest }
    }

    fn sign(&self, command: &[u8], answer: &[u8]) -> BoundReadEvidence {
        let signed = bound::statement_sha256(command, answer);
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec();
        let (command, answer) = (command.to_vec(), answer.to_vec());
        BoundReadEvidence { command, answer, signature, ..self.honest.clone() }
    }

    fn with_command(&self, command: &[u8]) -> Result<AttestedKey, AppraisalError> {
        judged(&self.sign(command, &self.honest.answer))
    }

    fn with_attributes(&self, attributes: &[u8]) -> Result<AttestedKey, AppraisalError> {
        let read = BoundRead { attributes, ..BoundRead::parse(&self.honest.answer).unwrap() };
        judged(&self.sign(&self.honest.command, &read.encode().unwrap()))
    }
}

#[test]
fn a_signed_command_that_asks_for_something_else_is_refused() {
    let forger = Forger::new();
    forger.with_command(&forger.honest.command).unwrap();
    let fresh = nonce().freshness16();
    let honest = asking(OBJECT, &fresh);
    type Fields = Vec<(u8, Vec<u8>)>;
    let fields = |change: &dyn Fn(&mut Fields)| {
        let mut fields = honest.to_vec();
        change(&mut fields);
        let fields: Vec<(u8, &[u8])> = fields.iter().map(|(tag, value)| (*tag, value.as_slice())).collect();
        command(&fields)
    };
    for (what, lie) in [
        ("another object", fields(&|f| f[0].1[3] ^= 4)),
        ("no object", fields(&|f| drop(f.remove(0)))),
        ("another algorithm", fields(&|f| f[2].1 = vec![0x22])),
        ("another freshness", fields(&|f| f[3].1[0] ^= 1)),
        ("no freshness", fields(&|f| drop(f.pop()))),
        ("a longer freshness", fields(&|f| f[3].1.push(0))),
        ("a part of an object", fields(&|f| f.insert(1, (TAG_2, vec![0, 1])))),
        ("a field more", fields(&|f| f.push((0x48, vec![])))),
        ("another order", fields(&|f| f.swap(0, 1))),
        ("no fields", command(&[])),
        ("nothing", vec![]),
    ] {
        assert!(forger.with_command(&lie).is_err(), "{what}");
    }
    for (at, name) in [(0, "class"), (1, "instruction"), (2, "P1"), (3, "P2")] {
        let mut lie = forger.honest.command.clone();
        lie[at] ^= 0x20;
        assert!(forger.with_command(&lie).is_err(), "{name}");
    }
    // The short form, and an Le: a chip digests neither, as far as its maker's hosts show.
    let short = [&forger.honest.command[..4], &forger.honest.command[6..]].concat();
    assert!(forger.with_command(&short).is_err());
    assert!(forger.with_command(&[&forger.honest.command[..], &[0, 0]].concat()).is_err());
    let asked = fields(&|f| f[3].1[0] ^= 1);
    assert!(matches!(forger.with_command(&asked), Err(AppraisalError::NotFresh { .. })));
    let asked = fields(&|f| f[2].1 = vec![0x22]);
    assert!(matches!(forger.with_command(&asked), Err(AppraisalError::UnsupportedAlgorithm { .. })));
}

#[test]
fn signed_attributes_that_no_key_of_ours_has_are_refused() {
    let forger = Forger::new();
    let read = BoundRead::parse(&forger.honest.answer).unwrap();
    let honest = Attributes::parse_with_version(read.attributes).unwrap();
    assert_eq!((honest.origin, honest.version), (Origin::INTERNAL, Some(0)));
    forger.with_attributes(read.attributes).unwrap();
    let exportable = ObjectPolicy { authentication: 0, rule: rule::IMPORT_EXPORT, extension: vec![] };
    let changed = |change: &dyn Fn(&mut Attributes)| {
        let mut attributes = honest.clone();
        change(&mut attributes);
        attributes.encode().unwrap()
    };
    for (what, lie) in [
        ("no version", changed(&|a| a.version = None)),
        ("a version of one byte", [changed(&|a| a.version = None), vec![0]].concat()),
        ("another object", changed(&|a| a.object_id ^= 4)),
        ("a public key", changed(&|a| a.object_type = ObjectType::EC_PUBLIC_KEY)),
        ("an authentication object", changed(&|a| a.authentication = 2)),
        ("a key that leaves", changed(&|a| a.policies = vec![exportable.clone()])),
        ("an origin of nobody", changed(&|a| a.origin = Origin(4))),
        ("nothing", vec![]),
    ] {
        assert!(forger.with_attributes(&lie).is_err(), "{what}");
    }
    // A later version of the same object is the same key.
    forger.with_attributes(&changed(&|a| a.version = Some(0x0102_0304))).unwrap();
}

#[test]
fn a_signed_answer_of_another_chip_or_form_is_refused() {
    let forger = Forger::new();
    let honest = &forger.honest;
    let read = BoundRead::parse(&honest.answer).unwrap();
    let with = |read: BoundRead<'_>| judged(&forger.sign(&honest.command, &read.encode().unwrap()));
    assert!(matches!(
        with(BoundRead { chip_id: [1; CHIP_ID_BYTES], ..read.clone() }),
        Err(AppraisalError::WrongValue { what: "the id of the chip", .. })
    ));
    assert!(with(BoundRead { data: None, ..read.clone() }).is_err());
    assert!(with(BoundRead { data: Some(&[4; 64]), ..read.clone() }).is_err());
    assert!(with(BoundRead { data: Some(&[4; 65]), ..read.clone() }).is_err(), "no point of the curve");
    for answer in [vec![], honest.answer[..60].to_vec(), [&honest.answer[..], &[0x53, 0x82, 0, 0]].concat()] {
        assert!(judged(&forger.sign(&honest.command, &answer)).is_err());
    }
}
