//! A file of events into a file of findings.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use touchmark_identity::event::{Event, EventBody, MAX_LINE_BYTES, RawDigest};
use touchmark_identity::timestamp::Timestamp;

use crate::adapters::safe_example;
use crate::engine::{Counts, Engine};

/// Lines that were skipped for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub lines: u64,
    /// The number of the first such line, from 1, within its input.
    pub first_line: u64,
    /// What was wrong with it, in words.
    pub says: String,
    /// Its beginning, printable characters alone.
    pub example: String,
}

/// What a replay has read and written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines of both inputs, empty ones left out.
    pub lines: u64,
    /// Findings written, each revision counted.
    pub findings: u64,
    /// Lines that were skipped, by reason.
    pub skipped: BTreeMap<&'static str, Skipped>,
    /// What the engine took in.
    pub counts: Counts,
}

/// Why a replay ended before its input did.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// MO-0001, environment: an input cannot be read.
    #[error("cannot read the {input} after line {line}")]
    Read {
        /// `registry` or `events`.
        input: &'static str,
        /// Lines that were read before.
        line: u64,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// MO-0002, environment: a finding cannot be written.
    #[error("cannot write finding number {number}")]
    Write {
        /// Its number, from 1.
        number: u64,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl ReplayError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "MO-0001",
            Self::Write { .. } => "MO-0002",
        }
    }
}

/// Reads registry lines, which are valid from the beginning whatever their `time` says, then events, and writes each
/// finding as one line. `enrich` may add to an event what the caller knows, such as the network of its address.
///
/// A line that cannot be read is skipped and counted by reason with one example. Equal input gives byte-equal output.
///
/// # Errors
/// [`ReplayError`] when an input cannot be read or the output cannot be written.
pub fn replay(
    engine: &mut Engine,
    registry: Option<&mut dyn BufRead>,
    events: &mut dyn BufRead,
    findings: &mut dyn Write,
    enrich: &mut dyn FnMut(&mut Event),
) -> Result<Summary, ReplayError> {
    let mut summary = Summary::default();
    if let Some(registry) = registry {
        pass(engine, "registry", registry, findings, enrich, &mut summary)?;
    }
    pass(engine, "events", events, findings, enrich, &mut summary)?;
    findings.flush().map_err(|source| ReplayError::Write { number: summary.findings, source })?;
    summary.counts = engine.counts();
    Ok(summary)
}

fn pass(
    engine: &mut Engine,
    input: &'static str,
    from: &mut dyn BufRead,
    to: &mut dyn Write,
    enrich: &mut dyn FnMut(&mut Event),
    summary: &mut Summary,
) -> Result<(), ReplayError> {
    let mut line = Vec::new();
    let mut number = 0;
    let beginning = Timestamp::from_micros(0);
    loop {
        let read = bounded_line(from, &mut line);
        if !read.map_err(|source| ReplayError::Read { input, line: number, source })? {
            return Ok(());
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        summary.lines += 1;
        let mut event = match Event::from_line(&line) {
            Ok(event) => event,
            Err(error) => {
                summary.skip(error.reason(), number, error.to_string(), &line);
                continue;
            }
        };
        if input == "registry" {
            if !matches!(event.body, EventBody::Registry(_)) {
                let says = format!("the registry file holds an event of type {}", event.body.type_name());
                summary.skip("not-a-registry-line", number, says, &line);
                continue;
            }
            event.time = beginning;
        }
        enrich(&mut event);
        for finding in engine.observe(&event, RawDigest::of(&line)) {
            summary.findings += 1;
            let number = summary.findings;
            writeln!(to, "{}", finding.to_line()).map_err(|source| ReplayError::Write { number, source })?;
        }
    }
}

impl Summary {
    fn skip(&mut self, reason: &'static str, number: u64, says: String, line: &[u8]) {
        let entry = self.skipped.entry(reason).or_insert_with(|| Skipped {
            lines: 0,
            first_line: number,
            says,
            example: safe_example(line),
        });
        entry.lines += 1;
    }
}

/// Reads one line without its line feed; false at the end of the input. Of a line that is too long only so much is
/// kept that the reader sees that it is.
fn bounded_line(from: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let chunk = match from.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
        let room = (MAX_LINE_BYTES + 1).saturating_sub(line.len());
        line.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
        let used = end.map_or(chunk.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn run(events: &[u8]) -> (Summary, String) {
        let mut out = Vec::new();
        let mut engine = Engine::new(Settings::default());
        let summary = replay(&mut engine, None, &mut &*events, &mut out, &mut |_| {}).unwrap();
        (summary, String::from_utf8(out).unwrap())
    }

    #[test]
    fn bad_lines_are_counted_by_reason_with_one_example() {
        let long = [b" ".repeat(3 * MAX_LINE_BYTES), b"\n".to_vec()].concat();
        let text =
            [b"not json\n\n{}\n\x1b[31m\n".to_vec(), [b"x".to_vec(), long].concat(), b"{}".to_vec()].concat();
        let (summary, out) = run(&text);
        assert_eq!(out, "");
        assert_eq!(summary.lines, 5);
        assert_eq!(summary.skipped["malformed"].lines, 2);
        assert_eq!(summary.skipped["malformed"].first_line, 1);
        assert_eq!(summary.skipped["malformed"].example, "not json");
        assert_eq!(summary.skipped["schema"].lines, 2);
        assert_eq!(summary.skipped["too-long"].lines, 1);
        assert_eq!(summary.counts.events, 0);
    }

    #[test]
    fn a_registry_file_holds_registry_lines() {
        let line = br#"{"schema":"touchmark.event/1","type":"session_end","time":"2026-11-20T22:00:00Z","source":"s","identity":{"client_id":"c"},"session":"1"}"#;
        let mut engine = Engine::new(Settings::default());
        let mut registry = &line[..];
        let summary =
            replay(&mut engine, Some(&mut registry), &mut &b""[..], &mut Vec::new(), &mut |_| {}).unwrap();
        assert_eq!(summary.skipped["not-a-registry-line"].lines, 1);
    }
}
