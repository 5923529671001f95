//! Which instance a branch of a finding is.

use touchmark_identity::finding::{Branch, Finding};

use crate::simulate::attack::{Role, Truth, Witness};

/// Whether the branch that a finding calls the original is the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribution {
    /// It is.
    Right,
    /// It is a copy.
    Wrong,
    /// None is called so, or it fits no instance, or two equally well.
    Abstained,
}

/// Boots within two minutes are one boot: clocks drift over weeks of uptime.
const BOOT_MS: u64 = 120_000;

/// Points for how well a branch fits an instance: a boot that both have, 8; seen first before the attack (only the
/// original was there), 8; seen first within five minutes of the instance's first event, 4; last at its last
/// event, 2; a common network, 2; the branch's counters inside the instance's, 2.
fn points(branch: &Branch, witness: &Witness, truth: &Truth) -> u32 {
    let near = |a: Option<touchmark_identity::timestamp::Timestamp>, b: Option<_>, ms: u64| {
        a.zip(b).is_some_and(|(a, b)| a.ms_since(b).unsigned_abs() <= ms)
    };
    let mut points = 0;
    if witness.boots.iter().any(|boot| near(branch.booted, Some(*boot), BOOT_MS)) {
        points += 8;
    }
    if witness.role == Role::Original && branch.first_seen.is_some_and(|at| at < truth.starts) {
        points += 8;
    }
    points += if near(branch.first_seen, witness.first_event, 300_000) { 4 } else { 0 };
    points += if near(branch.last_seen, witness.last_event, 300_000) { 2 } else { 0 };
    points += if branch.networks.iter().any(|network| witness.networks.contains(network)) { 2 } else { 0 };
    let within = |counter: u64| {
        witness
            .counter_first
            .zip(witness.counter_last)
            .is_some_and(|(first, last)| (first..=last).contains(&counter))
    };
    points += if branch.counter_first.is_some_and(within) { 2 } else { 0 };
    points
}

/// Judges the branch that a finding calls the original.
#[must_use]
pub fn attribution(truth: &Truth, finding: &Finding) -> Attribution {
    let Some(original) = &finding.original else { return Attribution::Abstained };
    let Some(branch) = finding.branches.iter().find(|branch| branch.id == original.branch) else {
        return Attribution::Abstained;
    };
    let best = |rightful: bool| {
        let of = truth.instances.iter().filter(|witness| (witness.role == Role::Original) == rightful);
        of.map(|witness| points(branch, witness, truth)).max().unwrap_or(0)
    };
    match best(true).cmp(&best(false)) {
        std::cmp::Ordering::Greater => Attribution::Right,
        std::cmp::Ordering::Less => Attribution::Wrong,
        std::cmp::Ordering::Equal => Attribution::Abstained,
    }
}
