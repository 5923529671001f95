//! An element with the applet 7.2: attested reads that are bound to their command, and attributes with a version.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use touchmark_element::{Applet, Class, Element, Flaw};
use touchmark_identity::apdu::se05x::{
    ATTESTATION_KEY, Attributes, CURVE_ED25519, CURVE_NIST_P256, CURVE_NIST_P384, ECDSA_SHA256, ECDSA_SHA384,
    EDDSA, Instruction, Origin, TAG_1, TAG_2, TAG_3, TAG_5, TAG_6, TAG_7, TAG_POLICY, TAG_SIGNATURE,
    UNIQUE_ID, rule,
};
use touchmark_identity::apdu::tlv::{self, Tlvs};

use crate::host::{Host, policy};

const CLASS: Class = Class { applet: Applet::V7_2, flaw: None };

fn attested_fields(id: u32, by: u32, algorithm: u8) -> Vec<u8> {
    let (id, by) = (id.to_be_bytes(), by.to_be_bytes());
    tlv::encode(&[(TAG_1, &id), (TAG_5, &by), (TAG_6, &[algorithm]), (TAG_7, &[9; 16])]).unwrap()
}

/// Takes the answer apart by hand: each TLV with a length of three bytes.
fn parts(mut answer: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut parts = Vec::new();
    while let [tag, form, high, low, rest @ ..] = answer {
        assert_eq!(*form, 0x82);
        let (value, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        parts.push((*tag, value.to_vec()));
        answer = rest;
    }
    assert!(answer.is_empty());
    parts
}

/// An attested read by a key; gives the TLVs that were signed and checks the signature over them and the command, which is
/// put together here from its bytes.
fn attested(
    host: &mut Host,
    what: (Instruction, u8, u32),
    by: (u32, u8),
    key: (&'static dyn VerificationAlgorithm, &'static Algorithm, &[u8]),
) -> Vec<(u8, Vec<u8>)> {
    let fields = attested_fields(what.2, by.0, by.1);
    let answer = host.ask_bytes(what.0, &fields).unwrap();
    let mut parts = parts(&answer);
    let (tag, mut signature) = parts.pop().unwrap();
    assert_eq!(tag, TAG_SIGNATURE);
    let length = u8::try_from(fields.len()).unwrap();
    let command = [&[0x80, 0x22, 0x00, what.1, 0x00, 0x00, length], &fields[..]].concat();
    let tlvs = &answer[..answer.len() - 4 - signature.len()];
    let signed = [digest(key.1, &command).as_ref(), tlvs].concat();
    if by.1 == EDDSA {
        signature[..32].reverse();
        signature[32..].reverse();
    }
    UnparsedPublicKey::new(key.0, key.2).verify(&signed, &signature).unwrap();
    assert!(UnparsedPublicKey::new(key.0, key.2).verify(tlvs, &signature).is_err());
    parts
}

#[test]
fn every_type_of_object_is_vouched_for() {
    let mut host = Host::of(CLASS);
    let point = host.read(ATTESTATION_KEY).unwrap();
    let chip_id = host.read(UNIQUE_ID).unwrap();
    let key: (&'static dyn VerificationAlgorithm, _, &[u8]) = (&ECDSA_P256_SHA256_ASN1, &SHA256, &point);
    let by = (ATTESTATION_KEY, ECDSA_SHA256);
    host.generate(0x5000_0001, CURVE_NIST_P256);
    host.write_aes(0x5000_0002, &[1; 16]).unwrap();
    host.write_file(0x5000_0003, &policy(0, rule::READ)).unwrap();
    host.write_user_id(0x5000_0004, 3, b"secret").unwrap();
    host.write_file(0x5000_0005, &policy(0, rule::WRITE)).unwrap();
    for (id, data, size) in [
        (0x5000_0001, Some(65), 32u16),
        (0x5000_0002, None, 16),
        (0x5000_0003, Some(2), 2),
        (0x5000_0004, None, 6),
        (0x5000_0005, None, 2),
    ] {
        let read = attested(&mut host, (Instruction::ReadObjectAttested, 0x00, id), by, key);
        let tags: Vec<u8> = read.iter().map(|(tag, _)| *tag).collect();
        let expected = [0x41, 0x42, 0x43, 0x44, 0x4F];
        assert_eq!(tags, expected[usize::from(data.is_none())..], "{id:08x}");
        let value = |tag| read.iter().find(|(found, _)| *found == tag).map(|(_, value)| value.clone());
        assert_eq!(value(0x41).map(|value| value.len()), data);
        assert_eq!(value(0x42).unwrap(), chip_id);
        let attributes = Attributes::parse_with_version(&value(0x43).unwrap()).unwrap();
        assert_eq!((attributes.object_id, attributes.version), (id, Some(0)));
        let internal = id == 0x5000_0001;
        assert_eq!(attributes.origin, if internal { Origin::INTERNAL } else { Origin::EXTERNAL });
        assert_eq!(value(0x44).unwrap(), size.to_be_bytes());
        assert_eq!(value(0x4F).unwrap().len(), 12);

        let alone = attested(&mut host, (Instruction::ReadAttributesAttested, 0x3B, id), by, key);
        let tags: Vec<u8> = alone.iter().map(|(tag, _)| *tag).collect();
        assert_eq!(tags, [0x42, 0x43, 0x44, 0x4F]);
        // Without attestation the attributes have the tag 43 as well.
        let plain = host.ask(Instruction::ReadAttributes, &[(TAG_1, &id.to_be_bytes())]).unwrap();
        let plain = Tlvs::parse(&plain).unwrap();
        assert_eq!((plain.find(TAG_2), plain.find(TAG_3)), (None, value(0x43).as_deref()));
    }
}

#[test]
fn keys_of_other_curves_vouch_with_their_own_algorithm() {
    let mut host = Host::of(CLASS);
    let set = policy(0, rule::ATTEST | rule::READ);
    let make = |host: &mut Host, id: u32, curve: u8| {
        let bytes = id.to_be_bytes();
        let fields = [(TAG_POLICY, &set[..]), (TAG_1, &bytes), (TAG_2, &[curve])];
        host.ask(Instruction::WriteEcKeyPair, &fields).unwrap();
        host.read(id).unwrap()
    };
    let point = make(&mut host, 0x5000_0001, CURVE_NIST_P384);
    let what = (Instruction::ReadObjectAttested, 0x00, ATTESTATION_KEY);
    attested(&mut host, what, (0x5000_0001, ECDSA_SHA384), (&ECDSA_P384_SHA384_ASN1, &SHA384, &point));
    let mut point = make(&mut host, 0x5000_0002, CURVE_ED25519);
    point.reverse();
    attested(&mut host, what, (0x5000_0002, EDDSA), (&ED25519, &SHA512, &point));
}

#[test]
fn the_applet_is_for_good_and_everything_names_it() {
    let mut host = Host::of(CLASS);
    for _ in 0..2 {
        let version = host.value(Instruction::GetVersion, &[]).unwrap();
        assert_eq!(version[..3], [7, 2, 0]);
        assert_eq!(Element::inspect(host.dir.path()).unwrap().applet_version, hex::encode(&version));
        let certificate = host.read(0xF000_0013).unwrap();
        let unit = format!("applet {}", hex::encode(&version));
        assert!(certificate.windows(unit.len()).any(|part| part == unit.as_bytes()));
        host = host.restart();
    }
    let mut flawed = Host::of(Class { flaw: Some(Flaw::ReadableKeys), ..CLASS });
    assert_eq!(flawed.value(Instruction::GetVersion, &[]).unwrap()[..3], [7, 2, 99]);
    let applets: Vec<Applet> = ["3.1", "7.2"].map(|text| text.parse().unwrap()).to_vec();
    assert_eq!(applets, Applet::ALL);
    assert_eq!("7.1".parse::<Applet>().unwrap_err(), "\"7.1\" is none of 3.1, 7.2");
}
