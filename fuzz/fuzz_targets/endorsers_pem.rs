//! A file of endorsers' certificates, which an operator had from somewhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_attest::Endorsers;
use touchmark_fuzz::told;

fuzz_target!(|text: &str| {
    if let Some(endorsers) = told(Endorsers::from_pem([("roots.pem", text)])) {
        assert!(endorsers.roots().iter().all(|root| !root.name.is_empty()));
    }
    if let Some(endorsers) = told(Endorsers::default().with_test_element_root(text)) {
        assert!(endorsers.roots().iter().all(|root| root.test));
    }
});
