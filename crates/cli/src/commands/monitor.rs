//! `touchmark monitor`.

mod replay;
mod score;
mod simulate;

use clap::Subcommand;

use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Read recorded events (touchmark.event/1, one a line) and write findings (touchmark.finding/1, one a line).
    Replay(replay::Arguments),
    /// Judge findings by the truth of a simulation.
    Score(score::Arguments),
    /// Write the events of a simulated fleet with labelled attacks.
    Simulate(simulate::Arguments),
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    match verb {
        Verb::Replay(arguments) => replay::run(&arguments, printer),
        Verb::Score(arguments) => score::run(&arguments, printer),
        Verb::Simulate(arguments) => simulate::run(&arguments, printer),
    }
}
