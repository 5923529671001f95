//! `touchmark monitor convert`: foreign log lines to our own events, as lines or as batches.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use touchmark_identity::event::Event;
use touchmark_identity::text::printable;
use touchmark_monitor::adapters::{Format, Reader};
use touchmark_monitor::batch::{BatchError, Writer};

use super::open;
use crate::output::Printer;

/// The longest line that is handed to a reader whole; of a longer one, the rest is skipped.
const MAX_LINE_BYTES: u64 = 1 << 21;

/// A batch is ended when it has this many bytes: large enough that its texts are shared, small enough for a message.
const BATCH_BYTES: usize = 1 << 20;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// Events, one a line (touchmark.event/1).
    Lines,
    /// Batches in the binary form, one behind the other (touchmark.batch/1).
    Batch,
}

/// Lines that gave no event for one reason, and the first of them.
struct Skipped {
    lines: u64,
    first_line: u64,
    says: String,
}

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The log's format, such as `nginx`, `haproxy` or `mosquitto`; docs/adapters.md lists them.
    #[arg(long, value_name = "FORMAT")]
    from: Format,
    /// The log's name in the events; without it, the format's.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The log; `-` is stdin.
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// The form of the events: lines or batch. `monitor replay` reads either.
    #[arg(long, value_enum, default_value_t = To::Lines, value_name = "FORM")]
    to: To,
}

pub(crate) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<()> {
    let source = arguments.source.clone().unwrap_or_else(|| arguments.from.to_string());
    let mut out = Output {
        to: arguments.to,
        batch: Writer::default(),
        out: Box::new(BufWriter::with_capacity(1 << 20, std::io::stdout().lock())),
    };
    let mut input = BufReader::with_capacity(1 << 20, open(&arguments.input)?);
    convert(arguments.from, &source, &mut input, &mut out, printer)
}

/// Where events go.
struct Output {
    to: To,
    batch: Writer,
    out: Box<dyn Write>,
}

impl Output {
    /// Writes an event. What its form cannot hold is given back; nothing of it was written then.
    fn event(&mut self, event: &Event) -> std::io::Result<Result<(), BatchError>> {
        match self.to {
            To::Lines => {
                self.out.write_all(event.to_line().as_bytes())?;
                self.out.write_all(b"\n")?;
            }
            To::Batch => {
                if let Err(error) = self.batch.push(event) {
                    return Ok(Err(error));
                }
                if self.batch.bytes() >= BATCH_BYTES {
                    self.out.write_all(&std::mem::take(&mut self.batch).finish())?;
                }
            }
        }
        Ok(Ok(()))
    }

    fn finish(&mut self) -> std::io::Result<()> {
        if self.to == To::Batch {
            self.out.write_all(&std::mem::take(&mut self.batch).finish())?;
        }
        self.out.flush()
    }
}

/// Reads `input` to its end, writes events to `out` and a summary to the printer.
///
/// # Errors
/// When the input cannot be read or the output not be written.
fn convert(
    from: Format,
    source: &str,
    input: &mut dyn BufRead,
    out: &mut Output,
    printer: &Printer,
) -> anyhow::Result<()> {
    let mut reader = Reader::new(from, source);
    let (mut lines, mut events) = (0_u64, 0_u64);
    let mut skipped: BTreeMap<&'static str, Skipped> = BTreeMap::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut *input).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        lines += 1;
        if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE_BYTES {
            input.skip_until(b'\n')?;
        }
        let mut skip = |reason, says: String| {
            let first = || Skipped { lines: 0, first_line: lines, says: printable(&says, 500) };
            skipped.entry(reason).or_insert_with(first).lines += 1;
        };
        match reader.read(&line) {
            Ok(read) => {
                for event in read {
                    match out.event(&event)? {
                        Ok(()) => events += 1,
                        Err(error) => skip(error.reason(), error.to_string()),
                    }
                }
            }
            Err(error) => skip(error.reason(), error.to_string()),
        }
    }
    out.finish()?;
    printer.say(&format!("{lines} lines, {events} events"));
    for (reason, skipped) in &skipped {
        printer.say(&format!(
            "{} lines skipped ({reason}), the first is line {}: {}",
            skipped.lines, skipped.first_line, skipped.says
        ));
    }
    Ok(())
}
