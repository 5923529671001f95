//! What was fetched of each partition and not taken yet, and the order in which it is taken.
//!
//! The engine holds events back for a while so that earlier ones can still come, and judges later ones with care. A topic
//! that is read from its beginning must therefore not give one partition's month before the next one's: records are taken
//! in the order of the times that producers or brokers gave them, and a partition that has more to give is waited for.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::batch::{Batch, Record, next_batch};
use super::broker::KafkaError;
use crate::stream::input::lines::PIECE;

/// For so long a partition that cannot be read holds the others up.
const GRACE: Duration = Duration::from_secs(30);

/// One partition.
#[derive(Debug, Default)]
pub struct Partition {
    /// The broker that answers for it.
    pub leader: i32,
    /// The offset of the next record to be taken; `None` before it is known where to begin.
    pub next: Option<i64>,
    /// The offset behind the last record; `None` before it was asked.
    pub end: Option<i64>,
    /// Why it cannot be read at the moment, and since when.
    pub trouble: Option<(String, Instant)>,
    /// Before this moment its leader is not asked again.
    pub not_before: Option<Instant>,
    /// Batches that were not looked into yet.
    fetched: Bytes,
    records: VecDeque<Record>,
}

/// A batch that nobody can read: what was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset behind the last one.
    pub next: i64,
    /// How many records the batch said that it has.
    pub records: u64,
    /// Why.
    pub detail: String,
}

/// What is taken in one step.
#[derive(Debug, Default)]
pub struct Piece {
    /// Lines, each ended by `\n`.
    pub lines: Vec<u8>,
    /// For each partition that was read on, its next offset.
    pub next: BTreeMap<i32, i64>,
    /// Batches that nobody can read.
    pub passed: Vec<Passed>,
    /// Partitions that cannot be read any further, and why.
    pub stuck: Vec<(i32, KafkaError)>,
}

impl Partition {
    /// One of which nothing was fetched; `next` is the offset of the record to begin with, where it is known.
    #[must_use]
    pub fn from(next: Option<i64>) -> Self {
        Self { next, ..Self::default() }
    }

    /// Takes an answer.
    pub fn add(&mut self, records: Bytes, end: i64) {
        self.end = Some(end);
        if records.is_empty() {
            self.trouble = None;
        }
        self.fetched = records;
    }

    /// Nothing of what was fetched counts; it is read from here on.
    pub fn restart(&mut self, next: Option<i64>) {
        (self.fetched, self.next, self.end) = (Bytes::new(), next, None);
        self.records.clear();
    }

    /// Whether everything that was fetched was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fetched.is_empty() && self.records.is_empty()
    }

    /// Whether it has more to give.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.is_empty() || self.next.zip(self.end).is_none_or(|(next, end)| next < end)
    }

    /// Whether its next record has to be waited for.
    fn holds_up(&self, now: Instant) -> bool {
        let patience = |since: &Instant| now.duration_since(*since) < GRACE;
        self.is_behind() && self.trouble.as_ref().is_none_or(|(_, since)| patience(since))
    }

    /// Why it cannot be read.
    pub fn fail(&mut self, why: String, now: Instant) {
        let since = self.trouble.as_ref().map_or(now, |(_, since)| *since);
        self.trouble = Some((why, since));
    }

    /// Looks into the next batches until there is a record, or nothing is left.
    fn fill(&mut self, partition: i32, piece: &mut Piece) {
        while self.records.is_empty() {
            let Some(wanted) = self.next else { return };
            match next_batch(&mut self.fetched, wanted) {
                Ok(Some(Batch::Records(records))) => {
                    self.records = records.into();
                    self.trouble = None;
                }
                Ok(Some(Batch::Unreadable { from, next, records, detail })) => {
                    self.next = Some(next);
                    self.trouble = None;
                    piece.next.insert(partition, next);
                    piece.passed.push(Passed { partition, from, next, records, detail });
                }
                // What was cut off is fetched again.
                Ok(None) => {
                    self.fetched = Bytes::new();
                    return;
                }
                Err(source) => {
                    self.fetched = Bytes::new();
                    piece.stuck.push((partition, KafkaError::Batch { partition, source }));
                    return;
                }
            }
        }
    }
}

/// Takes records in the order of their times, up to about [`PIECE`] bytes, until one has to be waited for.
#[must_use]
pub fn take(partitions: &mut BTreeMap<i32, Partition>, now: Instant) -> Piece {
    let mut piece = Piece::default();
    while piece.lines.len() < PIECE {
        let mut first: Option<(i64, i32)> = None;
        for (number, partition) in partitions.iter_mut() {
            partition.fill(*number, &mut piece);
            match partition.records.front() {
                Some(record) => {
                    let this = (record.time, *number);
                    first = Some(first.map_or(this, |first| first.min(this)));
                }
                None if partition.holds_up(now) => return piece,
                None => {}
            }
        }
        let Some((_, number)) = first else { return piece };
        let Some(partition) = partitions.get_mut(&number) else { return piece };
        let Some(record) = partition.records.pop_front() else { return piece };
        if let Some(value) = record.value {
            piece.lines.extend_from_slice(&value);
            piece.lines.push(b'\n');
        }
        partition.next = Some(record.next);
        piece.next.insert(number, record.next);
    }
    piece
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::batch;
    use super::*;

    fn partition(next: i64, end: i64, batches: &[Vec<u8>]) -> Partition {
        let mut partition = Partition::from(Some(next));
        partition.add(Bytes::from(batches.concat()), end);
        partition
    }

    fn text(piece: &Piece) -> String {
        String::from_utf8(piece.lines.clone()).unwrap().replace('\n', " ")
    }

    #[test]
    fn records_are_taken_in_the_order_of_their_times() {
        let mut partitions = BTreeMap::from([
            (
                0,
                partition(
                    0,
                    3,
                    &[batch(0, 0, &[(0, 10, Some(b"a")), (1, 40, Some(b"d")), (2, 50, Some(b"e"))])],
                ),
            ),
            (1, partition(5, 7, &[batch(0, 5, &[(0, 20, Some(b"b"))]), batch(0, 6, &[(0, 30, Some(b"c"))])])),
            (2, partition(9, 9, &[])),
        ]);
        let piece = take(&mut partitions, Instant::now());
        assert_eq!(text(&piece), "a b c d e ");
        assert_eq!(piece.next, BTreeMap::from([(0, 3), (1, 7)]));
        assert!(partitions.values().all(|partition| !partition.is_behind()));
    }

    #[test]
    fn one_that_has_more_to_give_is_waited_for_unless_it_fails_for_long() {
        let now = Instant::now();
        let mut partitions = BTreeMap::from([
            (0, partition(0, 2, &[batch(0, 0, &[(0, 10, Some(b"a")), (1, 40, Some(b"c"))])])),
            (1, partition(0, 2, &[batch(0, 0, &[(0, 20, Some(b"b"))])])),
        ]);
        let piece = take(&mut partitions, now);
        assert_eq!(text(&piece), "a b ");
        assert_eq!(piece.next, BTreeMap::from([(0, 1), (1, 1)]));
        partitions.get_mut(&1).unwrap().fail("away".to_owned(), now);
        assert_eq!(text(&take(&mut partitions, now)), "");
        partitions.get_mut(&1).unwrap().fail("away".to_owned(), now + GRACE / 2);
        assert_eq!(text(&take(&mut partitions, now + GRACE)), "c ", "since the first failure");
        let unknown = BTreeMap::from([(0, Partition::default())]);
        assert!(unknown.values().all(Partition::is_behind), "before it was asked");
    }

    #[test]
    fn what_cannot_be_read_is_passed_or_stops_its_partition() {
        let spoilt = batch(5, 0, &[(0, 0, Some(b"x")), (1, 0, Some(b"y"))]);
        let good = batch(0, 2, &[(0, 0, Some(b"a"))]);
        let mut damaged = batch(0, 3, &[(0, 0, Some(b"b"))]);
        *damaged.last_mut().unwrap() ^= 1;
        let mut partitions = BTreeMap::from([(4, partition(0, 9, &[spoilt, good, damaged]))]);
        let piece = take(&mut partitions, Instant::now());
        assert_eq!(text(&piece), "a ");
        let [passed] = &piece.passed[..] else { panic!("{:?}", piece.passed) };
        assert_eq!((passed.from, passed.next, passed.records), (0, 2, 2));
        let [(4, stuck)] = &piece.stuck[..] else { panic!("{:?}", piece.stuck) };
        assert!(stuck.to_string().contains("batch at offset 3 is damaged"), "{stuck}");
        assert_eq!((partitions[&4].next, partitions[&4].is_empty()), (Some(3), true));
        // It comes again as it was, which is no end of the trouble.
        let (now, mut again) = (Instant::now(), batch(0, 3, &[(0, 0, Some(b"b"))]));
        *again.last_mut().unwrap() ^= 1;
        let stuck = partitions.get_mut(&4).unwrap();
        stuck.fail("damaged".to_owned(), now);
        stuck.add(Bytes::from(again), 9);
        assert_eq!(take(&mut partitions, now).stuck.len(), 1);
        assert_eq!(partitions[&4].trouble, Some(("damaged".to_owned(), now)));
    }
}
