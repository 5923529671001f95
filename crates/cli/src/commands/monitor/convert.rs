//! `touchmark monitor convert`: foreign log lines to our own events, as lines or as batches.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use touchmark_identity::event::Event;
use touchmark_monitor::adapters::Format;
use touchmark_monitor::batch::Writer;

use super::foreign::Foreign;
use super::open;
use crate::output::Printer;

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
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut foreign = Foreign::new(arguments.from, &source, open(&arguments.input)?);
    let refused = match arguments.to {
        To::Lines => std::io::copy(&mut foreign, &mut out).map(|_bytes| None)?,
        To::Batch => batches(&mut foreign, &mut out)?,
    };
    out.flush()?;
    foreign.say(printer);
    if let Some((events, first)) = refused {
        printer.say(&format!("{events} events fit into no batch; of the first: {first}"));
    }
    Ok(())
}

/// Writes lines of events as batches. Gives how many events the form cannot hold, and why not the first of them.
fn batches(events: &mut dyn Read, out: &mut dyn Write) -> anyhow::Result<Option<(u64, String)>> {
    let mut batch = Writer::default();
    let mut refused: Option<(u64, String)> = None;
    for line in BufReader::with_capacity(1 << 20, events).split(b'\n') {
        let event = Event::from_line(&line?)?;
        if let Err(error) = batch.push(&event) {
            refused.get_or_insert_with(|| (0, error.to_string())).0 += 1;
        } else if batch.bytes() >= BATCH_BYTES {
            out.write_all(&std::mem::take(&mut batch).finish())?;
        }
    }
    out.write_all(&batch.finish())?;
    Ok(refused)
}
