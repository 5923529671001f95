//! The driver against the virtual element, in this process and over TCP.

mod layouts;
mod transports;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use touchmark_element::{Element, ElementError, Fault, Served, tcp};
use touchmark_identity::apdu::se05x::{ATTESTATION_KEY, Attributes, Origin, UNIQUE_ID};
use touchmark_identity::evidence::{Evidence, Nonce};

use super::*;
use crate::store::Attest;

fn now() -> touchmark_identity::timestamp::Timestamp {
    "2026-11-20T00:00:00Z".parse().unwrap()
}

fn in_process(dir: &Path) -> ElementStore {
    let mut element =
        if dir.join("state").exists() { Element::open(dir) } else { Element::create(dir, now()) }.unwrap();
    ElementStore::new(Box::new(move |apdu: &[u8]| element.transmit(apdu))).unwrap()
}

/// A store over an element that the test keeps in its hands.
fn shared(dir: &Path) -> (Arc<Mutex<Element>>, ElementStore) {
    let element = Arc::new(Mutex::new(Element::create(dir, now()).unwrap()));
    let inside = Arc::clone(&element);
    let store =
        ElementStore::new(Box::new(move |apdu: &[u8]| inside.lock().unwrap().transmit(apdu))).unwrap();
    (element, store)
}

struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), ElementError>>>,
}

impl Server {
    fn start(dir: &Path, address: &str) -> Self {
        let element =
            if dir.join("state").exists() { Element::open(dir) } else { Element::create(dir, now()) }
                .unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        // One session for all who connect, as on a card in one reader.
        let served = Served::one_reader(element);
        let thread = Some(thread::spawn(move || tcp::serve_shared(&listener, &served, &told)));
        Self { address, stop, thread }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok(), "the server panicked");
    }
}

fn key(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn counter(text: &str) -> CounterName {
    CounterName::new(text).unwrap()
}

#[test]
fn a_library_or_a_reader_that_is_not_there_is_an_error_with_the_readers_name() {
    let mut transport = PcscTransport::with_library(Path::new("/no/such/libpcsclite.so.1"), "Reader 7");
    let missing = transport.transmit(&[0, 0xA4, 4, 0]).unwrap_err();
    assert!(
        matches!(&missing, StoreError::Unreachable { address, .. } if address.contains("Reader 7")),
        "{missing:?}"
    );
}

#[test]
fn info_names_the_applet() {
    let dir = tempfile::tempdir().unwrap();
    let info = in_process(dir.path()).info().unwrap();
    assert_eq!((info.storage, info.firmware.as_str()), (Storage::SecureElement, "3.1.1"));
    assert!(info.capabilities.is_sorted());
}

#[test]
fn evidence_is_what_the_chip_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = in_process(dir.path());
    let public = store.generate(&key("device")).unwrap();
    let nonce = Nonce::new(&[7; 16]).unwrap();
    let attested = Attest::attest(&mut store, &key("device"), &nonce).unwrap();
    let Evidence::Element(evidence) = attested.evidence else { panic!("another kind of evidence") };
    assert_eq!(evidence.data, public.point());
    assert_eq!(evidence.freshness, [7; 16]);
    let attributes = Attributes::parse(&evidence.attributes).unwrap();
    assert_eq!(attributes.origin, Origin::INTERNAL);
    assert_eq!(evidence.chip_id, store.read_binary(UNIQUE_ID).unwrap());
    let chip = store.read_key(ATTESTATION_KEY).unwrap();
    let signed =
        [evidence.data, evidence.attributes, evidence.timestamp, evidence.freshness, evidence.chip_id]
            .concat();
    chip.verify(&signed, &evidence.signature).unwrap();
}

#[test]
fn the_chip_itself_refuses_to_lower_a_floor() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = in_process(dir.path());
    store.raise_floor(&counter("firmware"), 9).unwrap();
    let lowered = store.set_count(Slots::of(Kind::Ratchet, "firmware"), RATCHET_BYTES, 8);
    assert!(matches!(lowered, Err(StoreError::Refused { code: 0x6985, .. })));
    assert_eq!(store.floor(&counter("firmware")).unwrap(), 9);
}

#[test]
fn two_names_that_clash_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = in_process(dir.path());
    store.generate(&key("mine")).unwrap();
    // As if "other" had the same hash as "mine": its label tells them apart.
    let slots = Slots::of(Kind::Key, "mine");
    let mut fresh = ElementStore { labels: labels::Known::default(), ..store };
    let clash = fresh.check_label(Kind::Key, "other", slots);
    assert!(matches!(clash, Err(StoreError::Corrupt { .. })), "{clash:?}");
    // An object that somebody else made under an id of ours has no label.
    let slots = Slots::of(Kind::Key, "theirs");
    fresh.set_count(slots, 4, 1).unwrap();
    assert!(matches!(fresh.public_key(&key("theirs")), Err(StoreError::Corrupt { .. })));
    assert!(matches!(fresh.generate(&key("theirs")), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_full_chip_says_so_and_keeps_the_old_object() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = in_process(dir.path());
    let name = key("certificate");
    store.write_object(&name, &[1; 30_000]).unwrap();
    let full = store.write_object(&name, &[2; 30_000]);
    assert!(matches!(full, Err(StoreError::Exhausted { what: "memory", .. })), "{full:?}");
    assert_eq!(store.read_object(&name).unwrap(), [1; 30_000]);
    assert!(matches!(store.write_object(&name, &[0; 40_000]), Err(StoreError::Exhausted { .. })));
    assert!(matches!(store.write_object(&name, &[]), Err(StoreError::Exhausted { .. })));
}

#[test]
fn a_lost_label_write_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let (element, mut store) = shared(dir.path());
    let select_key = key("device");
    store.label(Kind::Key, "device").unwrap();
    drop((element, store));
    let mut store = in_process(dir.path());
    assert!(matches!(store.public_key(&select_key), Err(StoreError::NotFound { .. })));
    store.generate(&select_key).unwrap();
    store.public_key(&select_key).unwrap();
}

#[test]
fn a_read_survives_a_restart_of_the_element_and_a_change_does_not_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "127.0.0.1:0");
    let address = server.address.to_string();
    let mut store = ElementStore::tcp(&address).unwrap();
    let public = store.generate(&key("device")).unwrap();
    store.increment_counter(&counter("sent")).unwrap();
    drop(server);

    let server = Server::start(dir.path(), &address);
    assert_eq!(store.public_key(&key("device")).unwrap(), public, "a read goes on over a fresh connection");
    drop(server);

    let _server = Server::start(dir.path(), &address);
    let slots = Slots::of(Kind::Counter, "sent");
    let fields: [(u8, &[u8]); 1] = [(TAG_1, &slots.first.to_be_bytes())];
    let lost = store.ask(Instruction::WriteCounter, &fields, Effect::Changes);
    assert!(matches!(lost, Err(StoreError::Unreachable { .. })), "{lost:?}");
    assert_eq!(store.read_counter(&counter("sent")).unwrap(), 1, "the increment was not sent again");
    assert_eq!(store.increment_counter(&counter("sent")).unwrap(), 2, "and the next one goes through");
}

#[test]
fn nobody_there_is_an_error_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refused = ElementStore::tcp(&address).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Unreachable { address: found, .. } if *found == address),
        "{refused:?}"
    );
}

#[test]
fn answers_in_another_form_are_refused() {
    for answer in [&[0x90][..], &[0x90, 0x00], &[1, 2, 3, 0x90, 0x00], &[0x6A, 0x82], &[0x61, 0x10]] {
        let refused = ElementStore::new(Box::new(move |_: &[u8]| answer.to_vec())).unwrap_err();
        assert!(
            matches!(refused, StoreError::Malformed { .. } | StoreError::Refused { code: 0x6A82, .. }),
            "{refused:?}"
        );
    }
    // SELECT is answered well, everything else with the same bytes.
    for answer in ["9000", "41009000", "4101039000", "42010190009000", "6F00"] {
        let answer = hex::decode(answer).unwrap();
        let mut store = ElementStore::new(Box::new(move |apdu: &[u8]| match apdu {
            [0, 0xA4, ..] => vec![3, 1, 1, 0, 2, 1, 0, 0x90, 0],
            _ => answer.clone(),
        }))
        .unwrap();
        assert!(store.public_key(&key("device")).is_err());
        assert!(store.generate(&key("device")).is_err());
        assert!(store.increment_counter(&counter("sent")).is_err());
        assert!(store.read_object(&key("certificate")).is_err());
    }
}
