//! Certificates that a device sends towards its maker's root: the first piece is the part's, the others intermediates.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use touchmark_attest::{ChainPurpose, Policy};
use touchmark_fuzz::{now, pieces, told, trial_policy};

static POLICY: LazyLock<Policy> = LazyLock::new(trial_policy);

fuzz_target!(|data: &[u8]| {
    let mut certificates = pieces(data, 12);
    let Some(leaf) = certificates.next() else { return };
    let intermediates: Vec<Vec<u8>> = certificates.map(<[u8]>::to_vec).collect();
    for purpose in [ChainPurpose::ElementAttestation, ChainPurpose::TpmEndorsement] {
        if let Some(chain) = told(POLICY.verify_chain(leaf, &intermediates, now(), purpose)) {
            assert!(chain.test, "a path to the TEST root does not count as a test");
        }
        let strict = Policy { dangerously_accept_test_endorsers: false, ..POLICY.clone() };
        assert!(strict.verify_chain(leaf, &intermediates, now(), purpose).is_err());
    }
});
