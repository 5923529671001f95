//! The one place that writes to stdout: data as text or JSON. Everything for people goes to stderr.

use std::io::{IsTerminal, Write};

use serde::Serialize;

/// Where results and messages go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    json: bool,
    quiet: bool,
}

impl Printer {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether results are asked for as JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Writes a result: the value as one JSON line, or the text.
    pub(crate) fn data(self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        let line =
            if self.json { serde_json::to_string(value)? } else { text.trim_end_matches('\n').to_owned() };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()?;
        Ok(())
    }

    /// Says something to people.
    pub(crate) fn say(self, text: &str) {
        if !self.quiet {
            self.to_stderr(text);
        }
    }

    /// Says what went wrong, with its causes.
    pub(crate) fn error(self, error: &anyhow::Error) {
        let mut text = match crate::failure::code(error) {
            Some(code) => format!("error {code}: {error}"),
            None => format!("error: {error}"),
        };
        for cause in error.chain().skip(1) {
            let cause = cause.to_string();
            // A transparent error repeats its cause.
            if !text.ends_with(&cause) {
                text.push_str("\n  because ");
                text.push_str(&cause);
            }
        }
        self.to_stderr(&text);
    }

    /// Whether people are watching: progress is drawn only then.
    pub(crate) fn is_watched(self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// Draws progress in place of the last line.
    pub(crate) fn progress(self, text: &str) {
        if self.is_watched() {
            let mut err = std::io::stderr().lock();
            // A terminal that is gone is no reason to stop.
            let _gone = write!(err, "\r\x1b[2K{text}").and_then(|()| err.flush());
        }
    }

    fn to_stderr(self, text: &str) {
        // A terminal that is gone is no reason to stop.
        let _gone = writeln!(std::io::stderr().lock(), "{text}");
    }
}
