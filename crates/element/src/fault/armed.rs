//! The armed faults of an element that runs: what has been counted for each, and which strikes now.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Effect, FILE, Fault, Point, Trigger, edit, parse_lines};
use crate::error::ElementError;
use crate::flaw::Flaw;

/// What happens to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnWrite {
    /// It is carried out.
    Done,
    /// The power fails before it.
    Before(Fault),
    /// The power fails in the middle of it.
    Torn(Fault),
    /// The power fails behind it.
    After(Fault),
}

/// A fault with its count.
struct Armed {
    fault: Fault,
    apdus: u64,
    writes: u64,
}

impl Armed {
    fn new(fault: Fault) -> Self {
        Self { fault, apdus: 0, writes: 0 }
    }

    /// Whether it is its time.
    fn is_due(&self, instruction: Option<u8>) -> bool {
        match self.fault.when {
            Trigger::Next => true,
            Trigger::Apdu(number) => self.apdus >= number,
            Trigger::Write(number) => self.writes >= number,
            Trigger::Instruction(byte) => instruction == Some(byte),
        }
    }
}

/// What tells that the file is another than it was: links, length, time of the change in seconds and nanoseconds.
type Stamp = (u64, u64, i64, i64);

/// The armed faults.
pub(crate) struct Faults {
    dir: PathBuf,
    /// Held open, so that a look whether it changed is one cheap call.
    file: Option<File>,
    stamp: Stamp,
    armed: Vec<Armed>,
    /// The instruction of the command that is being carried out.
    instruction: Option<u8>,
}

impl Faults {
    /// The faults of the element in `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, ElementError> {
        let mut faults = Self {
            dir: dir.to_owned(),
            file: None,
            stamp: (0, 0, 0, 0),
            armed: Vec::new(),
            instruction: None,
        };
        faults.refresh()?;
        Ok(faults)
    }

    /// Looks whether somebody armed or cleared faults.
    fn refresh(&mut self) -> Result<(), ElementError> {
        let about = self.about()?;
        if about.as_ref().is_some_and(|about| stamp(about) == self.stamp && about.nlink() > 0) {
            return Ok(());
        }
        if about.is_none_or(|about| about.nlink() == 0) {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let opened = options.open(self.dir.join(FILE));
            self.file = Some(opened.map_err(|source| self.failed("open", source))?);
        }
        let mut text = String::new();
        edit(&self.dir, |now| {
            text.push_str(now);
            None
        })?;
        self.restamp()?;
        let mut old = std::mem::take(&mut self.armed);
        for fault in parse_lines(&self.dir.join(FILE), &text)? {
            let known = old.iter().position(|armed| armed.fault == fault);
            self.armed.push(known.map_or_else(|| Armed::new(fault), |at| old.swap_remove(at)));
        }
        Ok(())
    }

    fn restamp(&mut self) -> Result<(), ElementError> {
        self.stamp = self.about()?.map_or((0, 0, 0, 0), |about| stamp(&about));
        Ok(())
    }

    /// What the system knows of the open file.
    fn about(&self) -> Result<Option<Metadata>, ElementError> {
        let about = self.file.as_ref().map(File::metadata).transpose();
        about.map_err(|source| self.failed("read", source))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> ElementError {
        ElementError::File { action, path: self.dir.join(FILE), source }
    }

    /// Takes the first fault that is due and that `pick` wants, and disarms it.
    fn strike<T>(&mut self, pick: impl Fn(Effect) -> Option<T>) -> Result<Option<(Fault, T)>, ElementError> {
        let instruction = self.instruction;
        let mut due = self.armed.iter().enumerate().filter(|(_, armed)| armed.is_due(instruction));
        let Some((at, fault, picked)) =
            due.find_map(|(at, armed)| Some((at, armed.fault, pick(armed.fault.what)?)))
        else {
            return Ok(None);
        };
        self.armed.remove(at);
        self.rewrite(fault, None)?;
        Ok(Some((fault, picked)))
    }

    /// Replaces one line of the file.
    fn rewrite(&mut self, old: Fault, new: Option<Fault>) -> Result<(), ElementError> {
        edit(&self.dir, |text| {
            let mut found = false;
            let mut lines = String::new();
            for line in text.lines() {
                let this = !found && line.trim().parse() == Ok(old);
                found |= this;
                match (this, new) {
                    (false, _) => lines.push_str(line),
                    (true, Some(new)) => lines.push_str(&new.to_string()),
                    (true, None) => continue,
                }
                lines.push('\n');
            }
            Some(lines)
        })?;
        self.restamp()
    }

    /// A command with this instruction byte comes: whether the power fails before it.
    pub(crate) fn on_apdu(&mut self, instruction: Option<u8>) -> Result<Option<Fault>, ElementError> {
        self.refresh()?;
        if self.armed.is_empty() {
            return Ok(None);
        }
        self.instruction = instruction;
        for armed in &mut self.armed {
            armed.apdus = armed.apdus.saturating_add(1);
        }
        // What lasts begins now, and a restart does not end it.
        let mut begun = Vec::new();
        for armed in self.armed.iter_mut().filter(|armed| armed.fault.what.lasts()) {
            if armed.fault.when != Trigger::Next && armed.is_due(instruction) {
                let old = armed.fault;
                armed.fault.when = Trigger::Next;
                begun.push((old, armed.fault));
            }
        }
        for (old, new) in begun {
            self.rewrite(old, Some(new))?;
        }
        let struck = self.strike(|what| (what == Effect::PowerCut(Point::BeforeApdu)).then_some(()))?;
        Ok(struck.map(|(fault, ())| fault))
    }

    /// The flaw that the element gets now.
    pub(crate) fn class_break(&mut self) -> Result<Option<Flaw>, ElementError> {
        if self.armed.is_empty() {
            return Ok(None);
        }
        let struck = self.strike(|what| match what {
            Effect::ClassBreak(flaw) => Some(flaw),
            _ => None,
        })?;
        Ok(struck.map(|(_, flaw)| flaw))
    }

    /// The storage is about to be written.
    pub(crate) fn on_write(&mut self) -> Result<OnWrite, ElementError> {
        self.refresh()?;
        if self.armed.is_empty() {
            return Ok(OnWrite::Done);
        }
        for armed in &mut self.armed {
            armed.writes = armed.writes.saturating_add(1);
        }
        let struck = self.strike(|what| match what {
            Effect::PowerCut(point @ (Point::InWrite | Point::BetweenWrites | Point::AfterWrite)) => {
                Some(point)
            }
            _ => None,
        })?;
        Ok(match struck {
            Some((fault, Point::InWrite)) => OnWrite::Torn(fault),
            Some((fault, Point::AfterWrite)) => OnWrite::After(fault),
            Some((fault, _)) => OnWrite::Before(fault),
            None => OnWrite::Done,
        })
    }

    /// The answer is about to leave: whether it is lost, or the power fails.
    pub(crate) fn on_answer(&mut self) -> Result<Option<Fault>, ElementError> {
        if self.armed.is_empty() {
            return Ok(None);
        }
        let struck = self.strike(|what| {
            let here = matches!(what, Effect::LoseResponse | Effect::PowerCut(Point::BeforeAnswer));
            here.then_some(())
        })?;
        Ok(struck.map(|(fault, ())| fault))
    }

    /// What lasts and is in force.
    fn in_force(&self) -> impl Iterator<Item = Effect> {
        let due = self.armed.iter().filter(|armed| armed.fault.when == Trigger::Next);
        due.map(|armed| armed.fault.what).filter(|what| what.lasts())
    }

    pub(crate) fn memory_is_full(&self) -> bool {
        self.in_force().any(|what| what == Effect::FullMemory)
    }

    pub(crate) fn is_exhausted(&self, counter: u32) -> bool {
        self.in_force().any(|what| match what {
            Effect::ExhaustCounter(only) => only.is_none_or(|only| only == counter),
            _ => false,
        })
    }

    /// What the generation of a key takes.
    pub(crate) fn key_generation(&self) -> Duration {
        self.in_force()
            .map(|what| match what {
                Effect::SlowKeyGeneration(time) => time,
                _ => Duration::ZERO,
            })
            .sum()
    }
}

fn stamp(about: &Metadata) -> Stamp {
    (about.nlink(), about.len(), about.mtime(), about.mtime_nsec())
}
