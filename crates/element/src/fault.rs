//! Faults on demand, which silicon does not give to a test: when one strikes, and what it does.
//!
//! A test arms faults by lines in the file `fault` of the state directory, also while the element runs. A line is a
//! [`Trigger`] and an [`Effect`], or the effect alone, for the next occasion:
//!
//! ```text
//! write=3 power-cut-in-write
//! instruction=01 slow-key-generation=1500
//! lost-response
//! ```

mod armed;
#[cfg(test)]
mod sweep;

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::error::ElementError;
use crate::flaw::Flaw;
pub(crate) use armed::{Faults, OnWrite};

/// Name of the file in the state directory that arms faults.
pub(crate) const FILE: &str = "fault";
/// A key generation is slow by at most so many milliseconds: a minute.
const MOST_MILLISECONDS: u64 = 60_000;

/// A fault: when, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The occasion.
    pub when: Trigger,
    /// What happens then.
    pub what: Effect,
}

/// When a fault strikes. Occasions are counted from arming, or from the element's start where that came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// At the next occasion that the effect has: a command, a write.
    Next,
    /// `apdu=N`: at the N-th command, or where the effect needs a write, at the first write from there on.
    Apdu(u64),
    /// `write=N`: at the N-th write of the storage, or where the effect is of commands, at the first occasion from there
    /// on.
    Write(u64),
    /// `instruction=HH`: at a command with this instruction byte, two hex digits.
    Instruction(u8),
}

/// What a fault does. Power cuts and the lost response strike once; the others are in force until they are cleared,
/// and survive a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The power fails. The element answers nothing until it is opened anew.
    PowerCut(Point),
    /// `lost-response`: the command is carried out, and its answer is lost on the way.
    LoseResponse,
    /// `exhausted-counter`: counters stand at their end (`6985`); with `=ID`, eight hex digits, only this object.
    ExhaustCounter(Option<u32>),
    /// `full-memory`: nothing that takes room is taken any more (`6A84`).
    FullMemory,
    /// `slow-key-generation=MS`: a key that is generated takes so many milliseconds, at most 60,000.
    SlowKeyGeneration(Duration),
    /// `class-break=FLAW`: the element has a flaw from now on, for good, and says so in version and certificate.
    ClassBreak(Flaw),
}

/// Where in a command the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// `power-cut-before-apdu`: nothing of the command is carried out.
    BeforeApdu,
    /// `power-cut-in-write`: half of a write reaches the storage.
    InWrite,
    /// `power-cut-between-writes`: all writes before this one are on the storage, and nothing of it.
    BetweenWrites,
    /// `power-cut-after-write`: the write is durable, and nothing comes after it.
    AfterWrite,
    /// `power-cut-before-answer`: the command is carried out, and not answered.
    BeforeAnswer,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 5] =
        [Self::BeforeApdu, Self::InWrite, Self::BetweenWrites, Self::AfterWrite, Self::BeforeAnswer];

    fn word(self) -> &'static str {
        match self {
            Self::BeforeApdu => "power-cut-before-apdu",
            Self::InWrite => "power-cut-in-write",
            Self::BetweenWrites => "power-cut-between-writes",
            Self::AfterWrite => "power-cut-after-write",
            Self::BeforeAnswer => "power-cut-before-answer",
        }
    }
}

/// The words for the two faults of the first version, which are still understood.
const OLD_WORDS: [(&str, Fault); 2] = [
    ("power-cut-before-commit", Fault::POWER_CUT_BEFORE_COMMIT),
    ("power-cut-after-commit", Fault::POWER_CUT_AFTER_COMMIT),
];

impl Effect {
    /// Whether it is in force until it is cleared.
    pub(crate) fn lasts(self) -> bool {
        matches!(self, Self::ExhaustCounter(_) | Self::FullMemory | Self::SlowKeyGeneration(_))
    }
}

impl Fault {
    /// `power-cut-before-commit`: the power fails while the new state is half written, so the old state stays.
    pub const POWER_CUT_BEFORE_COMMIT: Self =
        Self { when: Trigger::Next, what: Effect::PowerCut(Point::InWrite) };
    /// `power-cut-after-commit`: the power fails when the new state is durable, before the response leaves.
    pub const POWER_CUT_AFTER_COMMIT: Self =
        Self { when: Trigger::Next, what: Effect::PowerCut(Point::AfterWrite) };

    /// Arms the fault for the element in `dir`, beside those that are armed. A running element heeds it with its next
    /// command.
    ///
    /// # Errors
    /// [`ElementError::File`] when the file cannot be written.
    pub fn arm(self, dir: &Path) -> Result<(), ElementError> {
        edit(dir, |text| {
            let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            Some(format!("{text}{end}{self}\n"))
        })
    }

    /// Disarms every fault of the element in `dir`. A flaw stays.
    ///
    /// # Errors
    /// [`ElementError::File`] when the file cannot be written.
    pub fn clear(dir: &Path) -> Result<(), ElementError> {
        edit(dir, |_| Some(String::new()))
    }

    /// The faults that are armed for the element in `dir`, in the order of their arming.
    ///
    /// # Errors
    /// [`ElementError::File`] when the file cannot be read, [`ElementError::Corrupt`] when it holds something else.
    pub fn armed(dir: &Path) -> Result<Vec<Self>, ElementError> {
        let path = dir.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => parse_lines(&path, &text),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(ElementError::File { action: "read", path, source }),
        }
    }
}

fn parse_lines(path: &Path, text: &str) -> Result<Vec<Fault>, ElementError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let corrupt = |detail| ElementError::Corrupt { path: path.to_owned(), detail };
    lines.map(|line| line.parse::<Fault>().map_err(corrupt)).collect()
}

/// Changes the file under its lock, so that no two writers overtake each other; `None` leaves it as it is.
fn edit(dir: &Path, change: impl FnOnce(&str) -> Option<String>) -> Result<(), ElementError> {
    let path = dir.join(FILE);
    let failed = |action| {
        let path = path.clone();
        move |source| ElementError::File { action, path, source }
    };
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(failed("open"))?;
    file.lock().map_err(failed("lock"))?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed("read"))?;
    if let Some(new) = change(&text) {
        file.set_len(0).map_err(failed("write"))?;
        file.seek(SeekFrom::Start(0)).map_err(failed("write"))?;
        file.write_all(new.as_bytes()).map_err(failed("write"))?;
    }
    Ok(())
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next => f.write_str("next"),
            Self::Apdu(number) => write!(f, "apdu={number}"),
            Self::Write(number) => write!(f, "write={number}"),
            Self::Instruction(byte) => write!(f, "instruction={byte:02X}"),
        }
    }
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("{text:?} is none of next, apdu=N, write=N (from 1), instruction=HH");
        let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0).ok_or_else(unknown);
        match text.split_once('=') {
            None if text == "next" => Ok(Self::Next),
            Some(("apdu", digits)) => number(digits).map(Self::Apdu),
            Some(("write", digits)) => number(digits).map(Self::Write),
            Some(("instruction", byte)) if byte.len() == 2 => {
                u8::from_str_radix(byte, 16).map(Self::Instruction).map_err(|_| unknown())
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerCut(point) => f.write_str(point.word()),
            Self::LoseResponse => f.write_str("lost-response"),
            Self::ExhaustCounter(None) => f.write_str("exhausted-counter"),
            Self::ExhaustCounter(Some(id)) => write!(f, "exhausted-counter={id:08X}"),
            Self::FullMemory => f.write_str("full-memory"),
            Self::SlowKeyGeneration(time) => write!(f, "slow-key-generation={}", time.as_millis()),
            Self::ClassBreak(flaw) => write!(f, "class-break={flaw}"),
        }
    }
}

impl FromStr for Effect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            let cuts: Vec<&str> = Point::ALL.iter().map(|point| point.word()).collect();
            let old: Vec<&str> = OLD_WORDS.iter().map(|(word, _)| *word).collect();
            let flaws: Vec<String> = Flaw::ALL.iter().map(|flaw| format!("class-break={flaw}")).collect();
            format!(
                "{text:?} is none of {}, lost-response, exhausted-counter[=ID], full-memory, \
                 slow-key-generation=MS (at most {MOST_MILLISECONDS}), {}, {}",
                cuts.join(", "),
                flaws.join(", "),
                old.join(", ")
            )
        };
        if let Some(point) = Point::ALL.into_iter().find(|point| point.word() == text) {
            return Ok(Self::PowerCut(point));
        }
        if let Some((_, fault)) = OLD_WORDS.into_iter().find(|(word, _)| *word == text) {
            return Ok(fault.what);
        }
        match text.split_once('=') {
            None if text == "lost-response" => Ok(Self::LoseResponse),
            None if text == "exhausted-counter" => Ok(Self::ExhaustCounter(None)),
            None if text == "full-memory" => Ok(Self::FullMemory),
            Some(("exhausted-counter", id)) if id.len() == 8 => {
                u32::from_str_radix(id, 16).map(|id| Self::ExhaustCounter(Some(id))).map_err(|_| unknown())
            }
            Some(("slow-key-generation", time)) => {
                let time = time.parse().ok().filter(|time| *time <= MOST_MILLISECONDS).ok_or_else(unknown)?;
                Ok(Self::SlowKeyGeneration(Duration::from_millis(time)))
            }
            Some(("class-break", flaw)) => flaw.parse().map(Self::ClassBreak),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.when, self.what)
    }
}

impl FromStr for Fault {
    type Err = String;

    /// Reads `TRIGGER EFFECT`, or `EFFECT` alone for the next occasion.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(' ') {
            Some((when, what)) => Ok(Self { when: when.parse()?, what: what.trim().parse()? }),
            None => Ok(Self { when: Trigger::Next, what: text.parse()? }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_round_trip() {
        let effects = Point::ALL.map(Effect::PowerCut).into_iter().chain([
            Effect::LoseResponse,
            Effect::ExhaustCounter(None),
            Effect::ExhaustCounter(Some(0x7000_0001)),
            Effect::FullMemory,
            Effect::SlowKeyGeneration(Duration::from_millis(1500)),
            Effect::ClassBreak(Flaw::ReadableKeys),
        ]);
        for what in effects {
            for when in [Trigger::Next, Trigger::Apdu(3), Trigger::Write(1), Trigger::Instruction(0xE6)] {
                let fault = Fault { when, what };
                assert_eq!(fault.to_string().parse(), Ok(fault));
            }
        }
        for (word, fault) in OLD_WORDS {
            assert_eq!(word.parse(), Ok(fault));
        }
        for bad in ["", "next", "apdu=0 full-memory", "write=x full-memory", "instruction=1 full-memory"] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
        for bad in ["exhausted-counter=12", "slow-key-generation=60001", "class-break=none", "power-cut"] {
            let error = bad.parse::<Fault>().unwrap_err();
            assert!(error.contains("is none of"), "{error}");
        }
    }

    #[test]
    fn arming_adds_and_clearing_takes_all() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Fault::armed(dir.path()).unwrap(), []);
        std::fs::write(dir.path().join(FILE), "power-cut-after-commit").unwrap();
        let memory = Fault { when: Trigger::Apdu(2), what: Effect::FullMemory };
        memory.arm(dir.path()).unwrap();
        assert_eq!(Fault::armed(dir.path()).unwrap(), [Fault::POWER_CUT_AFTER_COMMIT, memory]);
        Fault::clear(dir.path()).unwrap();
        assert_eq!(Fault::armed(dir.path()).unwrap(), []);
        std::fs::write(dir.path().join(FILE), "power-cut\n").unwrap();
        assert!(matches!(Fault::armed(dir.path()), Err(ElementError::Corrupt { .. })));
    }
}
