//! `touchmark monitor replay`.

use std::io::{BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use touchmark_monitor::outputs::{self, Context, Form};
use touchmark_monitor::{Monitor, Settings, replay};

use super::open;
use super::policy::PolicyFile;
use crate::networks::Networks;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The events, as lines or as batches (see `convert --to batch`); `-` is stdin.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Registry lines that are valid from the beginning.
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// Policy file: TOML; its `monitor` table.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Network database in MaxMind format; gives events without an AS number that of their address.
    #[arg(long, value_name = "MMDB")]
    geo: Option<PathBuf>,
    /// The form of the findings: native, ocsf, ecs, cef or cloudevents.
    #[arg(long, default_value_t = Form::Native)]
    form: Form,
    /// Threads; the findings are the same for any number. Default: one for each processor.
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
}

pub(crate) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<()> {
    let settings = match &arguments.policy {
        Some(path) => PolicyFile::read(path)?.0,
        None => Settings::default(),
    };
    let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut monitor = Monitor::new(&settings, arguments.workers.unwrap_or_else(processors));
    if let Some(path) = &arguments.geo {
        let networks = Networks::open(path)?;
        monitor.enrich_with(Arc::new(move |event| networks.enrich(event)));
    }
    let mut registry = arguments.registry.as_deref().map(open).transpose()?;
    let mut events = open(&arguments.events)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    // A replay has to give the same bytes on every machine.
    let context = Context::new("urn:touchmark:replay", "-");
    let summary = replay::replay(
        &mut monitor,
        registry.as_mut().map(|registry| registry.as_mut() as &mut dyn Read),
        events.as_mut(),
        &mut |finding| writeln!(out, "{}", outputs::write(finding, arguments.form, &context)),
    )?;
    out.flush()?;
    let counts = summary.counts;
    printer.say(&format!(
        "{} lines, {} identities, {} duplicates, {} findings",
        summary.lines, counts.identities, counts.duplicates, summary.findings
    ));
    for (reason, skipped) in &summary.skipped {
        printer.say(&format!(
            "{} lines skipped ({reason}), the first is line {}: {} — {}",
            skipped.lines, skipped.first_line, skipped.says, skipped.example
        ));
    }
    Ok(())
}
