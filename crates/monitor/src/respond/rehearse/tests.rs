use touchmark_identity::finding::Certainty;

use super::*;
use crate::respond::case::tests::{finding, policy};

fn run(input: &[u8]) -> (RehearsalSummary, Vec<serde_json::Value>) {
    let mut out = Vec::new();
    let mut rehearsal = Rehearsal::new(policy(), BTreeMap::new());
    let summary = rehearse(&mut rehearsal, &mut &*input, &mut out).unwrap();
    let lines = out.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    (summary, lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
}

#[test]
fn waits_run_out_between_findings_and_after_the_last() {
    let first = finding(Certainty::Confirmed, 1);
    // Later than the challenge's wait, which ends in between.
    let later = Finding { revision: 2, detected: first.detected.plus_ms(150_000), ..first.clone() };
    let input = format!("{}\n{}\n", first.to_line(), later.to_line());
    let (summary, acts) = run(input.as_bytes());
    assert_eq!((summary.findings, summary.cases, summary.skipped), (2, 1, 0));
    assert_eq!(summary.acts, acts.len() as u64);
    let done: Vec<_> = acts
        .iter()
        .filter_map(|act| Some((act["measure"].as_str()?, act["at"].as_str()?.to_owned())))
        .collect();
    let moment = |s: i64| first.detected.plus_ms(s * 1_000).to_string();
    assert_eq!(
        done,
        [
            ("challenge", moment(0)),
            ("reduce-rights", moment(100)),
            ("rekey-winner", moment(100)),
            ("quarantine", moment(200)),
            ("work-order", moment(200)),
            ("ask-revoke", moment(300)),
        ]
    );
}

#[test]
fn what_is_no_finding_is_counted_with_its_line() {
    let long = [vec![b'x'; 3 * MAX_LINE_BYTES], b"\n".to_vec()].concat();
    let good = finding(Certainty::Suspect, 1).to_line();
    let input = [b"\nnot json\n".to_vec(), long, good.into_bytes()].concat();
    let (summary, acts) = run(&input);
    assert_eq!((summary.findings, summary.skipped, summary.cases), (1, 2, 1));
    assert_eq!(summary.first_skipped.unwrap().0, 2);
    assert_eq!(acts.len(), 1);
    assert_eq!(acts[0]["measure"], "challenge");
}

#[test]
fn a_note_opens_no_case() {
    let (summary, acts) = run(finding(Certainty::Note, 1).to_line().as_bytes());
    assert_eq!((summary.findings, summary.cases, acts.len()), (1, 0, 0));
}
