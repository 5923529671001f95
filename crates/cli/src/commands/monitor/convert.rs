//! `touchmark monitor convert`: foreign log lines to our own events.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use clap::Args;

use touchmark_identity::text::printable;
use touchmark_monitor::adapters::{Format, Reader};

use super::open;
use crate::output::Printer;

/// The longest line that is handed to a reader whole; of a longer one, the rest is skipped.
const MAX_LINE_BYTES: u64 = 1 << 21;

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
}

pub(crate) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<()> {
    let source = arguments.source.clone().unwrap_or_else(|| arguments.from.to_string());
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut input = BufReader::with_capacity(1 << 20, open(&arguments.input)?);
    convert(arguments.from, &source, &mut input, &mut out, printer)
}

/// Reads `input` to its end, writes events to `out` and a summary to the printer.
///
/// # Errors
/// When the input cannot be read or the output not be written.
fn convert(
    from: Format,
    source: &str,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
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
        match reader.read(&line) {
            Ok(read) => {
                for event in read {
                    events += 1;
                    out.write_all(event.to_line().as_bytes())?;
                    out.write_all(b"\n")?;
                }
            }
            Err(error) => {
                let first =
                    || Skipped { lines: 0, first_line: lines, says: printable(&error.to_string(), 500) };
                skipped.entry(error.reason()).or_insert_with(first).lines += 1;
            }
        }
    }
    out.flush()?;
    printer.say(&format!("{lines} lines, {events} events"));
    for (reason, skipped) in &skipped {
        printer.say(&format!(
            "{} lines skipped ({reason}), the first is line {}: {}",
            skipped.lines, skipped.first_line, skipped.says
        ));
    }
    Ok(())
}
