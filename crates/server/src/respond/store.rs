//! Cases and acts in the event log's database.
//!
//! What a case does next and what it asks for are one transaction; an act is carried out after that, and then marked. So
//! a crash leaves acts that are owed, and none that nobody knows of. A finding waits in a queue that is written with
//! the finding itself, so that no crash comes between the two.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::Deserialize;
use touchmark_identity::challenge::NONCE_BYTES;
use touchmark_identity::finding::{Finding, FindingId};
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::outputs::errand::Errand;
use touchmark_monitor::respond::{Act, Case, Measure, Request, Verdict};

use crate::error::ServerError;
use crate::events::EventLog;
use crate::outbox;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS response_queue (finding TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS response_case (
    finding TEXT PRIMARY KEY, device TEXT, state TEXT NOT NULL, due INTEGER, live INTEGER NOT NULL,
    opened INTEGER NOT NULL, dry INTEGER NOT NULL, line TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS response_case_by_device ON response_case (device);
CREATE TABLE IF NOT EXISTS response_act (
    finding TEXT NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL,
    settled INTEGER, line TEXT NOT NULL, PRIMARY KEY (finding, number)
) STRICT;
CREATE INDEX IF NOT EXISTS response_act_owed ON response_act (finding, number) WHERE outcome = 'owed';
CREATE TABLE IF NOT EXISTS response_nonce (
    finding TEXT NOT NULL, number INTEGER NOT NULL, branch INTEGER NOT NULL, nonce BLOB NOT NULL UNIQUE,
    verdict TEXT, detail TEXT NOT NULL, answered INTEGER, PRIMARY KEY (finding, number, branch)
) STRICT;
";

/// No more cases than this are handed out at once.
const MAX_CASES: u32 = 10_000;

/// Makes the tables where they are missing.
pub(crate) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)
}

/// Puts a finding into the queue when this revision is news, and somebody waits for it: a policy, or a case.
pub(crate) fn enqueue(tx: &Transaction<'_>, finding: &Finding, policy: bool) -> rusqlite::Result<()> {
    let id = finding.id.to_string();
    let stored: Option<u32> = tx
        .prepare_cached("SELECT revision FROM finding WHERE id = ?1")?
        .query_row([&id], |row| row.get(0))
        .optional()?;
    if stored.is_none_or(|stored| finding.revision > stored) {
        tx.prepare_cached(
            "INSERT INTO response_queue (finding) SELECT ?1 \
             WHERE ?2 OR EXISTS (SELECT 1 FROM response_case WHERE finding = ?1) ON CONFLICT DO NOTHING",
        )?
        .execute(params![id, policy])?;
    }
    Ok(())
}

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is still to be carried out.
    Owed,
    /// It was carried out.
    Done,
    /// It was not carried out, for the reason that stands beside it.
    LeftOut,
    /// It was written down alone: a dry run.
    DryRun,
    /// There is nothing to carry out.
    Recorded,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owed => "owed",
            Self::Done => "done",
            Self::LeftOut => "left-out",
            Self::DryRun => "dry-run",
            Self::Recorded => "recorded",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Owed, Self::Done, Self::LeftOut, Self::DryRun, Self::Recorded]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// A case as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The case.
    pub case: Case,
    /// When it was opened.
    pub opened: Timestamp,
    /// Whether it was opened in a dry run: it stays one.
    pub dry: bool,
}

/// What an act asks for, read back. A revocation's proof was checked before it was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Asked {
    /// Do it.
    Do(Measure),
    /// Take it back.
    Undo(Measure),
    /// Revoke, as a person confirmed.
    Revoke {
        /// The device.
        device: String,
        /// Who confirmed it.
        confirmed_by: String,
    },
    /// Nothing.
    Record,
}

/// An act as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAct {
    /// Its number within the case.
    pub number: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// What it asks for.
    pub asked: Asked,
    /// Why, in plain words.
    pub says: String,
    /// What became of it.
    pub outcome: Outcome,
    /// More about that; may be empty.
    pub detail: String,
    /// When it was carried out or left out.
    pub settled: Option<Timestamp>,
}

/// The fields of an act's line that are read back beside [`Asked`].
#[derive(Deserialize)]
struct Says {
    says: String,
}

/// A nonce that an instance was to answer, and what it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptNonce {
    /// The finding.
    pub finding: FindingId,
    /// The act that asked.
    pub number: u32,
    /// The instance.
    pub branch: u32,
    /// The nonce.
    pub nonce: [u8; NONCE_BYTES],
    /// The verdict about the answer, once there is one.
    pub verdict: Option<Verdict>,
    /// More about the answer.
    pub detail: String,
    /// When it came.
    pub answered: Option<Timestamp>,
}

fn refused(action: &'static str) -> impl Fn(rusqlite::Error) -> ServerError {
    move |source| ServerError::EventLog { action, source }
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}

fn unknown_word(word: &str) -> rusqlite::Error {
    unreadable(std::io::Error::other(format!("the word {word:?} is not known")))
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let line: String = row.get(0)?;
    Ok(Kept {
        case: serde_json::from_str(&line).map_err(unreadable)?,
        opened: Timestamp::from_micros(row.get(1)?),
        dry: row.get(2)?,
    })
}

fn kept_act(row: &Row<'_>) -> rusqlite::Result<KeptAct> {
    let (word, line): (String, String) = (row.get(2)?, row.get(5)?);
    let settled: Option<i64> = row.get(4)?;
    Ok(KeptAct {
        number: row.get(0)?,
        at: Timestamp::from_micros(row.get(1)?),
        asked: serde_json::from_str(&line).map_err(unreadable)?,
        says: serde_json::from_str::<Says>(&line).map_err(unreadable)?.says,
        outcome: Outcome::of(&word).ok_or_else(|| unknown_word(&word))?,
        detail: row.get(3)?,
        settled: settled.map(Timestamp::from_micros),
    })
}

fn kept_nonce(row: &Row<'_>) -> rusqlite::Result<KeptNonce> {
    let (finding, word): (String, Option<String>) = (row.get(0)?, row.get(4)?);
    let verdict = match word.as_deref() {
        None => None,
        Some(word) => Some(
            [Verdict::Attested, Verdict::SignatureOnly, Verdict::Failed]
                .into_iter()
                .find(|verdict| verdict.as_str() == word)
                .ok_or_else(|| unknown_word(word))?,
        ),
    };
    let answered: Option<i64> = row.get(6)?;
    Ok(KeptNonce {
        finding: FindingId::try_from(finding.clone()).map_err(|_| unknown_word(&finding))?,
        number: row.get(1)?,
        branch: row.get(2)?,
        nonce: row.get(3)?,
        verdict,
        detail: row.get(5)?,
        answered: answered.map(Timestamp::from_micros),
    })
}

const CASE: &str = "SELECT line, opened, dry FROM response_case";
const ACT: &str = "SELECT number, at, outcome, detail, settled, line FROM response_act WHERE finding = ?1";
const NONCE: &str = "SELECT finding, number, branch, nonce, verdict, detail, answered FROM response_nonce";

impl EventLog {
    fn texts(&self, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<String>, ServerError> {
        let failed = refused("read responses");
        let mut statement = self.connection.prepare_cached(query).map_err(&failed)?;
        let rows = statement.query_map(parameters, |row| row.get(0)).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Findings that wait for their response, the longest-waiting first.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn queued(&self) -> Result<Vec<String>, ServerError> {
        self.texts("SELECT finding FROM response_queue ORDER BY rowid LIMIT 1000", [])
    }

    /// Takes a finding from the queue about which nothing follows.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn dequeue(&mut self, finding: &str) -> Result<(), ServerError> {
        self.connection
            .execute("DELETE FROM response_queue WHERE finding = ?1", [finding])
            .map(|_| ())
            .map_err(refused("write responses"))
    }

    /// A finding's case.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses or the row cannot be read.
    pub fn case(&self, finding: &str) -> Result<Option<Kept>, ServerError> {
        self.connection
            .query_row(&format!("{CASE} WHERE finding = ?1"), [finding], kept)
            .optional()
            .map_err(refused("read a case"))
    }

    /// The cases of a device, or of all, the newest first, at most 10,000.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses or a row cannot be read.
    pub fn cases(&self, device: Option<&str>) -> Result<Vec<Kept>, ServerError> {
        let failed = refused("read cases");
        let mut statement = self
            .connection
            .prepare_cached(&format!(
                "{CASE} WHERE ?1 IS NULL OR device = ?1 ORDER BY opened DESC, finding LIMIT ?2"
            ))
            .map_err(&failed)?;
        let rows = statement.query_map(params![device, MAX_CASES], kept).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Devices with measures that were not taken back.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn devices_with_measures(&self) -> Result<Vec<String>, ServerError> {
        self.texts("SELECT DISTINCT device FROM response_case WHERE live = 1 AND device IS NOT NULL", [])
    }

    /// Findings whose next step is due.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn due(&self, now: Timestamp) -> Result<Vec<String>, ServerError> {
        self.texts("SELECT finding FROM response_case WHERE due <= ?1 ORDER BY due", [now.micros()])
    }

    /// Findings with acts that are owed.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn owing(&self) -> Result<Vec<String>, ServerError> {
        self.texts("SELECT DISTINCT finding FROM response_act WHERE outcome = 'owed'", [])
    }

    /// Findings whose cases have not ended.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn open_cases(&self) -> Result<Vec<String>, ServerError> {
        self.texts("SELECT finding FROM response_case WHERE state <> 'ended'", [])
    }

    /// Writes a case with what it asks for, and takes its finding from the queue; durable when it returns.
    ///
    /// # Errors
    /// [`ServerError::EventLog`]; nothing was written then.
    pub fn put_case(&mut self, kept: &Kept, acts: &[Act]) -> Result<(), ServerError> {
        let failed = refused("write a case");
        let tx =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let finding = kept.case.finding().to_string();
        let line = serde_json::to_string(&kept.case).map_err(unreadable).map_err(&failed)?;
        tx.execute(
            "INSERT INTO response_case (finding, device, state, due, live, opened, dry, line) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (finding) DO UPDATE SET device = excluded.device, \
             state = excluded.state, due = excluded.due, live = excluded.live, line = excluded.line",
            params![
                finding,
                kept.case.device(),
                kept.case.state().as_str(),
                kept.case.due().map(|due| due.micros()),
                !kept.case.in_force().is_empty(),
                kept.opened.micros(),
                kept.dry,
                line
            ],
        )
        .map_err(&failed)?;
        for act in acts {
            let outcome = match act.request {
                Request::Record => Outcome::Recorded,
                Request::Do(_) | Request::Undo(_) | Request::Revoke(_) => Outcome::Owed,
            };
            tx.execute(
                "INSERT INTO response_act (finding, number, at, outcome, detail, line) VALUES (?1, ?2, ?3, ?4, '', ?5)",
                params![finding, act.number, act.at.micros(), outcome.as_str(), act.to_line()],
            )
            .map_err(&failed)?;
        }
        tx.execute("DELETE FROM response_queue WHERE finding = ?1", [&finding]).map_err(&failed)?;
        tx.commit().map_err(&failed)
    }

    /// The acts of a case, in their order.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses or a row cannot be read.
    pub fn acts(&self, finding: &str) -> Result<Vec<KeptAct>, ServerError> {
        let failed = refused("read the acts of a case");
        let mut statement =
            self.connection.prepare_cached(&format!("{ACT} ORDER BY number")).map_err(&failed)?;
        let rows = statement.query_map([finding], kept_act).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Writes down what became of an act, and puts into the outbox what it asks of people; durable when it returns.
    ///
    /// # Errors
    /// [`ServerError::EventLog`]; the act is carried out again then, which changes nothing.
    pub fn settle(
        &mut self,
        finding: &str,
        number: u32,
        outcome: Outcome,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), ServerError> {
        let failed = refused("write an act");
        let tx =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let line: Option<String> = tx
            .prepare_cached(
                "UPDATE response_act SET outcome = ?3, detail = ?4, settled = ?5 \
                 WHERE finding = ?1 AND number = ?2 AND outcome = 'owed' RETURNING line",
            )
            .and_then(|mut update| {
                let columns = params![finding, number, outcome.as_str(), detail, now.micros()];
                update.query_row(columns, |row| row.get(0)).optional()
            })
            .map_err(&failed)?;
        // What was settled before is not sent again.
        if let Some(line) = line.filter(|line| outcome == Outcome::Done && Errand::from_line(line).is_ok()) {
            outbox::enqueue_errand(&tx, &line).map_err(&failed)?;
        }
        tx.commit().map_err(&failed)
    }

    /// Writes the nonce that an instance is to answer. One that was drawn before stays.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn put_nonce(
        &mut self,
        finding: &str,
        number: u32,
        branch: u32,
        nonce: &[u8; NONCE_BYTES],
    ) -> Result<(), ServerError> {
        self.connection
            .execute(
                "INSERT INTO response_nonce (finding, number, branch, nonce, detail) VALUES (?1, ?2, ?3, ?4, '') \
                 ON CONFLICT (finding, number, branch) DO NOTHING",
                params![finding, number, branch, nonce],
            )
            .map(|_| ())
            .map_err(refused("write a nonce"))
    }

    /// The nonces of a case, by act and instance.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses or a row cannot be read.
    pub fn nonces(&self, finding: &str) -> Result<Vec<KeptNonce>, ServerError> {
        let failed = refused("read nonces");
        let mut statement = self
            .connection
            .prepare_cached(&format!("{NONCE} WHERE finding = ?1 ORDER BY number, branch"))
            .map_err(&failed)?;
        let rows = statement.query_map([finding], kept_nonce).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// What is known of a nonce.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses or the row cannot be read.
    pub fn nonce(&self, nonce: &[u8; NONCE_BYTES]) -> Result<Option<KeptNonce>, ServerError> {
        self.connection
            .query_row(&format!("{NONCE} WHERE nonce = ?1"), params![nonce], kept_nonce)
            .optional()
            .map_err(refused("read a nonce"))
    }

    /// Writes down what an instance answered. The first answer stays.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses.
    pub fn answered(
        &mut self,
        nonce: &[u8; NONCE_BYTES],
        verdict: Verdict,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), ServerError> {
        self.connection
            .execute(
                "UPDATE response_nonce SET verdict = ?2, detail = ?3, answered = ?4 WHERE nonce = ?1 AND verdict IS NULL",
                params![nonce, verdict.as_str(), detail, now.micros()],
            )
            .map(|_| ())
            .map_err(refused("write an answer"))
    }
}
