//! Simulated fleets: harmless noise names nobody, and each kind of clone is found within two of its heartbeats.
//!
//! The generator is small and deterministic: one seed, one fleet. It is ours, so the rates are a check of the design,
//! not a measurement of the field.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod sim;

use sim::{Clone as Copy, Device, Fleet, MINUTE, Noise};
use touchmark_identity::event::RawDigest;
use touchmark_identity::finding::{Action, Certainty, Finding, Kind};
use touchmark_monitor::{Engine, Settings};

fn run(lines: &[String]) -> Vec<Finding> {
    let mut engine = Engine::new(Settings::default());
    let mut findings = Vec::new();
    for line in lines {
        let event = touchmark_identity::event::Event::from_line(line.as_bytes()).unwrap();
        findings.extend(engine.observe(&event, RawDigest::of(line.as_bytes())));
    }
    findings
}

fn named(findings: &[Finding], kind: Kind) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.kind == kind && finding.grade >= Certainty::Suspect).collect()
}

#[test]
fn a_harmless_fleet_names_nobody() {
    // More fleets for a longer look: TOUCHMARK_SEEDS=200.
    let seeds = std::env::var("TOUCHMARK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    for seed in 1..=seeds {
        let mut fleet = Fleet::new(seed);
        for number in 0..200 {
            let noise = Noise::all(number);
            // Uplinks that alternate count only within 15 minutes.
            let period = if noise.flaps { 5 * MINUTE } else { 15 * MINUTE };
            fleet.device(Device { period, ..Device::new(number) }, noise);
        }
        let lines = fleet.lines(2 * 24 * 60 * MINUTE);
        assert!(lines.len() > 60_000, "{}", lines.len());
        let findings = run(&lines);
        let clones = [Kind::Clone, Kind::ConcurrentSession, Kind::Replay, Kind::Downgrade]
            .map(|kind| named(&findings, kind).len());
        let told: Vec<String> = findings.iter().map(|finding| finding.says.clone()).collect();
        assert_eq!(clones, [0; 4], "seed {seed}: {}", told.join("\n"));
    }
}

/// Runs one device and its copy beside each other; gives the findings and, at the first of at least this grade, how
/// many heartbeats the copy had sent.
fn beside(seed: u64, device: Device, copy: Copy, grade: Certainty) -> (Vec<Finding>, Option<usize>) {
    let mut fleet = Fleet::new(seed);
    let lines = fleet.pair(device, copy, 24 * 60 * MINUTE);
    let mut engine = Engine::new(Settings::default());
    let (mut findings, mut beats, mut found) = (Vec::new(), 0, None);
    for (line, by_copy) in lines {
        beats += usize::from(by_copy);
        let event = touchmark_identity::event::Event::from_line(line.as_bytes()).unwrap();
        for finding in engine.observe(&event, RawDigest::of(line.as_bytes())) {
            if finding.kind == Kind::Clone && finding.grade >= grade {
                found.get_or_insert(beats);
            }
            findings.push(finding);
        }
    }
    (findings, found)
}

#[test]
fn copies_of_flash_are_found_by_their_second_heartbeat() {
    let kinds = [
        ("everything copied, booted at once", Copy::default()),
        ("from an old image", Copy { age: 40, ..Copy::default() }),
        ("same network", Copy { same_network: true, ..Copy::default() }),
        ("counter jumped ahead", Copy { ahead: 5_000, ..Copy::default() }),
        ("seldom", Copy { period: 120 * MINUTE, ..Copy::default() }),
        ("always claims to have booted", Copy { always_fresh: true, ..Copy::default() }),
        ("seen by another gate", Copy { source: "gate-2", age: 8, ..Copy::default() }),
        ("without tokens", Copy { tokens: false, ..Copy::default() }),
    ];
    for (what, copy) in kinds {
        for seed in 1..=40 {
            let mut device = Device::new(7);
            device.tokens &= copy.tokens;
            let (findings, found) = beside(seed, device, copy.clone(), Certainty::Confirmed);
            assert!(found.is_some_and(|beats| beats <= 2), "{what}, seed {seed}: {found:?} {findings:#?}");
            let last = findings.iter().rfind(|finding| finding.kind == Kind::Clone).unwrap();
            assert!(last.rules.iter().any(|rule| rule == "continuity.return"), "{what}: {:?}", last.rules);
            if let Some(original) = last.original {
                assert_eq!(original.branch, 0, "{what}, seed {seed}: {last:#?}");
            }
        }
    }
}

#[test]
fn copies_are_found_although_replies_and_lines_get_lost() {
    for source in ["gate-1", "gate-2"] {
        for seed in 1..=40 {
            let copy = Copy { losses: 20, source, ..Copy::default() };
            let (findings, found) = beside(seed, Device::new(7), copy, Certainty::Confirmed);
            assert!(found.is_some_and(|beats| beats <= 4), "{source}, seed {seed}: {found:?} {findings:#?}");
        }
    }
}

#[test]
fn copies_of_devices_that_say_little_are_suspected() {
    let kinds = [
        ("uptime alone", Device { counters: false, tokens: false, boot_counts: false, ..Device::new(7) }),
        ("counter alone", Device { uptime: false, tokens: false, boot_counts: false, ..Device::new(7) }),
        ("token alone", Device { uptime: false, counters: false, boot_counts: false, ..Device::new(7) }),
    ];
    for (what, device) in kinds {
        for seed in 1..=20 {
            let copy = Copy { age: 6, ..Copy::default() };
            let (findings, found) = beside(seed, device.clone(), copy, Certainty::Suspect);
            assert!(found.is_some_and(|beats| beats <= 2), "{what}, seed {seed}: {found:?} {findings:#?}");
            let (_, confirmed) =
                beside(seed, device.clone(), Copy { age: 6, ..Copy::default() }, Certainty::Confirmed);
            assert!(confirmed.is_some_and(|beats| beats <= 3), "{what}, seed {seed}: {confirmed:?}");
        }
    }
}

#[test]
fn a_flood_of_signs_is_not_a_flood_of_findings() {
    let (findings, _) =
        beside(3, Device::new(7), Copy { period: 5 * MINUTE, ..Copy::default() }, Certainty::Confirmed);
    let clones = named(&findings, Kind::Clone);
    assert!(clones.len() <= 10, "{}", clones.len());
    let id = clones[0].id;
    for (place, finding) in clones.iter().enumerate() {
        assert_eq!((finding.id, finding.revision), (id, u32::try_from(place).unwrap() + 1));
    }
}

#[test]
fn a_finding_explains_itself() {
    let (findings, _) = beside(1, Device::new(7), Copy::default(), Certainty::Confirmed);
    let last = named(&findings, Kind::Clone).into_iter().next_back().unwrap().clone();
    assert_eq!(last.branches.len(), 2);
    assert_eq!(last.regime_basis, "unregistered");
    assert!(last.benign_causes.iter().all(|cause| !cause.rejected_because.is_empty()));
    assert!(last.events.len() >= 2);
    assert_eq!(last.action, Action::ChallengeBoth);
    assert!(last.evidence.iter().any(|sign| sign.decibans > 0.0));
    assert!(last.says.contains("up since"), "{}", last.says);
    assert_eq!(Finding::from_line(last.to_line().as_bytes()).unwrap(), last);
}

#[test]
fn equal_input_gives_equal_output() {
    let run = || {
        let (findings, _) = beside(5, Device::new(7), Copy::default(), Certainty::Confirmed);
        findings.iter().map(Finding::to_line).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
