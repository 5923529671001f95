//! `touchmark monitor simulate`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use touchmark_monitor::simulate::{Scenario, Sinks, simulate};

use crate::failure::Usage;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The scenario (TOML); contrib/scenarios has some.
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,
    /// Equal seed and scenario give equal files.
    #[arg(long, value_name = "N")]
    seed: u64,
    /// Directory for events.ndjson, registry.ndjson, truth.ndjson and manifest.json; it is made where it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number of devices, instead of the scenario's.
    #[arg(long, value_name = "N")]
    devices: Option<u32>,
    /// Number of days, instead of the scenario's.
    #[arg(long, value_name = "D")]
    days: Option<f64>,
    /// Write labels.ndjson as well: which instance caused which event of an attacked identity.
    #[arg(long)]
    labels: bool,
}

fn create(directory: &Path, name: &str) -> anyhow::Result<BufWriter<File>> {
    let path = directory.join(name);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

pub(crate) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<()> {
    let path = &arguments.scenario;
    let text =
        std::fs::read_to_string(path).map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
    let mut scenario: Scenario =
        toml::from_str(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
    scenario.devices = arguments.devices.unwrap_or(scenario.devices);
    scenario.days = arguments.days.unwrap_or(scenario.days);
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut events = create(out, "events.ndjson")?;
    let mut registry = create(out, "registry.ndjson")?;
    let mut truth = create(out, "truth.ndjson")?;
    let mut labels = arguments.labels.then(|| create(out, "labels.ndjson")).transpose()?;
    let sinks = Sinks {
        events: &mut events,
        registry: &mut registry,
        truth: &mut truth,
        labels: labels.as_mut().map(|labels| labels as &mut dyn Write),
    };
    let manifest = simulate(&scenario, arguments.seed, sinks)?;
    for file in
        [Some(&mut events), Some(&mut registry), Some(&mut truth), labels.as_mut()].into_iter().flatten()
    {
        file.flush().context("cannot write the last lines")?;
    }
    let mut file = create(out, "manifest.json")?;
    serde_json::to_writer_pretty(&mut file, &manifest)?;
    writeln!(file)?;
    file.flush()?;
    printer.data(
        &manifest,
        &format!(
            "{} events of {} devices in {} days, {} identities attacked: {}",
            manifest.events,
            manifest.devices,
            manifest.days,
            manifest.attacked,
            out.display()
        ),
    )
}
