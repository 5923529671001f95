//! Which identity an event is about: the table of names, bounded.

use hashbrown::HashMap;
use touchmark_identity::assurance::Regime;
use touchmark_identity::event::{AntiRollbackFloor, Home, IdentityRef, NameKind, Registry};
use touchmark_identity::finding::Finding;
use touchmark_identity::key::SpkiHash;
use touchmark_identity::timestamp::Timestamp;

use crate::observation::{Name, Names};
use crate::report::Subject;
use crate::track::{Case, Track};

/// Names by which one identity is found; further ones replace the oldest.
const NAMES_MAX: usize = 40;
/// How many identities are looked at to find the one that goes.
const CANDIDATES: usize = 16;

/// The name by which findings call an identity that the registry does not know.
#[derive(Debug, Clone)]
enum Label {
    Spki([u8; 32]),
    Other(Box<IdentityRef>),
}

impl Label {
    fn of(identity: &IdentityRef) -> Self {
        match identity.spki_sha256 {
            Some(spki) => Self::Spki(spki.0),
            None => Self::Other(Box::new(identity.clone())),
        }
    }

    fn identity(&self) -> IdentityRef {
        match self {
            Self::Spki(spki) => IdentityRef::by_spki(SpkiHash(*spki)),
            Self::Other(identity) => identity.as_ref().clone(),
        }
    }
}

/// What the registry says.
#[derive(Debug)]
struct Facts {
    since: Timestamp,
    identity: IdentityRef,
    registry: Registry,
    regime: Regime,
}

/// What is known of an identity beside its record.
#[derive(Debug)]
pub(crate) struct Slot {
    label: Label,
    /// Names the identity for as long as it is kept.
    pub(crate) serial: u32,
    /// When it was last seen, in seconds since 1970.
    seen: u32,
    names: Vec<u128>,
    facts: Option<Box<Facts>>,
}

impl Slot {
    /// How the identity is watched.
    pub(crate) fn regime(&self) -> Regime {
        self.facts.as_ref().map_or(Regime::Duplication, |facts| facts.regime)
    }

    /// Where the device is installed.
    pub(crate) fn home(&self) -> Option<Home> {
        self.facts.as_ref().and_then(|facts| facts.registry.home)
    }

    /// Of what type the device is.
    pub(crate) fn device_type(&self) -> Option<&str> {
        self.facts.as_ref().and_then(|facts| facts.registry.device_type.as_deref())
    }

    /// What its firmware may not be older than, at this time.
    pub(crate) fn floor(&self, at: Timestamp) -> Option<&AntiRollbackFloor> {
        let facts = self.facts.as_ref().filter(|facts| facts.since <= at)?;
        facts.registry.anti_rollback_floor.as_ref()
    }

    /// Whom a finding is about.
    pub(crate) fn subject(&self) -> Subject {
        match &self.facts {
            Some(facts) => Subject {
                identity: facts.identity.clone(),
                device: Some(facts.registry.device.clone()),
                regime: facts.regime,
                basis: facts
                    .registry
                    .assurance
                    .as_ref()
                    .map_or_else(|| "unregistered".to_owned(), |assurance| assurance.summary()),
            },
            None => Subject {
                identity: self.label.identity(),
                device: None,
                regime: Regime::Duplication,
                basis: "unregistered".to_owned(),
            },
        }
    }

    /// What the registry says, as a line of it: whom it is about, since when, and what.
    pub(crate) fn registered(&self) -> Option<(&IdentityRef, Timestamp, &Registry)> {
        self.facts.as_ref().map(|facts| (&facts.identity, facts.since, &facts.registry))
    }

    pub(crate) fn label(&self) -> IdentityRef {
        self.label.identity()
    }

    pub(crate) fn names(&self) -> &[u128] {
        &self.names
    }

    pub(crate) fn seen(&self) -> u32 {
        self.seen
    }
}

/// An identity as a snapshot holds it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) label: IdentityRef,
    pub(crate) serial: u32,
    pub(crate) seen: u32,
    pub(crate) names: Vec<u128>,
    pub(crate) facts: Option<(IdentityRef, Timestamp, Registry)>,
    pub(crate) track: Track,
}

/// All identities of a partition.
#[derive(Debug)]
pub(crate) struct Inventory {
    tracks: Vec<Track>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    index: HashMap<u128, u32>,
    capacity: usize,
    next_serial: u32,
    /// Where the search for one that goes begins.
    hand: usize,
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl Inventory {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            tracks: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            capacity: index(capacity).max(1),
            next_serial: 0,
            hand: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn slot(&self, at: u32) -> Option<&Slot> {
        self.slots.get(index(at)).and_then(Option::as_ref)
    }

    fn slot_mut(&mut self, at: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index(at)).and_then(Option::as_mut)
    }

    /// The key of the strongest name, where it is not known or may not be for long.
    pub(crate) fn unknown(&self, names: &Names) -> Option<u128> {
        let key = names.iter().next()?.key();
        (self.len() >= self.capacity || !self.index.contains_key(&key)).then_some(key)
    }

    /// The identity in a place, with its record.
    pub(crate) fn at(&mut self, at: u32) -> Option<(&mut Track, &Slot)> {
        let slot = self.slots.get(index(at)).and_then(Option::as_ref)?;
        self.tracks.get_mut(index(at)).map(|track| (track, slot))
    }

    /// All identities.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Track, &Slot)> {
        self.tracks.iter().zip(&self.slots).filter_map(|(track, slot)| Some((track, slot.as_ref()?)))
    }

    /// The place of the identity, made where there is none; `full` gives its names in full then. It counts as seen now.
    ///
    /// Names that one key or certificate alone can have decide. A common name decides where such names are new and the
    /// registry gave it to a device, or where there are none; a client id only where there is nothing else, because
    /// nobody may have checked it.
    pub(crate) fn resolve(
        &mut self,
        names: &Names,
        seen: i64,
        full: impl FnOnce(u128) -> Option<IdentityRef>,
        gone: &mut Vec<u32>,
    ) -> u32 {
        // Nearly always the strongest name is known, and so are the others.
        let mut strong = false;
        let mut unknown = false;
        let mut first = None;
        for name in names.iter() {
            strong |= name.kind.is_strong();
            match self.index.get(&name.key()) {
                Some(at) if name.kind.is_strong() => first = first.or(Some(*at)),
                Some(_) => {}
                None => unknown |= name.kind.is_strong() || !strong,
            }
        }
        let known = first.filter(|at| !unknown && self.slot(*at).is_some_and(|slot| slot.facts.is_some()));
        let at = match known {
            Some(at) => at,
            None => self.resolve_anew(names, strong, full, gone),
        };
        let now = u32::try_from((seen / 1_000).max(0)).unwrap_or(u32::MAX);
        if let Some(slot) = self.slot_mut(at) {
            slot.seen = slot.seen.max(now);
        }
        at
    }

    fn resolve_anew(
        &mut self,
        names: &Names,
        strong: bool,
        full: impl FnOnce(u128) -> Option<IdentityRef>,
        gone: &mut Vec<u32>,
    ) -> u32 {
        let at = match self.find(names, gone) {
            Some(at) => at,
            None => {
                let first = names.iter().next().map_or(0, |name| name.key());
                // Only an identity that had to go between two looks has no label.
                let label = full(first).unwrap_or_else(|| IdentityRef::by_common_name("(forgotten)"));
                self.insert(Label::of(&label), gone)
            }
        };
        for name in names.iter().filter(|name| name.kind.is_strong() || !strong) {
            let key = name.key();
            if !self.index.contains_key(&key) {
                self.index.insert(key, at);
                if let Some(dropped) = self.slot_mut(at).and_then(|slot| remember(&mut slot.names, key)) {
                    self.index.remove(&dropped);
                }
            }
        }
        at
    }

    fn find(&mut self, names: &Names, gone: &mut Vec<u32>) -> Option<u32> {
        let hit = |this: &Self, name: &Name| this.index.get(&name.key()).copied();
        let registered = |this: &Self, at: u32| this.slot(at).is_some_and(|slot| slot.facts.is_some());
        let strong = || names.iter().filter(|name| name.kind.is_strong());
        if let Some(at) = strong().filter_map(|name| hit(self, &name)).find(|at| registered(self, *at)) {
            return Some(at);
        }
        let own = strong().find_map(|name| hit(self, &name));
        if strong().next().is_some() {
            let common = names
                .iter()
                .filter(|name| name.kind == NameKind::CommonName)
                .filter_map(|name| hit(self, &name))
                .find(|at| registered(self, *at));
            if let (Some(device), Some(own)) = (common, own) {
                self.merge(device, own, gone);
            }
            return common.or(own);
        }
        let known = names.iter().filter_map(|name| hit(self, &name)).find(|at| registered(self, *at));
        known.or_else(|| names.iter().find_map(|name| hit(self, &name)))
    }

    /// Learns a registry line: all its names belong to one device from now on. What was seen before under any of them,
    /// and belongs to no other device, becomes part of it. Absent fields keep what was said before; older lines change
    /// nothing. Gives the findings that it closes: those about a device that is revoked or retired.
    pub(crate) fn learn(
        &mut self,
        time: Timestamp,
        identity: &IdentityRef,
        registry: &Registry,
        cases: &mut HashMap<u32, Case>,
        gone: &mut Vec<u32>,
    ) -> Vec<Finding> {
        let all = std::iter::once(identity).chain(&registry.aliases);
        let keys: Vec<u128> = all.flat_map(IdentityRef::names).map(|name| Name::from(name).key()).collect();
        let hits: Vec<u32> = keys.iter().filter_map(|key| self.index.get(key).copied()).collect();
        let knows = |at: &u32| self.slot(*at).is_some_and(|slot| slot.facts.is_some());
        let first = keys.first().and_then(|key| self.index.get(key)).copied();
        let known = first.or_else(|| hits.iter().copied().find(knows)).or_else(|| hits.first().copied());
        let target = match known {
            Some(at) => at,
            None => self.insert(Label::of(identity), gone),
        };
        for other in hits {
            if other != target && self.slot(other).is_some_and(|slot| slot.facts.is_none()) {
                self.merge_cases(target, other, cases);
                self.merge(target, other, gone);
            }
        }
        for key in keys {
            if let Some(before) = self.index.insert(key, target).filter(|before| *before != target)
                && let Some(slot) = self.slot_mut(before)
            {
                slot.names.retain(|known| *known != key);
            }
            if let Some(dropped) = self.slot_mut(target).and_then(|slot| remember(&mut slot.names, key)) {
                self.index.remove(&dropped);
            }
        }
        let Some(slot) = self.slot_mut(target) else { return Vec::new() };
        if !slot.learn(time, identity, registry) {
            return Vec::new();
        }
        let serial = slot.serial;
        let over = slot.over().map(ToOwned::to_owned);
        let (floor, home) = slot.facts.as_ref().map_or((false, false), |facts| {
            (facts.registry.anti_rollback_floor.is_some(), facts.registry.home.is_some())
        });
        let Some(track) = self.tracks.get_mut(index(target)) else { return Vec::new() };
        track.note_facts(floor, home);
        match over {
            Some(status) => {
                track.clear_case();
                let why = format!("the registry says that the identity is {status}");
                let open = cases.remove(&serial).map_or_else(Vec::new, |case| case.open);
                open.into_iter().map(|open| open.close(time, &why)).collect()
            }
            None => Vec::new(),
        }
    }

    fn insert(&mut self, label: Label, gone: &mut Vec<u32>) -> u32 {
        if self.len() >= self.capacity
            && let Some(at) = self.goes()
        {
            self.remove(at, gone);
        }
        let serial = self.next_serial;
        self.next_serial = self.next_serial.wrapping_add(1);
        let slot = Slot { label, serial, seen: 0, names: Vec::new(), facts: None };
        self.put(slot, Track::new())
    }

    fn put(&mut self, slot: Slot, track: Track) -> u32 {
        match self.free.pop() {
            Some(at) => {
                if let (Some(old), Some(record)) =
                    (self.slots.get_mut(index(at)), self.tracks.get_mut(index(at)))
                {
                    (*old, *record) = (Some(slot), track);
                }
                at
            }
            None => {
                self.slots.push(Some(slot));
                self.tracks.push(track);
                place(self.slots.len() - 1)
            }
        }
    }

    /// The place of the one that goes: of the next few, one that the registry does not know, and the least recently seen.
    /// Where all of these are known, the search goes on once around for one that is not.
    fn goes(&mut self) -> Option<u32> {
        let total = self.slots.len();
        let mut best: Option<(bool, u32, usize)> = None;
        for step in 0..total {
            let at = (self.hand + step) % total.max(1);
            if let Some(slot) = self.slots.get(at).and_then(Option::as_ref) {
                let candidate = (slot.facts.is_some(), slot.seen, at);
                best = Some(best.map_or(candidate, |best| best.min(candidate)));
            }
            if step + 1 >= CANDIDATES && best.is_some_and(|(registered, ..)| !registered) {
                break;
            }
        }
        let (.., at) = best?;
        self.hand = (at + 1) % total.max(1);
        Some(place(at))
    }

    fn remove(&mut self, at: u32, gone: &mut Vec<u32>) -> Option<Track> {
        let slot = self.slots.get_mut(index(at))?.take()?;
        for name in &slot.names {
            self.index.remove(name);
        }
        self.free.push(at);
        gone.push(slot.serial);
        self.tracks.get(index(at)).copied()
    }

    fn merge_cases(&mut self, into: u32, from: u32, cases: &mut HashMap<u32, Case>) {
        let (Some(to), Some(old)) = (self.slot(into), self.slot(from)) else { return };
        let (to, old) = (to.serial, old.serial);
        let Some(case) = cases.remove(&old) else { return };
        let known = cases.entry(to).or_default();
        known.renewals = known.renewals.take().or(case.renewals);
        for open in case.open {
            if !known.open.iter().any(|other| other.kind() == open.kind()) {
                known.open.push(open);
            }
        }
    }

    fn merge(&mut self, into: u32, from: u32, gone: &mut Vec<u32>) {
        let Some(old) = self.slot(from) else { return };
        let (names, seen) = (old.names.clone(), old.seen);
        let Some(track) = self.remove(from, gone) else { return };
        for name in names {
            self.index.insert(name, into);
            if let Some(dropped) = self.slot_mut(into).and_then(|slot| remember(&mut slot.names, name)) {
                self.index.remove(&dropped);
            }
        }
        if let Some(slot) = self.slot_mut(into) {
            slot.seen = slot.seen.max(seen);
        }
        if let Some(target) = self.tracks.get_mut(index(into)) {
            target.absorb(&track);
        }
    }

    /// Takes an identity back from a snapshot.
    pub(crate) fn restore(&mut self, kept: Kept) {
        let Kept { label, serial, seen, names, facts, track } = kept;
        let mut slot = Slot { label: Label::of(&label), serial, seen, names, facts: None };
        if let Some((identity, since, registry)) = facts {
            slot.learn(since, &identity, &registry);
        }
        let names = slot.names.clone();
        let at = self.put(slot, track);
        for name in names {
            self.index.insert(name, at);
        }
        self.next_serial = self.next_serial.max(serial.wrapping_add(1));
    }
}

impl Slot {
    /// Notes what the registry says; false when it is older than what is known.
    fn learn(&mut self, since: Timestamp, identity: &IdentityRef, new: &Registry) -> bool {
        if self.facts.as_ref().is_some_and(|facts| since < facts.since) {
            return false;
        }
        let mut registry = Registry { aliases: Vec::new(), ..new.clone() };
        if let Some(old) = self.facts.take() {
            registry.device_type = registry.device_type.or(old.registry.device_type);
            registry.assurance = registry.assurance.or(old.registry.assurance);
            registry.home = registry.home.or(old.registry.home);
            registry.anti_rollback_floor = registry.anti_rollback_floor.or(old.registry.anti_rollback_floor);
            registry.status = registry.status.or(old.registry.status);
        }
        let regime = registry.assurance.as_ref().map_or(Regime::Duplication, |assurance| assurance.regime());
        self.facts = Some(Box::new(Facts { since, identity: identity.clone(), registry, regime }));
        true
    }

    /// The status that ends a device's findings.
    fn over(&self) -> Option<&str> {
        let status = self.facts.as_ref().and_then(|facts| facts.registry.status.as_deref());
        status.filter(|status| matches!(*status, "revoked" | "retired"))
    }
}

/// Adds a name, and gives the one that had to go for it.
fn remember(names: &mut Vec<u128>, name: u128) -> Option<u128> {
    if names.contains(&name) {
        return None;
    }
    let dropped = (names.len() == NAMES_MAX).then(|| names.remove(0));
    names.push(name);
    dropped
}
