//! The foreign clients of the workspace `peers`: programs that use crates of others against what we serve.
//!
//! `scripts/peers.sh` builds them. A client prints a line for each of its checks, `ok NAME` or `FAIL NAME why`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peer;
use crate::process::run;

/// Where a program or a library of that workspace is; `None`, with a line on stderr, where it is not built.
///
/// # Panics
/// When it is not built where peers are required.
#[must_use]
pub fn built(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../peers");
    let folder =
        std::env::var_os("TOUCHMARK_PEERS_TARGET").map_or_else(|| root.join("target"), PathBuf::from);
    let file = folder.join("release").join(name);
    if file.is_file() {
        return Some(file);
    }
    peer::skip(&format!("{name} is not built (scripts/peers.sh)"));
    None
}

/// Runs a client to its end and returns the names of its checks, all of which were ok.
///
/// # Panics
/// When one was not, when there were none, and when the client does not end well and in time.
#[track_caller]
#[must_use]
pub fn checks(program: &Path, arguments: &[&str]) -> Vec<String> {
    let finished = run(Command::new(program).args(arguments), &[]);
    let text = finished.text();
    let failed: Vec<_> = text.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(
        failed.is_empty() && finished.code == Some(0),
        "{} ended with {:?}\n{}\n{}",
        finished.command,
        finished.code,
        failed.join("\n"),
        finished.stderr
    );
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("ok ")).map(str::to_owned).collect();
    assert!(!names.is_empty(), "{} checked nothing", finished.command);
    names
}
