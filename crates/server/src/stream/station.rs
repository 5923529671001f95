//! Log, engine and findings together: a step is written down, then taken, then what was found is written down.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use touchmark_identity::event::Event;
use touchmark_identity::finding::Finding;
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::adapters::safe_example;
use touchmark_monitor::{Enrich, Monitor, SnapshotError};

use super::checkpoint;
use super::config::RunConfig;
use super::findings::FindingsLog;
use super::log::{Step, StepLog};
use crate::error::ServerError;

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

/// Lines of one reason: how many, and the beginning of one of them.
pub type Refused = BTreeMap<&'static str, (u64, String)>;

/// What became of lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Lines that are events.
    pub events: u64,
    /// Lines that are none, by reason.
    pub refused: Refused,
}

/// A monitor with its memory on disk.
#[derive(Debug)]
pub struct Station {
    directory: PathBuf,
    config: RunConfig,
    log: StepLog,
    findings: FindingsLog,
    monitor: Monitor,
    /// The last step that the monitor has taken.
    seq: u64,
    /// The steps of the checkpoints that are kept, oldest first: one that was read, and those written since.
    checkpoints: Vec<u64>,
    /// Found, and not written yet.
    pending: Vec<Finding>,
}

impl Station {
    /// Opens the data directory, or makes it, and brings the monitor to where it stood.
    ///
    /// # Errors
    /// [`ServerError`] when a file cannot be used, or another process has them; [`ServerError::NoState`] when neither
    /// checkpoints nor the log say where the monitor stood.
    pub fn open(config: &RunConfig, enrich: Option<Enrich>) -> Result<Self, ServerError> {
        let directory = config.data.clone();
        std::fs::create_dir_all(&directory).map_err(|source| ServerError::File {
            action: "make",
            path: directory.display().to_string(),
            source,
        })?;
        let log = StepLog::open(&directory)?;
        let findings = FindingsLog::open(&directory)?;
        let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = NonZeroUsize::new(usize::from(config.workers)).unwrap_or_else(processors);
        let newest = log.newest()?;
        let restored = checkpoint::restore(&directory, newest, &config.monitor, workers)?;
        let other_settings =
            restored.unusable.iter().any(|(_, error)| matches!(error, SnapshotError::Settings { .. }));
        for (path, error) in &restored.unusable {
            tracing::warn!(code = error.code(), "{} is not used: {error}", path.display());
        }
        let mut checkpoints = Vec::new();
        let (seq, mut monitor) = match restored.state {
            Some((seq, monitor)) => {
                checkpoints.push(seq);
                (seq, monitor)
            }
            None => {
                let first = log.after(0)?.map_or(newest + 1, |(first, _)| first);
                // Under other settings the state is another one, and begins where the log does.
                if first > 1 && !other_settings {
                    return Err(ServerError::NoState { path: directory.display().to_string(), first });
                }
                if first > 1 {
                    tracing::warn!(
                        first,
                        "the settings have changed: the monitor knows what the log still has"
                    );
                }
                (first - 1, Monitor::new(&config.monitor, workers))
            }
        };
        if let Some(enrich) = enrich {
            monitor.enrich_with(enrich);
        }
        let mut station = Self {
            directory,
            config: config.clone(),
            log,
            findings,
            monitor,
            seq,
            checkpoints,
            pending: Vec::new(),
        };
        while let Some((next, step)) = station.log.after(station.seq)? {
            station.perform(&step);
            station.seq = next;
            station.settle()?;
        }
        Ok(station)
    }

    /// Takes lines from an input, each ended by `\n`, and the place that the input has reached with them. They are
    /// durable when this returns.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] and [`ServerError::File`], the latter when earlier findings cannot be written; nothing
    /// was taken then.
    pub fn take(
        &mut self,
        lines: Vec<u8>,
        place: Option<(&str, &str)>,
        now: Timestamp,
    ) -> Result<Taken, ServerError> {
        self.step(&Step::Lines(lines), place, now)
    }

    /// Learns registry lines that are valid from the beginning, unless it has learnt the same text before.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub fn register(&mut self, mut lines: Vec<u8>, now: Timestamp) -> Result<Taken, ServerError> {
        if lines.last().is_some_and(|last| *last != b'\n') {
            lines.push(b'\n');
        }
        let digest = hex::encode(touchmark_identity::key::sha256(&lines));
        if self.place("registry")?.as_deref() == Some(&digest) {
            return Ok(Taken::default());
        }
        self.step(&Step::Registry(lines), Some(("registry", &digest)), now)
    }

    /// Time goes on although no event says so. Nothing happens when no event is held back.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub fn tick(&mut self, now: Timestamp) -> Result<(), ServerError> {
        if self.monitor.held_back() > 0 {
            self.step(&Step::Tick(now), None, now)?;
        }
        Ok(())
    }

    /// There will be no more events: all that is held back is observed.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub fn finish(&mut self, now: Timestamp) -> Result<(), ServerError> {
        if self.monitor.held_back() > 0 {
            self.step(&Step::End, None, now)?;
        }
        self.settle()
    }

    fn step(
        &mut self,
        step: &Step,
        place: Option<(&str, &str)>,
        now: Timestamp,
    ) -> Result<Taken, ServerError> {
        self.settle()?;
        self.seq = self.log.append(step, now, place)?;
        let taken = self.perform(step);
        // The step is durable and will not be sent again; what it led to is written now or before the next one.
        if let Err(error) = self.settle() {
            tracing::error!(code = error.code(), "{}", error.chain());
        }
        Ok(taken)
    }

    /// Has the monitor take a step. It depends on nothing but the step and the state.
    fn perform(&mut self, step: &Step) -> Taken {
        let mut taken = Taken::default();
        match step {
            Step::Lines(bytes) => {
                let lines: Vec<&[u8]> =
                    bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
                self.monitor.take_lines(&lines, &mut |at, error| {
                    let line = lines.get(at).copied().unwrap_or_default();
                    taken.refuse(error.reason(), &safe_example(line));
                });
                let refused: u64 = taken.refused.values().map(|(number, _)| number).sum();
                taken.events = u64::try_from(lines.len()).unwrap_or(u64::MAX).saturating_sub(refused);
            }
            Step::Registry(bytes) => {
                for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                    match Event::from_line(line) {
                        Ok(event) if self.monitor.register(&event) => taken.events += 1,
                        Ok(_) => taken.refuse("not-a-registry-line", &safe_example(line)),
                        Err(error) => taken.refuse(error.reason(), &safe_example(line)),
                    }
                }
            }
            Step::Tick(now) => self.monitor.tick(*now),
            Step::End => self.monitor.finish(),
        }
        self.pending.append(&mut self.monitor.drain());
        taken
    }

    /// Writes down what was found and is not written yet.
    fn settle(&mut self) -> Result<(), ServerError> {
        self.findings.append(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    /// Writes a checkpoint where something has happened since the last one, and removes events that are older than the
    /// configuration says and that no checkpoint needs: those up to the checkpoint before the newest.
    ///
    /// # Errors
    /// [`ServerError::File`] and [`ServerError::EventLog`]; nothing is lost then.
    pub fn checkpoint(&mut self, now: Timestamp) -> Result<(), ServerError> {
        self.settle()?;
        if self.seq == 0 || self.checkpoints.last() == Some(&self.seq) {
            return Ok(());
        }
        checkpoint::write(&self.directory, self.seq, &self.monitor, &self.config.monitor)?;
        self.checkpoints.push(self.seq);
        let [.., before, newest] = *self.checkpoints else { return Ok(()) };
        self.checkpoints = vec![before, newest];
        checkpoint::keep(&self.directory, &self.checkpoints)?;
        let keep = i64::from(self.config.keep_h) * HOUR;
        self.log.prune(before, Timestamp::from_micros(now.micros().saturating_sub(keep)))?;
        Ok(())
    }

    /// How far an input has been read.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn place(&self, name: &str) -> Result<Option<String>, ServerError> {
        self.log.place(name)
    }

    /// Writes down how far something was read, where no event came of it.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn set_place(&mut self, name: &str, value: &str) -> Result<(), ServerError> {
        self.log.set_place(name, value)
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &FindingsLog {
        &self.findings
    }

    /// The monitor.
    #[must_use]
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }
}

impl Taken {
    /// Counts a line that is no event.
    pub fn refuse(&mut self, reason: &'static str, example: &str) {
        self.refused.entry(reason).or_insert_with(|| (0, example.to_owned())).0 += 1;
    }
}
