//! The whole state as bytes, and back.
//!
//! Format `TMS4`: the magic, then sections in a fixed order, each with its length (8 bytes, little-endian) and a 64-bit
//! hash of its content in front; an empty section with the hash of the magic ends it. The first section is JSON; bulk is
//! binary: records as they lie in memory, numbers little-endian, texts behind their length in 4 bytes. Equal states give
//! equal bytes. A snapshot is read by the version that wrote it, on a little-endian machine, with the settings that it
//! was made with.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use touchmark_identity::event::{Event, EventBody, IdentityRef};
use touchmark_identity::finding::Finding;
use zerocopy::{FromBytes, IntoBytes};

use crate::clocks::Clocks;
use crate::engine::Engine;
use crate::fleet::Fleet;
use crate::inventory::Kept;
use crate::observation::{SmallId, Texts, hash64};
use crate::partition::Held;
use crate::pipeline::Monitor;
use crate::remember::Remembered;
use crate::rhythm::Rhythm;
use crate::route::{PARTITIONS, Routes};
use crate::settings::Settings;
use crate::track::{Born, Case, Session, TRACK_BYTES, Track};
use crate::usage::Usage;

const MAGIC: [u8; 4] = *b"TMS4";
/// The longest section that is read: 1 GiB. A partition of a million identities takes less.
const SECTION_MAX: u64 = 1 << 30;

/// Why a snapshot cannot be taken back.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// MO-0003, environment: the snapshot cannot be read to its end.
    #[error("the snapshot cannot be read")]
    Read(#[source] io::Error),
    /// MO-0004, environment: it is none, or of another version, or damaged.
    #[error("the snapshot cannot be used: {detail}; start from an older one or from the event log")]
    Damaged {
        /// What is wrong, and where.
        detail: String,
    },
    /// MO-0005, caller: it was made with other settings.
    #[error(
        "the snapshot was made with other settings ({found} and not {expected}); start from the event log"
    )]
    Settings {
        /// Settings in the snapshot, as JSON.
        found: String,
        /// Settings that were given, as JSON.
        expected: String,
    },
}

impl SnapshotError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(_) => "MO-0003",
            Self::Damaged { .. } => "MO-0004",
            Self::Settings { .. } => "MO-0005",
        }
    }
}

/// The first section.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Head {
    settings: Settings,
    clocks: Clocks,
    fleet: Fleet,
    /// Findings that were not drained.
    ready: Vec<Finding>,
}

/// As [`Head`], borrowed.
#[derive(Debug, serde::Serialize)]
struct HeadOut<'a> {
    settings: &'a Settings,
    clocks: &'a Clocks,
    fleet: &'a Fleet,
    ready: &'a [Finding],
}

fn damaged(detail: &str) -> SnapshotError {
    SnapshotError::Damaged { detail: detail.to_owned() }
}

/// A section that is being written.
#[derive(Debug, Default)]
struct Section(Vec<u8>);

impl Section {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn short(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.short(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        self.bytes(&serde_json::to_vec(value)?);
        Ok(())
    }

    fn table<V: Copy>(&mut self, table: &Remembered<V>, mut value: impl FnMut(&mut Self, V)) {
        for generation in table.generations() {
            self.count(generation.len());
            for (key, entry) in generation {
                self.number(key);
                value(self, entry);
            }
        }
    }

    fn end(self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&u64::try_from(self.0.len()).unwrap_or(u64::MAX).to_le_bytes())?;
        out.write_all(&hash64(&self.0).to_le_bytes())?;
        out.write_all(&self.0)
    }
}

/// What is left of a section that is being read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (bytes, rest) =
            self.0.split_first_chunk::<N>().ok_or_else(|| damaged("a section is too short"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn number(&mut self) -> Result<u64, SnapshotError> {
        self.array().map(u64::from_le_bytes)
    }

    fn short(&mut self) -> Result<u32, SnapshotError> {
        self.array().map(u32::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], SnapshotError> {
        let length = usize::try_from(self.short()?).unwrap_or(usize::MAX);
        let (bytes, rest) =
            self.0.split_at_checked(length).ok_or_else(|| damaged("a text is longer than its section"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, SnapshotError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| damaged("a text is not UTF-8"))
    }

    fn json<T: serde::Deserialize<'a>>(&mut self) -> Result<T, SnapshotError> {
        let bytes = self.bytes()?;
        serde_json::from_slice(bytes).map_err(|error| damaged(&format!("a value cannot be read: {error}")))
    }

    fn table<V: Copy>(
        &mut self,
        capacity: u32,
        mut value: impl FnMut(&mut Self) -> Result<V, SnapshotError>,
    ) -> Result<Remembered<V>, SnapshotError> {
        let mut generations = [Vec::new(), Vec::new()];
        for generation in &mut generations {
            for _ in 0..self.number()? {
                generation.push((self.number()?, value(self)?));
            }
        }
        Ok(Remembered::restore(capacity, generations))
    }

    fn end(self) -> Result<(), SnapshotError> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged("a section is too long")) }
    }
}

fn section(from: &mut dyn Read) -> Result<Vec<u8>, SnapshotError> {
    let mut head = [0; 16];
    from.read_exact(&mut head).map_err(SnapshotError::Read)?;
    let mut head = Rest(&head);
    let (length, hash) = (head.number()?, head.number()?);
    if length > SECTION_MAX {
        return Err(damaged(&format!("a section claims {length} bytes")));
    }
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes).map_err(SnapshotError::Read)?;
    if u64::try_from(bytes.len()) != Ok(length) || hash64(&bytes) != hash {
        return Err(damaged("a section is cut short or changed"));
    }
    Ok(bytes)
}

impl Monitor {
    /// Writes the whole state. `settings` are those that the monitor was made with.
    ///
    /// # Errors
    /// What the output says.
    pub fn snapshot(&self, settings: &Settings, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&MAGIC)?;
        let mut head = Section::default();
        head.json(&HeadOut { settings, clocks: &self.clocks, fleet: &self.fleet, ready: &self.ready })?;
        head.end(out)?;
        let mut shared = Section::default();
        let texts = self.texts.all();
        shared.count(texts.len());
        texts.iter().for_each(|text| shared.bytes(text.as_bytes()));
        let routes = self.routes.all();
        shared.count(routes.len());
        for (name, at) in routes {
            shared.0.extend_from_slice(&name.to_le_bytes());
            shared.0.push(at);
        }
        shared.end(out)?;
        for partition in &self.partitions {
            let mut section = Section::default();
            engine_out(&partition.engine, &mut section)?;
            let labels = partition.labels();
            section.count(labels.len());
            for (key, label) in labels {
                section.0.extend_from_slice(&key.to_le_bytes());
                section.json(label)?;
            }
            section.count(partition.held());
            for (held, line) in partition.all_held() {
                held_out(held, line, &mut section)?;
            }
            section.end(out)?;
        }
        out.write_all(&0u64.to_le_bytes())?;
        out.write_all(&hash64(&MAGIC).to_le_bytes())
    }

    /// Takes the state back, on so many threads.
    ///
    /// # Errors
    /// [`SnapshotError`]; nothing of it is used then.
    pub fn restore(
        settings: &Settings,
        workers: NonZeroUsize,
        from: &mut dyn Read,
    ) -> Result<Self, SnapshotError> {
        let mut magic = [0; 4];
        from.read_exact(&mut magic).map_err(SnapshotError::Read)?;
        if magic != MAGIC {
            return Err(damaged("it does not begin with TMS4"));
        }
        let bytes = section(from)?;
        let head: Head = Rest(&bytes).json()?;
        if head.settings != *settings {
            let text = |settings: &Settings| serde_json::to_string(settings).unwrap_or_default();
            return Err(SnapshotError::Settings { found: text(&head.settings), expected: text(settings) });
        }
        let mut monitor = Self::new(settings, workers);
        monitor.clocks = head.clocks;
        monitor.fleet = head.fleet;
        monitor.ready = head.ready;
        monitor.late_before = monitor.clocks.watermark().saturating_sub(crate::pipeline::LATE);
        let bytes = section(from)?;
        let mut rest = Rest(&bytes);
        for _ in 0..rest.number()? {
            monitor.texts.insert(rest.text()?);
        }
        let mut routes = Vec::new();
        for _ in 0..rest.number()? {
            let name = u128::from_le_bytes(rest.array()?);
            let [at] = rest.array()?;
            if at >= PARTITIONS {
                return Err(damaged("a partition has no such number"));
            }
            routes.push((name, at));
        }
        monitor.routes = Routes::restore(routes.into_iter());
        rest.end()?;
        let texts = monitor.texts.clone();
        let weeks = monitor.fleet.peers.weeks();
        for partition in &mut monitor.partitions {
            partition.engine.shared.weeks.clone_from(&weeks);
            let bytes = section(from)?;
            let mut rest = Rest(&bytes);
            engine_in(&mut partition.engine, &texts, &mut rest)?;
            for _ in 0..rest.number()? {
                let key = u128::from_le_bytes(rest.array()?);
                partition.restore_label(key, rest.json()?);
            }
            for _ in 0..rest.number()? {
                let (held, line) = held_in(&mut rest)?;
                partition.restore_held(held, line);
            }
            rest.end()?;
        }
        if !section_end(from)? {
            return Err(damaged("it does not end where it should"));
        }
        Ok(monitor)
    }
}

fn section_end(from: &mut dyn Read) -> Result<bool, SnapshotError> {
    let mut end = [0; 16];
    from.read_exact(&mut end).map_err(SnapshotError::Read)?;
    let mut rest = Rest(&end);
    Ok(rest.number()? == 0 && rest.number()? == hash64(&MAGIC))
}

fn engine_out(engine: &Engine, out: &mut Section) -> io::Result<()> {
    out.number(engine.counts.events);
    out.number(engine.counts.duplicates);
    let words = engine.shared.words.all();
    out.count(words.len());
    words.iter().for_each(|word| out.number(*word));
    out.count(engine.inventory.len());
    for (track, slot) in engine.inventory.iter() {
        out.short(slot.serial);
        out.short(slot.seen());
        out.count(slot.names().len());
        slot.names().iter().for_each(|name| out.0.extend_from_slice(&name.to_le_bytes()));
        out.json(&slot.label())?;
        match slot.registered() {
            Some((identity, since, registry)) => {
                let body = EventBody::Registry(Box::new(registry.clone()));
                let (identity, source) = (identity.clone(), String::new());
                let event = Event { time: since, received: None, source, event_id: None, identity, body };
                out.bytes(event.to_line().as_bytes());
            }
            None => out.bytes(&[]),
        }
        out.0.extend_from_slice(track.as_bytes());
    }
    let shared = &engine.shared;
    out.table(&engine.events, |_, ()| ());
    out.table(&shared.messages, |out, at| out.number(at.cast_unsigned()));
    out.table(&shared.past.tokens, |out, (branch, generation)| {
        out.0.extend_from_slice(&[branch, generation])
    });
    out.table(&shared.past.left_out, |out, (from, to)| {
        out.number(from);
        out.number(to);
    });
    out.table(&shared.sessions, |out, session| {
        let (network, opened, branch, told) = session.parts();
        out.number(network);
        out.short(opened);
        out.0.extend_from_slice(&[branch, u8::from(told)]);
    });
    out.table(&shared.births, |out, born| {
        out.0.extend_from_slice(&born.digest);
        out.number(born.source);
        out.bytes(born.event_id.as_str().unwrap_or_default().as_bytes());
        out.number(born.at.cast_unsigned());
    });
    out.table(&shared.rhythms, |out, rhythm| out.0.extend_from_slice(rhythm.as_bytes()));
    let mut usages: Vec<(&u32, &Usage)> = shared.usages.iter().collect();
    usages.sort_unstable_by_key(|(serial, _)| **serial);
    out.count(usages.len());
    for (serial, usage) in usages {
        out.short(*serial);
        out.0.extend_from_slice(usage.as_bytes());
    }
    let mut cases: Vec<(&u32, &Case)> = shared.cases.iter().collect();
    cases.sort_unstable_by_key(|(serial, _)| **serial);
    out.count(cases.len());
    for (serial, case) in cases {
        out.short(*serial);
        out.json(case)?;
    }
    Ok(())
}

fn engine_in(engine: &mut Engine, texts: &Texts, from: &mut Rest<'_>) -> Result<(), SnapshotError> {
    engine.counts.events = from.number()?;
    engine.counts.duplicates = from.number()?;
    let mut words = Vec::new();
    for _ in 0..from.number()? {
        words.push(from.number()?);
    }
    engine.shared.words = crate::words::Words::restore(texts.clone(), words);
    for _ in 0..from.number()? {
        let (serial, seen) = (from.short()?, from.short()?);
        let mut names = Vec::new();
        for _ in 0..from.number()? {
            names.push(u128::from_le_bytes(from.array()?));
        }
        let label: IdentityRef = from.json()?;
        let line = from.bytes()?;
        let facts = match line {
            [] => None,
            line => match Event::from_line(line) {
                Ok(Event { time, identity, body: EventBody::Registry(registry), .. }) => {
                    Some((identity, time, *registry))
                }
                _ => return Err(damaged("what the registry says of an identity cannot be read")),
            },
        };
        let track = Track::read_from_bytes(&from.array::<TRACK_BYTES>()?)
            .map_err(|_| damaged("a record has another size"))?;
        engine.inventory.restore(Kept { label, serial, seen, names, facts, track });
    }
    let capacity = engine.remembered;
    engine.events = from.table(capacity, |_| Ok(()))?;
    let shared = &mut engine.shared;
    shared.messages = from.table(capacity, |from| from.number().map(u64::cast_signed))?;
    shared.past.tokens =
        from.table(capacity, |from| from.array().map(|[branch, generation]| (branch, generation)))?;
    shared.past.left_out = from.table(capacity, |from| Ok((from.number()?, from.number()?)))?;
    shared.sessions = from.table(capacity, |from| {
        let (network, opened, [branch, told]) = (from.number()?, from.short()?, from.array()?);
        Session::of_parts(network, opened, branch, told != 0)
            .ok_or_else(|| damaged("a connection has no network"))
    })?;
    shared.births = from.table(capacity, |from| {
        let (digest, source) = (from.array()?, from.number()?);
        let event_id = SmallId::of(from.bytes()?);
        Ok(Born { digest, source, event_id, at: from.number()?.cast_signed() })
    })?;
    shared.rhythms = from.table(capacity, |from| {
        Rhythm::read_from_bytes(&from.array::<{ size_of::<Rhythm>() }>()?)
            .map_err(|_| damaged("a record of beats has another size"))
    })?;
    for _ in 0..from.number()? {
        let serial = from.short()?;
        let usage = Usage::read_from_bytes(&from.array::<{ size_of::<Usage>() }>()?)
            .map_err(|_| damaged("a record of habits has another size"))?;
        shared.usages.insert(serial, usage);
    }
    for _ in 0..from.number()? {
        let serial = from.short()?;
        shared.cases.insert(serial, from.json()?);
    }
    Ok(())
}

fn held_out(held: &Held, line: &[u8], out: &mut Section) -> io::Result<()> {
    match held {
        Held::Observation(seen) => {
            out.0.push(0);
            out.json(seen)?;
        }
        Held::Registry { time, key, event } => {
            out.0.push(1);
            out.number(time.cast_unsigned());
            out.number(*key);
            out.bytes(event.to_line().as_bytes());
        }
    }
    out.bytes(line);
    Ok(())
}

fn held_in<'a>(from: &mut Rest<'a>) -> Result<(Held, &'a [u8]), SnapshotError> {
    let held = match from.array()? {
        [0] => Held::Observation(from.json()?),
        [1] => {
            let (time, key) = (from.number()?.cast_signed(), from.number()?);
            let event = Event::from_line(from.bytes()?).map_err(|error| damaged(&error.to_string()))?;
            Held::Registry { time, key, event: Box::new(event) }
        }
        [other] => return Err(damaged(&format!("an event of kind {other} is held"))),
    };
    Ok((held, from.bytes()?))
}
