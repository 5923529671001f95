//! A station that is stopped, killed, damaged and set up anew, held against a replay of the same events.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;

use proptest::prelude::*;
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::{Monitor, Settings, replay};
use touchmark_testkit::fleet::Fleet;

use super::RunConfig;
use super::station::Station;
use crate::error::ServerError;

const FLEET: Fleet = Fleet { devices: 12, beats: 24, cloned_every: 4 };

fn config(data: &Path) -> RunConfig {
    RunConfig { data: data.to_owned(), workers: 1, keep_h: 0, ..RunConfig::default() }
}

/// A clock that advances by an hour with each look.
#[derive(Default)]
struct Hours(i64);

impl Hours {
    fn next(&mut self) -> Timestamp {
        self.0 += 1;
        Timestamp::from_micros(self.0 * 3_600_000_000)
    }
}

fn replayed(events: &str) -> String {
    let mut monitor = Monitor::new(&Settings::default(), NonZeroUsize::MIN);
    let mut out = String::new();
    replay::replay(&mut monitor, None, &mut events.as_bytes(), &mut |finding| {
        out.push_str(&finding.to_line());
        out.push('\n');
        Ok(())
    })
    .unwrap();
    out
}

fn findings(data: &Path) -> String {
    std::fs::read_to_string(data.join("findings.ndjson")).unwrap()
}

/// Lines in pieces of so many.
fn pieces(events: &str, lines: usize) -> Vec<Vec<u8>> {
    let all: Vec<&str> = events.split_inclusive('\n').collect();
    all.chunks(lines).map(|piece| piece.concat().into_bytes()).collect()
}

#[test]
fn the_fleet_leads_to_findings() {
    let found = replayed(&FLEET.lines());
    for device in 0..FLEET.devices {
        let name = format!("\"device\":\"meter-{device:06}\"");
        assert_eq!(found.contains(&name), FLEET.is_cloned(device), "{name}\n{found}");
    }
}

/// What is done between two pieces.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    None,
    Checkpoint,
    /// The process is gone; nothing was written at its end.
    Killed,
    /// It is gone, in the middle of writing a finding.
    HalfALine,
    /// It is gone, and the newest checkpoint is damaged.
    DamagedCheckpoint,
}

fn newest_checkpoint(data: &Path) -> Option<std::path::PathBuf> {
    let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "tmc")).max()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_findings_are_those_of_a_replay(
        lines in 20usize..80,
        troubles in prop::collection::vec(
            prop_oneof![
                3 => Just(Trouble::None),
                3 => Just(Trouble::Checkpoint),
                2 => Just(Trouble::Killed),
                1 => Just(Trouble::HalfALine),
                1 => Just(Trouble::DamagedCheckpoint),
            ],
            1..40,
        ),
    ) {
        let events = FLEET.lines();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let mut clock = Hours::default();
        let mut station = Station::open(&config(data), None).unwrap();
        let mut troubles = troubles.iter().cycle();
        let mut damaged = false;
        for piece in pieces(&events, lines) {
            station.take(piece, None, clock.next()).unwrap();
            match troubles.next().unwrap() {
                Trouble::None => {}
                Trouble::Checkpoint => {
                    station.checkpoint(clock.next()).unwrap();
                    damaged = false;
                }
                Trouble::Killed => {
                    drop(station);
                    station = Station::open(&config(data), None).unwrap();
                }
                Trouble::HalfALine => {
                    drop(station);
                    let mut file =
                        std::fs::File::options().append(true).open(data.join("findings.ndjson")).unwrap();
                    file.write_all(b"{\"schema\":\"touchmark.fin").unwrap();
                    station = Station::open(&config(data), None).unwrap();
                }
                Trouble::DamagedCheckpoint => {
                    drop(station);
                    if let Some(path) = newest_checkpoint(data).filter(|_| !damaged) {
                        let mut bytes = std::fs::read(&path).unwrap();
                        let middle = bytes.len() / 2;
                        bytes[middle] ^= 1;
                        std::fs::write(&path, bytes).unwrap();
                        damaged = true;
                    }
                    station = Station::open(&config(data), None).unwrap();
                }
            }
        }
        station.finish(clock.next()).unwrap();
        prop_assert_eq!(findings(data), replayed(&events));
    }
}

#[test]
fn old_events_go_when_two_checkpoints_cover_them() {
    let folder = tempfile::tempdir().unwrap();
    let (data, mut clock) = (folder.path(), Hours::default());
    let mut station = Station::open(&config(data), None).unwrap();
    for piece in pieces(&FLEET.lines(), 30) {
        station.take(piece, None, clock.next()).unwrap();
        station.checkpoint(clock.next()).unwrap();
    }
    drop(station);
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "tmc") {
            std::fs::write(path, b"TMC1").unwrap();
        }
    }
    let error = Station::open(&config(data), None).unwrap_err();
    assert!(matches!(error, ServerError::NoState { first, .. } if first > 2), "{error}");
}

#[test]
fn other_settings_begin_with_what_the_log_has() {
    let folder = tempfile::tempdir().unwrap();
    let (data, mut clock) = (folder.path(), Hours::default());
    let events = FLEET.lines();
    let mut station = Station::open(&RunConfig { keep_h: 9_999, ..config(data) }, None).unwrap();
    station.take(events.clone().into_bytes(), None, clock.next()).unwrap();
    station.checkpoint(clock.next()).unwrap();
    drop(station);
    let changed = RunConfig {
        monitor: Settings { watermark_s: 60, ..Settings::default() },
        keep_h: 9_999,
        ..config(data)
    };
    let mut station = Station::open(&changed, None).unwrap();
    assert_eq!(station.monitor().counts().identities, 12);
    station.finish(clock.next()).unwrap();
    assert_eq!(findings(data), replayed(&events), "what was written is not written again");
}

#[test]
fn registry_lines_are_learnt_once() {
    let folder = tempfile::tempdir().unwrap();
    let (data, mut clock) = (folder.path(), Hours::default());
    let events = FLEET.lines();
    let registry: String = events.split_inclusive('\n').take(12).collect();
    let mut station = Station::open(&config(data), None).unwrap();
    let taken = station.register(registry.clone().into_bytes(), clock.next()).unwrap();
    assert_eq!((taken.events, taken.refused.len()), (12, 0));
    drop(station);
    let mut station = Station::open(&config(data), None).unwrap();
    assert_eq!(station.register(registry.into_bytes(), clock.next()).unwrap().events, 0);
    let taken = station.register(b"{}\nx".to_vec(), clock.next()).unwrap();
    assert_eq!((taken.events, taken.refused.values().map(|(n, _)| n).sum()), (0, 2u64));
}

#[test]
fn time_moves_on_without_events() {
    let folder = tempfile::tempdir().unwrap();
    let (data, mut clock) = (folder.path(), Hours::default());
    let events = FLEET.lines();
    let mut station = Station::open(&config(data), None).unwrap();
    station.take(events.clone().into_bytes(), None, clock.next()).unwrap();
    let end: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
    station.tick(end).unwrap();
    assert_eq!(station.monitor().held_back(), 0);
    assert_eq!(findings(data), replayed(&events));
    drop(station);
    assert_eq!(Station::open(&config(data), None).unwrap().monitor().held_back(), 0, "a tick is a step");
}
