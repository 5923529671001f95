//! `touchmark decide posture`.

use std::path::PathBuf;

use clap::Args;
use touchmark_economics::posture::{Answers, Model, from_facts, report};

use super::Common;
use super::data::{fleet_facts, read_text};
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Your answers: `[answers]` with a level for each question, and what shows it. Without them, the worked example.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// A server's data directory: what its registry can answer, it answers in place of an opinion.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(crate) fn run(options: &Options, printer: &Printer) -> anyhow::Result<()> {
    let inputs = options.common.inputs()?;
    let model = Model::own()?;
    let mut answers = match (&options.answers, &options.data_dir) {
        (Some(path), _) => read_text(path, |text| Answers::read(text, &model))?,
        (None, None) => Answers::example(&model)?,
        // A registry without opinions: what it does not know is not answered.
        (None, Some(_)) => Answers::default(),
    };
    if let Some(directory) = &options.data_dir {
        answers = answers.overridden(from_facts(&model, &fleet_facts(directory, &inputs)?));
    }
    options.common.print(&report(&model, &answers, &inputs)?, printer)
}
