//! `touchmark decide reproduce`.

use clap::Args;
use touchmark_economics::reproduce;

use super::Common;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(options: &Options, printer: &Printer) -> anyhow::Result<()> {
    let inputs = options.common.inputs()?;
    options.common.print(&reproduce::report(&inputs)?, printer)
}
