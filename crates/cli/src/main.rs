//! `touchmark`: the one binary, whose first-level commands are the stages of a credential's life.
//!
//! stdout carries data alone; progress and hints go to stderr. Exit codes: [`failure::Exit`].

mod commands;
mod control_client;
mod demo;
mod failure;
mod input;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use touchmark_identity::timestamp::Timestamp;
use tracing_subscriber::EnvFilter;

use crate::failure::Exit;
use crate::output::Printer;

/// Per-device identity that knows, and proves, where its key lives.
#[derive(Debug, Parser)]
#[command(name = "touchmark", version, max_term_width = 110, after_help = EXIT_CODES)]
struct Cli {
    /// Print one JSON document (streams: one a line) instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// Say less on stderr: errors alone.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    stage: Stage,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 the thing asked about is not so (a verification failed, a policy \
                          refused); 2 the call is wrong; 3 the environment failed (no token, no server, disk full); \
                          4 interrupted.";

#[derive(Debug, Subcommand)]
enum Stage {
    /// What to build: where to keep keys, what an attack costs, what the life of a fleet costs.
    #[command(subcommand)]
    Decide(commands::decide::Verb),
    /// Authority, monitor and dashboard in one process.
    #[command(subcommand)]
    Server(commands::server::Verb),
    /// A virtual secure element, for tests.
    #[command(subcommand)]
    Element(commands::element::Verb),
    /// One operation on a key store.
    #[command(subcommand)]
    Keystore(commands::keystore::Verb),
    /// The Verifier: evidence in, key assurance out.
    #[command(subcommand)]
    Attest(commands::attest::Verb),
    /// Registry and certification authority.
    #[command(subcommand)]
    Authority(commands::authority::Verb),
    /// The device side.
    #[command(subcommand)]
    Agent(commands::agent::Verb),
    /// The detection engine, over recorded events.
    #[command(subcommand)]
    Monitor(commands::monitor::Verb),
    /// The attacks, and the whole life of a small fleet as a demonstration.
    #[command(subcommand)]
    Lab(commands::lab::Verb),
}

/// Reads the clock: the one place of this program that does.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary is where the clock is read; everything below gets it"
)]
pub(crate) fn now() -> Timestamp {
    std::time::SystemTime::now().into()
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let default = if cli.quiet { "error" } else { "info" };
    let filter = EnvFilter::try_from_env("TOUCHMARK_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(
            std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none(),
        )
        .init();
    let printer = Printer::new(cli.json, cli.quiet);
    let done = match cli.stage {
        Stage::Decide(verb) => commands::decide::run(verb, &printer),
        Stage::Server(verb) => commands::server::run(verb, &printer),
        Stage::Element(verb) => commands::element::run(verb, &printer),
        Stage::Keystore(verb) => commands::keystore::run(verb, &printer),
        Stage::Attest(verb) => commands::attest::run(verb, &printer),
        Stage::Authority(verb) => commands::authority::run(verb, &printer),
        Stage::Agent(verb) => commands::agent::run(verb, &printer),
        Stage::Monitor(verb) => commands::monitor::run(verb, &printer),
        Stage::Lab(verb) => commands::lab::run(verb, &printer),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            printer.error(&error);
            failure::classify(&error).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
