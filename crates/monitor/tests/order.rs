//! The same findings for any order of arrival within the watermark, any number of threads, and across a restart.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it stands")]

#[expect(dead_code, reason = "this suite uses less of the generator than its neighbour")]
mod sim;

use std::num::NonZeroUsize;

use sim::{Clone as Copy, Device, Fleet, MINUTE, Noise, Random};
use touchmark_identity::finding::Certainty;
use touchmark_monitor::{Monitor, Settings};

/// A day of a noisy fleet of which some devices were copied, in the order of event time.
fn lines(seed: u64) -> Vec<String> {
    let mut fleet = Fleet::new(seed);
    for number in 0..40 {
        let noise = Noise { late: 0, duplicate: 20, two_sources: false, ..Noise::all(number) };
        fleet.device(Device { period: 15 * MINUTE, ..Device::new(number) }, noise);
    }
    let mut lines = fleet.lines(24 * 60 * MINUTE);
    for number in 100..106 {
        let copy = Copy { age: 5, ahead: u64::from(number % 2) * 500, ..Copy::default() };
        let pair = fleet.pair(Device::new(number), copy, 24 * 60 * MINUTE);
        lines.extend(pair.into_iter().map(|(line, _)| line));
    }
    lines.extend(renewals());
    let time = |line: &String| {
        let at = line.find("\"time\":\"").unwrap();
        line[at + 8..at + 32].to_owned()
    };
    lines.sort_by_cached_key(|line| (time(line), line.clone()));
    lines
}

/// Devices that renew, some of them beside a copy: who is refused, and who goes on, within seconds of each other.
fn renewals() -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..8i64 {
        let digest = |certificate: i64| format!("{:08x}{:056}", number * 100 + certificate, 0);
        let mut renewal = |second: i64, renewal: String| {
            let at = (START + 60 * MINUTE + (number * 7 + second) * 1_000) * 1_000;
            let time = touchmark_identity::timestamp::Timestamp::from_micros(at);
            lines.push(format!(
                "{{\"schema\":\"touchmark.event/1\",\"type\":\"authentication\",\"time\":\"{time}\",\"source\":\"est\",\
                 \"event_id\":\"r-{number}-{second}\",\"identity\":{{\"common_name\":\"renewing-{number}\"}},\
                 \"session\":\"r-{number}-{second}\",\"peer\":{{\"ip\":\"192.0.2.7\"}},\"renewal\":{{{renewal}}}}}"
            ));
        };
        for step in 0..4 {
            let (now, next) = (digest(step), digest(step + 1));
            renewal(
                step * 40,
                format!("\"presented\":\"{now}\",\"issued\":\"{next}\",\"outcome\":\"renewed\""),
            );
            if step > 0 && number % 2 == 0 {
                let old = digest(0);
                let superseded =
                    format!("\"presented\":\"{old}\",\"head\":\"{next}\",\"outcome\":\"superseded\"");
                renewal(step * 40 + 20, superseded);
            }
        }
    }
    lines
}

/// 2026-11-20T00:00:00Z.
const START: i64 = 1_795_132_800_000;

fn workers(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn run(lines: &[String], threads: usize, piece: usize) -> Vec<String> {
    let mut monitor = Monitor::new(&Settings::default(), workers(threads));
    let mut findings = Vec::new();
    for piece in lines.chunks(piece) {
        let piece: Vec<&[u8]> = piece.iter().map(String::as_bytes).collect();
        monitor.take_lines(&piece, &mut |_, error| panic!("{error}"));
        findings.extend(monitor.drain());
    }
    monitor.finish();
    findings.extend(monitor.drain());
    assert!(findings.iter().filter(|finding| finding.grade == Certainty::Confirmed).count() >= 6);
    findings.iter().map(touchmark_identity::finding::Finding::to_line).collect()
}

/// Lets each line arrive up to so many seconds late.
fn shuffled(lines: &[String], random: &mut Random, seconds: i64) -> Vec<String> {
    let time = |line: &str| {
        let at = line.find("\"time\":\"").unwrap();
        let end = line[at + 8..].find('"').unwrap();
        let moment: touchmark_identity::timestamp::Timestamp = line[at + 8..at + 8 + end].parse().unwrap();
        moment.micros() / 1_000_000
    };
    let mut arriving: Vec<(i64, &String)> =
        lines.iter().map(|line| (time(line) + random.below(seconds), line)).collect();
    arriving.sort();
    arriving.into_iter().map(|(_, line)| line.clone()).collect()
}

#[test]
fn any_order_within_the_watermark_and_any_number_of_threads_give_the_same_findings() {
    let mut random = Random::new(7);
    for seed in 1..=3 {
        let lines = lines(seed);
        let expected = run(&lines, 1, 4_096);
        for (threads, piece) in [(2, 4_096), (3, 700), (1, 50), (8, 100_000)] {
            assert_eq!(run(&lines, threads, piece), expected, "{threads} threads, pieces of {piece}");
        }
        for _ in 0..3 {
            let other = shuffled(&lines, &mut random, 115);
            assert_ne!(other, lines);
            assert_eq!(run(&other, 2, 512), expected, "seed {seed}");
        }
    }
}

#[test]
fn batches_give_what_lines_give() {
    let lines = lines(4);
    let story = |lines: &[String]| {
        // The digests differ, and with them the ids of findings.
        let about = |line: &String| {
            let finding = touchmark_identity::finding::Finding::from_line(line.as_bytes()).unwrap();
            (finding.identity, finding.kind, finding.grade, finding.detected, finding.revision, finding.says)
        };
        lines.iter().map(about).collect::<Vec<_>>()
    };
    let expected = story(&run(&lines, 1, 1_000));
    let events: Vec<_> = lines
        .iter()
        .map(|line| touchmark_identity::event::Event::from_line(line.as_bytes()).unwrap())
        .collect();
    let mut monitor = Monitor::new(&Settings::default(), workers(2));
    let mut findings = Vec::new();
    for events in events.chunks(1_000) {
        let batch = touchmark_monitor::batch::encode(events).unwrap();
        monitor.take_batch(&batch, &mut |_, error| panic!("{error}")).unwrap();
        findings.extend(monitor.drain());
    }
    monitor.finish();
    findings.extend(monitor.drain());
    let found: Vec<String> = findings.iter().map(touchmark_identity::finding::Finding::to_line).collect();
    assert_eq!(story(&found), expected);
}

#[test]
fn a_restart_from_a_snapshot_changes_nothing() {
    let lines = lines(9);
    let expected = run(&lines, 1, 512);
    let settings = Settings::default();
    for cut in [1, lines.len() / 3, lines.len() / 2, lines.len() - 1] {
        let mut findings = Vec::new();
        let mut monitor = Monitor::new(&settings, workers(2));
        let take = |monitor: &mut Monitor, lines: &[String], findings: &mut Vec<String>| {
            for piece in lines.chunks(512) {
                let piece: Vec<&[u8]> = piece.iter().map(String::as_bytes).collect();
                monitor.take_lines(&piece, &mut |_, error| panic!("{error}"));
                findings.extend(monitor.drain().iter().map(touchmark_identity::finding::Finding::to_line));
            }
        };
        take(&mut monitor, &lines[..cut], &mut findings);
        let mut bytes = Vec::new();
        monitor.snapshot(&settings, &mut bytes).unwrap();
        let mut monitor = Monitor::restore(&settings, workers(1), &mut bytes.as_slice()).unwrap();
        let mut again = Vec::new();
        monitor.snapshot(&settings, &mut again).unwrap();
        assert!(again == bytes, "a snapshot of what was restored is the same");
        take(&mut monitor, &lines[cut..], &mut findings);
        monitor.finish();
        findings.extend(monitor.drain().iter().map(touchmark_identity::finding::Finding::to_line));
        assert_eq!(findings, expected, "cut at {cut}");
    }
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let settings = Settings::default();
    let mut monitor = Monitor::new(&settings, workers(1));
    for line in lines(3).iter().take(200) {
        monitor.take_line(line.as_bytes()).unwrap();
    }
    let mut bytes = Vec::new();
    monitor.snapshot(&settings, &mut bytes).unwrap();
    let restore = |bytes: &[u8]| Monitor::restore(&settings, workers(1), &mut &*bytes);
    assert!(restore(&bytes).is_ok());
    let mut random = Random::new(1);
    for _ in 0..60 {
        let at = usize::try_from(random.below(i64::try_from(bytes.len()).unwrap())).unwrap();
        assert!(restore(&bytes[..at]).is_err(), "cut at {at}");
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(restore(&changed).is_err(), "changed at {at}");
    }
    let other = Settings { watermark_s: 1, ..Settings::default() };
    let error = Monitor::restore(&other, workers(1), &mut bytes.as_slice()).unwrap_err();
    assert_eq!(error.code(), "MO-0005");
}
