//! The whole way of TPM evidence, with swtpm as the TPM: identity, activation, certification, appraisal.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test that calls them")]

use touchmark_attest::tpm::{self, ActivatedAk, BootPolicy, ClaimedIdentity};
use touchmark_attest::{AppraisalError, Endorsers, Policy};
use touchmark_identity::assurance::{Basis, Grade, Provenance, Storage};
use touchmark_identity::evidence::{Evidence, Nonce, TpmEvidence};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;
use touchmark_identity::tpm::event_log::{Event, EventLog};
use touchmark_identity::tpm::proof::{CertifiedCreation, PcrBank, PcrValue, Quote};
use touchmark_identity::tpm::{AlgorithmId, ClockInfo};
use touchmark_keystore::tpm::{Measured, TpmStore};
use touchmark_keystore::{CredentialChallenge, KeyStore, StoreError};
use touchmark_testkit::swtpm::{EkKind, Swtpm, tpm2_tool};

const SECRET: [u8; 32] = [0x5e; 32];

fn now() -> Timestamp {
    // The certificates of swtpm's authority begin at the moment in which they are made, so the clock is read here.
    #[expect(clippy::disallowed_methods, reason = "certificates of a foreign peer are valid from now on")]
    std::time::SystemTime::now().into()
}

fn policy(swtpm: &Swtpm) -> Policy {
    let files = swtpm.endorser_root_pem.iter().map(|pem| ("swtpm's authority", pem));
    Policy { endorsers: Endorsers::from_pem(files).unwrap(), ..Policy::default() }
}

fn claimed(store: &mut TpmStore) -> ClaimedIdentity {
    let identity = store.activate_credential().unwrap().endorsement_identity().unwrap();
    ClaimedIdentity {
        ek_certificate: identity.ek_certificate,
        ek_chain: identity.ek_chain,
        ek_public: identity.ek_public,
        ak_public: identity.ak_public,
    }
}

fn open(store: &mut TpmStore, challenge: &tpm::Challenge) -> Result<Vec<u8>, StoreError> {
    let challenge = CredentialChallenge {
        credential_blob: challenge.credential_blob.clone(),
        encrypted_secret: challenge.encrypted_secret.clone(),
    };
    store.activate_credential().unwrap().activate(&challenge).map(|secret| secret.to_vec())
}

fn activate(store: &mut TpmStore, policy: &Policy) -> ActivatedAk {
    let (challenge, pending) = tpm::begin(&claimed(store), policy, now(), &SECRET).unwrap();
    let secret = open(store, &challenge).unwrap();
    assert_eq!(pending.activated(&[0; 32]), Err(AppraisalError::NotActivated));
    pending.activated(&secret).unwrap()
}

fn certify(store: &mut TpmStore, key: &KeyName, nonce: &Nonce) -> TpmEvidence {
    match store.attest().unwrap().attest(key, nonce).unwrap().evidence {
        Evidence::Tpm(evidence) => evidence,
        other => panic!("a TPM gave {other:?}"),
    }
}

fn whole_way(kind: EkKind) {
    let Some(swtpm) = Swtpm::start(kind) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let key = KeyName::new("device").unwrap();
    let public = store.generate(&key).unwrap();
    let signature = store.sign_digest(&key, &sha256(b"hello")).unwrap();
    public.verify(b"hello", &signature).unwrap();

    let ak = activate(&mut store, &policy(&swtpm));
    assert_eq!(ak.endorser(), "swtpm-localca-rootca");
    assert_eq!(ak.part().unwrap().model, "swtpm");
    assert!(!ak.is_test());

    let nonce = Nonce::new(&[9; 32]).unwrap();
    let evidence = certify(&mut store, &key, &nonce);
    let appraised = tpm::appraise(&evidence, &nonce, &ak, now()).unwrap().into_value();
    assert_eq!(appraised.key, public);
    let record = appraised.assurance;
    assert_eq!((record.storage, record.basis), (Storage::Tpm, Basis::Attested));
    assert_eq!((record.provenance, record.grade()), (Provenance::GeneratedOnChip, Grade::HardwareBound));
    // The firmware version comes from the statement, and is the one that the TPM reports of itself.
    assert_eq!(record.part.unwrap().firmware, Some(store.info().unwrap().firmware));

    // The evidence survives its envelope.
    let sent = Evidence::from_cbor(&Evidence::Tpm(evidence.clone()).to_cbor()).unwrap();
    assert_eq!(record.evidence_sha256, Some(sent.sha256()));

    // Another nonce, another key's public area.
    let stale = tpm::appraise(&evidence, &Nonce::new(&[8; 32]).unwrap(), &ak, now());
    assert!(matches!(stale, Err(AppraisalError::NotFresh { .. })), "{stale:?}");
    let other_key = KeyName::new("other").unwrap();
    store.generate(&other_key).unwrap();
    let other = certify(&mut store, &other_key, &nonce);
    let swapped = TpmEvidence { key_public: other.key_public, ..evidence };
    let refused = tpm::appraise(&swapped, &nonce, &ak, now());
    assert!(matches!(refused, Err(AppraisalError::KeyMismatch { .. })), "{refused:?}");
}

#[test]
fn the_whole_way_with_an_ek_on_p384() {
    whole_way(EkKind::P384);
}

#[test]
fn the_whole_way_with_an_rsa_ek() {
    whole_way(EkKind::Rsa2048);
}

#[test]
fn one_tpm_does_not_stand_in_for_another() {
    let Some(first) = Swtpm::start(EkKind::P384) else { return };
    let Some(second) = Swtpm::start(EkKind::P384) else { return };
    let mut stores = [TpmStore::open(&first.address).unwrap(), TpmStore::open(&second.address).unwrap()];
    let [one, two] = &mut stores;

    // Roots that are not pinned.
    let refused = tpm::begin(&claimed(one), &policy(&second), now(), &SECRET);
    assert!(matches!(refused, Err(AppraisalError::UnknownEndorser { .. })), "{refused:?}");
    let refused = tpm::begin(&claimed(one), &Policy::default(), now(), &SECRET);
    assert!(matches!(refused, Err(AppraisalError::NoEndorsers)), "{refused:?}");

    // A stolen EK certificate with the thief's EK.
    let stolen = ClaimedIdentity { ek_public: claimed(two).ek_public, ..claimed(one) };
    let refused = tpm::begin(&stolen, &policy(&first), now(), &SECRET);
    assert!(matches!(refused, Err(AppraisalError::KeyMismatch { .. })), "{refused:?}");

    // A stolen EK certificate and EK with the thief's AK: neither TPM opens the challenge.
    let stolen = ClaimedIdentity { ak_public: claimed(two).ak_public, ..claimed(one) };
    let (challenge, _) = tpm::begin(&stolen, &policy(&first), now(), &SECRET).unwrap();
    for store in [&mut *one, &mut *two] {
        let refused = open(store, &challenge);
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    }

    // An AK of another TPM.
    let ak = activate(one, &policy(&first));
    let key = KeyName::new("device").unwrap();
    two.generate(&key).unwrap();
    let nonce = Nonce::new(&[1; 16]).unwrap();
    let refused = tpm::appraise(&certify(two, &key, &nonce), &nonce, &ak, now());
    assert!(matches!(refused, Err(AppraisalError::KeyMismatch { .. })), "{refused:?}");

    // A changed challenge.
    let (mut challenge, _) = tpm::begin(&claimed(one), &policy(&first), now(), &SECRET).unwrap();
    if let Some(last) = challenge.credential_blob.last_mut() {
        *last ^= 1;
    }
    assert!(matches!(open(one, &challenge), Err(StoreError::Refused { .. })));
}

/// A quote by the tools' own attestation key, in our form.
fn quote_by_the_tools(swtpm: &Swtpm, nonce: &Nonce, log: &[u8]) -> Option<Quote> {
    let nonce = hex::encode(nonce.bytes());
    tpm2_tool(swtpm, "tpm2_createek", &["-c", "ek.ctx", "-G", "ecc", "-u", "ek.pub"])?;
    let flush = || tpm2_tool(swtpm, "tpm2_flushcontext", &["-t"]);
    flush()?;
    let ak = ["-C", "ek.ctx", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", "ak.pub"];
    tpm2_tool(swtpm, "tpm2_createak", &ak)?;
    flush()?;
    let quote =
        ["-c", "ak.ctx", "-l", "sha256:0,7,10", "-q", &nonce, "-m", "q.msg", "-s", "q.sig", "-g", "sha256"];
    tpm2_tool(swtpm, "tpm2_quote", &quote)?;
    flush()?;
    let text = String::from_utf8(tpm2_tool(swtpm, "tpm2_pcrread", &["sha256:0,7,10"])?).unwrap();
    let pcrs = text
        .lines()
        .filter_map(|line| line.split_once(": 0x"))
        .map(|(pcr, value)| PcrValue {
            bank: PcrBank::Sha256,
            pcr: pcr.trim().parse().unwrap(),
            value: hex::decode(value.trim()).unwrap(),
        })
        .collect();
    let file = |name: &str| std::fs::read(swtpm.folder().join(name)).unwrap();
    Some(Quote {
        schema: Quote::SCHEMA.to_owned(),
        ak_public: file("ak.pub").split_off(2),
        statement: file("q.msg"),
        signature: file("q.sig"),
        pcrs,
        event_log: log.to_vec(),
    })
}

/// A start of firmware: the log, and its events in the TPM's registers by the tools.
fn start(swtpm: &Swtpm) -> Option<EventLog> {
    let event = |pcr: u32, kind: u32, data: &[u8]| Event {
        pcr,
        kind,
        digests: vec![(AlgorithmId::SHA256, sha256(data).to_vec())],
        data: data.to_vec(),
    };
    let events = vec![event(0, 8, b"firmware 1"), event(7, 1, b"secure boot on"), event(7, 4, &[0; 4])];
    for event in &events {
        let digest = format!("{}:sha256={}", event.pcr, hex::encode(sha256(&event.data)));
        tpm2_tool(swtpm, "tpm2_pcrextend", &[&digest])?;
    }
    Some(EventLog { banks: vec![AlgorithmId::SHA256], events })
}

#[test]
fn a_quote_of_the_tools_is_held_against_log_and_policy() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let Some(log) = start(&swtpm) else { return };
    let bytes = log.to_bytes().unwrap();
    // The tools read the log as we wrote it.
    std::fs::write(swtpm.folder().join("log"), &bytes).unwrap();
    let shown = String::from_utf8(tpm2_tool(&swtpm, "tpm2_eventlog", &["log"]).unwrap()).unwrap();
    let replayed = log.replay(AlgorithmId::SHA256).unwrap();
    for pcr in [0, 7] {
        assert!(shown.contains(&hex::encode(&replayed[&pcr])), "register {pcr} is not in {shown}");
    }

    let nonce = Nonce::new(&[6; 20]).unwrap();
    let quote = quote_by_the_tools(&swtpm, &nonce, &bytes).unwrap();
    let ak = tpm::trust_ak_name(&[&[0, 0x0b][..], &sha256(&quote.ak_public)].concat());
    let allowed = |pcr: u8, values: Vec<Vec<u8>>| ((PcrBank::Sha256, pcr), values);
    let policy = BootPolicy {
        registers: [0, 7].map(|pcr| allowed(pcr, vec![replayed[&u32::from(pcr)].clone()])).into(),
        event_log: true,
        ..BootPolicy::default()
    };
    let appraise = |quote: &Quote, policy: &BootPolicy| tpm::appraise_quote(quote, &nonce, &ak, policy);
    let boot = appraise(&quote, &policy).unwrap().into_value();
    assert_eq!((boot.registers.len(), boot.events.len(), boot.firmware), (3, 3, None));

    // Each lie has its reason.
    let stale = tpm::appraise_quote(&quote, &Nonce::new(&[7; 20]).unwrap(), &ak, &policy);
    assert!(matches!(stale, Err(AppraisalError::NotFresh { .. })), "{stale:?}");
    let mut lie = quote.clone();
    lie.pcrs[0].value[0] ^= 1;
    assert!(matches!(appraise(&lie, &policy), Err(AppraisalError::WrongValue { .. })));
    let mut lie = quote.clone();
    lie.pcrs.swap_remove(0);
    assert!(matches!(appraise(&lie, &policy), Err(AppraisalError::WrongValue { .. })));
    let mut shorter = log.clone();
    shorter.events.pop();
    let lie = Quote { event_log: shorter.to_bytes().unwrap(), ..quote.clone() };
    assert!(matches!(appraise(&lie, &policy), Err(AppraisalError::RegisterMismatch { .. })));
    let silent = Quote { event_log: Vec::new(), ..quote.clone() };
    assert!(matches!(appraise(&silent, &policy), Err(AppraisalError::NotMeasured { .. })));
    for byte in 0..quote.signature.len() {
        let mut lie = quote.clone();
        lie.signature[byte] ^= 0x10;
        assert!(appraise(&lie, &policy).is_err(), "byte {byte} of the signature");
    }

    // Each policy that is not met as well.
    let refused = |policy: BootPolicy| appraise(&quote, &policy).unwrap_err();
    let other = BootPolicy { registers: [allowed(0, vec![vec![0; 32]])].into(), ..policy.clone() };
    assert!(matches!(refused(other), AppraisalError::RegisterMismatch { .. }));
    let unquoted = BootPolicy { registers: [allowed(1, vec![vec![0; 32]])].into(), ..policy.clone() };
    assert!(matches!(refused(unquoted), AppraisalError::NotMeasured { .. }));
    assert!(matches!(refused(BootPolicy::default()), AppraisalError::NotMeasured { .. }));
    let recalled = BootPolicy { forbidden: vec![sha256(b"firmware 1").to_vec()], ..policy.clone() };
    assert!(matches!(refused(recalled), AppraisalError::RegisterMismatch { .. }));
    let firmware = BootPolicy { minimum_firmware: Some(1), ..policy.clone() };
    assert!(refused(firmware).to_string().contains("obscured"));
    let replayed = BootPolicy { last_clock: Some(boot.clock), ..policy.clone() };
    assert!(refused(replayed).to_string().contains("clock"));
    let before = BootPolicy {
        last_clock: Some(ClockInfo { clock_ms: boot.clock.clock_ms - 1, ..boot.clock }),
        ..policy
    };
    appraise(&quote, &before).unwrap();
}

#[test]
fn our_quote_counter_and_creation_are_appraised() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let ak = activate(&mut store, &policy(&swtpm));
    let nonce = Nonce::new(&[2; 16]).unwrap();
    let stale = Nonce::new(&[3; 16]).unwrap();

    let quote = store.measured().unwrap().quote(&"sha256:0,23".parse().unwrap(), &nonce).unwrap();
    let registers = [((PcrBank::Sha256, 23), vec![vec![0; 32]])].into();
    let boot_policy = BootPolicy { registers, minimum_firmware: Some(1), ..BootPolicy::default() };
    let boot = tpm::appraise_quote(&quote, &nonce, &ak, &boot_policy).unwrap().into_value();
    // Our attestation key is a primary key of the endorsement hierarchy: the version is plain.
    let version = boot.firmware.unwrap();
    assert_eq!(format!("{:x}.{:x}", version >> 32, version & 0xffff_ffff), store.info().unwrap().firmware);
    let newer = BootPolicy { minimum_firmware: Some(version + 1), ..boot_policy };
    assert!(tpm::appraise_quote(&quote, &nonce, &ak, &newer).is_err());

    let boots = CounterName::new("boots").unwrap();
    let value = store.counters().unwrap().increment_counter(&boots).unwrap();
    let proof = store.certify_counter(&boots, &nonce).unwrap();
    let counter = tpm::appraise_counter(&proof, &nonce, &ak).unwrap().into_value();
    assert_eq!(counter.value, value);
    assert!(tpm::appraise_counter(&proof, &stale, &ak).is_err());
    for byte in 0..proof.nv_public.len() {
        let mut lie = proof.clone();
        lie.nv_public[byte] ^= 1;
        assert!(tpm::appraise_counter(&lie, &nonce, &ak).is_err(), "byte {byte} of the public area");
    }

    let (public, proof) = store.generate_certified(&KeyName::new("device").unwrap(), &nonce).unwrap();
    assert_eq!(tpm::appraise_creation(&proof, &nonce, &ak).unwrap().into_value(), public);
    assert!(tpm::appraise_creation(&proof, &stale, &ak).is_err());
    let mut lie = proof.clone();
    lie.creation_data[3] ^= 1;
    assert!(tpm::appraise_creation(&lie, &nonce, &ak).is_err());
    // One kind of statement does not stand in for another.
    let swapped =
        CertifiedCreation { statement: quote.statement.clone(), signature: quote.signature, ..proof };
    assert!(matches!(tpm::appraise_creation(&swapped, &nonce, &ak), Err(AppraisalError::WrongValue { .. })));
}
