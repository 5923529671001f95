//! Envelopes that hold, and each lie in them.

use touchmark_identity::assurance::{Grade, Part, Provenance};
use touchmark_identity::evidence::{Claims, ElementEvidence, TpmEvidence};
use touchmark_identity::tpm::policy::pcr_digest;
use touchmark_identity::tpm::proof::{
    CertifiedCounter, CertifiedCreation, PcrBank, PcrList, PcrValue, Quote,
};
use touchmark_identity::tpm::{AlgorithmId, Attested, Name, ObjectAttributes};

use super::*;
use crate::tpm::tests::{Fixture, HERE, attributes, sign, statement};
use crate::tpm::{BootPolicy, trust_ak_name};
use crate::{PartFloor, Requirements, element, pkcs11};

/// What counts of a verdict.
#[derive(Debug, PartialEq)]
struct Said {
    key: Option<PublicKey>,
    grade: Grade,
    part: Option<Part>,
    provenance: Provenance,
    test: bool,
    registers: Option<Vec<PcrValue>>,
    counter: Option<u64>,
}

fn said(verdict: &Verdict) -> Said {
    Said {
        key: verdict.key.clone(),
        grade: verdict.assurance.grade(),
        part: verdict.assurance.part.clone(),
        provenance: verdict.assurance.provenance,
        test: verdict.assurance.test_endorser,
        registers: verdict.boot.as_ref().map(|boot| boot.registers.clone()),
        counter: verdict.counter.as_ref().map(|counter| counter.value),
    }
}

/// Everything that a judge knows beforehand.
struct Bench {
    nonce: Nonce,
    policy: Policy,
    ak: Option<ActivatedAk>,
    at: Timestamp,
}

impl Bench {
    fn judge(&self, bytes: &[u8]) -> Verdict {
        let ak = self.ak.as_ref().ok_or_else(|| "none".to_owned());
        judge(bytes, &Appraisal { nonce: &self.nonce, policy: &self.policy, ak, at: self.at })
    }

    fn judges(&self, envelope: &Envelope) -> Verdict {
        self.judge(&envelope.to_cbor())
    }

    /// The reason why nothing was proven.
    fn refuses(&self, envelope: &Envelope) -> AppraisalError {
        let verdict = self.judges(envelope);
        assert!(!verdict.is_attested() && verdict.assurance.grade() == Grade::Copyable, "{verdict:?}");
        assert_eq!((&verdict.key, &verdict.endorser, verdict.reasons.len()), (&None, &None, 1));
        verdict.reasons[0].clone()
    }

    /// Whatever bit changes, nothing else is proven than before, and nothing at all for most.
    fn holds_against_flips(&self, envelope: &Envelope) {
        let bytes = envelope.to_cbor();
        let honest = said(&self.judge(&bytes));
        assert!(honest.grade > Grade::Copyable);
        let mut survived = 0;
        for place in 0..bytes.len() {
            let mut lie = bytes.clone();
            lie[place] ^= 1 << (place % 8);
            let verdict = self.judge(&lie);
            if verdict.is_attested() {
                let found = said(&verdict);
                // A claim or a submodule under another name is not made; what is left has to hold as before.
                assert_eq!((&found.key, found.grade, &found.part), (&honest.key, honest.grade, &honest.part));
                assert_eq!((found.provenance, found.test), (honest.provenance, honest.test));
                assert!(found.registers.is_none() || found.registers == honest.registers);
                assert!(found.counter.is_none() || found.counter == honest.counter);
                assert_ne!(verdict.assurance.evidence_sha256, Some(sha256(&bytes)));
                survived += 1;
            } else {
                assert_eq!(verdict.assurance.grade(), Grade::Copyable, "byte {place}");
                assert!(!verdict.reasons.is_empty(), "byte {place} without a reason");
            }
        }
        assert!(survived * 20 < bytes.len(), "{survived} of {} changes are not noticed", bytes.len());
        for end in 0..bytes.len() {
            assert!(!self.judge(&bytes[..end]).is_attested(), "{end} bytes are enough");
        }
    }
}

fn chip() -> (tempfile::TempDir, Envelope, Bench) {
    let (dir, evidence) = element::tests::generated();
    let nonce = element::tests::nonce();
    let envelope = Envelope::new(&nonce, Evidence::Element(evidence));
    let bench = Bench { nonce, policy: element::tests::trial(), ak: None, at: element::tests::now() };
    (dir, envelope, bench)
}

/// The same with an applet whose reads are bound to their command.
fn bound_chip() -> (tempfile::TempDir, Envelope, Bench) {
    let (dir, evidence) = element::tests::generated_bound();
    let nonce = element::tests::nonce();
    let envelope = Envelope::new(&nonce, Evidence::BoundRead(evidence));
    let bench = Bench { nonce, policy: element::tests::trial(), ak: None, at: element::tests::now() };
    (dir, envelope, bench)
}

/// A TPM that says everything that a TPM can say.
fn talkative_tpm() -> (Fixture, Envelope, Bench) {
    let fixture = Fixture::good();
    let nonce = fixture.nonce.clone();
    let ak_public = fixture.evidence.ak_public.clone();
    let signed = |attested| {
        let bytes = statement(attested, nonce.bytes()).to_bytes().unwrap();
        (sign(&fixture.ak, &bytes), bytes)
    };
    let list: PcrList = "sha256:0,7".parse().unwrap();
    let pcrs: Vec<PcrValue> = [(0, 0x60), (7, 0x67)]
        .map(|(pcr, byte)| PcrValue { bank: PcrBank::Sha256, pcr, value: vec![byte; 32] })
        .into();
    let pcr_digest =
        pcr_digest(AlgorithmId::SHA256, pcrs.iter().map(|value| value.value.as_slice())).unwrap();
    let (signature, quoted) = signed(Attested::Quote { selection: vec![list.selection()], pcr_digest });
    let boot = Quote {
        schema: Quote::SCHEMA.to_owned(),
        ak_public: ak_public.clone(),
        statement: quoted,
        signature,
        pcrs,
        event_log: Vec::new(),
    };
    let mut envelope = Envelope::new(&nonce, Evidence::Tpm(fixture.evidence.clone())).with_boot(boot);

    // TPMS_NV_PUBLIC: index, SHA-256, a written counter, no policy, 8 bytes.
    let nv_public = [&[0x01, 0x80, 0, 1, 0, 0x0b][..], &[0x20, 6, 0, 0x16, 0, 0, 0, 8]].concat();
    let index_name = Name([&[0, 0x0b][..], &sha256(&nv_public)].concat());
    let (signature, counted) =
        signed(Attested::Nv { index_name, offset: 0, contents: 41u64.to_be_bytes().to_vec() });
    envelope.counter =
        Some(CertifiedCounter { ak_public: ak_public.clone(), nv_public, statement: counted, signature });

    let key_public = fixture.evidence.key_public.clone();
    let name = touchmark_identity::tpm::PublicArea::from_bytes(&key_public).unwrap().name().unwrap();
    let creation_data = b"what was then".to_vec();
    let (signature, created) =
        signed(Attested::Creation { name, creation_hash: sha256(&creation_data).to_vec() });
    envelope.creation =
        Some(CertifiedCreation { ak_public, key_public, creation_data, statement: created, signature });

    let at = Timestamp::from_micros(7);
    let bench = Bench { nonce, policy: Policy::default(), ak: Some(fixture.trusted()), at };
    (fixture, envelope, bench)
}

#[test]
fn an_element_is_believed_in_both_versions() {
    let (_dir, envelope, bench) = chip();
    let verdict = bench.judges(&envelope);
    assert_eq!(verdict.assurance.grade(), Grade::HardwareBound);
    assert!(verdict.reasons.is_empty() && verdict.is_attested());
    assert_eq!(verdict.assurance.evidence_sha256, Some(sha256(&envelope.to_cbor())));
    assert_eq!(envelope.claims.hwmodel.as_deref(), Some(&b"TEST Touchmark virtual secure el"[..]));
    assert_eq!(envelope.claims.swversion, verdict.assurance.part.as_ref().unwrap().firmware);
    let before = Envelope { nonce: None, claims: Claims::default(), ..envelope };
    assert_eq!(before.version(), 1);
    assert_eq!(said(&bench.judges(&before)), said(&verdict));
}

#[test]
fn a_tpm_says_key_boot_counter_and_creation() {
    let (_, envelope, bench) = talkative_tpm();
    let found = said(&bench.judges(&envelope));
    assert_eq!((found.grade, found.counter), (Grade::HardwareBound, Some(41)));
    assert_eq!(found.registers, envelope.boot.map(|boot| boot.pcrs));
}

#[test]
fn no_flip_in_an_element_s_envelope_raises_anything() {
    let (_dir, envelope, bench) = chip();
    bench.holds_against_flips(&envelope);
}

#[test]
fn no_flip_in_a_bound_read_s_envelope_raises_anything() {
    let (_dir, envelope, bench) = bound_chip();
    assert_eq!(envelope.claims.swversion.as_deref(), Some("7.2.0"));
    assert_eq!(envelope.claims.ueid.as_ref().map(Vec::len), Some(33));
    bench.holds_against_flips(&envelope);
}

#[test]
fn no_flip_in_a_tpm_s_envelope_raises_anything() {
    let (_, envelope, bench) = talkative_tpm();
    bench.holds_against_flips(&envelope);
}

#[test]
fn no_flip_in_a_token_s_envelope_raises_anything() {
    let (evidence, policy) = pkcs11::tests::token();
    let nonce = Nonce::new(&[0x5a; 24]).unwrap();
    let at = crate::chain::tests::now();
    let envelope = Envelope::new(&nonce, Evidence::Pkcs11(evidence));
    Bench { nonce, policy, ak: None, at }.holds_against_flips(&envelope);
}

#[test]
fn every_field_of_an_element_s_evidence_is_held() {
    let (_dir, envelope, bench) = chip();
    let Evidence::Element(honest) = &envelope.key else { panic!("{envelope:?}") };
    let lies: [fn(&mut ElementEvidence); 9] = [
        |e| e.chip_certificate[40] ^= 1,
        |e| e.chip_chain.push(vec![0x30, 0]),
        |e| e.data[7] ^= 1,
        |e| e.attributes[3] ^= 1,
        |e| e.timestamp[0] ^= 1,
        |e| e.freshness[15] ^= 1,
        |e| e.chip_id[17] ^= 1,
        |e| e.signature[20] ^= 1,
        |e| e.applet_version[2] ^= 1,
    ];
    for (place, lie) in lies.iter().enumerate() {
        let mut evidence = honest.clone();
        lie(&mut evidence);
        // With the claims of before, and with claims made to fit.
        let key = Evidence::Element(evidence);
        let _reason = bench.refuses(&Envelope { key: key.clone(), ..envelope.clone() });
        let _reason = bench.refuses(&Envelope::new(&bench.nonce, key));
        assert!(place < 9);
    }
}

#[test]
fn every_field_of_a_tpm_s_evidence_is_held() {
    let (_, envelope, bench) = talkative_tpm();
    let Evidence::Tpm(honest) = &envelope.key else { panic!("{envelope:?}") };
    let lies: [fn(&mut TpmEvidence); 4] = [
        |e| e.ak_public[30] ^= 1,
        |e| e.key_public[30] ^= 1,
        |e| e.certify_info[30] ^= 1,
        |e| e.signature[30] ^= 1,
    ];
    for lie in lies {
        let mut evidence = honest.clone();
        lie(&mut evidence);
        let _reason = bench.refuses(&Envelope { key: Evidence::Tpm(evidence), ..envelope.clone() });
    }
    let lies: [fn(&mut Envelope); 13] = [
        |e| e.boot.as_mut().unwrap().ak_public[30] ^= 1,
        |e| e.boot.as_mut().unwrap().statement[30] ^= 1,
        |e| e.boot.as_mut().unwrap().signature[30] ^= 1,
        |e| e.boot.as_mut().unwrap().pcrs[1].value[0] ^= 1,
        |e| e.boot.as_mut().unwrap().event_log.push(0),
        |e| e.counter.as_mut().unwrap().nv_public[3] ^= 1,
        |e| e.counter.as_mut().unwrap().statement[30] ^= 1,
        |e| e.counter.as_mut().unwrap().signature[30] ^= 1,
        |e| e.creation.as_mut().unwrap().key_public[30] ^= 1,
        |e| e.creation.as_mut().unwrap().creation_data[0] ^= 1,
        |e| e.creation.as_mut().unwrap().statement[30] ^= 1,
        |e| e.creation.as_mut().unwrap().signature[30] ^= 1,
        // One statement in the place of another.
        |e| e.counter.as_mut().unwrap().statement.clone_from(&e.boot.as_ref().unwrap().statement),
    ];
    for lie in lies {
        let mut envelope = envelope.clone();
        lie(&mut envelope);
        // The claims fit whatever is inside.
        envelope.claims = Claims::of(&envelope.key, envelope.boot.as_ref());
        let _reason = bench.refuses(&envelope);
    }
    // The creation of another key of the same TPM.
    let (_, other, _) = talkative_tpm();
    assert!(matches!(
        bench.refuses(&Envelope { creation: other.creation, ..envelope.clone() }),
        AppraisalError::KeyMismatch { .. }
    ));
}

#[test]
fn claims_and_nonce_are_held_against_the_statements() {
    let (_dir, envelope, bench) = chip();
    let text = Some("another".to_owned());
    let lies = [
        Claims { ueid: Some(vec![1; 33]), ..envelope.claims.clone() },
        Claims { hwmodel: Some(b"another".to_vec()), ..envelope.claims.clone() },
        Claims { hwversion: text.clone(), ..envelope.claims.clone() },
        Claims { swname: text.clone(), ..envelope.claims.clone() },
        Claims { swversion: text, ..envelope.claims.clone() },
    ];
    for claims in lies {
        let reason = bench.refuses(&Envelope { claims, ..envelope.clone() });
        assert!(matches!(reason, AppraisalError::WrongValue { .. }), "{reason}");
    }
    let other = Some(Nonce::new(&[9; 32]).unwrap());
    let reason = bench.refuses(&Envelope { nonce: other, ..envelope.clone() });
    assert!(matches!(reason, AppraisalError::NotFresh { .. }), "{reason}");
    // Made for another question, and dressed up for this one.
    let later = Bench { nonce: Nonce::new(&[9; 32]).unwrap(), ..bench };
    let reason = later.refuses(&Envelope { nonce: Some(later.nonce.clone()), ..envelope });
    assert!(matches!(reason, AppraisalError::NotFresh { .. }), "{reason}");
}

#[test]
fn a_tpm_without_an_activated_key_proves_nothing() {
    let (_, envelope, bench) = talkative_tpm();
    let unknown = Bench { ak: None, ..bench };
    assert!(matches!(unknown.refuses(&envelope), AppraisalError::UnknownAk { .. }));
    let other = Bench { ak: Some(trust_ak_name(&[0, 11])), ..unknown };
    assert!(matches!(other.refuses(&envelope), AppraisalError::KeyMismatch { .. }));
    for nothing in [&b""[..], b"\x80", b"\xd9\x02\x59\xa0", &[0xff; 100]] {
        let verdict = other.judge(nothing);
        assert_eq!((verdict.is_attested(), verdict.reasons.len()), (false, 1));
    }
}

/// What holds and is below a floor is a claim: key and reason are known, the grade is that of a key file.
fn lowered(bench: &Bench, envelope: &Envelope) -> Vec<AppraisalError> {
    let verdict = bench.judges(envelope);
    assert_eq!((verdict.is_attested(), verdict.assurance.grade()), (false, Grade::Copyable));
    assert!(verdict.key.is_some() && !verdict.reasons.is_empty(), "{verdict:?}");
    verdict.reasons
}

#[test]
fn floors_of_parts_lower_the_record() {
    let (_dir, envelope, mut bench) = chip();
    let part = bench.judges(&envelope).assurance.part.unwrap();
    let floor = |firmware: &str| PartFloor {
        vendor: part.vendor.clone(),
        model: Some(part.model.clone()),
        firmware: firmware.to_owned(),
    };
    bench.policy.requirements.floors = vec![floor(part.firmware.as_deref().unwrap())];
    assert!(bench.judges(&envelope).is_attested());
    bench.policy.requirements.floors = vec![floor("99")];
    assert!(matches!(lowered(&bench, &envelope)[..], [AppraisalError::PartTooOld { .. }]));
    bench.policy.requirements = Requirements { listed_parts_only: true, ..Requirements::default() };
    assert!(matches!(lowered(&bench, &envelope)[..], [AppraisalError::PartNotListed { .. }]));
}

#[test]
fn a_platform_that_started_with_something_else_is_a_claim() {
    let (_, envelope, mut bench) = talkative_tpm();
    let registers = |byte: u8| [((PcrBank::Sha256, 0), vec![vec![byte; 32]])].into();
    let boot = |byte| Some(BootPolicy { registers: registers(byte), ..BootPolicy::default() });
    bench.policy.requirements.boot = boot(0x60);
    assert!(bench.judges(&envelope).is_attested());
    bench.policy.requirements.boot = boot(0x61);
    assert!(matches!(lowered(&bench, &envelope)[..], [AppraisalError::RegisterMismatch { .. }]));
    let mut silent = Envelope { boot: None, ..envelope };
    silent.claims.measurements.clear();
    assert!(matches!(lowered(&bench, &silent)[..], [AppraisalError::NotMeasured { .. }]));
}

#[test]
fn a_key_from_outside_is_hardened_at_best_and_says_why() {
    let outside = ObjectAttributes(attributes(&HERE).0 & !ObjectAttributes::SENSITIVE_DATA_ORIGIN.0);
    let fixture = Fixture::new(outside, attributes(&HERE) | ObjectAttributes::RESTRICTED);
    let bench = Bench {
        nonce: fixture.nonce.clone(),
        policy: Policy::default(),
        ak: Some(fixture.trusted()),
        at: Timestamp::from_micros(7),
    };
    let verdict = bench.judges(&Envelope::new(&fixture.nonce, Evidence::Tpm(fixture.evidence.clone())));
    assert_eq!((verdict.is_attested(), verdict.assurance.grade()), (true, Grade::Hardened));
    assert!(matches!(verdict.reasons[..], [AppraisalError::NotGenerated { .. }]));
}
