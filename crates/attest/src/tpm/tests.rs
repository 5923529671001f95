//! A TPM's answers made by hand, so that each lie can be told by itself. The flow with a real TPM is in `tests/tpm.rs`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use proptest::prelude::*;
use touchmark_identity::assurance::{Basis, Grade, Provenance, Storage};
use touchmark_identity::tpm::{ClockInfo, Handle, PcrSelection, Scheme};

use super::*;

pub(crate) struct Fixture {
    pub(crate) ak: EcdsaKeyPair,
    pub(crate) evidence: TpmEvidence,
    pub(crate) nonce: Nonce,
}

pub(crate) fn attributes(of: &[ObjectAttributes]) -> ObjectAttributes {
    of.iter().fold(ObjectAttributes::default(), |all, one| all | *one)
}

pub(crate) const HERE: [ObjectAttributes; 4] = [
    ObjectAttributes::FIXED_TPM,
    ObjectAttributes::FIXED_PARENT,
    ObjectAttributes::SENSITIVE_DATA_ORIGIN,
    ObjectAttributes::SIGN,
];

pub(crate) fn public(pair: &EcdsaKeyPair, attributes: ObjectAttributes) -> PublicArea {
    let point = pair.public_key().as_ref();
    PublicArea {
        name_alg: AlgorithmId::SHA256,
        attributes,
        auth_policy: Vec::new(),
        key: KeyParameters::Ecc {
            symmetric: None,
            scheme: Some(Scheme { algorithm: AlgorithmId::ECDSA, hash: Some(AlgorithmId::SHA256) }),
            curve: CurveId::NIST_P256,
            kdf: None,
            x: point[1..33].to_vec(),
            y: point[33..].to_vec(),
        },
    }
}

pub(crate) fn sign(pair: &EcdsaKeyPair, statement: &[u8]) -> Vec<u8> {
    let signature = pair.sign(&SystemRandom::new(), statement).unwrap();
    let (r, s) = signature.as_ref().split_at(32);
    TpmSignature::Ecdsa { hash: AlgorithmId::SHA256, r: r.to_vec(), s: s.to_vec() }.to_bytes().unwrap()
}

pub(crate) fn statement(attested: Attested, extra_data: &[u8]) -> Attest {
    Attest {
        qualified_signer: Name(vec![0, 11, 1]),
        extra_data: extra_data.to_vec(),
        clock: ClockInfo { clock_ms: 1, reset_count: 2, restart_count: 3, safe: true },
        firmware_version: 0x2019_1023_0016_3636,
        attested,
    }
}

impl Fixture {
    /// Evidence that is accepted, but for what `change` makes of it before it is signed.
    pub(crate) fn new(key_attributes: ObjectAttributes, ak_attributes: ObjectAttributes) -> Self {
        let pair = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (ak, device) = (pair(), pair());
        let nonce = Nonce::new(&[5; 20]).unwrap();
        let key = public(&device, key_attributes);
        let name = key.name().unwrap();
        let certify = Attested::Certify { qualified_name: name.clone(), name };
        let certify_info = statement(certify, nonce.bytes()).to_bytes().unwrap();
        let evidence = TpmEvidence {
            ek_certificate: Vec::new(),
            ek_chain: Vec::new(),
            ek_public: Vec::new(),
            ak_public: public(&ak, ak_attributes).to_bytes().unwrap(),
            key_public: key.to_bytes().unwrap(),
            signature: sign(&ak, &certify_info),
            certify_info,
        };
        Self { ak, evidence, nonce }
    }

    pub(crate) fn good() -> Self {
        Self::new(attributes(&HERE), attributes(&HERE) | ObjectAttributes::RESTRICTED)
    }

    pub(crate) fn trusted(&self) -> ActivatedAk {
        let public = PublicArea::from_bytes(&self.evidence.ak_public).unwrap();
        trust_ak_name(&public.name().unwrap().0)
    }

    fn replace_statement(&mut self, statement: &[u8]) {
        self.evidence.certify_info = statement.to_vec();
        self.evidence.signature = sign(&self.ak, statement);
    }

    fn appraise(&self) -> Result<Appraised<AttestedKey>, AppraisalError> {
        appraise(&self.evidence, &self.nonce, &self.trusted(), Timestamp::from_micros(7))
    }
}

#[test]
fn a_good_statement_makes_an_attested_record() {
    let fixture = Fixture::good();
    let appraised = fixture.appraise().unwrap();
    let AttestedKey { key, assurance, endorser } = appraised.value();
    let device = PublicArea::from_bytes(&fixture.evidence.key_public).unwrap();
    assert_eq!(*key, device.to_public_key().unwrap());
    assert_eq!((assurance.storage, assurance.basis), (Storage::Tpm, Basis::Attested));
    assert_eq!(assurance.provenance, Provenance::GeneratedOnChip);
    assert_eq!(assurance.grade(), Grade::HardwareBound);
    assert_eq!(assurance.evidence_sha256, Some(Evidence::Tpm(fixture.evidence.clone()).sha256()));
    assert_eq!(assurance.appraised, Some(Timestamp::from_micros(7)));
    assert_eq!(endorser, "operator-pinned AK");
}

#[test]
fn each_missing_protection_of_the_key_has_its_own_reason() {
    let ak = attributes(&HERE) | ObjectAttributes::RESTRICTED;
    for (missing, name) in [(HERE[0], "fixedTPM"), (HERE[1], "fixedParent"), (HERE[3], "sign")] {
        let left = ObjectAttributes(attributes(&HERE).0 & !missing.0);
        let refused = Fixture::new(left, ak).appraise();
        assert!(
            matches!(&refused, Err(AppraisalError::MissingAttribute { object: KEY, attribute, .. }) if *attribute == name),
            "{refused:?}"
        );
    }
    let brought_in = ObjectAttributes(attributes(&HERE).0 & !ObjectAttributes::SENSITIVE_DATA_ORIGIN.0);
    let record = Fixture::new(brought_in, ak).appraise().unwrap().into_value().assurance;
    assert_eq!((record.provenance, record.grade()), (Provenance::InjectedWrapped, Grade::Hardened));
    let duplicable = attributes(&HERE) | ObjectAttributes::ENCRYPTED_DUPLICATION;
    let refused = Fixture::new(duplicable, ak).appraise();
    assert!(matches!(refused, Err(AppraisalError::ForbiddenAttribute { .. })), "{refused:?}");
}

#[test]
fn each_missing_protection_of_the_ak_is_refused() {
    let whole = attributes(&HERE) | ObjectAttributes::RESTRICTED;
    for missing in [HERE[0], HERE[1], HERE[2], HERE[3], ObjectAttributes::RESTRICTED] {
        let refused = Fixture::new(attributes(&HERE), ObjectAttributes(whole.0 & !missing.0)).appraise();
        assert!(
            matches!(refused, Err(AppraisalError::MissingAttribute { object: AK, .. })),
            "{missing}: {refused:?}"
        );
    }
    let refused = Fixture::new(attributes(&HERE), whole | ObjectAttributes::DECRYPT).appraise();
    assert!(matches!(refused, Err(AppraisalError::ForbiddenAttribute { object: AK, .. })), "{refused:?}");
}

#[test]
fn another_nonce_is_stale() {
    let mut fixture = Fixture::good();
    fixture.nonce = Nonce::new(&[6; 20]).unwrap();
    assert!(matches!(fixture.appraise(), Err(AppraisalError::NotFresh { .. })));
}

#[test]
fn a_statement_by_another_key_is_refused() {
    let (fixture, other) = (Fixture::good(), Fixture::good());
    let refused = appraise(&fixture.evidence, &fixture.nonce, &other.trusted(), Timestamp::from_micros(0));
    assert!(matches!(refused, Err(AppraisalError::KeyMismatch { .. })), "{refused:?}");
    // Signed by a key other than the one whose Name is trusted.
    let mut forged = fixture;
    forged.evidence.signature = sign(&other.ak, &forged.evidence.certify_info);
    assert!(matches!(forged.appraise(), Err(AppraisalError::BadSignature { .. })));
}

#[test]
fn a_statement_about_another_key_is_refused() {
    let (mut fixture, other) = (Fixture::good(), Fixture::good());
    fixture.evidence.key_public = other.evidence.key_public;
    assert!(matches!(fixture.appraise(), Err(AppraisalError::KeyMismatch { .. })));
}

#[test]
fn a_statement_of_another_kind_is_refused() {
    let mut fixture = Fixture::good();
    let selection = vec![PcrSelection { hash: AlgorithmId::SHA256, bitmap: vec![1, 0, 0] }];
    let quote = statement(Attested::Quote { selection, pcr_digest: vec![0; 32] }, fixture.nonce.bytes());
    fixture.replace_statement(&quote.to_bytes().unwrap());
    assert!(matches!(fixture.appraise(), Err(AppraisalError::WrongValue { .. })));

    // Creation data names the key as well, but says nothing of where it is now.
    let key = PublicArea::from_bytes(&fixture.evidence.key_public).unwrap();
    let creation = Attested::Creation { name: key.name().unwrap(), creation_hash: vec![0; 32] };
    fixture.replace_statement(&statement(creation, fixture.nonce.bytes()).to_bytes().unwrap());
    assert!(matches!(fixture.appraise(), Err(AppraisalError::WrongValue { .. })));
}

#[test]
fn a_statement_that_no_tpm_made_is_refused() {
    let mut fixture = Fixture::good();
    let mut bytes = fixture.evidence.certify_info.clone();
    bytes[3] ^= 1;
    fixture.replace_statement(&bytes);
    let refused = fixture.appraise().unwrap_err();
    assert!(refused.to_string().contains("TPM_GENERATED_VALUE"), "{refused}");
}

#[test]
fn a_key_on_another_curve_is_refused() {
    let mut fixture = Fixture::good();
    let mut key = PublicArea::from_bytes(&fixture.evidence.key_public).unwrap();
    if let KeyParameters::Ecc { curve, .. } = &mut key.key {
        *curve = CurveId::NIST_P384;
    }
    let name = key.name().unwrap();
    let certify = Attested::Certify { qualified_name: name.clone(), name };
    fixture.evidence.key_public = key.to_bytes().unwrap();
    fixture.replace_statement(&statement(certify, &[5; 20]).to_bytes().unwrap());
    assert!(matches!(fixture.appraise(), Err(AppraisalError::UnsupportedAlgorithm { .. })));
}

#[test]
fn another_ek_certificate_is_refused() {
    let fixture = Fixture::good();
    let ak = ActivatedAk { ek_certificate_sha256: Some([1; 32]), ..fixture.trusted() };
    let refused = appraise(&fixture.evidence, &fixture.nonce, &ak, Timestamp::from_micros(0));
    assert!(matches!(refused, Err(AppraisalError::KeyMismatch { .. })), "{refused:?}");
}

#[test]
fn the_firmware_version_is_taken_where_it_is_plain() {
    let mut fixture = Fixture::good();
    let part =
        Part { vendor: "V".into(), model: "M".into(), firmware: Some("old".into()), crypto_library: None };
    let ak = ActivatedAk { part: Some(part), ..trust_ak_name(&fixture.trusted().name.0) };
    let ak = ActivatedAk { ek_certificate_sha256: Some(sha256(&[])), ..ak };
    let firmware = |fixture: &Fixture| {
        let appraised = appraise(&fixture.evidence, &fixture.nonce, &ak, Timestamp::from_micros(0)).unwrap();
        appraised.into_value().assurance.part.unwrap().firmware.unwrap()
    };
    assert_eq!(firmware(&fixture), "old");
    let mut plain = Attest::from_bytes(&fixture.evidence.certify_info).unwrap();
    let path = [&Handle::ENDORSEMENT.0.to_be_bytes()[..], &ak.name.0].concat();
    plain.qualified_signer = Name([&[0, 11][..], &sha256(&path)].concat());
    fixture.replace_statement(&plain.to_bytes().unwrap());
    assert_eq!(firmware(&fixture), "20191023.163636");
}

#[test]
fn activation_needs_the_very_secret() {
    let pending = Pending { ak: trust_ak_name(&[0, 11]), secret: Zeroizing::new([3; 32]) };
    assert!(pending.activated(&[3; 32]).is_ok());
    for wrong in [&[3; 31][..], &[3; 33], &[2; 32], &[]] {
        assert_eq!(pending.activated(wrong), Err(AppraisalError::NotActivated));
    }
    assert!(!format!("{pending:?}").contains("secret"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_changed_bit_of_the_statement_is_refused(place in 0usize..200, bit in 0u8..8) {
        let mut fixture = Fixture::good();
        let at = place % fixture.evidence.certify_info.len();
        fixture.evidence.certify_info[at] ^= 1 << bit;
        let refused = matches!(fixture.appraise(), Err(AppraisalError::BadSignature { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn any_bytes_are_appraised_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), field in 0..4) {
        let mut fixture = Fixture::good();
        let evidence = &mut fixture.evidence;
        let trusted = PublicArea::from_bytes(&evidence.ak_public).unwrap().name().unwrap();
        *match field {
            0 => &mut evidence.ak_public,
            1 => &mut evidence.key_public,
            2 => &mut evidence.certify_info,
            _ => &mut evidence.signature,
        } = bytes;
        let ak = trust_ak_name(&trusted.0);
        prop_assert!(appraise(&fixture.evidence, &fixture.nonce, &ak, Timestamp::from_micros(0)).is_err());
    }
}
