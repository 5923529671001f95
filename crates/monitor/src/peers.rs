//! What the other devices of a type did on the same days.
//!
//! Weekends, weather, a release: what changes the habits of one device may change those of its whole type. So a change of
//! habits waits until its last day is over for everybody, and is weighed by how rare it was among the days of the other
//! devices of its type. Of each type and day it is kept how many devices differed from their own habit by how much, and
//! nothing of single devices; such tables can be added up.

use std::collections::BTreeMap;

use touchmark_identity::finding::{BenignCause, Certainty, Evidence, Finding, FindingId, Kind};

use crate::report;
use crate::usage::{Change, DAY, DayOver, MEASURES, Measure, STEP, Week, steps, weekday};

/// Days of others that there have to be for a comparison.
const ENOUGH: u64 = 50;
/// Devices of a type that there have to be for its week to be learnt.
const ENOUGH_A_DAY: u64 = 20;
/// Differences count for no more than so many steps in what a day is like.
const FAR: i8 = 12;
/// Types are told apart by this many values of their hash.
const TYPES: u64 = 4_096;
/// Days that are kept.
const KEPT_DAYS: u16 = 40;
/// A day waits for so many days, its own included, before it is compared: a device closes it with its next use.
const WAITS: i64 = 2;
/// What a change that every tenth day of others shows weighs nothing by, in decibans.
const COMMON: f64 = 10.0;
/// No comparison weighs more, for or against.
const MOST: f64 = 20.0;

/// What a device did, for the comparison with others.
#[derive(Debug, Clone)]
pub(crate) enum Used {
    /// A day of it is over: with its type's hash, and when it was closed, in seconds since 1970.
    Day { device_type: u64, day: DayOver, closed: i64 },
    /// Its habit changed, and this finding says so.
    Changed(Waiting),
}

/// A change of habits that waits for its comparison.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Waiting {
    pub(crate) device_type: u64,
    pub(crate) measure: Measure,
    /// Days since 1970.
    pub(crate) days: (u16, u16),
    /// In doublings.
    pub(crate) shift: f64,
    pub(crate) finding: FindingId,
    pub(crate) revision: u32,
}

impl Waiting {
    pub(crate) fn new(device_type: u64, change: &Change, finding: &Finding) -> Self {
        let (measure, days, shift) = (change.measure, change.days, change.shift());
        Self { device_type, measure, days, shift, finding: finding.id, revision: finding.revision }
    }

    fn ready_at(&self) -> i64 {
        (i64::from(self.days.1) + WAITS) * DAY
    }
}

/// What is known of a type.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Type {
    days: BTreeMap<u16, Differences>,
    week: Week,
    /// Weekdays that were learnt from, a bit each.
    learnt: u8,
}

/// The weeks of all types, for the devices to be held against.
pub(crate) type Weeks = BTreeMap<u64, Week>;

/// How many devices differed from their habit by how many steps, by measure.
type Differences = [BTreeMap<i8, u64>; MEASURES];

/// All types, and what waits.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Peers {
    types: BTreeMap<u64, Type>,
    /// Up to here everything was observed by all, in days since 1970.
    day: i64,
    waiting: Vec<Waiting>,
    findings: Vec<Finding>,
}

impl Peers {
    /// Takes in what devices did.
    pub(crate) fn note(&mut self, used: Used) {
        match used {
            // Which devices are in the comparison does not depend on how much is read at once.
            Used::Day { device_type, day, closed } if closed < (i64::from(day.day) + WAITS) * DAY => {
                let of_type = self.types.entry(type_key(device_type)).or_default();
                let table = of_type.days.entry(day.day).or_default();
                for (counts, steps) in table.iter_mut().zip(day.differences) {
                    if let Some(steps) = steps {
                        *counts.entry(steps).or_default() += 1;
                    }
                }
            }
            Used::Day { .. } => {}
            Used::Changed(waiting) => self.waiting.push(waiting),
        }
    }

    /// Keeps a finding that waits for its comparison; gives back any other.
    pub(crate) fn keep(&mut self, finding: Finding) -> Option<Finding> {
        let waits = |waiting: &Waiting| waiting.finding == finding.id && waiting.revision == finding.revision;
        if finding.kind == Kind::Behaviour
            && finding.grade != Certainty::Confirmed
            && finding.closed.is_none()
            && self.waiting.iter().any(waits)
        {
            self.findings.push(finding);
            return None;
        }
        Some(finding)
    }

    /// The findings whose comparison is possible now, weighed; those that are common among their type are left out.
    /// `watermark`: seconds since 1970, up to which everything is observed.
    pub(crate) fn compare(&mut self, watermark: i64) -> Vec<Finding> {
        if self.findings.is_empty() && self.types.is_empty() {
            return Vec::new();
        }
        let mut out = Vec::new();
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.ready_at() <= watermark);
        self.waiting = waiting;
        for waiting in ready {
            let at = self
                .findings
                .iter()
                .position(|finding| finding.id == waiting.finding && finding.revision == waiting.revision);
            if let Some(at) = at {
                out.extend(self.weigh(&waiting, self.findings.get(at).cloned()));
                self.findings.remove(at);
            }
        }
        out.sort_by_key(|finding| (finding.detected, finding.id, finding.revision));
        let today = u16::try_from(watermark.div_euclid(DAY)).unwrap_or(u16::MAX);
        for of_type in self.types.values_mut() {
            of_type.days = of_type.days.split_off(&today.saturating_sub(KEPT_DAYS));
        }
        self.types.retain(|_, of_type| !of_type.days.is_empty());
        out
    }

    /// When the present day ends, in seconds since 1970. Nothing beyond it is observed before
    /// [`Peers::observe_from`] was asked.
    pub(crate) fn day_ends(&self) -> i64 {
        (self.day + 1).saturating_mul(DAY)
    }

    /// Everything before this moment is observed, in seconds since 1970. Where another day begins with it, what the days
    /// before were like for each type is learnt; gives the weeks where they changed.
    pub(crate) fn observe_from(&mut self, first: i64) -> Option<Weeks> {
        let day = first.div_euclid(DAY);
        if day <= self.day {
            return None;
        }
        let before = std::mem::replace(&mut self.day, day);
        let over = |day: i64| u16::try_from(day - WAITS).ok();
        // Of later days there is nothing yet.
        let days = before + 1..=day.min(before + 1 + WAITS);
        let mut changed = false;
        for day in days.filter_map(over) {
            for of_type in self.types.values_mut() {
                changed |= of_type.learn(day);
            }
        }
        changed.then(|| self.weeks())
    }

    /// The weeks of all types.
    pub(crate) fn weeks(&self) -> Weeks {
        self.types.iter().map(|(name, of_type)| (*name, of_type.week)).collect()
    }

    fn weigh(&self, change: &Waiting, finding: Option<Finding>) -> Option<Finding> {
        let steps = i64::from(steps(change.shift));
        let (mut days, mut alike) = (0, 0);
        let (first, last) = change.days;
        let of_type = self.types.get(&type_key(change.device_type));
        for table in
            of_type.into_iter().flat_map(|of_type| of_type.days.range(first..=last)).map(|(_, table)| table)
        {
            let measures = table.iter().zip(Measure::ALL);
            for counts in measures.filter(|(_, measure)| *measure == change.measure).map(|(counts, _)| counts)
            {
                days += counts.values().sum::<u64>();
                let as_far = |step: i8| {
                    if steps >= 0 { i64::from(step) >= steps - 1 } else { i64::from(step) <= steps + 1 }
                };
                alike +=
                    counts.iter().filter(|(step, _)| as_far(**step)).map(|(_, count)| count).sum::<u64>();
            }
        }
        // Its own days are among them.
        let own = u64::from(last.saturating_sub(first)) + 1;
        let (days, alike) = (days.saturating_sub(own), alike.saturating_sub(own));
        if days < ENOUGH {
            let says =
                format!("too few days of other devices of its type to compare with: {days} and not {ENOUGH}");
            return report::weighed(finding?, sign("peers.few", 0.0, says), None);
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rare = (alike as f64 + 1.0) / (days as f64 + 1.0);
        // Days of one device resemble one another: four of them count as two.
        let together = f64::from(last.saturating_sub(first) + 1).sqrt();
        let decibans = ((-10.0 * rare.log10() - COMMON) * together).clamp(-MOST, MOST).round();
        let says = format!(
            "of {days} days of other devices of its type at the same time, {alike} differed from their habit by as much"
        );
        let common = BenignCause {
            cause: "something that concerns all devices of its type".to_owned(),
            rejected_because: if decibans > 0.0 { says.clone() } else { format!("not rejected: {says}") },
        };
        let name = if decibans > 0.0 { "peers.differ" } else { "peers.alike" };
        report::weighed(finding?, sign(name, decibans, says), Some(common))
    }
}

impl Type {
    /// Learns what the day of the week is like from a day that is over.
    fn learn(&mut self, day: u16) -> bool {
        let weekday = weekday(day);
        let (Some(table), Some(usual)) = (self.days.get(&day), self.week.get_mut(weekday)) else {
            return false;
        };
        let first = self.learnt & 1 << weekday == 0;
        let mut learnt = false;
        for (usual, counts) in usual.iter_mut().zip(table) {
            let number = counts.values().sum::<u64>();
            if number < ENOUGH_A_DAY {
                continue;
            }
            // Few that differ by much do not make the day another one.
            let weighed = |(step, count): (&i8, &u64)| {
                f64::from((*step).clamp(-FAR, FAR)) * f64::from(u32::try_from(*count).unwrap_or(u32::MAX))
            };
            let mean = counts.iter().map(weighed).sum::<f64>()
                / f64::from(u32::try_from(number).unwrap_or(u32::MAX));
            *usual += mean * STEP * if first { 1.0 } else { 0.5 };
            learnt = true;
        }
        if learnt {
            self.learnt |= 1 << weekday;
        }
        learnt
    }
}

/// The key of a type's week.
pub(crate) fn type_key(device_type: u64) -> u64 {
    device_type % TYPES
}

fn sign(name: &str, decibans: f64, says: String) -> Evidence {
    Evidence { sign: name.to_owned(), decibans, group: "peers".to_owned(), says }
}
