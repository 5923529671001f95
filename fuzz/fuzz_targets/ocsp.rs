//! An OCSP request, as anybody may send it.
#![no_main]

use std::cell::RefCell;

use der::Decode;
use libfuzzer_sys::fuzz_target;
use touchmark_authority::Authority;
use touchmark_fuzz::services::authority;
use touchmark_fuzz::{now, told};
use x509_ocsp::{OcspResponse, OcspResponseStatus};

thread_local! {
    static WORLD: RefCell<(tempfile::TempDir, Authority)> = RefCell::new({
        let directory = tempfile::tempdir().expect("a directory");
        let authority = authority(directory.path());
        (directory, authority)
    });
}

fuzz_target!(|data: &[u8]| {
    let answer = WORLD.with_borrow_mut(|(_, authority)| told(authority.ocsp(data, now())));
    let Some(answer) = answer else { return };
    let answer = OcspResponse::from_der(&answer).expect("an answer is DER");
    assert_eq!(answer.response_status, OcspResponseStatus::Successful);
});
