//! `touchmark monitor explain`: findings as text, and their raw lines found again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use touchmark_identity::event::RawDigest;
use touchmark_identity::finding::{Finding, FindingError, MAX_LINE_BYTES};
use touchmark_monitor::outputs::explain::Explanation;
use touchmark_server::geo::Geo;

use super::open;
use crate::failure::{NotSo, Usage};
use crate::output::Printer;

/// No more findings than this are explained at once.
const MAX_FINDINGS: usize = 10_000;

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Findings (touchmark.finding/1, one a line); `-` is stdin.
    #[arg(long, value_name = "FILE")]
    finding: PathBuf,
    /// The events that they were found in: every raw line that a finding rests on is looked up by its SHA-256. Exit code
    /// 1 when one is missing.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// What networks are looked up in for their countries, which are no evidence: a database in MaxMind format,
    /// `built-in` or `none`.
    #[arg(long, value_name = "MMDB", default_value_t = Geo::BuiltIn)]
    geo: Geo,
}

/// Where a raw line was found.
#[derive(Debug, Serialize)]
struct Checked {
    sha256: String,
    /// The number of the first such line, from 1; none where it is missing.
    line: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Explained {
    #[serde(flatten)]
    explanation: Explanation,
    /// What became of the raw lines; none where no events were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked: Option<Vec<Checked>>,
}

#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    findings: Vec<Explained>,
    /// Raw lines that were looked for and are not there.
    missing: usize,
}

/// Calls `each` with the number and content of every line; of lines that are too long to be an event or a finding, with
/// none.
fn for_each_line(
    from: &mut dyn BufRead,
    mut each: impl FnMut(u64, Option<&[u8]>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (mut line, mut number, mut too_long) = (Vec::new(), 0, false);
    loop {
        let bytes = from.fill_buf()?;
        let at_end = bytes.is_empty();
        let (part, ended) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(at) => (bytes.split_at(at).0, true),
            None => (bytes, false),
        };
        too_long |= line.len() + part.len() > MAX_LINE_BYTES;
        if !too_long {
            line.extend_from_slice(part);
        }
        let taken = part.len() + usize::from(ended);
        from.consume(taken);
        if ended || (at_end && (too_long || !line.is_empty())) {
            number += 1;
            each(number, (!too_long).then_some(line.as_slice()))?;
            line.clear();
            too_long = false;
        }
        if at_end {
            return Ok(());
        }
    }
}

/// Reads findings. A line that is none ends it: an explanation of half of them would look whole.
fn findings(path: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut found = Vec::new();
    let wrong = |number: u64, error: &FindingError| {
        Usage(format!("{} line {number}: {error} ({})", path.display(), error.code()))
    };
    for_each_line(&mut BufReader::new(open(path)?), |number, line| {
        match line {
            Some(line) if line.trim_ascii().is_empty() => return Ok(()),
            Some(line) => found.push(Finding::from_line(line).map_err(|error| wrong(number, &error))?),
            None => {
                let error = FindingError::TooLong { found: MAX_LINE_BYTES + 1, max: MAX_LINE_BYTES };
                return Err(wrong(number, &error).into());
            }
        }
        if found.len() > MAX_FINDINGS {
            return Err(Usage(format!("{} holds more than {MAX_FINDINGS} findings", path.display())).into());
        }
        Ok(())
    })
    .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(found)
}

/// The first line of each digest that is looked for.
fn look_up(path: &Path, wanted: &BTreeSet<RawDigest>) -> anyhow::Result<BTreeMap<RawDigest, u64>> {
    let mut places = BTreeMap::new();
    for_each_line(&mut BufReader::new(open(path)?), |number, line| {
        if let Some(digest) = line.map(RawDigest::of)
            && wanted.contains(&digest)
        {
            places.entry(digest).or_insert(number);
        }
        Ok(())
    })
    .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(places)
}

pub(super) fn run(explain: &Explain, printer: &Printer) -> anyhow::Result<()> {
    if explain.events.as_deref() == Some(Path::new("-")) && explain.finding == Path::new("-") {
        return Err(Usage("only one of --finding and --events can be stdin".to_owned()).into());
    }
    let findings = findings(&explain.finding)?;
    let wanted: BTreeSet<RawDigest> =
        findings.iter().flat_map(|finding| finding.events.iter().map(|event| event.sha256)).collect();
    let places = explain.events.as_deref().map(|path| look_up(path, &wanted)).transpose()?;
    let missing = places.as_ref().map_or(0, |places| wanted.len() - places.len());
    let looked_up_in = explain.geo.open()?;
    let (mut text, mut explained) = (String::new(), Vec::new());
    for finding in &findings {
        let explanation = Explanation::of(finding).with_countries(looked_up_in.geography());
        text.push_str(&explanation.text());
        let checked = places.as_ref().map(|places| {
            let check = |digest: RawDigest| Checked {
                sha256: digest.to_string(),
                line: places.get(&digest).copied(),
            };
            finding.events.iter().map(|event| check(event.sha256)).collect::<Vec<_>>()
        });
        for check in checked.iter().flatten() {
            let place =
                check.line.map_or_else(|| "MISSING".to_owned(), |line| format!("found in line {line}"));
            text.push_str(&format!("  {}  {place}\n", check.sha256));
        }
        text.push('\n');
        explained.push(Explained { explanation, checked });
    }
    let report = Report { schema: "touchmark.explanation/1", findings: explained, missing };
    if findings.is_empty() {
        printer.say("no findings");
    }
    if printer.is_json() || !findings.is_empty() {
        printer.data(&report, &text)?;
    }
    if missing > 0 {
        let of = wanted.len();
        return Err(NotSo(format!("{missing} of {of} raw lines are not in the events")).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_numbered() {
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        let input = [&b"a\n\n"[..], &long, b"\nb"].concat();
        for capacity in [1, 7, 1 << 20] {
            let mut seen = Vec::new();
            let mut reader = std::io::BufReader::with_capacity(capacity, input.as_slice());
            for_each_line(&mut reader, |number, line| {
                seen.push((number, line.map(<[u8]>::to_vec)));
                Ok(())
            })
            .unwrap();
            let expected =
                [(1, Some(b"a".to_vec())), (2, Some(Vec::new())), (3, None), (4, Some(b"b".to_vec()))];
            assert_eq!(seen, expected);
        }
    }
}
