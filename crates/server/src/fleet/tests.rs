use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, params};
use touchmark_authority::registry::sqlite::SqliteRegistry;
use touchmark_economics::evidence::facts::count;
use touchmark_economics::evidence::{Matched, Query};

use super::*;
use crate::events::EventLog;

const NOW: i64 = 1_795_132_800;

fn now() -> Timestamp {
    Timestamp::from_micros(NOW * 1_000_000)
}

/// A registry with so many devices, each with a key and a certificate: one in four on a part of library 1, one in four of
/// library 2, one in four of a library that nobody wrote down, and one in four in software.
fn registry(directory: &Path, devices: u32) {
    drop(SqliteRegistry::open(directory).unwrap());
    let mut connection = Connection::open(directory.join("registry.db")).unwrap();
    let tx = connection.transaction().unwrap();
    let part = |library: &str| {
        format!(
            "{{\"storage\":\"secure-element\",\"basis\":\"attested\",\"provenance\":\"generated-on-chip\",\
             \"host_binding\":\"unknown\",\"part\":{{\"vendor\":\"Maker\",\"model\":\"A1\"{library}}}}}"
        )
    };
    let records = [
        part(",\"crypto_library\":\"1\""),
        part(",\"crypto_library\":\"2\""),
        part(""),
        "{\"storage\":\"software\",\"basis\":\"declared\",\"provenance\":\"unknown\",\"host_binding\":\"unknown\"}"
            .to_owned(),
    ];
    for number in 0..devices {
        let (name, spki) = (format!("meter-{number:07}"), format!("{number:064x}"));
        let record = &records[(number % 4) as usize];
        tx.prepare_cached(
            "INSERT INTO device VALUES (?1, 'meter', 'enrolled', NULL, 0, 0, NULL, NULL, NULL)",
        )
        .unwrap()
        .execute([&name])
        .unwrap();
        tx.prepare_cached("INSERT INTO key VALUES (?1, ?2, NULL, ?3, ?4, NULL, '[]', 0)")
            .unwrap()
            .execute(params![spki, name, record, vec![7_u8; 1_000]])
            .unwrap();
        tx.prepare_cached(
            "INSERT INTO certificate (serial, profile, device, spki_sha256, status, intended, issued, not_after, tbs, \
             der) VALUES (?1, 'device', ?2, ?3, 'good', 0, 0, ?4, ?5, ?5)",
        )
        .unwrap()
        .execute(params![number.to_be_bytes(), name, spki, NOW + i64::from(number % 100) * 86_400, vec![7_u8; 700]])
        .unwrap();
    }
    tx.commit().unwrap();
}

fn library() -> Query {
    Query { library: Some("1".to_owned()), ..Query::default().with_part("maker/a1").unwrap() }
}

#[test]
fn a_hundred_thousand_devices_are_answered_in_seconds() {
    let folder = tempfile::tempdir().unwrap();
    registry(folder.path(), 100_000);
    let begun = Instant::now();
    let mut listed = 0;
    let cohort = affected(folder.path(), &library(), |device| {
        listed += 1;
        assert!(device.certificate.is_some());
        Ok(())
    })
    .unwrap();
    let took = begun.elapsed();
    println!("100,000 devices answered in {took:?}");
    assert_eq!((cohort.all.affected, cohort.all.possibly, cohort.all.devices), (25_000, 25_000, 100_000));
    assert_eq!(listed, 50_000);
    assert!(took.as_secs() < 10, "{took:?}");
    let begun = Instant::now();
    let facts = facts(folder.path(), now(), 30.0).unwrap().registry.unwrap();
    println!("100,000 devices counted in {:?}", begun.elapsed());
    assert_eq!(
        (facts.devices, facts.complete, facts.keys.with_part, facts.keys.with_library),
        (100_000, 100_000, 75_000, 50_000)
    );
    assert_eq!(count(&facts.keys.by_grade, "hardware-bound"), 75_000);
    // Of each hundred, one ended now and thirty end within thirty days.
    assert_eq!((facts.certificates.expired, facts.certificates.expiring), (1_000, 30_000));
}

#[test]
fn the_registry_is_read_while_another_process_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    registry(folder.path(), 8);
    let held = SqliteRegistry::open(folder.path()).unwrap();
    let cohort = affected(folder.path(), &library(), |_| Ok(())).unwrap();
    assert_eq!((cohort.all.affected, cohort.all.devices), (2, 8));
    drop(held);
}

#[test]
fn firmware_is_what_was_reported_last() {
    let folder = tempfile::tempdir().unwrap();
    registry(folder.path(), 4);
    drop(EventLog::open(folder.path()).unwrap());
    let log = Connection::open(folder.path().join("events.db")).unwrap();
    for (number, device, kind, line) in [
        (1, "meter-0000000", "heartbeat", "{\"firmware\":\"4.0\"}"),
        (2, "meter-0000000", "heartbeat", "{\"firmware\":\"4.1\"}"),
        (3, "meter-0000000", "heartbeat", "{}"),
        (4, "meter-0000001", "authentication", "{\"firmware\":\"4.0\"}"),
    ] {
        log.execute(
            "INSERT INTO event (seq, source, event_id, device, kind, at, line) VALUES (?1, 's', ?1, ?2, ?3, 0, ?4)",
            params![number, device, kind, line],
        )
        .unwrap();
    }
    log.execute("INSERT INTO finding VALUES ('f', 1, NULL, 'confirmed', 0, '{\"kind\":\"clone\"}')", [])
        .unwrap();
    drop(log);
    let query = Query { firmware: Some("4.0".to_owned()), ..Query::default() };
    let mut matched = Vec::new();
    let cohort = affected(folder.path(), &query, |device| {
        matched.push((device.device, device.matched));
        Ok(())
    })
    .unwrap();
    assert_eq!((cohort.all.affected, cohort.all.possibly), (1, 2));
    assert_eq!(matched[0], ("meter-0000001".to_owned(), Matched::Affected));
    let events = facts(folder.path(), now(), 30.0).unwrap().events.unwrap();
    assert_eq!((events.events, events.firmware_devices, count(&events.firmware, "4.1")), (4, 2, 1));
    assert_eq!(count(&events.findings, "clone"), 1);
    assert_eq!((events.cases, events.decisions), (0, 0));
}

#[test]
fn where_there_is_no_registry_none_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let error = facts(folder.path(), now(), 30.0).unwrap_err();
    assert!(
        matches!(error, ServerError::Authority(AuthorityError::Registry(RegistryError::Absent { .. }))),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
