//! `touchmark decide evidence`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use touchmark_economics::evidence::framework::{self, NAMES};
use touchmark_economics::evidence::{Artefacts, FleetFacts, Query, affected, artefacts, pack};
use touchmark_economics::input::Inputs;
use touchmark_server::error::ServerError;
use touchmark_server::fleet;

use super::Common;
use super::data::{fleet_facts, read_text};
use crate::failure::Usage;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Whose clauses.
    #[arg(long, value_name = "NAME", default_value = "cra", value_parser = PossibleValuesParser::new(NAMES))]
    framework: String,
    /// A server's data directory, which is read beside the server; without one, the worked example.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Artefacts that you name for evidence that the product does not keep: `[artefacts]` with a place for each kind.
    #[arg(long, value_name = "FILE")]
    artefacts: Option<PathBuf>,
    /// Which products and devices have this part? VENDOR/MODEL or VENDOR/MODEL@REVISION.
    #[arg(long, value_name = "PART")]
    affected_part: Option<String>,
    /// Which have this version of the cryptographic library inside the part?
    #[arg(long, value_name = "VERSION")]
    affected_library: Option<String>,
    /// Which reported this firmware last?
    #[arg(long, value_name = "VERSION")]
    affected_firmware: Option<String>,
    /// Which are of this batch? No registry of ours records batches; the answer says so.
    #[arg(long, value_name = "BATCH")]
    affected_batch: Option<String>,
    /// Write each device that is affected, or may be, as a line of JSON to this file; `-` for stdout, in place of the
    /// report.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
}

pub(crate) fn run(options: &Options, printer: &Printer) -> anyhow::Result<()> {
    let inputs = options.common.inputs()?;
    let query = query(options)?;
    if !query.is_empty() {
        return answer(options, &query, &inputs, printer);
    }
    if options.list.is_some() {
        return Err(
            Usage("--list goes with --affected-part, -library, -firmware or -batch".to_owned()).into()
        );
    }
    let framework = framework::own(&options.framework, inputs.sources())?;
    let artefacts = match &options.artefacts {
        Some(path) => read_text(path, artefacts::read)?,
        None => Artefacts::new(),
    };
    let facts = match &options.data_dir {
        Some(directory) => fleet_facts(directory, &inputs)?,
        None => FleetFacts::example()?,
    };
    options.common.print(&pack::report(&framework, &facts, &artefacts, &inputs)?, printer)
}

fn query(options: &Options) -> anyhow::Result<Query> {
    let query = Query {
        library: options.affected_library.clone(),
        firmware: options.affected_firmware.clone(),
        batch: options.affected_batch.clone(),
        ..Query::default()
    };
    Ok(match &options.affected_part {
        Some(part) => query.with_part(part)?,
        None => query,
    })
}

/// Which products and devices are affected?
fn answer(options: &Options, query: &Query, inputs: &Inputs, printer: &Printer) -> anyhow::Result<()> {
    let Some(directory) = &options.data_dir else {
        return Err(Usage(
            "which devices are affected, a registry alone can say; name one with --data-dir DIR".to_owned(),
        )
        .into());
    };
    let to_stdout = options.list.as_deref() == Some(Path::new("-"));
    let mut list: Option<Box<dyn Write>> = match &options.list {
        Some(_) if to_stdout => Some(Box::new(BufWriter::new(std::io::stdout().lock()))),
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Some(Box::new(BufWriter::new(file)))
        }
        None => None,
    };
    let unwritten = |source: std::io::Error| ServerError::File {
        action: "write",
        path: options.list.as_deref().unwrap_or(Path::new("-")).display().to_string(),
        source,
    };
    let cohort = fleet::affected(directory, query, |device| match &mut list {
        Some(list) => {
            let line = serde_json::to_string(&device).map_err(|error| unwritten(error.into()))?;
            writeln!(list, "{line}").map_err(unwritten)
        }
        None => Ok(()),
    })?;
    if let Some(mut list) = list {
        list.flush().map_err(unwritten)?;
    }
    if to_stdout {
        printer.say(&format!(
            "{} of {} devices are affected, {} more may be",
            cohort.all.affected, cohort.all.devices, cohort.all.possibly
        ));
        return Ok(());
    }
    let facts = FleetFacts {
        place: directory.display().to_string(),
        as_of: crate::now().to_string(),
        ..FleetFacts::default()
    };
    options.common.print(&affected::report(query, &cohort, &facts, inputs)?, printer)
}
