//! Habits of devices: what is said of one that is used otherwise than before, and than its like.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it stands")]

use std::num::NonZeroUsize;

use touchmark_identity::finding::{Action, Certainty, Finding, Kind};
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::{Monitor, Settings};

/// 2026-11-02T00:00:00Z, a Monday.
const START: i64 = 1_793_577_600;
const DAY: i64 = 86_400;

/// Messages of a device of a type on a day of the week: fewer at the end of it, a few more or less each day.
fn usual(device: u32, day: u32) -> u32 {
    let week = if day % 7 < 5 { 96 } else { 48 };
    week + (device * 31 + day * 17) % 9
}

/// The registry and the events of so many devices in so many days; `messages` says how many a device sends on a day.
fn fleet(devices: u32, days: u32, storage: &str, messages: impl Fn(u32, u32) -> u32) -> Vec<String> {
    let mut lines = Vec::new();
    let line = |kind: &str, device: u32, at: i64, fields: &str| {
        let time = Timestamp::from_micros((START + at) * 1_000_000);
        format!(
            "{{\"schema\":\"touchmark.event/1\",\"type\":\"{kind}\",\"time\":\"{time}\",\"source\":\"gate\",\
             \"identity\":{{\"common_name\":\"lock-{device}\"}},{fields}}}"
        )
    };
    for device in 0..devices {
        let (mut counter, began) = (0, i64::from(device) * 7);
        let registered =
            format!("\"device\":\"lock-{device}\",\"device_type\":\"lock\",\"assurance\":{{{storage}}}");
        lines.push((0, line("registry", device, 0, &registered)));
        for day in 0..days {
            let number = messages(device, day);
            for message in 0..number {
                let at = i64::from(day) * DAY + began + i64::from(message) * (DAY - 600) / i64::from(number);
                counter += 1;
                let fields =
                    format!("\"counter\":{counter},\"uptime_ms\":{},\"bytes\":200", (at + 1_000) * 1_000);
                lines.push((at, line("heartbeat", device, at, &fields)));
            }
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

const CHIP: &str = r#""storage":"secure-element","basis":"attested","grade":"hardware-bound""#;
const FLASH: &str = r#""storage":"software","basis":"declared""#;

fn workers(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn run(lines: &[String], threads: usize, piece: usize, restart: bool) -> Vec<Finding> {
    let settings = Settings::default();
    let mut monitor = Monitor::new(&settings, workers(threads));
    let mut findings = Vec::new();
    for (number, piece) in lines.chunks(piece).enumerate() {
        let piece: Vec<&[u8]> = piece.iter().map(String::as_bytes).collect();
        monitor.take_lines(&piece, &mut |_, error| panic!("{error}"));
        findings.extend(monitor.drain());
        if restart && number % 40 == 39 {
            let mut bytes = Vec::new();
            monitor.snapshot(&settings, &mut bytes).unwrap();
            monitor = Monitor::restore(&settings, workers(threads), &mut bytes.as_slice()).unwrap();
        }
    }
    monitor.finish();
    findings.extend(monitor.drain());
    findings
}

#[test]
fn weeks_are_the_habit_of_a_type_and_twice_as_much_is_not() {
    let lines = fleet(40, 35, CHIP, |device, day| match (device, day) {
        (7, 28..) => 2 * usual(device, day),
        _ => usual(device, day),
    });
    let found = run(&lines, 1, 4_096, false);
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((finding.kind, finding.grade), (Kind::Behaviour, Certainty::Suspect));
    assert_eq!((finding.device.as_deref(), finding.action), (Some("lock-7"), Action::Watch));
    assert_eq!(finding.rules, ["usage.messages"]);
    assert!(finding.says.contains("since 2026-11-30"), "{}", finding.says);
    assert!(finding.says.ends_with("Watch the identity."), "{}", finding.says);
    let peers = finding.evidence.iter().find(|sign| sign.group == "peers").unwrap();
    assert_eq!((peers.sign.as_str(), peers.decibans), ("peers.differ", 20.0), "{peers:?}");
    // A day is compared when it is over for all.
    assert!(finding.detected.micros() / 1_000_000 >= START + 31 * DAY, "{}", finding.detected);
}

#[test]
fn what_a_whole_type_does_is_said_of_none() {
    let lines = fleet(40, 35, CHIP, |device, day| if day < 28 { 1 } else { 2 } * usual(device, day));
    assert_eq!(run(&lines, 1, 4_096, false), []);
}

#[test]
fn alone_a_change_is_noted() {
    let lines = fleet(1, 35, CHIP, |device, day| if day < 28 { 1 } else { 2 } * usual(device, 0));
    let found = run(&lines, 1, 512, false);
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((finding.kind, finding.grade), (Kind::Behaviour, Certainty::Note));
    assert!(finding.evidence.iter().any(|sign| sign.sign == "peers.few"), "{:?}", finding.evidence);
}

#[test]
fn a_key_that_can_be_copied_is_watched_by_its_instances_and_not_by_its_habits() {
    let lines = fleet(40, 35, FLASH, |device, day| match (device, day) {
        (7, 28..) => 2 * usual(device, day),
        _ => usual(device, day),
    });
    assert_eq!(run(&lines, 1, 4_096, false), []);
}

#[test]
fn neither_threads_nor_pieces_nor_restarts_change_what_is_said() {
    let lines = fleet(40, 35, CHIP, |device, day| match (device, day) {
        (3, 20..) => usual(device, day) / 4,
        (7, 24..) => 3 * usual(device, day),
        (11, 27..) => 2 * usual(device, day),
        _ => usual(device, day),
    });
    let story = |mut found: Vec<Finding>| {
        found.sort_by_key(|finding| (finding.id, finding.revision));
        found
    };
    let expected = story(run(&lines, 1, lines.len(), false));
    assert_eq!(expected.len(), 2, "{expected:#?}");
    for (threads, piece, restart) in [(1, 100, false), (2, 3_000, false), (3, 50_000, false), (2, 777, true)]
    {
        assert_eq!(story(run(&lines, threads, piece, restart)), expected, "{threads} {piece} {restart}");
    }
}
