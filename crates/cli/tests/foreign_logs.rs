//! Foreign logs straight into findings: `touchmark monitor replay --from` and `touchmark monitor run --from`; the country
//! of what is found; and what a terminal shows meanwhile.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use touchmark_testkit::peer;
use touchmark_testkit::process::{Finished, run};

/// Addresses whose registered countries are Japan and Brazil.
const PLACES: [&str; 2] = ["133.11.0.7", "177.32.0.9"];
/// 2026-11-20T22:00:00Z.
const BEGAN: u64 = 1_795_212_000;

fn touchmark(arguments: &[&str], input: &[u8]) -> Finished {
    run(Command::new(env!("CARGO_BIN_EXE_touchmark")).arg("monitor").args(arguments), input)
}

/// Connections of one device, every two minutes from the other one of two networks.
fn alternating(line: impl Fn(u64, &str) -> Value) -> String {
    let lines = (0..12).map(|number| line(number, PLACES[usize::try_from(number % 2).unwrap()]).to_string());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn nginx() -> String {
    alternating(|number, address| {
        json!({"touchmark": "nginx/1", "msec": format!("{}.000", BEGAN + number * 120), "connection": format!("{}", 40 + number),
            "connection_requests": "1", "connection_time": "0.100", "remote_addr": address, "remote_port": "4711",
            "verify": "SUCCESS", "fingerprint": "aa".repeat(20), "serial": "0A17", "issuer_dn": "CN=Devices",
            "subject_dn": "CN=meter-17", "tls": "TLSv1.3", "cipher": "", "curves": "", "reused": ".", "sni": "",
            "method": "GET", "uri": "/", "status": "200", "bytes_sent": "1", "request_length": "1", "request_time": "0.001"})
    })
}

fn zeek() -> String {
    alternating(|number, address| {
        json!({"ts": (BEGAN + number * 120) as f64, "uid": format!("C{number}"), "id.orig_h": address, "id.orig_p": 4711,
            "version": "TLSv12", "resumed": false, "established": true, "client_cert_chain_fps": ["bb".repeat(32)]})
    })
}

/// The events that a converted log gives, and what is found in them.
fn by_two_steps(format: &str, log: &str) -> String {
    let events =
        touchmark(&["convert", "--from", format, "--in", "-"], log.as_bytes()).must_end_with(0).text();
    touchmark(&["replay", "--events", "-"], events.as_bytes()).must_end_with(0).text()
}

#[test]
fn a_foreign_log_is_replayed_as_its_events_would_be() {
    for (format, log) in [("nginx", nginx()), ("zeek", zeek())] {
        let expected = by_two_steps(format, &log);
        let finding: Value = serde_json::from_str(expected.lines().next().unwrap()).unwrap();
        assert_eq!(finding["rules"], json!(["network.return"]), "{expected}");
        let noisy = format!("not a log line\n{log}\u{1b}[31mneither\n");
        let done =
            touchmark(&["replay", "--from", format, "--events", "-"], noisy.as_bytes()).must_end_with(0);
        assert_eq!(done.text(), expected, "{format}");
        for says in
            ["14 lines, 12 events", "2 lines skipped (malformed), the first is line 1", "not a log line"]
        {
            assert!(done.stderr.contains(says), "{says:?} in {}", done.stderr);
        }
        assert!(!done.stderr.contains(['\u{1b}', '\r']), "nothing is drawn off a terminal: {}", done.stderr);
        let named =
            touchmark(&["replay", "--from", format, "--source", "gate-3", "--events", "-"], log.as_bytes());
        let finding = named.must_end_with(0).text();
        assert!(
            finding.contains("\"source\":\"gate-3\"")
                && !finding.contains(&format!("\"source\":\"{format}\""))
        );
    }
    let unknown = touchmark(&["replay", "--from", "squid", "--events", "-"], b"");
    assert!(unknown.code == Some(2) && unknown.stderr.contains("zeek"), "{}", unknown.all());
}

#[test]
fn a_monitor_that_stands_alone_reads_a_foreign_log() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let log = folder.path().join("access.json");
    fs::write(&log, format!("{}not a log line\n", nginx())).unwrap();
    let (data, log) = (data.to_str().unwrap(), log.to_str().unwrap());
    let once = ["run", "--data", data, "--events", log, "--from", "nginx", "--source", "nginx", "--once"];
    let done = touchmark(&once, b"").must_end_with(0);
    assert_eq!(done.text(), by_two_steps("nginx", &nginx()), "{}", done.all());
    let says = "nginx: 1 lines are no event (malformed), the last is not a log line";
    assert!(done.stderr.contains(says), "{}", done.stderr);
    let again = touchmark(&once, b"").must_end_with(0);
    assert_eq!(again.text(), "", "it knows how far it had come: {}", again.all());

    let data = folder.path().join("other");
    let stdin = ["run", "--data", data.to_str().unwrap(), "--events", "-", "--from", "zeek", "--once"];
    let done = touchmark(&stdin, zeek().as_bytes()).must_end_with(0);
    assert!(done.text().contains("network.return"), "{}", done.all());

    let alone = touchmark(&["run", "--from", "zeek", "--once"], b"");
    assert!(alone.code == Some(2) && alone.stderr.contains("--events"), "{}", alone.all());
}

#[test]
fn the_country_is_shown_and_decides_nothing() {
    let log = nginx();
    let replay = |more: &[&str]| {
        let arguments = [&["replay", "--from", "nginx", "--events", "-"], more].concat();
        touchmark(&arguments, log.as_bytes()).must_end_with(0).text()
    };
    let countries = |text: &str| -> Vec<Value> {
        let finding: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let evidences = finding["evidences"].as_array().unwrap().clone();
        evidences.iter().map(|evidence| evidence["src_endpoint"]["location"]["country"].clone()).collect()
    };
    let mut found = countries(&replay(&["--form", "ocsf"]));
    found.sort_by_key(Value::to_string);
    assert_eq!(found, ["BR", "JP"]);
    assert_eq!(countries(&replay(&["--form", "ocsf", "--geo", "none"])), [Value::Null, Value::Null]);
    assert_eq!(replay(&[]), replay(&["--geo", "none"]), "the finding is the same");

    let finding = replay(&[]);
    let explained = touchmark(&["explain", "--finding", "-"], finding.as_bytes()).must_end_with(0).text();
    let row = explained.lines().find(|line| line.trim_start().starts_with("countries")).unwrap();
    assert!(row.contains("JP") && row.contains("BR"), "{explained}");
    let bare =
        touchmark(&["explain", "--finding", "-", "--geo", "none"], finding.as_bytes()).must_end_with(0);
    assert!(!bare.text().contains("countries"), "{}", bare.all());

    // What an event says of its country, even if it moves around the world every minute, is no sign of anything.
    let events =
        touchmark(&["convert", "--from", "nginx", "--in", "-"], log.as_bytes()).must_end_with(0).text();
    let still: String = events.replace(PLACES[1], "133.11.0.8");
    let mut moving = String::new();
    for (number, line) in still.lines().enumerate() {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event["peer"]["country"] = json!(["JP", "BR", "DE", "ZA"][number % 4]);
        moving.push_str(&format!("{event}\n"));
    }
    let quiet = touchmark(&["replay", "--events", "-"], moving.as_bytes()).must_end_with(0);
    assert_eq!(quiet.text(), "", "{}", quiet.all());

    let wrong = touchmark(&["replay", "--events", "-", "--geo", "/nowhere/at.mmdb"], b"");
    assert!(wrong.code == Some(2) && wrong.stderr.contains("/nowhere/at.mmdb"), "{}", wrong.all());
}

#[test]
fn progress_is_drawn_on_a_terminal_and_taken_away() {
    // `script` gives a program a terminal.
    if !peer::all_present(&["script"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("access.json"), nginx()).unwrap();
    let replay = format!(
        "'{}' monitor replay --from nginx --events access.json > findings.ndjson",
        env!("CARGO_BIN_EXE_touchmark")
    );
    let done = run(
        Command::new("script").args(["-q", "-e", "-c", &replay, "typescript"]).current_dir(folder.path()),
        b"",
    )
    .must_end_with(0);
    let shown = done.text();
    let (before, after) = shown.rsplit_once("\u{1b}[2K").unwrap();
    assert!(before.contains("MB read (100 %)"), "{shown:?}");
    assert!(after.contains("12 lines, 12 events") && !after.contains("MB read"), "{shown:?}");
    let findings = fs::read_to_string(folder.path().join("findings.ndjson")).unwrap();
    assert!(findings.contains("network.return") && !findings.contains('\u{1b}'), "{findings}");
}
