//! The address of a key store.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_keystore::uri::StoreUri;

fuzz_target!(|text: &str| {
    let Some(uri) = told(text.parse::<StoreUri>()) else { return };
    let shown = uri.to_string();
    // What is shown of a token leaves its PIN's place out, and is for people.
    if !matches!(uri, StoreUri::Pkcs11 { .. }) {
        assert_eq!(shown.parse::<StoreUri>().ok().as_ref(), Some(&uri), "{shown}");
    }
});
