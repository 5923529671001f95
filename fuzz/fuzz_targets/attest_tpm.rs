//! Evidence of a TPM, as a device sends it: the beginning, and the appraisal under an AK that is already believed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use touchmark_attest::Policy;
use touchmark_attest::tpm::{self, ClaimedIdentity};
use touchmark_fuzz::{nonce, now, told, trial_policy};
use touchmark_identity::assurance::{Basis, KeyAssurance, Storage};
use touchmark_identity::evidence::Evidence;
use touchmark_identity::tpm::PublicArea;

static POLICY: LazyLock<Policy> = LazyLock::new(trial_policy);

fuzz_target!(|data: &[u8]| {
    let Ok(Evidence::Tpm(evidence)) = Evidence::from_cbor(data) else { return };
    if let Some((_, pending)) = told(tpm::begin(&ClaimedIdentity::from(&evidence), &POLICY, now(), &[7; 32]))
    {
        assert!(pending.activated(&[8; 32]).is_err());
        assert!(pending.activated(&[7; 32]).is_ok_and(|ak| ak.is_test()));
    }
    let Some(name) = PublicArea::from_bytes(&evidence.ak_public).ok().and_then(|ak| ak.name().ok()) else {
        return;
    };
    let ak = tpm::trust_ak_name(&name.0);
    let Some(appraised) = told(tpm::appraise(&evidence, &nonce(), &ak, now())) else { return };
    let key = appraised.value();
    assert_eq!((key.assurance.storage, key.assurance.basis), (Storage::Tpm, Basis::Attested));
    let der = key.assurance.to_der().expect("a record fits a certificate");
    assert_eq!(KeyAssurance::from_der(&der).as_ref(), Ok(&key.assurance));
});
