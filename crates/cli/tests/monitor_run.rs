//! `touchmark monitor run` as its users have it: killed at random moments, on a full disk, fed over HTTP, from files, from
//! brokers. Its findings are those of a replay of the same events, each once.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test helpers: a surprise is a panic, and seeds have to be seen"
)]

use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use touchmark_testkit::curl::{Answer, try_curl};
use touchmark_testkit::disk::SmallDisk;
use touchmark_testkit::fleet::Fleet;
use touchmark_testkit::kafka::Cluster;
use touchmark_testkit::mosquitto::Mosquitto;
use touchmark_testkit::peer;
use touchmark_testkit::process::{Daemon, free_port, run, wait_for};

const FLEET: Fleet = Fleet { devices: 24, beats: 30, cloned_every: 5 };

fn touchmark() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
    command.env_remove("TOUCHMARK_LOG").env("NO_COLOR", "1");
    command
}

fn replayed(events: &str) -> String {
    let finished = run(touchmark().args(["monitor", "replay", "--events", "-"]), events.as_bytes());
    let text = finished.must_end_with(0).text();
    assert!(text.lines().count() > 10, "{text}");
    text
}

/// A directory with a configuration and the monitor's data.
struct Site {
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Site {
    /// `configuration` follows `listen` and the times, and comes before the data directory is settled.
    fn new(configuration: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("touchmark-monitor-").tempdir().unwrap();
        let text = format!("checkpoint_s = 1\ntick_s = 0\nworkers = 1\n{configuration}");
        fs::write(folder.path().join("monitor.toml"), text).unwrap();
        let data = folder.path().join("data");
        Self { folder, data }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = touchmark();
        command.current_dir(self.folder.path());
        command.args(["monitor", "run", "--config", "monitor.toml", "--data"]).arg(&self.data);
        command
    }

    /// Starts the monitor; gives it with the address of its HTTP input, when it has one.
    fn start(&self) -> (Daemon, Option<String>) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let out = fs::File::options().create(true).append(true).open(self.path("stdout")).unwrap();
        let mut command = self.command();
        command.args(["--ready-fd", "2"]).stdin(Stdio::null()).stdout(out).stderr(Stdio::piped());
        let mut process = Daemon::start(&mut command);
        let mut stderr = BufReader::new(process.child().stderr.take().unwrap());
        let mut ready = None;
        while ready.is_none() {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "not ready: {}", self.log());
            (&log).write_all(line.as_bytes()).unwrap();
            ready = serde_json::from_str::<Value>(&line).ok();
        }
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _gone = stderr.read_to_end(&mut rest);
            (&log).write_all(&rest).unwrap();
        });
        let events = ready.unwrap()["events"].as_str().map(str::to_owned);
        (process, events)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Reads what is there to its end, and ends.
    fn finish(&self) {
        let _done = run(self.command().arg("--once"), b"").must_end_with(0);
    }

    fn findings(&self) -> String {
        fs::read_to_string(self.data.join("findings.ndjson")).unwrap().trim_end().to_owned()
    }
}

fn post(site: &Site, address: &str, kind: &str, body: &[u8]) -> Result<Answer, (i32, String)> {
    let kind = format!("Content-Type: {kind}");
    try_curl(site.folder.path(), &["-H", &kind, "-H", "Expect:", "--data-binary", "@-", address], body)
}

fn seed() -> u64 {
    let unknown = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    let seed = std::env::var("TOUCHMARK_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(unknown).max(1);
    eprintln!("seed: TOUCHMARK_SEED={seed}");
    seed
}

/// xorshift64*: a seed repeats a run's choices.
fn below(seed: &mut u64, limit: u64) -> u64 {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    (seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
}

const LISTEN: &str = "listen = \"127.0.0.1:0\"\n";
const NDJSON: &str = "application/x-ndjson";

#[test]
fn killed_at_random_moments_it_loses_and_repeats_nothing() {
    if !peer::all_present(&["curl"]) {
        return;
    }
    let mut seed = seed();
    let site = Site::new(
        "listen = \"127.0.0.1:0\"\n[[input]]\nname = \"tail\"\nkind = \"file\"\npath = \"events.ndjson\"\n",
    );
    let events = FLEET.lines();
    let lines: Vec<&str> = events.split_inclusive('\n').collect();
    // Every other piece comes by file, which grows while the monitor is away as well.
    let mut file = fs::File::create(site.path("events.ndjson")).unwrap();
    let (mut process, mut address) = site.start();
    let mut kills = 0;
    for (number, piece) in lines.chunks(40).enumerate() {
        let piece = piece.concat();
        let (mut first, mut rest) = (piece.as_str(), "");
        if number % 2 == 0 {
            (first, rest) = piece.split_at(piece.len() / 2);
        }
        if number % 2 == 0 {
            // Half a line is no line yet.
            file.write_all(first.as_bytes()).unwrap();
            if below(&mut seed, 3) == 0 {
                std::thread::sleep(Duration::from_millis(below(&mut seed, 150)));
            }
            file.write_all(rest.as_bytes()).unwrap();
        }
        if below(&mut seed, 2) == 0 && kills < 8 {
            std::thread::sleep(Duration::from_millis(below(&mut seed, 200)));
            process.kill();
            kills += 1;
            (process, address) = site.start();
        }
        // A file is read by itself; events of later pieces must not be there much before those of earlier ones.
        let length = file.metadata().unwrap().len();
        if number % 2 == 1 {
            let sent = || post(&site, address.as_deref().unwrap(), NDJSON, first.as_bytes());
            let _taken = sent().unwrap().must_be(200);
            // An answer that was lost: the client sends it again.
            if below(&mut seed, 3) == 0 {
                assert_eq!(sent().unwrap().must_be(200).json()["schema"], "touchmark.accepted/1");
            }
        } else {
            wait_for("the file to be read", || (read_so_far(&site) >= length).then_some(()));
        }
    }
    process.kill();
    site.finish();
    assert_eq!(site.findings(), replayed(&events), "{}", site.log());
    // stdout has every finding, in the order of the log; what was given when the kill came may come twice.
    let mut out: Vec<String> =
        fs::read_to_string(site.path("stdout")).unwrap().lines().map(str::to_owned).collect();
    out.dedup();
    let found = site.findings();
    let found: Vec<&str> = found.lines().collect();
    assert!(out.iter().all(|line| found.contains(&line.as_str())), "{out:?}");
}

/// How far the monitor has read the file, by its own log.
fn read_so_far(site: &Site) -> u64 {
    let place = place(site, "file:tail");
    place.and_then(|place| place.split_once(':').and_then(|(_, offset)| offset.parse().ok())).unwrap_or(0)
}

/// How far the monitor has read an input, by its own log; another process may not open that, so a copy is looked at.
fn place(site: &Site, name: &str) -> Option<String> {
    let copy = site.path("copy");
    fs::create_dir_all(&copy).unwrap();
    for name in ["steps.db", "steps.db-wal"] {
        let _missing = fs::copy(site.data.join(name), copy.join(name));
    }
    let log = touchmark_server::stream::log::StepLog::open(&copy).ok()?;
    log.place(name).ok().flatten()
}

#[test]
fn a_full_disk_refuses_events_and_loses_none() {
    if !peer::all_present(&["curl", "mount"]) {
        return;
    }
    let mut site = Site::new(LISTEN);
    let Some(disk) = SmallDisk::mount(&site.path("disk")) else { return };
    site.data = site.path("disk");
    let events = Fleet { devices: 8, beats: 30, cloned_every: 3 }.lines();
    let lines: Vec<&str> = events.split_inclusive('\n').collect();
    let (process, address) = site.start();
    let address = address.unwrap();
    for (number, piece) in lines.chunks(60).enumerate() {
        let send = || post(&site, &address, NDJSON, piece.concat().as_bytes()).unwrap();
        if number % 2 == 1 {
            disk.fill();
            let refused = send().must_be(503).json();
            assert!(["SV-0008", "SV-0009"].contains(&refused["code"].as_str().unwrap()), "{refused}");
            disk.free();
        }
        let _taken = send().must_be(200);
    }
    process.terminate();
    site.finish();
    assert_eq!(site.findings(), replayed(&events), "{}", site.log());
}

#[test]
fn events_come_as_json_and_in_envelopes() {
    if !peer::all_present(&["curl"]) {
        return;
    }
    let site = Site::new(LISTEN);
    let events = FLEET.lines();
    let lines: Vec<&str> = events.lines().collect();
    let (process, address) = site.start();
    let address = address.unwrap();
    let envelope = |line: &&str| {
        format!("{{\"specversion\":\"1.0\",\"id\":\"x\",\"source\":\"s\",\"type\":\"t\",\"data\":{line}}}")
    };
    for (number, piece) in lines.chunks(97).enumerate() {
        let (kind, body) = match number % 3 {
            0 => ("application/json", format!("[{}]", piece.join(",\n"))),
            1 => (
                "application/cloudevents-batch+json; charset=utf-8",
                format!("[{}]", piece.iter().map(envelope).collect::<Vec<_>>().join(",")),
            ),
            _ => (NDJSON, piece.join("\n")),
        };
        let answer = post(&site, &address, kind, body.as_bytes()).unwrap().must_be(200).json();
        assert_eq!(answer["events"], piece.len(), "{answer}");
    }
    let one = envelope(&lines[0]);
    let _taken = post(&site, &address, "application/cloudevents+json", one.as_bytes()).unwrap().must_be(200);
    let answer = post(&site, &address, NDJSON, b"{}\nx\n\n").unwrap().must_be(200).json();
    assert_eq!((&answer["events"], answer["refused"].as_object().unwrap().len()), (&0.into(), 2), "{answer}");
    assert_eq!(post(&site, &address, "text/plain", b"x").unwrap().must_be(415).json()["code"], "SV-0011");
    assert_eq!(
        post(&site, &address, "application/json", b"[{]").unwrap().must_be(400).json()["code"],
        "SV-0003"
    );
    process.terminate();
    site.finish();
    assert_eq!(site.findings(), replayed(&events));
}

#[test]
fn stdin_gives_what_a_replay_gives() {
    let site = Site::new("[[input]]\nname = \"in\"\nkind = \"stdin\"\n");
    let events = FLEET.lines();
    let finished = run(site.command().arg("--once"), format!("{events}rubbish").as_bytes()).must_end_with(0);
    assert_eq!(finished.text(), replayed(&events));
    assert!(finished.stderr.contains("in: 1 lines are no event"), "{}", finished.stderr);
    let again = run(site.command().arg("--once"), events.as_bytes()).must_end_with(0);
    // Every event was there before: nothing follows but the note that an old log came.
    assert!(again.text().lines().all(|line| line.contains("\"kind\":\"source-fault\"")), "{}", again.text());
}

#[test]
fn what_cannot_be_used_is_refused() {
    let site = Site::new("[[input]]\nname = \"f\"\nkind = \"file\"\npath = \"missing\"\n");
    let missing = run(site.command().arg("--once"), b"").must_end_with(3);
    assert!(missing.stderr.contains("SV-0008") && missing.stderr.contains("missing"), "{}", missing.stderr);
    let (_process, _) = site.start();
    let second = run(site.command().arg("--once"), b"").must_end_with(3);
    assert!(second.stderr.contains("SV-0009"), "{}", second.stderr);
    fs::write(site.path("monitor.toml"), "chekpoint_s = 1").unwrap();
    let wrong = run(&mut site.command(), b"").must_end_with(2);
    assert!(wrong.stderr.contains("chekpoint_s"), "{}", wrong.stderr);
}

fn mqtt_publish(folder: &Path, port: u16, events: &str) {
    let port = port.to_string();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "fleet/gate-1/events", "-l"]);
    let _done = run(command.current_dir(folder), events.as_bytes()).must_end_with(0);
}

#[test]
fn a_broker_keeps_what_comes_while_the_monitor_is_away() {
    if !peer::all_present(&["mosquitto", "mosquitto_pub"]) {
        return;
    }
    let site = Site::new("");
    let broker = Mosquitto::start_open(site.folder.path());
    let configuration = format!(
        "checkpoint_s = 1\ntick_s = 0\n[[input]]\nname = \"broker\"\nkind = \"mqtt\"\naddress = \"127.0.0.1:{}\"\n\
         topic = \"fleet/+/events\"\n",
        broker.port
    );
    fs::write(site.path("monitor.toml"), configuration).unwrap();
    let events = FLEET.lines();
    let lines: Vec<&str> = events.split_inclusive('\n').collect();
    let (mut process, _) = site.start();
    wait_for("the subscription", || broker.log().contains("touchmark-broker 1 fleet/+/events").then_some(()));
    let (first, second) = lines.split_at(lines.len() / 2);
    mqtt_publish(site.folder.path(), broker.port, &first.concat());
    process.kill();
    mqtt_publish(site.folder.path(), broker.port, &second.concat());
    let (process, _) = site.start();
    // Of a message whose acknowledgement was on its way at the kill there may be two.
    let acknowledged = || broker.log().matches("Received PUBACK from touchmark-broker").count();
    let mut before = 0;
    wait_for("all messages to be acknowledged", || {
        let now = acknowledged();
        std::thread::sleep(Duration::from_millis(500));
        let settled = now == std::mem::replace(&mut before, now);
        (now >= lines.len() && settled).then_some(())
    });
    process.terminate();
    fs::write(site.path("monitor.toml"), "tick_s = 0\n").unwrap();
    site.finish();
    assert_eq!(site.findings(), replayed(&events), "{}", site.log());
}

/// Events of a day go through in seconds: what one broker gives half a second later is late by an hour, so all are held
/// back to the end.
const DAY: u32 = 86_400;
/// A producer that has to wait for the processor gives one time to the events of some minutes.
const HOUR: u32 = 3_600;

/// The configuration of a monitor that reads a topic.
fn reads_topic(brokers: &str, topic: &str, watermark_s: u32) -> String {
    format!(
        "checkpoint_s = 1\ntick_s = 0\nworkers = 1\n[monitor]\nwatermark_s = {watermark_s}\n[[input]]\nname = \"hub\"\nkind = \"kafka\"\n\
         address = \"{brokers}\"\ntopic = \"{topic}\"\n"
    )
}

/// Events with the device as their key, so that its registry line comes before what it says.
fn keyed(lines: &[&str]) -> String {
    let key = |line: &&str| {
        let (_, rest) = line.split_once("\"event_id\":\"").unwrap();
        rest.split(['-', '"']).next().unwrap()[1..].to_owned()
    };
    lines.iter().map(|line| format!("{}\t{line}", key(line))).collect()
}

/// How many records the monitor has read of a topic that began at offset 0.
fn records_read(site: &Site, topic: &str) -> u64 {
    let Some(place) = place(site, "kafka:hub") else { return 0 };
    let mut words = place.split(' ');
    assert_eq!((words.next(), words.next()), (Some(topic), Some("-")), "{place}");
    words.map(|word| word.split_once(':').unwrap().1.parse::<u64>().unwrap()).sum()
}

fn observed(site: &Site, events: u64) {
    let done = run(site.command().arg("--once"), b"").must_end_with(0);
    assert!(done.stderr.contains(&format!("{events} events")), "{}", done.stderr);
    assert!(done.stderr.contains(" 0 duplicates"), "{}", done.stderr);
}

#[test]
fn kafka_is_read_to_its_end_however_it_is_compressed() {
    if !peer::all_present(&["kcat"]) {
        return;
    }
    let site = Site::new("");
    let cluster = Cluster::start(site.folder.path(), 3);
    let events = FLEET.lines();
    let lines: Vec<&str> = events.split_inclusive('\n').collect();
    let piece = lines.len() / 5 + 1;
    for (packing, piece) in ["none", "gzip", "snappy", "lz4", "zstd"].iter().zip(lines.chunks(piece)) {
        cluster.produce_in_turn("fleet.events", &["-z", packing, "-X", "linger.ms=100"], &keyed(piece));
    }
    // A tombstone, and what is no event.
    cluster.produce("fleet.events", &["-Z"], "gone\t\nother\trubbish\n");
    let listing = cluster.listing("fleet.events");
    assert!(listing.contains("with 4 partitions"), "{listing}");
    fs::write(site.path("monitor.toml"), reads_topic(&cluster.brokers, "fleet.events", HOUR)).unwrap();
    let done = run(site.command().arg("--once"), b"").must_end_with(0);
    assert_eq!(done.text(), replayed(&events), "{}", done.stderr);
    assert!(done.stderr.contains("hub: 1 lines are no event"), "{}", done.stderr);
    assert!(done.stderr.contains(&format!("{} events", lines.len())), "{}", done.stderr);
    assert_eq!(records_read(&site, "fleet.events"), u64::try_from(lines.len()).unwrap() + 2);
    // Everything was read: nothing comes again.
    let again = run(site.command().arg("--once"), b"").must_end_with(0);
    assert_eq!(again.text(), "", "{}", again.stderr);
}

#[test]
fn kafka_loses_and_repeats_nothing_when_the_monitor_is_killed() {
    if !peer::all_present(&["kcat"]) {
        return;
    }
    let mut seed = seed();
    let site = Site::new("");
    let cluster = Cluster::start(site.folder.path(), 3);
    fs::write(site.path("monitor.toml"), reads_topic(&cluster.brokers, "fleet.events", DAY)).unwrap();
    let events = FLEET.lines();
    let lines: Vec<&str> = events.split_inclusive('\n').collect();
    let (mut process, _) = site.start();
    let mut produced = 0;
    for (number, piece) in lines.chunks(100).enumerate() {
        cluster.produce("fleet.events", &["-z", ["none", "gzip", "lz4"][number % 3]], &keyed(piece));
        produced += u64::try_from(piece.len()).unwrap();
        std::thread::sleep(Duration::from_millis(below(&mut seed, 100)));
        if below(&mut seed, 2) == 0 {
            process.kill();
            (process, _) = site.start();
        }
        if below(&mut seed, 3) == 0 {
            wait_for("the topic to be read", || {
                (records_read(&site, "fleet.events") == produced).then_some(())
            });
        }
    }
    wait_for("the topic to be read", || (records_read(&site, "fleet.events") == produced).then_some(()));
    process.kill();
    observed(&site, produced);
    assert_eq!(site.findings(), replayed(&events), "{}", site.log());
}

#[test]
fn kafka_may_come_late_go_away_and_have_lost_what_was_read() {
    if !peer::all_present(&["kcat"]) {
        return;
    }
    let site = Site::new("");
    let events = FLEET.lines();
    let lines: Vec<&str> = events.split_inclusive('\n').collect();
    let (first, second) = lines.split_at(lines.len() / 2);
    let read = |records: usize| {
        let records = u64::try_from(records).unwrap();
        wait_for("the topic to be read", || (records_read(&site, "fleet.events") == records).then_some(()));
    };
    let door = free_port();
    let configuration = reads_topic(&format!("127.0.0.1:1, 127.0.0.1:{door}"), "fleet.events", DAY);
    fs::write(site.path("monitor.toml"), configuration).unwrap();
    let refused = run(site.command().arg("--once"), b"").must_end_with(3);
    assert!(refused.stderr.contains("SV-0025"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("127.0.0.1:{door}")), "{}", refused.stderr);
    let (mut process, _) = site.start();
    let mut cluster = Cluster::start(site.folder.path(), 2);
    cluster.produce("fleet.events", &[], &keyed(first));
    cluster.open_door(door);
    read(first.len());
    cluster.kill();
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(process.runs());
    process.kill();
    wait_for("the log", || site.log().contains("cannot be used").then_some(()));
    // Brokers that know nothing of before: what was read is further than the topic goes.
    let cluster = Cluster::start(site.folder.path(), 2);
    let (third, last) = second.split_at(40);
    cluster.produce("fleet.events", &[], &keyed(third));
    fs::write(site.path("monitor.toml"), reads_topic(&cluster.brokers, "fleet.events", DAY)).unwrap();
    let (process, _) = site.start();
    read(third.len());
    cluster.produce("fleet.events", &[], &keyed(last));
    read(second.len());
    process.terminate();
    wait_for("the log", || site.log().contains("it was made anew or cut").then_some(()));
    site.finish();
    assert_eq!(site.findings(), replayed(&events), "{}", site.log());
    // Another topic has offsets of its own.
    cluster.produce("other", &[], &keyed(&first[..1]));
    fs::write(site.path("monitor.toml"), reads_topic(&cluster.brokers, "other", DAY)).unwrap();
    let other = run(site.command().arg("--once"), b"").must_end_with(0);
    assert!(other.stderr.contains("what was read before is the topic fleet.events"), "{}", other.stderr);
    assert_eq!(records_read(&site, "other"), 1);
}

#[test]
fn kafka_records_that_were_removed_before_they_were_read_are_told() {
    if !peer::all_present(&["kcat"]) {
        return;
    }
    let site = Site::new("");
    let cluster = Cluster::start(site.folder.path(), 1);
    let one = ["-p", "0", "-X", "linger.ms=0"];
    let line = |number: u32| format!("k\t{number} {}\n", "x".repeat(200_000));
    cluster.produce("fleet.events", &one, &[line(0), line(1)].concat());
    fs::write(site.path("monitor.toml"), reads_topic(&cluster.brokers, "fleet.events", DAY)).unwrap();
    site.finish();
    assert_eq!(records_read(&site, "fleet.events"), 2);
    // These brokers keep 5 MiB of a partition.
    let many: String = (2..42).map(line).collect();
    cluster.produce("fleet.events", &one, &many);
    let done = run(site.command().arg("--once"), b"").must_end_with(0);
    let told = "partition 0: offsets 2 to ";
    assert!(done.stderr.contains(told) && done.stderr.contains("removed-before-read"), "{}", done.stderr);
    assert_eq!(records_read(&site, "fleet.events"), 42);
}
