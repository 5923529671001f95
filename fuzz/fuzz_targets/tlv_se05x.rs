//! TLVs of a secure element, and the attributes of its objects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::apdu::se05x::bound::{self, BoundRead};
use touchmark_identity::apdu::se05x::{AppletVersion, Attributes, Policy};
use touchmark_identity::apdu::tlv::{self, Tlvs};

fuzz_target!(|data: &[u8]| {
    if let Some(fields) = told(Tlvs::parse(data)) {
        let entries: Vec<(u8, &[u8])> =
            fields.tags().map(|tag| (tag, fields.find(tag).expect("a tag that is there"))).collect();
        let bytes = tlv::encode(&entries).expect("what was read fits");
        assert!(bytes.len() <= data.len());
        assert_eq!(Tlvs::parse(&bytes).as_ref(), Ok(&fields));
        let _wrong = told(fields.exact::<4>(0x41));
        let _wrong = told(fields.optional::<8>(0x42));
    }
    if let Some(attributes) = told(Attributes::parse(data)) {
        assert_eq!(attributes.encode().as_deref(), Ok(data), "{attributes:?}");
    }
    if let Some(attributes) = told(Attributes::parse_with_version(data)) {
        assert_eq!(attributes.encode().as_deref(), Ok(data), "{attributes:?}");
    }
    if let Some(read) = told(BoundRead::parse(data)) {
        assert_eq!(read.encode().as_deref(), Ok(data), "{read:?}");
    }
    if let Some((signed, signature)) = told(bound::divide(data)) {
        assert_eq!(bound::join(signed, signature).as_deref(), Ok(data));
    }
    if let Some(policies) = told(Policy::parse_set(data)) {
        assert_eq!(Policy::encode_set(&policies).as_deref(), Ok(data));
    }
    if let Some(version) = AppletVersion::parse(data) {
        assert_eq!(version.encode(), data, "{version}");
    }
});
