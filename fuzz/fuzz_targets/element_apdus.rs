//! What a host sends to the virtual element: pieces are APDUs in one session.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_element::Element;
use touchmark_fuzz::{now, pieces};
use touchmark_identity::apdu::se05x::AID;
use touchmark_identity::apdu::{Command, Response};

fuzz_target!(|data: &[u8]| {
    let directory = tempfile::tempdir().expect("a directory");
    let mut element = Element::create(directory.path(), now()).expect("a new element");
    let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
    element.transmit(&select.encode().expect("a short command"));
    for apdu in pieces(data, 64) {
        let answer = element.transmit(apdu);
        assert!(element.is_powered(), "the element lost its power at {apdu:02x?}");
        Response::parse(&answer).expect("a powered element answers");
    }
    // Whatever was sent, the state on the medium is one that opens.
    let chip_id = element.chip_id();
    drop(element);
    let again = Element::open(directory.path()).expect("the state of a moment ago");
    assert_eq!(again.chip_id(), chip_id);
});
