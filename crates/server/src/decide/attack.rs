//! The attack economics under sliders.

use touchmark_economics::EconomicsError;
use touchmark_economics::attack;
use touchmark_economics::report::Report;

use super::{Asked, Own, Range, choice, range, sliders};
use crate::dashboard::view;

const ATTACKER: &[Range] = &[
    range("attack.budget", 0.0, 10_000_000.0, 5_000.0),
    range("attack.gain", 0.0, 10_000.0, 5.0),
    range("attack.rate", 0.0, 500.0, 5.0),
    range("attack.acquire", 0.0, 1_000.0, 5.0),
];
const FLEET: &[Range] = &[range("fleet.devices", 1_000.0, 1_000_000.0, 1_000.0)];
const METHODS: &[Range] = &[
    range("attack.stm32-trezor.equipment", 0.0, 10_000.0, 25.0),
    range("attack.eucleak.equipment", 0.0, 100_000.0, 500.0),
    range("attack.laser.equipment", 0.0, 1_000_000.0, 500.0),
    range("attack.laser.device", 0.0, 100.0, 0.5),
];

pub(super) const ALL: &[&[Range]] = &[ATTACKER, FLEET, METHODS];

/// In the choice of a part: all of them.
const EVERY: &str = "all";

pub(super) fn controls(asked: &Asked, own: &Own) -> Vec<view::Controls> {
    let mut parts = vec![(EVERY, "all that are compared")];
    let known: Vec<&str> = own.attacks.parts();
    parts.extend(known.iter().map(|part| (*part, *part)));
    vec![
        view::Controls {
            title: "Part".to_owned(),
            controls: vec![choice("part", "Attacks on", &parts, EVERY, asked)],
        },
        sliders("Attacker", ATTACKER, asked, own),
        sliders("Fleet", FLEET, asked, own),
        sliders("Methods", METHODS, asked, own),
    ]
}

pub(super) fn report(asked: &Asked, own: &Own) -> Result<Report, EconomicsError> {
    let inputs = own.inputs(asked, ALL)?;
    let part = asked.get("part").filter(|part| *part != EVERY);
    attack::report(&own.attacks, part, &inputs)
}
