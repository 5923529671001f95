//! What older files hold is kept.

use rusqlite::Connection;
use touchmark_identity::finding::{Certainty, Kind};

use super::*;

/// The statements with which the first release made its file, as they were; a file of it must open for ever.
const VERSION_1: &str = "
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
INSERT INTO event VALUES (1, 'telemetry', 'e1', 'meter-1', 'heartbeat', 1795213800000000, '{\"old\":1}');
INSERT INTO finding VALUES ('aa', 1, 'meter-1', 'suspect', 1795213800000000, '{\"found\":1}');
INSERT INTO place VALUES ('tail:gate', '7:11');
PRAGMA user_version = 1;
";

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("touchmark-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_795_213_800 + seconds) * 1_000_000)
}

fn suppression() -> Triage {
    Triage {
        seq: 0,
        finding: "aa".to_owned(),
        device: Some("meter-1".to_owned()),
        identity: "common name meter-1".to_owned(),
        kind: Kind::Clone,
        grade: Certainty::Suspect,
        what: NewTriage {
            decision: Decision::Suppress,
            reason: Some(Reason::Other),
            note: "on the bench".to_owned(),
            suppression: Some(Suppression {
                ceiling: Ceiling::Suspect,
                rule: Some("network.return".to_owned()),
                until: at(3_600),
            }),
        },
        at: at(0),
        undone: None,
    }
}

#[test]
fn a_file_of_version_1_opens_with_what_it_held() {
    let folder = Folder::new("events-v1");
    Connection::open(folder.0.join("events.db")).unwrap().execute_batch(VERSION_1).unwrap();
    for _ in 0..2 {
        let log = EventLog::open(&folder.0).unwrap();
        assert_eq!(log.after(0, 10).unwrap(), [LoggedEvent { seq: 1, line: "{\"old\":1}".to_owned() }]);
        assert_eq!(log.findings(10).unwrap(), ["{\"found\":1}"]);
        assert_eq!(log.place("tail:gate").unwrap().as_deref(), Some("7:11"));
        assert_eq!(log.triage().unwrap(), []);
        let version: u32 = log.connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 2);
    }
    // An old file takes decisions like a new one.
    let mut log = EventLog::open(&folder.0).unwrap();
    assert_eq!(log.put_triage(suppression()).unwrap().seq, 1);
}

#[test]
fn decisions_outlive_the_process_and_an_undone_one_keeps_its_moment() {
    let folder = Folder::new("events-triage");
    let written = {
        let mut log = EventLog::open(&folder.0).unwrap();
        let first = log.put_triage(suppression()).unwrap();
        let plain = NewTriage {
            decision: Decision::Acknowledge,
            reason: None,
            note: String::new(),
            suppression: None,
        };
        let second = log.put_triage(Triage { what: plain, device: None, ..suppression() }).unwrap();
        log.undo_triage(first.seq, at(60)).unwrap();
        log.undo_triage(first.seq, at(90)).unwrap();
        [Triage { undone: Some(at(60)), ..first }, second]
    };
    assert_eq!(EventLog::open(&folder.0).unwrap().triage().unwrap(), written);
}

#[test]
fn a_decision_in_unknown_words_holds_nothing_back() {
    let folder = Folder::new("events-words");
    let mut log = EventLog::open(&folder.0).unwrap();
    for change in [
        "decision = 'ignore'",
        "ceiling = 'confirmed'",
        "reason = 'because'",
        "kind = 'magic'",
        "until = NULL",
    ] {
        let row = log.put_triage(suppression()).unwrap();
        log.connection.execute(&format!("UPDATE triage SET {change} WHERE seq = {}", row.seq), []).unwrap();
    }
    assert_eq!(log.triage().unwrap(), []);
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let folder = Folder::new("events-later");
    Connection::open(folder.0.join("events.db")).unwrap().execute_batch("PRAGMA user_version = 3").unwrap();
    let refused = EventLog::open(&folder.0).unwrap_err();
    assert_eq!(refused.code(), "SV-0001");
}
