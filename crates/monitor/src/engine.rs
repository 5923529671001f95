//! The state of all identities, and what one event does to it.

use touchmark_identity::event::{Event, EventBody, RawDigest};
use touchmark_identity::finding::Finding;

use crate::inventory::Inventory;
use crate::remember::{Remembered, hash128};
use crate::settings::{Limits, Settings};
use crate::track::{Memory, Origin};

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

/// The state of all identities. It has no clock: time passes by the events alone.
#[derive(Debug)]
pub struct Engine {
    limits: Limits,
    inventory: Inventory,
    events: Remembered<()>,
    /// Messages of devices, and when each was first taken.
    messages: Remembered<i64>,
    counts: Counts,
}

impl Engine {
    /// An engine that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            limits: Limits::from(&settings),
            inventory: Inventory::new(settings.max_identities),
            events: Remembered::new(settings.remembered_events),
            messages: Remembered::new(settings.remembered_events),
            counts: Counts::default(),
        }
    }

    /// Takes one event and gives the findings that it led to: new ones, and higher revisions of older ones.
    ///
    /// `raw` is the digest of the line that the event was read from, so that a finding can point to it. A second event
    /// of the same source and `event_id`, or where there is none of the same line, changes nothing.
    pub fn observe(&mut self, event: &Event, raw: RawDigest) -> Vec<Finding> {
        let key = match &event.event_id {
            Some(id) => hash128((&event.source, id)),
            None => hash128(raw.0),
        };
        if self.events.first_or_insert(key, ()).is_some() {
            self.counts.duplicates += 1;
            return Vec::new();
        }
        self.counts.events += 1;
        if let EventBody::Registry(registry) = &event.body {
            return self.inventory.learn(event.time, &event.identity, registry);
        }
        match self.inventory.resolve(&event.identity) {
            Some((track, serial)) => {
                let memory = Memory { messages: &mut self.messages, serial };
                track.observe(&self.limits, memory, Origin { event, raw })
            }
            None => Vec::new(),
        }
    }

    /// What the engine has taken in so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { identities: self.inventory.len(), ..self.counts }
    }
}
