//! The state of all identities, and what one event does to it.

use touchmark_identity::event::{Event, EventBody, IdentityRef, RawDigest};
use touchmark_identity::finding::Finding;

use crate::continuity::Past;
use crate::inventory::Inventory;
use crate::observation::{Item, Names, Observation, Seen, TextCache, Texts};
use crate::remember::Remembered;
use crate::settings::{Limits, Settings};
use crate::track::Shared;
use crate::words::Words;

/// What the engine has taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that were taken.
    pub events: u64,
    /// Events that had been taken before.
    pub duplicates: u64,
    /// Identities that are kept.
    pub identities: usize,
}

/// The state of all identities. It has no clock: time passes by the events alone, and events are observed in the order
/// in which they are given. The pipeline brings them into the order of time first.
#[derive(Debug)]
pub struct Engine {
    pub(crate) inventory: Inventory,
    pub(crate) shared: Shared,
    pub(crate) events: Remembered<()>,
    pub(crate) counts: Counts,
    /// The capacity of each memory.
    pub(crate) remembered: u32,
    texts: TextCache,
    /// Identities that had to go, whose findings are forgotten.
    gone: Vec<u32>,
}

impl Engine {
    /// An engine that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::with_texts(&settings, Texts::default())
    }

    pub(crate) fn with_texts(settings: &Settings, texts: Texts) -> Self {
        let remembered = settings.remembered_events;
        Self {
            inventory: Inventory::new(settings.max_identities),
            events: Remembered::new(remembered),
            counts: Counts::default(),
            remembered,
            texts: texts.cache(),
            gone: Vec::new(),
            shared: Shared {
                limits: Limits::from(settings),
                words: Words::new(texts),
                messages: Remembered::new(remembered),
                past: Past::new(remembered),
                sessions: Remembered::new(remembered),
                births: Remembered::new(remembered),
                rhythms: Remembered::new(remembered),
                cases: hashbrown::HashMap::new(),
                usages: hashbrown::HashMap::new(),
                weeks: crate::peers::Weeks::new(),
                used: Vec::new(),
            },
        }
    }

    /// Takes one event and gives the findings that it led to: new ones, and higher revisions of older ones.
    ///
    /// `raw` is the digest of the line that the event was read from, so that a finding can point to it. A second event
    /// of the same source and `event_id`, or where there is none of the same line, changes nothing.
    pub fn observe(&mut self, event: &Event, raw: RawDigest) -> Vec<Finding> {
        let mut out = Vec::new();
        match Observation::of(event, raw, &mut self.texts) {
            Some(seen) => {
                self.observe_seen(Seen::new(&seen, &[]), |_| Some(event.identity.clone()), &mut out);
            }
            None => self.observe_registry(event, Item::registry_key(event, raw), &mut out),
        }
        // Alone it has nobody to compare with.
        self.shared.used.clear();
        out
    }

    /// As [`Engine::observe`], of a registry line with the key under which a second delivery is recognised.
    pub(crate) fn observe_registry(&mut self, event: &Event, key: u64, out: &mut Vec<Finding>) {
        if self.is_new(key) {
            self.learn(event, out);
        }
    }

    /// The key of the strongest name, where the identity is not known.
    pub(crate) fn unknown(&self, names: &Names) -> Option<u128> {
        self.inventory.unknown(names)
    }

    /// Whether an event was not taken before; counts it.
    fn is_new(&mut self, key: u64) -> bool {
        let new = self.events.first_or_insert(key, ()).is_none();
        self.counts.events += u64::from(new);
        self.counts.duplicates += u64::from(!new);
        new
    }

    fn learn(&mut self, event: &Event, out: &mut Vec<Finding>) {
        if let EventBody::Registry(registry) = &event.body {
            let cases = &mut self.shared.cases;
            out.extend(self.inventory.learn(event.time, &event.identity, registry, cases, &mut self.gone));
            self.forget();
        }
    }

    /// As [`Engine::observe`]; `full` gives the names in full of the key of the strongest one.
    pub(crate) fn observe_seen(
        &mut self,
        seen: Seen<'_>,
        full: impl FnOnce(u128) -> Option<IdentityRef>,
        out: &mut Vec<Finding>,
    ) {
        if !self.is_new(seen.event_key) {
            return;
        }
        let at = self.inventory.resolve(&seen.names, seen.time, full, &mut self.gone);
        self.forget();
        if let Some((track, slot)) = self.inventory.at(at) {
            track.observe(&mut self.shared, slot, &seen, out);
        }
    }

    fn forget(&mut self) {
        for serial in self.gone.drain(..) {
            self.shared.cases.remove(&serial);
            self.shared.usages.remove(&serial);
        }
    }

    /// What the engine has taken in so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { identities: self.inventory.len(), ..self.counts }
    }
}
