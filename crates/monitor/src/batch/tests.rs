use proptest::prelude::*;

use touchmark_identity::event::EventBody;

use super::*;
use crate::observation::samples::{event, usual_lines};

fn usual() -> Vec<Event> {
    usual_lines().iter().map(|line| Event::from_line(line.as_bytes()).unwrap()).collect()
}

/// What a batch says by way of events, and the texts that findings could show.
fn by_events(batch: &[u8]) -> Result<(Vec<Result<Item, BatchError>>, Texts), BatchError> {
    let texts = Texts::default();
    let mut cache = texts.cache();
    let mut reader = Reader::open(batch)?;
    let mut items = Vec::new();
    while let Some(event) = reader.next() {
        let digest = reader.digest();
        items.push(event.map(|event| Item::of(event, digest.unwrap(), &mut cache)));
    }
    Ok((items, texts))
}

/// What a batch says at once.
fn at_once(batch: &[u8]) -> Result<(Vec<Result<Item, BatchError>>, Texts), BatchError> {
    let texts = Texts::default();
    let items = read_batch(batch, &mut texts.cache(), Digests::AtOnce)?.collect();
    Ok((items, texts))
}

#[track_caller]
fn same(batch: &[u8]) {
    match (by_events(batch), at_once(batch)) {
        (Ok((events, texts)), Ok((items, shown))) => {
            assert_eq!(items, events);
            assert_eq!(shown.all(), texts.all());
        }
        (events, items) => assert_eq!(items.map(|(items, _)| items), events.map(|(events, _)| events)),
    }
}

fn refused(batch: &[u8]) -> bool {
    same(batch);
    Reader::open(batch).map(|mut reader| reader.any(|event| event.is_err())).unwrap_or(true)
}

#[test]
fn usual_events_come_back_and_are_smaller() {
    let events = usual();
    let batch = encode(&events).unwrap();
    let read: Vec<Event> = Reader::open(&batch).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, events);
    same(&batch);
    let lines: usize = events.iter().map(|event| event.to_line().len()).sum();
    assert!(batch.len() * 5 < lines * 3, "{} of {lines}", batch.len());
    assert_eq!(tally(&batch, Digests::AtOnce), Ok(Tally { observations: 6, registry: 0, refused: 0 }));
    assert_eq!(
        tally_lines(usual_lines().join("\n").as_bytes(), Digests::Later),
        tally(&batch, Digests::AtOnce).unwrap()
    );
}

#[test]
fn an_empty_batch_is_one() {
    assert_eq!(Reader::open(&encode(&[]).unwrap()).unwrap().count(), 0);
}

#[test]
fn every_truncation_is_refused() {
    let batch = encode(&usual()).unwrap();
    for end in 0..batch.len() {
        let mut cut = batch[..end].to_vec();
        assert!(refused(&cut), "{end}");
        // Also where the length in the header is right.
        if let Some(length) = cut.get_mut(4..8) {
            length.copy_from_slice(&u32::try_from(end).unwrap().to_le_bytes());
            assert!(refused(&cut), "{end} with its length");
        }
    }
}

#[test]
fn every_record_is_refused_when_it_is_cut_or_longer() {
    for event in usual() {
        let batch = encode(std::slice::from_ref(&event)).unwrap();
        let records = Records::open(&batch).unwrap();
        let mut rest = records.rest;
        let record = rest.bytes(MAX_RECORD_BYTES).unwrap();
        for end in 0..record.len() {
            assert!(Record::read(&record[..end], &records.texts).is_err(), "{end} of {event:?}");
        }
        let longer = [record, &[0]].concat();
        assert!(Record::read(&longer, &records.texts).is_err(), "{event:?}");
    }
}

/// A batch of one record behind a table with one text.
fn one(record: &[u8]) -> Vec<u8> {
    let length = u8::try_from(record.len()).unwrap();
    let tail = [&[1, b'g', length], record].concat();
    let total = u32::try_from(HEADER_BYTES + tail.len()).unwrap();
    [MAGIC.as_slice(), &total.to_le_bytes(), &[1, 0, 0, 0, 1, 0, 0, 0], tail.as_slice()].concat()
}

#[test]
fn the_layout_is_the_documented_one() {
    let line = br#"{"schema":"touchmark.event/1","type":"heartbeat","time":"1970-01-01T00:00:00.000258Z","source":"g",
        "identity":{"common_name":"m"},"counter":300}"#;
    let present = (1u32 << 7 | 1 << 18).to_le_bytes();
    let record = [&[2][..], &present, &[2, 1, 0, 0, 0, 0, 0, 0, 0, 1, b'm', 0xac, 2][..]].concat();
    let batch = one(&record);
    assert_eq!(encode(&[Event::from_line(line).unwrap()]).unwrap(), batch);
    let mut reader = Reader::open(&batch).unwrap();
    reader.next().unwrap().unwrap();
    let named = [sha256(&[1, b'g']).as_slice(), &record].concat();
    assert_eq!(reader.digest(), Some(RawDigest(sha256(&named))));
}

#[test]
fn what_is_wrong_has_its_own_code() {
    let code = |batch: &[u8]| {
        same(batch);
        let error = match Reader::open(batch) {
            Ok(mut reader) => reader.find_map(Result::err).unwrap(),
            Err(error) => error,
        };
        assert!(!error.reason().is_empty() && !error.to_string().is_empty());
        error.code()
    };
    let good = encode(&usual()).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut batch = good.clone();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        batch
    };
    assert_eq!(code(b""), "BA-0001");
    assert_eq!(code(&with(3, b"2")), "BA-0001");
    assert_eq!(code(&[&good[..], &vec![0; MAX_BATCH_BYTES]].concat()), "BA-0002");
    assert_eq!(code(&with(4, &[0xff; 4])), "BA-0003");
    assert_eq!(code(&with(8, &[0xff; 4])), "BA-0004", "no room is made for four thousand million texts");
    assert_eq!(code(&with(16, &[0xff, 0xff, 0x7f])), "BA-0004");
    assert_eq!(code(&with(12, &[0xff; 4])), "BA-0005");
    assert_eq!(code(&with(12, &[1, 0, 0, 0])), "BA-0006");
    let head = |present: u32| [&[2][..], &present.to_le_bytes(), &[0; 9]].concat();
    for (record, field) in [
        (vec![4], "type"),
        (vec![], "type"),
        (head(1 << 11), "fields"),
        (head(1 << 31), "fields"),
        (head(0), "identity"),
        ([&[2, 0x80, 0, 0, 0], &[0xff; 8][..], &[0, 1, b'm']].concat(), "time"),
        ([&[2, 0x80, 0, 0, 0], &[0; 8][..], &[1, 1, b'm']].concat(), "source"),
        ([&head(0x80)[..], &[0]].concat(), "common_name"),
        ([&head(0x80)[..], &[1, 0xff]].concat(), "common_name"),
        ([&head(0x80)[..], &[0x81, 4]].concat(), "common_name"),
        ([&head(0x80)[..], &[1, b'm', 0]].concat(), "fields"),
        ([&head(0x80 | 1 << 18)[..], &[1, b'm'], &[0xff; 9], &[2]].concat(), "counter"),
        ([&head(0x80 | 1 << 18)[..], &[1, b'm'], &[0x80; 10], &[0]].concat(), "counter"),
        ([&head(0x80 | 1 << 10)[..], &[1, b'm', 0x40, 1, 2, 3, 4]].concat(), "peer"),
        ([&head(0x80 | 1 << 10)[..], &[1, b'm', 0x10, 1, 2, 3, 4], &f64::NAN.to_le_bytes()].concat(), "peer"),
        ([&head(0x80 | 1 << 24)[..], &[1, b'm', 4], b"null"].concat(), "counter_quote"),
        ([&head(0x60)[..], &[0, 1, b'A']].concat(), "serial"),
        ([&head(0x60)[..], &[0, 2, b'0', b'1']].concat(), "serial"),
    ] {
        let batch = one(&record);
        assert_eq!(code(&batch), "BA-0007");
        let found = Reader::open(&batch).unwrap().next().unwrap();
        assert_eq!(found, Err(BatchError::Record { number: 1, field }), "{record:?}");
    }
    assert_eq!(code(&one(b"\x03{}")), "BA-0008");
    let beat = br#"{"schema":"touchmark.event/1","type":"heartbeat","time":"2026-11-20T22:00:00Z","source":"g","identity":{"client_id":"m"}}"#;
    assert_eq!(code(&one(&[&[3], &beat[..]].concat())), "BA-0008");
}

#[test]
fn a_record_that_cannot_be_read_does_not_stop_the_others() {
    let event = usual().remove(0);
    let mut batch = encode(&[event.clone(), event.clone()]).unwrap();
    let records = Records::open(&batch).unwrap();
    let at = batch.len() - records.rest.0.len() + 1;
    batch[at] = 9;
    let read: Vec<_> = Reader::open(&batch).unwrap().collect();
    assert_eq!(read, [Err(BatchError::Record { number: 1, field: "type" }), Ok(event)]);
    assert_eq!(tally(&batch, Digests::AtOnce), Ok(Tally { observations: 1, registry: 0, refused: 1 }));
}

#[test]
fn shares_give_what_the_whole_gives() {
    let events: Vec<Event> = usual().into_iter().cycle().take(50).collect();
    let whole = encode(&events).unwrap();
    // Also where a record, or the length of one, cannot be read, and where the header is wrong.
    for at in (8..whole.len()).step_by(37).chain([whole.len() - 1]) {
        for flip in [0, 1, 0x80] {
            let mut batch = whole.clone();
            batch[at] ^= flip;
            let Ok(records) = Records::open(&batch) else { continue };
            let read = |mut records: Records<'_>| -> Vec<_> {
                std::iter::from_fn(|| records.next_record())
                    .map(|next| next.map(|(_, raw)| raw.digest()))
                    .collect()
            };
            let expected = read(records);
            for number in [1, 2, 3, 7, 49, 50, 1_000] {
                let shares = Records::open(&batch).unwrap().shares(number);
                assert!(shares.len() <= number);
                assert_eq!(
                    shares.into_iter().flat_map(read).collect::<Vec<_>>(),
                    expected,
                    "{at} {flip} {number}"
                );
            }
        }
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let good = usual().remove(0);
    let field = |change: &dyn Fn(&mut Event)| {
        let mut event = good.clone();
        change(&mut event);
        let mut writer = Writer::default();
        writer.push(&good).unwrap();
        let before = (writer.bytes(), writer.events());
        let error = writer.push(&event).unwrap_err();
        assert_eq!((writer.bytes(), writer.events()), before);
        writer.push(&good).unwrap();
        assert_eq!(Reader::open(&writer.finish()).unwrap().filter_map(Result::ok).count(), 2);
        match error {
            BatchError::Record { number: 2, field } => field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(field(&|event| event.source = "x".repeat(513)), "source");
    assert_eq!(field(&|event| event.event_id = Some("x".repeat(513))), "event_id");
    assert_eq!(field(&|event| event.identity = Default::default()), "identity");
    assert_eq!(field(&|event| event.identity.common_name = Some(String::new())), "common_name");
    let peer = |event: &mut Event, lat| {
        if let EventBody::Authentication(body) = &mut event.body {
            body.tls.as_mut().unwrap().sni = Some("a new text".to_owned());
            body.peer.as_mut().unwrap().lat = Some(lat);
        }
    };
    assert_eq!(field(&|event| peer(event, f64::NAN)), "peer.lat");
    assert_eq!(field(&|event| peer(event, 91.0)), "peer.lat");
    let token = |event: &mut Event| {
        if let EventBody::Authentication(body) = &mut event.body {
            body.token = Some("x".repeat(MAX_RECORD_BYTES));
        }
    };
    assert_eq!(field(&token), "length");
}

#[test]
fn a_batch_that_is_full_says_so_and_stays_whole() {
    let mut event = usual().remove(0);
    if let EventBody::Authentication(body) = &mut event.body {
        body.token = Some("x".repeat(100_000));
    }
    let mut writer = Writer::default();
    let error = std::iter::repeat_with(|| writer.push(&event)).find_map(Result::err).unwrap();
    assert_eq!(error.code(), "BA-0002");
    let (bytes, events) = (writer.bytes(), writer.events());
    let batch = writer.finish();
    assert!(bytes == batch.len() && bytes <= MAX_BATCH_BYTES && events > 150);
    assert_eq!(
        tally(&batch, Digests::AtOnce),
        Ok(Tally { observations: events.into(), registry: 0, refused: 0 })
    );
}

#[test]
fn equal_records_of_other_texts_are_other_events() {
    let mut events = [usual().remove(3), usual().remove(3)];
    events[1].source = "another".to_owned();
    let [a, b] = events.map(|event| {
        let batch = encode(&[event]).unwrap();
        let mut reader = Reader::open(&batch).unwrap();
        reader.next().unwrap().unwrap();
        reader.digest().unwrap()
    });
    assert_ne!(a, b);
}

proptest! {
    #[test]
    fn round_trip(events in proptest::collection::vec(event(), 0..6)) {
        let batch = encode(&events).unwrap();
        let read: Vec<Event> = Reader::open(&batch).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read, events);
        same(&batch);
    }

    #[test]
    fn a_changed_batch_is_read_alike_both_ways(
        events in proptest::collection::vec(event(), 1..4),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut batch = encode(&events).unwrap();
        for (at, byte) in changes {
            let at = at.index(batch.len());
            batch[at] = byte;
        }
        same(&batch);
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        same(&bytes);
        let body = [&[4, 0, 0, 0, 9, 0, 0, 0], bytes.as_slice()].concat();
        let total = u32::try_from(body.len() + 8).unwrap();
        same(&[MAGIC.as_slice(), &total.to_le_bytes(), body.as_slice()].concat());
    }

    #[test]
    fn records_of_any_bytes_never_panic(
        kind in 0..4u8, present: u32, clear in 0..8u8, bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        // Few bits, so that some records are good.
        let present = (0..clear).fold(present & 0x7fff_ffff, |bits, _| bits & bits.rotate_left(7));
        let record = [&[kind], present.to_le_bytes().as_slice(), &bytes].concat();
        let length = [u8::try_from(record.len() & 0x7f | 0x80).unwrap(), u8::try_from(record.len() >> 7).unwrap()];
        let tail = [&[1, b'g'], &length, record.as_slice()].concat();
        let total = u32::try_from(HEADER_BYTES + tail.len()).unwrap();
        same(&[MAGIC.as_slice(), &total.to_le_bytes(), &[1, 0, 0, 0, 1, 0, 0, 0], tail.as_slice()].concat());
    }
}
