//! A `SubjectPublicKeyInfo`, and a signature that may belong to it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::{known_public, told};
use touchmark_identity::key::PublicKey;

fuzz_target!(|data: &[u8]| {
    let _refused = known_public().verify(b"message", data);
    if let Some(key) = told(PublicKey::from_point(data)) {
        assert_eq!(key.point(), data);
    }
    let Some(key) = told(PublicKey::from_spki_der(data)) else { return };
    assert_eq!(PublicKey::from_spki_der(&key.spki_der()).as_ref(), Ok(&key));
    assert_eq!(PublicKey::from_point(key.point()).as_ref(), Ok(&key));
});
