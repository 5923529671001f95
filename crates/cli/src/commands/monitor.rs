//! `touchmark monitor`.

mod convert;

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use touchmark_monitor::adapters::Format;
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
        /// Policy file: TOML with a `monitor` table.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Network database in MaxMind format; gives events without an AS number that of their address.
        #[arg(long, value_name = "MMDB")]
        geo: Option<PathBuf>,
    },
    /// Read a foreign log and write its events (touchmark.event/1, one a line).
    Convert {
        /// The log's format, such as `nginx`, `haproxy` or `mosquitto`; docs/adapters.md lists them.
        #[arg(long, value_name = "FORMAT")]
        from: Format,
        /// The log's name in the events; without it, the format's.
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// The log; `-` is stdin.
        #[arg(long = "in", value_name = "FILE")]
        input: PathBuf,
    },
}

/// The policy file of a replay.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Policy {
    monitor: Settings,
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(path).map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    let (events, registry, policy, geo) = match verb {
        Verb::Replay { events, registry, policy, geo } => (events, registry, policy, geo),
        Verb::Convert { from, source, input } => {
            let source = source.unwrap_or_else(|| from.to_string());
            let mut out = BufWriter::new(std::io::stdout().lock());
            return convert::convert(from, &source, open(&input)?.as_mut(), &mut out, printer);
        }
    };
    let policy: Policy = match policy {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
            toml::from_str(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?
        }
        None => Policy::default(),
    };
    let networks = geo.as_deref().map(Networks::open).transpose()?;
    let mut engine = Engine::new(policy.monitor);
    let mut registry = registry.as_deref().map(open).transpose()?;
    let mut events = open(&events)?;
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
