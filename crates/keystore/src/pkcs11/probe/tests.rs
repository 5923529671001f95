//! The profiles of tokens. As in the tests of the store, a token is used in a process of its own.

use std::process::Command;

use touchmark_testkit::process::run;
use touchmark_testkit::softhsm;
use touchmark_testkit::token::PIN;

use super::*;
use crate::conformance;
use crate::uri::{Secret, StoreUri};

/// The address of an empty token, and the derivation of SCP03 keys that it has to offer: `in-token`, `cmac-outside` or `none`.
/// With both set, [`any_token_by_its_address`] tries any module.
const URI: &str = "TOUCHMARK_TEST_TOKEN";
const SCP03: &str = "TOUCHMARK_TEST_TOKEN_SCP03";

#[test]
#[ignore = "run with the address of a token"]
fn any_token_by_its_address() {
    let uri: StoreUri = std::env::var(URI).unwrap().parse().unwrap();
    let expected = std::env::var(SCP03).unwrap();
    conformance::promises(&mut || uri.open(Secret::None).unwrap());
    conformance::profile(&mut || uri.open(Secret::None).unwrap(), &expected);
}

#[test]
#[ignore = "run by softhsm_has_the_profile_that_it_is_known_for"]
fn in_a_process_of_its_own() {
    let uri: StoreUri = std::env::var(URI).unwrap().parse().unwrap();
    let profile = uri.open(Secret::None).unwrap().profiled().unwrap().profile().unwrap();
    // SoftHSM 2.6 lists neither key derivation of SP 800-108 nor wrapping with AES-CBC and padding.
    assert_eq!((profile.scp03, profile.scp03_tried), (Scp03Derivation::CmacOutside, true));
    for (name, listed) in [("CKM_AES_KEY_WRAP", true), ("CKM_AES_CBC_PAD", false)] {
        assert_eq!(profile.wraps.iter().any(|wrap| wrap == name), listed, "{name} in {:?}", profile.wraps);
    }
    assert_eq!(profile.attestations, 0);
    let ecdsa = profile.mechanisms.iter().find(|mechanism| mechanism.name == "CKM_ECDSA").unwrap();
    assert!(ecdsa.number == 0x1041 && ecdsa.min_key_size <= 256 && ecdsa.max_key_size >= 256, "{ecdsa:?}");
    assert!(ecdsa.flags.contains(&"sign") && ecdsa.flags.contains(&"verify"), "{ecdsa:?}");
}

#[test]
fn softhsm_has_the_profile_that_it_is_known_for() {
    let Some(token) = softhsm::create("profile") else { return };
    for test in ["any_token_by_its_address", "in_a_process_of_its_own"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let test = format!("pkcs11::probe::tests::{test}");
        command.args(["--ignored", "--exact", &test, "--nocapture"]);
        command.env("SOFTHSM2_CONF", token.configuration()).env(URI, token.uri(&token.pin_file()));
        let finished = run(command.env(SCP03, "cmac-outside"), &[]).must_end_with(0);
        assert!(finished.text().contains("1 passed"), "{}", finished.all());
    }
    if touchmark_testkit::peer::all_present(&["pkcs11-tool"]) {
        let mut list = Command::new("pkcs11-tool");
        list.arg("--module").arg(&token.module).args(["--list-objects", "--login", "--pin", PIN]);
        let listed = run(list.env("SOFTHSM2_CONF", token.configuration()), &[]).must_end_with(0);
        // The two keys of the suite, and no secret key of the trial.
        assert_eq!(listed.text().matches("Private Key Object").count(), 2, "{}", listed.text());
        assert!(!listed.text().contains("Secret Key Object"), "{}", listed.text());
    }
}
