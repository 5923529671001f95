//! The body of an enrolment: base64, PEM or DER of a certification request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_authority::csr::ProvenRequest;
use touchmark_authority::est::{Wrapping, decode_body, encode_body};
use touchmark_fuzz::told;
use touchmark_identity::ids::DeviceId;

fuzz_target!(|data: &[u8]| {
    match decode_body(data) {
        Ok(der) if !der.is_empty() => {
            for wrapping in [Wrapping::Lines, Wrapping::None] {
                assert_eq!(decode_body(encode_body(&der, wrapping).as_bytes()).as_ref(), Ok(&der));
            }
        }
        Ok(_) => {}
        Err(detail) => assert!(!detail.chars().any(char::is_control)),
    }
    for read in [ProvenRequest::from_any(data), ProvenRequest::from_der(data)] {
        let Some(request) = told(read) else { continue };
        assert_eq!(ProvenRequest::from_der(request.der()).ok().as_ref(), Some(&request));
        let _another = told(request.must_name(&DeviceId::new("meter-1").expect("a name")));
    }
});
