//! The library behind its C interface, with an element of its own.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use touchmark_element::Element;
use touchmark_identity::apdu::se05x::AID;

use crate::card::Home;
use crate::codes::{Code, reader_state};
use crate::library::{Disposition, Library, READER, Share, Watch};

const T1: u64 = 2;
const GET_VERSION: [u8; 5] = [0x80, 0x04, 0x00, 0x20, 0x00];

fn library() -> (tempfile::TempDir, Arc<Library>) {
    let dir = tempfile::tempdir().unwrap();
    drop(Element::create(dir.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap());
    let library = Library::new(Some(Home::Directory(dir.path().to_owned())));
    (dir, Arc::new(library))
}

fn select() -> Vec<u8> {
    [&[0x00, 0xA4, 0x04, 0x00, 16], &AID[..], &[0x00]].concat()
}

fn watch(current: u32) -> Vec<Watch> {
    vec![Watch { reader: Some(READER.to_owned()), current, event: 0, present: false }]
}

#[test]
fn the_environment_says_where_the_element_is() {
    let from =
        |state: Option<&str>, tcp: Option<&str>| Home::from(state.map(Into::into), tcp.map(Into::into));
    assert!(from(None, None).is_none());
    assert!(from(Some(""), None).is_none());
    assert!(matches!(from(None, Some("h:1")), Some(Home::Tcp(address)) if address == "h:1"));
    assert!(matches!(from(Some("/d"), Some("h:1")), Some(Home::Directory(_))));
    assert_eq!(Library::new(None).establish(), Err(Code::NO_SERVICE));
}

#[test]
fn connections_share_the_card_and_know_of_resets() {
    let (_dir, library) = library();
    let context = library.establish().unwrap();
    assert_eq!(library.connect(context, "nobody", Share::Shared, T1), Err(Code::UNKNOWN_READER));
    assert_eq!(library.connect(context, READER, Share::Shared, 1), Err(Code::PROTO_MISMATCH));
    let (one, _) = library.connect(context, READER, Share::Shared, 3).unwrap();
    let (two, _) = library.connect(context, READER, Share::Shared, T1).unwrap();
    assert_eq!(library.connect(context, READER, Share::Exclusive, T1), Err(Code::SHARING_VIOLATION));
    library.transmit(one, &select()).unwrap();
    assert!(library.transmit(two, &GET_VERSION).unwrap().ends_with(&[0x90, 0x00]), "it is one card");

    library.disconnect(one, Disposition::Reset).unwrap();
    assert_eq!(library.transmit(two, &GET_VERSION), Err(Code::RESET_CARD));
    library.reconnect(two, Share::Exclusive, T1, Disposition::Leave).unwrap();
    assert!(!library.transmit(two, &GET_VERSION).unwrap().ends_with(&[0x90, 0x00]), "nothing is selected");
    assert_eq!(library.connect(context, READER, Share::Shared, T1), Err(Code::SHARING_VIOLATION));
    library.release(context).unwrap();
    assert_eq!(library.transmit(two, &GET_VERSION), Err(Code::INVALID_HANDLE));
}

#[test]
fn a_transaction_keeps_others_out_until_it_ends() {
    let (_dir, library) = library();
    let context = library.establish().unwrap();
    let (one, _) = library.connect(context, READER, Share::Shared, T1).unwrap();
    let (two, _) = library.connect(context, READER, Share::Shared, T1).unwrap();
    assert_eq!(library.end(one, Disposition::Leave), Err(Code::NOT_TRANSACTED));
    library.begin(one).unwrap();
    library.begin(one).unwrap();
    assert_eq!(library.transmit(two, &select()), Err(Code::SHARING_VIOLATION));
    let waits = {
        let library = Arc::clone(&library);
        thread::spawn(move || library.begin(two))
    };
    library.end(one, Disposition::Leave).unwrap();
    assert!(!waits.is_finished());
    assert_eq!(library.end(two, Disposition::Leave), Err(Code::SHARING_VIOLATION));
    library.end(one, Disposition::Leave).unwrap();
    waits.join().unwrap().unwrap();
    assert_eq!(library.transmit(one, &select()), Err(Code::SHARING_VIOLATION));
    library.disconnect(two, Disposition::Leave).unwrap();
    library.transmit(one, &select()).unwrap();
}

#[test]
fn a_wait_ends_by_time_by_change_and_by_cancellation() {
    let (dir, library) = library();
    let context = library.establish().unwrap();
    let mut first = watch(reader_state::UNAWARE);
    library.wait(context, Some(Duration::ZERO), &mut first).unwrap();
    assert_eq!(first[0].event, reader_state::PRESENT | reader_state::CHANGED);
    let known = first[0].event;

    let begun = Instant::now();
    let nothing = library.wait(context, Some(Duration::from_millis(150)), &mut watch(known));
    assert_eq!(nothing, Err(Code::TIMEOUT));
    assert!(begun.elapsed() >= Duration::from_millis(150));

    let long = Some(Duration::from_secs(60));
    let waiting = |watches: Vec<Watch>| {
        let library = Arc::clone(&library);
        thread::spawn(move || {
            let mut watches = watches;
            (library.wait(context, long, &mut watches), watches)
        })
    };
    let cancelled = waiting(watch(known));
    while !cancelled.is_finished() {
        library.cancel(context).unwrap();
        thread::yield_now();
    }
    assert_eq!(cancelled.join().unwrap().0, Err(Code::CANCELLED));

    let pulled = waiting(watch(known));
    std::fs::rename(dir.path(), dir.path().with_extension("away")).unwrap();
    let (outcome, watches) = pulled.join().unwrap();
    outcome.unwrap();
    assert_eq!(watches[0].event & 0xFFFF, reader_state::EMPTY | reader_state::CHANGED);
    assert_eq!(library.connect(context, READER, Share::Shared, T1), Err(Code::NO_SMARTCARD));
    std::fs::rename(dir.path().with_extension("away"), dir.path()).unwrap();

    let mut unknown = watch(0);
    unknown[0].reader = Some("nobody".to_owned());
    assert_eq!(library.wait(context, long, &mut unknown), Err(Code::UNKNOWN_READER));
}

#[test]
fn power_comes_with_the_first_connection_and_goes_with_the_last() {
    let (dir, library) = library();
    let context = library.establish().unwrap();
    let (one, _) = library.connect(context, READER, Share::Shared, T1).unwrap();
    assert!(Element::open(dir.path()).is_err(), "the element is in use");
    library.disconnect(one, Disposition::Leave).unwrap();
    let elsewhere = Element::open(dir.path()).unwrap();
    assert_eq!(library.connect(context, READER, Share::Shared, T1), Err(Code::SHARING_VIOLATION));
    drop(elsewhere);
    let (direct, protocol) = library.connect(context, READER, Share::Direct, 0).unwrap();
    assert_eq!((protocol, library.transmit(direct, &select())), (0, Err(Code::PROTO_MISMATCH)));
}

#[test]
fn a_card_without_power_has_it_again_after_a_reconnection() {
    let (dir, library) = library();
    let context = library.establish().unwrap();
    let (handle, _) = library.connect(context, READER, Share::Shared, T1).unwrap();
    library.transmit(handle, &select()).unwrap();
    touchmark_element::Fault::POWER_CUT_BEFORE_COMMIT.arm(dir.path()).unwrap();
    let write = [0x80, 0x01, 0x08, 0x00, 10, 0x41, 4, 0x50, 0, 0, 0, 0x42, 2, 0, 4];
    assert_eq!(library.transmit(handle, &write), Err(Code::NOT_TRANSACTED));
    assert_eq!(library.transmit(handle, &select()), Err(Code::UNPOWERED_CARD));
    library.reconnect(handle, Share::Shared, T1, Disposition::Reset).unwrap();
    assert!(library.transmit(handle, &select()).unwrap().ends_with(&[0x90, 0x00]));
}
