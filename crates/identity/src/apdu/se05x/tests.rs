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
        policies in proptest::collection::vec(policy(), 0..3), origin: u8,
    ) -> Attributes {
        Attributes {
            object_id, object_type: ObjectType(object_type), authentication, failed_attempts, owner, max_attempts,
            policies, origin: Origin(origin),
        }
    }
}

proptest! {
    #[test]
    fn attributes_round_trip(attributes in attributes()) {
        prop_assert_eq!(Attributes::parse(&attributes.encode().unwrap()).unwrap(), attributes);
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Attributes::parse(&bytes);
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
