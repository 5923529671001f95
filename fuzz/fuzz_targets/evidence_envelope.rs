//! What a device sends as evidence, of either version: the envelope, and the verdict over all kinds of parts.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use touchmark_attest::{Appraisal, Policy, judge, tpm};
use touchmark_fuzz::{nonce, now, tell, told, trial_policy};
use touchmark_identity::assurance::{Basis, Grade, KeyAssurance};
use touchmark_identity::evidence::{Claims, Envelope, Evidence};
use touchmark_identity::key::sha256;
use touchmark_identity::tpm::PublicArea;

static POLICY: LazyLock<Policy> = LazyLock::new(trial_policy);

fuzz_target!(|data: &[u8]| {
    let nonce = nonce();
    let envelope = told(Envelope::from_cbor(data));
    let ak = envelope.as_ref().and_then(|envelope| match &envelope.key {
        Evidence::Tpm(evidence) => PublicArea::from_bytes(&evidence.ak_public).ok()?.name().ok(),
        _ => None,
    });
    let ak = ak.map(|name| tpm::trust_ak_name(&name.0));
    let ak = ak.as_ref().ok_or_else(|| "no key".to_owned());
    let verdict = judge(data, &Appraisal { nonce: &nonce, policy: &POLICY, ak, at: now() });
    verdict.reasons.iter().for_each(|reason| tell(reason));
    let attested = verdict.is_attested();
    assert!(attested || !verdict.reasons.is_empty(), "nothing proven, and no reason");
    assert!(attested || verdict.assurance.grade() <= Grade::Copyable);
    let Some(envelope) = envelope else {
        assert!(!attested, "proven by nothing");
        return;
    };
    let written = envelope.to_cbor();
    assert_eq!(Envelope::from_cbor(&written), Ok(envelope.clone()));
    if attested {
        assert_eq!((verdict.assurance.basis, verdict.key.is_some()), (Basis::Attested, true));
        assert_eq!(verdict.assurance.evidence_sha256, Some(sha256(data)));
        assert!(envelope.nonce.is_none_or(|found| found == nonce));
        assert_eq!(envelope.claims.contradicts(&Claims::of(&envelope.key, envelope.boot.as_ref())), None);
        let der = verdict.assurance.to_der().expect("a record fits a certificate");
        assert_eq!(KeyAssurance::from_der(&der).as_ref(), Ok(&verdict.assurance));
    }
});
