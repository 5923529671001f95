//! curl: an HTTP client that is not ours.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::run;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers: an object of lower-case names, each with a list of values.
    pub headers: Value,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.get(0)?.as_str()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}) with status {}: {}", self.status, self.text()))
    }

    /// Demands a status.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    #[must_use]
    pub fn must_be(self, status: u16) -> Self {
        assert!(self.status == status, "HTTP status {}, expected {status}: {}", self.status, self.text());
        self
    }
}

/// Asks with curl, which runs in `folder`; `--data-binary @-` sends `body`.
///
/// # Errors
/// curl's exit code and message when there was no answer.
///
/// # Panics
/// When curl cannot be run.
#[track_caller]
pub fn try_curl(folder: &Path, arguments: &[&str], body: &[u8]) -> Result<Answer, (i32, String)> {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"])
        .args(["--write-out", "%{stderr}\n%{http_code} %{header_json}"])
        .args(arguments)
        .current_dir(folder);
    let finished = run(&mut command, body);
    if finished.code != Some(0) {
        return Err((finished.code.unwrap_or(-1), finished.stderr));
    }
    let parsed = finished.stderr.trim_start().split_once(' ').and_then(|(status, headers)| {
        Some(Answer {
            status: status.parse().ok()?,
            headers: serde_json::from_str(headers).ok()?,
            body: finished.stdout.clone(),
        })
    });
    Ok(parsed.unwrap_or_else(|| panic!("curl said {:?}", finished.stderr)))
}

/// As [`try_curl`], where an answer must come.
///
/// # Panics
/// When none came.
#[track_caller]
#[must_use]
pub fn curl(folder: &Path, arguments: &[&str], body: &[u8]) -> Answer {
    match try_curl(folder, arguments, body) {
        Ok(answer) => answer,
        Err((code, said)) => panic!("curl {} ended with {code}: {said}", arguments.join(" ")),
    }
}
