//! A reconnect storm: every device of a fleet comes back within a minute. No event is lost, the storm is told as one, and
//! nothing is concluded about the devices. `contrib/scenarios/storm.toml` has a million of them, here there are 20,000.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use touchmark_testkit::process::{Finished, run};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contrib/scenarios/storm.toml");

fn touchmark(arguments: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
    command.env_remove("TOUCHMARK_LOG").env("NO_COLOR", "1").arg("monitor").args(arguments);
    run(&mut command, b"").must_end_with(0)
}

fn replay(folder: &Path, workers: &str) -> Finished {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (events, registry) = (file("events.ndjson"), file("registry.ndjson"));
    touchmark(&["replay", "--events", &events, "--registry", &registry, "--workers", workers])
}

#[test]
fn a_reconnect_storm_loses_nothing_and_accuses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let out = folder.to_str().unwrap();
    let simulated =
        touchmark(&["simulate", "--scenario", SCENARIO, "--seed", "1", "--devices", "20000", "--out", out]);
    assert!(simulated.text().contains("20000 devices"), "{}", simulated.all());
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let lines = ["events", "registry"].map(|key| manifest[key].as_u64().unwrap());

    let replayed = replay(folder, "2");
    let all = format!("{} lines, 20000 identities", lines.iter().sum::<u64>());
    assert!(replayed.stderr.contains(&all) && !replayed.stderr.contains("skipped"), "{}", replayed.stderr);
    assert_eq!(replay(folder, "1").stdout, replayed.stdout);

    let findings: Vec<Value> =
        replayed.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let storms = findings.iter().filter(|finding| finding["rules"][0] == "fleet.storm").count();
    assert!(storms >= 1, "the storm itself is reported");
    for finding in findings.iter().filter(|finding| finding["regime_basis"] != "fleet") {
        // In this scenario a few devices do go back to older firmware; that has nothing to do with the storm.
        assert_eq!(finding["rules"][0], "downgrade.lower", "{finding}");
        assert_ne!(finding["grade"], "confirmed", "{finding}");
    }
}
