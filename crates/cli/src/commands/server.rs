//! `touchmark server`.

use anyhow::Context;
use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};
use touchmark_server::Server;

use crate::input::{DataArgs, line_to_fd};
use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start authority, monitor and dashboard, and run until Ctrl-C.
    Run {
        #[command(flatten)]
        data: DataArgs,
        /// Write one line of JSON with the addresses to this file descriptor once the server is ready.
        #[arg(long, value_name = "N")]
        ready_fd: Option<u32>,
    },
    /// Print the configuration as it would be used.
    ShowConfig {
        #[command(flatten)]
        data: DataArgs,
    },
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    match verb {
        Verb::ShowConfig { data } => {
            let config = data.config()?;
            printer.data(&config, &toml::to_string_pretty(&config)?)
        }
        Verb::Run { data, ready_fd } => {
            let config = data.config()?;
            let passphrase = data.passphrase()?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(async {
                let server = Server::start(
                    config,
                    &data.data,
                    passphrase,
                    touchmark_element::TEST_ROOT_CERTIFICATE_PEM,
                    crate::now,
                )
                .await?;
                let addresses = server.addresses();
                printer.say(&format!(
                    "enrolment   {}\nrevocation  {}\ndashboard   {}",
                    addresses.enrol, addresses.public, addresses.dashboard
                ));
                if let Some(fd) = ready_fd {
                    line_to_fd(fd, &serde_json::to_string(addresses)?)?;
                }
                let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
                let until = async {
                    tokio::select! {
                        _interrupted = tokio::signal::ctrl_c() => {}
                        _terminated = terminate.recv() => {}
                    }
                };
                Ok(server.run(until).await?)
            })
        }
    }
}
