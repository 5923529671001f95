//! Names, digests and moments in text, which come in JSON, in URLs and in certificates.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::event::{CertSerial, CertSha1, CertSha256, canonical_dn};
use touchmark_identity::ids::{CounterName, DeviceId, DeviceType, KeyName};
use touchmark_identity::key::SpkiHash;
use touchmark_identity::timestamp::Timestamp;

macro_rules! round_trip {
    ($text:expr, $($type:ty),+) => {
        $(if let Some(read) = told($text.parse::<$type>()) {
            assert_eq!(read.to_string().parse::<$type>().as_ref(), Ok(&read));
        })+
    };
}

fuzz_target!(|text: &str| {
    round_trip!(
        text,
        CertSerial,
        CertSha1,
        CertSha256,
        CounterName,
        DeviceId,
        DeviceType,
        KeyName,
        SpkiHash,
        Timestamp
    );
    // The form is for comparison alone; it need not be a name again.
    assert_eq!(canonical_dn(&format!(" {text} ")), canonical_dn(text));
});
