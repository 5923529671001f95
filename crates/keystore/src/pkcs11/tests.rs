//! The conformance suite over a SoftHSM token.
//!
//! SoftHSM reads its configuration from the environment when its module is loaded, so the suite runs in a process of its
//! own: this test binary again, with the variable set.

use std::process::Command;

use touchmark_testkit::process::run;
use touchmark_testkit::softhsm::Token;

use crate::conformance;
use crate::store::StoreError;
use crate::uri::{Secret, StoreUri};

const URI: &str = "TOUCHMARK_TEST_TOKEN";

#[test]
fn a_token_keeps_the_promises() {
    let Some(token) = Token::create("conformance") else { return };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "pkcs11::tests::in_a_process_of_its_own", "--nocapture"])
        .env("SOFTHSM2_CONF", token.configuration())
        .env(URI, token.uri(&token.pin_file()));
    let finished = run(&mut command, &[]).must_end_with(0);
    assert!(finished.text().contains("1 passed"), "{}", finished.all());
}

#[test]
#[ignore = "run by a_token_keeps_the_promises, which sets its environment"]
fn in_a_process_of_its_own() {
    let text = std::env::var(URI).unwrap();
    let uri: StoreUri = text.parse().unwrap();
    conformance::run(&mut || uri.open(Secret::None).unwrap());

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
