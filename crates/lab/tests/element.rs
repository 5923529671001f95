//! A recall, rehearsed: what a virtual element says to whoever may talk to it, searched for private keys.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use touchmark_element::{Class, Effect, Element, Fault, Flaw, Trigger};
use touchmark_identity::apdu::se05x::{AID, ATTESTATION_CERTIFICATE, Instruction, TAG_1, TAG_2};
use touchmark_identity::apdu::tlv::{self, Tlvs};
use touchmark_identity::apdu::{Command, Response};
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::PublicKey;
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::KeyStore;
use touchmark_keystore::element::ElementStore;
use touchmark_lab::extract::{Encoding, Search, search};

fn made(dir: &Path, flaw: Option<Flaw>) -> Element {
    let now: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    Element::create_of_class(dir, now, Class { flaw, ..Class::default() }).unwrap()
}

/// An attacker has the element name its objects, and reads each of them: what it said.
fn said_by(element: &mut Element) -> Vec<u8> {
    let mut said = Vec::new();
    let mut ask = |command: Command| {
        let wide = Command { le: Some(65_536), ..command };
        let answer = element.transmit(&wide.encode().unwrap());
        said.extend_from_slice(&answer);
        Response::parse(&answer).unwrap().data
    };
    ask(Command { cla: 0x00, ins: 0xA4, p1: 0x04, p2: 0x00, data: AID.to_vec(), le: None });
    let everything = tlv::encode(&[(TAG_1, &[0, 0]), (TAG_2, &[0xFF])]).unwrap();
    let listed = ask(Instruction::ReadIdList.command(everything));
    let ids = Tlvs::parse(&listed).unwrap().required(TAG_2).unwrap().to_vec();
    assert!(ids.len() >= 4 * 4, "the chip has objects of its own: {ids:02x?}");
    for id in ids.chunks(4) {
        ask(Instruction::ReadObject.command(tlv::encode(&[(TAG_1, id)]).unwrap()));
    }
    said
}

/// The key that the chip certificate is for.
fn attestation_key(element: &mut Element) -> PublicKey {
    let id = ATTESTATION_CERTIFICATE.to_be_bytes();
    let command = Instruction::ReadObject.command(tlv::encode(&[(TAG_1, &id)]).unwrap());
    let wide = Command { le: Some(65_536), ..command };
    let certificate = Response::parse(&element.transmit(&wide.encode().unwrap())).unwrap().data;
    // The subject's point in its BIT STRING: 66 bytes, none of whose bits is unused.
    let begins = certificate.windows(4).position(|window| window == [0x03, 0x42, 0x00, 0x04]).unwrap();
    PublicKey::from_point(certificate.get(begins + 3..begins + 68).unwrap()).unwrap()
}

fn searched(said: &[u8], target: &PublicKey) -> Search {
    let search = search(said, target, &mut |_, _| {});
    assert!(search.candidates_tried > 500, "it was searched: {search:?}");
    search
}

#[test]
fn the_keys_of_an_element_with_the_flaw_are_extracted_and_of_no_other() {
    let dir = tempfile::tempdir().unwrap();
    for (place, flaw) in [("flawed", Some(Flaw::ReadableKeys)), ("sound", None)] {
        let mut element = made(&dir.path().join(place), flaw);
        let said = said_by(&mut element);
        let found = searched(&said, &attestation_key(&mut element)).found;
        let expected = if flaw.is_some() { vec![Encoding::BigEndian] } else { vec![] };
        assert_eq!(found.iter().map(|found| found.encoding).collect::<Vec<_>>(), expected, "{place}");
    }
}

/// The class breaks while the device has its key: before, the element gives it to nobody.
#[test]
fn a_devices_key_is_extracted_from_the_day_on_that_its_class_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let element = Arc::new(Mutex::new(made(dir.path(), None)));
    let inside = Arc::clone(&element);
    let transmit = move |apdu: &[u8]| inside.lock().unwrap().transmit(apdu);
    let mut store = ElementStore::new(Box::new(transmit)).unwrap();
    let public = store.generate(&KeyName::new("device").unwrap()).unwrap();
    drop(store);

    let said = said_by(&mut element.lock().unwrap());
    assert!(said.windows(65).any(|window| window == public.point()), "the attacker did ask for this key");
    assert!(searched(&said, &public).found.is_empty());

    Fault { when: Trigger::Next, what: Effect::ClassBreak(Flaw::ReadableKeys) }.arm(dir.path()).unwrap();
    let said = said_by(&mut element.lock().unwrap());
    let found = searched(&said, &public).found;
    // What was found signs as the device.
    let pair = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        &found.first().unwrap().pkcs8,
    );
    let signature = pair.unwrap().sign(&aws_lc_rs::rand::SystemRandom::new(), b"a copy").unwrap();
    public.verify(b"a copy", signature.as_ref()).unwrap();
}
