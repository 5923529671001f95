use super::*;
use proptest::prelude::*;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..40)
}

fn tpm() -> impl Strategy<Value = Evidence> {
    let parts =
        (bytes(), proptest::collection::vec(bytes(), 0..3), bytes(), bytes(), bytes(), bytes(), bytes());
    parts.prop_map(|(ek_certificate, ek_chain, ek_public, ak_public, key_public, certify_info, signature)| {
        Evidence::Tpm(TpmEvidence {
            ek_certificate,
            ek_chain,
            ek_public,
            ak_public,
            key_public,
            certify_info,
            signature,
        })
    })
}

fn element() -> impl Strategy<Value = Evidence> {
    (bytes(), proptest::collection::vec(bytes(), 0..3), bytes(), bytes(), bytes()).prop_map(
        |(chip_certificate, chip_chain, data, attributes, signature)| {
            Evidence::Element(ElementEvidence {
                chip_certificate,
                chip_chain,
                data,
                attributes,
                timestamp: vec![1; 12],
                freshness: vec![2; 16],
                chip_id: vec![3; 18],
                signature,
                applet_version: vec![4; 7],
            })
        },
    )
}

fn bound_read() -> impl Strategy<Value = Evidence> {
    (bytes(), proptest::collection::vec(bytes(), 0..3), bytes(), bytes(), bytes()).prop_map(
        |(chip_certificate, chip_chain, command, answer, signature)| {
            Evidence::BoundRead(BoundReadEvidence {
                chip_certificate,
                chip_chain,
                command,
                answer,
                signature,
                applet_version: vec![7; 7],
            })
        },
    )
}

fn token() -> impl Strategy<Value = Evidence> {
    (bytes(), proptest::collection::vec(bytes(), 0..3), bytes()).prop_map(
        |(certificate, chain, signature)| Evidence::Pkcs11(Pkcs11Evidence { certificate, chain, signature }),
    )
}

proptest! {
    #[test]
    fn round_trip(evidence in prop_oneof![tpm(), element(), bound_read(), token()]) {
        prop_assert_eq!(Evidence::from_cbor(&evidence.to_cbor()).unwrap(), evidence);
    }

    #[test]
    fn every_truncation_is_refused(evidence in tpm()) {
        let whole = evidence.to_cbor();
        for end in 0..whole.len() {
            prop_assert!(Evidence::from_cbor(&whole[..end]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Evidence::from_cbor(&bytes);
    }
}

#[test]
fn says_what_is_missing() {
    let envelope = cbor::write(&Value::Array(vec![
        Value::Text(TPM_MEDIA_TYPE.into()),
        Value::Bytes(cbor::write(&Value::Map(vec![(Value::from(1), Value::Bytes(vec![]))]))),
    ]));
    let wrong = Evidence::from_cbor(&envelope).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "field 2 (EK chain) of the evidence is missing or not an array of byte strings"
    );
}

#[test]
fn freshness_is_the_nonce_where_it_fits() {
    assert_eq!(Nonce::new(&[7; 16]).unwrap().freshness16(), [7; 16]);
    assert_eq!(Nonce::new(&[7; 32]).unwrap().freshness16(), sha256(&[7; 32])[..16]);
    assert_eq!(Nonce::new(&[7; 7]), Err(NonceError { found: 7 }));
}

/// Written by another encoder than ours; each version's bytes are read for ever.
const SAMPLE_1: &str = include_str!("../../tests/samples/evidence-1.hex");
const SAMPLE_2: &str = include_str!("../../tests/samples/evidence-2.hex");

fn sample(text: &str) -> (Vec<u8>, Envelope) {
    let bytes = hex::decode(text.trim()).unwrap();
    let envelope = Envelope::from_cbor(&bytes).unwrap();
    (bytes, envelope)
}

#[test]
fn samples_of_both_versions_are_read_and_written() {
    let (bytes, one) = sample(SAMPLE_1);
    assert_eq!((one.version(), one.nonce.as_ref(), &one.claims), (1, None, &Claims::default()));
    assert_eq!(one.to_cbor(), bytes);
    assert_eq!(Evidence::from_cbor(&bytes).unwrap(), one.key);

    let (bytes, two) = sample(SAMPLE_2);
    assert_eq!(two.version(), 2);
    assert_eq!(two.key, one.key);
    assert_eq!(two.to_cbor(), bytes);
    let claims = &two.claims;
    assert_eq!(claims.oemid, Some(OemId::Enterprise(41_482)));
    assert_eq!(claims.hwmodel.as_deref(), Some(&b"TEST model"[..]));
    assert_eq!(claims.hwversion.as_deref(), Some("2"));
    assert_eq!((claims.swname.as_deref(), claims.swversion.as_deref()), (Some("applet"), Some("3.1.1")));
    assert_eq!(claims.measurements, two.boot.as_ref().unwrap().pcrs);
    assert_eq!(claims.measurements.iter().map(|value| value.pcr).collect::<Vec<_>>(), [0, 7]);
    assert_eq!(two.counter.as_ref().unwrap().nv_public, [0xb2]);
    assert_eq!(two.creation.as_ref().unwrap().creation_data, [0xc3]);
    // What follows from the statements, where they say it.
    let computed = Claims::of(&two.key, two.boot.as_ref());
    assert_eq!((&computed.ueid, &computed.swversion), (&claims.ueid, &claims.swversion));
    assert_eq!(claims.contradicts(&computed), Some("oemid"));
}

type Entries = Vec<(Value, Value)>;

fn claims_of(envelope: &Envelope) -> Entries {
    match cbor::read(&envelope.to_cbor()).unwrap() {
        Value::Tag(601, claims) => claims.into_map().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn with_claims(claims: Entries) -> Result<Envelope, EvidenceError> {
    Envelope::from_cbor(&cbor::write(&Value::Tag(601, Box::new(Value::Map(claims)))))
}

#[test]
fn what_an_envelope_needs_is_asked_for() {
    let (_, envelope) = sample(SAMPLE_2);
    let claims = claims_of(&envelope);
    for (place, (key, _)) in claims.iter().enumerate() {
        let mut without = claims.clone();
        without.remove(place);
        let number = i64::try_from(key.as_integer().unwrap()).unwrap();
        match (number, with_claims(without)) {
            (10 | 266, Err(EvidenceError::Field { .. })) | (265, Err(EvidenceError::OtherProfile { .. })) => {
            }
            // A claim that is not made contradicts nothing.
            (256..=273, Ok(read)) => assert_ne!(read, envelope),
            (number, other) => panic!("without {number}: {other:?}"),
        }
        let mut twice = claims.clone();
        twice.push(claims[place].clone());
        assert_eq!(with_claims(twice), Err(EvidenceError::DoubleKey));
        let mut wrong = claims.clone();
        wrong[place].1 = Value::Bool(true);
        assert!(with_claims(wrong).is_err(), "{key:?}");
    }
    // Claims and submodules of names that nobody here knows are somebody else's.
    let mut more = claims.clone();
    more.push((Value::from(262), Value::Bool(true)));
    assert_eq!(with_claims(more).unwrap(), envelope);
    let mut other = claims;
    other[1].1 = Value::Text("tag:touchmark.example,2026:evidence/3".into());
    assert!(matches!(with_claims(other), Err(EvidenceError::OtherProfile { .. })));
}

#[test]
fn submodules_are_records_of_their_kind() {
    let (_, envelope) = sample(SAMPLE_2);
    let claims = claims_of(&envelope);
    let place = claims.iter().position(|(key, _)| *key == Value::from(266)).unwrap();
    let change = |change: &dyn Fn(&mut Entries)| {
        let mut claims = claims.clone();
        let Value::Map(submods) = &mut claims[place].1 else { panic!("a map") };
        change(submods);
        with_claims(claims)
    };
    assert_eq!(change(&|_| {}), Ok(envelope.clone()));
    let alone = change(&|submods| submods.truncate(1)).unwrap();
    assert_eq!((&alone.boot, &alone.counter, &alone.creation), (&None, &None, &None));
    let missing = change(&|submods| drop(submods.remove(0)));
    assert_eq!(missing, Err(EvidenceError::Submodule { name: "key" }));
    let swapped = change(&|submods| {
        let record = submods[2].1.clone();
        submods[1].1 = record;
    });
    assert!(matches!(swapped, Err(EvidenceError::UnknownKind { .. })), "{swapped:?}");
    let empty = change(&|submods| submods[3].1 = Value::Map(Vec::new()));
    assert_eq!(empty, Err(EvidenceError::Submodule { name: "creation" }));
    let twice = change(&|submods| submods.push(submods[0].clone()));
    assert_eq!(twice, Err(EvidenceError::DoubleKey));
}

#[test]
fn a_claim_that_differs_is_named() {
    let (_, envelope) = sample(SAMPLE_2);
    let claims = envelope.claims;
    assert_eq!(claims.contradicts(&claims), None);
    assert_eq!(Claims::default().contradicts(&claims), None, "what is not claimed contradicts nothing");
    let text = || Some("x".to_owned());
    let changed = [
        ("ueid", Claims { ueid: Some(vec![1; 33]), ..claims.clone() }),
        ("oemid", Claims { oemid: Some(OemId::Name([1; 16])), ..claims.clone() }),
        ("hwmodel", Claims { hwmodel: Some(vec![1]), ..claims.clone() }),
        ("hwversion", Claims { hwversion: text(), ..claims.clone() }),
        ("swname", Claims { swname: text(), ..claims.clone() }),
        ("swversion", Claims { swversion: text(), ..claims.clone() }),
        ("measurements", Claims { measurements: claims.measurements[..1].to_vec(), ..claims.clone() }),
    ];
    for (name, lie) in changed {
        assert_eq!(lie.contradicts(&claims), Some(name));
        assert!(lie.contradicts(&Claims::default()).is_some(), "{name} out of nothing");
    }
}

proptest! {
    #[test]
    fn an_envelope_survives_its_bytes(key in prop_oneof![tpm(), element(), bound_read(), token()], nonce in proptest::collection::vec(any::<u8>(), 8..=64), creation in bytes()) {
        let nonce = Nonce::new(&nonce).unwrap();
        let mut envelope = Envelope::new(&nonce, key);
        prop_assert_eq!(envelope.claims.contradicts(&Claims::of(&envelope.key, None)), None);
        prop_assert_eq!(&Envelope::from_cbor(&envelope.to_cbor()).unwrap(), &envelope);
        envelope.creation = Some(crate::tpm::proof::CertifiedCreation {
            ak_public: creation.clone(),
            key_public: creation.clone(),
            creation_data: creation.clone(),
            statement: creation.clone(),
            signature: creation,
        });
        let whole = envelope.to_cbor();
        prop_assert_eq!(&Envelope::from_cbor(&whole).unwrap(), &envelope);
        for end in 0..whole.len() {
            prop_assert!(Envelope::from_cbor(&whole[..end]).is_err());
        }
    }

    #[test]
    fn a_changed_sample_is_read_without_panic(place in 0..SAMPLE_2.len() / 2, bit in 0u8..8) {
        let (mut bytes, envelope) = sample(SAMPLE_2);
        bytes[place] ^= 1u8 << bit;
        if let Ok(read) = Envelope::from_cbor(&bytes) {
            prop_assert!(read != envelope || read.to_cbor() != bytes);
        }
    }
}
