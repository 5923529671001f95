//! `touchmark monitor publish`, `work` and `collect`: the monitor on several machines.

use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use touchmark_monitor::Settings;
use touchmark_monitor::outputs::{self, Context, Form};
use touchmark_server::geo::Geo;
use touchmark_server::stream::input::lines::{Lines, PIECE};
use touchmark_server::stream::nats::publish::Publisher;
use touchmark_server::stream::nats::{Cluster, collect, worker};

use super::open;
use crate::failure::Usage;
use crate::output::Printer;

/// The broker.
#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// Servers: nats://HOST:PORT, separated by commas.
    #[arg(long, value_name = "URL")]
    nats: String,
    /// Copies of each stream, when streams are made.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: u8,
    /// Hours for which events are kept in the streams, when streams are made; 0: for ever.
    #[arg(long, value_name = "H", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=87_600))]
    keep_h: u32,
}

impl BrokerArgs {
    fn cluster(&self) -> Cluster {
        let keep = Duration::from_secs(u64::from(self.keep_h) * 3_600);
        Cluster { servers: self.nats.clone(), replicas: self.replicas.into(), keep }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    broker: BrokerArgs,
    /// The events; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Registry lines that are valid from the beginning.
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// Say at the end that no more events will come, from any publisher: what is held back is observed.
    #[arg(long)]
    end: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    broker: BrokerArgs,
    /// The worker's name, which no other may have: letters, digits and hyphens. Default: host name and process id.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Policy file: TOML with a `monitor` table. The same for all workers.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Network database in MaxMind format, which gives events without an AS number that of their address; the same for
    /// all workers. `built-in` and `none` give them nothing.
    #[arg(long, value_name = "MMDB", default_value_t = Geo::BuiltIn)]
    geo: Geo,
    /// Seconds after which the partitions of a worker that is gone are taken over.
    #[arg(long, value_name = "S", default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=3600))]
    lease_s: u16,
    /// Seconds between checkpoints of a partition.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3600))]
    checkpoint_s: u16,
}

#[derive(Debug, Args)]
pub(crate) struct Collect {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Go on with what comes, until stopped. Without it: what is there at the moment.
    #[arg(long)]
    follow: bool,
    /// The form of the findings: native, ocsf, ecs, cef or cloudevents.
    #[arg(long, default_value_t = Form::Native)]
    form: Form,
    /// What the addresses of networks are looked up in, for the forms that show countries: a database in MaxMind format,
    /// `built-in` or `none`.
    #[arg(long, value_name = "MMDB", default_value_t = Geo::BuiltIn)]
    geo: Geo,
}

/// The policy file of a worker.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Policy {
    monitor: Settings,
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

async fn told_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    tokio::select! {
        _interrupted = tokio::signal::ctrl_c() => {}
        _terminated = terminate.recv() => {}
    }
    Ok(())
}

pub(crate) fn publish(arguments: &Publish, printer: &Printer) -> anyhow::Result<()> {
    let mut registry = Vec::new();
    if let Some(path) = &arguments.registry {
        open(path)?.read_to_end(&mut registry).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let mut events = open(&arguments.events)?;
    runtime()?.block_on(async {
        let mut publisher = Publisher::new(arguments.broker.cluster().connect().await?);
        publisher.register(&registry).await?;
        let (mut lines, mut buffer) = (Lines::default(), vec![0; PIECE]);
        loop {
            let read = match tokio::task::block_in_place(|| events.read(&mut buffer)) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", arguments.events.display()));
                }
            };
            if read == 0 {
                break;
            }
            let whole = lines.push(buffer.get(..read).unwrap_or_default());
            publisher.send(&whole).await?;
        }
        publisher.send(&lines.finish()).await?;
        if arguments.end {
            publisher.end().await?;
        }
        printer.say(&format!("{} events published", publisher.events));
        for (reason, (number, example)) in &publisher.refused {
            printer.say(&format!("{number} lines are no event ({reason}), the first is {example}"));
        }
        Ok(())
    })
}

pub(crate) fn work(arguments: &Work, printer: &Printer) -> anyhow::Result<()> {
    let policy: Policy = match &arguments.policy {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
            toml::from_str(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?
        }
        None => Policy::default(),
    };
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let host = host.trim().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            format!("{host}-{}", std::process::id())
        }
    };
    if name.is_empty() || name.len() > 64 || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        return Err(Usage(format!("{name:?} is no name of 1 to 64 letters, digits and hyphens")).into());
    }
    let options = worker::Options {
        name,
        time_to_live: Duration::from_secs(arguments.lease_s.into()),
        checkpoint: Duration::from_secs(arguments.checkpoint_s.into()),
        settings: policy.monitor,
        places: arguments.geo.open()?,
    };
    runtime()?.block_on(async {
        let broker = arguments.broker.cluster().connect().await?;
        printer.say(&format!("worker {} begins", options.name));
        let (sender, stop) = tokio::sync::watch::channel(false);
        let working = worker::work(broker, options, stop);
        tokio::pin!(working);
        tokio::select! {
            ended = &mut working => return Ok(ended?),
            told = told_to_stop() => told?,
        }
        // The worker listens: it is running.
        let _told = sender.send(true);
        Ok(working.await?)
    })
}

pub(crate) fn collect(arguments: &Collect, printer: &Printer) -> anyhow::Result<()> {
    // Equal findings give equal bytes wherever they are collected.
    let geography = arguments.geo.open()?.geography().clone();
    let context = Context::new("urn:touchmark:monitor", "-").with_geography(geography);
    runtime()?.block_on(async {
        let broker = arguments.broker.cluster().connect().await?;
        let mut out = BufWriter::new(std::io::stdout());
        let mut take = |finding: &touchmark_identity::finding::Finding| {
            writeln!(out, "{}", outputs::write(finding, arguments.form, &context))?;
            out.flush()
        };
        let collecting = collect::collect(&broker, arguments.follow, &mut take);
        tokio::select! {
            given = collecting => printer.say(&format!("{} findings", given?)),
            told = told_to_stop() => told?,
        }
        Ok(())
    })
}
