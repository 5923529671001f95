//! Programs that reach a smart card by PC/SC: OpenSC and one of our own in C; through a library of ours, or `pcscd`.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::peer;
use crate::process::run;

/// Where distributions put pcsc-lite's header.
const HEADER_FOLDERS: [&str; 2] = ["/usr/include/PCSC", "/usr/local/include/PCSC"];

/// Where distributions put OpenSC's PKCS#11 module.
const OPENSC_MODULES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib64/opensc-pkcs11.so",
    "/usr/lib/opensc-pkcs11.so",
];

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

/// OpenSC's PKCS#11 module; `None`, with a line on stderr, where it or `pkcs11-tool` is missing.
///
/// # Panics
/// When something is missing where peers are required.
#[must_use]
pub fn opensc_module() -> Option<PathBuf> {
    if !peer::all_present(&["pkcs11-tool"]) {
        return None;
    }
    let found = OPENSC_MODULES.iter().map(PathBuf::from).find(|module| module.is_file());
    if found.is_none() {
        peer::skip("opensc-pkcs11.so not found where distributions put it");
    }
    found
}

/// Where distributions put vpcd, the driver of a virtual reader.
const VPCD_DRIVERS: [&str; 2] =
    ["/usr/lib/pcsc/drivers/serial/libifdvpcd.so", "/usr/local/lib/pcsc/drivers/serial/libifdvpcd.so"];

/// What makes a network and a `/run` that nobody else sees: vpcd has one port for the whole machine, `pcscd` one socket.
const OWN_SYSTEM: &str = "ip link set lo up && mount -t tmpfs tmpfs /run && mkdir /run/pcscd && exec \"$@\"";

/// A command that runs `program` where it can start a `pcscd` of its own; `None`, with a line on stderr, where something
/// is missing.
///
/// A machine that allows no namespaces (many containers) cannot run this at all, whatever is installed; that is a visible
/// skip also where peers are required, as the same clients are tested without a daemon, too.
///
/// # Panics
/// When something is not installed where peers are required.
#[must_use]
pub fn in_a_system_of_its_own(program: &Path) -> Option<Command> {
    if !peer::all_present(&["pcscd", "unshare", "ip"]) {
        return None;
    }
    if !VPCD_DRIVERS.iter().any(|driver| Path::new(driver).is_file()) {
        peer::skip("vpcd not found where distributions put it (vsmartcard-vpcd)");
        return None;
    }
    // As root as it is; otherwise as root of a user namespace, which pcscd takes for root, too.
    let ways: [&[&str]; 2] = [&["-m", "-n"], &["-r", "-m", "-n"]];
    let way = ways.iter().find(|way| {
        let mut attempt = Command::new("unshare");
        run(attempt.args(**way).args(["sh", "-c", OWN_SYSTEM, "sh", "true"]), &[]).code == Some(0)
    });
    let Some(way) = way else {
        peer::without_data("this machine allows no network and mount namespaces; pcscd is not tried");
        return None;
    };
    let mut command = Command::new("unshare");
    command.args(*way).args(["sh", "-c", OWN_SYSTEM, "sh"]).arg(program);
    Some(command)
}
