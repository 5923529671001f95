//! `touchmark monitor respond`.

use std::collections::BTreeMap;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use touchmark_identity::event::{Event, EventBody};
use touchmark_monitor::respond::{self, Rehearsal};

use super::open;
use super::policy;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Policy file: TOML with `response` rules and `groups`.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The findings; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    findings: PathBuf,
    /// Registry lines, for groups by device type.
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<()> {
    rehearse(&arguments.policy, &arguments.findings, arguments.registry.as_deref(), printer)
}

fn rehearse(
    policy: &Path,
    findings: &Path,
    registry: Option<&Path>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let (_, policy) = policy::read(policy)?;
    let device_types = registry.map(device_types).transpose()?.unwrap_or_default();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut rehearsal = Rehearsal::new(policy, device_types);
    let summary = respond::rehearse(&mut rehearsal, &mut BufReader::new(open(findings)?), &mut out)?;
    printer.say(&format!(
        "{} findings, {} cases, {} acts; nothing was done",
        summary.findings, summary.cases, summary.acts
    ));
    if let Some((line, says)) = &summary.first_skipped {
        printer.say(&format!("{} lines skipped, the first is line {line}: {says}", summary.skipped));
    }
    if summary.left_out > 0 {
        let most = respond::MAX_CASES;
        printer.say(&format!("{} findings left out: more than {most} cases are not kept", summary.left_out));
    }
    Ok(())
}

/// The types of the devices that a file of registry lines names.
fn device_types(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let bytes = crate::input::read(path)?;
    let mut types = BTreeMap::new();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let event = Event::from_line(line).with_context(|| format!("{} line {}", path.display(), at + 1))?;
        if let EventBody::Registry(known) = event.body
            && let Some(device_type) = known.device_type
        {
            types.insert(known.device, device_type);
        }
    }
    Ok(types)
}
