//! `touchmark monitor convert`, and that what it writes can be replayed, in either form.

use std::process::Command;

use touchmark_testkit::fleet::Fleet;
use touchmark_testkit::process::{Finished, run};

fn touchmark(arguments: &[&str], input: &[u8]) -> Finished {
    run(Command::new(env!("CARGO_BIN_EXE_touchmark")).arg("monitor").args(arguments), input)
}

#[test]
fn a_foreign_log_becomes_events_and_what_is_skipped_is_said() {
    let mut log = b"2026-11-20T22:01:24+0000: mosquitto version 2.0.11 starting\n\
        2026-11-20T22:01:25+0000: New client connected from 192.0.2.7:4 as d (p5, c1, k10, u'meter-17').\n\
        \x1b[31mnot a log line\xff\n"
        .to_vec();
    log.extend(vec![b'x'; 5 << 20]);
    log.extend(b"\n2026-11-20T22:01:29+0000: Client d disconnected.\n");
    let done = touchmark(&["convert", "--from", "mosquitto", "--source", "broker", "--in", "-"], &log)
        .must_end_with(0);
    let text = done.text();
    let types: Vec<_> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(types, ["authentication", "session_end"], "{}", done.all());
    for says in ["5 lines, 2 events", "1 lines skipped (malformed), the first is line 3", "(too-long)"] {
        assert!(done.stderr.contains(says), "{says:?} in {}", done.stderr);
    }
    assert!(!done.stderr.contains('\u{1b}'));
    let replayed = touchmark(&["replay", "--events", "-"], text.as_bytes()).must_end_with(0);
    assert!(!replayed.stderr.contains("skipped"), "{}", replayed.stderr);

    let unknown = touchmark(&["convert", "--from", "squid", "--in", "-"], b"");
    assert!(unknown.code != Some(0) && unknown.stderr.contains("azure-event-grid"), "{}", unknown.all());
}

#[test]
fn batches_are_replayed_as_lines_are() {
    let events = Fleet { devices: 40, beats: 40, cloned_every: 7 }.lines();
    let convert = ["convert", "--from", "touchmark", "--in", "-"];
    let lines = touchmark(&convert, events.as_bytes()).must_end_with(0);
    let batches = touchmark(&[&convert[..], &["--to", "batch"]].concat(), events.as_bytes()).must_end_with(0);
    assert!(batches.stdout.starts_with(b"TMB1") && batches.stdout.len() * 2 < lines.stdout.len());
    let replay = |events: &[u8], workers: &str| {
        let done = touchmark(&["replay", "--events", "-", "--workers", workers], events).must_end_with(0);
        assert!(!done.stderr.contains("skipped"), "{}", done.stderr);
        done.text()
    };
    // A record has another digest than its line, and by it findings have other ids.
    let story = |findings: &str| -> Vec<String> {
        let about = |line: &str| {
            let finding: serde_json::Value = serde_json::from_str(line).unwrap();
            let parts = ["identity", "kind", "grade", "detected", "says"].map(|key| finding[key].to_string());
            parts.join(" ")
        };
        findings.lines().map(about).collect()
    };
    let found = replay(&batches.stdout, "1");
    assert!(story(&found).len() >= 6, "{found}");
    assert_eq!(story(&found), story(&replay(&lines.stdout, "1")));
    assert_eq!(replay(&batches.stdout, "3"), found);

    let cut = touchmark(&["replay", "--events", "-"], &batches.stdout[..batches.stdout.len() - 1]);
    assert!(cut.code != Some(0) && cut.stderr.contains("batch number"), "{}", cut.all());
}
