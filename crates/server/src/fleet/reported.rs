//! What the event log has about devices, read beside the server.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use touchmark_economics::evidence::facts::{Counts, EventFacts};

use crate::error::ServerError;

fn refused(action: &'static str) -> impl Fn(rusqlite::Error) -> ServerError {
    move |source| ServerError::EventLog { action, source }
}

/// An event log that is read and not written.
#[derive(Debug)]
pub(super) struct Reported {
    connection: Connection,
}

impl Reported {
    /// Opens the log of a data directory; `None` where there is none.
    pub(super) fn open(data: &Path) -> Result<Option<Self>, ServerError> {
        let path = data.join("events.db");
        if !path.is_file() {
            return Ok(None);
        }
        let failed = refused("open for reading");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(&failed)?;
        connection.execute_batch("PRAGMA trusted_schema = OFF; BEGIN").map_err(failed)?;
        Ok(Some(Self { connection }))
    }

    /// The firmware that a device reported last.
    pub(super) fn firmware(&self, device: &str) -> Result<Option<String>, ServerError> {
        let failed = refused("read the firmware of a device");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT json_extract(line, '$.firmware') FROM event WHERE device = ?1 AND kind IN \
                 ('heartbeat', 'authentication') AND json_type(line, '$.firmware') = 'text' ORDER BY seq DESC LIMIT 1",
            )
            .map_err(&failed)?;
        statement.query_row([device], |row| row.get(0)).optional().map_err(failed)
    }

    /// Counts over the log.
    pub(super) fn facts(&self, firmware: Counts, firmware_devices: u64) -> Result<EventFacts, ServerError> {
        let by_type = self.counts("SELECT kind, count(*) FROM event GROUP BY kind")?;
        Ok(EventFacts {
            events: by_type.values().sum(),
            by_type,
            findings: self.counts(
                "SELECT coalesce(json_extract(line, '$.kind'), 'unknown'), count(*) FROM finding GROUP BY 1",
            )?,
            decisions: self.count("triage", "SELECT count(*) FROM triage WHERE undone IS NULL")?,
            cases: self.count("response_case", "SELECT count(*) FROM response_case")?,
            acts: self.count("response_act", "SELECT count(*) FROM response_act")?,
            firmware,
            firmware_devices,
        })
    }

    fn counts(&self, query: &str) -> Result<Counts, ServerError> {
        let failed = refused("count events and findings");
        let mut statement = self.connection.prepare(query).map_err(&failed)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// A count over a table that an older program did not make; none there is none of it.
    fn count(&self, table: &str, query: &str) -> Result<u64, ServerError> {
        let failed = refused("count decisions and cases");
        let there: bool = self
            .connection
            .query_row("SELECT count(*) > 0 FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0))
            .map_err(&failed)?;
        if !there {
            return Ok(0);
        }
        self.connection.query_row(query, [], |row| row.get(0)).map_err(failed)
    }
}
