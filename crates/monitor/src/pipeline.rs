//! Events in any order, from many sources, on many threads; findings in one order.
//!
//! Each event is read, its time is held against its source's clock, and it is held back in the partition of its identity
//! until the watermark has passed; then the partition's engine observes it, in the order of time. So the findings are
//! the same for every order of arrival within the watermark, and for every number of threads: a partition sees the same
//! events in the same order, and the partitions' findings are joined in the order of the events.

use std::num::NonZeroUsize;
use std::sync::Arc;

use touchmark_identity::event::{Event, EventBody, EventError, RawDigest};
use touchmark_identity::finding::Finding;
use touchmark_identity::timestamp::Timestamp;

use crate::batch::{BatchError, Body, Records, named};
use crate::clocks::Clocks;
use crate::engine::Counts;
use crate::fleet::Fleet;
use crate::observation::{Digests, Item, Kind, Observation, TextCache, TextHash, Texts, read_line_with};
use crate::partition::{Outcome, Partition, Written};
use crate::route::{PARTITIONS, Routes};
use crate::settings::Settings;

/// How late an event may be without its source being at fault, in milliseconds: an hour.
pub(crate) const LATE: i64 = 3_600_000;

/// Adds to an event what the caller knows, such as the place of its address.
pub type Enrich = Arc<dyn Fn(&mut Event) + Send + Sync>;

/// How far a source has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceClock {
    /// The source's name.
    pub source: String,
    /// The latest moment that it has dated.
    pub latest: Timestamp,
    /// Events that it has given, up to 2^32 - 1.
    pub events: u32,
}

/// All partitions, and what leads to them.
pub struct Monitor {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) clocks: Clocks,
    pub(crate) routes: Routes,
    pub(crate) texts: Texts,
    caches: Vec<TextCache>,
    /// What is dated before this moment comes too late to have been kept back, in milliseconds since 1970.
    pub(crate) late_before: i64,
    enrich: Option<Enrich>,
    pub(crate) ready: Vec<Finding>,
    pub(crate) fleet: Fleet,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor")
            .field("counts", &self.counts())
            .field("workers", &self.caches.len())
            .finish_non_exhaustive()
    }
}

/// An event on its way to its partition, at its corrected time, and the line that it was read from.
struct Coming<'a> {
    item: &'a Item,
    time: i64,
    key: u64,
    line: &'a [u8],
}

/// What all the lines of one input share.
struct Origin<'a> {
    /// What belongs before each line in what its digest is made of.
    head: &'a [u8],
    /// Reads a line once more.
    read: &'a (dyn Fn(&[u8]) -> Option<Event> + Sync),
}

const LINES: Origin<'static> = Origin { head: &[], read: &|line| Event::from_line(line).ok() };

impl Monitor {
    /// A monitor that knows nothing yet, on so many threads. Bounds in `settings` are shared out over the partitions.
    #[must_use]
    pub fn new(settings: &Settings, workers: NonZeroUsize) -> Self {
        let texts = Texts::default();
        let partition = |_| Partition::new(settings, u32::from(PARTITIONS), texts.clone());
        Self {
            partitions: (0..PARTITIONS).map(partition).collect(),
            clocks: Clocks::new(settings),
            routes: Routes::default(),
            caches: (0..workers.get()).map(|_| texts.cache()).collect(),
            texts,
            late_before: i64::MIN,
            enrich: None,
            ready: Vec::new(),
            fleet: Fleet::default(),
        }
    }

    /// Has each event enriched before it is looked at. Reading is slower then.
    pub fn enrich_with(&mut self, enrich: Enrich) {
        self.enrich = Some(enrich);
    }

    /// Learns a registry line that is valid from the beginning, whatever its `time` says. Anything else is not learnt,
    /// and false is given.
    pub fn register(&mut self, event: &Event) -> bool {
        let EventBody::Registry(registry) = &event.body else { return false };
        let at = self.routes.learn(&event.identity, registry);
        let event = Event { time: Timestamp::from_micros(0), ..event.clone() };
        let raw = RawDigest::of(event.to_line().as_bytes());
        let mut found = Vec::new();
        if let Some(partition) = self.partitions.get_mut(usize::from(at)) {
            partition.engine.observe_registry(&event, Item::registry_key(&event, raw), &mut found);
        }
        self.ready.append(&mut found);
        true
    }

    /// Takes one line.
    ///
    /// # Errors
    /// [`EventError`] when the line is no event; it changed nothing then.
    pub fn take_line(&mut self, line: &[u8]) -> Result<(), EventError> {
        let mut refused = None;
        self.take_lines(&[line], &mut |_, error| refused = Some(error));
        refused.map_or(Ok(()), Err)
    }

    /// Takes lines; `refused` is told of each that is no event, by its place.
    pub fn take_lines(&mut self, lines: &[&[u8]], refused: &mut dyn FnMut(usize, EventError)) {
        let enrich = self.enrich.as_ref();
        let read = |lines: &[&[u8]], texts: &mut TextCache| -> Vec<Result<Item, EventError>> {
            lines.iter().map(|line| read(line, texts, enrich)).collect()
        };
        let share = lines.len().div_ceil(self.caches.len()).max(1);
        let shares = if lines.len() < 256 { vec![lines] } else { lines.chunks(share).collect() };
        let items = in_threads(shares, &mut self.caches, &read);
        let mut coming = nothing();
        for (item, line) in items.iter().flatten().zip(lines) {
            if let Ok(item) = item {
                self.share_out(item, &LINES, line, &mut coming);
            }
        }
        let watermark = self.clocks.watermark();
        self.observe(watermark, coming, &LINES);
        for (place, item) in items.into_iter().flatten().enumerate() {
            if let Err(error) = item {
                refused(place, error);
            }
        }
    }

    /// Takes a batch of events in the binary form; `refused` is told of each record that cannot be read, by its place.
    /// Gives how many records there were.
    ///
    /// # Errors
    /// [`BatchError`] when it is no batch; nothing of it was taken then.
    pub fn take_batch<'a>(
        &mut self,
        batch: &'a [u8],
        refused: &mut dyn FnMut(usize, BatchError),
    ) -> Result<u64, BatchError> {
        let records = Records::open(batch)?;
        let (table, named_texts) = (records.table(), records.texts());
        let again = |record: &[u8]| named(record, &named_texts);
        let origin = Origin { head: &table, read: &again };
        let enrich = self.enrich.as_ref();
        let read = |mut records: Records<'a>,
                    texts: &mut TextCache|
         -> Vec<Result<(Item, &'a [u8]), BatchError>> {
            let mut items = Vec::new();
            while let Some(next) = records.next_record() {
                items.push(next.and_then(|(record, raw)| {
                    let item = match (&record.body, enrich) {
                        (Body::Registry(_), _) => Item::Registry(Box::new(records.event(&record)?)),
                        (_, None) => {
                            Item::Observation(Observation::of_record(&record, &raw, texts, Digests::Later))
                        }
                        (_, Some(enrich)) => {
                            let mut event = records.event(&record)?;
                            enrich(&mut event);
                            Item::of(event, raw.digest(), texts)
                        }
                    };
                    Ok((item, raw.bytes()))
                }));
            }
            items
        };
        let items = in_threads(records.shares(self.caches.len()), &mut self.caches, &read);
        let mut coming = nothing();
        let mut taken = 0;
        for item in items.iter().flatten() {
            taken += 1;
            if let Ok((item, record)) = item {
                self.share_out(item, &origin, record, &mut coming);
            }
        }
        let watermark = self.clocks.watermark();
        self.observe(watermark, coming, &origin);
        for (place, item) in items.into_iter().flatten().enumerate() {
            if let Err(error) = item {
                refused(place, error);
            }
        }
        Ok(taken)
    }

    /// Has an item wait for its partition.
    fn share_out<'a>(
        &mut self,
        item: &'a Item,
        origin: &Origin<'_>,
        line: &'a [u8],
        coming: &mut [Vec<Coming<'a>>],
    ) {
        let (at, time, key) = self.route(item, origin.head, line);
        if let Some(queue) = coming.get_mut(usize::from(at)) {
            queue.push(Coming { item, time, key, line });
        }
    }

    /// The partition of an item, its corrected time and its key.
    fn route(&mut self, item: &Item, head: &[u8], line: &[u8]) -> (u8, i64, u64) {
        let (at, source, time, received, key, connected) = match item {
            Item::Observation(seen) => {
                let at = self.routes.of(&seen.names);
                let connected = seen.kind == Kind::Authentication;
                (at, seen.source.0, seen.time, seen.received, seen.event_key, connected)
            }
            Item::Registry(event) => {
                let at = match &event.body {
                    EventBody::Registry(registry) => self.routes.learn(&event.identity, registry),
                    _ => 0,
                };
                let key = Item::registry_key(event, RawDigest::of(&[head, line].concat()));
                let time = event.time.micros() / 1_000;
                // The registry's clock says when something holds from; it does not say how far the others have come.
                return (at, time, key);
            }
        };
        let time = self.clocks.note(source, time, received);
        let texts = &self.texts;
        let name = || texts.show(TextHash(source));
        // What is late by minutes was kept back; a source at fault is late by more.
        let late = time < self.late_before;
        self.ready.extend(self.fleet.arrived(source, &name, time, late));
        if connected && !late {
            self.fleet.connected(time);
        }
        (at, time, key)
    }

    /// Holds back what is coming, and observes what is dated before the watermark, a day of UTC after the other: what a
    /// day was like for all is known when the next one is looked at, whatever comes at once.
    fn observe(&mut self, watermark: i64, coming: Vec<Vec<Coming<'_>>>, origin: &Origin<'_>) {
        let many = coming.iter().map(Vec::len).sum::<usize>() >= 256 || watermark == i64::MAX;
        let next = coming.iter().flatten().map(|coming| coming.time.div_euclid(1_000)).min();
        let (mut coming, mut next) = (Some(coming), next);
        let mut found: Vec<Written> = Vec::new();
        loop {
            let first = self.partitions.iter().filter_map(Partition::first_held).chain(next.take()).min();
            let until = match first.filter(|first| first.saturating_mul(1_000) < watermark) {
                Some(first) => {
                    if let Some(weeks) = self.fleet.peers.observe_from(first) {
                        let all = self.partitions.iter_mut();
                        all.for_each(|partition| partition.engine.shared.weeks.clone_from(&weeks));
                    }
                    self.fleet.peers.day_ends().saturating_mul(1_000).min(watermark)
                }
                None => watermark,
            };
            self.observe_until(until, coming.take().unwrap_or_else(nothing), origin, many, &mut found);
            if until >= watermark {
                break;
            }
        }
        found.sort_by_key(|(time, key, _)| (*time, *key));
        let found = found.into_iter().map(|(_, _, finding)| finding).collect();
        self.fleet.pass(found, watermark, &mut self.ready);
        self.late_before = watermark.saturating_sub(LATE);
    }

    fn observe_until(
        &mut self,
        until: i64,
        coming: Vec<Vec<Coming<'_>>>,
        origin: &Origin<'_>,
        many: bool,
        found: &mut Vec<Written>,
    ) {
        let work = |partitions: &mut [Partition], coming: Vec<Vec<Coming<'_>>>| {
            let mut out = Outcome::default();
            for (partition, coming) in partitions.iter_mut().zip(coming) {
                for Coming { item, time, key, line } in coming {
                    partition.hold(item, (time, key), origin.head, line, origin.read);
                }
                partition.observe(until, &mut out);
            }
            out
        };
        let workers = if many { self.caches.len() } else { 1 };
        let mut out: Vec<Outcome> = Vec::new();
        if workers == 1 {
            out.push(work(&mut self.partitions, coming));
        } else {
            let share = self.partitions.len().div_ceil(workers);
            let mut coming = coming.into_iter();
            std::thread::scope(|scope| {
                let work = &work;
                let mut threads = Vec::new();
                for partitions in self.partitions.chunks_mut(share) {
                    let theirs: Vec<_> = coming.by_ref().take(partitions.len()).collect();
                    threads.push(scope.spawn(move || work(partitions, theirs)));
                }
                out.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
            });
        }
        for outcome in out {
            found.extend(outcome.written);
            outcome.used.into_iter().for_each(|used| self.fleet.peers.note(used));
        }
    }

    /// Time goes on although no event says so: what happened before `now`, less the time to wait, is observed.
    pub fn tick(&mut self, now: Timestamp) {
        self.clocks.pass(now.micros() / 1_000);
        let watermark = self.clocks.watermark();
        self.observe(watermark, nothing(), &LINES);
    }

    /// There will be no more events: all that is held back is observed.
    pub fn finish(&mut self) {
        self.observe(i64::MAX, nothing(), &LINES);
    }

    /// The findings since the last call, in the order of the events that led to them.
    pub fn drain(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.ready)
    }

    /// What was taken in and observed so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.partitions.iter().map(|partition| partition.engine.counts()).fold(
            Counts::default(),
            |sum, next| Counts {
                events: sum.events + next.events,
                duplicates: sum.duplicates + next.duplicates,
                identities: sum.identities + next.identities,
            },
        )
    }

    /// How many events are held back.
    #[must_use]
    pub fn held_back(&self) -> usize {
        self.partitions.iter().map(Partition::held).sum()
    }

    /// The moment up to which everything is observed; none before the first event.
    #[must_use]
    pub fn watermark(&mut self) -> Option<Timestamp> {
        let ms = self.clocks.watermark();
        (ms != i64::MIN).then(|| Timestamp::from_micros(ms.saturating_mul(1_000)))
    }

    /// How far each source has come, by name.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceClock> {
        let mut sources: Vec<SourceClock> = self
            .clocks
            .sources()
            .map(|(source, latest, events)| SourceClock {
                source: self.texts.show(TextHash(source)),
                latest: Timestamp::from_micros(latest.saturating_mul(1_000)),
                events,
            })
            .collect();
        sources.sort_by(|a, b| a.source.cmp(&b.source));
        sources
    }
}

/// Nothing comes.
fn nothing<'a>() -> Vec<Vec<Coming<'a>>> {
    (0..PARTITIONS).map(|_| Vec::new()).collect()
}

/// Has each share read with a cache of texts of its own, at once where there are several; what came of them, in their order.
fn in_threads<S: Send, T: Send>(
    shares: Vec<S>,
    caches: &mut [TextCache],
    read: &(impl Fn(S, &mut TextCache) -> T + Sync),
) -> Vec<T> {
    let mut pairs: Vec<_> = shares.into_iter().zip(caches).collect();
    match pairs.pop() {
        Some((share, texts)) if pairs.is_empty() => vec![read(share, texts)],
        last => std::thread::scope(|scope| {
            pairs.extend(last);
            let threads: Vec<_> =
                pairs.into_iter().map(|(share, texts)| scope.spawn(move || read(share, texts))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        }),
    }
}

fn read(line: &[u8], texts: &mut TextCache, enrich: Option<&Enrich>) -> Result<Item, EventError> {
    let Some(enrich) = enrich else { return read_line_with(line, texts, Digests::Later) };
    let mut event = Event::from_line(line)?;
    enrich(&mut event);
    Ok(Item::of(event, RawDigest::of(line), texts))
}
