//! PCRs, counters, transient objects, export and import, attested reads, PBKDF2.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use touchmark_element::Element;
use touchmark_identity::apdu::se05x::{
    AES_ECB, ATTESTATION_KEY, CURVE_ED25519, CURVE_NIST_P256, CURVE_NIST_P384, ECDSA_SHA256, ECDSA_SHA384,
    EDDSA, Instruction, TAG_1, TAG_2, TAG_3, TAG_4, TAG_5, TAG_6, TAG_7, TAG_POLICY, rule,
};
use touchmark_identity::apdu::tlv::Tlvs;
use touchmark_identity::key::sha256;

use crate::host::{Answer, FIELD, Host, NOT_SUITED, POLICY, policy};

const ID: [u8; 4] = [0x50, 0, 0, 1];

#[test]
fn pcrs_are_extended_and_go_back_to_their_beginning() {
    let mut host = Host::new();
    let write = |host: &mut Host, fields: &[(u8, &[u8])]| host.ask(Instruction::WritePcr, fields);
    assert_eq!(write(&mut host, &[(TAG_1, &ID)]), Err(FIELD), "a new one has an initial value");
    assert_eq!(write(&mut host, &[(TAG_1, &ID), (TAG_2, &[1; 31])]), Err(FIELD));
    assert_eq!(write(&mut host, &[(TAG_1, &ID), (TAG_2, &[1; 32]), (TAG_3, b"x")]), Err(FIELD));
    write(&mut host, &[(TAG_1, &ID), (TAG_2, &[1; 32])]).unwrap();
    let value = |host: &mut Host| host.value(Instruction::ReadObject, &[(TAG_1, &ID)]).unwrap();
    assert_eq!(value(&mut host), [1; 32]);
    write(&mut host, &[(TAG_1, &ID), (TAG_3, b"first")]).unwrap();
    let once = sha256(&[&[1; 32][..], b"first"].concat());
    assert_eq!(value(&mut host), once);
    write(&mut host, &[(TAG_1, &ID), (TAG_3, b"second")]).unwrap();
    assert_eq!(value(&mut host), sha256(&[&once[..], b"second"].concat()));
    assert_eq!(
        write(&mut host, &[(TAG_1, &ID), (TAG_2, &[2; 32])]),
        Err(FIELD),
        "the beginning does not change"
    );
    write(&mut host, &[(TAG_1, &ID)]).unwrap();
    assert_eq!(value(&mut host), [1; 32]);
    assert_eq!(host.value(Instruction::ReadSize, &[(TAG_1, &ID)]).unwrap(), [0, 32]);
    assert_eq!(host.value(Instruction::ReadType, &[(TAG_1, &ID)]).unwrap(), [0x0F]);
    let mut host = host.restart();
    assert_eq!(value(&mut host), [1; 32]);
    host.write_file(0x5000_0002, &[]).unwrap();
    assert_eq!(write(&mut host, &[(TAG_1, &[0x50, 0, 0, 2]), (TAG_3, b"x")]), Err(NOT_SUITED));
}

/// Changes some text of the state into another of the same length, with hashes that fit. Behind the line with the format,
/// each record has the length of its payload (4 bytes), a check of that (4) and a hash (32), both with the hash before.
fn edit(path: &std::path::Path, old: &[u8], new: &[u8]) {
    let state = std::fs::read(path).unwrap();
    let end = state.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (format, mut records) = state.split_at(end);
    let (mut edited, mut hash, mut found) = (format.to_vec(), sha256(format), false);
    while !records.is_empty() {
        let (header, rest) = records.split_at(40);
        let (length, _) = header.split_at(4);
        let bytes = u32::from_be_bytes(length.try_into().unwrap());
        let (payload, rest) = rest.split_at(usize::try_from(bytes).unwrap());
        let mut payload = payload.to_vec();
        while let Some(at) = payload.windows(old.len()).position(|part| part == old) {
            payload.splice(at..at + old.len(), new.iter().copied());
            found = true;
        }
        let check = sha256(&[&hash[..], length].concat());
        hash = sha256(&[&hash[..], length, &payload].concat());
        edited.extend([length, check.split_at(4).0, &hash, &payload].concat());
        records = rest;
    }
    assert!(found);
    std::fs::write(path, edited).unwrap();
}

#[test]
fn a_counter_ends_with_its_budget_of_writes() {
    let mut host = Host::new();
    host.ask(Instruction::WriteCounter, &[(TAG_1, &ID), (TAG_2, &[0, 4])]).unwrap();
    // The state as it stands when all but two writes are used up.
    let Host { dir, element } = host;
    drop(element);
    edit(&dir.path().join("state"), b"\"writes\":1000000", b"\"writes\":2      ");
    let element = Element::open(dir.path()).unwrap();
    let mut host = Host { dir, element };
    host.select();
    let up = |host: &mut Host| host.ask(Instruction::WriteCounter, &[(TAG_1, &ID)]);
    up(&mut host).unwrap();
    up(&mut host).unwrap();
    assert_eq!(up(&mut host), Err(NOT_SUITED), "the memory is worn");
    let set = host.ask(Instruction::WriteCounter, &[(TAG_1, &ID), (TAG_3, &[0, 0, 1, 0])]);
    assert_eq!(set, Err(NOT_SUITED));
    assert_eq!(host.read(0x5000_0001).unwrap(), [0, 0, 0, 2], "it can still be read");
    let mut host = host.restart();
    assert_eq!(up(&mut host), Err(NOT_SUITED));
}

fn cipher(host: &mut Host) -> Answer {
    host.value(Instruction::EncryptOneShot, &[(TAG_1, &ID), (TAG_2, &[AES_ECB]), (TAG_3, &[0; 16])])
}

#[test]
fn a_transient_object_loses_its_value_and_nothing_else() {
    let mut host = Host::new();
    let free = |host: &mut Host| host.value(Instruction::GetFreeMemory, &[(TAG_1, &[3])]).unwrap();
    let before = free(&mut host);
    host.transient(Instruction::WriteAesKey, &[(TAG_1, &ID), (TAG_3, &[1; 32])]).unwrap();
    assert_ne!(free(&mut host), before);
    let kind = [0x41, 1, 0x09, 0x42, 1, 0x02];
    assert_eq!(host.ask(Instruction::ReadType, &[(TAG_1, &ID)]).unwrap(), kind);
    cipher(&mut host).unwrap();
    let state = std::fs::read(host.dir.path().join("state")).unwrap();
    let state = String::from_utf8_lossy(&state);
    assert!(!state.contains(&hex::encode([1; 32])), "the value is written nowhere");
    host.select();
    assert_eq!(cipher(&mut host), Err(NOT_SUITED));
    assert_eq!(host.ask(Instruction::ReadType, &[(TAG_1, &ID)]).unwrap(), kind);
    assert_eq!(host.value(Instruction::ReadSize, &[(TAG_1, &ID)]).unwrap(), [0, 32]);
    assert_eq!(free(&mut host), before);
    let mut host = host.restart();
    host.ask(Instruction::WriteAesKey, &[(TAG_1, &ID), (TAG_3, &[2; 16])]).unwrap();
    cipher(&mut host).unwrap();
    host.delete(0x5000_0001).unwrap();
    assert_eq!(cipher(&mut host), Err(NOT_SUITED));
    // An EC pair keeps its curve.
    host.transient(Instruction::WriteEcKeyPair, &[(TAG_1, &ID), (TAG_2, &[CURVE_NIST_P384])]).unwrap();
    host.select();
    assert_eq!(host.value(Instruction::GetEcCurveId, &[(TAG_1, &ID)]).unwrap(), [CURVE_NIST_P384]);
    host.ask(Instruction::WriteEcKeyPair, &[(TAG_1, &ID)]).unwrap();
    assert_eq!(host.read(0x5000_0001).unwrap().len(), 97);
    // What opens sessions is not transient, and a user id neither.
    let both = [(TAG_1, &[0x50, 0, 0, 3][..]), (TAG_3, &[1; 16])];
    assert_eq!(host.flagged(0xC0, Instruction::WriteAesKey, &both), Err(FIELD));
}

#[test]
fn an_exported_value_comes_back_to_its_own_object_on_its_own_chip() {
    let mut host = Host::new();
    let id: &[(u8, &[u8])] = &[(TAG_1, &ID)];
    host.transient(Instruction::WriteAesKey, &[(TAG_1, &ID), (TAG_3, &[1; 32])]).unwrap();
    let expected = cipher(&mut host).unwrap();
    let blob = host.value(Instruction::ExportObject, id).unwrap();
    assert!(!blob.windows(8).any(|window| window == [1; 8]), "it is encrypted");
    let import =
        |host: &mut Host, blob: &[u8]| host.ask(Instruction::ImportObject, &[(TAG_1, &ID), (TAG_3, blob)]);
    host.select();
    assert_eq!(host.value(Instruction::ExportObject, id), Err(NOT_SUITED), "there is no value");
    import(&mut host, &blob).unwrap();
    assert_eq!(cipher(&mut host).unwrap(), expected);
    let mut host = host.restart();
    import(&mut host, &blob).unwrap();
    assert_eq!(cipher(&mut host).unwrap(), expected, "the keys for it last");
    for at in 0..blob.len() {
        let mut wrong = blob.clone();
        wrong[at] ^= 0x10;
        assert_eq!(import(&mut host, &wrong), Err(NOT_SUITED), "{at}");
    }
    assert_eq!(import(&mut host, &blob[..15]), Err(FIELD));
    // Another chip, another id, another type, a persistent object, other rules.
    let mut other = Host::new();
    other.transient(Instruction::WriteAesKey, &[(TAG_1, &ID), (TAG_3, &[2; 32])]).unwrap();
    assert_eq!(import(&mut other, &blob), Err(NOT_SUITED));
    let second = [0x50, 0, 0, 2];
    host.transient(Instruction::WriteAesKey, &[(TAG_1, &second), (TAG_3, &[2; 32])]).unwrap();
    let moved = host.ask(Instruction::ImportObject, &[(TAG_1, &second), (TAG_3, &blob)]);
    assert_eq!(moved, Err(NOT_SUITED));
    host.delete(0x5000_0001).unwrap();
    assert_eq!(import(&mut host, &blob), Err(NOT_SUITED), "the object is gone");
    host.write_aes(0x5000_0001, &[1; 32]).unwrap();
    assert_eq!(import(&mut host, &blob), Err(NOT_SUITED), "it is persistent");
    assert_eq!(host.value(Instruction::ExportObject, id), Err(NOT_SUITED));
    host.delete(0x5000_0001).unwrap();
    let set = policy(0, rule::IMPORT_EXPORT | rule::DELETE);
    host.transient(Instruction::WriteAesKey, &[(TAG_POLICY, &set), (TAG_1, &ID), (TAG_3, &[3; 32])]).unwrap();
    assert_eq!(import(&mut host, &blob), Err(NOT_SUITED), "it would come back under other rules");
    host.delete(0x5000_0001).unwrap();
    host.transient(Instruction::WriteHmacKey, &[(TAG_1, &ID), (TAG_3, &[1; 32])]).unwrap();
    assert_eq!(host.value(Instruction::ExportObject, id), Err(NOT_SUITED), "HMAC keys stay");
    host.delete(0x5000_0001).unwrap();
    // A key pair travels too.
    host.transient(Instruction::WriteEcKeyPair, &[(TAG_1, &ID), (TAG_2, &[CURVE_NIST_P256])]).unwrap();
    let point = host.read(0x5000_0001).unwrap();
    let blob = host.value(Instruction::ExportObject, id).unwrap();
    host.select();
    import(&mut host, &blob).unwrap();
    assert_eq!(host.read(0x5000_0001).unwrap(), point);
}

/// An attested read by a key; gives the fields that were signed and checks the signature over them.
fn attested(
    host: &mut Host,
    what: (Instruction, u32),
    by: (u32, u8),
    key: (&'static dyn VerificationAlgorithm, &[u8]),
) -> Vec<(u8, Vec<u8>)> {
    let (id, attester) = (what.1.to_be_bytes(), by.0.to_be_bytes());
    let fields = [(TAG_1, &id[..]), (TAG_5, &attester), (TAG_6, &[by.1]), (TAG_7, &[9; 16])];
    let answer = host.ask(what.0, &fields).unwrap();
    let answer = Tlvs::parse(&answer).unwrap();
    let signed: Vec<(u8, Vec<u8>)> = answer
        .tags()
        .filter(|tag| *tag != TAG_6)
        .map(|tag| (tag, answer.find(tag).unwrap().to_vec()))
        .collect();
    let data: Vec<u8> = signed.iter().flat_map(|(_, value)| value.clone()).collect();
    let mut signature = answer.find(TAG_6).unwrap().to_vec();
    if by.1 == EDDSA {
        signature[..32].reverse();
        signature[32..].reverse();
    }
    UnparsedPublicKey::new(key.0, key.1).verify(&data, &signature).unwrap();
    assert!(UnparsedPublicKey::new(key.0, key.1).verify(&data[1..], &signature).is_err());
    signed
}

#[test]
fn every_type_of_object_is_vouched_for() {
    let mut host = Host::new();
    let point = host.read(ATTESTATION_KEY).unwrap();
    let key: (&'static dyn VerificationAlgorithm, &[u8]) = (&ECDSA_P256_SHA256_ASN1, &point);
    let by = (ATTESTATION_KEY, ECDSA_SHA256);
    let id = |n: u8| [0x50, 0, 0, n];
    host.generate(0x5000_0001, CURVE_NIST_P256);
    host.write_aes(0x5000_0002, &[1; 16]).unwrap();
    host.write_hmac(0x5000_0003, &[1; 16]).unwrap();
    host.write_file(0x5000_0004, &[]).unwrap();
    host.ask(Instruction::WriteCounter, &[(TAG_1, &id(5)), (TAG_2, &[0, 2])]).unwrap();
    host.ask(Instruction::WritePcr, &[(TAG_1, &id(6)), (TAG_2, &[4; 32])]).unwrap();
    host.write_user_id(0x5000_0007, 0, b"secret").unwrap();
    host.write_file(0x5000_0008, &policy(0, rule::WRITE)).unwrap();
    let private = [(TAG_1, &id(9)[..]), (TAG_2, &[CURVE_NIST_P256]), (TAG_3, &[1; 32])];
    host.ask(Instruction::WriteEcPrivateKey, &private).unwrap();
    for (number, size) in [
        (1, Some(65)),
        (2, None),
        (3, None),
        (4, Some(2)),
        (5, Some(2)),
        (6, Some(32)),
        (7, None),
        (8, None),
        (9, None),
    ] {
        let object = 0x5000_0000 + number;
        let signed = attested(&mut host, (Instruction::ReadObjectAttested, object), by, key);
        let data = signed.iter().find(|(tag, _)| *tag == TAG_1).map(|(_, value)| value.len());
        assert_eq!(data, size, "{number}");
        let attributes = &signed.iter().find(|(tag, _)| *tag == TAG_2).unwrap().1;
        assert_eq!(attributes[..4], object.to_be_bytes());
        let signed = attested(&mut host, (Instruction::ReadAttributesAttested, object), by, key);
        let tags: Vec<u8> = signed.iter().map(|(tag, _)| *tag).collect();
        assert_eq!(tags, [TAG_2, TAG_3, TAG_4, TAG_5]);
    }
}

#[test]
fn keys_of_other_curves_vouch_with_their_own_algorithm() {
    let mut host = Host::new();
    let set = policy(0, rule::ATTEST | rule::READ);
    let make = |host: &mut Host, id: u32, curve: u8| {
        let bytes = id.to_be_bytes();
        let fields = [(TAG_POLICY, &set[..]), (TAG_1, &bytes), (TAG_2, &[curve])];
        host.ask(Instruction::WriteEcKeyPair, &fields).unwrap();
        host.read(id).unwrap()
    };
    let point = make(&mut host, 0x5000_0001, CURVE_NIST_P384);
    let what = (Instruction::ReadObjectAttested, ATTESTATION_KEY);
    attested(&mut host, what, (0x5000_0001, ECDSA_SHA384), (&ECDSA_P384_SHA384_ASN1, &point));
    let mut point = make(&mut host, 0x5000_0002, CURVE_ED25519);
    point.reverse();
    attested(&mut host, what, (0x5000_0002, EDDSA), (&ED25519, &point));
    let ask = |host: &mut Host, by: u32, algorithm: u8, freshness: &[u8]| {
        let (id, by) = (ATTESTATION_KEY.to_be_bytes(), by.to_be_bytes());
        let fields = [(TAG_1, &id[..]), (TAG_5, &by), (TAG_6, &[algorithm]), (TAG_7, freshness)];
        host.ask(Instruction::ReadObjectAttested, &fields)
    };
    assert_eq!(ask(&mut host, 0x5000_0002, ECDSA_SHA256, &[0; 16]), Err(NOT_SUITED));
    assert_eq!(ask(&mut host, 0x5000_0001, EDDSA, &[0; 16]), Err(NOT_SUITED));
    assert_eq!(ask(&mut host, 0x5000_0001, 0x09, &[0; 16]), Err(FIELD));
    assert_eq!(ask(&mut host, 0x5000_0001, ECDSA_SHA384, &[0; 15]), Err(FIELD));
    assert_eq!(ask(&mut host, 0x5000_0009, ECDSA_SHA384, &[0; 16]), Err(NOT_SUITED));
    // A key that vouches signs nothing that a host has chosen.
    let sign = [(TAG_1, &[0x50, 0, 0, 1][..]), (TAG_2, &[ECDSA_SHA384]), (TAG_3, &[0; 48])];
    assert_eq!(host.ask(Instruction::EcdsaSign, &sign), Err(POLICY));
}

/// RFC 6070 §2.
#[test]
fn pbkdf2_as_in_rfc_6070() {
    let mut host = Host::new();
    host.write_hmac(0x5000_0001, b"password").unwrap();
    let ask = |host: &mut Host, count: u16, length: u16| {
        let (count, length) = (count.to_be_bytes(), length.to_be_bytes());
        host.value(Instruction::Pbkdf2, &[(TAG_1, &ID), (TAG_2, b"salt"), (TAG_3, &count), (TAG_4, &length)])
    };
    for (count, expected) in [
        (1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
        (2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
        (4096, "4b007901b765489abead49d926f721d065a429c1"),
    ] {
        assert_eq!(hex::encode(ask(&mut host, count, 20).unwrap()), expected);
    }
    assert_eq!(ask(&mut host, 0, 20), Err(FIELD));
    assert_eq!(ask(&mut host, 0x8000, 20), Err(FIELD));
    assert_eq!(ask(&mut host, 1, 0), Err(FIELD));
    assert_eq!(ask(&mut host, 1, 513), Err(FIELD));
    let wrong = host
        .value(Instruction::Pbkdf2, &[(TAG_1, &ID), (TAG_2, &[0; 65]), (TAG_3, &[0, 1]), (TAG_4, &[0, 9])]);
    assert_eq!(wrong, Err(FIELD));
}
