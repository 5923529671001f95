//! What the user sees: the story on stderr, the table on stdout.

use std::time::Instant;

use serde::Serialize;
use touchmark_identity::finding::Finding;

use crate::output::Printer;

/// Tells the story and remembers what did not come out as it should.
#[derive(Debug)]
pub(crate) struct Show {
    printer: Printer,
    started: Instant,
    failures: Vec<String>,
}

/// The summary: for each attack, what it got from each storage class.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    attack: String,
    software: String,
    tpm: String,
    secure_element: String,
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    schema: &'static str,
    seconds: u64,
    attacks: &'a [Row],
    unmet: &'a [String],
}

impl Table {
    pub(crate) fn add(&mut self, attack: &str, software: &str, tpm: &str, secure_element: &str) {
        self.rows.push(Row {
            attack: attack.to_owned(),
            software: software.to_owned(),
            tpm: tpm.to_owned(),
            secure_element: secure_element.to_owned(),
        });
    }
}

/// Width of a column of the table, in characters.
const COLUMN: usize = 27;
const LABEL: usize = 20;

impl Show {
    pub(crate) fn new(printer: Printer) -> Self {
        Self { printer, started: Instant::now(), failures: Vec::new() }
    }

    pub(crate) fn step(&self, number: u8, title: &str) {
        let seconds = self.started.elapsed().as_secs();
        self.printer.say(&format!("\n{number}. {title}  [{seconds} s]"));
    }

    pub(crate) fn say(&self, text: &str) {
        self.printer.say(&format!("   {text}"));
    }

    pub(crate) fn progress(&self, text: &str) {
        self.printer.progress(text);
    }

    /// Says what was expected when it is so, and remembers what was seen when it is not.
    pub(crate) fn check(&mut self, holds: bool, expected: &str, seen: &str) {
        if holds {
            self.printer.say(&format!("   ok  {expected}"));
        } else {
            self.printer.say(&format!("   NOT AS EXPECTED  {seen}"));
            self.failures.push(seen.to_owned());
        }
    }

    pub(crate) fn finding(&self, finding: &Finding) {
        let rules = finding.rules.join(", ");
        self.printer.say(&format!(
            "\n   {} {}: {}\n      rule {rules}; regime {} because {}; proposed: {}",
            finding.grade,
            finding.kind,
            finding.device.as_deref().unwrap_or("an unknown identity"),
            finding.regime,
            finding.regime_basis,
            finding.action,
        ));
        for line in wrap(&finding.says, 96) {
            self.printer.say(&format!("      {line}"));
        }
        for evidence in &finding.evidence {
            self.printer.say(&format!("      {:>6.1} dB  {}", evidence.decibans, evidence.says));
        }
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The table: text for people, JSON for scripts.
    pub(crate) fn summary(&self, table: &Table) -> anyhow::Result<()> {
        let seconds = self.started.elapsed().as_secs();
        let rule = "-".repeat(LABEL + 3 * (COLUMN + 2));
        let mut text = format!("\nWhat each attack got, per storage class ({seconds} s)\n{rule}\n");
        text.push_str(&line("", "software", "tpm", "secure element"));
        text.push_str(&format!("{rule}\n"));
        for row in &table.rows {
            let columns = [&row.attack, &row.software, &row.tpm, &row.secure_element];
            let widths = [LABEL, COLUMN, COLUMN, COLUMN];
            let cells: Vec<Vec<String>> = columns.iter().zip(widths).map(|(c, w)| wrap(c, w)).collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(0);
            for at in 0..height {
                let cell = |n: usize| cells.get(n).and_then(|c| c.get(at)).map_or("", String::as_str);
                text.push_str(&line(cell(0), cell(1), cell(2), cell(3)));
            }
        }
        text.push_str(&rule);
        let summary =
            Summary { schema: "touchmark.demo/1", seconds, attacks: &table.rows, unmet: &self.failures };
        self.printer.data(&summary, &text)
    }
}

fn line(attack: &str, software: &str, tpm: &str, element: &str) -> String {
    format!("{attack:<LABEL$}  {software:<COLUMN$}  {tpm:<COLUMN$}  {element}\n")
}

/// Breaks a text between words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn words_are_kept_whole() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), Vec::<String>::new());
    }
}
