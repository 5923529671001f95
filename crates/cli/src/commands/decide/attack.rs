//! `touchmark decide attack`.

use std::path::PathBuf;

use clap::Args;
use touchmark_economics::attack::{Catalogue, report};

use super::Common;
use super::data::own_text;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A part or family, such as "OPTIGA Trust M": the newest published attack on it stands for its storage.
    #[arg(long, value_name = "PART")]
    part: Option<String>,
    /// What the attacker can spend: "50000 USD"; the same as --set attack.budget=…
    #[arg(long, value_name = "USD")]
    budget: Option<String>,
    /// What one clone brings the attacker: "20 USD/device"; the same as --set attack.gain=…
    #[arg(long, value_name = "USD/DEVICE")]
    gain: Option<String>,
    /// A file of attacks that replaces and adds to the product's own; may be given more than once.
    #[arg(long, value_name = "FILE")]
    attacks: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(options: &Options, printer: &Printer) -> anyhow::Result<()> {
    let mut inputs = options.common.inputs()?;
    for (flag, key, value) in
        [("--budget", "attack.budget", &options.budget), ("--gain", "attack.gain", &options.gain)]
    {
        if let Some(value) = value {
            inputs = inputs.given(flag, key, value)?;
        }
    }
    let mut catalogue = Catalogue::own(&inputs)?;
    for path in &options.attacks {
        let (file, text) = own_text(path)?;
        catalogue =
            catalogue.overridden(touchmark_economics::error::Text { file: &file, text: &text }, &inputs)?;
    }
    let report = report(&catalogue, options.part.as_deref(), &inputs)?;
    options.common.print(&report, printer)
}
