//! Attested reads in both layouts: the driver takes the one of the applet.

use touchmark_element::{Applet, Class};
use touchmark_identity::apdu::se05x::bound::{BoundRead, statement_sha256};
use touchmark_identity::apdu::se05x::{TAG_5, TAG_6, TAG_7};

use super::*;

fn element(dir: &Path, applet: Applet) -> Element {
    if dir.join("state").exists() {
        return Element::open(dir).unwrap();
    }
    Element::create_of_class(dir, now(), Class { applet, ..Class::default() }).unwrap()
}

fn store(dir: &Path, applet: Applet) -> ElementStore {
    let mut element = element(dir, applet);
    ElementStore::new(Box::new(move |apdu: &[u8]| element.transmit(apdu))).unwrap()
}

#[test]
fn evidence_of_applet_7_2_is_what_the_chip_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), Applet::V7_2);
    assert_eq!(store.info().unwrap().firmware, "7.2.0");
    let public = store.generate(&key("device")).unwrap();
    let nonce = Nonce::new(&[7; 16]).unwrap();
    let attested = Attest::attest(&mut store, &key("device"), &nonce).unwrap();
    assert_eq!(attested.key, public);
    let Evidence::BoundRead(evidence) = attested.evidence else { panic!("another kind of evidence") };
    let read = BoundRead::parse(&evidence.answer).unwrap();
    assert_eq!((read.data, read.size), (Some(&public.point()[..]), 32));
    assert_eq!(read.chip_id[..], store.read_binary(UNIQUE_ID).unwrap());
    let attributes = Attributes::parse_with_version(read.attributes).unwrap();
    let slots = Slots::of(Kind::Key, "device");
    assert_eq!((attributes.origin, attributes.object_id), (Origin::INTERNAL, slots.first));

    // Written out: header, length in three bytes, object, attestation key, ECDSA with SHA-256, freshness.
    let expected =
        format!("80220000000021 4104{:08x} 4504f0000012 460121 4710{}", slots.first, "07".repeat(16));
    assert_eq!(hex::encode(&evidence.command), expected.replace(' ', ""));
    let chip = store.read_key(ATTESTATION_KEY).unwrap();
    chip.verify(&statement_sha256(&evidence.command, &evidence.answer), &evidence.signature).unwrap();
    assert_eq!(evidence.applet_version[..3], [7, 2, 0]);
}

/// The command as it goes over: lengths of three bytes.
#[test]
fn a_bound_read_goes_over_with_long_lengths() {
    let dir = tempfile::tempdir().unwrap();
    let mut element = element(dir.path(), Applet::V7_2);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sent = Arc::clone(&seen);
    let mut store = ElementStore::new(Box::new(move |apdu: &[u8]| {
        sent.lock().unwrap().push(apdu.to_vec());
        element.transmit(apdu)
    }))
    .unwrap();
    store.generate(&key("device")).unwrap();
    let attested = Attest::attest(&mut store, &key("device"), &Nonce::new(&[7; 16]).unwrap()).unwrap();
    let Evidence::BoundRead(evidence) = attested.evidence else { panic!("another kind of evidence") };
    let last = seen.lock().unwrap().pop().unwrap();
    assert_eq!(last, [&evidence.command[..], &[0, 0]].concat());
}

/// Lies about the version in SELECT's answer.
fn lying(dir: &Path, applet: Applet, version: [u8; 3]) -> ElementStore {
    let mut element = element(dir, applet);
    ElementStore::new(Box::new(move |apdu: &[u8]| {
        let mut answer = element.transmit(apdu);
        if apdu.get(1) == Some(&0xA4) {
            answer[..3].copy_from_slice(&version);
        }
        answer
    }))
    .unwrap()
}

#[test]
fn an_answer_in_another_layout_than_the_version_has_is_refused() {
    for (applet, version) in [(Applet::V3_1, [7, 2, 0]), (Applet::V7_2, [3, 1, 1]), (Applet::V7_2, [6, 0, 0])]
    {
        let dir = tempfile::tempdir().unwrap();
        let mut store = lying(dir.path(), applet, version);
        store.generate(&key("device")).unwrap();
        let refused = Attest::attest(&mut store, &key("device"), &Nonce::new(&[7; 16]).unwrap()).unwrap_err();
        assert!(matches!(&refused, StoreError::Malformed { .. }), "{refused:?}");
    }
}

#[test]
fn a_cut_or_changed_answer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path(), Applet::V7_2).generate(&key("device")).unwrap();
    for change in [
        (|answer: &mut Vec<u8>| answer.truncate(40)) as fn(&mut Vec<u8>),
        |answer| answer[1] = 0x83,
        |answer| answer[0] = TAG_5,
        |answer| drop(answer.drain(..69)),
        |answer| answer.extend([TAG_6, 0x82, 0, 0]),
        |answer| answer.extend([TAG_7, 0]),
    ] {
        let mut element = element(dir.path(), Applet::V7_2);
        let mut store = ElementStore::new(Box::new(move |apdu: &[u8]| {
            let mut answer = element.transmit(apdu);
            if apdu.get(1) == Some(&0x22) {
                let sw = answer.split_off(answer.len() - 2);
                change(&mut answer);
                answer.extend(sw);
            }
            answer
        }))
        .unwrap();
        let refused = Attest::attest(&mut store, &key("device"), &Nonce::new(&[7; 16]).unwrap()).unwrap_err();
        assert!(matches!(&refused, StoreError::Malformed { .. }), "{refused:?}");
    }
}
