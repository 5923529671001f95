//! Reading the whole registry in one pass, beside the process that holds it.
//!
//! A [`Survey`] takes no lock and changes nothing: it sees the registry as it stood at one moment (SQLite's WAL gives each
//! reader a snapshot), while the server goes on writing. Devices come one by one with their keys and certificates, so
//! that a fleet of any size needs no more memory than one device.

use std::iter::Peekable;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use touchmark_identity::assurance::{ClassBreak, KeyAssurance};
use touchmark_identity::ids::DeviceId;
use touchmark_identity::key::SpkiHash;
use touchmark_identity::timestamp::Timestamp;

use super::journal::{GENESIS, link};
use super::sqlite::{
    DEVICE_COLUMNS, SCHEMA_VERSION, SqliteRegistry, device_row, journal_entry, moment, parsed, refused,
};
use super::{CertificateStatus, Device, RegistryError};

/// A registry that is read and not held.
#[derive(Debug)]
pub struct Survey {
    connection: Connection,
}

/// A device with its keys and certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// The device.
    pub device: Device,
    /// Its keys, the newest last.
    pub keys: Vec<SurveyedKey>,
    /// Its certificates, the newest first.
    pub certificates: Vec<SurveyedCertificate>,
}

/// A key, without its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyedKey {
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub spki_sha256: SpkiHash,
    /// What is known.
    pub assurance: KeyAssurance,
    /// When this was written.
    pub recorded: Timestamp,
}

/// A certificate in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyedCertificate {
    /// The serial number.
    pub serial: Vec<u8>,
    /// The key.
    pub spki_sha256: SpkiHash,
    /// What became of it.
    pub status: CertificateStatus,
    /// When it was written down, before it was signed.
    pub intended: Timestamp,
    /// When it was issued.
    pub issued: Option<Timestamp>,
    /// The end of its validity, seconds since 1970.
    pub not_after_s: u64,
    /// The serial number of the certificate whose place it took.
    pub predecessor: Option<Vec<u8>>,
    /// Whether it was asked for with its predecessor.
    pub renewal: bool,
}

/// The newest CRL in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurveyedCrl {
    /// Its number.
    pub number: u64,
    /// Replaced before.
    pub next_update: Timestamp,
}

/// The rows of a device, from rows in the order of device names, each of which is read once.
fn of_device<T>(
    rows: &mut Peekable<impl Iterator<Item = rusqlite::Result<(String, T)>>>,
    device: &DeviceId,
) -> rusqlite::Result<Vec<T>> {
    let mut all = Vec::new();
    while let Some(row) =
        rows.next_if(|row| row.as_ref().map_or(true, |(of, _)| of.as_str() <= device.as_str()))
    {
        let (of, row) = row?;
        if of == device.as_str() {
            all.push(row);
        }
    }
    Ok(all)
}

impl Survey {
    /// Opens the registry of a data directory for reading. One of an older schema is brought up to date first, for which
    /// no other process may hold it.
    ///
    /// # Errors
    /// [`RegistryError::Absent`] when there is none; [`RegistryError::Schema`] when a newer program wrote it; [`RegistryError::Held`]
    /// when it is of an older schema and another process holds it.
    pub fn open(directory: &Path) -> Result<Self, RegistryError> {
        let path = directory.join("registry.db");
        if !path.is_file() {
            return Err(RegistryError::Absent { path: directory.display().to_string() });
        }
        let failed = refused("open the registry for reading");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(&failed)?;
        let found: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&failed)?;
        if found > SCHEMA_VERSION {
            return Err(RegistryError::Schema { found, known: SCHEMA_VERSION });
        }
        if found < SCHEMA_VERSION {
            drop(connection);
            drop(SqliteRegistry::open(directory)?);
            connection = Connection::open_with_flags(&path, flags).map_err(&failed)?;
        }
        // One transaction for all that is read: one moment.
        connection.execute_batch("PRAGMA trusted_schema = OFF; BEGIN").map_err(&failed)?;
        Ok(Self { connection })
    }

    /// Hands over every device by name, with its keys and device certificates. Stops at the first error.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails, and what `each` returns.
    pub fn devices<E: From<RegistryError>>(
        &self,
        mut each: impl FnMut(Surveyed) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = refused("survey the devices");
        let prepare = |query: &str| self.connection.prepare(query).map_err(&failed);
        let mut devices = prepare(&format!("SELECT {DEVICE_COLUMNS} FROM device ORDER BY id"))?;
        let mut keys =
            prepare("SELECT device, spki_sha256, assurance, recorded FROM key ORDER BY device, recorded")?;
        let mut certificates = prepare(
            "SELECT device, serial, spki_sha256, status, intended, issued, not_after, predecessor, renewal \
             FROM certificate INDEXED BY certificate_by_device WHERE profile = 'device' AND device IS NOT NULL \
             ORDER BY device",
        )?;
        let mut keys = keys.query_map([], key_row).map_err(&failed)?.peekable();
        let mut certificates = certificates.query_map([], certificate_row).map_err(&failed)?.peekable();
        let mut devices = devices.query([]).map_err(&failed)?;
        while let Some(row) = devices.next().map_err(&failed)? {
            let device = device_row(row).map_err(&failed)?;
            let keys = of_device(&mut keys, &device.id).map_err(&failed)?;
            let mut certificates = of_device(&mut certificates, &device.id).map_err(&failed)?;
            certificates.sort_by(|a, b| b.intended.cmp(&a.intended).then_with(|| a.serial.cmp(&b.serial)));
            each(Surveyed { device, keys, certificates })?;
        }
        Ok(())
    }

    /// All class breaks, the oldest first.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    pub fn class_breaks(&self) -> Result<Vec<ClassBreak>, RegistryError> {
        let failed = refused("list the class breaks");
        let mut statement =
            self.connection.prepare("SELECT entry FROM class_break ORDER BY applied, id").map_err(&failed)?;
        let rows = statement
            .query_map([], |row| parsed(0, serde_json::from_str(&row.get::<_, String>(0)?).ok()))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// The newest CRL of the issuing CA.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    pub fn latest_crl(&self) -> Result<Option<SurveyedCrl>, RegistryError> {
        let failed = refused("read a CRL");
        let mut statement = self
            .connection
            .prepare("SELECT number, next_update FROM crl WHERE ca = 'issuing' ORDER BY number DESC LIMIT 1")
            .map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        let Some(row) = rows.next().map_err(&failed)? else { return Ok(None) };
        let number = row.get(0).map_err(&failed)?;
        Ok(Some(SurveyedCrl { number, next_update: moment(row.get(1).map_err(failed)?) }))
    }

    /// How many entries the journal has, and whether its chain of hashes is whole, which is recomputed.
    ///
    /// # Errors
    /// [`RegistryError`] when the database fails.
    pub fn journal(&self) -> Result<(u64, bool), RegistryError> {
        let failed = refused("read the journal");
        let mut statement = self
            .connection
            .prepare("SELECT number, at, kind, subject, body, hash FROM journal ORDER BY number")
            .map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        let (mut previous, mut entries, mut whole) = (GENESIS, 0, true);
        while let Some(row) = rows.next().map_err(&failed)? {
            let entry = journal_entry(row).map_err(&failed)?;
            entries += 1;
            let hash = link(&previous, entry.number, entry.at, &entry.kind, &entry.subject, &entry.body);
            whole &= entry.number == entries && hash == entry.hash;
            previous = entry.hash;
        }
        Ok((entries, whole))
    }
}

fn key_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, SurveyedKey)> {
    let key = SurveyedKey {
        spki_sha256: parsed(1, row.get_ref(1)?.as_str()?.parse().ok())?,
        assurance: parsed(2, serde_json::from_str(row.get_ref(2)?.as_str()?).ok())?,
        recorded: moment(row.get(3)?),
    };
    Ok((row.get(0)?, key))
}

fn certificate_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, SurveyedCertificate)> {
    let certificate = SurveyedCertificate {
        serial: row.get(1)?,
        spki_sha256: parsed(2, row.get_ref(2)?.as_str()?.parse().ok())?,
        status: parsed(3, CertificateStatus::from_word(row.get_ref(3)?.as_str()?))?,
        intended: moment(row.get(4)?),
        issued: row.get::<_, Option<i64>>(5)?.map(moment),
        not_after_s: row.get(6)?,
        predecessor: row.get(7)?,
        renewal: row.get(8)?,
    };
    Ok((row.get(0)?, certificate))
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::registry::{EnrolToken, Registry};

    const ASSURANCE: &str = "{\"storage\":\"secure-element\",\"basis\":\"attested\",\"provenance\":\"generated-on-chip\",\
                             \"host_binding\":\"unknown\",\"part\":{\"vendor\":\"Maker\",\"model\":\"A1\"}}";

    /// Devices `d-…` with one key each, and two certificates, the second of which took the first one's place.
    fn filled(directory: &Path, devices: u32) {
        drop(SqliteRegistry::open(directory).unwrap());
        let mut connection = Connection::open(directory.join("registry.db")).unwrap();
        let tx = connection.transaction().unwrap();
        for number in 0..devices {
            let (name, spki) = (format!("d-{number:07}"), format!("{number:064x}"));
            tx.prepare_cached(
                "INSERT INTO device VALUES (?1, 'meter', 'enrolled', NULL, 0, 0, NULL, NULL, NULL)",
            )
            .unwrap()
            .execute([&name])
            .unwrap();
            tx.prepare_cached("INSERT INTO key VALUES (?1, ?2, NULL, ?3, ?4, NULL, '[]', 0)")
                .unwrap()
                .execute(params![spki, name, ASSURANCE, vec![7_u8; 1_000]])
                .unwrap();
            let first = u64::from(number) * 2;
            for (serial, predecessor) in [(first, None), (first + 1, Some(first.to_be_bytes()))] {
                tx.prepare_cached(
                    "INSERT INTO certificate (serial, profile, device, spki_sha256, status, intended, issued, \
                     not_after, tbs, der, predecessor, renewal) \
                     VALUES (?1, 'device', ?2, ?3, 'good', ?4, 0, 9, ?5, ?5, ?6, ?7)",
                )
                .unwrap()
                .execute(params![
                    serial.to_be_bytes(),
                    name,
                    spki,
                    serial,
                    vec![7_u8; 700],
                    predecessor,
                    predecessor.is_some()
                ])
                .unwrap();
            }
        }
        tx.commit().unwrap();
    }

    fn all(survey: &Survey) -> Vec<Surveyed> {
        let mut all = Vec::new();
        survey
            .devices(|surveyed| {
                all.push(surveyed);
                Ok::<(), RegistryError>(())
            })
            .unwrap();
        all
    }

    #[test]
    fn each_device_comes_with_its_own_keys_and_certificates() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 3);
        let mut held = SqliteRegistry::open(folder.path()).unwrap();
        let survey = Survey::open(folder.path()).unwrap();
        let before = all(&survey);
        assert_eq!(before.len(), 3);
        for (number, surveyed) in before.iter().enumerate() {
            assert_eq!(surveyed.device.id.as_str(), format!("d-{number:07}"));
            assert_eq!((surveyed.keys.len(), surveyed.certificates.len()), (1, 2));
            assert!(surveyed.certificates[0].renewal && surveyed.certificates[1].predecessor.is_none());
        }
        // While the holder writes, a survey stays at its moment, and a new one sees the change.
        let token = EnrolToken { sha256: [0; 32], expires: Timestamp::from_micros(9), spent_for: None };
        let id = DeviceId::new("a-new").unwrap();
        held.add_device(&id, &"meter".parse().unwrap(), &token, Timestamp::from_micros(1)).unwrap();
        assert_eq!(all(&survey), before);
        let after = Survey::open(folder.path()).unwrap();
        assert_eq!(all(&after).first().map(|surveyed| surveyed.keys.len()), Some(0));
        assert_eq!(all(&after).len(), 4);
        assert_eq!(after.journal().unwrap(), (1, true));
    }

    #[test]
    fn every_one_of_a_hundred_thousand_devices_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 100_000);
        let (mut devices, mut certificates) = (0, 0);
        let survey = Survey::open(folder.path()).unwrap();
        survey
            .devices(|surveyed| {
                devices += surveyed.keys.len();
                certificates += surveyed.certificates.len();
                Ok::<(), RegistryError>(())
            })
            .unwrap();
        assert_eq!((devices, certificates), (100_000, 200_000));
    }

    #[test]
    fn a_changed_journal_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = SqliteRegistry::open(folder.path()).unwrap();
        let token = EnrolToken { sha256: [0; 32], expires: Timestamp::from_micros(9), spent_for: None };
        for name in ["a", "b"] {
            let id = DeviceId::new(name).unwrap();
            registry.add_device(&id, &"meter".parse().unwrap(), &token, Timestamp::from_micros(1)).unwrap();
        }
        drop(registry);
        assert_eq!(Survey::open(folder.path()).unwrap().journal().unwrap(), (2, true));
        let database = Connection::open(folder.path().join("registry.db")).unwrap();
        database.execute("UPDATE journal SET subject = 'c' WHERE number = 1", []).unwrap();
        assert_eq!(Survey::open(folder.path()).unwrap().journal().unwrap(), (2, false));
    }

    #[test]
    fn no_registry_is_made_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Survey::open(folder.path()), Err(RegistryError::Absent { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(SqliteRegistry::open(folder.path()).unwrap());
        let database = Connection::open(folder.path().join("registry.db")).unwrap();
        database.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        assert!(matches!(Survey::open(folder.path()), Err(RegistryError::Schema { .. })));
    }
}
