//! `touchmark monitor`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use touchmark_identity::event::{Event, EventBody};
use touchmark_monitor::respond::{self, Group, Rehearsal, Rule};
use touchmark_monitor::{Engine, Settings, replay};

use crate::failure::Usage;
use crate::networks::Networks;
use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Read recorded events (touchmark.event/1, one a line) and write findings (touchmark.finding/1, one a line).
    Replay {
        /// The events; `-` is stdin.
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
    },
    /// Read findings of the past and write what a policy would have done (touchmark.response/1, one act a line).
    /// Nothing is done.
    Respond {
        /// Policy file: TOML with `response` rules and `groups`.
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// The findings; `-` is stdin.
        #[arg(long, value_name = "FILE")]
        findings: PathBuf,
        /// Registry lines, for groups by device type.
        #[arg(long, value_name = "FILE")]
        registry: Option<PathBuf>,
    },
}

/// The policy file. A replay uses `monitor`, a rehearsal the rest; both check all of it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyFile {
    monitor: Settings,
    response: Vec<Rule>,
    groups: BTreeMap<String, Group>,
}

impl PolicyFile {
    fn read(path: &Path) -> anyhow::Result<(Settings, respond::Policy)> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
        let file: Self = toml::from_str(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
        let policy = respond::Policy::new(file.response, file.groups)
            .with_context(|| format!("{} cannot be used", path.display()))?;
        Ok((file.monitor, policy))
    }
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(path).map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    match verb {
        Verb::Replay { events, registry, policy, geo } => {
            replay_events(&events, registry.as_deref(), policy.as_deref(), geo.as_deref(), printer)
        }
        Verb::Respond { policy, findings, registry } => {
            rehearse(&policy, &findings, registry.as_deref(), printer)
        }
    }
}

fn rehearse(
    policy: &Path,
    findings: &Path,
    registry: Option<&Path>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let (_, policy) = PolicyFile::read(policy)?;
    let device_types = registry.map(device_types).transpose()?.unwrap_or_default();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut rehearsal = Rehearsal::new(policy, device_types);
    let summary = respond::rehearse(&mut rehearsal, open(findings)?.as_mut(), &mut out)?;
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

fn replay_events(
    events: &Path,
    registry: Option<&Path>,
    policy: Option<&Path>,
    geo: Option<&Path>,
    printer: &Printer,
) -> anyhow::Result<()> {
    let settings = match policy {
        Some(path) => PolicyFile::read(path)?.0,
        None => Settings::default(),
    };
    let networks = geo.map(Networks::open).transpose()?;
    let mut engine = Engine::new(settings);
    let mut registry = registry.map(open).transpose()?;
    let mut events = open(events)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let summary = replay::replay(
        &mut engine,
        registry.as_mut().map(|r| r.as_mut() as &mut dyn BufRead),
        events.as_mut(),
        &mut out,
        &mut |event| {
            if let Some(networks) = &networks {
                networks.enrich(event);
            }
        },
    )?;
    printer.say(&format!("{} lines, {} findings", summary.lines, summary.findings));
    for (reason, skipped) in &summary.skipped {
        printer.say(&format!(
            "{} lines skipped ({reason}), the first is line {}: {} — {}",
            skipped.lines, skipped.first_line, skipped.says, skipped.example
        ));
    }
    Ok(())
}
