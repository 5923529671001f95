//! The evidence envelope of a device.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::evidence::Evidence;

fuzz_target!(|data: &[u8]| {
    let Some(evidence) = told(Evidence::from_cbor(data)) else { return };
    assert_eq!(Evidence::from_cbor(&evidence.to_cbor()), Ok(evidence));
});
