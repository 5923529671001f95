//! `touchmark decide cost`.

use clap::Args;
use touchmark_economics::cost::{self, Choices, Only, Storage};
use touchmark_economics::planner::{Authority, Revocation};

use super::Common;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Whose authority issues the certificates: managed or own.
    #[arg(long, default_value_t = Authority::Managed)]
    authority: Authority,
    /// How relying parties learn of revocation: crl, ocsp or none.
    #[arg(long, default_value_t = Revocation::Crl)]
    revocation: Revocation,
    /// Count later years less, by the input `finance.discount-rate`.
    #[arg(long)]
    discounted: bool,
    /// The storage that the charts hold against software: secure-element, tpm or enclave.
    #[arg(long, default_value_t = Storage::SecureElement)]
    storage: Storage,
    /// Part of the report: all, cost or planner.
    #[arg(long, default_value_t = Only::All)]
    only: Only,
    /// Show money in this currency, as EUR; needs `--rate`.
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// How much of the currency one US dollar is, with the unit 1: `--rate "0.92 1"`.
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// Lives that are sampled.
    #[arg(long, default_value_t = 10_000)]
    lives: usize,
    /// The seed that they are sampled from; the same seed gives the same lives.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(options: &Options, printer: &Printer) -> anyhow::Result<()> {
    let mut inputs = options.common.inputs()?;
    if let Some(rate) = &options.rate {
        inputs = inputs.given("--rate", "currency.rate", rate)?;
    }
    let wanted = cost::Options {
        choices: Choices {
            authority: options.authority,
            revocation: options.revocation,
            discounted: options.discounted,
        },
        storage: options.storage,
        only: options.only,
        currency: options.currency.clone(),
        lives: options.lives,
        seed: options.seed,
    };
    options.common.print(&cost::report(&inputs, &wanted)?, printer)
}
