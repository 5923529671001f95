//! The `openssl` program: keys, requests and certificates that are not ours, and its opinion on ours.

use std::path::Path;
use std::process::Command;

use crate::process::{Finished, run};

/// What makes a P-256 key.
const P256: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// Runs `openssl` in a folder, with `input` as its stdin.
#[track_caller]
#[must_use]
pub fn openssl(folder: &Path, arguments: &[&str], input: &[u8]) -> Finished {
    run(Command::new("openssl").args(arguments).current_dir(folder), input)
}

/// Runs `openssl` in a folder; returns what it wrote to stdout.
///
/// # Panics
/// When it fails.
#[track_caller]
#[must_use]
pub fn must(folder: &Path, arguments: &[&str]) -> String {
    openssl(folder, arguments, &[]).must_end_with(0).text()
}

/// Makes a P-256 key `NAME.key` and a request `NAME.csr` (PEM) with `CN=COMMON_NAME`.
///
/// # Panics
/// When openssl fails.
#[track_caller]
pub fn request(folder: &Path, name: &str, common_name: &str) {
    let (key, csr, subject) = (format!("{name}.key"), format!("{name}.csr"), format!("/CN={common_name}"));
    let made = ["req", "-new", "-sha256", "-nodes", "-subj", &subject, "-keyout", &key, "-out", &csr];
    let _silent = must(folder, &[&made[..], &P256].concat());
}

/// Makes a root `NAME.pem` with its key `NAME.key`.
///
/// # Panics
/// When openssl fails.
#[track_caller]
pub fn root(folder: &Path, name: &str) {
    let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
    let made = [
        "req",
        "-x509",
        "-sha256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        &subject,
        "-keyout",
        &key,
        "-out",
        &certificate,
    ];
    let _silent = must(folder, &[&made[..], &P256].concat());
}

/// Makes a certificate `NAME.pem` with its key `NAME.key` under a root that [`fn@root`] made. `extension` is one X.509
/// extension as openssl writes it, such as `subjectAltName=IP:127.0.0.1`.
///
/// # Panics
/// When openssl fails.
#[track_caller]
pub fn leaf(folder: &Path, root: &str, name: &str, extension: &str) {
    let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
    let (ca, ca_key) = (format!("{root}.pem"), format!("{root}.key"));
    let made = [
        "req",
        "-x509",
        "-sha256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        &subject,
        "-keyout",
        &key,
        "-out",
        &certificate,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-addext",
        "basicConstraints=critical,CA:false",
        "-addext",
        extension,
    ];
    let _silent = must(folder, &[&made[..], &P256].concat());
}
