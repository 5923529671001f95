//! From a finding and the events of its time to its picture: which event came from which instance.
//!
//! The finding says how its instances differ; the log does not say which of them sent an event. So each event is held
//! against what the finding says of each instance, and goes to the one that it fits best. What fits none, or several equally
//! well is drawn apart. Nothing is concluded from this: the finding stands without its picture.

use std::collections::BTreeMap;

use touchmark_identity::event::{Event, EventBody, Peer};
use touchmark_identity::finding::{Branch, Finding};
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::network_name;

use crate::dashboard::view::{Band, MarkKind, Picture, PictureMark, Place, Track};

/// No more events than this are read for one picture.
pub(super) const MAX_EVENTS: u32 = 4_000;
/// Marks of one kind closer together than this share of the axis become one.
const COLUMNS: i64 = 240;
/// Boots this close together, in milliseconds, are the same: the monitor's own tolerance (`docs/monitoring.md`).
const SAME_BOOT_MS: i64 = 900_000;
/// What is shown before the matter began and after it was known, at least, in milliseconds.
const MARGIN_MS: i64 = 3_600_000;
/// Of what was before and after, no more events than this, so that the matter itself has most of the room.
const AROUND: usize = 30;
/// No more places than this are shown.
const MAX_PLACES: usize = 24;

/// The stretch of time that a picture shows: from somewhat before the matter began to somewhat after it could be known.
pub(super) fn span(finding: &Finding) -> (Timestamp, Timestamp) {
    let length = finding.detected.ms_since(finding.first_event).max(0);
    let margin = (length / 2).max(MARGIN_MS);
    let first = finding.first_event.min(finding.detected);
    let last = finding.first_event.max(finding.detected);
    (first.plus_ms(-margin), last.plus_ms(margin))
}

/// What an event says that tells instances apart.
struct Facts<'a> {
    kind: MarkKind,
    session: Option<&'a str>,
    peer: Option<&'a Peer>,
    counter: Option<u64>,
    uptime_ms: Option<u64>,
    boot_count: Option<u64>,
    firmware: Option<&'a str>,
}

impl<'a> Facts<'a> {
    fn of(event: &'a Event) -> Option<Self> {
        match &event.body {
            EventBody::Heartbeat(beat) => Some(Self {
                kind: MarkKind::Heartbeat,
                session: beat.session.as_deref(),
                peer: beat.peer.as_ref(),
                counter: beat.counter,
                uptime_ms: beat.uptime_ms,
                boot_count: beat.boot_count,
                firmware: beat.firmware.as_deref(),
            }),
            EventBody::Authentication(login) => Some(Self {
                kind: MarkKind::Authentication,
                session: Some(&login.session),
                peer: login.peer.as_ref(),
                counter: login.counter,
                uptime_ms: login.uptime_ms,
                boot_count: None,
                firmware: login.firmware.as_deref(),
            }),
            EventBody::SessionEnd(end) => Some(Self {
                kind: MarkKind::SessionEnd,
                session: Some(&end.session),
                peer: None,
                counter: None,
                uptime_ms: None,
                boot_count: None,
                firmware: None,
            }),
            EventBody::Registry(_) => None,
        }
    }

    fn booted(&self, at: Timestamp) -> Option<Timestamp> {
        self.uptime_ms.map(|uptime| at.plus_ms(i64::try_from(uptime).map_or(i64::MIN, |ms| -ms)))
    }

    /// How well it fits an instance; each thing that both name adds or takes away, what identifies a boot most.
    fn fits(&self, at: Timestamp, branch: &Branch) -> i32 {
        let judge = |same: Option<bool>, weight: i32| match same {
            Some(true) => weight,
            Some(false) => -weight,
            None => 0,
        };
        let boot = self.booted(at).zip(branch.booted).map(|(a, b)| a.ms_since(b).abs() < SAME_BOOT_MS);
        let number = self.boot_count.zip(branch.boot_count).map(|(a, b)| a == b);
        let range = branch.counter_first.zip(branch.counter_last);
        let counter =
            self.counter.zip(range).map(|(counter, (first, last))| (first..=last).contains(&counter));
        let listed = |name: Option<String>, names: &[String]| {
            name.filter(|_| !names.is_empty()).map(|name| names.contains(&name))
        };
        let networks = listed(self.peer.map(network_name), &branch.networks);
        let firmware = listed(self.firmware.map(str::to_owned), &branch.firmware);
        let seen = branch.first_seen.zip(branch.last_seen).map(|(first, last)| (first..=last).contains(&at));
        judge(boot, 6)
            + judge(number, 6)
            + judge(networks, 4)
            + judge(counter, 2)
            + judge(firmware, 2)
            + judge(seen, 1)
    }

    fn says(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.counter.map(|counter| format!("counter {counter}")));
        parts.extend(self.uptime_ms.map(|ms| format!("up for {} s", ms / 1_000)));
        parts.extend(self.boot_count.map(|boots| format!("boot {boots}")));
        parts.extend(self.firmware.map(|version| format!("firmware {version}")));
        parts.extend(self.peer.map(|peer| format!("from {}", peer.ip)));
        parts.join(", ")
    }
}

/// One event with its number in the log and the branch it was given to.
struct Given<'a> {
    seq: u64,
    event: &'a Event,
    facts: Facts<'a>,
    branch: Option<usize>,
}

/// Gives each event to the branch that it fits best; `None` where no branch fits better than all others.
fn give<'a>(finding: &Finding, events: &'a [(u64, Event)]) -> Vec<Given<'a>> {
    let best = |facts: &Facts<'_>, at: Timestamp| {
        let fits: Vec<i32> = finding.branches.iter().map(|branch| facts.fits(at, branch)).collect();
        let most = fits.iter().copied().max()?;
        let mut places = fits.iter().enumerate().filter(|(_, fit)| **fit == most).map(|(place, _)| place);
        let first = places.next()?;
        (finding.branches.len() == 1 || (places.next().is_none() && most > 0)).then_some(first)
    };
    let mut given: Vec<Given<'a>> = events
        .iter()
        .filter_map(|(seq, event)| Some((seq, event, Facts::of(event)?)))
        .map(|(seq, event, facts)| Given { seq: *seq, event, branch: best(&facts, event.time), facts })
        .collect();
    // What a connection's heartbeats show holds for its other lines; a connection that carried two instances shows nothing.
    let mut sessions: BTreeMap<&str, Option<usize>> = BTreeMap::new();
    for one in given.iter().filter(|one| one.facts.counter.is_some()) {
        if let (Some(session), Some(branch)) = (one.facts.session, one.branch) {
            let entry = sessions.entry(session).or_insert(Some(branch));
            if *entry != Some(branch) {
                *entry = None;
            }
        }
    }
    for one in given.iter_mut().filter(|one| one.branch.is_none()) {
        one.branch = one.facts.session.and_then(|session| sessions.get(session).copied().flatten());
    }
    given
}

/// The picture; `None` when the log holds no event of that time. `total` is how many there are, with those not read.
pub(super) fn picture(finding: &Finding, events: &[(u64, Event)], total: u64) -> Option<Picture> {
    let mut given = give(finding, events);
    if given.is_empty() {
        return None;
    }
    let span = narrowed(finding, given.iter().map(|one| one.event.time).collect());
    given.retain(|one| (span.0..=span.1).contains(&one.event.time));
    let column_ms = (span.1.ms_since(span.0) / COLUMNS).max(1);
    let mut looks: BTreeMap<String, u64> = BTreeMap::new();
    let mut look = |label: &str| {
        let next = looks.len() as u64;
        *looks.entry(label.to_owned()).or_insert(next)
    };
    let tracks: Vec<Track> = finding
        .branches
        .iter()
        .enumerate()
        .map(|(place, branch)| {
            let mut own: Vec<&Given<'_>> = given.iter().filter(|one| one.branch == Some(place)).collect();
            own.sort_by_key(|one| (one.event.time, one.seq));
            let booted = branch.booted.filter(|at| (span.0..=span.1).contains(at));
            Track {
                branch: u64::from(branch.id),
                original: finding.original.is_some_and(|original| original.branch == branch.id),
                marks: marks(&own, booted, column_ms),
                networks: stretches(&own, &mut look, |facts| facts.peer.map(network_name)),
                firmware: stretches(&own, &mut look, |facts| facts.firmware.map(str::to_owned)),
            }
        })
        .collect();
    let mut unplaced: Vec<&Given<'_>> = given.iter().filter(|one| one.branch.is_none()).collect();
    unplaced.sort_by_key(|one| (one.event.time, one.seq));
    Some(Picture {
        span,
        tracks,
        unplaced: marks(&unplaced, None, column_ms),
        fork: finding.first_event,
        detected: finding.detected,
        omitted: total.saturating_sub(events.len() as u64),
    })
}

/// The part of the time that the picture shows: the matter itself, and a bounded number of events around it.
fn narrowed(finding: &Finding, mut times: Vec<Timestamp>) -> (Timestamp, Timestamp) {
    const EDGE_MS: i64 = 5_000;
    times.sort();
    let start = finding.first_event.min(finding.detected);
    let end = finding.first_event.max(finding.detected);
    let before = times.iter().rev().filter(|at| **at < start).take(AROUND).last();
    let after = times.iter().filter(|at| **at > end).take(AROUND).last();
    (before.unwrap_or(&start).plus_ms(-EDGE_MS), after.unwrap_or(&end).plus_ms(EDGE_MS))
}

/// Marks in the order of time; those of one kind within one column become one.
fn marks(own: &[&Given<'_>], booted: Option<Timestamp>, column_ms: i64) -> Vec<PictureMark> {
    let mut marks: Vec<PictureMark> = booted
        .map(|at| PictureMark {
            at,
            kind: MarkKind::Boot,
            count: 1,
            says: "by its uptime".to_owned(),
            seq: None,
        })
        .into_iter()
        .collect();
    let mut last: BTreeMap<MarkKind, usize> = BTreeMap::new();
    for one in own {
        let near = last.get(&one.facts.kind).and_then(|at| marks.get_mut(*at));
        match near.filter(|mark| one.event.time.ms_since(mark.at) < column_ms) {
            Some(mark) => mark.count += 1,
            None => {
                last.insert(one.facts.kind, marks.len());
                marks.push(PictureMark {
                    at: one.event.time,
                    kind: one.facts.kind,
                    count: 1,
                    says: one.facts.says(),
                    seq: Some(one.seq),
                });
            }
        }
    }
    marks.sort_by_key(|mark| mark.at);
    marks
}

/// Stretches in which what `value` gives stayed the same; each lasts until the next begins, or until its last event.
fn stretches(
    own: &[&Given<'_>],
    look: &mut impl FnMut(&str) -> u64,
    value: impl Fn(&Facts<'_>) -> Option<String>,
) -> Vec<Band> {
    const MOST: usize = 200;
    let mut bands: Vec<Band> = Vec::new();
    for (at, label) in own.iter().filter_map(|one| Some((one.event.time, value(&one.facts)?))) {
        if let Some(band) = bands.last_mut() {
            band.to = at;
            if band.label == label {
                continue;
            }
        }
        if bands.len() >= MOST {
            break;
        }
        bands.push(Band { from: at, to: at, look: look(&label), label });
    }
    bands
}

/// Where the instances were, as events say; the most frequent places first within each branch.
pub(super) fn places(finding: &Finding, events: &[(u64, Event)]) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    for one in give(finding, events) {
        let Some(peer) = one.facts.peer else { continue };
        let position = peer.lat.zip(peer.lon);
        if position.is_none() && peer.country.is_none() {
            continue;
        }
        let branch =
            one.branch.and_then(|place| finding.branches.get(place)).map(|branch| u64::from(branch.id));
        let same = |place: &&mut Place| {
            place.branch == branch && place.country == peer.country && place.position == position
        };
        if let Some(place) = found.iter_mut().find(same) {
            place.events += 1;
        } else if found.len() < MAX_PLACES {
            found.push(Place { branch, country: peer.country.clone(), position, events: 1 });
        }
    }
    found.sort_by_key(|place| (place.branch.is_none(), place.branch, std::cmp::Reverse(place.events)));
    found
}

#[cfg(test)]
mod tests;
