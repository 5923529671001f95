//! A file of events into a file of findings.

use std::collections::BTreeMap;
use std::io::{self, Read};

use touchmark_identity::event::Event;
use touchmark_identity::finding::Finding;

use crate::adapters::safe_example;
use crate::batch::{BatchError, HEADER_BYTES, MAGIC, announced_length};
use crate::engine::Counts;
use crate::pipeline::Monitor;

/// Lines, or records of batches, that were skipped for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub lines: u64,
    /// The number of the first such line or record, from 1, within its input.
    pub first_line: u64,
    /// What was wrong with it, in words.
    pub says: String,
    /// Its beginning, printable characters alone; nothing of a record.
    pub example: String,
}

/// What a replay has read and written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines of both inputs, empty ones left out, and records of batches.
    pub lines: u64,
    /// Findings written, each revision counted.
    pub findings: u64,
    /// Lines that were skipped, by reason.
    pub skipped: BTreeMap<&'static str, Skipped>,
    /// What the engine took in.
    pub counts: Counts,
}

/// Why a replay ended before its input did.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// MO-0001, environment: an input cannot be read.
    #[error("cannot read the {input} after line {line}")]
    Read {
        /// `registry` or `events`.
        input: &'static str,
        /// Lines that were read before.
        line: u64,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// MO-0006, peer: what follows the last batch that was read is no batch.
    #[error("batch number {number} cannot be read, nor what comes after it")]
    Batch {
        /// Its number, from 1.
        number: u64,
        /// What is wrong.
        #[source]
        source: BatchError,
    },
    /// MO-0002, environment: a finding cannot be written.
    #[error("cannot write finding number {number}")]
    Write {
        /// Its number, from 1.
        number: u64,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl ReplayError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "MO-0001",
            Self::Write { .. } => "MO-0002",
            Self::Batch { .. } => "MO-0006",
        }
    }
}

/// Bytes that are read at once; lines are taken in such pieces.
const PIECE: usize = 1 << 20;

/// Reads registry lines, which are valid from the beginning whatever their `time` says, then events, and gives each
/// finding to `write`.
///
/// Events are lines or, where the input begins with `TMB1`, batches ([`crate::batch`]), one behind the other.
///
/// A line or record that cannot be read is skipped and counted by reason with one example. Equal input gives equal
/// findings, for any number of threads, and for any order of events within the watermark.
///
/// # Errors
/// [`ReplayError`] when an input cannot be read, a finding cannot be written, or a batch does not end where it says.
pub fn replay(
    monitor: &mut Monitor,
    registry: Option<&mut dyn Read>,
    events: &mut dyn Read,
    write: &mut dyn FnMut(&Finding) -> io::Result<()>,
) -> Result<Summary, ReplayError> {
    let mut summary = Summary::default();
    if let Some(registry) = registry {
        pieces("registry", registry, &mut summary, &mut |summary, first, lines| {
            for (number, line) in (first..).zip(lines) {
                match Event::from_line(line) {
                    Ok(event) if monitor.register(&event) => {}
                    Ok(event) => {
                        let kind = event.body.type_name();
                        let says = format!("the registry file holds an event of type {kind}");
                        summary.skip("not-a-registry-line", number, says, line);
                    }
                    Err(error) => summary.skip(error.reason(), number, error.to_string(), line),
                }
            }
            give(monitor, summary, write)
        })?;
    }
    let mut head = Vec::new();
    // An input that fails here fails again when it is read on, and then it is known after which line.
    let _later = (&mut *events).take(MAGIC.len() as u64).read_to_end(&mut head);
    let is_batch = head == MAGIC;
    let mut events = head.as_slice().chain(events);
    if is_batch {
        batches(monitor, &mut events, &mut summary, write)?;
    } else {
        pieces("events", &mut events, &mut summary, &mut |summary, first, lines| {
            monitor.take_lines(lines, &mut |place, error| {
                let line = lines.get(place).copied().unwrap_or_default();
                let number = first + u64::try_from(place).unwrap_or(0);
                summary.skip(error.reason(), number, error.to_string(), line);
            });
            give(monitor, summary, write)
        })?;
    }
    monitor.finish();
    give(monitor, &mut summary, write)?;
    summary.counts = monitor.counts();
    Ok(summary)
}

fn give(
    monitor: &mut Monitor,
    summary: &mut Summary,
    write: &mut dyn FnMut(&Finding) -> io::Result<()>,
) -> Result<(), ReplayError> {
    for finding in monitor.drain() {
        summary.findings += 1;
        let number = summary.findings;
        write(&finding).map_err(|source| ReplayError::Write { number, source })?;
    }
    Ok(())
}

/// Reads batches to the end of the input.
fn batches(
    monitor: &mut Monitor,
    from: &mut dyn Read,
    summary: &mut Summary,
    write: &mut dyn FnMut(&Finding) -> io::Result<()>,
) -> Result<(), ReplayError> {
    let mut batch = Vec::new();
    for number in 1.. {
        let first = summary.lines + 1;
        let broken = |source| ReplayError::Read { input: "events", line: first - 1, source };
        let unusable = |source| ReplayError::Batch { number, source };
        batch.clear();
        from.take(HEADER_BYTES as u64).read_to_end(&mut batch).map_err(broken)?;
        if batch.is_empty() {
            break;
        }
        let length = announced_length(&batch).map_err(unusable)?;
        let rest = length.saturating_sub(batch.len()) as u64;
        from.take(rest).read_to_end(&mut batch).map_err(broken)?;
        let records = monitor.take_batch(&batch, &mut |place, error| {
            let number = first + u64::try_from(place).unwrap_or(0);
            summary.skip(error.reason(), number, error.to_string(), &[]);
        });
        match records {
            Ok(records) => summary.lines += records,
            // Where it ends is known, so that the next one can be read.
            Err(error @ BatchError::Table) => summary.skip(error.reason(), first, error.to_string(), &[]),
            Err(error) => return Err(unusable(error)),
        }
        give(monitor, summary, write)?;
    }
    Ok(())
}

/// What is done with the lines of one piece: the number of the first, and the lines. An empty line stays in its place.
type EachPiece<'a> = dyn FnMut(&mut Summary, u64, &[&[u8]]) -> Result<(), ReplayError> + 'a;

fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'\n', bytes).chain(std::iter::once(bytes.len()));
    ends.scan(0, |from, end| Some(bytes.get(std::mem::replace(from, end + 1)..end).unwrap_or_default()))
}

/// Reads an input in pieces of whole lines. Of a line that is longer than a piece only so much is kept that its reader
/// sees that it is too long.
fn pieces(
    input: &'static str,
    from: &mut dyn Read,
    summary: &mut Summary,
    each: &mut EachPiece<'_>,
) -> Result<(), ReplayError> {
    let mut buffer = vec![0; PIECE];
    // Bytes in the buffer; whether they continue a line whose beginning was taken; lines before them.
    let (mut filled, mut skipping, mut line) = (0, false, 0u64);
    loop {
        let read = match from.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(ReplayError::Read { input, line, source }),
        };
        filled += read;
        let bytes = buffer.get(..filled).unwrap_or_default();
        let whole = match memchr::memrchr(b'\n', bytes) {
            _ if read == 0 => filled,
            // A terminal or a pipe gives a line at a time; a file gives pieces.
            Some(at) => at + 1,
            None if filled == buffer.len() => filled,
            None => continue,
        };
        let ends_line = whole == 0 || bytes.get(whole - 1) == Some(&b'\n');
        let taken = bytes.get(..whole).unwrap_or_default();
        let mut lines: Vec<&[u8]> = split(taken.strip_suffix(b"\n").unwrap_or(taken)).collect();
        if taken.is_empty() {
            lines.clear();
        }
        if skipping && !lines.is_empty() {
            lines.remove(0);
        }
        let kept: Vec<&[u8]> = lines.iter().copied().filter(|line| !line.trim_ascii().is_empty()).collect();
        summary.lines += u64::try_from(kept.len()).unwrap_or(0);
        let first = line + 1;
        if kept.len() == lines.len() {
            each(summary, first, &kept)?;
        } else {
            for (number, text) in (first..).zip(&lines).filter(|(_, text)| !text.trim_ascii().is_empty()) {
                each(summary, number, &[text])?;
            }
        }
        line += u64::try_from(lines.len()).unwrap_or(0);
        skipping = if ends_line { false } else { skipping || !lines.is_empty() };
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
        if read == 0 {
            return Ok(());
        }
    }
}

impl Summary {
    fn skip(&mut self, reason: &'static str, number: u64, says: String, line: &[u8]) {
        let entry = self.skipped.entry(reason).or_insert_with(|| Skipped {
            lines: 0,
            first_line: number,
            says,
            example: safe_example(line),
        });
        entry.lines += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use std::num::NonZeroUsize;

    /// Gives its bytes in pieces of this many.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(to.len());
            let (now, rest) = self.0.split_at(length);
            to[..length].copy_from_slice(now);
            self.0 = rest;
            Ok(length)
        }
    }

    fn summary(input: &[u8], piece: usize) -> Summary {
        let mut monitor = Monitor::new(&Settings::default(), NonZeroUsize::MIN);
        replay(&mut monitor, None, &mut Dribble(input, piece), &mut |_| Ok(())).unwrap()
    }

    #[test]
    fn lines_are_counted_whatever_the_pieces() {
        let mut input = b"\n{}\nx\n\n".to_vec();
        input.extend(vec![b'a'; PIECE + 10]);
        input.extend(b"\n{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"2026-11-20T22:00:00Z\",\"source\":\"g\",\"identity\":{\"client_id\":\"a\"}}");
        let whole = summary(&input, usize::MAX);
        assert_eq!((whole.lines, whole.counts.events), (4, 1), "{whole:?}");
        let first = |reason: &str| whole.skipped[reason].first_line;
        assert_eq!((first("schema"), first("too-long")), (2, 5), "{whole:?}");
        assert_eq!(summary(&input, 70_000), whole);
        assert_eq!(summary(b"", 1).lines, 0);
        assert_eq!(summary(b"x", 1).lines, 1);
    }

    fn batched(input: &[u8]) -> Result<Summary, ReplayError> {
        let mut monitor = Monitor::new(&Settings::default(), NonZeroUsize::MIN);
        replay(&mut monitor, None, &mut Dribble(input, 3), &mut |_| Ok(()))
    }

    #[test]
    fn batches_are_read_one_behind_the_other() {
        let event = |id: &str| {
            let line = format!(
                "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"2026-11-20T22:00:00Z\",\
                 \"source\":\"g\",\"event_id\":\"{id}\",\"identity\":{{\"client_id\":\"a\"}}}}"
            );
            Event::from_line(line.as_bytes()).unwrap()
        };
        let first = crate::batch::encode(&[event("1"), event("2")]).unwrap();
        let second = crate::batch::encode(&[event("3"), event("1")]).unwrap();
        let both = [first.clone(), second.clone()].concat();
        let read = batched(&both).unwrap();
        assert_eq!((read.lines, read.counts.events, read.counts.duplicates), (4, 3, 1), "{read:?}");
        // A record of the first batch that is none: behind the header come one text and the record's length.
        let mut bad = both.clone();
        bad[HEADER_BYTES + 2 + 1] ^= 0xff;
        let read = batched(&bad).unwrap();
        assert_eq!((read.lines, read.counts.events), (4, 3), "{read:?}");
        assert_eq!(read.skipped["bad-record"].first_line, 1, "{read:?}");
        // A text table that is none: the length of its first text is beyond all bounds.
        let mut table = both.clone();
        table[HEADER_BYTES] = 0xff;
        let read = batched(&table).unwrap();
        assert_eq!((read.skipped["bad-texts"].first_line, read.counts.events), (1, 2), "{read:?}");
        for end in [first.len() + 1, first.len() + 15, both.len() - 1] {
            let error = batched(&both[..end]).unwrap_err();
            assert!(matches!(error, ReplayError::Batch { number: 2, .. }), "{error:?}");
        }
        let followed = [first.as_slice(), b"{\"schema\":\"touchmark.event/1\"}"].concat();
        let error = batched(&followed).unwrap_err();
        assert!(matches!(error, ReplayError::Batch { number: 2, source: BatchError::Magic }), "{error:?}");
    }

    #[test]
    fn an_input_that_breaks_off_says_where() {
        struct Broken(bool);
        impl Read for Broken {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("gone"));
                }
                to[..2].copy_from_slice(b"x\n");
                Ok(2)
            }
        }
        let mut monitor = Monitor::new(&Settings::default(), NonZeroUsize::MIN);
        let error = replay(&mut monitor, None, &mut Broken(false), &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, ReplayError::Read { input: "events", line: 1, .. }), "{error:?}");
    }
}
