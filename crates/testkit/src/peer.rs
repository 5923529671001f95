//! Whether the foreign programs that a test talks to are there.
//!
//! A missing peer is a visible skip on a developer's machine and a failure where the environment has `CI` or
//! `TOUCHMARK_REQUIRE_PEERS=1`: a test that silently does nothing proves nothing.

use std::path::PathBuf;

/// Where a program lies in `PATH`.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether all of these programs are there. Where one is missing, says so on stderr.
///
/// # Panics
/// When one is missing and this run must not skip a peer.
#[must_use]
pub fn all_present(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    skip(&format!("{} not found in PATH", missing.join(", ")));
    false
}

/// Says on stderr that a test is skipped, and why.
///
/// # Panics
/// When this run must not skip a peer.
#[expect(clippy::print_stderr, reason = "a skipped test has to be visible in the output of the test run")]
pub fn skip(reason: &str) {
    let required = std::env::var_os("CI").is_some()
        || std::env::var("TOUCHMARK_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "{reason}, and this run must not skip a peer");
    eprintln!("SKIPPED: {reason}; set TOUCHMARK_REQUIRE_PEERS=1 to make this an error");
}

/// Says on stderr that a test is skipped because data is missing that no script of the repository may bring.
#[expect(clippy::print_stderr, reason = "a skipped test has to be visible in the output of the test run")]
pub fn without_data(what: &str) {
    eprintln!("SKIPPED: {what}");
}
