//! The registry in SQLite, inside the server's own process.
//!
//! WAL with `synchronous = FULL`: a transaction is on the disk before its method returns. One process holds the
//! database at a time; a lock file says so.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde_json::json;
use touchmark_identity::assurance::{ClassBreak, KeyAssurance, Storage};
use touchmark_identity::ids::{DeviceId, DeviceType};
use touchmark_identity::key::{SpkiHash, sha256};
use touchmark_identity::timestamp::Timestamp;

use super::chain::{self, REFUSAL_PERIOD_US, RefusedRenewal};
use super::journal::{GENESIS, JournalEntry, link};
use super::{
    CertificateRecord, CertificateStatus, CrlRecord, Device, DeviceStatus, EnrolToken, Intent, KeyRecord,
    Registry, RegistryError, RevocationReason, RevokedEntry, StatusChange,
};
use crate::x509::sha1;

pub(super) const SCHEMA_VERSION: u32 = 2;
/// What version 1 had. Version 2 added [`CHAIN`].
const SCHEMA: &str = "
CREATE TABLE device (
    id TEXT PRIMARY KEY, device_type TEXT NOT NULL, status TEXT NOT NULL, reason TEXT,
    registered INTEGER NOT NULL, changed INTEGER NOT NULL,
    token_sha256 BLOB, token_expires INTEGER, token_spent_for TEXT
) STRICT;
CREATE TABLE key (
    spki_sha256 TEXT PRIMARY KEY, device TEXT NOT NULL REFERENCES device(id), claimed TEXT, assurance TEXT NOT NULL,
    evidence BLOB, endorser TEXT, reasons TEXT NOT NULL, recorded INTEGER NOT NULL
) STRICT;
CREATE INDEX key_by_device ON key (device, recorded);
CREATE TABLE certificate (
    serial BLOB PRIMARY KEY, profile TEXT NOT NULL, device TEXT REFERENCES device(id), spki_sha256 TEXT NOT NULL,
    status TEXT NOT NULL, reason INTEGER, revoked INTEGER, intended INTEGER NOT NULL, issued INTEGER,
    not_after INTEGER NOT NULL, tbs BLOB NOT NULL, der BLOB, cert_sha1 TEXT, cert_sha256 TEXT
) STRICT;
CREATE INDEX certificate_by_device ON certificate (device, profile);
CREATE INDEX certificate_by_status ON certificate (status);
CREATE TABLE crl (
    ca TEXT NOT NULL, number INTEGER NOT NULL, this_update INTEGER NOT NULL, next_update INTEGER NOT NULL,
    der BLOB NOT NULL, PRIMARY KEY (ca, number)
) STRICT;
CREATE TABLE class_break (id TEXT PRIMARY KEY, entry TEXT NOT NULL, applied INTEGER NOT NULL) STRICT;
CREATE TABLE journal (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
";
/// Certificates as chains. Those that were issued before are each the beginning of one: nobody wrote down which took
/// whose place.
const CHAIN: &str = "
ALTER TABLE certificate ADD COLUMN predecessor BLOB REFERENCES certificate(serial);
ALTER TABLE certificate ADD COLUMN renewal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE certificate ADD COLUMN link BLOB;
ALTER TABLE certificate ADD COLUMN first_used INTEGER;
ALTER TABLE certificate ADD COLUMN refused INTEGER;
UPDATE certificate SET link = unhex(cert_sha256) WHERE profile = 'device' AND der IS NOT NULL;
CREATE UNIQUE INDEX certificate_by_predecessor ON certificate (predecessor)
    WHERE predecessor IS NOT NULL AND der IS NOT NULL;
CREATE INDEX certificate_by_sha256 ON certificate (cert_sha256) WHERE cert_sha256 IS NOT NULL;
";

/// A registry in a SQLite file.
pub struct SqliteRegistry {
    connection: Connection,
    _held: File,
}

impl std::fmt::Debug for SqliteRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteRegistry")
    }
}

pub(super) fn refused(action: &'static str) -> impl Fn(rusqlite::Error) -> RegistryError {
    move |source| RegistryError::Database { action, source: Box::new(source) }
}

fn database_file(action: &'static str) -> impl Fn(std::io::Error) -> RegistryError {
    move |source| RegistryError::Database { action, source: Box::new(source) }
}

/// Opens a database that its owner alone may read (mode 0600, which its WAL inherits); makes it where it is missing.
///
/// # Errors
/// What SQLite or the operating system said.
pub fn open_private(path: &Path) -> rusqlite::Result<Connection> {
    let made = File::options().create(true).truncate(false).write(true).mode(0o600).open(path);
    made.map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    Connection::open(path)
}

impl SqliteRegistry {
    /// Opens the registry in a directory, or makes it.
    ///
    /// # Errors
    /// [`RegistryError::Held`] when another process has it open; [`RegistryError::Schema`] when a newer program wrote
    /// it; [`RegistryError::JournalBroken`] when the journal was tampered with.
    pub fn open(directory: &Path) -> Result<Self, RegistryError> {
        let lock_path = directory.join("registry.lock");
        let held = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(database_file("open its lock file"))?;
        if held.try_lock().is_err() {
            return Err(RegistryError::Held { path: directory.display().to_string() });
        }
        let connection =
            open_private(&directory.join("registry.db")).map_err(refused("open the registry"))?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                 PRAGMA trusted_schema = OFF;",
            )
            .map_err(refused("set up the registry"))?;
        let mut registry = Self { connection, _held: held };
        registry.migrate()?;
        registry.verify_journal()?;
        Ok(registry)
    }

    fn migrate(&mut self) -> Result<(), RegistryError> {
        let failed = refused("read its schema");
        let found: u32 =
            self.connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&failed)?;
        let steps: &[&str] = match found {
            0 => &[SCHEMA, CHAIN],
            1 => &[CHAIN],
            SCHEMA_VERSION => return Ok(()),
            found => return Err(RegistryError::Schema { found, known: SCHEMA_VERSION }),
        };
        // The steps and the version are one transaction: a crash leaves the file at one version or the other.
        self.transaction("create the tables", |tx| {
            for step in steps {
                tx.execute_batch(step)?;
            }
            tx.pragma_update(None, "user_version", SCHEMA_VERSION)
        })
    }

    fn transaction<T>(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, RegistryError> {
        let failed = refused(action);
        let tx =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let value = work(&tx).map_err(&failed)?;
        tx.commit().map_err(&failed)?;
        Ok(value)
    }
}

fn write_journal(
    tx: &Transaction<'_>,
    at: Timestamp,
    kind: &str,
    subject: &str,
    body: &serde_json::Value,
) -> rusqlite::Result<()> {
    let last = tx
        .query_row("SELECT number, hash FROM journal ORDER BY number DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
        .optional()?;
    let (number, previous) = last.unwrap_or((0, GENESIS));
    let number = number + 1;
    let body = body.to_string();
    let hash = link(&previous, number, at, kind, subject, &body);
    tx.execute(
        "INSERT INTO journal (number, at, kind, subject, body, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![number, at.micros(), kind, subject, body, hash],
    )?;
    Ok(())
}

pub(super) fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// Turns a column that does not parse into an error of the row instead of a guess.
pub(super) fn parsed<T>(column: usize, value: Option<T>) -> rusqlite::Result<T> {
    value.ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            "not a known word".into(),
        )
    })
}

pub(super) fn device_row(row: &Row<'_>) -> rusqlite::Result<Device> {
    Ok(Device {
        id: parsed(0, DeviceId::new(&row.get::<_, String>(0)?).ok())?,
        device_type: parsed(1, DeviceType::new(&row.get::<_, String>(1)?).ok())?,
        status: parsed(2, DeviceStatus::from_word(&row.get::<_, String>(2)?))?,
        reason: row.get(3)?,
        registered: moment(row.get(4)?),
        changed: moment(row.get(5)?),
    })
}

pub(super) const DEVICE_COLUMNS: &str = "id, device_type, status, reason, registered, changed";

fn key_row(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let claimed: Option<String> = row.get(2)?;
    Ok(KeyRecord {
        spki_sha256: parsed(0, row.get::<_, String>(0)?.parse::<SpkiHash>().ok())?,
        device: parsed(1, DeviceId::new(&row.get::<_, String>(1)?).ok())?,
        claimed: match claimed {
            Some(word) => Some(parsed(2, word.parse::<Storage>().ok())?),
            None => None,
        },
        assurance: parsed(3, serde_json::from_str::<KeyAssurance>(&row.get::<_, String>(3)?).ok())?,
        evidence: row.get(4)?,
        endorser: row.get(5)?,
        reasons: parsed(6, serde_json::from_str(&row.get::<_, String>(6)?).ok())?,
        recorded: moment(row.get(7)?),
    })
}

const KEY_COLUMNS: &str = "spki_sha256, device, claimed, assurance, evidence, endorser, reasons, recorded";

fn certificate_row(row: &Row<'_>) -> rusqlite::Result<CertificateRecord> {
    let device: Option<String> = row.get(2)?;
    let reason: Option<i64> = row.get(5)?;
    Ok(CertificateRecord {
        serial: row.get(0)?,
        profile: row.get(1)?,
        device: match device {
            Some(id) => Some(parsed(2, DeviceId::new(&id).ok())?),
            None => None,
        },
        spki_sha256: parsed(3, row.get::<_, String>(3)?.parse::<SpkiHash>().ok())?,
        status: parsed(4, CertificateStatus::from_word(&row.get::<_, String>(4)?))?,
        reason: match reason {
            Some(number) => Some(parsed(5, RevocationReason::from_number(number))?),
            None => None,
        },
        revoked: row.get::<_, Option<i64>>(6)?.map(moment),
        issued: row.get::<_, Option<i64>>(7)?.map(moment),
        not_after_s: row.get(8)?,
        der: row.get(9)?,
        cert_sha1: row.get(10)?,
        cert_sha256: row.get(11)?,
        predecessor: row.get(12)?,
        renewal: row.get(13)?,
        link: row.get(14)?,
        first_used: row.get::<_, Option<i64>>(15)?.map(moment),
    })
}

const CERTIFICATE_COLUMNS: &str = "serial, profile, device, spki_sha256, status, reason, revoked, issued, not_after, \
                                   der, cert_sha1, cert_sha256, predecessor, renewal, link, first_used";

/// The condition on the first parameter: a device, or none at all. Two texts instead of one with OR, which would keep
/// SQLite from using the index.
fn one_device(device: Option<&DeviceId>) -> &'static str {
    if device.is_some() { "device = ?1" } else { "?1 IS NULL" }
}

/// Revocation time and reason as they stand in the columns.
fn since(at: Timestamp, reason: RevocationReason) -> (i64, i64) {
    (at.micros(), reason as i64)
}

pub(super) fn journal_entry(row: &Row<'_>) -> rusqlite::Result<JournalEntry> {
    Ok(JournalEntry {
        number: row.get(0)?,
        at: moment(row.get(1)?),
        kind: row.get(2)?,
        subject: row.get(3)?,
        body: row.get(4)?,
        hash: row.get(5)?,
    })
}

impl Registry for SqliteRegistry {
    fn add_device(
        &mut self,
        id: &DeviceId,
        device_type: &DeviceType,
        token: &EnrolToken,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        let added = self.transaction("add a device", |tx| {
            let added = tx.execute(
                "INSERT INTO device (id, device_type, status, registered, changed, token_sha256, token_expires) \
                 VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                params![
                    id.as_str(),
                    device_type.as_str(),
                    DeviceStatus::Registered.as_str(),
                    at.micros(),
                    token.sha256,
                    token.expires.micros()
                ],
            )?;
            if added == 1 {
                write_journal(tx, at, "device.registered", id.as_str(), &json!({ "type": device_type }))?;
            }
            Ok(added)
        })?;
        if added == 1 { Ok(()) } else { Err(RegistryError::Exists { what: "device", name: id.to_string() }) }
    }

    fn replace_token(
        &mut self,
        id: &DeviceId,
        token: &EnrolToken,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        let changed = self.transaction("replace a token", |tx| {
            let changed = tx.execute(
                "UPDATE device SET token_sha256 = ?2, token_expires = ?3, token_spent_for = NULL, \
                 status = CASE status WHEN 'revoked' THEN 'registered' ELSE status END WHERE id = ?1",
                params![id.as_str(), token.sha256, token.expires.micros()],
            )?;
            write_journal(
                tx,
                at,
                "device.token-replaced",
                id.as_str(),
                &json!({ "expires": token.expires }),
            )?;
            Ok(changed)
        })?;
        if changed == 1 {
            Ok(())
        } else {
            Err(RegistryError::Missing { what: "device", name: id.to_string() })
        }
    }

    fn device(&mut self, id: &DeviceId) -> Result<Option<Device>, RegistryError> {
        let query = format!("SELECT {DEVICE_COLUMNS} FROM device WHERE id = ?1");
        self.connection
            .query_row(&query, [id.as_str()], device_row)
            .optional()
            .map_err(refused("read a device"))
    }

    fn devices(&mut self) -> Result<Vec<Device>, RegistryError> {
        let failed = refused("list the devices");
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT {DEVICE_COLUMNS} FROM device ORDER BY id"))
            .map_err(&failed)?;
        let rows = statement.query_map([], device_row).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn token(&mut self, id: &DeviceId) -> Result<Option<EnrolToken>, RegistryError> {
        self.connection
            .query_row(
                "SELECT token_sha256, token_expires, token_spent_for FROM device \
                 WHERE id = ?1 AND token_sha256 IS NOT NULL",
                [id.as_str()],
                |row| {
                    let spent: Option<String> = row.get(2)?;
                    Ok(EnrolToken {
                        sha256: row.get(0)?,
                        expires: moment(row.get(1)?),
                        spent_for: match spent {
                            Some(hash) => Some(parsed(2, hash.parse().ok())?),
                            None => None,
                        },
                    })
                },
            )
            .optional()
            .map_err(refused("read a token"))
    }

    fn change_status(
        &mut self,
        id: &DeviceId,
        change: StatusChange,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        let (status, from, to, revocation, kind) = match change {
            StatusChange::Quarantine => (
                DeviceStatus::Quarantined,
                &["good"][..],
                CertificateStatus::Hold,
                Some(RevocationReason::CertificateHold),
                "device.quarantined",
            ),
            StatusChange::Release => {
                (DeviceStatus::Enrolled, &["hold"][..], CertificateStatus::Good, None, "device.released")
            }
            StatusChange::Revoke(why) => (
                DeviceStatus::Revoked,
                &["good", "hold"][..],
                CertificateStatus::Revoked,
                Some(why),
                "device.revoked",
            ),
        };
        let (revoked, number) = match revocation.map(|why| since(at, why)) {
            Some((revoked, number)) => (Some(revoked), Some(number)),
            None => (None, None),
        };
        let changed = self.transaction("change a device's state", |tx| {
            let changed = tx.execute(
                "UPDATE device SET status = ?2, reason = ?3, changed = ?4 WHERE id = ?1",
                params![id.as_str(), status.as_str(), reason, at.micros()],
            )?;
            let mut certificates = 0;
            for state in from {
                certificates += tx.execute(
                    "UPDATE certificate SET status = ?3, revoked = ?4, reason = ?5 \
                     WHERE device = ?1 AND status = ?2",
                    params![id.as_str(), state, to.as_str(), revoked, number],
                )?;
            }
            if changed == 1 {
                let body = json!({ "reason": reason, "certificates": certificates, "crl_reason": number });
                write_journal(tx, at, kind, id.as_str(), &body)?;
            }
            Ok(changed)
        })?;
        if changed == 1 {
            Ok(())
        } else {
            Err(RegistryError::Missing { what: "device", name: id.to_string() })
        }
    }

    fn intend(&mut self, intent: &Intent, at: Timestamp) -> Result<(), RegistryError> {
        let serial = hex::encode(&intent.serial);
        let spki = intent.spki_sha256.to_string();
        let device = intent.device.as_ref().map(DeviceId::as_str);
        let written = self.transaction("write an intent", |tx| {
            if let Some(key) = &intent.key {
                let assurance = serde_json::to_string(&key.assurance).map_err(unencodable)?;
                let reasons = serde_json::to_string(&key.reasons).map_err(unencodable)?;
                tx.execute(
                    "INSERT INTO key (spki_sha256, device, claimed, assurance, evidence, endorser, reasons, recorded) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (spki_sha256) DO UPDATE SET \
                     claimed = excluded.claimed, assurance = excluded.assurance, evidence = excluded.evidence, \
                     endorser = excluded.endorser, reasons = excluded.reasons, recorded = excluded.recorded",
                    params![
                        spki,
                        key.device.as_str(),
                        key.claimed.map(Storage::as_str),
                        assurance,
                        key.evidence,
                        key.endorser,
                        reasons,
                        key.recorded.micros()
                    ],
                )?;
            }
            let written = tx.execute(
                "INSERT INTO certificate (serial, profile, device, spki_sha256, status, intended, not_after, tbs, \
                 predecessor, renewal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
                params![
                    intent.serial,
                    intent.profile,
                    device,
                    spki,
                    CertificateStatus::Intended.as_str(),
                    at.micros(),
                    intent.not_after_s,
                    intent.tbs,
                    intent.predecessor,
                    intent.renewal
                ],
            )?;
            if intent.spends_token {
                tx.execute("UPDATE device SET token_spent_for = ?2 WHERE id = ?1", params![device, spki])?;
            }
            let body = json!({
                "profile": intent.profile, "device": device, "spki_sha256": spki,
                "tbs_sha256": hex::encode(sha256(&intent.tbs)),
                "assurance": intent.key.as_ref().map(|k| &k.assurance),
                "predecessor": intent.predecessor.as_ref().map(hex::encode), "renewal": intent.renewal,
            });
            write_journal(tx, at, "certificate.intended", &serial, &body)?;
            Ok(written)
        })?;
        if written == 1 { Ok(()) } else { Err(RegistryError::Exists { what: "certificate", name: serial }) }
    }

    fn complete(&mut self, serial: &[u8], der: &[u8], at: Timestamp) -> Result<(), RegistryError> {
        let name = hex::encode(serial);
        let (cert_sha1, cert_sha256) = (hex::encode(sha1(der)), hex::encode(sha256(der)));
        let changed = self.transaction("write a certificate", |tx| {
            let link = tx
                .query_row(
                    "SELECT own.profile, own.predecessor IS NOT NULL, before.link FROM certificate AS own \
                     LEFT JOIN certificate AS before ON before.serial = own.predecessor WHERE own.serial = ?1",
                    [serial],
                    |row| {
                        let (profile, follows): (String, bool) = (row.get(0)?, row.get(1)?);
                        // A predecessor without a link is no beginning: it is a damaged row, and the read fails.
                        let before = if follows { Some(row.get::<_, [u8; 32]>(2)?) } else { None };
                        Ok((profile == "device").then(|| chain::link(before.as_ref(), der)))
                    },
                )
                .optional()?
                .flatten();
            let changed = tx.execute(
                "UPDATE certificate SET status = ?2, der = ?3, issued = ?4, cert_sha1 = ?5, cert_sha256 = ?6, \
                 link = ?8 WHERE serial = ?1 AND status = ?7",
                params![
                    serial,
                    CertificateStatus::Good.as_str(),
                    der,
                    at.micros(),
                    cert_sha1,
                    cert_sha256,
                    CertificateStatus::Intended.as_str(),
                    link
                ],
            )?;
            if changed == 1 {
                tx.execute(
                    "UPDATE device SET status = ?2, changed = ?3 WHERE status = ?4 AND id = \
                     (SELECT device FROM certificate WHERE serial = ?1)",
                    params![
                        serial,
                        DeviceStatus::Enrolled.as_str(),
                        at.micros(),
                        DeviceStatus::Registered.as_str()
                    ],
                )?;
                let body = json!({ "cert_sha256": cert_sha256, "link": link.map(hex::encode) });
                write_journal(tx, at, "certificate.issued", &name, &body)?;
            }
            Ok(changed)
        })?;
        if changed == 1 { Ok(()) } else { Err(RegistryError::Missing { what: "certificate", name }) }
    }

    fn close_intents(&mut self, at: Timestamp) -> Result<Vec<Vec<u8>>, RegistryError> {
        self.transaction("close the intents", |tx| {
            let serials: Vec<Vec<u8>> = tx
                .prepare("SELECT serial FROM certificate WHERE status = 'intended' ORDER BY serial")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for serial in &serials {
                tx.execute(
                    "UPDATE certificate SET status = ?2, revoked = ?3, reason = ?4 WHERE serial = ?1",
                    params![
                        serial,
                        CertificateStatus::Orphaned.as_str(),
                        at.micros(),
                        RevocationReason::Unspecified as i64
                    ],
                )?;
                tx.execute(
                    // A token that has served stays spent: the intent may have been a renewal's, which needs none.
                    "UPDATE device SET token_spent_for = NULL \
                     WHERE id = (SELECT device FROM certificate WHERE serial = ?1) AND NOT EXISTS \
                     (SELECT 1 FROM certificate AS served WHERE served.device = device.id \
                     AND served.spki_sha256 = device.token_spent_for AND served.der IS NOT NULL)",
                    params![serial],
                )?;
                let body = json!({ "why": "the program ended between intent and certificate" });
                write_journal(tx, at, "certificate.orphaned", &hex::encode(serial), &body)?;
            }
            Ok(serials)
        })
    }

    fn key(&mut self, spki: &SpkiHash) -> Result<Option<KeyRecord>, RegistryError> {
        let query = format!("SELECT {KEY_COLUMNS} FROM key WHERE spki_sha256 = ?1");
        self.connection
            .query_row(&query, [spki.to_string()], key_row)
            .optional()
            .map_err(refused("read a key"))
    }

    fn keys(&mut self, device: Option<&DeviceId>) -> Result<Vec<KeyRecord>, RegistryError> {
        let failed = refused("list the keys");
        let mut statement = self
            .connection
            .prepare_cached(&format!(
                "SELECT {KEY_COLUMNS} FROM key WHERE {} ORDER BY device, recorded",
                one_device(device)
            ))
            .map_err(&failed)?;
        let rows = statement.query_map([device.map(DeviceId::as_str)], key_row).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn add_class_break(
        &mut self,
        entry: &ClassBreak,
        lowered: &[KeyRecord],
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        let added = self.transaction("record a class break", |tx| {
            let text = serde_json::to_string(entry).map_err(unencodable)?;
            let added = tx.execute(
                "INSERT INTO class_break (id, entry, applied) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![entry.id.as_str(), text, at.micros()],
            )?;
            if added == 1 {
                for key in lowered {
                    let assurance = serde_json::to_string(&key.assurance).map_err(unencodable)?;
                    tx.execute(
                        "UPDATE key SET assurance = ?2 WHERE spki_sha256 = ?1",
                        params![key.spki_sha256.to_string(), assurance],
                    )?;
                }
                let body = json!({ "entry": entry, "keys": lowered.len() });
                write_journal(tx, at, "class-break.applied", entry.id.as_str(), &body)?;
            }
            Ok(added)
        })?;
        if added == 1 {
            Ok(())
        } else {
            Err(RegistryError::Exists { what: "class break", name: entry.id.to_string() })
        }
    }

    fn class_breaks(&mut self) -> Result<Vec<ClassBreak>, RegistryError> {
        let failed = refused("list the class breaks");
        let mut statement = self
            .connection
            .prepare_cached("SELECT entry FROM class_break ORDER BY applied, id")
            .map_err(&failed)?;
        let rows = statement
            .query_map([], |row| parsed(0, serde_json::from_str(&row.get::<_, String>(0)?).ok()))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn certificate(&mut self, serial: &[u8]) -> Result<Option<CertificateRecord>, RegistryError> {
        let query = format!("SELECT {CERTIFICATE_COLUMNS} FROM certificate WHERE serial = ?1");
        self.connection
            .query_row(&query, [serial], certificate_row)
            .optional()
            .map_err(refused("read a certificate"))
    }

    fn certificate_by_sha256(
        &mut self,
        cert_sha256: &str,
    ) -> Result<Option<CertificateRecord>, RegistryError> {
        let query = format!("SELECT {CERTIFICATE_COLUMNS} FROM certificate WHERE cert_sha256 = ?1");
        self.connection
            .query_row(&query, [cert_sha256], certificate_row)
            .optional()
            .map_err(refused("read a certificate"))
    }

    fn mark_used(&mut self, serial: &[u8], at: Timestamp) -> Result<(), RegistryError> {
        self.transaction("mark a certificate as used", |tx| {
            let marked = tx.execute(
                "UPDATE certificate SET first_used = ?2 WHERE serial = ?1 AND first_used IS NULL",
                params![serial, at.micros()],
            )?;
            if marked == 1 {
                write_journal(tx, at, "certificate.first-used", &hex::encode(serial), &json!({}))?;
            }
            Ok(())
        })
    }

    fn refuse_renewal(&mut self, refused: &RefusedRenewal<'_>, at: Timestamp) -> Result<(), RegistryError> {
        self.transaction("journal a refused renewal", |tx| {
            let due = tx.execute(
                "UPDATE certificate SET refused = ?2 WHERE serial = ?1 AND (refused IS NULL OR refused <= ?3)",
                params![refused.serial, at.micros(), at.micros().saturating_sub(REFUSAL_PERIOD_US)],
            )?;
            if due == 1 {
                let body = json!({
                    "presented": hex::encode(refused.serial), "successor": hex::encode(refused.successor),
                    "requested_spki_sha256": refused.requested,
                });
                write_journal(tx, at, "renewal.refused", refused.device.as_str(), &body)?;
            }
            Ok(())
        })
    }

    fn certificates(
        &mut self,
        profile: &str,
        device: Option<&DeviceId>,
    ) -> Result<Vec<CertificateRecord>, RegistryError> {
        let failed = refused("list the certificates");
        let query = format!(
            "SELECT {CERTIFICATE_COLUMNS} FROM certificate WHERE profile = ?2 AND {} ORDER BY intended DESC, serial",
            one_device(device)
        );
        let mut statement = self.connection.prepare_cached(&query).map_err(&failed)?;
        let rows = statement
            .query_map(params![device.map(DeviceId::as_str), profile], certificate_row)
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn revoked(&mut self) -> Result<Vec<RevokedEntry>, RegistryError> {
        let failed = refused("list what is revoked");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT serial, revoked, reason FROM certificate \
                 WHERE status IN ('hold', 'revoked', 'orphaned') AND profile IN ('device', 'server') ORDER BY serial",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map([], |row| {
                Ok(RevokedEntry {
                    serial: row.get(0)?,
                    at: moment(row.get(1)?),
                    reason: parsed(2, RevocationReason::from_number(row.get(2)?))?,
                })
            })
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn latest_crl(&mut self, ca: &str) -> Result<Option<CrlRecord>, RegistryError> {
        self.connection
            .query_row(
                "SELECT number, this_update, next_update, der FROM crl WHERE ca = ?1 ORDER BY number DESC LIMIT 1",
                [ca],
                |row| {
                    Ok(CrlRecord {
                        number: row.get(0)?,
                        this_update: moment(row.get(1)?),
                        next_update: moment(row.get(2)?),
                        der: row.get(3)?,
                    })
                },
            )
            .optional()
            .map_err(refused("read a CRL"))
    }

    fn add_crl(&mut self, ca: &str, crl: &CrlRecord) -> Result<(), RegistryError> {
        let added = self.transaction("write a CRL", |tx| {
            let added = tx.execute(
                "INSERT INTO crl (ca, number, this_update, next_update, der) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT DO NOTHING",
                params![ca, crl.number, crl.this_update.micros(), crl.next_update.micros(), crl.der],
            )?;
            if added == 1 {
                let body = json!({ "number": crl.number, "sha256": hex::encode(sha256(&crl.der)) });
                write_journal(tx, crl.this_update, "crl.published", ca, &body)?;
            }
            Ok(added)
        })?;
        if added == 1 {
            Ok(())
        } else {
            Err(RegistryError::Exists { what: "CRL", name: crl.number.to_string() })
        }
    }

    fn last_status_change(&mut self) -> Result<Option<Timestamp>, RegistryError> {
        self.connection
            .query_row(
                "SELECT max(at) FROM (SELECT max(revoked) AS at FROM certificate UNION ALL \
                 SELECT max(changed) FROM device)",
                [],
                |row| Ok(row.get::<_, Option<i64>>(0)?.map(moment)),
            )
            .map_err(refused("read the last change"))
    }

    fn journal(&mut self, from: u64, limit: u32) -> Result<Vec<JournalEntry>, RegistryError> {
        let failed = refused("read the journal");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT number, at, kind, subject, body, hash FROM journal WHERE number >= ?1 ORDER BY number LIMIT ?2",
            )
            .map_err(&failed)?;
        let rows = statement.query_map(params![from, limit], journal_entry).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn journal_of(&mut self, subject: &str, limit: u32) -> Result<Vec<JournalEntry>, RegistryError> {
        let failed = refused("read the journal");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT number, at, kind, subject, body, hash FROM journal WHERE subject = ?1 ORDER BY number DESC \
                 LIMIT ?2",
            )
            .map_err(&failed)?;
        let rows = statement.query_map(params![subject, limit], journal_entry).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn verify_journal(&mut self) -> Result<u64, RegistryError> {
        let mut previous = GENESIS;
        let mut next = 1;
        loop {
            let entries = self.journal(next, 1_000)?;
            if entries.is_empty() {
                return Ok(next - 1);
            }
            for entry in entries {
                let hash = link(&previous, entry.number, entry.at, &entry.kind, &entry.subject, &entry.body);
                if entry.number != next || hash != entry.hash {
                    return Err(RegistryError::JournalBroken { entry: next });
                }
                previous = hash;
                next += 1;
            }
        }
    }
}

fn unencodable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_of_version_1_is_taken_over_and_each_certificate_begins_a_chain() {
        let folder = tempfile::tempdir().unwrap();
        let der = b"a certificate".to_vec();
        let old = Connection::open(folder.path().join("registry.db")).unwrap();
        old.execute_batch(SCHEMA).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let spki = hex::encode([7; 32]);
        old.execute("INSERT INTO device VALUES ('m', 't', 'enrolled', NULL, 0, 0, NULL, NULL, NULL)", [])
            .unwrap();
        for (serial, profile, device) in [([1u8; 20], "device", Some("m")), ([2; 20], "server", None)] {
            old.execute(
                "INSERT INTO certificate (serial, profile, device, spki_sha256, status, intended, issued, not_after, \
                 tbs, der, cert_sha1, cert_sha256) VALUES (?1, ?2, ?3, ?4, 'good', 0, 0, 0, ?5, ?5, 'x', ?6)",
                params![serial, profile, device, spki, der, hex::encode(sha256(&der))],
            )
            .unwrap();
        }
        drop(old);
        for _ in 0..2 {
            let mut registry = SqliteRegistry::open(folder.path()).unwrap();
            let [kept] = registry.certificates("device", None).unwrap().try_into().unwrap();
            assert_eq!(kept.link, Some(chain::link(None, &der)));
            assert_eq!((kept.predecessor, kept.renewal, kept.first_used), (None, false, None));
            let [server] = registry.certificates("server", None).unwrap().try_into().unwrap();
            assert_eq!(server.link, None);
        }
    }
}
