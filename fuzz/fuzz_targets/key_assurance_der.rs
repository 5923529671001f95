//! The certificate extension that says where a key lives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::assurance::KeyAssurance;

fuzz_target!(|data: &[u8]| {
    let Some(record) = told(KeyAssurance::from_der(data)) else { return };
    // DER has one form for one value (ITU-T X.690 §10), so what was read is what would be written.
    assert_eq!(record.to_der().as_deref(), Ok(data), "{record:?}");
});
