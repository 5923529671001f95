//! The local log of a stand-alone monitor: what it took in, durable before it is acknowledged.
//!
//! One row is one step: a batch of lines, a moment that passed, or the end. The state of the monitor is a function of the
//! steps in their order, the boundaries of batches included, so a step is all or nothing. How far an input was read is
//! written in the transaction of the batch. SQLite, WAL with `synchronous = FULL`.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use touchmark_authority::registry::sqlite::open_private;
use touchmark_identity::timestamp::Timestamp;

use crate::error::ServerError;

const SCHEMA_VERSION: u32 = 1;
const SCHEMA: &str = "
CREATE TABLE step (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, at INTEGER NOT NULL, content BLOB NOT NULL
) STRICT;
CREATE TABLE place (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
";

/// What happened to the monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Lines arrived, each ended by `\n`.
    Lines(Vec<u8>),
    /// The clock said this, and no input had more to give.
    Tick(Timestamp),
    /// There was nothing more to come.
    End,
    /// Registry lines that are valid from the beginning, each ended by `\n`.
    Registry(Vec<u8>),
}

impl Step {
    fn parts(&self) -> (u8, i64, &[u8]) {
        match self {
            Self::Lines(lines) => (0, 0, lines),
            Self::Tick(at) => (1, at.micros(), &[]),
            Self::End => (2, 0, &[]),
            Self::Registry(lines) => (3, 0, lines),
        }
    }

    fn from_parts(kind: u8, moment: i64, content: Vec<u8>) -> Option<Self> {
        match kind {
            0 => Some(Self::Lines(content)),
            1 => Some(Self::Tick(Timestamp::from_micros(moment))),
            2 => Some(Self::End),
            3 => Some(Self::Registry(content)),
            _ => None,
        }
    }
}

/// The log in a SQLite file, `steps.db`. One process at a time may have it open.
#[derive(Debug)]
pub struct StepLog {
    connection: Connection,
}

fn refused(action: &'static str) -> impl Fn(rusqlite::Error) -> ServerError {
    move |source| ServerError::EventLog { action, source }
}

impl StepLog {
    /// Opens the log in a directory, or makes it, and keeps it for this process.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database cannot be used, also because another process has it;
    /// [`ServerError::Config`] when a newer program wrote it.
    pub fn open(directory: &Path) -> Result<Self, ServerError> {
        let failed = refused("open");
        let path = directory.join("steps.db");
        let mut connection = open_private(&path).map_err(&failed)?;
        // The lock is taken by the first access and held until the process ends: who has it will not give it back soon.
        connection.busy_timeout(std::time::Duration::ZERO).map_err(&failed)?;
        connection
            .execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA trusted_schema = OFF;",
            )
            .map_err(&failed)?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let version: u32 = tx.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&failed)?;
        match version {
            0 => {
                tx.execute_batch(SCHEMA).map_err(&failed)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(&failed)?;
            }
            SCHEMA_VERSION => {}
            found => {
                return Err(ServerError::Config {
                    path: path.display().to_string(),
                    detail: format!("it has schema {found}, this program knows {SCHEMA_VERSION}"),
                });
            }
        }
        tx.commit().map_err(&failed)?;
        Ok(Self { connection })
    }

    /// Writes a step that was taken at `now`, and the place that an input has reached with it; durable when it returns.
    /// Gives its number, from 1.
    ///
    /// # Errors
    /// [`ServerError::EventLog`]; nothing was written then.
    pub fn append(
        &mut self,
        step: &Step,
        now: Timestamp,
        place: Option<(&str, &str)>,
    ) -> Result<u64, ServerError> {
        let failed = refused("write events");
        let tx =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let (kind, moment, content) = step.parts();
        // A tick's moment is the moment at which it was taken.
        let at = if moment == 0 { now.micros() } else { moment };
        tx.prepare_cached("INSERT INTO step (kind, at, content) VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| insert.execute(params![kind, at, content]))
            .map_err(&failed)?;
        let seq = tx.last_insert_rowid();
        if let Some((name, value)) = place {
            put_place(&tx, name, value).map_err(&failed)?;
        }
        tx.commit().map_err(&failed)?;
        Ok(seq.unsigned_abs())
    }

    /// Writes down how far an input has been read, where no step came of it.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn set_place(&mut self, name: &str, value: &str) -> Result<(), ServerError> {
        put_place(&self.connection, name, value).map_err(refused("write a place"))
    }

    /// How far an input has been read.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn place(&self, name: &str) -> Result<Option<String>, ServerError> {
        self.connection
            .query_row("SELECT value FROM place WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(refused("read a place"))
    }

    /// The step after a number, with its own.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses, or a row is of an unknown kind.
    pub fn after(&self, seq: u64) -> Result<Option<(u64, Step)>, ServerError> {
        let failed = refused("read events");
        self.connection
            .prepare_cached("SELECT seq, kind, at, content FROM step WHERE seq > ?1 ORDER BY seq LIMIT 1")
            .map_err(&failed)?
            .query_row([seq], |row| {
                let (kind, content) = (row.get(1)?, row.get(3)?);
                let step = Step::from_parts(kind, row.get(2)?, content)
                    .ok_or(rusqlite::Error::IntegralValueOutOfRange(1, kind.into()))?;
                Ok((row.get(0)?, step))
            })
            .optional()
            .map_err(failed)
    }

    /// The number of the newest step; 0 when there was none yet.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn newest(&self) -> Result<u64, ServerError> {
        let newest = self
            .connection
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'step'", [], |row| row.get(0))
            .optional();
        Ok(newest.map_err(refused("read events"))?.unwrap_or(0))
    }

    /// Removes steps up to a number that were taken before a moment; gives how many.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn prune(&mut self, up_to: u64, before: Timestamp) -> Result<usize, ServerError> {
        // The beginning alone goes: what is left is without gaps, whatever the clock did.
        self.connection
            .execute(
                "DELETE FROM step WHERE seq <= ?1 AND seq < \
                 ifnull((SELECT min(seq) FROM step WHERE at >= ?2), ?1 + 1)",
                params![up_to, before.micros()],
            )
            .map_err(refused("remove old events"))
    }
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
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn steps_and_places_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = StepLog::open(folder.path()).unwrap();
        let steps =
            [Step::Registry(b"r\n".to_vec()), Step::Lines(b"a\nb\n".to_vec()), Step::Tick(at(9)), Step::End];
        for (number, step) in (1..).zip(&steps) {
            assert_eq!(log.append(step, at(5), Some(("file", &number.to_string()))).unwrap(), number);
        }
        drop(log);
        let log = StepLog::open(folder.path()).unwrap();
        assert_eq!((log.newest().unwrap(), log.place("file").unwrap().as_deref()), (4, Some("4")));
        let mut seq = 0;
        for step in steps {
            let (next, found) = log.after(seq).unwrap().unwrap();
            assert_eq!((next, found), (seq + 1, step));
            seq = next;
        }
        assert_eq!(log.after(seq).unwrap(), None);
    }

    #[test]
    fn the_beginning_goes_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = StepLog::open(folder.path()).unwrap();
        for now in [10, 20, 5, 30] {
            log.append(&Step::Lines(Vec::new()), at(now), None).unwrap();
        }
        assert_eq!(log.prune(4, at(15)).unwrap(), 1, "the third is old, and newer ones are before it");
        assert_eq!(log.prune(2, at(99)).unwrap(), 1, "the bound holds");
        assert_eq!(log.after(0).unwrap().unwrap().0, 3);
        assert_eq!(log.prune(4, at(99)).unwrap(), 2);
        assert_eq!(log.newest().unwrap(), 4);
        assert_eq!(log.append(&Step::End, at(40), None).unwrap(), 5);
    }

    #[test]
    fn a_second_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = StepLog::open(folder.path()).unwrap();
        assert!(matches!(StepLog::open(folder.path()), Err(ServerError::EventLog { .. })));
    }
}
