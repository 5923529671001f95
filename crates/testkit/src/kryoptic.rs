//! kryoptic: a PKCS#11 token in software, over OpenSSL and SQLite, made for one test.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::clients;

/// The token's user PIN.
pub const PIN: &str = "1234-test";
/// The security officer's PIN, with which the token is made.
pub const SO_PIN: &str = "so-test-1234";

/// A module and the place of a token that is still to be made (`C_InitToken`, `C_InitPIN`).
#[derive(Debug)]
pub struct Token {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    folder: TempDir,
}

impl Token {
    /// Prepares a token; `None`, with a line on stderr, where the module is not built.
    ///
    /// # Panics
    /// When its files cannot be written, and when the module is not built where peers are required.
    #[must_use]
    pub fn prepare(label: &str) -> Option<Self> {
        let module = clients::built("libkryoptic_module.so")?;
        let folder = tempfile::Builder::new().prefix("touchmark-kryoptic-").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("cannot make a directory: {error}"));
        let token = Self { module, label: label.to_owned(), folder };
        let configuration = format!(
            "[[slots]]\nslot = 42\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
            token.folder.path().join("token.sql").display()
        );
        let written = fs::write(token.configuration(), configuration)
            .and_then(|()| fs::write(token.pin_file(), format!("{PIN}\n")));
        if let Err(error) = written {
            panic!("cannot write the token's configuration: {error}");
        }
        Some(token)
    }

    /// The file that `KRYOPTIC_CONF` has to name in the process that uses the token.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("kryoptic.conf")
    }

    /// A file with the PIN.
    #[must_use]
    pub fn pin_file(&self) -> PathBuf {
        self.folder.path().join("pin")
    }

    /// The token's address (RFC 7512), with this file as `pin-source`.
    #[must_use]
    pub fn uri(&self, pin_file: &Path) -> String {
        format!(
            "pkcs11:token={}?module-path={}&pin-source=file:{}",
            self.label,
            self.module.display(),
            pin_file.display()
        )
    }
}
