//! `touchmark monitor run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use touchmark_identity::text::printable;
use touchmark_monitor::adapters::Format;
use touchmark_monitor::outputs::{self, Context, Form};
use touchmark_server::geo::Geo;
use touchmark_server::stream::config::{Input, InputKind};
use touchmark_server::stream::{RunConfig, Runner, run::lines};

use super::foreign::FormatArgs;
use crate::input::line_to_fd;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Configuration file; without one, the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, in place of the configuration's.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// An input beside the configuration's: events or a foreign log; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
    /// What addresses are looked up in, in place of the configuration's: a database in MaxMind format, `built-in` or
    /// `none`.
    #[arg(long, value_name = "MMDB")]
    geo: Option<Geo>,
    /// The form of the findings on stdout: native, ocsf, ecs, cef or cloudevents.
    #[arg(long, default_value_t = Form::Native)]
    form: Form,
    /// Read files, stdin and topics of Kafka to their end, observe everything, and end.
    #[arg(long)]
    once: bool,
    /// Write one line of JSON with the address to this file descriptor once the monitor is ready.
    #[arg(long, value_name = "N")]
    ready_fd: Option<u32>,
}

impl Arguments {
    /// The input that the command line names. How far it was read is kept under its name, which follows from its path.
    fn input(&self, path: &Path) -> Input {
        let stdin = path == Path::new("-");
        let file = path.file_name().map(|name| printable(&name.to_string_lossy(), 64));
        let named = if stdin { Some("stdin".to_owned()) } else { file };
        let format = self.format.from;
        Input {
            name: self.format.source.clone().or(named).unwrap_or_default(),
            kind: if stdin { InputKind::Stdin } else { InputKind::File },
            format: (format != Format::Touchmark).then_some(format),
            path: (!stdin).then(|| path.to_owned()),
            address: None,
            topic: None,
            ca_file: None,
            user: None,
            password_file: None,
        }
    }
}

pub(crate) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<()> {
    let mut config = match &arguments.config {
        Some(path) => RunConfig::read(path)?,
        None => RunConfig::default(),
    };
    if let Some(data) = &arguments.data {
        config.data.clone_from(data);
    }
    if let Some(geo) = &arguments.geo {
        config.geo.clone_from(geo);
    }
    if let Some(path) = &arguments.events {
        config.add_input(arguments.input(path))?;
    }
    let places = config.geo.open()?;
    let enrich = places.enrich();
    let form = arguments.form;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let context =
        Context::new("urn:touchmark:monitor", host.trim()).with_geography(places.geography().clone());
    let sink = lines(std::io::stdout(), move |finding| outputs::write(finding, form, &context));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let runner = Runner::start(config, enrich, crate::now).await?;
        let ready = runner.ready();
        if let Some(events) = &ready.events {
            printer.say(&format!("events      {events}"));
        }
        if let Some(fd) = arguments.ready_fd {
            line_to_fd(fd, &serde_json::to_string(ready)?)?;
        }
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
        let until = async {
            tokio::select! {
                _interrupted = tokio::signal::ctrl_c() => {}
                _terminated = terminate.recv() => {}
            }
        };
        let desk = Arc::clone(runner.desk());
        runner.run(until, sink, arguments.once).await?;
        let counts = desk.station().monitor().counts();
        printer.say(&format!(
            "{} events, {} identities, {} duplicates",
            counts.events, counts.identities, counts.duplicates
        ));
        for (name, input) in desk.inputs().iter() {
            for (reason, (number, example)) in &input.refused {
                printer
                    .say(&format!("{name}: {number} lines are no event ({reason}), the last is {example}"));
            }
        }
        Ok(())
    });
    // A thread that waits for stdin would be waited for.
    runtime.shutdown_background();
    done
}
