//! A batch from a source that speaks to the monitor directly: read as events and as the engine reads it, then written
//! again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::event::{Event, EventBody};
use touchmark_monitor::batch::{Digests, Reader, encode, tally};

fuzz_target!(|data: &[u8]| {
    let counted = tally(data, Digests::AtOnce);
    assert_eq!(counted, tally(data, Digests::Later));
    let Some(reader) = told(Reader::open(data)) else {
        assert!(counted.is_err());
        return;
    };
    let read: Vec<Option<Event>> = reader.map(told).collect();
    let events: Vec<Event> = read.iter().flatten().cloned().collect();
    let counted = counted.expect("a batch whose header was read");
    let registry = events.iter().filter(|event| matches!(event.body, EventBody::Registry(_))).count();
    assert_eq!(counted.registry, u64::try_from(registry).unwrap());
    assert_eq!(counted.observations + counted.registry, u64::try_from(events.len()).unwrap());
    assert_eq!(counted.refused, u64::try_from(read.len() - events.len()).unwrap());
    // A registry line or a quote may become longer than what is written.
    if let Ok(batch) = encode(&events) {
        let again: Vec<Event> = Reader::open(&batch).unwrap().map(Result::unwrap).collect();
        assert_eq!(again, events);
    }
});
