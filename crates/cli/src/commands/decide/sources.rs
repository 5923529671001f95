//! `touchmark decide sources`: every input and source behind the figures.

use clap::{Args, ValueEnum};
use touchmark_economics::listing::{self, Choice};
use touchmark_economics::source;

use super::Common;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only inputs of this grade of evidence.
    #[arg(long, value_enum, value_name = "GRADE")]
    grade: Option<Grade>,
    /// Only inputs whose key begins with this.
    #[arg(value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// How much of a source was read.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Grade {
    /// The whole source was read.
    Whole,
    /// The text, as another public document quotes it.
    Quoted,
    /// The beginning of the page was read.
    Opening,
    /// Somebody else's report of it.
    Secondary,
    /// Common knowledge, checked nowhere.
    Unverified,
    /// An assumption of this project.
    Assumed,
    /// Your own input.
    Yours,
}

impl From<Grade> for source::Grade {
    fn from(grade: Grade) -> Self {
        match grade {
            Grade::Whole => Self::Whole,
            Grade::Quoted => Self::Quoted,
            Grade::Opening => Self::Opening,
            Grade::Secondary => Self::Secondary,
            Grade::Unverified => Self::Unverified,
            Grade::Assumed => Self::Assumed,
            Grade::Yours => Self::Yours,
        }
    }
}

pub(crate) fn run(options: &Options, printer: &Printer) -> anyhow::Result<()> {
    let choice = Choice { grade: options.grade.map(Into::into), key: options.key.clone() };
    options.common.print(&listing::report(&options.common.inputs()?, &choice)?, printer)
}
