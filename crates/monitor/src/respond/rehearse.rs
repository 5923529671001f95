//! A policy over findings of the past: what would have been done. Nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read, Write};

use touchmark_identity::finding::{Finding, FindingId, MAX_LINE_BYTES};
use touchmark_identity::timestamp::Timestamp;

use super::case::{Case, Input};
use super::policy::Policy;
use super::request::Act;
use crate::replay::ReplayError;

/// How many cases a rehearsal keeps at most; findings that would open another one are counted.
pub const MAX_CASES: usize = 1_000_000;

/// What a rehearsal has read and written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RehearsalSummary {
    /// Findings read, each revision counted.
    pub findings: u64,
    /// Cases opened.
    pub cases: u64,
    /// Acts written.
    pub acts: u64,
    /// Findings that would have opened a case beyond [`MAX_CASES`].
    pub left_out: u64,
    /// Lines that are no finding.
    pub skipped: u64,
    /// Number of the first such line, from 1, and what was wrong with it.
    pub first_skipped: Option<(u64, String)>,
}

/// Cases over findings in the order given. The clock is the findings' `detected`; where one is older than the one
/// before it, the clock stands still. Nobody answers a challenge and nobody decides.
#[derive(Debug)]
pub struct Rehearsal {
    policy: Policy,
    device_types: BTreeMap<String, String>,
    cases: BTreeMap<FindingId, Case>,
    due: BTreeSet<(Timestamp, FindingId)>,
    now: Timestamp,
    left_out: u64,
}

impl Rehearsal {
    /// Begins without cases. `device_types` gives the type of a device by its name.
    #[must_use]
    pub fn new(policy: Policy, device_types: BTreeMap<String, String>) -> Self {
        Self {
            policy,
            device_types,
            cases: BTreeMap::new(),
            due: BTreeSet::new(),
            now: Timestamp::from_micros(0),
            left_out: 0,
        }
    }

    /// Takes a finding: first what came due before it, then what follows from it.
    pub fn finding(&mut self, finding: &Finding) -> Vec<Act> {
        self.now = self.now.max(finding.detected);
        let mut acts = self.run_out(Some(self.now));
        let case = match self.cases.remove(&finding.id) {
            Some(case) => case,
            None => {
                let device_type = finding.device.as_ref().and_then(|device| self.device_types.get(device));
                let Some(case) = Case::open(&self.policy, finding, device_type.map(String::as_str)) else {
                    return acts;
                };
                if self.cases.len() >= MAX_CASES {
                    self.left_out += 1;
                    return acts;
                }
                case
            }
        };
        self.give(case, self.now, Input::Finding(finding), &mut acts);
        acts
    }

    /// Lets the waits run out that are still open.
    pub fn finish(&mut self) -> Vec<Act> {
        self.run_out(None)
    }

    fn run_out(&mut self, until: Option<Timestamp>) -> Vec<Act> {
        let mut acts = Vec::new();
        while let Some((at, id)) = self.due.first().copied() {
            if until.is_some_and(|until| at > until) {
                break;
            }
            self.due.pop_first();
            if let Some(case) = self.cases.remove(&id) {
                self.give(case, at, Input::Tick, &mut acts);
            }
        }
        acts
    }

    fn give(&mut self, case: Case, at: Timestamp, input: Input<'_>, acts: &mut Vec<Act>) {
        if let Some(due) = case.due() {
            self.due.remove(&(due, case.finding()));
        }
        let (case, new) = case.handle(at, input);
        acts.extend(new);
        if let Some(due) = case.due() {
            self.due.insert((due, case.finding()));
        }
        self.cases.insert(case.finding(), case);
    }
}

/// Reads findings, one a line, and writes what the policy would have done, one [`Act`] a line. A line that is no finding
/// is skipped and counted. Equal input gives byte-equal output.
///
/// # Errors
/// [`ReplayError`] when the input cannot be read or the output cannot be written.
pub fn rehearse(
    rehearsal: &mut Rehearsal,
    findings: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<RehearsalSummary, ReplayError> {
    let mut summary = RehearsalSummary::default();
    let mut number = 0;
    let mut line = Vec::new();
    loop {
        let more = bounded_line(findings, &mut line);
        if !more.map_err(|source| ReplayError::Read { input: "findings", line: number, source })? {
            break;
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        match Finding::from_line(&line) {
            Ok(finding) => {
                summary.findings += 1;
                write_acts(&rehearsal.finding(&finding), out, &mut summary)?;
            }
            Err(error) => {
                summary.skipped += 1;
                summary.first_skipped.get_or_insert_with(|| (number, error.to_string()));
            }
        }
    }
    write_acts(&rehearsal.finish(), out, &mut summary)?;
    out.flush().map_err(|source| ReplayError::Write { number: summary.acts, source })?;
    summary.cases = rehearsal.cases.len() as u64;
    summary.left_out = rehearsal.left_out;
    Ok(summary)
}

fn write_acts(acts: &[Act], out: &mut dyn Write, summary: &mut RehearsalSummary) -> Result<(), ReplayError> {
    for act in acts {
        summary.acts += 1;
        writeln!(out, "{}", act.to_line())
            .map_err(|source| ReplayError::Write { number: summary.acts, source })?;
    }
    Ok(())
}

/// Reads one line with its line feed; false at the end. Of a line that is too long only so much is kept that the reader
/// sees that it is.
fn bounded_line(from: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = MAX_LINE_BYTES as u64 + 2;
    let read = Read::take(&mut *from, most).read_until(b'\n', line)?;
    if read as u64 == most && line.last() != Some(&b'\n') {
        from.skip_until(b'\n')?;
    }
    Ok(read > 0)
}

#[cfg(test)]
mod tests;
