//! One device that five sources name in five ways is one device in what is found, as far as the registry says so, and from
//! the moment at which it does.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use touchmark_testkit::process::{Finished, run};

/// Minutes that the fleet is watched; the copy is switched on after a third of it.
const MINUTES: u64 = 60;
const COPY_FROM: u64 = 20;

fn replay(more: &[&str], lines: &[Value]) -> Finished {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
    command.args(["monitor", "replay", "--events", "-"]).args(more);
    run(&mut command, text.as_bytes()).must_end_with(0)
}

fn at(minute: u64) -> String {
    format!("2026-11-20T{:02}:{:02}:00Z", 20 + minute / 60, minute % 60)
}

/// The names of device `n`: five kinds, each as the source that uses it writes it.
fn names(device: u64) -> [(&'static str, Value); 5] {
    [
        ("nginx", json!({"cert_sha1": format!("{device:040x}")})),
        (
            "haproxy",
            json!({"issuer_dn": "CN=Devices, O=Example", "serial": format!("{:x}", 0xa000 + device)}),
        ),
        ("mosquitto", json!({"common_name": format!("meter-{device:06}")})),
        ("emqx", json!({"client_id": format!("c-{device}")})),
        ("gate", json!({"spki_sha256": format!("{device:064x}")})),
    ]
}

/// What the registry says of a device: the same names, written in another way.
fn registry(device: u64, minute: u64) -> Value {
    json!({"schema": "touchmark.event/1", "type": "registry", "time": at(minute), "source": "registry",
    "identity": {"spki_sha256": format!("{device:064x}")}, "device": format!("meter-{device:06}"),
    "assurance": {"storage": "software", "basis": "attested"},
    "aliases": [
        {"cert_sha1": format!("{device:040X}")},
        {"issuer_dn": "O=Example,CN=Devices", "serial": format!("00{:X}", 0xa000 + device)},
        {"common_name": format!("meter-{device:06}")},
        {"client_id": format!("c-{device}")},
    ]})
}

fn beat(device: u64, kind: usize, minute: u64, counter: u64, uptime_min: u64) -> Value {
    let (source, identity) = names(device)[kind].clone();
    json!({"schema": "touchmark.event/1", "type": "heartbeat", "time": at(minute), "source": source,
        "event_id": format!("{device}-{kind}-{counter}-{uptime_min}"), "identity": identity,
        "counter": counter, "uptime_ms": uptime_min * 60_000})
}

/// Ten devices, each heard by five sources in turn. With a copy of the last one: the original is heard by the first three
/// sources, the copy by the other two, so no name shows both.
fn fleet(copied: bool) -> Vec<Value> {
    let mut lines = Vec::new();
    for minute in 0..MINUTES {
        let turn = usize::try_from(minute).unwrap();
        for device in 0..10 {
            let last = copied && device == 9;
            lines.push(beat(device, turn % if last { 3 } else { 5 }, minute, 100 + minute, 500 + minute));
            if last && minute >= COPY_FROM {
                // It has the counter of the moment at which it was made, and has been up since then.
                let since = minute - COPY_FROM;
                lines.push(beat(device, 3 + turn % 2, minute, 100 + COPY_FROM + since / 2, since + 1));
            }
        }
    }
    lines
}

fn registered(mut lines: Vec<Value>, at_minute: u64, said_minute: u64) -> Vec<Value> {
    let place = lines.iter().position(|line| line["time"] == at(at_minute)).unwrap_or(lines.len());
    lines.splice(place..place, (0..10).map(|device| registry(device, said_minute)));
    lines
}

/// The devices that are found, and how many findings there are, revisions aside.
fn found(done: &Finished) -> (BTreeSet<String>, usize) {
    let findings: Vec<Value> = done.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let devices = findings.iter().map(|finding| finding["device"].to_string()).collect();
    let ids: BTreeSet<String> = findings.iter().map(|finding| finding["id"].to_string()).collect();
    (devices, ids.len())
}

fn only_the_copied_one() -> (BTreeSet<String>, usize) {
    (BTreeSet::from(["\"meter-000009\"".to_owned()]), 1)
}

#[test]
fn without_the_registry_no_name_shows_two_instances() {
    for copied in [false, true] {
        let done = replay(&[], &fleet(copied));
        assert_eq!(found(&done), (BTreeSet::new(), 0), "{}", done.all());
        assert!(done.stderr.contains("50 identities"), "{}", done.stderr);
    }
}

#[test]
fn five_kinds_of_names_are_one_device_when_the_registry_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registry.ndjson");
    let lines: String = (0..10).map(|device| format!("{}\n", registry(device, 0))).collect();
    fs::write(&file, lines).unwrap();
    let by_file = ["--registry", file.to_str().unwrap()];
    for (done, how) in [
        (replay(&by_file, &fleet(true)), "a registry file"),
        (replay(&[], &registered(fleet(true), 0, 0)), "registry lines first"),
    ] {
        assert_eq!(found(&done), only_the_copied_one(), "{how}: {}", done.all());
        assert!(done.stderr.contains("10 identities"), "{how}: {}", done.stderr);
        let last: Value = serde_json::from_str(done.text().lines().last().unwrap()).unwrap();
        assert_eq!((&last["kind"], &last["grade"]), (&json!("clone"), &json!("confirmed")), "{how}: {last}");
        assert_eq!(last["branches"].as_array().unwrap().len(), 2, "{how}: {last}");
        let sources: BTreeSet<&str> = last["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["source"].as_str().unwrap())
            .collect();
        assert!(sources.contains("emqx") || sources.contains("gate"), "the copy's line is named: {last}");
    }
    let quiet = replay(&by_file, &fleet(false));
    assert_eq!(found(&quiet), (BTreeSet::new(), 0), "{}", quiet.all());
}

#[test]
fn registry_lines_that_come_late_make_one_device_of_what_follows() {
    for workers in ["1", "3"] {
        // Said and come at minute 35; said of the beginning and come at minute 35; said at 35 and come a minute later.
        for (comes, said) in [(35, 35), (35, 0), (36, 35)] {
            let how = format!("comes at minute {comes}, says {said}, {workers} workers");
            let done = replay(&["--workers", workers], &registered(fleet(true), comes, said));
            assert_eq!(found(&done), only_the_copied_one(), "{how}: {}", done.all());
            let last: Value = serde_json::from_str(done.text().lines().last().unwrap()).unwrap();
            assert_eq!(
                (&last["kind"], &last["grade"]),
                (&json!("clone"), &json!("confirmed")),
                "{how}: {last}"
            );
            let quiet = replay(&["--workers", workers], &registered(fleet(false), comes, said));
            assert_eq!(found(&quiet), (BTreeSet::new(), 0), "{how}: {}", quiet.all());
        }
    }
}
