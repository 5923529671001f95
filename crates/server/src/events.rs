//! The event log: every event as one line, durable before it is acknowledged, and what the monitor found in them.
//!
//! A database of its own beside the registry, so that a flood of events never delays an issuance. WAL with
//! `synchronous = FULL`.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use touchmark_authority::registry::sqlite::open_private;
use touchmark_identity::event::Event;
use touchmark_identity::finding::Finding;
use touchmark_identity::key::SpkiHash;
use touchmark_identity::timestamp::Timestamp;

use crate::error::ServerError;
use crate::outbox;
use crate::respond::store as responses;
use crate::triage::{Ceiling, Decision, NewTriage, Reason, Suppression, Triage};

const SCHEMA_VERSION: u32 = 2;
/// What version 1 had. Version 2 added [`TRIAGE`].
const SCHEMA: &str = "
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, source TEXT NOT NULL, event_id TEXT NOT NULL, device TEXT, kind TEXT NOT NULL,
    at INTEGER NOT NULL, line TEXT NOT NULL, UNIQUE (source, event_id)
) STRICT;
CREATE INDEX event_by_device ON event (device, seq);
CREATE TABLE finding (
    id TEXT PRIMARY KEY, revision INTEGER NOT NULL, device TEXT, grade TEXT NOT NULL, detected INTEGER NOT NULL,
    line TEXT NOT NULL
) STRICT;
CREATE TABLE continuity (
    spki_sha256 TEXT PRIMARY KEY, content_sha256 BLOB NOT NULL, token TEXT NOT NULL, received INTEGER NOT NULL
) STRICT;
CREATE TABLE place (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
";
/// What people decided about findings. Rows are added and marked as undone, and never changed otherwise.
const TRIAGE: &str = "
CREATE TABLE triage (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, finding TEXT NOT NULL, device TEXT, identity TEXT NOT NULL,
    kind TEXT NOT NULL, grade TEXT NOT NULL, decision TEXT NOT NULL, reason TEXT, note TEXT NOT NULL, ceiling TEXT,
    rule TEXT, until INTEGER, at INTEGER NOT NULL, undone INTEGER
) STRICT;
";

/// What a heartbeat got as its answer, kept so that a repeat of the same heartbeat gets the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuity {
    /// SHA-256 of the heartbeat's content.
    pub content_sha256: [u8; 32],
    /// The token issued in answer.
    pub token: String,
    /// When it was received.
    pub received: Timestamp,
}

/// An event to be written, with what goes with it in the same transaction.
#[derive(Debug)]
pub struct NewEvent<'a> {
    /// The event; `event_id` must be set.
    pub event: &'a Event,
    /// The device, where known.
    pub device: Option<&'a str>,
    /// For a heartbeat: its place in the token chain.
    pub continuity: Option<(&'a SpkiHash, &'a Continuity)>,
    /// How far a source has been read: name and value.
    pub place: Option<(&'a str, &'a str)>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its number.
    pub seq: u64,
    /// The line.
    pub line: String,
}

/// The event log in a SQLite file.
#[derive(Debug)]
pub struct EventLog {
    pub(crate) connection: Connection,
    /// Whether a policy waits for findings.
    policy: bool,
}

fn refused(action: &'static str) -> impl Fn(rusqlite::Error) -> ServerError {
    move |source| ServerError::EventLog { action, source }
}

impl EventLog {
    /// Opens the log in a directory, or makes it.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database cannot be used.
    pub fn open(directory: &Path) -> Result<Self, ServerError> {
        let failed = refused("open");
        let mut connection = open_private(&directory.join("events.db")).map_err(&failed)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;",
            )
            .map_err(&failed)?;
        let version: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&failed)?;
        // Each step and its version number are one transaction: a crash leaves the file at one version or the other.
        let steps: &[&str] = match version {
            0 => &[SCHEMA, TRIAGE],
            1 => &[TRIAGE],
            SCHEMA_VERSION => &[],
            found => {
                return Err(ServerError::Config {
                    path: directory.join("events.db").display().to_string(),
                    detail: format!("it has schema {found}, this program knows {SCHEMA_VERSION}"),
                });
            }
        };
        if !steps.is_empty() {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
            for step in steps {
                tx.execute_batch(step).map_err(&failed)?;
            }
            tx.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(&failed)?;
            tx.commit().map_err(&failed)?;
        }
        outbox::prepare(&connection).map_err(&failed)?;
        responses::prepare(&connection).map_err(&failed)?;
        Ok(Self { connection, policy: false })
    }

    /// Says whether a policy waits for findings: from then on, each revision that is news is put into its queue.
    pub fn set_policy(&mut self, policy: bool) {
        self.policy = policy;
    }

    /// Writes an event; durable when it returns. Returns false when an event of this source and id was there before,
    /// which then stays as it is.
    ///
    /// # Errors
    /// [`ServerError::EventLog`]; nothing was written then.
    pub fn append(&mut self, new: &NewEvent<'_>) -> Result<bool, ServerError> {
        let failed = refused("write an event");
        let tx =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let added = tx
            .prepare_cached(
                "INSERT INTO event (source, event_id, device, kind, at, line) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT DO NOTHING",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    new.event.source,
                    new.event.event_id,
                    new.device,
                    new.event.body.type_name(),
                    new.event.time.micros(),
                    new.event.to_line()
                ])
            })
            .map_err(&failed)?;
        if let (1, Some((spki, continuity))) = (added, new.continuity) {
            tx.execute(
                "INSERT INTO continuity (spki_sha256, content_sha256, token, received) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (spki_sha256) DO UPDATE SET content_sha256 = excluded.content_sha256, \
                 token = excluded.token, received = excluded.received",
                params![
                    spki.to_string(),
                    continuity.content_sha256,
                    continuity.token,
                    continuity.received.micros()
                ],
            )
            .map_err(&failed)?;
        }
        if let Some((name, value)) = new.place {
            put_place(&tx, name, value).map_err(&failed)?;
        }
        tx.commit().map_err(&failed)?;
        Ok(added == 1)
    }

    /// Writes down how far a source has been read, where no event came of the last lines.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn set_place(&mut self, name: &str, value: &str) -> Result<(), ServerError> {
        put_place(&self.connection, name, value).map_err(refused("write a place"))
    }

    /// How far a source has been read.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn place(&self, name: &str) -> Result<Option<String>, ServerError> {
        self.connection
            .query_row("SELECT value FROM place WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(refused("read a place"))
    }

    /// The answer to the last heartbeat of an identity.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn continuity(&self, spki: &SpkiHash) -> Result<Option<Continuity>, ServerError> {
        self.connection
            .query_row(
                "SELECT content_sha256, token, received FROM continuity WHERE spki_sha256 = ?1",
                [spki.to_string()],
                |row| {
                    Ok(Continuity {
                        content_sha256: row.get(0)?,
                        token: row.get(1)?,
                        received: Timestamp::from_micros(row.get(2)?),
                    })
                },
            )
            .optional()
            .map_err(refused("read a token"))
    }

    /// Events after a number, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn after(&self, seq: u64, limit: u32) -> Result<Vec<LoggedEvent>, ServerError> {
        let failed = refused("read events");
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, line FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2")
            .map_err(&failed)?;
        let rows = statement
            .query_map(params![seq, limit], |row| Ok(LoggedEvent { seq: row.get(0)?, line: row.get(1)? }))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// The newest events of a device, newest first.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn of_device(&self, device: &str, limit: u32) -> Result<Vec<LoggedEvent>, ServerError> {
        let failed = refused("read events");
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq, line FROM event WHERE device = ?1 ORDER BY seq DESC LIMIT ?2")
            .map_err(&failed)?;
        let rows = statement
            .query_map(params![device, limit], |row| Ok(LoggedEvent { seq: row.get(0)?, line: row.get(1)? }))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// The newest events of a device whose number is below `before`, newest first.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn of_device_before(
        &self,
        device: &str,
        before: u64,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, ServerError> {
        let failed = refused("read events");
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT seq, line FROM event WHERE device = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map(params![device, before, limit], |row| {
                Ok(LoggedEvent { seq: row.get(0)?, line: row.get(1)? })
            })
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Events of a device that happened from `from` to `to`, both included, in the order of the log, at most `limit`.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn of_device_between(
        &self,
        device: &str,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<LoggedEvent>, ServerError> {
        let failed = refused("read events");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT seq, line FROM event WHERE device = ?1 AND at BETWEEN ?2 AND ?3 ORDER BY seq LIMIT ?4",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map(params![device, from.micros(), to.micros(), limit], |row| {
                Ok(LoggedEvent { seq: row.get(0)?, line: row.get(1)? })
            })
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// The number of events of a device that happened from `from` to `to`, both included.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn count_of_device_between(
        &self,
        device: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<u64, ServerError> {
        self.connection
            .query_row(
                "SELECT count(*) FROM event WHERE device = ?1 AND at BETWEEN ?2 AND ?3",
                params![device, from.micros(), to.micros()],
                |row| row.get(0),
            )
            .map_err(refused("count events"))
    }

    /// An event by its number.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn event(&self, seq: u64) -> Result<Option<LoggedEvent>, ServerError> {
        let Ok(seq) = i64::try_from(seq) else { return Ok(None) };
        self.connection
            .query_row("SELECT seq, line FROM event WHERE seq = ?1", [seq], |row| {
                Ok(LoggedEvent { seq: row.get(0)?, line: row.get(1)? })
            })
            .optional()
            .map_err(refused("read an event"))
    }

    /// An event by its source and the source's id of it.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn event_named(&self, source: &str, event_id: &str) -> Result<Option<LoggedEvent>, ServerError> {
        self.connection
            .query_row(
                "SELECT seq, line FROM event WHERE source = ?1 AND event_id = ?2",
                [source, event_id],
                |row| Ok(LoggedEvent { seq: row.get(0)?, line: row.get(1)? }),
            )
            .optional()
            .map_err(refused("read an event"))
    }

    /// The number of events of a device.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn count_of_device(&self, device: &str) -> Result<u64, ServerError> {
        self.connection
            .query_row("SELECT count(*) FROM event WHERE device = ?1", [device], |row| row.get(0))
            .map_err(refused("count events"))
    }

    /// Writes a finding in place of its older revision, and puts a revision that is news into the outbox and into the
    /// policy's queue.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn put_finding(&mut self, finding: &Finding) -> Result<(), ServerError> {
        let failed = refused("write a finding");
        let tx =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let line = finding.to_line();
        outbox::enqueue(&tx, finding, &line).map_err(&failed)?;
        responses::enqueue(&tx, finding, self.policy).map_err(&failed)?;
        tx.execute(
            "INSERT INTO finding (id, revision, device, grade, detected, line) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, grade = excluded.grade, \
             device = excluded.device, line = excluded.line WHERE excluded.revision >= finding.revision",
            params![
                finding.id.to_string(),
                finding.revision,
                finding.device,
                finding.grade.as_str(),
                finding.detected.micros(),
                line
            ],
        )
        .map_err(&failed)?;
        tx.commit().map_err(&failed)
    }

    /// All findings, newest first, as lines.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn findings(&self, limit: u32) -> Result<Vec<String>, ServerError> {
        let failed = refused("read findings");
        let mut statement = self
            .connection
            .prepare_cached("SELECT line FROM finding ORDER BY detected DESC, id LIMIT ?1")
            .map_err(&failed)?;
        let rows = statement.query_map([limit], |row| row.get(0)).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// A finding by its id, as a line.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn finding(&self, id: &str) -> Result<Option<String>, ServerError> {
        self.connection
            .query_row("SELECT line FROM finding WHERE id = ?1", [id], |row| row.get(0))
            .optional()
            .map_err(refused("read a finding"))
    }
}

impl EventLog {
    /// Writes a decision about a finding down; durable when it returns, with its number set.
    ///
    /// # Errors
    /// [`ServerError::EventLog`]; nothing was written then.
    pub fn put_triage(&mut self, mut row: Triage) -> Result<Triage, ServerError> {
        let reach = row.what.suppression.as_ref();
        self.connection
            .execute(
                "INSERT INTO triage (finding, device, identity, kind, grade, decision, reason, note, ceiling, rule, \
                 until, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                params![
                    row.finding,
                    row.device,
                    row.identity,
                    row.kind.as_str(),
                    row.grade.as_str(),
                    row.what.decision.as_str(),
                    row.what.reason.map(Reason::as_str),
                    row.what.note,
                    reach.map(|s| s.ceiling.as_str()),
                    reach.and_then(|s| s.rule.as_deref()),
                    reach.map(|s| s.until.micros()),
                    row.at.micros()
                ],
            )
            .map_err(refused("write a decision"))?;
        row.seq = u64::try_from(self.connection.last_insert_rowid()).unwrap_or_default();
        Ok(row)
    }

    /// Marks a decision as undone. What was undone before keeps its moment.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn undo_triage(&mut self, seq: u64, at: Timestamp) -> Result<(), ServerError> {
        self.connection
            .execute(
                "UPDATE triage SET undone = ?2 WHERE seq = ?1 AND undone IS NULL",
                params![i64::try_from(seq).unwrap_or(i64::MAX), at.micros()],
            )
            .map(|_| ())
            .map_err(refused("undo a decision"))
    }

    /// All decisions in the order in which they were made. One whose words this program does not know is left out and
    /// logged: it must not hold anything back by mistake.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn triage(&self) -> Result<Vec<Triage>, ServerError> {
        let failed = refused("read decisions");
        let mut statement = self
            .connection
            .prepare(
                "SELECT seq, finding, device, identity, kind, grade, decision, reason, note, ceiling, rule, until, at, \
                 undone FROM triage ORDER BY seq",
            )
            .map_err(&failed)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, triage_row(row)?))).map_err(&failed)?;
        let mut all = Vec::new();
        for row in rows {
            match row.map_err(&failed)? {
                (_, Some(row)) => all.push(row),
                (seq, None) => {
                    let seq: i64 = seq;
                    tracing::error!(seq, "a decision about a finding cannot be read");
                }
            }
        }
        Ok(all)
    }
}

fn triage_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Triage>> {
    let text = |at: usize| row.get::<_, String>(at);
    let optional = |at: usize| row.get::<_, Option<String>>(at);
    let moment = |at: usize| row.get::<_, Option<i64>>(at).map(|micros| micros.map(Timestamp::from_micros));
    let (kind, grade, decision) = (text(4)?.parse(), text(5)?.parse(), Decision::of(&text(6)?));
    let (Ok(kind), Ok(grade), Some(decision)) = (kind, grade, decision) else { return Ok(None) };
    let reason = match optional(7)? {
        Some(word) => match Reason::of(&word) {
            None => return Ok(None),
            known => known,
        },
        None => None,
    };
    let suppression = match (decision, optional(9)?.as_deref().and_then(Ceiling::of), moment(11)?) {
        (Decision::Suppress, Some(ceiling), Some(until)) => {
            Some(Suppression { ceiling, rule: optional(10)?, until })
        }
        (Decision::Suppress, _, _) => return Ok(None),
        _ => None,
    };
    Ok(Some(Triage {
        seq: row.get(0)?,
        finding: text(1)?,
        device: optional(2)?,
        identity: text(3)?,
        kind,
        grade,
        what: NewTriage { decision, reason, note: text(8)?, suppression },
        at: Timestamp::from_micros(row.get(12)?),
        undone: moment(13)?,
    }))
}

fn put_place(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO place (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
        )?
        .execute(params![name, value])
        .map(|_| ())
}

#[cfg(test)]
mod tests;
