//! `touchmark decide cost`.

use clap::Args;

use super::Common;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(options: &Options, printer: &Printer) -> anyhow::Result<()> {
    let _ = (&options.common, printer);
    anyhow::bail!("to be written")
}
