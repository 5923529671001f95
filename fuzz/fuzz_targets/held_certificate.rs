//! A certificate that a client presents in its TLS handshake.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_authority::x509::{HeldCertificate, common_name, pem};
use touchmark_fuzz::told;
use touchmark_identity::assurance::KeyAssurance;

fuzz_target!(|data: &[u8]| {
    let Some(held) = told(HeldCertificate::from_der(data)) else { return };
    let _unsupported = told(held.public_key());
    assert!(held.serial().first().is_none_or(|byte| *byte != 0) || held.serial().len() == 1);
    std::hint::black_box((
        common_name(&held.certificate.tbs_certificate.subject),
        held.sha256(),
        told(held.pem()),
    ));
    std::hint::black_box(told(pem("CERTIFICATE", data)));
    if let Some(record) = held.assurance() {
        let der = record.to_der().expect("what was read can be written");
        assert_eq!(KeyAssurance::from_der(&der), Ok(record));
    }
});
