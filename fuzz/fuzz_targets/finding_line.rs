//! A finding line, as the dashboard and other readers take it in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::finding::{Finding, MAX_LINE_BYTES};

fuzz_target!(|data: &[u8]| {
    let Some(finding) = told(Finding::from_line(data)) else { return };
    let line = finding.to_line();
    assert!(!line.contains('\n'));
    if line.len() <= MAX_LINE_BYTES {
        assert_eq!(Finding::from_line(line.as_bytes()).as_ref(), Ok(&finding), "{line}");
    }
});
