use super::policy::PCR_EXTENSION_BYTES;
use super::*;
use crate::apdu::tlv::Tlvs;
use proptest::prelude::*;

fn policy() -> impl Strategy<Value = Policy> {
    (any::<u32>(), any::<u32>(), any::<u8>()).prop_map(|(authentication, rule, filler)| {
        let length = if rule & rule::REQUIRE_PCR == 0 { 0 } else { PCR_EXTENSION_BYTES };
        Policy { authentication, rule, extension: vec![filler; length] }
    })
}

prop_compose! {
    fn attributes()(
        object_id: u32, object_type: u8, authentication: u8, failed_attempts: u16, owner: u32, max_attempts: u16,
        policies in proptest::collection::vec(policy(), 0..3), origin: u8, version: Option<u32>,
    ) -> Attributes {
        Attributes {
            object_id, object_type: ObjectType(object_type), authentication, failed_attempts, owner, max_attempts,
            policies, origin: Origin(origin), version,
        }
    }
}

proptest! {
    #[test]
    fn attributes_round_trip(attributes in attributes()) {
        let parse = if attributes.version.is_some() { Attributes::parse_with_version } else { Attributes::parse };
        prop_assert_eq!(parse(&attributes.encode().unwrap()).unwrap(), attributes);
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Attributes::parse(&bytes);
        let _ = Attributes::parse_with_version(&bytes);
        let _ = bound::BoundRead::parse(&bytes);
        let _ = bound::divide(&bytes);
        let _ = Policy::parse_set(&bytes);
        let _ = AppletVersion::parse(&bytes);
    }
}

#[test]
fn attributes_written_out() {
    let bytes =
        hex::decode("60000001 01 01 0000 60000000 0000 0860000000 10200000 02".replace(' ', "")).unwrap();
    let attributes = Attributes::parse(&bytes).unwrap();
    assert_eq!(attributes.object_type, ObjectType::EC_KEY_PAIR);
    assert_eq!(attributes.owner, 0x6000_0000);
    assert_eq!(
        attributes.policies,
        [Policy { authentication: 0x6000_0000, rule: rule::SIGN | rule::READ, extension: vec![] }]
    );
    assert_eq!(attributes.origin, Origin::INTERNAL);
    // A truncated policy set is refused; without one, the byte before the end is the origin.
    for end in 0..bytes.len() {
        assert_eq!(Attributes::parse(&bytes[..end]).is_ok(), end == 15, "{end}");
    }
}

#[test]
fn headers_are_unique_and_found() {
    for instruction in Instruction::ALL {
        let spec = instruction.spec();
        assert_eq!(Instruction::find(spec.ins, spec.p1, spec.p2), Ok(*instruction), "{}", spec.name);
    }
    assert_eq!(Instruction::find(0x41, 0x61, 0x00), Ok(Instruction::WriteEcKeyPair));
    assert_eq!(Instruction::find(0xC1, 0x03, 0x00), Ok(Instruction::WriteAesKey));
    assert_eq!(
        Instruction::find(0x41, 0x06, 0x00),
        Err(Unknown::Parameters),
        "no binary object authenticates"
    );
    assert_eq!(Instruction::find(0x01, 0x07, 0x00), Err(Unknown::Parameters), "a user id always does");
    assert_eq!(Instruction::find(0x04, 0x00, 0xEE), Err(Unknown::Parameters));
    assert_eq!(Instruction::find(0xEE, 0x00, 0x20), Err(Unknown::Instruction));
}

#[test]
fn requests_are_held_against_the_table() {
    let fields = |bytes: &'static [u8]| Tlvs::parse(bytes).unwrap();
    assert!(Instruction::GetRandom.accepts(&fields(&[0x41, 2, 0, 8])));
    assert!(!Instruction::GetRandom.accepts(&fields(&[])));
    assert!(!Instruction::GetRandom.accepts(&fields(&[0x41, 2, 0, 8, 0x42, 0])));
}

#[test]
fn session_policies_count_commands() {
    let parse = |text: &str| SessionPolicy::parse(&hex::decode(text).unwrap());
    let mut policy = parse("04A0000002").unwrap();
    assert!(policy.refresh);
    assert_eq!([policy.spend(), policy.spend(), policy.spend()], [true, true, false]);
    assert!(policy.renewed().spend());
    assert!(SessionPolicy::default().spend() && !SessionPolicy::default().refresh);
    for wrong in ["", "02", "0380000001", "048000", "0240FF", "022000FF", "024000"] {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
}

#[test]
fn versions_are_seven_bytes() {
    let version = AppletVersion { version: [3, 1, 1], features: 0x0102, crypto_library: [1, 0] };
    assert_eq!(AppletVersion::parse(&version.encode()), Some(version));
    assert_eq!(AppletVersion::parse(&[3, 1, 1]), None);
    assert_eq!(version.to_string(), "3.1.1");
}

#[test]
fn attributes_with_a_version_written_out() {
    let bytes =
        hex::decode("60000001 01 01 0000 60000000 0000 0860000000 10200000 02 00000007".replace(' ', ""))
            .unwrap();
    let attributes = Attributes::parse_with_version(&bytes).unwrap();
    assert_eq!((attributes.origin, attributes.version), (Origin::INTERNAL, Some(7)));
    assert_eq!(attributes.policies.len(), 1);
    assert!(Attributes::parse(&bytes).is_err(), "the version is no policy");
    assert!(Attributes::parse_with_version(&bytes[..18]).is_err());
    assert_eq!(
        Attributes::parse_with_version(&bytes[..3]),
        Err(AttributesError::TooShort { least: 19, found: 3 })
    );
}

#[test]
fn the_layout_follows_the_version() {
    let layout = |version| AppletVersion { version, features: 0, crypto_library: [0, 0] }.read_layout();
    for (version, expected) in [
        ([3, 1, 1], ReadLayout::Values),
        ([3, 6, 0], ReadLayout::Values),
        ([4, 3, 9], ReadLayout::Values),
        ([4, 4, 0], ReadLayout::ValuesWithVersion),
        ([6, 0, 0], ReadLayout::ValuesWithVersion),
        ([7, 1, 255], ReadLayout::ValuesWithVersion),
        ([7, 2, 0], ReadLayout::Bound),
        ([7, 2, 99], ReadLayout::Bound),
        ([8, 0, 0], ReadLayout::Bound),
    ] {
        assert_eq!(layout(version), expected, "{version:?}");
    }
}

#[test]
fn a_bound_read_written_out() {
    let read = bound::BoundRead {
        data: Some(&[4, 5]),
        chip_id: [7; CHIP_ID_BYTES],
        attributes: &[9; 19],
        size: 32,
        timestamp: [1; TIMESTAMP_BYTES],
    };
    let signed = read.encode().unwrap();
    let written = format!(
        "41820002040542820012{}43820013{}4482000200204f82000c{}",
        "07".repeat(18),
        "09".repeat(19),
        "01".repeat(12)
    );
    assert_eq!(hex::encode(&signed), written);
    let answer = bound::join(&signed, &[0x30, 0]).unwrap();
    assert!(answer.ends_with(&[0x52, 0x82, 0, 2, 0x30, 0]));
    assert_eq!(bound::divide(&answer), Ok((&signed[..], &[0x30, 0][..])));
    assert_eq!(bound::BoundRead::parse(&signed).unwrap(), read);

    for end in 0..answer.len() {
        assert!(bound::divide(&answer[..end]).is_err(), "cut at {end}");
    }
    let (first, rest) = signed.split_at(6);
    for wrong in [
        // Another order, a tag too many, a short length, a tag twice.
        [rest, first].concat(),
        [&signed[..], &[0x53, 0x82, 0, 0]].concat(),
        [&[0x41, 2, 4, 5], rest].concat(),
        [first, &signed[..]].concat(),
    ] {
        assert!(bound::BoundRead::parse(&wrong).is_err(), "{}", hex::encode(&wrong));
        assert!(bound::divide(&bound::join(&wrong, &[0x30, 0]).unwrap()).is_err());
    }
    assert!(
        bound::divide(&[&answer[..], &[0x53, 0x82, 0, 0]].concat()).is_err(),
        "the signature is the last"
    );

    let command = bound::command_bytes(Instruction::ReadObjectAttested, &[0x41, 1, 2]).unwrap();
    assert_eq!(command, [0x80, 0x22, 0, 0, 0, 0, 3, 0x41, 1, 2]);
    let digest = crate::key::sha256(&command);
    assert_eq!(bound::statement_sha256(&command, &signed), [&digest[..], &signed].concat());
    assert!(bound::command_bytes(Instruction::ReadObjectAttested, &[0; 65_536]).is_err());
}
