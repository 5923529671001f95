//! A foreign log as a stream of our own events.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use clap::Args;
use touchmark_identity::text::printable;
use touchmark_monitor::adapters::{Format, Reader};

use crate::output::Printer;

/// The longest line that is handed to a reader whole; of a longer one, the rest is skipped.
const MAX_LINE_BYTES: u64 = 1 << 21;

/// What is read.
#[derive(Debug, Args)]
pub(super) struct FormatArgs {
    /// The log's format, such as `nginx`, `zeek` or `mosquitto`; docs/adapters.md lists them.
    #[arg(long, value_name = "FORMAT", default_value_t = Format::Touchmark, requires = "events")]
    pub(super) from: Format,
    /// The name of a foreign log in its events; without it, the format's.
    #[arg(long, value_name = "NAME", requires = "events")]
    pub(super) source: Option<String>,
}

/// Lines that gave no event for one reason, and the first of them.
struct Skipped {
    lines: u64,
    first_line: u64,
    says: String,
}

/// Reads as `touchmark.event/1`, one a line, what the log holds.
pub(super) struct Foreign<R> {
    input: BufReader<R>,
    reader: Reader,
    line: Vec<u8>,
    /// Events that were read and not given yet, from `given` on.
    events: Vec<u8>,
    given: usize,
    lines: u64,
    count: u64,
    skipped: BTreeMap<&'static str, Skipped>,
}

impl<R: Read> Foreign<R> {
    pub(super) fn new(from: Format, source: &str, input: R) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 20, input),
            reader: Reader::new(from, source),
            line: Vec::new(),
            events: Vec::new(),
            given: 0,
            lines: 0,
            count: 0,
            skipped: BTreeMap::new(),
        }
    }

    /// Reads one line; false at the end.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        if (&mut self.input).take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(false);
        }
        self.lines += 1;
        if self.line.last() != Some(&b'\n') && self.line.len() as u64 == MAX_LINE_BYTES {
            self.input.skip_until(b'\n')?;
        }
        match self.reader.read(&self.line) {
            Ok(events) => {
                for event in events {
                    self.count += 1;
                    self.events.extend_from_slice(event.to_line().as_bytes());
                    self.events.push(b'\n');
                }
            }
            Err(error) => {
                let first_line = self.lines;
                let first = || Skipped { lines: 0, first_line, says: printable(&error.to_string(), 500) };
                self.skipped.entry(error.reason()).or_insert_with(first).lines += 1;
            }
        }
        Ok(true)
    }

    /// Says what was read, and what was not.
    pub(super) fn say(&self, printer: &Printer) {
        printer.say(&format!("{} lines, {} events", self.lines, self.count));
        for (reason, skipped) in &self.skipped {
            printer.say(&format!(
                "{} lines skipped ({reason}), the first is line {}: {}",
                skipped.lines, skipped.first_line, skipped.says
            ));
        }
    }
}

impl<R: Read> Read for Foreign<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.given == self.events.len() {
            self.events.clear();
            self.given = 0;
            if !self.next_line()? {
                return Ok(0);
            }
        }
        let read = self.events.get(self.given..).unwrap_or_default().read(to)?;
        self.given += read;
        Ok(read)
    }
}

/// Events, as they are or from a foreign log.
pub(super) enum Events<R> {
    /// Our own lines: findings name them by their digests.
    Own(R),
    /// What a foreign log holds. Findings name the lines that `convert` would write.
    Foreign(Box<Foreign<R>>),
}

impl<R: Read> Events<R> {
    pub(super) fn new(format: &FormatArgs, input: R) -> Self {
        match format.from {
            Format::Touchmark => Self::Own(input),
            from => {
                let source = format.source.clone().unwrap_or_else(|| from.to_string());
                Self::Foreign(Box::new(Foreign::new(from, &source, input)))
            }
        }
    }

    /// Says what was read of a foreign log, and what was not.
    pub(super) fn say(&self, printer: &Printer) {
        if let Self::Foreign(foreign) = self {
            foreign.say(printer);
        }
    }
}

impl<R: Read> Read for Events<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Own(input) => input.read(to),
            Self::Foreign(foreign) => foreign.read(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_they_are_asked_for() {
        let mut log = String::from("not a log line\n");
        for second in 10..20 {
            log.push_str(&format!(
                "2026-11-20T22:01:{second}+0000: New client connected from 192.0.2.7:4 as d{second} (p5, c1, k10, u'meter-17').\n\n"
            ));
        }
        let mut whole = String::new();
        let mut foreign = Foreign::new(Format::Mosquitto, "broker", log.as_bytes());
        foreign.read_to_string(&mut whole).unwrap();
        assert_eq!((whole.lines().count(), foreign.lines, foreign.count), (10, 21, 10));
        assert_eq!(foreign.skipped["malformed"].first_line, 1);
        for size in [1, 7, 4_096] {
            let mut foreign = Foreign::new(Format::Mosquitto, "broker", log.as_bytes());
            let (mut read, mut buffer) = (Vec::new(), vec![0; size]);
            loop {
                match foreign.read(&mut buffer).unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&buffer[..count]),
                }
            }
            assert_eq!(String::from_utf8(read).unwrap(), whole, "{size}");
        }
    }
}
