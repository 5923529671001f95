//! A firmware offer in the update inbox.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use touchmark_agent::firmware::verify;
use touchmark_fuzz::{known_public, told};
use touchmark_identity::key::PublicKey;

static RELEASE_KEY: LazyLock<PublicKey> = LazyLock::new(known_public);

fuzz_target!(|data: &[u8]| {
    assert!(verify(data, None).is_err());
    let Some(verified) = told(verify(data, Some(&RELEASE_KEY))) else { return };
    let release = verified.release().clone();
    assert_eq!(release.canonical_bytes().iter().filter(|byte| **byte == b'\n').count(), 4);
    if let Some(above) = release.security_version.checked_add(1) {
        assert!(told(verified.clone().admit(above)).is_none());
    }
    assert!(verified.admit(release.security_version).is_ok());
});
