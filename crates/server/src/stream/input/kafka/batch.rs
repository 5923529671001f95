//! Record batches, as a broker stores and sends them.
//!
//! ```text
//! base offset i64 | length i32 | leader epoch i32 | magic i8 = 2 | CRC-32C u32 of what follows |
//! attributes i16 | last offset i32 | base time i64 | latest time i64 | producer i64, i16 | sequence i32 |
//! records i32 | records, compressed as a whole where the attributes say so
//! ```
//!
//! Offsets and times of records are told from those of the batch. A batch is given whole even when the offset asked for is
//! in its middle, and the last one of an answer may be cut off.
//!
//! # Source
//! Apache Kafka 4.0, "Implementation", Message Format, Record Batch.

use bytes::Bytes;

use super::crc32c::crc32c;
use super::unpack::{UnpackError, unpack};
use super::wire::{Fields, Malformed};

/// Bytes up to the end of the length, which does not count them.
const BEFORE_LENGTH: usize = 12;
/// Bytes from there to what the checksum covers: epoch, magic and checksum.
const BEFORE_COVERED: usize = 9;
/// Attribute bits: compression, "times are those of the broker", "for clients, not for readers".
const COMPRESSION: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const CONTROL: i16 = 1 << 5;

/// A record, or the end of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was made or came to the broker, in milliseconds since 1970.
    pub time: i64,
    /// The offset behind it: with it taken, the partition was read up to here.
    pub next: i64,
    /// What it says; `None` for the end of a batch.
    pub value: Option<Bytes>,
}

/// What a batch holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// Records in the order of their offsets.
    Records(Vec<Record>),
    /// It cannot be read, and will not be another time: its bytes are as the producer made them.
    Unreadable {
        /// The offset of its first record.
        from: i64,
        /// The offset behind its last one.
        next: i64,
        /// How many records it says that it has.
        records: u64,
        /// Why it cannot be read.
        detail: String,
    },
}

/// Why a partition cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// From before Kafka 0.11.
    #[error(
        "the batch at offset {offset} has message format {magic}, from before Kafka 0.11, which is not read; \
         copy the topic with a current client"
    )]
    OldFormat {
        /// Its first offset.
        offset: i64,
        /// Its format.
        magic: i8,
    },
    /// The broker sends other bytes than it was given.
    #[error("the batch at offset {offset} is damaged: its checksum is {found:08x}, not {said:08x}")]
    Checksum {
        /// Its first offset.
        offset: i64,
        /// The checksum in the batch.
        said: u32,
        /// That of its bytes.
        found: u32,
    },
    /// A header that contradicts itself.
    #[error("the batch at offset {offset} is damaged: its header contradicts itself")]
    Header {
        /// Its first offset.
        offset: i64,
    },
}

/// Takes the next batch from the beginning of an answer; `None` when there is none, or not the whole of it. It has records
/// from `wanted` on, without tombstones and empty ones.
///
/// # Errors
/// [`BatchError`].
pub fn next_batch(answer: &mut Bytes, wanted: i64) -> Result<Option<Batch>, BatchError> {
    let Ok(head) = Head::read(answer) else { return Ok(None) };
    let Ok(length) = usize::try_from(head.length) else {
        return Err(BatchError::Header { offset: head.offset });
    };
    if answer.len().saturating_sub(BEFORE_LENGTH) < length {
        return Ok(None);
    }
    let whole = answer.split_to(BEFORE_LENGTH + length);
    if head.magic != 2 {
        return Err(BatchError::OldFormat { offset: head.offset, magic: head.magic });
    }
    let Some(covered) = whole.get(BEFORE_LENGTH + BEFORE_COVERED..) else {
        return Err(BatchError::Header { offset: head.offset });
    };
    let found = crc32c(covered);
    if found != head.checksum {
        return Err(BatchError::Checksum { offset: head.offset, said: head.checksum, found });
    }
    let covered = whole.slice(BEFORE_LENGTH + BEFORE_COVERED..);
    let header = Header::read(&covered).map_err(|_| BatchError::Header { offset: head.offset })?;
    let next = head.offset.checked_add(i64::from(header.last_offset)).and_then(|last| last.checked_add(1));
    let Some(next) = next.filter(|next| *next > head.offset && header.records >= 0) else {
        return Err(BatchError::Header { offset: head.offset });
    };
    let end = |time| Record { time, next, value: None };
    if header.attributes & CONTROL != 0 || next <= wanted {
        return Ok(Some(Batch::Records(vec![end(header.latest)])));
    }
    let content = covered.slice(covered.len() - header.content..);
    Ok(Some(match records(&head, &header, content, wanted) {
        Ok(mut records) => {
            let time = records.last().map_or(header.latest, |last| last.time);
            records.push(end(time));
            Batch::Records(records)
        }
        Err(error) => Batch::Unreadable {
            from: head.offset.max(wanted),
            next,
            records: u64::from(header.records.unsigned_abs()),
            detail: error.to_string(),
        },
    }))
}

/// Why the content of a batch cannot be read.
#[derive(Debug, thiserror::Error)]
enum ContentError {
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error("{0} in it cannot be read")]
    Malformed(&'static str),
}

impl From<Malformed> for ContentError {
    fn from(Malformed(what): Malformed) -> Self {
        Self::Malformed(what)
    }
}

/// What is outside the checksum.
struct Head {
    offset: i64,
    length: i32,
    magic: i8,
    checksum: u32,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes, false);
        let (offset, length, _epoch) = (fields.int64()?, fields.int32()?, fields.int32()?);
        Ok(Self { offset, length, magic: fields.int8()?, checksum: fields.uint32()? })
    }
}

/// What is under the checksum, without the records.
struct Header {
    attributes: i16,
    last_offset: i32,
    base_time: i64,
    latest: i64,
    records: i32,
    /// Bytes of the records.
    content: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes, false);
        let (attributes, last_offset) = (fields.int16()?, fields.int32()?);
        let (base_time, latest) = (fields.int64()?, fields.int64()?);
        let _producer = fields.bytes(8 + 2 + 4)?;
        let records = fields.int32()?;
        Ok(Self { attributes, last_offset, base_time, latest, records, content: fields.rest().len() })
    }
}

fn records(head: &Head, header: &Header, content: Bytes, wanted: i64) -> Result<Vec<Record>, ContentError> {
    let content = match unpack(header.attributes & COMPRESSION, &content)? {
        Some(unpacked) => Bytes::from(unpacked),
        None => content,
    };
    let mut fields = Fields::new(&content, true);
    let mut found = Vec::new();
    for _ in 0..header.records {
        let length = length(fields.varint()?)?.unwrap_or(0);
        // The lengths of records are variable whatever the version of the message around them.
        let mut record = Fields::new(fields.bytes(length)?, true);
        let _attributes = record.int8()?;
        let (time, offset) = (record.varint()?, record.varint()?);
        if let Some(key) = self::length(record.varint()?)? {
            let _key = record.bytes(key)?;
        }
        let value = match self::length(record.varint()?)? {
            Some(value) => Some(record.bytes(value)?),
            None => None,
        };
        let offset = u32::try_from(offset).map_err(|_| ContentError::Malformed("an offset"))?;
        let offset = head.offset.saturating_add(offset.into());
        let time = if header.attributes & LOG_APPEND_TIME == 0 {
            header.base_time.saturating_add(time)
        } else {
            header.latest
        };
        // The end of the batch stands for those that say nothing.
        if let Some(value) = value.filter(|value| offset >= wanted && !value.is_empty()) {
            let value = Some(content.slice_ref(value));
            found.push(Record { time, next: offset.saturating_add(1), value });
        }
    }
    Ok(found)
}

/// A length of variable length; −1 is none.
fn length(value: i64) -> Result<Option<usize>, ContentError> {
    if value == -1 {
        return Ok(None);
    }
    usize::try_from(value).map(Some).map_err(|_| ContentError::Malformed("a length"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varint(out: &mut Vec<u8>, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest > 0x7f {
            out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        out.push(u8::try_from(rest).unwrap());
    }

    /// A batch with these attributes: its first offset, and for each record its offset and time from the batch's, and its
    /// value.
    pub(in super::super) fn batch(
        attributes: i16,
        first: i64,
        records: &[(i64, i64, Option<&[u8]>)],
    ) -> Vec<u8> {
        let mut content = Vec::new();
        for (offset, time, value) in records {
            let mut record = vec![0];
            varint(&mut record, *time);
            varint(&mut record, *offset);
            varint(&mut record, 1);
            record.push(b'k');
            varint(&mut record, value.map_or(-1, |value| i64::try_from(value.len()).unwrap()));
            record.extend(value.unwrap_or_default());
            record.push(0);
            varint(&mut content, i64::try_from(record.len()).unwrap());
            content.extend(record);
        }
        around(attributes, first, records.last().map_or(0, |last| last.0), records.len(), &content)
    }

    fn around(attributes: i16, first: i64, last: i64, records: usize, content: &[u8]) -> Vec<u8> {
        let mut covered = attributes.to_be_bytes().to_vec();
        covered.extend(i32::try_from(last).unwrap().to_be_bytes());
        covered.extend([1_000i64.to_be_bytes(), 9_000i64.to_be_bytes(), (-1i64).to_be_bytes()].concat());
        covered.extend([0xff; 6]);
        covered.extend(i32::try_from(records).unwrap().to_be_bytes());
        covered.extend(content);
        let mut out = first.to_be_bytes().to_vec();
        out.extend(i32::try_from(covered.len() + BEFORE_COVERED).unwrap().to_be_bytes());
        out.extend([0, 0, 0, 0, 2]);
        out.extend(crc32c(&covered).to_be_bytes());
        out.extend(covered);
        out
    }

    fn values(batch: &Batch) -> Vec<(i64, i64, Option<&[u8]>)> {
        let Batch::Records(records) = batch else { panic!("{batch:?}") };
        records.iter().map(|record| (record.time, record.next, record.value.as_deref())).collect()
    }

    #[test]
    fn records_come_with_offsets_and_times_and_a_cut_batch_waits() {
        let first = batch(0, 10, &[(0, 0, Some(b"a")), (1, 5, None), (2, 5, Some(b"")), (4, 7, Some(b"c"))]);
        let second = batch(LOG_APPEND_TIME, 15, &[(0, 3, Some(b"b"))]);
        let mut answer = Bytes::from([&first[..], &second, &first[..30]].concat());
        let read = next_batch(&mut answer, 0).unwrap().unwrap();
        assert_eq!(values(&read), [(1_000, 11, Some(&b"a"[..])), (1_007, 15, Some(b"c")), (1_007, 15, None)]);
        let read = next_batch(&mut answer, 15).unwrap().unwrap();
        assert_eq!(values(&read), [(9_000, 16, Some(&b"b"[..])), (9_000, 16, None)]);
        assert_eq!(next_batch(&mut answer, 16), Ok(None));
        // From its middle on.
        let read = next_batch(&mut Bytes::from(first), 14).unwrap().unwrap();
        assert_eq!(values(&read), [(1_007, 15, Some(&b"c"[..])), (1_007, 15, None)]);
    }

    #[test]
    fn what_is_for_clients_is_passed() {
        let mut answer = Bytes::from(batch(CONTROL, 3, &[(0, 0, Some(b"commit"))]));
        assert_eq!(values(&next_batch(&mut answer, 0).unwrap().unwrap()), [(9_000, 4, None)]);
    }

    #[test]
    fn old_and_damaged_batches_stop_the_partition() {
        let good = batch(0, 7, &[(0, 0, Some(b"a"))]);
        let with = |at: usize, byte: u8| {
            let mut changed = good.clone();
            changed[at] = byte;
            next_batch(&mut Bytes::from(changed), 0)
        };
        assert_eq!(with(16, 1), Err(BatchError::OldFormat { offset: 7, magic: 1 }));
        assert!(matches!(with(60, 9), Err(BatchError::Checksum { offset: 7, .. })));
        assert_eq!(with(8, 0xff), Err(BatchError::Header { offset: 7 }));
        let negative = around(0, 7, -5, 1, b"");
        assert_eq!(next_batch(&mut Bytes::from(negative), 0), Err(BatchError::Header { offset: 7 }));
    }

    #[test]
    fn what_a_producer_spoilt_is_said_and_passed() {
        for (attributes, content, detail) in [
            (5, &b"x"[..], "compressed in the way 5"),
            (1, b"not gzip", "its gzip cannot be unpacked"),
            (0, b"\x7e", "a field in it cannot be read"),
            (0, b"", "a number in it cannot be read"),
        ] {
            let mut answer = Bytes::from(around(attributes, 20, 4, 5, content));
            let Some(Batch::Unreadable { from, next, records, detail: said }) =
                next_batch(&mut answer, 22).unwrap()
            else {
                panic!("{detail}");
            };
            assert_eq!((from, next, records), (22, 25, 5));
            assert!(said.contains(detail), "{said}");
        }
    }

    proptest! {
        #[test]
        fn bytes_under_a_good_checksum_are_an_error_or_records(
            content in prop::collection::vec(any::<u8>(), 0..80),
            attributes in 0i16..0x40,
            records in 0usize..100_000,
        ) {
            let mut answer = Bytes::from(around(attributes, 0, 99, records, &content));
            prop_assert!(next_batch(&mut answer, 0).unwrap().is_some());
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _either = next_batch(&mut Bytes::from(bytes), 0);
        }
    }
}
