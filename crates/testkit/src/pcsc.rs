//! Programs that reach a smart card by PC/SC: OpenSC, and one of our own in C.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::peer;
use crate::process::run;

/// Where distributions put pcsc-lite's header.
const HEADER_FOLDERS: [&str; 2] = ["/usr/include/PCSC", "/usr/local/include/PCSC"];

/// A folder in which a shared library has the name that programs look for, `libpcsclite.so.1`.
#[derive(Debug)]
pub struct LibraryFolder(TempDir);

impl LibraryFolder {
    /// A folder with this library under the name.
    ///
    /// # Panics
    /// When the library is not there, or the folder cannot be made.
    #[must_use]
    pub fn of(library: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("touchmark-pcsc-").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("cannot make a directory: {error}"));
        if let Err(error) = fs::copy(library, folder.path().join("libpcsclite.so.1")) {
            panic!("cannot copy {}: {error}", library.display());
        }
        Self(folder)
    }

    /// The library.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.0.path().join("libpcsclite.so.1")
    }

    /// The folder, for `LD_LIBRARY_PATH`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Compiles a client in C against pcsc-lite's header and the library in the folder; `None`, with a line on stderr,
/// where compiler or header are missing.
///
/// # Panics
/// When it does not compile without a warning; and when something is missing where peers are required.
#[must_use]
pub fn compile(source: &Path, folder: &LibraryFolder) -> Option<PathBuf> {
    if !peer::all_present(&["cc"]) {
        return None;
    }
    let headers = HEADER_FOLDERS.iter().map(Path::new).find(|path| path.join("winscard.h").is_file());
    let Some(headers) = headers else {
        peer::skip("winscard.h not found where distributions put it (libpcsclite-dev)");
        return None;
    };
    let program = folder.path().join("client");
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-pthread"]).arg("-I").arg(headers);
    command.arg(source).arg(folder.library()).arg("-o").arg(&program);
    let _compiled = run(&mut command, &[]).must_end_with(0);
    Some(program)
}
