//! SoftHSM 2: a PKCS#11 token in software, made for one test.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::peer;
use crate::process::run;
use crate::token::{PIN, SO_PIN, Token};

/// Where distributions put the module.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
/// Makes a token; `None`, with a line on stderr, where SoftHSM is not installed.
///
/// # Panics
/// When SoftHSM is installed and fails; and when it is missing where peers are required.
#[must_use]
pub fn create(label: &str) -> Option<Token> {
    if !peer::all_present(&["softhsm2-util"]) {
        return None;
    }
    let Some(module) = MODULES.iter().map(PathBuf::from).find(|module| module.is_file()) else {
        peer::skip("libsofthsm2.so not found where distributions put it");
        return None;
    };
    let token = Token::new(module, label, |folder| {
        let tokens = folder.join("tokens");
        if let Err(error) = fs::create_dir(&tokens) {
            panic!("cannot make the token's directory: {error}");
        }
        format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        )
    });
    let mut command = Command::new("softhsm2-util");
    command
        .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN])
        .env("SOFTHSM2_CONF", token.configuration());
    let _made = run(&mut command, &[]).must_end_with(0);
    Some(token)
}
