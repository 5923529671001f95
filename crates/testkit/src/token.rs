//! A PKCS#11 token in software, in a directory of its own; [`crate::softhsm`] and [`crate::kryoptic`] make them.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The token's user PIN.
pub const PIN: &str = "1234-test";
/// The security officer's PIN, with which a token is made.
pub const SO_PIN: &str = "so-test-1234";

/// A token with a label and a PIN.
#[derive(Debug)]
pub struct Token {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    folder: TempDir,
}

impl Token {
    /// Writes what the module is told (its text, given the folder) and the PIN.
    pub(crate) fn new(module: PathBuf, label: &str, configuration: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::Builder::new().prefix("touchmark-token-").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("cannot make a directory: {error}"));
        let token = Self { module, label: label.to_owned(), folder };
        let written = fs::write(token.configuration(), configuration(token.folder()))
            .and_then(|()| fs::write(token.pin_file(), format!("{PIN}\n")));
        if let Err(error) = written {
            panic!("cannot write the token's configuration: {error}");
        }
        token
    }

    /// The file that `SOFTHSM2_CONF` or `KRYOPTIC_CONF` has to name in the process that uses the token.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("token.conf")
    }

    /// A file with the PIN.
    #[must_use]
    pub fn pin_file(&self) -> PathBuf {
        self.folder.path().join("pin")
    }

    /// The directory in which configuration, PIN file and token lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
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
