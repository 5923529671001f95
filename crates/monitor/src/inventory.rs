//! Which identity an event is about: the table of names, bounded, the least recently seen going first.

use std::collections::HashMap;

use touchmark_identity::event::{IdentityRef, MAX_TEXT_BYTES, NameKey, NameKind, Registry};
use touchmark_identity::finding::Finding;
use touchmark_identity::timestamp::Timestamp;

use crate::continuity::{self, BRANCHES, NAMES, TOKENS};
use crate::network::{STAYS, Stay};
use crate::track::{SESSIONS, Track};

/// Names by which one identity is found; further ones replace the oldest.
const NAMES_MAX: usize = 40;
/// Findings of different kinds that are open about one identity, and the most that one of them holds.
const OPEN_BYTES_MAX: usize = 4 * 40 * 1024;

/// The most memory that one identity takes, in bytes, when every bound is reached and every text is as long as it may
/// be: about 195 KiB, most of which are findings and texts that an ordinary identity does not have. Measured with 50 000
/// identities that send everything: 2.3 KiB each before their first reboot, 3.6 KiB with four branches.
pub const TRACK_BYTES_MAX: usize = size_of::<Slot>()
    + BRANCHES * (size_of::<continuity::Branch>() + NAMES * (MAX_TEXT_BYTES + 64) + 2 * MAX_TEXT_BYTES)
    + STAYS * (size_of::<Stay>() + 2 * MAX_TEXT_BYTES)
    + TOKENS * 32
    + SESSIONS * 32
    + NAMES_MAX * 2 * (size_of::<NameKey>() + 16)
    + 12 * MAX_TEXT_BYTES
    + OPEN_BYTES_MAX;

const _: () = assert!(TRACK_BYTES_MAX < 256 * 1024);

/// The end of a list.
const NONE: usize = usize::MAX;

#[derive(Debug)]
struct Slot {
    track: Option<Track>,
    /// Names this identity for as long as it is kept.
    serial: u64,
    names: Vec<NameKey>,
    registered: bool,
    newer: usize,
    older: usize,
}

/// Identities by the time they were last seen.
#[derive(Debug, Clone, Copy)]
struct Order {
    newest: usize,
    oldest: usize,
}

impl Order {
    const EMPTY: Self = Self { newest: NONE, oldest: NONE };
}

/// All identities.
#[derive(Debug)]
pub(crate) struct Inventory {
    slots: Vec<Slot>,
    free: Vec<usize>,
    index: HashMap<NameKey, usize>,
    /// Those that the registry does not know, and those that it knows.
    orders: [Order; 2],
    capacity: usize,
    next_serial: u64,
}

impl Inventory {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            orders: [Order::EMPTY; 2],
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX).max(1),
            next_serial: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The record of the identity, made where there is none, with the serial that names it. It counts as seen now.
    ///
    /// Names that one key or certificate alone can have decide. A common name decides where such names are new and
    /// the registry gave it to a device, or where there are none; a client id only where there is nothing else,
    /// because nobody may have checked it.
    pub(crate) fn resolve(&mut self, identity: &IdentityRef) -> Option<(&mut Track, u64)> {
        let names: Vec<NameKey> = identity.names().collect();
        let slot = self.find(&names).unwrap_or_else(|| self.insert(identity));
        let strong = names.iter().any(|name| name.kind.is_strong());
        for name in names.iter().filter(|name| name.kind.is_strong() || !strong) {
            self.index.entry(*name).or_insert_with(|| {
                if let Some(slot) = self.slots.get_mut(slot) {
                    remember_name(&mut slot.names, *name);
                }
                slot
            });
        }
        self.touch(slot);
        let slot = self.slots.get_mut(slot)?;
        let serial = slot.serial;
        slot.track.as_mut().map(|track| (track, serial))
    }

    fn find(&mut self, names: &[NameKey]) -> Option<usize> {
        let strong = || names.iter().filter(|name| name.kind.is_strong());
        let hit = |name: &NameKey| self.index.get(name).copied();
        let registered = |slot: &usize| self.slots.get(*slot).is_some_and(|slot| slot.registered);
        if let Some(slot) = strong().filter_map(hit).find(registered) {
            return Some(slot);
        }
        let own = strong().find_map(hit);
        if strong().next().is_some() {
            let common = names
                .iter()
                .filter(|name| name.kind == NameKind::CommonName)
                .filter_map(hit)
                .find(registered);
            return match (common, own) {
                (Some(device), Some(own)) => {
                    self.merge(device, own);
                    Some(device)
                }
                (device, own) => device.or(own),
            };
        }
        names.iter().filter_map(hit).find(registered).or_else(|| names.iter().find_map(hit))
    }

    /// Learns a registry line: all its names belong to one device from now on. What was seen before under any of them,
    /// and belongs to no other device, becomes part of it.
    pub(crate) fn learn(
        &mut self,
        at: Timestamp,
        identity: &IdentityRef,
        registry: &Registry,
    ) -> Vec<Finding> {
        let names: Vec<NameKey> =
            std::iter::once(identity).chain(&registry.aliases).flat_map(|i| i.names()).collect();
        let hits: Vec<usize> = names.iter().filter_map(|name| self.index.get(name).copied()).collect();
        let knows = |slot: &&usize| self.slots.get(**slot).is_some_and(|slot| slot.registered);
        let first = names.first().and_then(|name| self.index.get(name)).copied();
        let target = first
            .or_else(|| hits.iter().find(knows).copied())
            .or_else(|| hits.first().copied())
            .unwrap_or_else(|| self.insert(identity));
        for other in hits {
            if other != target
                && self.slots.get(other).is_some_and(|slot| !slot.registered && slot.track.is_some())
            {
                self.merge(target, other);
            }
        }
        for name in names {
            if let Some(before) = self.index.insert(name, target).filter(|before| *before != target)
                && let Some(slot) = self.slots.get_mut(before)
            {
                slot.names.retain(|known| *known != name);
            }
            if let Some(slot) = self.slots.get_mut(target)
                && let Some(dropped) = remember_name(&mut slot.names, name)
            {
                self.index.remove(&dropped);
            }
        }
        self.unlink(target);
        if let Some(slot) = self.slots.get_mut(target) {
            slot.registered = true;
        }
        self.link(target);
        let track = self.slots.get_mut(target).and_then(|slot| slot.track.as_mut());
        track.map_or_else(Vec::new, |track| track.learn(at, identity, registry))
    }

    fn insert(&mut self, identity: &IdentityRef) -> usize {
        if self.len() >= self.capacity {
            let [unknown, known] = self.orders;
            let oldest = if unknown.oldest == NONE { known.oldest } else { unknown.oldest };
            self.remove(oldest);
        }
        let serial = self.next_serial;
        self.next_serial += 1;
        let new = Slot {
            track: Some(Track::new(identity.clone())),
            serial,
            names: Vec::new(),
            registered: false,
            newer: NONE,
            older: NONE,
        };
        let at = match self.free.pop() {
            Some(at) => at,
            None => self.slots.len(),
        };
        match self.slots.get_mut(at) {
            Some(slot) => *slot = new,
            None => self.slots.push(new),
        }
        self.link(at);
        at
    }

    fn remove(&mut self, at: usize) -> Option<Track> {
        self.unlink(at);
        let slot = self.slots.get_mut(at)?;
        for name in slot.names.drain(..) {
            self.index.remove(&name);
        }
        let track = slot.track.take()?;
        self.free.push(at);
        Some(track)
    }

    fn merge(&mut self, into: usize, from: usize) {
        let names = self.slots.get(from).map(|slot| slot.names.clone()).unwrap_or_default();
        let Some(track) = self.remove(from) else { return };
        let Some(target) = self.slots.get_mut(into) else { return };
        for name in names {
            self.index.insert(name, into);
            if let Some(dropped) = remember_name(&mut target.names, name) {
                self.index.remove(&dropped);
            }
        }
        if let Some(target) = &mut target.track {
            target.absorb(track);
        }
    }

    fn touch(&mut self, at: usize) {
        self.unlink(at);
        self.link(at);
    }

    fn order(&mut self, at: usize) -> Option<&mut Order> {
        let registered = self.slots.get(at)?.registered;
        self.orders.get_mut(usize::from(registered))
    }

    fn link(&mut self, at: usize) {
        let Some(order) = self.order(at) else { return };
        let before = std::mem::replace(&mut order.newest, at);
        if before == NONE {
            order.oldest = at;
        }
        if let Some(slot) = self.slots.get_mut(before) {
            slot.newer = at;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            (slot.newer, slot.older) = (NONE, before);
        }
    }

    fn unlink(&mut self, at: usize) {
        let Some((newer, older)) = self.slots.get(at).map(|slot| (slot.newer, slot.older)) else { return };
        if let Some(order) = self.order(at) {
            if order.newest == at {
                order.newest = older;
            }
            if order.oldest == at {
                order.oldest = newer;
            }
        }
        if let Some(slot) = self.slots.get_mut(newer) {
            slot.older = older;
        }
        if let Some(slot) = self.slots.get_mut(older) {
            slot.newer = newer;
        }
    }
}

/// Adds a name, and gives the one that had to go for it.
fn remember_name(names: &mut Vec<NameKey>, name: NameKey) -> Option<NameKey> {
    if names.contains(&name) {
        return None;
    }
    let dropped = (names.len() == NAMES_MAX).then(|| names.remove(0));
    names.push(name);
    dropped
}
