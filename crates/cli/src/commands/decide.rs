//! `touchmark decide`: the models of what to build, what an attack costs, what the life costs.

mod attack;
mod cost;
mod data;
mod evidence;
mod posture;
mod reproduce;
mod sources;
mod storage;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use touchmark_economics::error::Text;
use touchmark_economics::input::Inputs;
use touchmark_economics::report::svg::{self, Place};
use touchmark_economics::report::{Block, Report, csv, html, markdown, terminal};

use self::data::own_text;
use crate::failure::Usage;
use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Where to keep a device's key: options ranked, with the rules and sources behind them.
    Storage(storage::Options),
    /// What it costs to compromise many devices, by where the key lives and whether a secret is shared.
    Attack(attack::Options),
    /// What a fleet costs over its life, by where its keys are.
    Cost(cost::Options),
    /// How ready an organisation is: scores, and the artefacts that they need.
    Posture(posture::Options),
    /// The figures of two published articles beside ours.
    Reproduce(reproduce::Options),
    /// What a fleet can show for the clauses of a framework, and what is missing.
    Evidence(evidence::Options),
    /// The sources and inputs behind every figure.
    Sources(sources::Options),
}

/// What every model takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// A file of inputs and sources that overrides the product's own; may be given more than once.
    #[arg(long, value_name = "FILE")]
    data: Vec<PathBuf>,
    /// One input: `fleet.devices="40000 device"`; may be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    format: Format,
    /// Write the report to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Say for each figure where it comes from, in text for a terminal; the other formats always do.
    #[arg(long)]
    figures: bool,
    /// Write each chart into this directory as an SVG file of its own.
    #[arg(long, value_name = "DIR")]
    charts: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text for a terminal.
    Terminal,
    /// Markdown.
    Markdown,
    /// One HTML file with its charts inside.
    Html,
    /// The same as `--json`.
    Json,
    /// The figures and the series of the charts.
    Csv,
}

impl Common {
    /// The product's inputs with the user's instead where there are any.
    fn inputs(&self) -> anyhow::Result<Inputs> {
        let mut inputs = Inputs::own()?;
        for path in &self.data {
            let (file, text) = own_text(path)?;
            inputs = inputs.overridden(Text { file: &file, text: &text })?;
        }
        for one in &self.set {
            let Some((key, value)) = one.split_once('=') else {
                return Err(Usage(format!(
                    "--set {one}: write KEY=VALUE, as fleet.devices=\"40000 device\""
                ))
                .into());
            };
            inputs = inputs.given("--set", key.trim(), value.trim())?;
        }
        Ok(inputs)
    }

    /// Writes a report as it is wanted.
    fn print(&self, report: &Report, printer: &Printer) -> anyhow::Result<()> {
        let format = if printer.is_json() { Format::Json } else { self.format };
        let text = match format {
            Format::Terminal if self.figures => terminal::with_figures(report),
            Format::Terminal => terminal::written(report),
            Format::Markdown => markdown::written(report),
            Format::Html => html::page(report)?,
            Format::Json => serde_json::to_string(report)?,
            Format::Csv => csv::written(report),
        };
        if let Some(directory) = &self.charts {
            charts(report, directory, printer)?;
        }
        match &self.out {
            Some(path) => {
                std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
                printer.say(&format!("written to {}", path.display()));
            }
            None => printer.data(report, &text)?,
        }
        if format == Format::Terminal && !self.figures {
            printer.say("where each figure comes from: --figures, or --format html --out FILE");
        }
        Ok(())
    }
}

/// Writes each chart as an SVG file.
fn charts(report: &Report, directory: &Path, printer: &Printer) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for block in &report.blocks {
        let Block::Chart(chart) = block else { continue };
        // Ids are ours: lower-case words with `-`.
        let path = directory.join(format!("{}.svg", chart.id));
        std::fs::write(&path, svg::drawn(chart, report, Place::File)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        printer.say(&format!("written to {}", path.display()));
    }
    Ok(())
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    match verb {
        Verb::Storage(options) => storage::run(&options, printer),
        Verb::Attack(options) => attack::run(&options, printer),
        Verb::Cost(options) => cost::run(&options, printer),
        Verb::Posture(options) => posture::run(&options, printer),
        Verb::Reproduce(options) => reproduce::run(&options, printer),
        Verb::Evidence(options) => evidence::run(&options, printer),
        Verb::Sources(options) => sources::run(&options, printer),
    }
}
