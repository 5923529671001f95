//! SoftHSM 2: a PKCS#11 token in software, made for one test.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::peer;
use crate::process::run;

/// Where distributions put the module.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
/// The token's user PIN.
pub const PIN: &str = "1234-test";

/// A token with a label and a PIN, in a directory of its own.
#[derive(Debug)]
pub struct Token {
    /// The PKCS#11 module.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    folder: TempDir,
}

impl Token {
    /// Makes a token; `None`, with a line on stderr, where SoftHSM is not installed.
    ///
    /// # Panics
    /// When SoftHSM is installed and fails; and when it is missing where peers are required.
    #[must_use]
    pub fn create(label: &str) -> Option<Self> {
        if !peer::all_present(&["softhsm2-util"]) {
            return None;
        }
        let Some(module) = MODULES.iter().map(PathBuf::from).find(|module| module.is_file()) else {
            peer::skip("libsofthsm2.so not found where distributions put it");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("touchmark-softhsm-").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("cannot make a directory: {error}"));
        let token = Self { module, label: label.to_owned(), folder };
        let tokens = token.folder.path().join("tokens");
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        let written = fs::create_dir(&tokens)
            .and_then(|()| fs::write(token.configuration(), configuration))
            .and_then(|()| fs::write(token.pin_file(), format!("{PIN}\n")));
        if let Err(error) = written {
            panic!("cannot write the token's configuration: {error}");
        }
        let mut command = Command::new("softhsm2-util");
        command
            .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "so-test"])
            .env("SOFTHSM2_CONF", token.configuration());
        let _made = run(&mut command, &[]).must_end_with(0);
        Some(token)
    }

    /// The file that `SOFTHSM2_CONF` has to name in the process that uses the token.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
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
