//! `touchmark monitor`.

mod cluster;
mod convert;
mod explain;
mod foreign;
mod policy;
mod replay;
mod respond;
mod run;
mod score;
mod simulate;
mod watched;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::Subcommand;

use crate::failure::Usage;
use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Read recorded events (touchmark.event/1, one a line) or a foreign log, and write findings (touchmark.finding/1,
    /// one a line).
    Replay(replay::Arguments),
    /// Watch: read events as they come, keep them durably, and write findings; goes on where it stood.
    Run(run::Arguments),
    /// On several machines: share events out over the partitions of a NATS JetStream cluster.
    Publish(cluster::Publish),
    /// On several machines: watch partitions of the cluster, as many as are this worker's share.
    Work(cluster::Work),
    /// On several machines: read the workers' findings from the cluster.
    Collect(cluster::Collect),
    /// Explain findings: instances side by side, weights, harmless causes, and what would change the verdict.
    Explain(explain::Explain),
    /// Read a foreign log and write its events (touchmark.event/1, one a line).
    Convert(convert::Arguments),
    /// Judge findings by the truth of a simulation.
    Score(score::Arguments),
    /// Show what a policy would have done about past findings; nothing is done.
    Respond(respond::Arguments),
    /// Write the events of a simulated fleet with labelled attacks.
    Simulate(simulate::Arguments),
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    match verb {
        Verb::Replay(arguments) => replay::run(&arguments, printer),
        Verb::Run(arguments) => run::run(&arguments, printer),
        Verb::Publish(arguments) => cluster::publish(&arguments, printer),
        Verb::Work(arguments) => cluster::work(&arguments, printer),
        Verb::Collect(arguments) => cluster::collect(&arguments, printer),
        Verb::Explain(explain) => explain::run(&explain, printer),
        Verb::Convert(arguments) => convert::run(&arguments, printer),
        Verb::Score(arguments) => score::run(&arguments, printer),
        Verb::Respond(arguments) => respond::run(&arguments, printer),
        Verb::Simulate(arguments) => simulate::run(&arguments, printer),
    }
}

/// Opens an input; `-` is stdin.
fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = File::open(path).map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
    Ok(Box::new(file))
}
