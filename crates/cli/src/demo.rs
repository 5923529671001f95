//! The demonstration.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}
pub(crate) fn run(_options: &Options, _printer: &crate::output::Printer) -> anyhow::Result<()> { Ok(()) }
