//! ECDSA and ECDH, each against OpenSSL in both directions.

use std::path::Path;

use touchmark_identity::apdu::se05x::{
    CURVE_NIST_P256, CURVE_NIST_P384, CURVE_NIST_P521, CURVE_SECP256K1, ECDSA_PLAIN, ECDSA_SHA1,
    ECDSA_SHA224, ECDSA_SHA256, ECDSA_SHA384, ECDSA_SHA512, Instruction, TAG_1, TAG_2, TAG_3, TAG_4, TAG_5,
};
use touchmark_testkit::{openssl, peer};

use crate::host::{FIELD, Host, NOT_SUITED};

/// Id, name at OpenSSL, bytes of a coordinate, object identifier in DER.
const CURVES: [(u8, &str, usize, &str); 4] = [
    (CURVE_NIST_P256, "P-256", 32, "06082A8648CE3D030107"),
    (CURVE_NIST_P384, "P-384", 48, "06052B81040022"),
    (CURVE_NIST_P521, "P-521", 66, "06052B81040023"),
    (CURVE_SECP256K1, "secp256k1", 32, "06052B8104000A"),
];
const DIGESTS: [(u8, usize); 6] = [
    (ECDSA_SHA1, 20),
    (ECDSA_SHA224, 28),
    (ECDSA_SHA256, 32),
    (ECDSA_SHA384, 48),
    (ECDSA_SHA512, 64),
    (ECDSA_PLAIN, 32),
];
const ID: [u8; 4] = [0x20, 0, 0, 1];
const PUBLIC_ID: [u8; 4] = [0x20, 0, 0, 2];

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    let length = if length < 0x80 { vec![length] } else { vec![0x81, length] };
    [&[tag][..], &length, value].concat()
}

/// `SubjectPublicKeyInfo` of a point (RFC 5480 §2).
fn spki(oid: &str, point: &[u8]) -> Vec<u8> {
    let algorithm =
        tlv(0x30, &[hex::decode("06072A8648CE3D0201").unwrap(), hex::decode(oid).unwrap()].concat());
    tlv(0x30, &[algorithm, tlv(0x03, &[&[0], point].concat())].concat())
}

fn digest(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(200 - at).unwrap()).collect()
}

/// A key of OpenSSL's: `name.key`, and its point.
fn key(folder: &Path, name: &str, curve: &str, bytes: usize) -> Vec<u8> {
    let (file, group) = (format!("{name}.key"), format!("ec_paramgen_curve:{curve}"));
    let _silent = openssl::must(folder, &["genpkey", "-algorithm", "EC", "-pkeyopt", &group, "-out", &file]);
    let public =
        openssl::must(folder, &["pkey", "-in", &file, "-pubout", "-outform", "DER", "-out", "point.der"]);
    drop(public);
    let der = std::fs::read(folder.join("point.der")).unwrap();
    der[der.len() - 2 * bytes - 1..].to_vec()
}

#[test]
fn ecdsa_on_every_curve_with_every_digest() {
    if !peer::all_present(&["openssl"]) {
        return;
    }
    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (curve, name, bytes, oid) in CURVES {
        let point = host.generate(u32::from_be_bytes(ID), curve);
        assert_eq!(host.value(Instruction::GetEcCurveId, &[(TAG_1, &ID)]).unwrap(), [curve]);
        assert_eq!(point.len(), 2 * bytes + 1);
        std::fs::write(folder.join("chip.der"), spki(oid, &point)).unwrap();
        let theirs = key(folder, "theirs", name, bytes);
        host.ask(Instruction::WriteEcPublicKey, &[(TAG_1, &PUBLIC_ID), (TAG_2, &[curve]), (TAG_4, &theirs)])
            .unwrap();
        for (algorithm, length) in DIGESTS {
            let digest = digest(length);
            std::fs::write(folder.join("digest"), &digest).unwrap();
            let sign = [(TAG_1, &ID[..]), (TAG_2, &[algorithm]), (TAG_3, &digest)];
            let signature = host.value(Instruction::EcdsaSign, &sign).unwrap();
            std::fs::write(folder.join("sig"), &signature).unwrap();
            let verify = [
                "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "chip.der", "-in", "digest",
                "-sigfile", "sig",
            ];
            let said = openssl::must(folder, &verify);
            assert!(said.contains("Verified Successfully"), "{name} {algorithm:02x}: {said}");

            let sign = ["pkeyutl", "-sign", "-inkey", "theirs.key", "-in", "digest", "-out", "theirs.sig"];
            let _silent = openssl::must(folder, &sign);
            let signature = std::fs::read(folder.join("theirs.sig")).unwrap();
            let mut bad = signature.clone();
            *bad.last_mut().unwrap() ^= 1;
            for (signature, result) in [(&signature, 1), (&bad, 2)] {
                let verify =
                    [(TAG_1, &PUBLIC_ID[..]), (TAG_2, &[algorithm]), (TAG_3, &digest), (TAG_5, signature)];
                assert_eq!(
                    host.value(Instruction::EcdsaVerify, &verify).unwrap(),
                    [result],
                    "{name} {algorithm:02x}"
                );
            }
            if algorithm != ECDSA_PLAIN {
                let sign = [(TAG_1, &ID[..]), (TAG_2, &[algorithm]), (TAG_3, &digest[1..])];
                assert_eq!(host.value(Instruction::EcdsaSign, &sign), Err(NOT_SUITED));
            }
        }
        host.ask(Instruction::DeleteSecureObject, &[(TAG_1, &ID)]).unwrap();
        host.ask(Instruction::DeleteSecureObject, &[(TAG_1, &PUBLIC_ID)]).unwrap();
    }
}

#[test]
fn ecdh_on_every_nist_curve() {
    if !peer::all_present(&["openssl"]) {
        return;
    }
    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (curve, name, bytes, oid) in &CURVES[..3] {
        let point = host.generate(u32::from_be_bytes(ID), *curve);
        std::fs::write(folder.join("chip.der"), spki(oid, &point)).unwrap();
        let theirs = key(folder, "theirs", name, *bytes);
        let derive = [
            "pkeyutl",
            "-derive",
            "-inkey",
            "theirs.key",
            "-peerkey",
            "chip.der",
            "-peerform",
            "DER",
            "-out",
            "secret",
        ];
        let _silent = openssl::must(folder, &derive);
        let secret = host.value(Instruction::Ecdh, &[(TAG_1, &ID), (TAG_2, &theirs)]).unwrap();
        assert_eq!(secret, std::fs::read(folder.join("secret")).unwrap(), "{name}");
        // A point that is not on the curve, and one of another curve.
        let mut off = theirs.clone();
        *off.last_mut().unwrap() ^= 1;
        assert_eq!(host.value(Instruction::Ecdh, &[(TAG_1, &ID), (TAG_2, &off)]), Err(FIELD), "{name}");
        assert_eq!(
            host.value(Instruction::Ecdh, &[(TAG_1, &ID), (TAG_2, &theirs[1..])]),
            Err(FIELD),
            "{name}"
        );
        host.ask(Instruction::DeleteSecureObject, &[(TAG_1, &ID)]).unwrap();
    }
}

#[test]
fn an_imported_private_key_of_every_curve_signs() {
    if !peer::all_present(&["openssl"]) {
        return;
    }
    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (curve, name, bytes, oid) in CURVES {
        let point = key(folder, "theirs", name, bytes);
        let traditional =
            ["pkey", "-in", "theirs.key", "-traditional", "-outform", "DER", "-out", "traditional.der"];
        let _silent = openssl::must(folder, &traditional);
        // ECPrivateKey: SEQUENCE (one or two length bytes), version 020101, OCTET STRING.
        let der = std::fs::read(folder.join("traditional.der")).unwrap();
        let start = if der[1] < 0x80 { 7 } else { 8 };
        let private = &der[start..start + bytes];
        let write = [(TAG_1, &ID[..]), (TAG_2, &[curve]), (TAG_3, private)];
        host.ask(Instruction::WriteEcPrivateKey, &write).unwrap();
        let sign = [(TAG_1, &ID[..]), (TAG_2, &[ECDSA_SHA256]), (TAG_3, &[7; 32])];
        std::fs::write(folder.join("sig"), host.value(Instruction::EcdsaSign, &sign).unwrap()).unwrap();
        std::fs::write(folder.join("digest"), [7; 32]).unwrap();
        std::fs::write(folder.join("key.der"), spki(oid, &point)).unwrap();
        let verify = [
            "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key.der", "-in", "digest",
            "-sigfile", "sig",
        ];
        assert!(openssl::must(folder, &verify).contains("Verified Successfully"), "{name}");
        assert_eq!(host.ask(Instruction::ReadObject, &[(TAG_1, &ID)]), Err(NOT_SUITED));
        host.ask(Instruction::DeleteSecureObject, &[(TAG_1, &ID)]).unwrap();
        let short = [(TAG_1, &ID[..]), (TAG_2, &[curve]), (TAG_3, &private[1..])];
        assert_eq!(host.ask(Instruction::WriteEcPrivateKey, &short), Err(FIELD), "{name}");
    }
}
