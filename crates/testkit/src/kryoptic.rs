//! kryoptic: a PKCS#11 token in software, over OpenSSL and SQLite, made for one test.
#![expect(clippy::expect_used, reason = "a launcher for tests fails the test that uses it")]

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use crate::clients;
use crate::token::{PIN, SO_PIN, Token};

/// Prepares the place of a token that [`make`] makes; `None`, with a line on stderr, where the module is not built.
///
/// # Panics
/// When its files cannot be written, and when the module is not built where peers are required.
#[must_use]
pub fn prepare(label: &str) -> Option<Token> {
    let module = clients::built("libkryoptic_module.so")?;
    Some(Token::new(module, label, |folder| {
        let objects = folder.join("token.sql");
        format!("[[slots]]\nslot = 42\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", objects.display())
    }))
}

/// Makes the token (`C_InitToken`, `C_InitPIN`), in a process whose `KRYOPTIC_CONF` names its configuration.
///
/// # Panics
/// When the module refuses.
pub fn make(module: &Path, label: &str) {
    let context = Pkcs11::new(module).expect("a module");
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).expect("a module that starts");
    let slots = context.get_slots_with_token().expect("slots");
    let slot = *slots.first().expect("a slot");
    context.init_token(slot, &AuthPin::from(SO_PIN), label).expect("a token");
    let session = context.open_rw_session(slot).expect("a session");
    session.login(UserType::So, Some(&AuthPin::from(SO_PIN))).expect("the officer's PIN");
    session.init_pin(&AuthPin::from(PIN)).expect("a PIN");
}
