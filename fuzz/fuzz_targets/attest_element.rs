//! Evidence of a secure element, as a device sends it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use touchmark_attest::{Policy, element};
use touchmark_fuzz::{nonce, now, told, trial_policy};
use touchmark_identity::apdu::se05x::bound::BoundRead;
use touchmark_identity::assurance::{Basis, KeyAssurance, Storage};
use touchmark_identity::evidence::Evidence;

static POLICY: LazyLock<Policy> = LazyLock::new(trial_policy);

fuzz_target!(|data: &[u8]| {
    let Ok(evidence) = Evidence::from_cbor(data) else { return };
    let appraised = match &evidence {
        Evidence::Element(evidence) => element::appraise(evidence, &nonce(), &POLICY, now()),
        Evidence::BoundRead(evidence) => element::appraise_bound(evidence, &nonce(), &POLICY, now()),
        _ => return,
    };
    let Some(appraised) = told(appraised) else { return };
    let key = appraised.value();
    match &evidence {
        Evidence::Element(evidence) => assert_eq!(key.key.point()[..], evidence.data),
        Evidence::BoundRead(evidence) => {
            let read = BoundRead::parse(&evidence.answer).expect("what was appraised can be read");
            assert_eq!(Some(&key.key.point()[..]), read.data);
        }
        _ => {}
    }
    assert_eq!((key.assurance.storage, key.assurance.basis), (Storage::SecureElement, Basis::Attested));
    assert!(key.assurance.test_endorser);
    let der = key.assurance.to_der().expect("a record fits a certificate");
    assert_eq!(KeyAssurance::from_der(&der).as_ref(), Ok(&key.assurance));
});
