//! The outbox: what was found, and what responses ask of people, and is still owed to other systems.
//!
//! A finding's revision is put into the outbox in the transaction that writes the finding, an errand in the one that
//! marks its act as done, and each output keeps how far it has come. So every revision and errand is delivered at least once and in order to each output, whatever is killed when; a
//! delivery that was not written down is repeated under the same id. Outputs wait for themselves alone: one that is dead
//! holds back neither another one nor the monitor.

pub mod error;
pub mod sink;

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use touchmark_identity::finding::Finding;
use touchmark_monitor::outputs::errand::Errand;
use touchmark_monitor::outputs::{self, Context};

use crate::app::App;
use crate::config::{Output, Sends};
use crate::error::ServerError;
use crate::events::EventLog;
use crate::http::serve::Stop;
use error::DeliveryError;
use sink::{Delivery, Sink};

/// How often an output looks for news.
const PERIOD: Duration = Duration::from_millis(500);
/// The first pause after a failure, in milliseconds; each further one is twice as long.
const FIRST_PAUSE_MS: u64 = 500;
/// The longest pause, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 300_000;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS output (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
";

/// Makes the outbox's tables where they are missing.
pub(crate) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)
}

/// Puts a finding into the outbox, when there is an output and this revision is news: what a restart concludes again
/// from the event log was put there before.
pub(crate) fn enqueue(tx: &Transaction<'_>, finding: &Finding, line: &str) -> rusqlite::Result<()> {
    let stored: Option<u32> = tx
        .prepare_cached("SELECT revision FROM finding WHERE id = ?1")?
        .query_row([finding.id.to_string()], |row| row.get(0))
        .optional()?;
    if stored.is_none_or(|stored| finding.revision > stored) {
        tx.prepare_cached("INSERT INTO outbox (line) SELECT ?1 WHERE EXISTS (SELECT 1 FROM output)")?
            .execute([line])?;
    }
    Ok(())
}

/// Puts an act's errand into the outbox, when there is an output. Called once for each act.
pub(crate) fn enqueue_errand(tx: &Transaction<'_>, line: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO outbox (line) SELECT ?1 WHERE EXISTS (SELECT 1 FROM output)")?
        .execute([line])
        .map(|_| ())
}

/// A finding or errand that is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// Its place in the order of all outputs.
    pub seq: u64,
    /// The finding, as `touchmark.finding/1`, or the errand, as `touchmark.response/1`.
    pub line: String,
}

fn refused(action: &'static str) -> impl Fn(rusqlite::Error) -> ServerError {
    move |source| ServerError::EventLog { action, source }
}

/// Forgets what every output has had.
fn prune(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM outbox WHERE seq <= (SELECT min(position) FROM output)", []).map(|_| ())
}

impl EventLog {
    /// Says which outputs there are. A new one is owed what is found from now on; one that is gone is forgotten.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn set_outputs(&mut self, names: &[&str]) -> Result<(), ServerError> {
        let failed = refused("set up the outbox");
        let tx =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let known: Vec<String> = tx
            .prepare("SELECT name FROM output")
            .and_then(|mut all| all.query_map([], |row| row.get(0))?.collect())
            .map_err(&failed)?;
        for gone in known.iter().filter(|name| !names.contains(&name.as_str())) {
            tx.execute("DELETE FROM output WHERE name = ?1", [gone]).map_err(&failed)?;
        }
        for name in names {
            tx.execute(
                "INSERT INTO output (name, position) VALUES (?1, coalesce((SELECT seq FROM sqlite_sequence \
                 WHERE name = 'outbox'), 0)) ON CONFLICT DO NOTHING",
                [name],
            )
            .map_err(&failed)?;
        }
        if names.is_empty() {
            tx.execute("DELETE FROM outbox", []).map_err(&failed)?;
        } else {
            prune(&tx).map_err(&failed)?;
        }
        tx.commit().map_err(&failed)
    }

    /// What an output is owed, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn owed(&self, output: &str, limit: u32) -> Result<Vec<Owed>, ServerError> {
        let failed = refused("read the outbox");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT seq, line FROM outbox WHERE seq > (SELECT position FROM output WHERE name = ?1) \
                 ORDER BY seq LIMIT ?2",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map(params![output, limit], |row| Ok(Owed { seq: row.get(0)?, line: row.get(1)? }))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// How many findings and errands an output is owed.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn waiting(&self, output: &str) -> Result<u64, ServerError> {
        self.connection
            .query_row(
                "SELECT count(*) FROM outbox WHERE seq > (SELECT position FROM output WHERE name = ?1)",
                [output],
                |row| row.get(0),
            )
            .map_err(refused("read the outbox"))
    }

    /// Writes down that an output has had everything up to `seq`; durable when it returns.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses; the output is sent it again then.
    pub fn delivered(&mut self, output: &str, seq: u64) -> Result<(), ServerError> {
        let failed = refused("write a delivery");
        let tx =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        tx.execute("UPDATE output SET position = ?2 WHERE name = ?1 AND position < ?2", params![output, seq])
            .map_err(&failed)?;
        prune(&tx).map_err(&failed)?;
        tx.commit().map_err(&failed)
    }
}

/// How long to wait after so many failures in a row: twice as long each time, at most five minutes, and of that a part
/// between a half and the whole that `dice` chooses, so that many outputs do not come back at one instant.
#[must_use]
pub fn pause_after(failures: u32, dice: u64) -> Duration {
    let doubled =
        FIRST_PAUSE_MS.saturating_mul(1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX));
    let whole = doubled.min(LONGEST_PAUSE_MS);
    Duration::from_millis(whole / 2 + dice % (whole / 2 + 1))
}

/// Sends an output what it is owed, until the server stops.
pub async fn run(app: Arc<App>, output: Output, sink: Sink, context: Arc<Context>, mut stop: Stop) {
    let mut failures = 0_u32;
    loop {
        let step = tokio::select! {
            step = step(&app, &output, &sink, &context) => step,
            // What was under way is not written down, and is sent again at the next start.
            _gone = stop.wait_for(|stop| *stop) => return,
        };
        let pause = match step {
            Ok(true) => {
                failures = 0;
                continue;
            }
            Ok(false) => {
                failures = 0;
                PERIOD
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                app.metrics.outbox_failed(&output.name);
                let pause = pause_after(failures, dice());
                tracing::warn!(
                    output = output.name,
                    code = error.code(),
                    failures,
                    pause_ms = pause.as_millis(),
                    "findings wait: {}",
                    error.chain()
                );
                pause
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _gone = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Random bits; without any, a middling pause is as good.
fn dice() -> u64 {
    let mut bytes = [0; 8];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => 0,
    }
}

/// What an output is sent of what it is owed; `None` where it does not want that.
fn delivery(owed: &Owed, output: &Output, context: &Context) -> Result<Option<Delivery>, String> {
    let wrong = match Finding::from_line(owed.line.as_bytes()) {
        Ok(finding) => {
            let wanted = output.wants(Sends::Findings) && finding.grade >= output.min_grade;
            return Ok(wanted.then(|| Delivery {
                id: outputs::delivery_id(&finding),
                text: outputs::write(&finding, output.form, context),
                finding: Some(finding),
            }));
        }
        Err(wrong) => wrong,
    };
    let errand = Errand::from_line(&owed.line).map_err(|_| wrong.to_string())?;
    Ok(output.wants(Sends::Errands).then(|| Delivery {
        id: errand.delivery_id(),
        text: errand.write(output.form, context),
        finding: None,
    }))
}

/// Delivers one batch; returns whether there was one.
async fn step(
    app: &Arc<App>,
    output: &Output,
    sink: &Sink,
    context: &Context,
) -> Result<bool, DeliveryError> {
    let (name, limit) = (output.name.clone(), sink.batch());
    let owed = app.blocking(move |app| app.watch().log().owed(&name, limit)).await?;
    let Some(last) = owed.last().map(|owed| owed.seq) else { return Ok(false) };
    let mut deliveries = Vec::new();
    for owed in &owed {
        match delivery(owed, output, context) {
            Ok(wanted) => deliveries.extend(wanted),
            Err(error) => {
                app.metrics.outbox_refused(&output.name);
                tracing::error!(
                    output = output.name,
                    seq = owed.seq,
                    error,
                    "a row of the outbox cannot be read"
                );
            }
        }
    }
    if !deliveries.is_empty() {
        match sink.deliver(&deliveries, context).await {
            Ok(()) => app.metrics.outbox_delivered(&output.name, deliveries.len()),
            Err(error) if error.is_final() => {
                app.metrics.outbox_refused(&output.name);
                tracing::error!(
                    output = output.name,
                    code = error.code(),
                    id = deliveries.first().map(|d| d.id.as_str()),
                    "it was refused for good and is not sent again: {}",
                    error.chain()
                );
            }
            Err(error) => return Err(error),
        }
    }
    let name = output.name.clone();
    app.blocking(move |app| app.watch().log_mut().delivered(&name, last)).await?;
    Ok(true)
}

#[cfg(test)]
mod tests;
