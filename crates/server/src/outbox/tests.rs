use proptest::prelude::*;
use touchmark_identity::event::{IdentityRef, RawDigest};
use touchmark_identity::finding::{Finding, FindingId, Kind};

use super::*;

/// A finding with this number and revision.
pub(super) fn finding(number: u8, revision: u32) -> Finding {
    let id = FindingId::derive(&IdentityRef::by_common_name("m"), Kind::Clone, "r", RawDigest([number; 32]));
    let line = format!(
        r#"{{"schema":"touchmark.finding/1","id":"{id}","revision":{revision},"identity":{{"common_name":"m"}},
        "kind":"clone","grade":"confirmed","regime":"duplication","regime_basis":"unregistered",
        "first_event":"2026-11-20T22:00:00Z","detected":"2026-11-20T22:00:00Z","rules":["r"],"branches":[],
        "original":null,"evidence":[],"benign_causes":[],"events":[],"action":"watch","says":"s"}}"#
    );
    Finding::from_line(line.as_bytes()).unwrap()
}

fn ids(log: &EventLog, output: &str) -> Vec<String> {
    let owed = log.owed(output, 100).unwrap();
    owed.iter().map(|owed| outputs::delivery_id(&Finding::from_line(owed.line.as_bytes()).unwrap())).collect()
}

fn id(number: u8, revision: u32) -> String {
    outputs::delivery_id(&finding(number, revision))
}

#[test]
fn every_output_is_owed_every_revision_once_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = EventLog::open(folder.path()).unwrap();
    // Nobody listens: nothing is kept.
    log.put_finding(&finding(1, 1)).unwrap();
    log.set_outputs(&["a", "b"]).unwrap();
    assert_eq!(ids(&log, "a"), Vec::<String>::new());
    for (number, revision) in [(1, 2), (2, 1), (2, 1), (1, 2), (2, 2), (2, 1)] {
        log.put_finding(&finding(number, revision)).unwrap();
    }
    let all = [id(1, 2), id(2, 1), id(2, 2)];
    assert_eq!(ids(&log, "a"), all);
    let first = log.owed("a", 1).unwrap()[0].seq;
    log.delivered("a", first).unwrap();
    drop(log);

    // A restart concludes everything again, and owes no more for it.
    let mut log = EventLog::open(folder.path()).unwrap();
    for (number, revision) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        log.put_finding(&finding(number, revision)).unwrap();
    }
    log.set_outputs(&["a", "b", "c"]).unwrap();
    assert_eq!(ids(&log, "a"), all[1..]);
    assert_eq!(ids(&log, "b"), all);
    assert_eq!(ids(&log, "c"), Vec::<String>::new());
    assert_eq!((log.waiting("a").unwrap(), log.waiting("b").unwrap(), log.waiting("c").unwrap()), (2, 3, 0));

    // What everybody has had is forgotten, and its numbers are not used again.
    let last = log.owed("b", 100).unwrap().last().unwrap().seq;
    log.delivered("a", last).unwrap();
    log.delivered("b", last).unwrap();
    let kept: u64 = log.connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
    log.put_finding(&finding(3, 1)).unwrap();
    for output in ["a", "b", "c"] {
        assert_eq!(ids(&log, output), [id(3, 1)]);
    }

    // An output that is gone holds nothing back.
    log.set_outputs(&["c"]).unwrap();
    let last = log.owed("c", 100).unwrap().last().unwrap().seq;
    log.delivered("c", last).unwrap();
    let kept: u64 = log.connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
    log.set_outputs(&[]).unwrap();
    log.put_finding(&finding(4, 1)).unwrap();
    let kept: u64 = log.connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 0);
}

proptest! {
    #[test]
    fn pauses_grow_and_are_bounded(failures in 1..u32::MAX, dice: u64) {
        let pause = pause_after(failures, dice);
        let whole = Duration::from_millis(FIRST_PAUSE_MS * (1 << (failures - 1).min(12))).min(Duration::from_millis(LONGEST_PAUSE_MS));
        prop_assert!(pause >= whole / 2 && pause <= whole, "{pause:?} after {failures}");
    }
}
