//! `touchmark monitor`.

mod replay;

use clap::Subcommand;

use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Read recorded events (touchmark.event/1, one a line) and write findings (touchmark.finding/1, one a line).
    Replay(replay::Arguments),
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    match verb {
        Verb::Replay(arguments) => replay::run(&arguments, printer),
    }
}
