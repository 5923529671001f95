//! `touchmark monitor convert`: foreign log lines to our own events.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use touchmark_monitor::adapters::Format;

use super::foreign::Foreign;
use super::open;
use crate::output::Printer;

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
    let mut foreign = Foreign::new(arguments.from, &source, open(&arguments.input)?);
    std::io::copy(&mut foreign, &mut out)?;
    out.flush()?;
    foreign.say(printer);
    Ok(())
}
