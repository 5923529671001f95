//! The host's keys for the secure channel of a new virtual element, in a file, as a host keeps them.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A file with keys for SCP03 in a directory of its own.
#[derive(Debug)]
pub struct ChannelKeyFile(TempDir);

impl ChannelKeyFile {
    /// The keys with which the domain of the IoT applet starts (version 0B): the published example keys of NXP's host
    /// library.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn right() -> Self {
        Self::with(&"abcd".repeat(7))
    }

    /// Others.
    ///
    /// # Panics
    /// As for [`ChannelKeyFile::right`].
    #[must_use]
    pub fn wrong() -> Self {
        Self::with(&"dcba".repeat(7))
    }

    fn with(begin: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("touchmark-scp03-").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("cannot make a directory: {error}"));
        let file = Self(folder);
        let text = format!("enc = \"{begin}0001\"\nmac = \"{begin}0002\"\ndek = \"{begin}0003\"\n");
        let written = fs::write(file.path(), text)
            .and_then(|()| fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)));
        if let Err(error) = written {
            panic!("cannot write the keys: {error}");
        }
        file
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder().join("scp03.toml")
    }

    /// The directory in which it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// What an element's address has behind it for these keys.
    #[must_use]
    pub fn query(&self) -> String {
        format!("?scp03={}&kvn=0B", self.path().display())
    }
}
