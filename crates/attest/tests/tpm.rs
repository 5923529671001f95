//! The whole way of TPM evidence, with swtpm as the TPM: identity, activation, certification, appraisal.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test that calls them")]

use touchmark_attest::tpm::{self, ActivatedAk, ClaimedIdentity};
use touchmark_attest::{AppraisalError, Endorsers, Policy};
use touchmark_identity::assurance::{Basis, Grade, Provenance, Storage};
use touchmark_identity::evidence::{Evidence, Nonce, TpmEvidence};
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::tpm::TpmStore;
use touchmark_keystore::{CredentialChallenge, KeyStore, StoreError};
use touchmark_testkit::swtpm::{EkKind, Swtpm};

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
        Evidence::Element(_) => panic!("a TPM gave evidence of an element"),
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
