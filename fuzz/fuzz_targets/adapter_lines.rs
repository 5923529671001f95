//! Lines of foreign logs; the first byte chooses the format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::event::Event;
use touchmark_monitor::adapters::{Format, Reader};

fuzz_target!(|data: &[u8]| {
    let Some((choice, lines)) = data.split_first() else { return };
    let format = Format::ALL[usize::from(*choice) % Format::ALL.len()];
    let mut reader = Reader::new(format, "gate");
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(events) = told(reader.read(line)) else { continue };
        // What the adapter makes can be written down and read again.
        for event in events {
            assert_eq!(Event::from_line(event.to_line().as_bytes()), Ok(event));
        }
    }
});
