use std::collections::BTreeSet;

use touchmark_identity::event::{Event, EventBody};

use super::attack::{Class, Truth};
use super::scenario::{Attack, DeviceType, Happening, HappeningKind, Life};
use super::{Manifest, Scenario, Sinks, simulate};

#[derive(PartialEq)]
struct Files {
    events: Vec<u8>,
    registry: Vec<u8>,
    truth: Vec<u8>,
    labels: Vec<u8>,
}

fn run(scenario: &Scenario, seed: u64) -> (Manifest, Files) {
    let mut files = Files { events: vec![], registry: vec![], truth: vec![], labels: vec![] };
    let sinks = Sinks {
        events: &mut files.events,
        registry: &mut files.registry,
        truth: &mut files.truth,
        labels: Some(&mut files.labels),
    };
    let manifest = simulate(scenario, seed, sinks).unwrap();
    (manifest, files)
}

fn everything() -> Scenario {
    let kind = |name: &str| DeviceType {
        name: name.to_owned(),
        boot_count: true,
        boot_id: true,
        tokens: true,
        ja4: true,
        security_version: true,
        device_time: true,
        bytes: true,
        ..DeviceType::default()
    };
    let chip = touchmark_identity::assurance::Storage::SecureElement;
    let all = |kind| Happening { kind, at: 0.6, minutes: 10.0, ..Happening::default() };
    Scenario {
        days: 2.0,
        devices: 200,
        types: vec![
            DeviceType { persistent: false, ..kind("short") },
            DeviceType { storage: chip, diurnal: true, ..kind("chip") },
        ],
        life: Life { rekeys: 0.05, ..Life::default() },
        happenings: [
            HappeningKind::ReconnectStorm,
            HappeningKind::CarrierOutage,
            HappeningKind::PowerCut,
            HappeningKind::RollOut,
            HappeningKind::RollBack,
            HappeningKind::Renumbering,
            HappeningKind::CaRotation,
            HappeningKind::Drain,
            HappeningKind::ShipperOutage,
            HappeningKind::FileReplay,
        ]
        .map(all)
        .to_vec(),
        attacks: Class::ALL.iter().map(|&class| Attack { class, count: 2, ..Attack::default() }).collect(),
        ..Scenario::default()
    }
}

#[test]
fn equal_seed_gives_equal_bytes_and_another_seed_others() {
    let scenario = everything();
    let (manifest, files) = run(&scenario, 7);
    let again = run(&scenario, 7);
    assert!(manifest == again.0 && files == again.1);
    assert!(files.events != run(&scenario, 8).1.events);
}

#[test]
fn every_line_is_an_event_and_its_own_canonical_reading() {
    let (manifest, files) = run(&everything(), 3);
    let lines: Vec<&[u8]> = files.events.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len() as u64, manifest.events);
    let mut types = BTreeSet::new();
    for line in &lines {
        let event = Event::from_line(line).unwrap();
        let again = Event::from_line(event.to_line().as_bytes()).unwrap();
        assert_eq!(event, again);
        types.insert(event.body.type_name());
    }
    assert_eq!(
        types.into_iter().collect::<Vec<_>>(),
        ["authentication", "heartbeat", "registry", "session_end"]
    );
    for line in files.registry.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        assert!(matches!(Event::from_line(line).unwrap().body, EventBody::Registry(_)));
    }
}

#[test]
fn every_class_has_its_victims_and_its_copies_are_in_the_log() {
    let (_, files) = run(&everything(), 5);
    let truths: Vec<Truth> = String::from_utf8(files.truth)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for &class in Class::ALL {
        let of: Vec<&Truth> = truths.iter().filter(|truth| truth.class == class).collect();
        assert_eq!(of.len(), 2, "{class:?}");
        for truth in of {
            assert_eq!(truth.instances.len(), 1 + usize::from(!class.in_place()), "{class:?}");
            // A slow copy and an old replay may not have been used within two days.
            let seldom = matches!(class, Class::Slow | Class::ReplayOld);
            for witness in truth.instances.iter().filter(|_| !seldom) {
                assert!(witness.events > 0, "{class:?} {witness:?}");
                assert!(witness.sha256.is_some() && !witness.first_uses.is_empty());
            }
        }
    }
    assert!(!files.labels.is_empty());
}

#[test]
fn arrival_is_never_before_the_event_by_more_than_the_clocks_allow() {
    let (_, files) = run(&everything(), 9);
    let mut newest = 0;
    let mut late = 0;
    for line in files.events.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let event = Event::from_line(line).unwrap();
        newest = newest.max(event.time.micros());
        let behind = newest - event.time.micros();
        late += u32::from(behind > 2_000_000);
        assert!(behind < 2 * 3_600_000_000, "{}", String::from_utf8_lossy(line));
    }
    assert!(late > 100, "{late}");
}

#[test]
fn a_scenario_with_an_unknown_key_is_refused() {
    assert!(toml::from_str::<Scenario>("devices = 3\ndevises = 4\n").is_err());
    let scenario: Scenario = toml::from_str("[[attacks]]\nclass = \"C10\"\ncount = 3\n").unwrap();
    assert_eq!(scenario.attacks[0].class, Class::C10);
}

#[test]
fn the_engine_reads_it_and_notices_a_copy_abroad() {
    let attack = Attack { class: Class::C1, count: 3, ..Attack::default() };
    let scenario = Scenario { devices: 50, attacks: vec![attack], ..Scenario::default() };
    let (_, files) = run(&scenario, 1);
    let mut engine = crate::Engine::new(crate::Settings::default());
    let mut findings = 0;
    for line in files.events.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let event = Event::from_line(line).unwrap();
        findings += engine.observe(&event, touchmark_identity::event::RawDigest::of(line)).len();
    }
    assert!(findings > 0);
}
