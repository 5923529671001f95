//! What findings are worth, against the truth of a simulation.
//!
//! False findings are counted by *device-day*: a device counts once for each day (UTC) on which a finding about an
//! identity that nobody attacked was first written. The findings of one device on one day are one alarm to the person
//! who has to look. Found attacks are counted by identity. `docs/simulation.md` describes the figures and how the
//! branches of a finding are matched with instances.

mod interval;
mod matching;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use touchmark_identity::event::{IdentityRef, NameKey};
use touchmark_identity::finding::{Certainty, Finding};
use touchmark_identity::timestamp::Timestamp;

pub use interval::{Interval, wilson};
pub use matching::{Attribution, attribution};

use crate::simulate::attack::{Class, Role, Truth};

/// The format of a score.
pub const SCHEMA: &str = "touchmark.score/1";

/// Events up to this long before an attack's start may belong to it: sources' clocks differ. Five minutes.
const SLACK_MS: i64 = 300_000;

/// A fraction with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub of: u64,
    /// Out of how many.
    pub all: u64,
    /// The fraction; absent where `all` is 0.
    pub share: Option<f64>,
    /// Its Wilson interval.
    pub interval: Interval,
}

impl Share {
    fn new(of: u64, all: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts of identities are far below 2^53")]
        let share = (all > 0).then(|| of as f64 / all as f64);
        Self { of, all, share, interval: wilson(of, all) }
    }
}

/// False findings of a grade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct False {
    /// Device-days with one.
    pub device_days: u64,
    /// As a rate for each million device-days.
    pub per_million: f64,
    /// Where that rate lies with 95 %; at zero by the rule of three.
    pub interval: Interval,
    /// Identities with one.
    pub identities: u64,
    /// By kind of finding.
    pub kinds: BTreeMap<String, u64>,
    /// By rule.
    pub rules: BTreeMap<String, u64>,
    /// Some of the devices concerned, ten at most.
    pub examples: Vec<String>,
}

/// The middle and the ninth tenth of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Delay {
    /// Half are at most that.
    pub median: Option<f64>,
    /// Nine of ten are at most that.
    pub p90: Option<f64>,
}

/// Which branch was called the original.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributions {
    /// The right one.
    pub right: u64,
    /// A copy.
    pub wrong: u64,
    /// None, or one that could not be matched with an instance.
    pub abstained: u64,
}

/// How one class of attack fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Attacked identities whose attacker left at least one event in the log.
    pub seen: u64,
    /// Those that left none; nobody could find them and they do not count.
    pub unseen: u64,
    /// Found, confirmed.
    pub confirmed: Share,
    /// Found, at least suspect.
    pub suspect: Share,
    /// Found with a finding of a right kind, at least suspect.
    pub right_kind: Share,
    /// Seconds from the attacker's first event to the first finding that is at least suspect.
    pub seconds: Delay,
    /// Events of the attacker until then; up to ten can be told, more count as eleven.
    pub uses: Delay,
    /// Which branch was called the original, of those found where two were in use.
    pub original: Attributions,
    /// Findings by their kind, one for each identity: the last and surest.
    pub kinds: BTreeMap<String, u64>,
}

/// The whole judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The format: [`SCHEMA`].
    pub schema: String,
    /// Devices times days.
    pub device_days: f64,
    /// Findings read, each id once.
    pub findings: u64,
    /// False findings that are confirmed.
    pub false_confirmed: False,
    /// False findings that are suspect or confirmed.
    pub false_suspect: False,
    /// Of the identities with a confirmed finding, those that were attacked.
    pub precision_confirmed: Share,
    /// Of the identities with a finding that is at least suspect, those that were attacked.
    pub precision_suspect: Share,
    /// By class of attack.
    pub classes: BTreeMap<String, ClassScore>,
    /// Which branch was called the original, of all classes.
    pub original: Attributions,
}

/// The history of one finding: when it first had which grade, and its last form.
#[derive(Debug, Clone)]
struct Case {
    suspect: Option<Timestamp>,
    confirmed: Option<Timestamp>,
    last: Finding,
}

/// Collects findings, then judges.
#[derive(Debug)]
pub struct Scorer {
    truths: Vec<Truth>,
    names: HashMap<NameKey, usize>,
    devices: HashMap<String, usize>,
    cases: BTreeMap<String, Case>,
}

impl Scorer {
    /// A scorer that knows the truth.
    #[must_use]
    pub fn new(truths: Vec<Truth>) -> Self {
        let names = (0..).zip(&truths);
        let names = names.flat_map(|(place, truth)| truth.identity.names().map(move |name| (name, place)));
        let names = names.collect();
        let devices = (0..).zip(&truths).map(|(place, truth)| (truth.device.clone(), place)).collect();
        Self { truths, names, devices, cases: BTreeMap::new() }
    }

    /// Takes one finding; revisions of one id may come in any order of their numbers' rise.
    pub fn take(&mut self, finding: Finding) {
        let (grade, detected) = (finding.grade, finding.detected);
        let earlier = |before: Option<Timestamp>, reached: bool| {
            let now = reached.then_some(detected);
            before.into_iter().chain(now).min()
        };
        let case = self.cases.entry(String::from(finding.id)).or_insert_with(|| Case {
            suspect: None,
            confirmed: None,
            last: finding.clone(),
        });
        case.suspect = earlier(case.suspect, grade >= Certainty::Suspect);
        case.confirmed = earlier(case.confirmed, grade >= Certainty::Confirmed);
        if finding.revision >= case.last.revision {
            case.last = finding;
        }
    }

    fn attacked(&self, finding: &Finding) -> Option<usize> {
        let by_device = finding.device.as_ref().and_then(|device| self.devices.get(device));
        let by_name = || finding.identity.names().find_map(|name| self.names.get(&name));
        by_device.or_else(by_name).copied()
    }

    /// The judgement over that many device-days.
    #[must_use]
    pub fn score(&self, device_days: f64) -> Score {
        let mut of_truth: BTreeMap<usize, Vec<&Case>> = BTreeMap::new();
        let mut others: Vec<&Case> = Vec::new();
        for case in self.cases.values() {
            match self.attacked(&case.last) {
                // What was said of an attacked identity before anything was done to it is false as well.
                Some(place) if self.truths.get(place).is_some_and(|truth| began(truth, case)) => {
                    of_truth.entry(place).or_default().push(case);
                }
                _ => others.push(case),
            }
        }
        let grade = |reached: fn(&Case) -> Option<Timestamp>| {
            let wrong = false_findings(&others, reached, device_days);
            let hit = of_truth.values().filter(|cases| cases.iter().any(|case| reached(case).is_some()));
            let hit = hit.count() as u64;
            let precision = Share::new(hit, hit + wrong.identities);
            (wrong, precision)
        };
        let (false_confirmed, precision_confirmed) = grade(|case| case.confirmed);
        let (false_suspect, precision_suspect) = grade(|case| case.suspect);
        let mut classes = BTreeMap::new();
        let mut original = Attributions::default();
        for &class in Class::ALL {
            let truths = (0..).zip(&self.truths).filter(|(_, truth)| truth.class == class);
            let truths: Vec<(usize, &Truth)> = truths.collect();
            if truths.is_empty() {
                continue;
            }
            let score = class_score(&truths, &of_truth);
            original.right += score.original.right;
            original.wrong += score.original.wrong;
            original.abstained += score.original.abstained;
            classes.insert(class.as_str().to_owned(), score);
        }
        Score {
            schema: SCHEMA.to_owned(),
            device_days,
            findings: self.cases.len() as u64,
            false_confirmed,
            false_suspect,
            precision_confirmed,
            precision_suspect,
            classes,
            original,
        }
    }
}

fn began(truth: &Truth, case: &Case) -> bool {
    case.last.detected >= truth.starts.plus_ms(-SLACK_MS)
}

/// The first event of whoever attacks; where the device itself is changed, the start.
fn first_use(truth: &Truth) -> Option<Timestamp> {
    let copies = truth.instances.iter().filter(|witness| witness.role != Role::Original);
    if truth.class.in_place() {
        let used = truth.instances.iter().any(|witness| witness.last_event >= Some(truth.starts));
        return used.then_some(truth.starts);
    }
    copies.filter_map(|witness| witness.first_event).min()
}

fn false_findings(cases: &[&Case], reached: fn(&Case) -> Option<Timestamp>, device_days: f64) -> False {
    let mut days = BTreeSet::new();
    let mut kinds = BTreeMap::new();
    let mut rules = BTreeMap::new();
    for case in cases {
        let Some(at) = reached(case) else { continue };
        let who = who(&case.last.identity, case.last.device.as_ref());
        if days.insert((who, at.seconds() / 86_400)) {
            *kinds.entry(case.last.kind.to_string()).or_default() += 1;
            for rule in &case.last.rules {
                *rules.entry(rule.clone()).or_default() += 1;
            }
        }
    }
    let identities: BTreeSet<&String> = days.iter().map(|(who, _)| who).collect();
    let count = days.len() as u64;
    let (per_million, interval) = interval::rate(count, device_days, 1e6);
    False {
        device_days: count,
        per_million,
        interval,
        identities: identities.len() as u64,
        kinds,
        rules,
        examples: identities.into_iter().take(10).cloned().collect(),
    }
}

fn who(identity: &IdentityRef, device: Option<&String>) -> String {
    device.cloned().unwrap_or_else(|| identity.label())
}

fn class_score(truths: &[(usize, &Truth)], of_truth: &BTreeMap<usize, Vec<&Case>>) -> ClassScore {
    let (mut seen, mut confirmed, mut suspect, mut right_kind) = (0, 0, 0, 0);
    let (mut seconds, mut uses) = (Vec::new(), Vec::new());
    let mut original = Attributions::default();
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for (place, truth) in truths {
        let Some(first) = first_use(truth) else { continue };
        seen += 1;
        let Some(cases) = of_truth.get(place) else { continue };
        confirmed += u64::from(cases.iter().any(|case| case.confirmed.is_some()));
        let Some(at) = cases.iter().filter_map(|case| case.suspect).min() else { continue };
        suspect += 1;
        let right = |case: &&&Case| case.suspect.is_some() && truth.kind.contains(&case.last.kind);
        right_kind += u64::from(cases.iter().any(|case| right(&case)));
        #[expect(clippy::cast_precision_loss, reason = "a time within a simulation")]
        seconds.push(at.ms_since(first).max(0) as f64 / 1000.0);
        uses.push(f64::from(uses_until(truth, at)));
        let surest = cases.iter().max_by_key(|case| (case.last.grade, case.last.revision));
        if let Some(case) = surest {
            *kinds.entry(case.last.kind.to_string()).or_default() += 1;
            if truth.concurrent {
                match attribution(truth, &case.last) {
                    Attribution::Right => original.right += 1,
                    Attribution::Wrong => original.wrong += 1,
                    Attribution::Abstained => original.abstained += 1,
                }
            }
        }
    }
    ClassScore {
        seen,
        unseen: truths.len() as u64 - seen,
        confirmed: Share::new(confirmed, seen),
        suspect: Share::new(suspect, seen),
        right_kind: Share::new(right_kind, seen),
        seconds: interval::delay(seconds),
        uses: interval::delay(uses),
        original,
        kinds,
    }
}

/// The attacker's events up to that time; eleven where it has used up all that the truth lists.
fn uses_until(truth: &Truth, at: Timestamp) -> u8 {
    let attackers = truth.instances.iter().filter(|witness| witness.role != Role::Original);
    let count = |witness: &crate::simulate::attack::Witness| {
        let listed = witness.first_uses.iter().filter(|time| **time <= at).count();
        let more = listed == 10 && witness.events > 10;
        u8::try_from(listed).unwrap_or(10) + u8::from(more)
    };
    attackers.map(count).fold(0_u8, u8::saturating_add)
}
