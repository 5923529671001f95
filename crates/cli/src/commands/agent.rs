//! `touchmark agent`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};
use touchmark_agent::clock::{Clock, SystemClock};
use touchmark_agent::config::AgentConfig;
use touchmark_agent::device::Device;
use touchmark_agent::enrol::enrol;
use touchmark_agent::run::run as run_agent;

use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make the key, prove where it lives, and get a certificate. A device that has one is left as it is.
    Enrol {
        /// The device's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Send heartbeats and take firmware offers until Ctrl-C. What happens is printed one event a line.
    Run {
        /// The device's configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match verb {
        Verb::Enrol { config } => {
            let config = AgentConfig::load(&config)?;
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
            let mut device = Device::open(&config)?;
            let enrolled = runtime.block_on(enrol(&config, &mut device, &clock))?;
            let text = serde_json::to_string_pretty(&enrolled)?;
            printer.data(&enrolled, &text)
        }
        Verb::Run { config } => {
            let config = AgentConfig::load(&config)?;
            runtime.block_on(async {
                let mut terminate = signal(SignalKind::terminate())?;
                let shutdown = async move {
                    tokio::select! {
                        _interrupted = tokio::signal::ctrl_c() => {}
                        _terminated = terminate.recv() => {}
                    }
                };
                let events = Printer::new(true, false);
                let mut broken = None;
                run_agent(config, shutdown, |event| {
                    if let Err(error) = events.data(&event, "") {
                        broken.get_or_insert(error);
                    }
                })
                .await?;
                broken.map_or(Ok(()), Err)
            })
        }
    }
}
