//! An append-only journal of keys and values: the form in which the state lies on the disk.
//!
//! The file begins with a line that names the format. Behind it are records:
//!
//! | Bytes | What |
//! |---|---|
//! | 4 | Length of the payload, big-endian |
//! | 4 | SHA-256 of the hash before and the length, its first bytes |
//! | 32 | SHA-256 of the hash before, the length, and the payload |
//! | length | Payload: changes, which become valid all together |
//!
//! The hash before the first record is that of the format's line. A change is one byte (1 put, 0 delete), the length of the
//! key in two bytes, the key, and for a put the length of the value in four bytes and the value.
//!
//! A record that was being written when the power failed is **torn**: the file ends before the record does, or what should
//! have been written is still zeros. It is dropped, for nobody was told that it is there. Any other damage is refused, also
//! in the last record: it may have been acknowledged, and to drop it would take back counts.
//!
//! When the journal is long and most of it is outdated, it is written anew with one record into another file, which is then
//! renamed over it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use touchmark_identity::key::sha256;
use zeroize::Zeroizing;

use crate::error::ElementError;
use crate::fault::{Faults, OnWrite};

/// The line at the beginning.
const FORMAT: &[u8] = b"touchmark-element-state/3\n";
/// Length, check of the length, hash.
const HEADER_BYTES: usize = 40;
/// Storage takes a block as a whole or not at all.
const BLOCK_BYTES: usize = 512;
/// A journal is written anew when it is longer than this, in bytes, ...
const COMPACT_ABOVE: u64 = 1024 * 1024;
/// ... and so many times longer than what of it is valid.
const COMPACT_TIMES: u64 = 4;
/// No journal is longer, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Wiped from memory after use.
type Bytes = Zeroizing<Vec<u8>>;

/// What is valid: values by their keys.
pub(crate) type Values = BTreeMap<Vec<u8>, Bytes>;

/// Changes that become valid all together.
#[derive(Default)]
pub(crate) struct Batch(Vec<(Vec<u8>, Option<Bytes>)>);

impl Batch {
    pub(crate) fn put(&mut self, key: impl Into<Vec<u8>>, value: Bytes) {
        self.0.push((key.into(), Some(value)));
    }

    pub(crate) fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.0.push((key.into(), None));
    }

    fn payload(&self) -> Result<Bytes, String> {
        let room: usize = self
            .0
            .iter()
            .map(|(key, value)| 7 + key.len() + value.as_ref().map_or(0, |value| value.len()))
            .sum();
        let mut payload = Zeroizing::new(Vec::with_capacity(room));
        for (key, value) in &self.0 {
            payload.push(u8::from(value.is_some()));
            let length = u16::try_from(key.len()).map_err(|_| "a key is too long")?;
            payload.extend(length.to_be_bytes());
            payload.extend(key);
            if let Some(value) = value {
                let length = u32::try_from(value.len()).map_err(|_| "a value is too long")?;
                payload.extend(length.to_be_bytes());
                payload.extend(value.iter());
            }
        }
        Ok(payload)
    }

    fn parse(mut payload: &[u8]) -> Option<Self> {
        let mut batch = Self::default();
        while let Some((kind, rest)) = payload.split_first() {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            payload = rest;
            match kind {
                0 => batch.delete(key),
                1 => {
                    let (length, rest) = rest.split_first_chunk::<4>()?;
                    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
                    let (value, rest) = rest.split_at_checked(length)?;
                    payload = rest;
                    batch.put(key, Zeroizing::new(value.to_vec()));
                }
                _ => return None,
            }
        }
        Some(batch)
    }

    fn apply(self, values: &mut Values) {
        for (key, value) in self.0 {
            match value {
                Some(value) => values.insert(key, value),
                None => values.remove(&key),
            };
        }
    }
}

/// A record, ready to be written, and its hash.
fn record(before: &[u8; 32], payload: &[u8]) -> Result<(Bytes, [u8; 32]), String> {
    let length = u32::try_from(payload.len()).map_err(|_| "a record is too long")?.to_be_bytes();
    let hash = sha256(&Zeroizing::new([&before[..], &length, payload].concat()));
    let mut record = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + payload.len()));
    record.extend(length);
    record.extend(check(before, length));
    record.extend(hash);
    record.extend(payload);
    Ok((record, hash))
}

fn check(before: &[u8; 32], length: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&[&before[..], &length].concat());
    [a, b, c, d]
}

/// What was found in a journal's bytes.
struct Replay {
    values: Values,
    /// The hash of the last record.
    hash: [u8; 32],
    /// Where the good part ends.
    end: usize,
}

/// Whether the bytes are a journal, of whatever state of health.
pub(crate) fn is_journal(bytes: &[u8]) -> bool {
    bytes.starts_with(FORMAT)
}

/// Reads all records.
fn replay(bytes: &[u8]) -> Result<Replay, String> {
    let mut rest = bytes.strip_prefix(FORMAT).ok_or("the first line names no known format")?;
    let mut replay = Replay { values: Values::new(), hash: sha256(FORMAT), end: FORMAT.len() };
    while !rest.is_empty() {
        let damaged = || format!("the record at byte {} is damaged", replay.end);
        let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() else { break };
        let [a, b, c, d, e, f, g, h, hash @ ..] = *header;
        let length = [a, b, c, d];
        if check(&replay.hash, length) != [e, f, g, h] {
            // Nothing of it was written but the length of the file.
            if rest.iter().all(|byte| *byte == 0) {
                break;
            }
            return Err(damaged());
        }
        let payload_bytes = usize::try_from(u32::from_be_bytes(length)).map_err(|_| damaged())?;
        let Some((payload, behind)) = behind.split_at_checked(payload_bytes) else { break };
        if sha256(&Zeroizing::new([&replay.hash[..], &length, payload].concat())) != hash {
            let whole = replay.end..bytes.len();
            if behind.is_empty() && has_unwritten_block(bytes, whole) {
                break;
            }
            return Err(damaged());
        }
        Batch::parse(payload).ok_or_else(damaged)?.apply(&mut replay.values);
        replay.hash = hash;
        replay.end += HEADER_BYTES + payload.len();
        rest = behind;
    }
    if replay.values.is_empty() {
        return Err("there is no whole record".to_owned());
    }
    Ok(replay)
}

/// Whether a block of the storage, as far as the range goes, holds nothing but zeros.
fn has_unwritten_block(bytes: &[u8], range: Range<usize>) -> bool {
    let mut at = range.start;
    while at < range.end {
        let next = (at / BLOCK_BYTES + 1) * BLOCK_BYTES;
        let block = bytes.get(at..next.min(range.end)).unwrap_or(&[]);
        if block.len() > 4 && block.iter().all(|byte| *byte == 0) {
            return true;
        }
        at = next;
    }
    false
}

/// Reads the values of the journal in a file, whoever writes there at the moment.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Values, ElementError> {
    let corrupt = |detail| ElementError::Corrupt { path: path.to_owned(), detail };
    Ok(replay(bytes).map_err(corrupt)?.values)
}

/// The bytes of a file, if there is one.
pub(crate) fn load(path: &Path) -> Result<Option<Bytes>, ElementError> {
    let failed = |action| move |source| ElementError::File { action, path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("open")(source)),
    };
    let length = file.metadata().map_err(failed("read"))?.len();
    if length > MAX_BYTES {
        let detail = format!("{length} bytes are over the limit of {MAX_BYTES}");
        return Err(ElementError::Corrupt { path: path.to_owned(), detail });
    }
    // Room for what may be appended meanwhile: a buffer that moves leaves a copy of the keys behind.
    let room = usize::try_from(length).unwrap_or(0).saturating_add(64 * 1024);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed("read"))?;
    Ok(Some(bytes))
}

/// An open journal. It is the only one that writes there.
pub(crate) struct Journal {
    path: PathBuf,
    file: Option<File>,
    values: Values,
    hash: [u8; 32],
    length: u64,
    /// How long the journal was when it held one record with all that was valid.
    live: u64,
    /// When the journal is written anew: longer than this, and so many times longer than what is valid.
    compact: (u64, u64),
}

impl Journal {
    /// A journal that will be at `path`. There is no file before the first commit.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            values: Values::new(),
            hash: [0; 32],
            length: 0,
            live: 0,
            compact: (COMPACT_ABOVE, COMPACT_TIMES),
        }
    }

    /// The journal of which these are the bytes. A torn record at its end is cut off.
    pub(crate) fn open(path: PathBuf, bytes: &[u8]) -> Result<Self, ElementError> {
        let corrupt = |detail| ElementError::Corrupt { path: path.clone(), detail };
        let Replay { values, hash, end } = replay(bytes).map_err(corrupt)?;
        let failed = |action| {
            let path = path.clone();
            move |source| ElementError::File { action, path, source }
        };
        let mut file = OpenOptions::new().write(true).open(&path).map_err(failed("open"))?;
        let length = u64::try_from(end).unwrap_or(u64::MAX);
        if end < bytes.len() {
            file.set_len(length).map_err(failed("shorten"))?;
            file.sync_all().map_err(failed("flush"))?;
        }
        file.seek(SeekFrom::Start(length)).map_err(failed("read"))?;
        let live = values.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let live = u64::try_from(live).unwrap_or(u64::MAX);
        let compact = (COMPACT_ABOVE, COMPACT_TIMES);
        Ok(Self { path, file: Some(file), values, hash, length, live, compact })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is valid.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Makes the changes durable, all or none. After an error nobody knows which of the two a reader finds, so the
    /// caller has to stop.
    pub(crate) fn commit(&mut self, batch: Batch, faults: &mut Faults) -> Result<(), ElementError> {
        let fresh = self.file.is_none();
        if batch.0.is_empty() && !fresh {
            return Ok(());
        }
        if !fresh {
            self.append(&batch, faults)?;
        }
        batch.apply(&mut self.values);
        let (above, times) = self.compact;
        let outdated = self.length > above && self.length / times > self.live;
        if fresh || outdated { self.write_anew(faults) } else { Ok(()) }
    }

    fn append(&mut self, batch: &Batch, faults: &mut Faults) -> Result<(), ElementError> {
        let (record, hash) = batch
            .payload()
            .and_then(|payload| record(&self.hash, &payload))
            .map_err(|detail| ElementError::Corrupt { path: self.path.clone(), detail })?;
        let path = self.path.clone();
        let failed = |action| move |source| ElementError::File { action, path, source };
        let on_write = faults.on_write()?;
        let (half, _) = record.split_at(record.len() / 2);
        let Some(file) = &mut self.file else { return Ok(()) };
        match on_write {
            OnWrite::Before(fault) => return Err(ElementError::PowerCut { fault }),
            OnWrite::Torn(fault) => {
                file.write_all(half).map_err(failed("write"))?;
                return Err(ElementError::PowerCut { fault });
            }
            OnWrite::Done | OnWrite::After(_) => {}
        }
        file.write_all(&record).and_then(|()| file.sync_data()).map_err(failed("write"))?;
        if let OnWrite::After(fault) = on_write {
            return Err(ElementError::PowerCut { fault });
        }
        self.hash = hash;
        self.length = self.length.saturating_add(u64::try_from(record.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Writes what is valid into a new file and puts that in the place of the old one. The power may fail in each of the
    /// two steps.
    fn write_anew(&mut self, faults: &mut Faults) -> Result<(), ElementError> {
        let mut all = Batch::default();
        for (key, value) in &self.values {
            all.put(key.clone(), value.clone());
        }
        let (record, hash) = all
            .payload()
            .and_then(|payload| record(&sha256(FORMAT), &payload))
            .map_err(|detail| ElementError::Corrupt { path: self.path.clone(), detail })?;
        let path = self.path.with_extension("new");
        let failed = |action| {
            let path = path.clone();
            move |source| ElementError::File { action, path, source }
        };

        let on_write = faults.on_write()?;
        if let OnWrite::Before(fault) = on_write {
            return Err(ElementError::PowerCut { fault });
        }
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(true).write(true).mode(0o600);
        let mut new = options.open(&path).map_err(failed("make"))?;
        new.write_all(FORMAT).map_err(failed("write"))?;
        if let OnWrite::Torn(fault) = on_write {
            let (half, _) = record.split_at(record.len() / 2);
            new.write_all(half).map_err(failed("write"))?;
            return Err(ElementError::PowerCut { fault });
        }
        new.write_all(&record).map_err(failed("write"))?;
        new.sync_all().map_err(failed("flush"))?;
        if let OnWrite::After(fault) = on_write {
            return Err(ElementError::PowerCut { fault });
        }

        // A name changes as a whole or not at all: in the middle of it is before it.
        let on_rename = faults.on_write()?;
        if let OnWrite::Before(fault) | OnWrite::Torn(fault) = on_rename {
            return Err(ElementError::PowerCut { fault });
        }
        fs::rename(&path, &self.path).map_err(failed("rename"))?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let flushed = File::open(dir).and_then(|dir| dir.sync_all());
        flushed.map_err(|source| ElementError::File { action: "flush", path: dir.to_owned(), source })?;
        if let OnWrite::After(fault) = on_rename {
            return Err(ElementError::PowerCut { fault });
        }
        self.file = Some(new);
        self.hash = hash;
        self.length = u64::try_from(FORMAT.len() + record.len()).unwrap_or(u64::MAX);
        self.live = self.length;
        Ok(())
    }

    /// Lets the journal be written anew after each commit.
    #[cfg(test)]
    pub(crate) fn compact_always(&mut self) {
        self.compact = (0, 1);
        self.live = 0;
    }
}

#[cfg(test)]
mod tests;
