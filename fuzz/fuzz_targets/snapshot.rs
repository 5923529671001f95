//! A checkpoint that a file or a broker gives back. The input is the sections, each behind its length; lengths and hashes
//! are made to fit, so that what they hold is read.
#![no_main]

use std::num::NonZeroUsize;

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::services::{sealed, small_settings};
use touchmark_fuzz::{tell, told};
use touchmark_monitor::Monitor;

fn restored(bytes: &[u8]) -> Option<Monitor> {
    told(Monitor::restore(&small_settings(), NonZeroUsize::MIN, &mut &*bytes))
}

fn written(monitor: &Monitor) -> Vec<u8> {
    let mut bytes = Vec::new();
    monitor.snapshot(&small_settings(), &mut bytes).expect("memory takes everything");
    bytes
}

fuzz_target!(|data: &[u8]| {
    // As it is: nearly always refused by its hashes.
    if let Err(error) = Monitor::restore(&small_settings(), NonZeroUsize::MIN, &mut &*data) {
        tell(&error);
    }
    let Some(mut monitor) = restored(&sealed(data)) else { return };
    // What was taken back can be written down and taken back again.
    let first = written(&monitor);
    let second = restored(&first).expect("a snapshot that was just written");
    assert_eq!(written(&second), first);
    // And time goes on.
    monitor.finish();
    for finding in monitor.drain() {
        assert!(!finding.to_line().contains('\n'));
    }
});
