//! Identities that are watched together, and the events about them that are held back until their time has come.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use touchmark_identity::event::{Event, IdentityRef};
use touchmark_identity::finding::Finding;

use crate::engine::Engine;
use crate::observation::{Item, Kind, Observation, Seen, Texts};
use crate::peers::Used;
use crate::settings::Settings;

/// A finding, and the event after which it was written: time and key.
pub(crate) type Written = (i64, u64, Finding);

/// What partitions have found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) written: Vec<Written>,
    /// What devices did, to be compared; its order says nothing.
    pub(crate) used: Vec<Used>,
}

/// Emptied seconds that are kept, and the bytes of lines that each may keep.
const SPARE: usize = 256;
const SPARE_BYTES: usize = 1 << 16;

/// A share of all identities: what is held back, and the engine.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) engine: Engine,
    /// Events by the second in which they happened.
    held: BTreeMap<i64, Second>,
    /// Emptied ones, to be filled again.
    spare: Vec<Second>,
    count: usize,
    most: usize,
    /// Names in full of identities that the engine does not know yet.
    labels: HashMap<u128, IdentityRef>,
}

/// The events of one second.
#[derive(Debug, Default)]
struct Second {
    /// Each with the place of its line: the first byte and the number of bytes.
    events: Vec<(Held, usize, usize)>,
    lines: Vec<u8>,
}

impl Second {
    fn push(&mut self, held: Held, head: &[u8], line: &[u8]) {
        self.events.push((held, self.lines.len(), head.len() + line.len()));
        self.lines.extend_from_slice(head);
        self.lines.extend_from_slice(line);
    }
}

/// An event that is held back.
#[expect(clippy::large_enum_variant, reason = "nearly every one is the large one")]
#[derive(Debug)]
pub(crate) enum Held {
    Observation(Observation),
    Registry { time: i64, key: u64, event: Box<Event> },
}

impl Held {
    /// Time, and the key that decides between events of one time.
    fn order(&self) -> (i64, u64) {
        match self {
            Self::Observation(seen) => (seen.time, seen.event_key),
            Self::Registry { time, key, .. } => (*time, *key),
        }
    }

    /// The order in which events are observed. Of one time, as where a source tells whole seconds, a connection is opened
    /// before it is used, and messages come as they were made.
    fn turn(&self) -> (i64, u8, i64, u64, u64) {
        let (time, key) = self.order();
        match self {
            Self::Registry { .. } => (time, 0, 0, 0, key),
            Self::Observation(seen) => {
                let kind = match seen.kind {
                    Kind::Authentication => 1,
                    Kind::Heartbeat => 2,
                    Kind::SessionEnd => 3,
                };
                let uptime = seen.uptime_ms.unwrap_or_default();
                (time, kind, uptime, seen.counter.unwrap_or_default(), key)
            }
        }
    }
}

impl Partition {
    pub(crate) fn new(settings: &Settings, share: u32, texts: Texts) -> Self {
        let part = |whole: u32| whole.div_ceil(share).max(1);
        // Hashes fill the partitions unevenly: by less than four standard deviations of a Poisson distribution.
        let identities = part(settings.max_identities);
        let settings = Settings {
            max_identities: identities.saturating_add(4 * identities.isqrt()),
            remembered_events: part(settings.remembered_events),
            max_held_back: part(settings.max_held_back),
            ..settings.clone()
        };
        Self {
            engine: Engine::with_texts(&settings, texts),
            held: BTreeMap::new(),
            spare: Vec::new(),
            count: 0,
            most: usize::try_from(settings.max_held_back).unwrap_or(usize::MAX),
            labels: HashMap::new(),
        }
    }

    /// Holds an event back at its corrected time and under its key, with its line, before which `head` belongs in what its
    /// digest is made of. `read` reads the line once more where the engine does not know the identity, for its names in
    /// full.
    pub(crate) fn hold(
        &mut self,
        item: &Item,
        (time, key): (i64, u64),
        head: &[u8],
        line: &[u8],
        read: &dyn Fn(&[u8]) -> Option<Event>,
    ) {
        if let Item::Observation(seen) = item
            && let Some(key) = self.engine.unknown(&seen.names)
            && !self.labels.contains_key(&key)
            && let Some(event) = read(line)
        {
            self.labels.insert(key, event.identity);
        }
        // No finding names the end of a session.
        let ends = matches!(item, Item::Observation(seen) if seen.kind == Kind::SessionEnd);
        let (head, line) = if ends { (&[][..], &[][..]) } else { (head, line) };
        let held = match item {
            Item::Observation(seen) => Held::Observation(Observation { time, ..*seen }),
            Item::Registry(event) => Held::Registry { time, key, event: event.clone() },
        };
        self.second(time).push(held, head, line);
        self.count += 1;
    }

    fn second(&mut self, time: i64) -> &mut Second {
        let spare = &mut self.spare;
        self.held.entry(time.div_euclid(1_000)).or_insert_with(|| spare.pop().unwrap_or_default())
    }

    /// Observes all whose time has come, in the order of time. Where more are held than allowed, the earliest go too.
    pub(crate) fn observe(&mut self, watermark: i64, out: &mut Outcome) {
        let limit = watermark.div_euclid(1_000);
        let mut found = Vec::new();
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() >= limit && self.count <= self.most {
                break;
            }
            let mut second = entry.remove();
            let Second { events, lines } = &mut second;
            self.count -= events.len();
            events.sort_unstable_by_key(|(held, ..)| held.turn());
            for (held, first, length) in events.iter() {
                let line = lines.get(*first..first + length).unwrap_or_default();
                let (time, key) = held.order();
                match held {
                    Held::Observation(seen) => {
                        let labels = &mut self.labels;
                        self.engine.observe_seen(
                            Seen::new(seen, line),
                            |key| labels.remove(&key),
                            &mut found,
                        );
                    }
                    Held::Registry { key, event, .. } => {
                        self.engine.observe_registry(event, *key, &mut found)
                    }
                }
                out.written.extend(found.drain(..).map(|finding| (time, key, finding)));
            }
            events.clear();
            lines.clear();
            if self.spare.len() < SPARE && lines.capacity() <= SPARE_BYTES {
                self.spare.push(second);
            }
        }
        out.used.append(&mut self.engine.shared.used);
        if self.held.is_empty() {
            self.labels.clear();
        }
    }

    /// The second of the earliest event that is held back, since 1970.
    pub(crate) fn first_held(&self) -> Option<i64> {
        self.held.keys().next().copied()
    }

    /// How many events are held back.
    pub(crate) fn held(&self) -> usize {
        self.count
    }

    /// The events that are held back, the earliest first.
    pub(crate) fn all_held(&self) -> impl Iterator<Item = (&Held, &[u8])> {
        self.held.values().flat_map(|second| {
            let line = |first: usize, length: usize| second.lines.get(first..first + length);
            second
                .events
                .iter()
                .map(move |(held, first, length)| (held, line(*first, *length).unwrap_or_default()))
        })
    }

    /// Names in full of identities that the engine does not know yet, in the order of their keys.
    pub(crate) fn labels(&self) -> Vec<(u128, &IdentityRef)> {
        let mut labels: Vec<(u128, &IdentityRef)> =
            self.labels.iter().map(|(key, label)| (*key, label)).collect();
        labels.sort_unstable_by_key(|(key, _)| *key);
        labels
    }

    /// Takes back what was held when a snapshot was made.
    pub(crate) fn restore_held(&mut self, held: Held, line: &[u8]) {
        self.second(held.order().0).push(held, &[], line);
        self.count += 1;
    }

    /// Takes back the names in full of an identity.
    pub(crate) fn restore_label(&mut self, key: u128, label: IdentityRef) {
        self.labels.insert(key, label);
    }
}
