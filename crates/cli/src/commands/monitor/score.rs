//! `touchmark monitor score`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use touchmark_identity::finding::Finding;
use touchmark_monitor::score::{ClassScore, False, Score, Scorer, Share};
use touchmark_monitor::simulate::Manifest;
use touchmark_monitor::simulate::attack::Truth;

use crate::failure::Usage;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The findings; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    findings: PathBuf,
    /// truth.ndjson of the simulation.
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// manifest.json of the simulation, for its device-days. Default: beside the truth.
    #[arg(long, value_name = "FILE", conflicts_with = "device_days")]
    manifest: Option<PathBuf>,
    /// Device-days, instead of a manifest.
    #[arg(long, value_name = "N")]
    device_days: Option<f64>,
}

fn lines(path: &Path, take: &mut dyn FnMut(&str) -> Result<(), String>) -> anyhow::Result<()> {
    let reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let file = File::open(path).map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
        Box::new(BufReader::new(file))
    };
    for (number, line) in (1_u64..).zip(reader.lines()) {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        if !line.trim().is_empty() {
            take(&line).map_err(|why| Usage(format!("{}, line {number}: {why}", path.display())))?;
        }
    }
    Ok(())
}

pub(crate) fn run(arguments: &Arguments, printer: &Printer) -> anyhow::Result<()> {
    let device_days = match arguments.device_days {
        Some(days) => days,
        None => {
            let beside = || arguments.truth.with_file_name("manifest.json");
            let path = arguments.manifest.clone().unwrap_or_else(beside);
            let text = std::fs::read(&path).map_err(|e| {
                Usage(format!("cannot read {}: {e}; --device-days does without", path.display()))
            })?;
            let manifest: Manifest =
                serde_json::from_slice(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
            manifest.device_days
        }
    };
    let mut truths = Vec::new();
    lines(&arguments.truth, &mut |line| {
        let truth: Truth = serde_json::from_str(line).map_err(|e| e.to_string())?;
        truths.push(truth);
        Ok(())
    })?;
    let mut scorer = Scorer::new(truths);
    lines(&arguments.findings, &mut |line| {
        scorer.take(Finding::from_line(line.as_bytes()).map_err(|e| e.to_string())?);
        Ok(())
    })?;
    let score = scorer.score(device_days);
    printer.data(&score, &table(&score))
}

fn share(share: &Share) -> String {
    share.share.map_or_else(
        || "-".to_owned(),
        |of| {
            format!(
                "{:.1} ({:.1}-{:.1})",
                of * 100.0,
                share.interval.low * 100.0,
                share.interval.high * 100.0
            )
        },
    )
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
}

fn false_line(name: &str, what: &False) -> String {
    let kinds: Vec<String> = what.rules.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
    format!(
        "false {name}: {} device-days, {:.2} per million ({:.2}-{:.2}) {}\n",
        what.device_days,
        what.per_million,
        what.interval.low,
        what.interval.high,
        kinds.join(", ")
    )
}

fn table(score: &Score) -> String {
    let mut text = format!("{} findings in {:.0} device-days\n", score.findings, score.device_days);
    text.push_str(&false_line("confirmed", &score.false_confirmed));
    text.push_str(&false_line("suspect or confirmed", &score.false_suspect));
    let heads = [share(&score.precision_confirmed), share(&score.precision_suspect)];
    // Writing into a string cannot fail.
    let _ = writeln!(text, "precision %: confirmed {}, suspect or confirmed {}", heads[0], heads[1]);
    let original = score.original;
    let _ = writeln!(
        text,
        "original: {} right, {} wrong, {} undecided\n",
        original.right, original.wrong, original.abstained
    );
    let _ = writeln!(
        text,
        "{:<14}{:>6}  {:<20}{:<20}{:<20}{:>16}{:>10}{:>14}  kinds",
        "class",
        "seen",
        "confirmed %",
        "suspect or better %",
        "right kind %",
        "s p50/p90",
        "uses",
        "orig r/w/-"
    );
    for (class, one) in &score.classes {
        let _ = writeln!(text, "{}", row(class, one));
    }
    text
}

fn row(class: &str, one: &ClassScore) -> String {
    let kinds: Vec<String> = one.kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    format!(
        "{class:<14}{:>6}  {:<20}{:<20}{:<20}{:>16}{:>10}{:>14}  {}",
        one.seen,
        share(&one.confirmed),
        share(&one.suspect),
        share(&one.right_kind),
        format!("{}/{}", number(one.seconds.median), number(one.seconds.p90)),
        format!("{}/{}", number(one.uses.median), number(one.uses.p90)),
        format!("{}/{}/{}", one.original.right, one.original.wrong, one.original.abstained),
        kinds.join(", ")
    )
}
