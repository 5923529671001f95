//! Which instance an event is drawn with.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW_S: i64 = 1_795_213_800;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((NOW_S + seconds) * 1_000_000)
}

/// Two instances: the first booted two hours ago at home, the second ten minutes ago elsewhere.
fn finding() -> Finding {
    let text = json!({
        "schema": "touchmark.finding/1", "id": "00".repeat(16), "identity": {"common_name": "meter-1"},
        "kind": "clone", "grade": "confirmed", "regime": "duplication", "regime_basis": "software/declared",
        "first_event": at(-600), "detected": at(-300), "rules": ["continuity.return"],
        "branches": [
            {"id": 3, "first_seen": at(-7_000), "last_seen": at(0), "booted": at(-7_200), "boot_count": 1,
             "counter_first": 1, "counter_last": 60, "networks": ["192.0.2.0/24"]},
            {"id": 4, "first_seen": at(-600), "last_seen": at(0), "booted": at(-660), "boot_count": 2,
             "counter_first": 40, "counter_last": 60, "networks": ["AS64511"]},
        ],
        "original": {"branch": 3, "probability": 0.98}, "evidence": [], "benign_causes": [], "events": [],
        "action": "watch", "says": "",
    });
    Finding::from_line(text.to_string().as_bytes()).unwrap()
}

fn event(seconds: i64, kind: &str, more: Value) -> Event {
    let mut event = json!({
        "schema": "touchmark.event/1", "type": kind, "time": at(seconds), "source": "gate",
        "identity": {"common_name": "meter-1"},
    });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Event::from_line(event.to_string().as_bytes()).unwrap()
}

fn branches(events: Vec<Event>) -> Vec<Option<usize>> {
    let events: Vec<(u64, Event)> = (1..).zip(events).collect();
    give(&finding(), &events).iter().map(|one| one.branch).collect()
}

#[test]
fn events_go_to_the_instance_whose_boot_and_network_they_name() {
    let home = json!({"ip": "192.0.2.9"});
    let away = json!({"ip": "203.0.113.9", "asn": 64511});
    let other = json!({"ip": "203.0.113.9"});
    let given = branches(vec![
        event(-500, "heartbeat", json!({"counter": 45, "uptime_ms": 6_700_000, "peer": home})),
        event(-490, "heartbeat", json!({"counter": 45, "uptime_ms": 170_000, "peer": away})),
        // The same network for both: the boot decides.
        event(-480, "heartbeat", json!({"counter": 46, "boot_count": 2, "peer": home})),
        event(-470, "authentication", json!({"session": "s1", "peer": home})),
        event(-460, "authentication", json!({"session": "s2", "peer": other})),
        event(-450, "session_end", json!({"session": "s9"})),
    ]);
    assert_eq!(given, [Some(0), Some(1), Some(1), Some(0), None, None]);
}

#[test]
fn a_connection_follows_its_heartbeats_unless_it_carried_both() {
    let beat = |seconds, session: &str, boot: u64| {
        event(seconds, "heartbeat", json!({"session": session, "counter": 50, "boot_count": boot}))
    };
    let given = branches(vec![
        beat(-500, "one", 2),
        beat(-490, "both", 1),
        beat(-480, "both", 2),
        event(-470, "session_end", json!({"session": "one"})),
        event(-460, "session_end", json!({"session": "both"})),
    ]);
    assert_eq!(given, [Some(1), Some(0), Some(1), Some(1), None]);
}

#[test]
fn the_matter_has_the_room_and_bands_change_where_the_network_does() {
    let beat = |seconds: i64, ip: &str| {
        (
            seconds.unsigned_abs(),
            event(seconds, "heartbeat", json!({"counter": 50, "boot_count": 1, "peer": {"ip": ip}})),
        )
    };
    let mut events: Vec<(u64, Event)> = (0..300).map(|n| beat(-3_600 + n * 10, "192.0.2.9")).collect();
    events.push(beat(-400, "198.51.100.1"));
    events.push(beat(-390, "192.0.2.9"));
    let picture = picture(&finding(), &events, 350).unwrap();
    assert_eq!(picture.omitted, 48);
    assert_eq!(picture.span, (at(-900 - 5), at(-300 + 5)));
    let networks: Vec<&str> = picture.tracks[0].networks.iter().map(|band| band.label.as_str()).collect();
    assert_eq!(networks, ["192.0.2.0/24", "198.51.100.0/24", "192.0.2.0/24"]);
    assert_eq!(picture.tracks[0].networks[0].look, picture.tracks[0].networks[2].look);
    assert_eq!(picture.tracks[0].networks[0].to, at(-400), "a band lasts until the next begins");
    // What the second instance's boot says is drawn although none of its events is there.
    assert_eq!(picture.tracks[1].marks.len(), 1);
    assert!(picture.tracks[0].original && !picture.tracks[1].original);
    assert_eq!(super::picture(&finding(), &[], 0), None);
}

proptest! {
    #[test]
    fn no_event_is_drawn_twice_or_outside(seconds in proptest::collection::vec((-5_000i64..3_000, 0u64..3), 1..80)) {
        let events: Vec<(u64, Event)> = (1..)
            .zip(&seconds)
            .map(|(seq, (at, boot))| (seq, event(*at, "heartbeat", json!({"counter": 50, "boot_count": boot}))))
            .collect();
        let picture = picture(&finding(), &events, events.len() as u64).unwrap();
        let marks = picture.tracks.iter().flat_map(|track| &track.marks).chain(&picture.unplaced);
        let mut drawn = 0;
        for mark in marks.filter(|mark| mark.kind != MarkKind::Boot) {
            prop_assert!((picture.span.0..=picture.span.1).contains(&mark.at));
            drawn += mark.count;
        }
        prop_assert!(drawn <= events.len() as u64);
        let inside = events.iter().filter(|(_, event)| (picture.span.0..=picture.span.1).contains(&event.time));
        prop_assert_eq!(drawn, inside.count() as u64);
    }
}
