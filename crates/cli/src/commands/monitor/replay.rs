//! `touchmark monitor replay`.

use std::io::{BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use touchmark_monitor::outputs::{self, Context, Form};
use touchmark_monitor::{Monitor, Settings, replay};
use touchmark_server::geo::Geo;

use super::foreign::{Events, FormatArgs};
use super::open;
use super::policy;
use super::watched::Watched;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The events, as lines or as batches (see `convert --to batch`); `-` is stdin.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
    /// Registry lines that are valid from the beginning.
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// Policy file: TOML; its `monitor` table.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What addresses are looked up in: a network database in MaxMind format, which gives events without an AS number
    /// that of their address; `built-in`, the countries that are part of the program, for the forms that show them; or
    /// `none`.
    #[arg(long, value_name = "MMDB", default_value_t = Geo::BuiltIn)]
    geo: Geo,
    /// The form of the findings: native, ocsf, ecs, cef or cloudevents.
    #[arg(long, default_value_t = Form::Native)]
    form: Form,
    /// Threads; the findings are the same for any number. Default: one for each processor.
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
}

pub(crate) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<()> {
    let settings = match &arguments.policy {
        Some(path) => policy::read(path)?.0,
        None => Settings::default(),
    };
    let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut monitor = Monitor::new(&settings, arguments.workers.unwrap_or_else(processors));
    let places = arguments.geo.open()?;
    if let Some(enrich) = places.enrich() {
        monitor.enrich_with(enrich);
    }
    let mut registry = arguments.registry.as_deref().map(open).transpose()?;
    let mut events = Events::new(&arguments.format, Watched::open(&arguments.events, printer)?);
    let mut out = BufWriter::new(std::io::stdout().lock());
    // A replay has to give the same bytes on every machine.
    let context = Context::new("urn:touchmark:replay", "-").with_geography(places.geography().clone());
    let summary = replay::replay(
        &mut monitor,
        registry.as_mut().map(|registry| registry.as_mut() as &mut dyn Read),
        &mut events,
        &mut |finding| writeln!(out, "{}", outputs::write(finding, arguments.form, &context)),
    )?;
    out.flush()?;
    let counts = summary.counts;
    events.say(printer);
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
