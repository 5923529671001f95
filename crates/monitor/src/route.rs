//! Which partition an identity belongs to.

use hashbrown::HashMap;
use touchmark_identity::event::{Event, EventBody, IdentityRef, NameKind, Registry};

use crate::observation::{Name, Names};

/// Partitions; fixed, so that the number of threads changes nothing.
pub const PARTITIONS: u8 = 64;

/// Shares events out over [`PARTITIONS`], as a monitor does within itself: all of an identity go to one partition, and
/// its registry lines too. What a publisher needs that feeds several monitors.
#[derive(Debug, Default)]
pub struct Router(Routes);

impl Router {
    /// The partition of an event, 0 to [`PARTITIONS`] - 1.
    #[must_use]
    pub fn of(&self, event: &Event) -> u8 {
        self.0.of(&Names::of(&event.identity))
    }

    /// Learns from a registry line that its names belong to one device. Any other event says nothing.
    pub fn learn(&mut self, event: &Event) {
        if let EventBody::Registry(registry) = &event.body {
            self.0.learn(&event.identity, registry);
        }
    }
}

/// The way from names to partitions. An identity belongs where the hash of its strongest name says; what the registry
/// says of further names is kept where it differs from that.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    known: HashMap<u128, u8>,
}

fn by_hash(name: &Name) -> u8 {
    let [.., last] = name.bits.to_be_bytes();
    last % PARTITIONS
}

impl Routes {
    /// Where an event with these names goes.
    pub(crate) fn of(&self, names: &Names) -> u8 {
        let first = names.iter().next();
        if !self.known.is_empty() {
            let known = |name: Name| self.known.get(&name.key()).copied();
            let strong = names.iter().filter(|name| name.kind.is_strong()).find_map(known);
            let alone = first.is_none_or(|first| !first.kind.is_strong());
            let weak = || {
                let of = |name: &Name| name.kind == NameKind::CommonName || alone && !name.kind.is_strong();
                names.iter().filter(of).find_map(known)
            };
            if let Some(at) = strong.or_else(weak) {
                return at;
            }
        }
        first.map_or(0, |name| by_hash(&name))
    }

    /// Learns that all names of a registry line belong to one device; gives its partition.
    pub(crate) fn learn(&mut self, identity: &IdentityRef, registry: &Registry) -> u8 {
        let at = self.of(&Names::of(identity));
        for key in std::iter::once(identity).chain(&registry.aliases).flat_map(IdentityRef::names) {
            let name = Name::from(key);
            if !name.kind.is_strong() || by_hash(&name) != at || self.known.contains_key(&name.key()) {
                self.known.insert(name.key(), at);
            }
        }
        at
    }

    /// All that is known, in the order of names.
    pub(crate) fn all(&self) -> Vec<(u128, u8)> {
        let mut all: Vec<(u128, u8)> = self.known.iter().map(|(name, at)| (*name, *at)).collect();
        all.sort_unstable();
        all
    }

    /// Takes back what was known.
    pub(crate) fn restore(all: impl Iterator<Item = (u128, u8)>) -> Self {
        Self { known: all.collect() }
    }
}
