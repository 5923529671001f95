//! Workers on a NATS JetStream cluster of three nodes: one node and one worker are killed in the middle, and the findings
//! are those of a replay of the same events in one process.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use touchmark_testkit::fleet::Fleet;
use touchmark_testkit::nats::Cluster;
use touchmark_testkit::peer;
use touchmark_testkit::process::{Daemon, run};

/// How long findings may take to arrive after all events are there; generous, because test machines are busy.
const PATIENCE: Duration = Duration::from_secs(90);

fn touchmark() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
    command.env_remove("TOUCHMARK_LOG").env("NO_COLOR", "1");
    command
}

fn worker(folder: &Path, servers: &str, name: &str) -> Daemon {
    let log = fs::File::options().create(true).append(true).open(folder.join(format!("{name}.log"))).unwrap();
    let mut command = touchmark();
    command.args(["monitor", "work", "--nats", servers, "--name", name]);
    command.args(["--lease-s", "2", "--checkpoint-s", "1"]);
    Daemon::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log))
}

fn publish(servers: &str, events: &str, end: bool) {
    let mut command = touchmark();
    command.args(["monitor", "publish", "--nats", servers, "--events", "-"]);
    if end {
        command.arg("--end");
    }
    let published = run(&mut command, events.as_bytes()).must_end_with(0);
    assert!(!published.stderr.contains("no event"), "{}", published.stderr);
}

fn collect(servers: &str) -> BTreeSet<String> {
    let collected = run(touchmark().args(["monitor", "collect", "--nats", servers]), b"").must_end_with(0);
    let lines: Vec<String> = collected.text().lines().map(str::to_owned).collect();
    let set: BTreeSet<String> = lines.iter().cloned().collect();
    assert_eq!(set.len(), lines.len(), "a revision came twice");
    set
}

#[test]
fn a_cluster_that_loses_a_node_and_a_worker_finds_what_one_process_finds() {
    if !peer::all_present(&["nats-server"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let events = Fleet { devices: 160, beats: 60, cloned_every: 9 }.lines();
    let lines: Vec<&str> = events.split_inclusive('\n').collect();
    let replayed = run(touchmark().args(["monitor", "replay", "--events", "-"]), events.as_bytes());
    let expected: BTreeSet<String> = replayed.must_end_with(0).text().lines().map(str::to_owned).collect();
    assert!(expected.len() >= 18, "{}", expected.len());

    let mut cluster = Cluster::start(folder, 3);
    let servers = cluster.servers();
    let mut first = worker(folder, &servers, "first");
    let _second = worker(folder, &servers, "second");
    let (third, two_thirds) = (lines.len() / 3, lines.len() * 2 / 3);
    let parts = [&lines[..third], &lines[third..two_thirds], &lines[two_thirds..]].map(<[&str]>::concat);
    let [early, middle, late] = &parts;
    publish(&servers, early, false);
    first.kill();
    publish(&servers, middle, false);
    cluster.kill(1);
    publish(&servers, late, false);
    let _third = worker(folder, &servers, "third");
    cluster.start_node(1);
    // Sending all of it again changes nothing.
    publish(&servers, late, true);

    let deadline = Instant::now() + PATIENCE;
    let found = loop {
        let found = collect(&servers);
        if found.len() >= expected.len() || Instant::now() > deadline {
            break found;
        }
        std::thread::sleep(Duration::from_millis(500));
    };
    let logs = ["first", "second", "third"].map(|name| {
        let log = fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
        format!("--- {name}\n{log}")
    });
    if found != expected {
        let missing: Vec<_> = expected.difference(&found).collect();
        let other: Vec<_> = found.difference(&expected).collect();
        panic!("missing: {missing:#?}\nother: {other:#?}\n{}", logs.concat());
    }
}
