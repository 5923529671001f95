//! `touchmark decide storage`.

mod ask;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use touchmark_economics::attack::Catalogue;
use touchmark_economics::error::Text;
use touchmark_economics::storage::{EXAMPLE, Profile, Rules, report};

use super::Common;
use super::data::own_text;
use crate::failure::NotSo;
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The device's profile; docs/decide.md says what it holds. Without one: questions on a terminal, else the worked
    /// example.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Take the worked example, on a terminal too.
    #[arg(long, conflicts_with = "profile")]
    example: bool,
    /// Write the profile that was asked for to this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["profile", "example"])]
    save: Option<PathBuf>,
    /// What is said against hardware, to be answered: encrypted-firmware, obfuscation, no-physical-access,
    /// element-is-enough; may be given more than once.
    #[arg(long, value_name = "CLAIM")]
    objection: Vec<String>,
    /// A file of rules that replaces and adds to the product's own; may be given more than once.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(options: &Options, printer: &Printer) -> anyhow::Result<()> {
    let inputs = options.common.inputs()?;
    let mut rules = Rules::own(&inputs)?;
    for path in &options.rules {
        let (file, text) = own_text(path)?;
        rules = rules.overridden(Text { file: &file, text: &text }, &inputs)?;
    }
    let mut profile = profile(options, &rules, printer)?;
    for word in &options.objection {
        profile = profile.objecting(word)?;
    }
    let catalogue = Catalogue::own(&inputs)?;
    let report = report(&profile, &rules, &catalogue, &inputs)?;
    options.common.print(&report, printer)?;
    let says = |place: &str| report.data.pointer(place).and_then(serde_json::Value::as_bool) == Some(true);
    if !says("/shared_secrets/passes") {
        return Err(
            NotSo("one device's secret opens others, whatever the chip; the report names it".into()).into()
        );
    }
    if !says("/stands") {
        return Err(NotSo("every option is ruled out; the report says what would change that".into()).into());
    }
    Ok(())
}

fn profile(options: &Options, rules: &Rules, printer: &Printer) -> anyhow::Result<Profile> {
    let kinds = rules.kinds();
    if let Some(path) = &options.profile {
        let (file, text) = own_text(path)?;
        return Ok(Profile::read(Text { file: &file, text: &text }, &kinds)?);
    }
    let asked = options.save.is_some()
        || (!options.example && std::io::stdin().is_terminal() && std::io::stderr().is_terminal());
    if !asked {
        printer.say(&format!("no --profile: this is the worked example, {}", EXAMPLE.file));
        return Ok(Profile::read(EXAMPLE, &kinds)?);
    }
    let text = ask::profile(rules, &mut std::io::stdin().lock(), &mut std::io::stderr().lock())?;
    if let Some(path) = &options.save {
        std::fs::write(path, &text)?;
        printer.say(&format!("the profile is written to {}", path.display()));
    }
    Ok(Profile::read(Text { file: "your answers", text: &text }, &kinds)?)
}
