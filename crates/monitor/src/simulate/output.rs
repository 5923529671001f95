//! Lines in the order in which they arrive. Only lines that are under way are held in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

/// A line that arrives later.
type Pending = Reverse<(i64, u64, Box<str>)>;

/// A stretch of time in which one source's lines are treated differently.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) source: u32,
    pub(super) from: i64,
    pub(super) until: i64,
    /// Held back until the end; otherwise sent again at the end.
    pub(super) held: bool,
}

pub(super) struct Output<'a> {
    to: &'a mut dyn Write,
    pending: BinaryHeap<Pending>,
    sequence: u64,
    now: i64,
    pub(super) stretches: Vec<Stretch>,
    /// Lines written.
    pub(super) lines: u64,
    /// The most lines that were under way at once.
    pub(super) most_pending: usize,
}

impl<'a> Output<'a> {
    pub(super) fn new(to: &'a mut dyn Write) -> Self {
        Self {
            to,
            pending: BinaryHeap::new(),
            sequence: 0,
            now: i64::MIN,
            stretches: Vec::new(),
            lines: 0,
            most_pending: 0,
        }
    }

    /// Everything that arrives before `now` is written; nothing may arrive before that afterwards.
    pub(super) fn advance(&mut self, now: i64) -> io::Result<()> {
        self.now = now;
        while self.pending.peek().is_some_and(|Reverse((at, _, _))| *at <= now) {
            if let Some(Reverse((_, _, line))) = self.pending.pop() {
                self.write(&line)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.lines += 1;
        self.to.write_all(line.as_bytes())?;
        self.to.write_all(b"\n")
    }

    /// A line of `source` that arrives at `arrival`.
    pub(super) fn push(&mut self, source: u32, arrival: i64, line: &str) -> io::Result<()> {
        let mut arrival = arrival;
        let mut again = None;
        for stretch in &self.stretches {
            if stretch.source == source && (stretch.from..stretch.until).contains(&arrival) {
                if stretch.held {
                    arrival = stretch.until;
                } else {
                    again = Some(stretch.until);
                }
            }
        }
        if let Some(at) = again {
            self.wait(at, line);
        }
        if arrival <= self.now {
            return self.write(line);
        }
        self.wait(arrival, line);
        Ok(())
    }

    fn wait(&mut self, arrival: i64, line: &str) {
        self.sequence += 1;
        self.pending.push(Reverse((arrival, self.sequence, line.into())));
        self.most_pending = self.most_pending.max(self.pending.len());
    }
}
