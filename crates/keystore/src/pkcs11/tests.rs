//! The conformance suite over tokens of SoftHSM and of kryoptic.
//!
//! Both read their configuration from the environment when their module is loaded, so the suite runs in a process of its
//! own: this test binary again, with the variable set.

use std::path::Path;
use std::process::Command;

use touchmark_testkit::kryoptic;
use touchmark_testkit::process::run;
use touchmark_testkit::softhsm;

use crate::conformance;
use crate::store::StoreError;
use crate::uri::{Secret, StoreUri};

const URI: &str = "TOUCHMARK_TEST_TOKEN";

#[test]
fn a_token_keeps_the_promises() {
    let Some(token) = softhsm::create("conformance") else { return };
    let environment = [("SOFTHSM2_CONF", token.configuration().display().to_string())];
    apart("tests::in_a_process_of_its_own", &environment, &token.uri(&token.pin_file()));
}

/// kryoptic derives the keys of SCP03 inside, which SoftHSM does not.
#[test]
fn a_token_of_another_maker_keeps_them_too() {
    for suite in ["tests::in_a_process_of_its_own", "probe::tests::any_token_by_its_address"] {
        let Some(token) = kryoptic::prepare("conformance") else { return };
        let environment = [
            ("KRYOPTIC_CONF", token.configuration().display().to_string()),
            ("TOUCHMARK_TEST_TOKEN_SCP03", "in-token".to_owned()),
        ];
        apart("tests::makes_a_token", &environment, &token.module.display().to_string());
        apart(suite, &environment, &token.uri(&token.pin_file()));
    }
}

/// Runs one of the tests of this module in a process of its own.
fn apart(test: &str, environment: &[(&str, String)], token: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", &format!("pkcs11::{test}"), "--nocapture"]);
    command.envs(environment.iter().map(|(name, value)| (name, value))).env(URI, token);
    let finished = run(&mut command, &[]).must_end_with(0);
    assert!(finished.text().contains("1 passed"), "{}", finished.all());
}

#[test]
#[ignore = "run by a_token_of_another_maker_keeps_them_too, which sets its environment"]
fn makes_a_token() {
    kryoptic::make(Path::new(&std::env::var(URI).unwrap()), "conformance");
}

#[test]
#[ignore = "run by the tests above, which set its environment"]
fn in_a_process_of_its_own() {
    let text = std::env::var(URI).unwrap();
    let uri: StoreUri = text.parse().unwrap();
    conformance::promises(&mut || uri.open(Secret::None).unwrap());

    let missing: StoreUri = text.replace("token=conformance", "token=elsewhere").parse().unwrap();
    let refused = missing.open(Secret::None).err().unwrap();
    assert!(matches!(refused, StoreError::NotFound { what: "token", .. }), "{refused:?}");
    for wrong in [&b"4321-test"[..], b"", b"\xff"] {
        let refused = uri.open(Secret::Bytes(wrong.to_vec().into())).err().unwrap();
        assert!(matches!(refused, StoreError::WrongSecret { .. }), "{wrong:?}: {refused:?}");
    }
    let (address, _) = text.split_once("&pin-source").unwrap();
    let nowhere: StoreUri = format!("{address}&pin-source=file:/nowhere/pin").parse().unwrap();
    assert!(matches!(nowhere.open(Secret::None).err().unwrap(), StoreError::File { .. }));
}
