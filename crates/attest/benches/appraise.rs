//! What an appraisal costs: an attested read of an element with its certificate's path, and a TPM's statement by an
//! attestation key that was activated before.

#![expect(clippy::expect_used, reason = "a benchmark whose world cannot be made measures nothing")]

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use criterion::{Criterion, criterion_group, criterion_main};
use touchmark_attest::{Endorsers, Policy, element, tpm};
use touchmark_element::{Element, TEST_ROOT_CERTIFICATE_PEM};
use touchmark_identity::evidence::{Evidence, Nonce, TpmEvidence};
use touchmark_identity::ids::KeyName;
use touchmark_identity::timestamp::Timestamp;
use touchmark_identity::tpm::{
    AlgorithmId, Attest, Attested, ClockInfo, CurveId, KeyParameters, Name, ObjectAttributes, PublicArea,
    Scheme, TpmSignature,
};
use touchmark_keystore::KeyStore;
use touchmark_keystore::element::ElementStore;

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_132_800_000_000)
}

fn public(pair: &EcdsaKeyPair, attributes: ObjectAttributes) -> PublicArea {
    let (_, point) = pair.public_key().as_ref().split_at(1);
    let (x, y) = point.split_at(32);
    let key = KeyParameters::Ecc {
        symmetric: None,
        scheme: Some(Scheme { algorithm: AlgorithmId::ECDSA, hash: Some(AlgorithmId::SHA256) }),
        curve: CurveId::NIST_P256,
        kdf: None,
        x: x.to_vec(),
        y: y.to_vec(),
    };
    PublicArea { name_alg: AlgorithmId::SHA256, attributes, auth_policy: Vec::new(), key }
}

fn tpm_evidence(nonce: &Nonce) -> (TpmEvidence, tpm::ActivatedAk) {
    let pair = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("the library makes keys");
    let (ak, device) = (pair(), pair());
    let here = ObjectAttributes::FIXED_TPM
        | ObjectAttributes::FIXED_PARENT
        | ObjectAttributes::SENSITIVE_DATA_ORIGIN
        | ObjectAttributes::SIGN;
    let (ak_public, key_public) = (public(&ak, here | ObjectAttributes::RESTRICTED), public(&device, here));
    let name = key_public.name().expect("SHA-256");
    let statement = Attest {
        qualified_signer: Name(vec![0, 11, 1]),
        extra_data: nonce.bytes().to_vec(),
        clock: ClockInfo { clock_ms: 1, reset_count: 2, restart_count: 3, safe: true },
        firmware_version: 1,
        attested: Attested::Certify { qualified_name: name.clone(), name },
    };
    let certify_info = statement.to_bytes().expect("a short statement");
    let signature = ak.sign(&SystemRandom::new(), &certify_info).expect("a signature");
    let (r, s) = signature.as_ref().split_at(32);
    let signature = TpmSignature::Ecdsa { hash: AlgorithmId::SHA256, r: r.to_vec(), s: s.to_vec() };
    let activated = tpm::trust_ak_name(&ak_public.name().expect("SHA-256").0);
    let evidence = TpmEvidence {
        ek_certificate: Vec::new(),
        ek_chain: Vec::new(),
        ek_public: Vec::new(),
        ak_public: ak_public.to_bytes().expect("a short structure"),
        key_public: key_public.to_bytes().expect("a short structure"),
        certify_info,
        signature: signature.to_bytes().expect("a short structure"),
    };
    (evidence, activated)
}

fn appraise(criterion: &mut Criterion) {
    let nonce = Nonce::new(&[0x5a; 32]).expect("32 bytes");
    let endorsers =
        Endorsers::default().with_test_element_root(TEST_ROOT_CERTIFICATE_PEM).expect("the TEST root");
    let policy = Policy { endorsers, dangerously_accept_test_endorsers: true, ..Policy::default() };

    let folder = tempfile::tempdir().expect("a folder");
    let mut chip = Element::create(folder.path(), now()).expect("an element");
    let mut store = ElementStore::new(Box::new(move |apdu: &[u8]| chip.transmit(apdu))).expect("an applet");
    let key = KeyName::new("identity").expect("a name");
    store.generate(&key).expect("a new key");
    let attested = KeyStore::attest(&mut store).expect("an element attests").attest(&key, &nonce);
    let sent = attested.expect("evidence").evidence.to_cbor();

    let mut group = criterion.benchmark_group("appraisal");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("element, from CBOR, path of two", |bencher| {
        bencher.iter(|| match Evidence::from_cbor(black_box(&sent)) {
            Ok(Evidence::Element(evidence)) => {
                element::appraise(&evidence, &nonce, &policy, now()).expect("what the element said")
            }
            other => unreachable!("an element's evidence was read as {other:?}"),
        });
    });
    let (evidence, activated) = tpm_evidence(&nonce);
    group.bench_function("TPM statement by an activated key", |bencher| {
        bencher.iter(|| {
            tpm::appraise(black_box(&evidence), &nonce, &activated, now()).expect("what the TPM said")
        });
    });
    group.finish();
}

criterion_group!(benches, appraise);
criterion_main!(benches);
