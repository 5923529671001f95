//! A virtual element that `touchmark element run` serves, for one test.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Daemon, run};

/// A new element in a directory of its own, and the process that serves it.
#[derive(Debug)]
pub struct Served {
    process: Daemon,
    ready: Value,
    folder: TempDir,
}

impl Served {
    /// Makes an element and serves it over TCP, with these further arguments for `element run`.
    ///
    /// # Panics
    /// When the program fails.
    #[track_caller]
    #[must_use]
    pub fn start(touchmark: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("touchmark-element-").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("cannot make a directory: {error}"));
        let state = folder.path().join("state");
        let _made = run(Command::new(touchmark).args(["element", "new", "--state"]).arg(&state), &[])
            .must_end_with(0);
        let mut command = Command::new(touchmark);
        command.args(["element", "run", "--ready-fd", "1", "--state"]).arg(&state).args(arguments);
        let mut process = Daemon::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let mut line = String::new();
        if let Some(stdout) = process.child().stdout.take() {
            // A program that ends without a line leaves it empty.
            let _ended = BufReader::new(stdout).read_line(&mut line);
        }
        let ready = serde_json::from_str(&line);
        let ready = ready.unwrap_or_else(|error| panic!("the element is not ready ({error}): {line}"));
        Self { process, ready, folder }
    }

    /// Where it listens: `tcp`, or `t1` when it was started with that.
    ///
    /// # Panics
    /// When it does not listen for that.
    #[track_caller]
    #[must_use]
    pub fn address(&self, of: &str) -> &str {
        match self.ready.get(of).and_then(Value::as_str) {
            Some(address) => address,
            None => panic!("the ready line has no {of}: {}", self.ready),
        }
    }

    /// The directory with its state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The directory around that.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.runs()
    }
}
