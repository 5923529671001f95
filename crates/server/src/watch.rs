//! The event log and the monitor together: an event is written down, then observed, then what was found is written
//! down.
//!
//! The monitor's state is a pure function of the log, so a start after a crash reads the log again and stands where it
//! stood; findings have the same ids then.

use std::collections::BTreeMap;
use std::path::Path;

use touchmark_identity::event::{Event, EventBody, RawDigest};
use touchmark_identity::finding::Finding;
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::{Engine, Settings};

use crate::error::ServerError;
use crate::events::{EventLog, NewEvent};
use crate::geo::Places;
use crate::pace::Pace;
use crate::triage::{Flaw, MAX_PER_FINDING, NewTriage, Register, Triage};

/// How many events are read at once when the monitor's state is rebuilt.
const CHUNK: u32 = 4_096;
/// How many examples of refused lines are kept for each source.
const MAX_REASONS: usize = 32;

/// What a device was last heard to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When it was heard.
    pub at: Timestamp,
    /// The firmware it reported.
    pub firmware: Option<String>,
}

/// How a source is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputState {
    /// What it reads, for people.
    pub reads: String,
    /// Bytes that are there and not read yet; `None` for what is not a file.
    pub lag_bytes: Option<u64>,
    /// When its last event happened.
    pub last_event: Option<Timestamp>,
    /// Events taken.
    pub accepted: u64,
    /// Lines that are no event: reason, number, newest example.
    pub refused: BTreeMap<String, (u64, String)>,
    /// Why it cannot be read at the moment.
    pub trouble: Option<String>,
    /// How regularly it speaks.
    pub pace: Pace,
}

impl InputState {
    /// Counts a line that is no event.
    pub fn refuse(&mut self, reason: &str, example: &str) {
        if self.refused.len() < MAX_REASONS || self.refused.contains_key(reason) {
            let entry = self.refused.entry(reason.to_owned()).or_default();
            entry.0 += 1;
            entry.1 = example.chars().take(200).collect();
        }
    }
}

/// What became of an event.
#[derive(Debug)]
pub struct Accepted {
    /// False when the event was there before.
    pub new: bool,
    /// What it led to.
    pub findings: Vec<Finding>,
}

/// Log, engine and what the dashboard asks of both.
#[derive(Debug)]
pub struct Watch {
    log: EventLog,
    engine: Engine,
    places: Places,
    seen: BTreeMap<String, Seen>,
    registered: BTreeMap<String, EventBody>,
    triage: Register,
    /// Sources by name.
    pub inputs: BTreeMap<String, InputState>,
}

impl Watch {
    /// Opens the log and brings the monitor to where it stood. The log holds events as they came; what `places` adds,
    /// the engine alone is told. `policy` says whether a policy waits for findings.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database cannot be used.
    pub fn open(
        directory: &Path,
        settings: Settings,
        places: Places,
        policy: bool,
    ) -> Result<Self, ServerError> {
        let mut watch = Self {
            log: EventLog::open(directory)?,
            engine: Engine::new(settings),
            places,
            seen: BTreeMap::new(),
            registered: BTreeMap::new(),
            triage: Register::default(),
            inputs: BTreeMap::new(),
        };
        watch.triage = Register::new(watch.log.triage()?);
        watch.log.set_policy(policy);
        let mut last = 0;
        loop {
            let chunk = watch.log.after(last, CHUNK)?;
            let Some(end) = chunk.last() else { return Ok(watch) };
            last = end.seq;
            for row in chunk {
                match Event::from_line(row.line.as_bytes()) {
                    Ok(event) => {
                        for finding in watch.observe(&event, RawDigest::of(row.line.as_bytes())) {
                            watch.log.put_finding(&finding)?;
                        }
                    }
                    Err(error) => {
                        tracing::error!(seq = row.seq, %error, "a row of the event log cannot be read")
                    }
                }
            }
        }
    }

    /// Writes an event that arrived at `now` down and observes it.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when it could not be written; it was not observed then.
    pub fn accept(&mut self, new: &NewEvent<'_>, now: Timestamp) -> Result<Accepted, ServerError> {
        if !self.log.append(new)? {
            return Ok(Accepted { new: false, findings: Vec::new() });
        }
        let line = new.event.to_line();
        let findings = self.observe(new.event, RawDigest::of(line.as_bytes()));
        for finding in &findings {
            self.log.put_finding(finding)?;
        }
        let input = self.inputs.entry(new.event.source.clone()).or_default();
        input.accepted += 1;
        input.last_event = Some(new.event.time);
        input.pace.heard(new.event.time, now);
        Ok(Accepted { new: true, findings })
    }

    fn observe(&mut self, event: &Event, raw: RawDigest) -> Vec<Finding> {
        match &event.body {
            EventBody::Heartbeat(beat) => {
                // A terminator's line about a connection that goes on is a heartbeat without content.
                if let (Some(name), Some(_)) = (&event.identity.common_name, beat.counter) {
                    self.seen.insert(name.clone(), Seen { at: event.time, firmware: beat.firmware.clone() });
                }
            }
            EventBody::Registry(_) => {
                if let Some(spki) = event.identity.spki_sha256 {
                    self.registered.insert(spki.to_string(), event.body.clone());
                }
            }
            EventBody::Authentication(_) | EventBody::SessionEnd(_) => {}
        }
        match self.places.enrich() {
            Some(enrich) => {
                let mut event = event.clone();
                enrich(&mut event);
                self.engine.observe(&event, raw)
            }
            None => self.engine.observe(event, raw),
        }
    }

    /// Whether the monitor was told this about a key already.
    #[must_use]
    pub fn knows(&self, spki: &str, body: &EventBody) -> bool {
        self.registered.get(spki) == Some(body)
    }

    /// What a device was last heard to say.
    #[must_use]
    pub fn seen(&self, device: &str) -> Option<&Seen> {
        self.seen.get(device)
    }

    /// What people decided about findings.
    #[must_use]
    pub fn triage(&self) -> &Register {
        &self.triage
    }

    /// Writes a decision about a finding down; it is in force when this returns.
    ///
    /// # Errors
    /// [`ServerError::NotFound`] when there is no such finding, [`ServerError::BadTriage`] when the decision breaks a
    /// rule, [`ServerError::EventLog`] when it could not be written.
    pub fn decide(&mut self, id: &str, what: NewTriage, now: Timestamp) -> Result<(), ServerError> {
        let missing = || ServerError::NotFound { what: "finding" };
        let line = self.log.finding(id)?.ok_or_else(missing)?;
        let finding = Finding::from_line(line.as_bytes()).map_err(|_| missing())?;
        let bad = |flaw: Flaw| ServerError::BadTriage { detail: flaw.says() };
        what.check(now).map_err(bad)?;
        if self.triage.of(id).len() >= MAX_PER_FINDING {
            return Err(ServerError::BadTriage {
                detail: "the finding has as many decisions as are kept: 200",
            });
        }
        let row = self.log.put_triage(Triage {
            seq: 0,
            finding: id.to_owned(),
            device: finding.device.clone(),
            identity: finding.identity.label(),
            kind: finding.kind,
            grade: finding.grade,
            what,
            at: now,
            undone: None,
        })?;
        self.triage.add(row);
        Ok(())
    }

    /// Undoes a decision and returns the finding that it was about.
    ///
    /// # Errors
    /// [`ServerError::NotFound`] when there is no such decision, or it was undone before; [`ServerError::EventLog`].
    pub fn undo(&mut self, seq: u64, now: Timestamp) -> Result<String, ServerError> {
        self.log.undo_triage(seq, now)?;
        self.triage.undo(seq, now).ok_or(ServerError::NotFound { what: "decision" })
    }

    /// How many identities the monitor keeps.
    #[must_use]
    pub fn identities(&self) -> usize {
        self.engine.counts().identities
    }

    /// The log, for reading.
    #[must_use]
    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// The log.
    pub fn log_mut(&mut self) -> &mut EventLog {
        &mut self.log
    }
}
