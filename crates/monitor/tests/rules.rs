//! Each rule on a story of a few lines: what it names, and what it must not name.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::num::NonZeroUsize;

use touchmark_identity::event::{Event, RawDigest};
use touchmark_identity::finding::{Action, Certainty, Finding, Kind};
use touchmark_monitor::replay::replay;
use touchmark_monitor::{Engine, Monitor, Settings};

/// 2026-11-20T00:00:00Z.
const START: i64 = 1_795_132_800_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

struct Story {
    engine: Engine,
    findings: Vec<Finding>,
    lines: u64,
}

impl Story {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self { engine: Engine::new(settings), findings: Vec::new(), lines: 0 }
    }

    fn line(&mut self, line: &str) -> Vec<Finding> {
        let event = Event::from_line(line.as_bytes()).unwrap();
        let found = self.engine.observe(&event, RawDigest::of(line.as_bytes()));
        self.findings.extend(found.clone());
        found
    }

    fn say(&mut self, at: i64, kind: &str, identity: &str, fields: &str) -> Vec<Finding> {
        self.lines += 1;
        let time = touchmark_identity::timestamp::Timestamp::from_micros((START + at) * 1_000);
        self.line(&format!(
            "{{\"schema\":\"touchmark.event/1\",\"type\":\"{kind}\",\"time\":\"{time}\",\"source\":\"gate\",\
             \"event_id\":\"{}\",\"identity\":{identity},{fields}}}",
            self.lines
        ))
    }

    fn connect(&mut self, at: i64, network: u32) -> Vec<Finding> {
        let fields =
            format!("\"session\":\"s{}\",\"peer\":{{\"ip\":\"192.0.2.7\",\"asn\":{network}}}", self.lines);
        self.say(at, "authentication", METER, &fields)
    }

    fn beat(&mut self, at: i64, counter: u64, uptime: i64, rest: &str) -> Vec<Finding> {
        self.say(at, "heartbeat", METER, &format!("\"counter\":{counter},\"uptime_ms\":{uptime}{rest}"))
    }

    fn kinds(&self) -> Vec<(Kind, Certainty)> {
        self.findings.iter().map(|finding| (finding.kind, finding.grade)).collect()
    }
}

const METER: &str = r#"{"common_name":"meter-000017"}"#;
const CHIP: &str = r#""device":"meter-000017","assurance":{"storage":"secure-element","basis":"attested","grade":"hardware-bound"}"#;
const FLASH: &str = r#""device":"meter-000017","assurance":{"storage":"software","basis":"declared"}"#;

#[test]
fn a_return_to_an_abandoned_network_is_suspect_at_the_second_connection_of_the_copy() {
    let mut story = Story::new();
    story.say(0, "registry", METER, FLASH);
    assert!(story.connect(0, 1).is_empty());
    assert!(story.connect(5 * MINUTE, 2).is_empty());
    assert!(story.connect(10 * MINUTE, 1).is_empty());
    let found = story.connect(14 * MINUTE, 2);
    assert_eq!(story.kinds(), [(Kind::Clone, Certainty::Suspect)]);
    assert_eq!(found[0].rules, ["network.return"]);
    assert_eq!(found[0].regime_basis, "software/declared");
    assert_eq!(found[0].device.as_deref(), Some("meter-000017"));
    assert_eq!(found[0].action, Action::ChallengeBoth);
    assert_eq!(found[0].branches.len(), 2);
}

#[test]
fn a_chip_that_is_used_from_two_places_is_a_concurrent_session() {
    let mut story = Story::new();
    story.say(0, "registry", METER, CHIP);
    for (minute, network) in [(0, 1), (5, 2), (10, 1), (14, 2)] {
        story.connect(minute * MINUTE, network);
    }
    assert_eq!(story.kinds(), [(Kind::ConcurrentSession, Certainty::Suspect)]);
    let causes: Vec<&str> =
        story.findings[0].benign_causes.iter().map(|cause| cause.cause.as_str()).collect();
    assert!(causes.iter().any(|cause| cause.contains("sign with its chip")), "{causes:?}");
}

#[test]
fn a_claimed_chip_is_watched_as_a_copyable_key() {
    let mut story = Story::new();
    story.say(0, "registry", METER, &CHIP.replace("attested", "declared"));
    for (minute, network) in [(0, 1), (5, 2), (10, 1), (14, 2)] {
        story.connect(minute * MINUTE, network);
    }
    assert_eq!(story.kinds(), [(Kind::Clone, Certainty::Suspect)]);
    assert_eq!(story.findings[0].regime_basis, "secure-element/declared");
}

#[test]
fn moves_roaming_and_one_network_name_nobody() {
    for visits in [
        vec![(0, 1), (5, 1), (10, 2), (15, 2), (20, 2)],
        vec![(0, 1), (180, 2), (360, 1), (540, 2), (720, 1)],
        vec![(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)],
        vec![(0, 1), (5, 2), (10, 1), (200, 1), (300, 1)],
    ] {
        let mut story = Story::new();
        for (minute, network) in &visits {
            story.connect(minute * MINUTE, *network);
        }
        assert_eq!(story.kinds(), [], "{visits:?}");
    }
}

#[test]
fn two_uplinks_of_one_sequence_name_nobody() {
    let flapping = |beats: bool| {
        let mut story = Story::new();
        for round in 0..40i64 {
            let (at, network) = (round * 5 * MINUTE, u32::try_from(round % 2).unwrap());
            story.connect(at, network);
            if beats {
                let session = format!(",\"session\":\"s{}\"", story.lines - 1);
                story.beat(at + 1_000, u64::try_from(round).unwrap(), HOUR + at, &session);
            }
        }
        story.kinds()
    };
    assert_eq!(flapping(true), []);
    assert!(!flapping(false).is_empty(), "without heartbeats it cannot be told from a copy");
}

#[test]
fn ipv4_beside_ipv6_is_one_place() {
    let mut story = Story::new();
    for minute in 0..12i64 {
        let ip = if minute % 2 == 0 { "192.0.2.7" } else { "2001:db8::7" };
        story.say(
            minute * MINUTE,
            "authentication",
            METER,
            &format!("\"session\":\"{minute}\",\"peer\":{{\"ip\":\"{ip}\"}}"),
        );
    }
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_replayed_message_is_a_replay_and_no_clone() {
    for rest in [(",\"token\":\"t1\",\"token_issued\":\"t2\"", 1), ("", 2)] {
        let (token, found_after) = rest;
        let mut story = Story::new();
        story.beat(0, 1, HOUR, "");
        story.beat(15 * MINUTE, 2, HOUR + 15 * MINUTE, token);
        story.beat(
            30 * MINUTE,
            3,
            HOUR + 30 * MINUTE,
            if token.is_empty() { "" } else { ",\"token\":\"t2\",\"token_issued\":\"t3\"" },
        );
        story.beat(40 * MINUTE, 2, HOUR + 15 * MINUTE, &token.replace("t2", "t4"));
        if found_after == 2 {
            assert_eq!(story.kinds(), []);
        }
        story.beat(
            45 * MINUTE,
            4,
            HOUR + 45 * MINUTE,
            if token.is_empty() { "" } else { ",\"token\":\"t3\",\"token_issued\":\"t5\"" },
        );
        assert_eq!(story.kinds(), [(Kind::Replay, Certainty::Confirmed)], "{token}");
    }
}

#[test]
fn retries_duplicates_and_chance_repetitions_are_no_replays() {
    let mut story = Story::new();
    let same = ",\"token\":\"t1\",\"token_issued\":\"t2\"";
    story.beat(0, 1, HOUR, same);
    story.beat(20_000, 1, HOUR, same);
    story.beat(15 * MINUTE, 2, HOUR + 15 * MINUTE, ",\"token\":\"t2\",\"token_issued\":\"t3\"");
    // A device with a coarse clock says after each boot what it said after the last one.
    let mut coarse = Story::new();
    for boot in 0..4i64 {
        coarse.beat(boot * 3 * HOUR, 1, MINUTE, "");
        coarse.beat(boot * 3 * HOUR + 15 * MINUTE, 2, 16 * MINUTE, "");
    }
    assert_eq!((story.kinds(), coarse.kinds()), (vec![], vec![]));
}

#[test]
fn downgrades() {
    let mut story = Story::new();
    story.say(0, "registry", METER, &format!("{FLASH},\"anti_rollback_floor\":5"));
    story.beat(MINUTE, 1, HOUR, ",\"security_version\":7,\"firmware\":\"2.4.1\"");
    story.beat(15 * MINUTE, 2, 5 * MINUTE, ",\"security_version\":6,\"firmware\":\"2.3.0\"");
    assert_eq!(story.kinds(), [(Kind::Downgrade, Certainty::Suspect)]);
    assert_eq!(story.findings[0].action, Action::WorkOrder);
    story.beat(30 * MINUTE, 3, 20 * MINUTE, ",\"security_version\":4");
    assert_eq!(story.kinds()[1], (Kind::Downgrade, Certainty::Confirmed));
    assert_eq!(story.findings[1].action, Action::Quarantine);
    assert_eq!((story.findings[1].id, story.findings[1].revision), (story.findings[0].id, 2));

    // An update that failed is taken back; that its security version stayed says the same.
    for secure in ["", ",\"security_version\":3"] {
        let mut back = Story::new();
        back.beat(0, 1, HOUR, &format!(",\"firmware\":\"2.4.1\"{secure}"));
        back.beat(15 * MINUTE, 2, 5 * MINUTE, &format!(",\"firmware\":\"2.5.0\"{secure}"));
        back.beat(45 * MINUTE, 3, 2 * MINUTE, &format!(",\"firmware\":\"2.4.1\"{secure}"));
        assert_eq!(back.kinds(), [(Kind::Downgrade, Certainty::Note)], "{secure}");
        assert_eq!(back.findings[0].action, Action::None);
    }
    let mut old = Story::new();
    old.beat(0, 1, HOUR, ",\"firmware\":\"2.4.1\"");
    old.beat(15 * MINUTE, 2, 5 * MINUTE, ",\"firmware\":\"2.5.0\"");
    old.beat(45 * MINUTE, 3, 2 * MINUTE, ",\"firmware\":\"2.3.0\"");
    assert_eq!(old.kinds(), [(Kind::Downgrade, Certainty::Suspect)]);

    let mut text = Story::new();
    text.say(0, "registry", METER, &format!("{FLASH},\"anti_rollback_floor\":\"2.4\""));
    text.beat(MINUTE, 1, HOUR, ",\"firmware\":\"2.4.1\"");
    text.beat(16 * MINUTE, 2, HOUR + 15 * MINUTE, ",\"firmware\":\"2.3.9\"");
    assert_eq!(text.kinds(), [(Kind::Downgrade, Certainty::Confirmed)]);
}

#[test]
fn an_update_and_a_late_line_of_before_are_no_downgrade() {
    let mut story = Story::new();
    story.beat(0, 1, HOUR, ",\"firmware\":\"2.4.1\"");
    story.beat(30 * MINUTE, 3, 5 * MINUTE, ",\"firmware\":\"2.5.0\"");
    story.beat(15 * MINUTE, 2, HOUR + 15 * MINUTE, ",\"firmware\":\"2.4.1\"");
    story.beat(45 * MINUTE, 4, 20 * MINUTE, ",\"firmware\":\"2.5.0\"");
    assert_eq!(story.kinds(), []);
}

#[test]
fn the_wrap_of_uptime_goes_on_in_one_boot() {
    let mut story = Story::new();
    let before = (1 << 32) - 10 * MINUTE;
    for round in 0..8i64 {
        let uptime = (before + round * 5 * MINUTE) % (1 << 32);
        story.beat(round * 5 * MINUTE, u64::try_from(round).unwrap() + 1, uptime, "");
    }
    // A line of before the wrap that arrives after it.
    story.beat(2 * MINUTE, 90, before + 2 * MINUTE, "");
    assert_eq!(story.kinds(), []);
}

#[test]
fn what_was_seen_before_the_registry_line_belongs_to_the_device() {
    let spki = format!("{{\"spki_sha256\":\"{}\"}}", "3f".repeat(32));
    let sha1 = r#"{"cert_sha1":"0B:8D:80:80:72:6A:A7:D3:79:AA:CF:2B:3A:F7:2F:92:25:98:AA:3B"}"#;
    let mut story = Story::new();
    let connect = |story: &mut Story, at: i64, identity: &str, network: u32| {
        let fields =
            format!("\"session\":\"s{}\",\"peer\":{{\"ip\":\"192.0.2.7\",\"asn\":{network}}}", story.lines);
        story.say(at, "authentication", identity, &fields)
    };
    connect(&mut story, 0, sha1, 1);
    connect(&mut story, 4 * MINUTE, &spki, 2);
    story.say(5 * MINUTE, "registry", &spki, &format!("{FLASH},\"aliases\":[{}]", sha1.to_lowercase()));
    connect(&mut story, 8 * MINUTE, sha1, 1);
    let found = connect(&mut story, 12 * MINUTE, &spki, 2);
    assert_eq!(found.len(), 1, "{:?}", story.kinds());
    assert_eq!(found[0].device.as_deref(), Some("meter-000017"));
    assert_eq!(story.engine.counts().identities, 1);
}

#[test]
fn one_common_name_for_many_certificates_does_not_make_them_one_device() {
    let mut story = Story::new();
    for round in 0..8i64 {
        let device = round % 2 + 1;
        let identity = format!("{{\"cert_sha256\":\"{:064x}\",\"common_name\":\"device\"}}", device);
        let fields = format!("\"session\":\"s{round}\",\"peer\":{{\"ip\":\"192.0.2.7\",\"asn\":{device}}}");
        story.say(round * MINUTE, "authentication", &identity, &fields);
    }
    assert_eq!((story.kinds(), story.engine.counts().identities), (vec![], 2));
}

#[test]
fn an_event_that_comes_twice_is_one_event() {
    let mut story = Story::new();
    let line = |time: &str, id: &str| {
        format!(
            "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"2026-11-20T{time}Z\",\"source\":\"gate\"{id},\
             \"identity\":{METER},\"counter\":1,\"uptime_ms\":1000}}"
        )
    };
    story.line(&line("22:00:00", ""));
    story.line(&line("22:00:00", ""));
    story.line(&line("22:00:00", ",\"event_id\":\"a\""));
    story.line(&line("22:00:01", ",\"event_id\":\"a\""));
    let counts = story.engine.counts();
    assert_eq!((counts.events, counts.duplicates), (2, 2));
}

#[test]
fn identities_are_bounded_and_the_registered_stay() {
    let mut story = Story::with(Settings { max_identities: 10, ..Settings::default() });
    story.say(0, "registry", METER, FLASH);
    for number in 0..1_000i64 {
        let identity = format!("{{\"client_id\":\"c{number}\"}}");
        story.say(number * 1_000, "authentication", &identity, "\"session\":\"s\"");
        assert!(story.engine.counts().identities <= 10);
    }
    for (minute, network) in [(30, 1), (35, 2), (40, 1), (44, 2)] {
        story.connect(minute * MINUTE, network);
    }
    assert_eq!(story.findings.last().unwrap().device.as_deref(), Some("meter-000017"));
}

#[test]
fn a_retired_device_has_its_findings_closed() {
    let mut story = Story::new();
    for (minute, network) in [(0, 1), (5, 2), (10, 1), (14, 2)] {
        story.connect(minute * MINUTE, network);
    }
    let closed = story.say(20 * MINUTE, "registry", METER, &format!("{FLASH},\"status\":\"revoked\""));
    assert_eq!(closed.len(), 1);
    assert!(closed[0].closed.is_some());
    assert_eq!((closed[0].id, closed[0].revision), (story.findings[0].id, 2));
}

#[test]
fn a_network_suspicion_grows_into_a_confirmed_clone_under_one_id() {
    let mut story = Story::new();
    story.beat(0, 1, 9 * HOUR, ",\"boot_count\":3");
    story.beat(8 * MINUTE, 2, 9 * HOUR + 8 * MINUTE, ",\"boot_count\":3");
    story.beat(15 * MINUTE, 3, 9 * HOUR + 15 * MINUTE, ",\"boot_count\":3");
    // Four returns, because heartbeats that are unbroken so far speak against it.
    for (minute, network) in [(16, 1), (17, 2), (18, 1), (19, 2), (20, 1), (24, 2)] {
        story.connect(minute * MINUTE, network);
    }
    assert_eq!(story.kinds(), [(Kind::Clone, Certainty::Suspect)]);
    story.beat(25 * MINUTE, 3, 20_000, ",\"boot_count\":4");
    story.beat(30 * MINUTE, 4, 9 * HOUR + 30 * MINUTE, ",\"boot_count\":3");
    assert_eq!(story.kinds()[1], (Kind::Clone, Certainty::Confirmed));
    let last = &story.findings[1];
    assert_eq!(last.id, story.findings[0].id);
    assert_eq!(last.rules, ["network.return", "continuity.return"]);
    assert_eq!(last.original.unwrap().branch, 0);
    assert!(last.branches[0].booted < last.branches[1].booted);
}

#[test]
fn a_counter_that_goes_back_within_one_boot_and_on_again_is_confirmed() {
    let mut story = Story::new();
    for round in 0..10i64 {
        story.beat(round * 15 * MINUTE, 100 + u64::try_from(round).unwrap(), HOUR + round * 15 * MINUTE, "");
    }
    story.beat(142 * MINUTE, 103, HOUR + 142 * MINUTE, "");
    assert_eq!(story.kinds(), []);
    story.beat(150 * MINUTE, 110, HOUR + 150 * MINUTE, "");
    assert_eq!(story.kinds(), [(Kind::Clone, Certainty::Confirmed)]);
}

#[test]
fn registry_lines_of_the_file_hold_from_the_beginning() {
    let registry = format!(
        "{{\"schema\":\"touchmark.event/1\",\"type\":\"registry\",\"time\":\"2030-01-01T00:00:00Z\",\"source\":\"r\",\"identity\":{METER},{FLASH},\"anti_rollback_floor\":5}}\n"
    );
    let event = format!(
        "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"2026-11-20T22:00:00Z\",\"source\":\"s\",\"identity\":{METER},\"security_version\":4}}\n"
    );
    let run = || {
        let mut out = Vec::new();
        let mut monitor = Monitor::new(&Settings::default(), NonZeroUsize::MIN);
        let (mut registry, mut events) = (registry.as_bytes(), event.as_bytes());
        let mut write = |finding: &Finding| {
            out.extend(finding.to_line().into_bytes());
            Ok(())
        };
        let summary = replay(&mut monitor, Some(&mut registry), &mut events, &mut write).unwrap();
        (summary, out)
    };
    let (summary, out) = run();
    assert_eq!((summary.lines, summary.findings), (2, 1));
    assert_eq!(Finding::from_line(&out).unwrap().kind, Kind::Downgrade);
    assert_eq!(run().1, out);
}

#[test]
fn two_beats_in_two_networks_are_two_devices() {
    let mut story = Story::new();
    story.say(0, "registry", METER, FLASH);
    for hour in 0..12 {
        story.connect(hour * HOUR + hour % 3 * 30_000, 1);
    }
    for hour in 12..20 {
        story.connect(hour * HOUR + hour % 3 * 30_000, 1);
        story.connect(hour * HOUR + 23 * MINUTE + hour % 4 * 20_000, 2);
    }
    assert_eq!(story.kinds().last(), Some(&(Kind::Clone, Certainty::Confirmed)));
    let last = story.findings.last().unwrap();
    assert_eq!(last.rules, ["network.beats"]);
    assert_eq!(last.original.unwrap().branch, 0);
    assert_eq!(last.branches[0].networks, ["AS1"]);
}

#[test]
fn one_beat_over_two_uplinks_is_one_device() {
    let mut story = Story::new();
    for hour in 0..60 {
        let network = if hour > 20 && hour * hour % 5 < 2 { 2 } else { 1 };
        story.connect(hour * HOUR + hour % 3 * 30_000, network);
    }
    assert_eq!(story.kinds(), []);
}

#[test]
fn counts_that_were_left_out_and_come_late_return_from_nowhere() {
    let mut story = Story::new();
    let period = 5 * MINUTE;
    let beat = |story: &mut Story, at: i64, count: i64| {
        let uptime = 9 * HOUR + count * period;
        story.beat(at, u64::try_from(count).unwrap(), uptime, ",\"boot_count\":3");
    };
    (0..10).for_each(|n| beat(&mut story, n * period, n));
    // Ten are kept in a first memory, the next in a second one, which is sent first.
    (20..40).for_each(|n| beat(&mut story, n.max(22) * period, n));
    (10..20).for_each(|n| beat(&mut story, 39 * period + 1_000 + n, n));
    (40..50).for_each(|n| beat(&mut story, n * period, n));
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_message_that_was_kept_back_over_a_reset_of_the_counter_is_no_return() {
    let mut story = Story::new();
    let beat = |story: &mut Story, at: i64, count: u64, made: i64| {
        story.beat(at * MINUTE, count, 9 * HOUR + made * MINUTE, ",\"boot_count\":3");
    };
    (0..10).for_each(|n| beat(&mut story, n * 5, 100 + n.unsigned_abs(), n * 5));
    beat(&mut story, 55, 1, 55);
    beat(&mut story, 59, 110, 50);
    (2..9).for_each(|n| beat(&mut story, 50 + n * 5, n.unsigned_abs(), 50 + n * 5));
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_backlog_behind_the_name_of_a_new_boot_is_of_the_old_boot() {
    let mut story = Story::new();
    let named = |story: &mut Story, at: i64, boot: &str| {
        let peer = "\"peer\":{\"ip\":\"192.0.2.7\",\"asn\":1}";
        let fields = format!("\"session\":\"s{at}\",{peer},\"boot_id\":\"{boot}\"");
        story.say(at, "authentication", METER, &fields);
    };
    named(&mut story, 0, "old");
    (0..8).for_each(|n| {
        story.beat(
            n * 15 * MINUTE,
            50 + n.unsigned_abs(),
            40 * HOUR + n * 15 * MINUTE,
            ",\"boot_count\":395",
        );
    });
    let back = 180 * MINUTE;
    named(&mut story, back, "old");
    named(&mut story, back + 1, "new");
    for n in 8..11 {
        story.beat(back + n, 50 + n.unsigned_abs(), 40 * HOUR + n * 15 * MINUTE, ",\"boot_count\":395");
    }
    story.beat(back + 20, 61, 20_000, ",\"boot_count\":396");
    (1..5).for_each(|n| {
        let at = n * 15 * MINUTE;
        story.beat(back + at, 61 + n.unsigned_abs(), 20_000 + at, ",\"boot_count\":396");
    });
    assert_eq!(story.kinds(), []);
}

#[test]
fn who_has_the_reply_does_not_ask_again() {
    let mut story = Story::new();
    let beat = |story: &mut Story, at: i64, count: i64, token: i64, issued: i64| {
        let rest = format!(",\"token\":\"t{token}\",\"token_issued\":\"t{issued}\"");
        story.beat(at, count.unsigned_abs(), count * 15 * MINUTE, &rest);
    };
    (1..5).for_each(|n| beat(&mut story, n * 15 * MINUTE, n, n - 1, n));
    // Recorded and sent again ten minutes later, with other content that nobody signed; the device has its reply.
    story.beat(
        70 * MINUTE,
        4,
        60 * MINUTE,
        ",\"firmware\":\"9.9\",\"token\":\"t3\",\"token_issued\":\"t77\"",
    );
    beat(&mut story, 75 * MINUTE, 5, 4, 5);
    assert_eq!(story.kinds(), [(Kind::Replay, Certainty::Confirmed)]);

    let mut story = Story::new();
    (1..5).for_each(|n| beat(&mut story, n * 15 * MINUTE, n, n - 1, n));
    // The reply was lost: the device asks again and goes on with the second one.
    beat(&mut story, 70 * MINUTE, 4, 3, 77);
    beat(&mut story, 75 * MINUTE, 5, 77, 5);
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_clock_that_stands_still_in_sleep_is_one_boot() {
    let mut story = Story::new();
    let (mut count, mut uptime) = (100, 20 * HOUR);
    for wake in 0..12 {
        for n in 0..24 {
            story.beat(wake * 6 * HOUR + n * 100, count, uptime, "");
            count += 1;
            uptime += 20_000;
        }
    }
    assert_eq!(story.kinds(), []);
}

#[test]
fn what_opens_a_connection_repeats_the_latest_count() {
    let mut story = Story::new();
    for n in 0..40i64 {
        let (at, uptime) = (n * 15 * MINUTE, 30 * HOUR + n * 15 * MINUTE);
        let connect = |story: &mut Story, at: i64, uptime: i64, count: i64| {
            let peer = format!("\"peer\":{{\"ip\":\"192.0.2.7\",\"asn\":{}}}", 1 + at / 60_000 % 2);
            let fields = format!("\"session\":\"s{at}\",{peer},\"counter\":{count},\"uptime_ms\":{uptime}");
            story.say(at, "authentication", METER, &fields);
        };
        story.beat(at, 500 + n.unsigned_abs(), uptime, "");
        connect(&mut story, at + 5 * MINUTE, uptime + 5 * MINUTE, 500 + n);
        connect(&mut story, at + 10 * MINUTE, uptime + 10 * MINUTE, 500 + n);
    }
    assert!(!story.kinds().iter().any(|(_, grade)| *grade == Certainty::Confirmed), "{:?}", story.kinds());
}

#[test]
fn a_restored_backup_goes_on_alone_past_what_was_counted_before() {
    let mut story = Story::new();
    let cycle = |story: &mut Story, at: i64, count: i64, token: i64, issued: i64| {
        let fields = format!(
            "\"session\":\"s{at}\",\"peer\":{{\"ip\":\"192.0.2.7\",\"asn\":1}},\"token\":\"t{token}\",\"token_issued\":\"t{issued}\""
        );
        story.say(at, "authentication", METER, &fields);
        story.say(at + 500, "heartbeat", METER, &format!("\"session\":\"s{at}\",\"counter\":{count}"));
    };
    (0..60).for_each(|n| cycle(&mut story, n * 15 * MINUTE, 100 + n, n, n + 1));
    // The backup is of count 120; later nothing is heard for some counts.
    let restored = 62 * 15 * MINUTE;
    for n in 0..60 {
        let missed = if n > 20 { 25 } else { 0 };
        let (token, issued) = (if n == 0 { 21 } else { 1_000 + n }, 1_001 + n);
        cycle(&mut story, restored + n * 15 * MINUTE, 121 + n + missed, token, issued);
    }
    assert!(
        !story.kinds().iter().any(|(kind, grade)| *kind == Kind::Clone && *grade > Certainty::Note),
        "{:?}",
        story.kinds()
    );
}

/// A connection that presents and is issued tokens, as another source may see it; `session` names it.
fn handshake(story: &mut Story, at: i64, session: &str, given: &str, issued: &str) -> Vec<Finding> {
    let given = if given.is_empty() { String::new() } else { format!("\"token\":\"{given}\",") };
    let fields = format!(
        "\"session\":\"{session}\",\"peer\":{{\"ip\":\"192.0.2.7\",\"asn\":1}},{given}\"token_issued\":\"{issued}\""
    );
    story.say(at, "authentication", METER, &fields)
}

#[test]
fn a_chain_that_begins_without_a_token_beside_one_that_goes_on_is_a_second_device() {
    let mut story = Story::new();
    for step in 0..4i64 {
        handshake(&mut story, step * HOUR, "a", &format!("a{step}"), &format!("a{}", step + 1));
    }
    handshake(&mut story, 4 * HOUR, "b", "", "b1");
    assert!(story.findings.is_empty(), "a device that lost its token begins anew");
    handshake(&mut story, 5 * HOUR, "a", "a4", "a5");
    handshake(&mut story, 6 * HOUR, "b", "b1", "b2");
    assert_eq!(story.kinds().last(), Some(&(Kind::Clone, Certainty::Confirmed)));
    assert_eq!(story.findings[0].rules, ["continuity.token"]);
}

#[test]
fn a_lost_line_and_lines_that_overtake_each_other_leave_one_chain() {
    let mut lost = Story::new();
    for step in (0..12i64).filter(|step| ![4, 9].contains(step)) {
        handshake(&mut lost, step * HOUR, "a", &format!("a{step}"), &format!("a{}", step + 1));
        let counted = u64::try_from(step).unwrap();
        lost.say(
            step * HOUR + 1_000,
            "heartbeat",
            METER,
            &format!("\"session\":\"a\",\"counter\":{counted}"),
        );
    }
    assert_eq!(lost.kinds(), []);

    // Two sources, one of them some seconds behind: pieces of the chain come in another order.
    let mut apart = Story::new();
    for step in [0, 1, 4, 2, 3, 5, 8, 7, 6, 9, 10i64] {
        let at = step * 10_000;
        handshake(&mut apart, at, &format!("s{step}"), &format!("a{step}"), &format!("a{}", step + 1));
    }
    for step in 11..20i64 {
        handshake(&mut apart, step * HOUR, "late", &format!("a{step}"), &format!("a{}", step + 1));
    }
    assert_eq!(apart.kinds(), []);
}

#[test]
fn what_was_kept_back_comes_over_the_connection_that_its_device_opened() {
    let mut story = Story::new();
    let beat = |story: &mut Story, at: i64, uptime: i64, session: &str| {
        story.say(at, "heartbeat", METER, &format!("\"session\":\"{session}\",\"uptime_ms\":{uptime}"));
    };
    let open = |story: &mut Story, at: i64, uptime: i64, session: &str| {
        let peer = "\"peer\":{\"ip\":\"192.0.2.7\",\"asn\":1}";
        let fields = format!("\"session\":\"{session}\",{peer},\"uptime_ms\":{uptime}");
        story.say(at, "authentication", METER, &fields);
    };
    open(&mut story, 0, HOUR, "a");
    (0..10).for_each(|step| beat(&mut story, step * MINUTE, HOUR + step * MINUTE, "a"));
    // Nine hours without a network; what was made meanwhile comes at once.
    open(&mut story, 9 * HOUR, 10 * HOUR, "b");
    (1..500).for_each(|step| beat(&mut story, 9 * HOUR + step, HOUR + (10 + step) * MINUTE, "b"));
    (0..10).for_each(|step| beat(&mut story, 9 * HOUR + step * MINUTE, 10 * HOUR + step * MINUTE, "b"));
    assert_eq!(story.kinds(), []);

    // A second device has a connection of its own.
    open(&mut story, 10 * HOUR, 2 * HOUR, "copy");
    for step in 0..4 {
        beat(&mut story, 10 * HOUR + step * MINUTE, 2 * HOUR + step * MINUTE, "copy");
        beat(&mut story, 10 * HOUR + step * MINUTE + 30_000, 11 * HOUR + step * MINUTE, "b");
    }
    assert_eq!(story.kinds().last(), Some(&(Kind::Clone, Certainty::Confirmed)));
}

#[test]
fn a_counter_that_is_saved_now_and_then_is_one_device() {
    let count = |story: &mut Story, at: i64, counter: u64| {
        story.say(at, "heartbeat", METER, &format!("\"counter\":{counter}"));
    };
    let mut story = Story::new();
    let (mut at, mut counter) = (0, 160);
    for run in [37, 5, 21, 18, 2, 40, 9, 33] {
        for _ in 0..run {
            count(&mut story, at, counter);
            (at, counter) = (at + 15 * MINUTE, counter + 1);
        }
        // Power was lost: it goes on from what was saved.
        counter -= counter % 16;
    }
    assert_eq!(story.kinds(), []);

    // Two sequences that both go on are two devices, also without anything else.
    let mut two = Story::new();
    for step in 0..20u64 {
        let at = i64::try_from(step).unwrap() * 15 * MINUTE;
        count(&mut two, at, 500 + step);
        if step >= 10 {
            count(&mut two, at + 7 * MINUTE, 470 + step);
        }
    }
    assert_eq!(two.kinds().last(), Some(&(Kind::Clone, Certainty::Confirmed)));
}

#[test]
fn a_batch_of_each_waking_that_counts_on_past_another_batch_is_a_return() {
    // Uptime begins anew at each waking, so only counts tell.
    let wake = |story: &mut Story, at: i64, first: u64| {
        for step in 0..20u64 {
            let ms = i64::try_from(step).unwrap();
            story.beat(at + ms * 100, first + step, 3_000 + ms * 100, "");
        }
    };
    let mut story = Story::new();
    (0..6u64).for_each(|day| wake(&mut story, i64::try_from(day).unwrap() * 6 * HOUR, 1_000 + 20 * day));
    assert_eq!(story.kinds(), []);
    for day in 6..9u64 {
        let at = i64::try_from(day).unwrap() * 6 * HOUR;
        wake(&mut story, at - HOUR, 400 + 20 * day);
        wake(&mut story, at, 1_000 + 20 * day);
    }
    assert_eq!(story.kinds().last(), Some(&(Kind::Clone, Certainty::Confirmed)));
}

#[test]
fn a_chip_on_another_board_and_one_that_signs_for_others() {
    let mut moved = Story::new();
    moved.say(0, "registry", METER, CHIP);
    let beat = |story: &mut Story, at: i64, counter: u64, uptime: i64, boot: u64, network: u32| {
        let peer = format!("\"peer\":{{\"ip\":\"192.0.2.7\",\"asn\":{network}}}");
        let rest = format!(",\"boot_count\":{boot},{peer}");
        story.beat(at, counter, uptime, &rest);
    };
    (0..10).for_each(|n: u64| beat(&mut moved, n.cast_signed() * HOUR, 70_000 + n, 10 * MINUTE, 50 + n, 1));
    assert!(moved.findings.is_empty());
    (0..4)
        .for_each(|n: u64| beat(&mut moved, (12 + n.cast_signed()) * HOUR, n, n.cast_signed() * HOUR, 1, 2));
    assert_eq!(moved.kinds(), [(Kind::Transplant, Certainty::Note)]);

    let mut lent = Story::new();
    lent.say(0, "registry", METER, CHIP);
    for step in 0..6u64 {
        let at = step.cast_signed() * HOUR;
        beat(&mut lent, at, 2 * step, 9 * HOUR + at, 1, 1);
        lent.connect(at + 20 * MINUTE, 2);
        beat(&mut lent, at + 40 * MINUTE, 2 * step + 1, 9 * HOUR + at + 40 * MINUTE, 1, 1);
    }
    assert!(lent.findings.iter().any(|finding| finding.kind == Kind::OracleUse), "{:?}", lent.kinds());
}

#[test]
fn a_device_that_is_first_seen_by_its_backlog_is_one_device() {
    let mut story = Story::new();
    let up = 370 * HOUR;
    for step in 0..20u64 {
        let ms = step.cast_signed();
        story.beat(ms * 50, 500 + step, up + ms * 16 * MINUTE, ",\"boot_count\":315");
    }
    for step in 20..30u64 {
        let ms = step.cast_signed();
        let at = (ms - 19) * 16 * MINUTE;
        story.beat(at, 500 + step, up + ms * 16 * MINUTE, ",\"boot_count\":315");
    }
    assert_eq!(story.kinds(), []);
}

/// A renewal with one certificate of a chain: `given` is the one that it got or, where it was refused, the newest.
fn renew(story: &mut Story, at: i64, network: u32, outcome: &str, presented: u8, given: u8) -> Vec<Finding> {
    let digest = |certificate: u8| format!("{certificate:02x}").repeat(32);
    let field = if outcome == "superseded" { "head" } else { "issued" };
    let fields = format!(
        "\"session\":\"r{}\",\"peer\":{{\"ip\":\"192.0.2.7\",\"asn\":{network}}},\"renewal\":{{\"presented\":\"{}\",\
         \"{field}\":\"{}\",\"outcome\":\"{outcome}\"}}",
        story.lines,
        digest(presented),
        digest(given)
    );
    story.say(at, "authentication", METER, &fields)
}

const DAY: i64 = 24 * HOUR;

#[test]
fn a_copy_that_renews_first_is_suspect_at_the_originals_renewal_and_certain_when_it_goes_on() {
    let mut story = Story::new();
    story.say(0, "registry", METER, FLASH);
    assert!(renew(&mut story, DAY, 2, "renewed", 1, 2).is_empty());
    let found = renew(&mut story, 2 * DAY, 1, "superseded", 1, 2);
    assert_eq!(story.kinds(), [(Kind::Clone, Certainty::Suspect)]);
    assert_eq!(found[0].rules, ["renewal.superseded"]);
    assert_eq!(found[0].action, Action::ChallengeBoth);
    let causes: Vec<&str> = found[0].benign_causes.iter().map(|cause| cause.cause.as_str()).collect();
    assert!(causes.iter().any(|cause| cause.contains("backup")), "{causes:?}");
    assert!(causes.iter().any(|cause| cause.contains("could not store")), "{causes:?}");

    // The device asks again and again, which tells nothing new.
    for hour in 1..12 {
        renew(&mut story, 2 * DAY + hour * HOUR, 1, "superseded", 1, 2);
    }
    assert!(story.kinds().iter().all(|(_, grade)| *grade == Certainty::Suspect), "{:?}", story.kinds());
    assert!(story.findings.len() <= 5, "{}", story.findings.len());

    // The copy renews on.
    let found = renew(&mut story, 31 * DAY, 2, "renewed", 2, 3);
    assert_eq!(story.kinds().last(), Some(&(Kind::Clone, Certainty::Confirmed)));
    assert_eq!(found[0].action, Action::Quarantine);
    assert_eq!(found[0].original, None);
    let networks: Vec<_> = found[0].branches.iter().map(|branch| branch.networks.clone()).collect();
    assert_eq!(networks, [["AS1"], ["AS2"]]);
    assert_eq!(found[0].branches[0].sightings, Some(12));
    assert!(found[0].says.contains("two holders renew one certificate"), "{}", found[0].says);
    let explained = touchmark_monitor::outputs::explain::Explanation::of(&found[0]).text();
    assert!(explained.contains("What would change the verdict"), "{explained}");
    assert!(explained.contains("two system images"), "{explained}");
}

#[test]
fn renewing_alone_names_nobody() {
    let mut story = Story::new();
    story.say(0, "registry", METER, FLASH);
    for month in 0..12u8 {
        let at = i64::from(month) * 30 * DAY;
        let beat = |story: &mut Story, minute: i64| {
            let at = at + minute * MINUTE;
            let counter = u64::try_from(at / MINUTE).unwrap();
            story.beat(at, counter, HOUR + at, ",\"peer\":{\"ip\":\"192.0.2.7\",\"asn\":1}");
        };
        // The way to the authority is another network than the way to the service, every time.
        story.connect(at, 1);
        beat(&mut story, 1);
        renew(&mut story, at + 2 * MINUTE, 9, "renewed", month, month + 1);
        if month % 3 == 0 {
            renew(&mut story, at + 3 * MINUTE, 9, "repeated", month, month + 1);
        }
        beat(&mut story, 4);
    }
    assert_eq!(story.kinds(), []);
}

#[test]
fn a_restored_backup_that_enrols_anew_stays_a_suspicion() {
    let mut story = Story::new();
    story.say(0, "registry", METER, FLASH);
    renew(&mut story, DAY, 1, "renewed", 1, 2);
    renew(&mut story, 2 * DAY, 1, "superseded", 1, 2);
    // The operator gives it a new token: it enrols, which is no renewal, and renews what it got.
    renew(&mut story, 32 * DAY, 1, "renewed", 7, 8);
    renew(&mut story, 62 * DAY, 1, "renewed", 8, 9);
    assert_eq!(story.kinds(), [(Kind::Clone, Certainty::Suspect)]);
}

#[test]
fn a_copy_that_an_enrolment_has_left_behind_shows_itself_by_renewing() {
    let mut story = Story::new();
    story.say(0, "registry", METER, FLASH);
    renew(&mut story, DAY, 2, "renewed", 1, 2);
    renew(&mut story, 2 * DAY, 1, "superseded", 1, 2);
    // The device enrolled anew as 7; the copy comes with 2, the newest at the first refusal.
    renew(&mut story, 32 * DAY, 2, "superseded", 2, 7);
    assert_eq!(story.kinds().last(), Some(&(Kind::Clone, Certainty::Confirmed)));
}

#[test]
fn a_chip_whose_certificate_was_renewed_twice_is_no_clone() {
    let mut story = Story::new();
    story.say(0, "registry", METER, CHIP);
    renew(&mut story, DAY, 1, "renewed", 1, 2);
    renew(&mut story, 2 * DAY, 1, "superseded", 1, 2);
    renew(&mut story, 3 * DAY, 2, "renewed", 2, 3);
    let kind = Kind::ConcurrentSession;
    assert_eq!(story.kinds(), [(kind, Certainty::Suspect), (kind, Certainty::Confirmed)]);
    let causes = &story.findings[0].benign_causes;
    assert!(causes.iter().any(|cause| cause.cause.contains("rolled back")), "{causes:?}");
    assert!(causes.iter().any(|cause| cause.cause.contains("sign with its chip")), "{causes:?}");
}
