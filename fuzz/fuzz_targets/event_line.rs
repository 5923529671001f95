//! An event line from a terminator, broker or collector.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::event::{Event, MAX_LINE_BYTES};

fuzz_target!(|data: &[u8]| {
    let Some(event) = told(Event::from_line(data)) else { return };
    let line = event.to_line();
    // Escapes may make a line longer; beyond the limit nobody reads it.
    if line.len() <= MAX_LINE_BYTES {
        assert_eq!(Event::from_line(line.as_bytes()).as_ref(), Ok(&event), "{line}");
    }
    assert!(event.identity.has_name() && !line.contains('\n'));
    assert!(!event.identity.label().is_empty());
});
