//! Batches: many events in a compact binary form (`touchmark.batch/1`), for sources that speak to the monitor directly.
//!
//! A batch says what lines of `touchmark.event/1` say, field by field. It takes less than 60 % of their size, and reading
//! it takes a fraction of the time. [`encode`] and [`Writer`] write batches, [`Reader`] reads them.
//!
//! # Layout
//!
//! Numbers are little-endian. A *varint* is an unsigned number of up to 64 bits, seven bits in a byte, lowest first, the
//! high bit set in all bytes but the last. A *text* is UTF-8 behind its length in bytes as a varint. A *shared text* is
//! the place of a text in the text table, from 0, as a varint. A *moment* is microseconds since 1970 in 8 bytes.
//!
//! | Part | Form |
//! |---|---|
//! | magic | the 4 bytes `TMB1` |
//! | length | 4 bytes: of the whole batch, at most [`MAX_BATCH_BYTES`] |
//! | texts | 4 bytes: how many texts the table has |
//! | records | 4 bytes: how many records follow it |
//! | text table | the texts, each at most 512 bytes |
//! | records | each behind its length in bytes as a varint, at most [`MAX_RECORD_BYTES`] |
//!
//! A record begins with its kind in one byte. `3` is a registry line; the rest of the record is that line, as JSON. `0`
//! is an authentication, `1` the end of a session, `2` a heartbeat. In these follow: 4 bytes whose bits tell which
//! fields are there, the moment of the event, its source (shared text), and the fields in the order of their bits:
//!
//! | Bit | Field | Form | Kinds |
//! |---|---|---|---|
//! | 0 | `received` | moment | all |
//! | 1 | `event_id` | text | all |
//! | 2, 3 | identity: `spki_sha256`, `cert_sha256` | 32 bytes each | all |
//! | 4 | identity: `cert_sha1` | 20 bytes | all |
//! | 5 | identity: `issuer_dn` | shared text | all |
//! | 6 | identity: `serial` | text: lower-case hex digits without leading zeros | all |
//! | 7, 8 | identity: `common_name`, `client_id` | text each | all |
//! | 9 | `session` | text; has to be there in 0 and 1 | all |
//! | 10 | `peer` | see below | 0, 2 |
//! | 11 | `tls` | see below | 0 |
//! | 12, 13 | `device_type`, `firmware` | shared text each | 0, 2 |
//! | 14 | `client_id` | text | 0 |
//! | 15, 16 | `token`, `token_issued` | text of any length each | 0, 2 |
//! | 17 | `boot_id` | text | 0 |
//! | 18, 19 | `counter`, `uptime_ms` | varint each | 0, 2 |
//! | 20, 21, 22 | `boot_count`, `security_version`, `bytes` | varint each | 2 |
//! | 23 | `device_time` | moment | 2 |
//! | 24 | `counter_quote` | text of any length: JSON | 2 |
//! | 25 to 29 | `duration_ms`, `bytes_in`, `bytes_out`, `messages_in`, `messages_out` | varint each | 1 |
//! | 30 | `reason` | shared text | 1 |
//! | 31 | `renewal` | see below | 0 |
//!
//! `peer` is one byte of bits, then the address, then what the bits say: 0 the address has 16 bytes (IPv6) and not 4;
//! 1 port, 2 bytes; 2 system number, 4 bytes; 3 country, shared text; 4 latitude and 5 longitude, each a double of 8
//! bytes. `tls` is one byte of bits, then: 0 version, 1 JA4, 2 server name, each a shared text; 3 it is known whether a
//! session was resumed; 4 it was. `renewal` is one byte of bits, then the SHA-256 of the presented certificate, then
//! what the bits say: 0 it was repeated, 1 it was superseded, neither it was renewed; 2 `issued` and 3 `head`, 32 bytes
//! each. All other bits are 0.
//!
//! Nothing may be left over, neither in a record nor behind the last one. There is no checksum: whatever carries a batch
//! has one. The digest by which a finding names a record is SHA-256 over the SHA-256 of the text table and the record
//! without its length: the texts belong to what the record says.
//!
//! ```
//! use touchmark_identity::event::Event;
//! use touchmark_monitor::batch::{Reader, encode};
//!
//! let line = br#"{"schema":"touchmark.event/1","type":"heartbeat","time":"2026-11-20T22:00:00Z","source":"gate",
//!     "identity":{"common_name":"meter-000017"},"counter":41,"uptime_ms":900000}"#;
//! let event = Event::from_line(line)?;
//! let batch = encode(std::slice::from_ref(&event))?;
//! let read: Vec<Event> = Reader::open(&batch)?.collect::<Result<_, _>>()?;
//! assert_eq!(read, [event]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod record;
mod write;

use std::hint::black_box;
use std::io::BufRead;
use std::sync::Arc;

use touchmark_identity::event::{Event, MAX_LINE_BYTES, MAX_TEXT_BYTES, RawDigest};
use touchmark_identity::key::sha256;

use crate::observation::{Item, Observation, TextCache, TextHash, Texts, hash64, read_line_with};

pub use crate::observation::Digests;
pub use error::BatchError;
pub(crate) use record::{Body, PeerRecord, Record, TlsRecord};
pub use write::{Writer, encode};

/// The longest batch, in bytes: 16 MiB.
pub const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The longest record, in bytes without its length: 128 KiB.
pub const MAX_RECORD_BYTES: usize = 2 * MAX_LINE_BYTES;

/// What a batch begins with.
pub const MAGIC: [u8; 4] = *b"TMB1";

/// Magic, length, number of texts, number of records.
pub const HEADER_BYTES: usize = 16;

/// How long a batch is, by its first [`HEADER_BYTES`]: for readers of several batches, one behind the other.
///
/// # Errors
/// [`BatchError`] where these bytes are not all there, do not begin a batch, or say that it is too long or too short.
pub fn announced_length(header: &[u8]) -> Result<usize, BatchError> {
    let mut cut = Cut(header);
    if cut.array() != Some(MAGIC) {
        return Err(BatchError::Magic);
    }
    let length = cut.word().and_then(|length| usize::try_from(length).ok());
    match length {
        Some(found) if found > MAX_BATCH_BYTES => Err(BatchError::TooLong { found, max: MAX_BATCH_BYTES }),
        Some(length) if length >= HEADER_BYTES && header.len() >= HEADER_BYTES => Ok(length),
        _ => Err(BatchError::Length { found: header.len(), announced: length.unwrap_or(HEADER_BYTES) }),
    }
}

/// Bytes that are read from the front. Every reader gives none, and then nothing is said of what is left, where they do
/// not hold what it reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline(always)]
    fn word(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline(always)]
    fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        if first < 0x80 {
            self.0 = rest;
            return Some(u64::from(first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline(always)]
    fn bytes(&mut self, most: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok().filter(|&length| length <= most)?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    #[inline(always)]
    fn text(&mut self, most: usize) -> Option<&'a str> {
        std::str::from_utf8(self.bytes(most)?).ok()
    }
}

/// A text of the table and its hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) text: &'a str,
    pub(crate) hash: TextHash,
}

/// The records of a batch, each as it was found, or why it is none. A record that says nothing that can be read is left
/// out; one whose length cannot be read ends the batch.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    texts: Arc<[Shared<'a>]>,
    /// SHA-256 of the text table.
    table: [u8; 32],
    rest: Cut<'a>,
    /// Records that were begun, those after which this reader ends, and those that the header announced.
    begun: u32,
    until: u32,
    announced: u32,
}

impl<'a> Records<'a> {
    /// Reads header and text table.
    pub(crate) fn open(batch: &'a [u8]) -> Result<Self, BatchError> {
        let mut cut = Cut(batch);
        if cut.array() != Some(MAGIC) {
            return Err(BatchError::Magic);
        }
        if batch.len() > MAX_BATCH_BYTES {
            return Err(BatchError::TooLong { found: batch.len(), max: MAX_BATCH_BYTES });
        }
        let (Some(length), Some(count), Some(announced)) = (cut.word(), cut.word(), cut.word()) else {
            return Err(BatchError::Length { found: batch.len(), announced: HEADER_BYTES });
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length != batch.len() {
            return Err(BatchError::Length { found: batch.len(), announced: length });
        }
        // A text takes a byte at least, a record two: no room is made for what cannot be there.
        let left = cut.0.len();
        let count = usize::try_from(count).ok().filter(|&count| count <= left).ok_or(BatchError::Table)?;
        let mut texts = Vec::with_capacity(count);
        let begin = cut.0;
        for _ in 0..count {
            let text = cut.text(MAX_TEXT_BYTES).ok_or(BatchError::Table)?;
            texts.push(Shared { text, hash: TextHash::of(text.as_bytes()) });
        }
        let table = sha256(begin.get(..begin.len() - cut.0.len()).unwrap_or_default());
        Ok(Self { texts: texts.into(), table, rest: cut, begun: 0, until: announced, announced })
    }

    /// At most so many readers that give the same, one after the other.
    pub(crate) fn shares(mut self, number: usize) -> Vec<Self> {
        let number = u32::try_from(number).unwrap_or(u32::MAX).max(1);
        let each = self.announced.div_ceil(number).max(1);
        let mut all = Vec::new();
        while self.until - self.begun > each {
            let mut ahead = self.rest;
            // Whoever reads the records finds what is wrong with them.
            if (0..each).any(|_| ahead.bytes(MAX_RECORD_BYTES).is_none()) {
                break;
            }
            let until = self.begun + each;
            let now = self.rest.0.get(..self.rest.0.len() - ahead.0.len()).unwrap_or_default();
            all.push(Self { texts: Arc::clone(&self.texts), rest: Cut(now), until, ..self });
            (self.rest, self.begun) = (ahead, until);
        }
        all.push(self);
        all
    }

    /// What the digest of each record begins with: SHA-256 of the text table.
    pub(crate) fn table(&self) -> [u8; 32] {
        self.table
    }

    /// The texts, for [`named`].
    pub(crate) fn texts(&self) -> Arc<[Shared<'a>]> {
        Arc::clone(&self.texts)
    }

    /// The next record, or why it is none.
    #[inline(always)]
    pub(crate) fn next_record(&mut self) -> Option<Result<(Record<'a>, Raw<'a>), BatchError>> {
        if self.begun == self.until {
            let left = self.rest.0.len();
            self.rest = Cut(&[]);
            return (left > 0).then_some(Err(BatchError::LeftOver { bytes: left }));
        }
        let number = self.begun + 1;
        let Some(bytes) = self.rest.bytes(MAX_RECORD_BYTES) else {
            (self.begun, self.rest) = (self.until, Cut(&[]));
            return Some(Err(BatchError::Cut { number, announced: self.announced }));
        };
        self.begun = number;
        let raw = Raw { table: self.table, bytes };
        Some(match Record::read(bytes, &self.texts) {
            Ok(record) => Ok((record, raw)),
            Err(field) => Err(BatchError::Record { number, field }),
        })
    }

    /// Reads one record whose form was read, as an event.
    pub(crate) fn event(&self, record: &Record<'a>) -> Result<Event, BatchError> {
        record.event().map_err(|source| BatchError::Registry { number: self.begun, source })
    }
}

/// The bytes of a record, and what its digest is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    table: [u8; 32],
    bytes: &'a [u8],
}

/// The event of a record that was read before.
pub(crate) fn named(record: &[u8], texts: &[Shared<'_>]) -> Option<Event> {
    Record::read(record, texts).ok()?.event().ok()
}

impl<'a> Raw<'a> {
    /// The record.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The digest by which a finding names the record.
    pub(crate) fn digest(&self) -> RawDigest {
        self.whole(|bytes| RawDigest(sha256(bytes)))
    }

    /// A hash of the same bytes.
    pub(crate) fn hash(&self) -> u64 {
        self.whole(hash64)
    }

    fn whole<T>(&self, make: impl FnOnce(&[u8]) -> T) -> T {
        // Nearly every record is short; only for a long one is there a copy on the heap.
        let mut short = [0; 512];
        let length = self.table.len() + self.bytes.len();
        match short.get_mut(..length) {
            Some(room) => {
                let (table, bytes) = room.split_at_mut(self.table.len());
                table.copy_from_slice(&self.table);
                bytes.copy_from_slice(self.bytes);
                make(room)
            }
            None => make(&[self.table.as_slice(), self.bytes].concat()),
        }
    }
}

/// Reads a batch record by record, as events.
///
/// A record that cannot be read gives an error, and reading goes on with the next one; where the length of a record
/// cannot be read, the error is the last item.
#[derive(Debug)]
pub struct Reader<'a> {
    records: Records<'a>,
    digest: Option<RawDigest>,
}

impl<'a> Reader<'a> {
    /// Reads header and text table.
    ///
    /// # Errors
    /// [`BatchError`] where the bytes are no batch of this version, are longer than [`MAX_BATCH_BYTES`], are not all
    /// there, or the text table cannot be read.
    pub fn open(batch: &'a [u8]) -> Result<Self, BatchError> {
        Ok(Self { records: Records::open(batch)?, digest: None })
    }

    /// The digest of the record that was given last, for [`crate::Engine::observe`].
    #[must_use]
    pub fn digest(&self) -> Option<RawDigest> {
        self.digest
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Event, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.digest = None;
        let (record, raw) = match self.records.next_record()? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let event = self.records.event(&record);
        self.digest = event.is_ok().then(|| raw.digest());
        Some(event)
    }
}

/// Reads a batch record by record, as what the engine takes.
pub(crate) fn read_batch<'a>(
    batch: &'a [u8],
    texts: &'a mut TextCache,
    digests: Digests,
) -> Result<impl Iterator<Item = Result<Item, BatchError>> + 'a, BatchError> {
    let mut records = Records::open(batch)?;
    Ok(std::iter::from_fn(move || {
        let (record, raw) = match records.next_record()? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        if let Body::Registry(_) = record.body {
            return Some(records.event(&record).map(|event| Item::Registry(Box::new(event))));
        }
        Some(Ok(Item::Observation(Observation::of_record(&record, &raw, texts, digests))))
    }))
}

/// What an input holds, read as the engine reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Authentications, ends of sessions, heartbeats.
    pub observations: u64,
    /// Registry lines.
    pub registry: u64,
    /// Lines or records that cannot be read. Empty lines do not count.
    pub refused: u64,
}

impl Tally {
    fn count<E>(&mut self, item: Result<Item, E>) {
        match item {
            Ok(Item::Observation(_)) => self.observations += 1,
            Ok(Item::Registry(_)) => self.registry += 1,
            Err(_) => self.refused += 1,
        }
    }
}

/// Reads lines of events and counts them.
#[must_use]
pub fn tally_lines(lines: &[u8], digests: Digests) -> Tally {
    let mut texts = Texts::default().cache();
    let mut tally = Tally::default();
    let (mut rest, mut line) = (lines, Vec::new());
    // Reading from memory does not fail.
    while rest.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        if !line.trim_ascii().is_empty() {
            tally.count(black_box(read_line_with(&line, &mut texts, digests)));
        }
        line.clear();
    }
    tally
}

/// Reads a batch and counts its records.
///
/// # Errors
/// As [`Reader::open`]; records that cannot be read are counted.
pub fn tally(batch: &[u8], digests: Digests) -> Result<Tally, BatchError> {
    let mut texts = Texts::default().cache();
    let mut tally = Tally::default();
    for item in read_batch(batch, &mut texts, digests)? {
        tally.count(black_box(item));
    }
    Ok(tally)
}

#[cfg(test)]
mod tests;
