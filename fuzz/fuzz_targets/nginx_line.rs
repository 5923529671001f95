//! Lines of an access log that nginx wrote for whoever spoke to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::event::Event;
use touchmark_monitor::adapters::nginx::{Line, Nginx};

fuzz_target!(|data: &[u8]| {
    let mut nginx = Nginx::new("gate");
    for line in data.split(|byte| *byte == b'\n') {
        let Some(Line::Event(event)) = told(nginx.line(line)) else { continue };
        // What the adapter makes can be written down and read again.
        assert_eq!(Event::from_line(event.to_line().as_bytes()).as_ref(), Ok(&*event));
    }
});
