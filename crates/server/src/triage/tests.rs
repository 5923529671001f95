//! What a decision reaches, and what it never reaches.

use proptest::prelude::*;
use touchmark_identity::assurance::Regime;
use touchmark_identity::event::{IdentityRef, RawDigest};
use touchmark_identity::finding::{Action, FindingId, Schema};

use super::*;

const NOW: i64 = 1_795_213_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(NOW + seconds * 1_000_000)
}

fn finding(device: Option<&str>, kind: Kind, grade: Certainty, number: u8) -> Finding {
    let identity = IdentityRef { common_name: Some("meter-1".to_owned()), ..IdentityRef::default() };
    Finding {
        schema: Schema,
        id: FindingId::derive(&identity, kind, "rule.one", RawDigest([number; 32])),
        revision: 1,
        identity,
        device: device.map(str::to_owned),
        kind,
        grade,
        regime: Regime::Duplication,
        regime_basis: "software/declared".to_owned(),
        first_event: at(-60),
        detected: at(0),
        rules: vec!["rule.one".to_owned()],
        branches: Vec::new(),
        original: None,
        evidence: Vec::new(),
        benign_causes: Vec::new(),
        events: Vec::new(),
        action: Action::Watch,
        says: String::new(),
        closed: None,
    }
}

fn decision(decision: Decision) -> NewTriage {
    let suppression = (decision == Decision::Suppress).then(|| Suppression {
        ceiling: Ceiling::Suspect,
        rule: None,
        until: at(3_600),
    });
    NewTriage { decision, reason: Some(Reason::TestDevice), note: String::new(), suppression }
}

fn row(seq: u64, finding: &Finding, what: NewTriage) -> Triage {
    Triage {
        seq,
        finding: finding.id.to_string(),
        device: finding.device.clone(),
        identity: finding.identity.label(),
        kind: finding.kind,
        grade: finding.grade,
        what,
        at: at(0),
        undone: None,
    }
}

#[test]
fn a_suppression_reaches_later_findings_of_its_device_and_kind_alone() {
    let first = finding(Some("meter-1"), Kind::Clone, Certainty::Suspect, 1);
    let mut register = Register::new(vec![row(1, &first, decision(Decision::Suppress))]);
    let later = finding(Some("meter-1"), Kind::Clone, Certainty::Suspect, 2);
    assert_eq!(register.standing(&first, at(1)), Standing::Suppressed);
    assert_eq!(register.standing(&later, at(1)), Standing::Suppressed);
    assert!(register.holds_back(&later, at(1)));
    for other in [
        finding(Some("meter-2"), Kind::Clone, Certainty::Suspect, 3),
        finding(Some("meter-1"), Kind::Replay, Certainty::Suspect, 4),
        finding(Some("meter-1"), Kind::Clone, Certainty::Confirmed, 5),
    ] {
        assert_eq!(register.standing(&other, at(1)), Standing::Open, "{other:?}");
        assert!(!register.holds_back(&other, at(1)));
    }
    // It ends by itself, at its end and not after it.
    assert_eq!(register.standing(&later, at(3_599)), Standing::Suppressed);
    assert_eq!(register.standing(&later, at(3_600)), Standing::Open);
    // And it can be undone, once.
    assert_eq!(register.undo(1, at(2)), Some(first.id.to_string()));
    assert_eq!(register.undo(1, at(3)), None);
    assert_eq!(register.standing(&later, at(3)), Standing::Open);
    assert!(register.in_force(at(3)).is_empty());
    assert_eq!(register.of(&first.id.to_string()).len(), 1, "what was undone stays on record");
}

#[test]
fn a_rule_and_a_lower_ceiling_narrow_a_suppression() {
    let first = finding(Some("meter-1"), Kind::Clone, Certainty::Note, 1);
    let mut what = decision(Decision::Suppress);
    what.suppression =
        Some(Suppression { ceiling: Ceiling::Note, rule: Some("rule.two".to_owned()), until: at(3_600) });
    let register = Register::new(vec![row(1, &first, what)]);
    assert_eq!(register.standing(&first, at(1)), Standing::Open, "another rule");
    let mut by_rule = finding(Some("meter-1"), Kind::Clone, Certainty::Note, 2);
    by_rule.rules.push("rule.two".to_owned());
    assert_eq!(register.standing(&by_rule, at(1)), Standing::Suppressed);
    by_rule.grade = Certainty::Suspect;
    assert_eq!(register.standing(&by_rule, at(1)), Standing::Open, "above the ceiling");
}

#[test]
fn an_identity_without_a_device_is_suppressed_by_its_name() {
    let first = finding(None, Kind::Clone, Certainty::Suspect, 1);
    let register = Register::new(vec![row(1, &first, decision(Decision::Suppress))]);
    assert_eq!(
        register.standing(&finding(None, Kind::Clone, Certainty::Suspect, 2), at(1)),
        Standing::Suppressed
    );
    let mut other = finding(None, Kind::Clone, Certainty::Suspect, 3);
    other.identity.common_name = Some("meter-9".to_owned());
    assert_eq!(register.standing(&other, at(1)), Standing::Open);
}

#[test]
fn the_newest_decision_counts_and_a_surer_finding_is_open_again() {
    let mut found = finding(Some("meter-1"), Kind::Clone, Certainty::Suspect, 1);
    let mut register = Register::new(vec![
        row(1, &found, decision(Decision::Acknowledge)),
        row(2, &found, decision(Decision::FalseAlarm)),
    ]);
    assert_eq!(register.standing(&found, at(1)), Standing::FalseAlarm);
    assert!(register.holds_back(&found, at(1)));
    register.undo(2, at(2));
    assert_eq!(register.standing(&found, at(2)), Standing::Acknowledged);
    assert!(!register.holds_back(&found, at(2)), "who looks after it has not said that it is harmless");
    register.add(row(3, &found, decision(Decision::FalseAlarm)));
    found.grade = Certainty::Confirmed;
    assert_eq!(register.standing(&found, at(3)), Standing::Open, "it grew");
    register.add(row(4, &found, decision(Decision::FalseAlarm)));
    assert!(register.holds_back(&found, at(4)), "a person said so at this very grade");
    found.closed = Some(at(5));
    assert_eq!(register.standing(&found, at(5)), Standing::Closed);
}

#[test]
fn flaws_are_named() {
    let good = decision(Decision::Suppress);
    assert_eq!(good.check(at(0)), Ok(()));
    let mut bad = good.clone();
    bad.reason = None;
    assert_eq!(bad.check(at(0)), Err(Flaw::NoReason));
    bad.reason = Some(Reason::Other);
    assert_eq!(bad.check(at(0)), Err(Flaw::NoNote));
    bad.note = "x".repeat(MAX_NOTE_CHARS + 1);
    assert_eq!(bad.check(at(0)), Err(Flaw::BadNote));
    bad.note = "line\nfeed".to_owned();
    assert_eq!(bad.check(at(0)), Err(Flaw::BadNote));
    assert_eq!(good.check(at(3_600)), Err(Flaw::BadEnd), "it would end at once");
    assert_eq!(good.check(at(3_600 - 90 * 86_400 - 1)), Err(Flaw::BadEnd), "90 days and a second");
    let mut bad = good;
    bad.suppression = None;
    assert_eq!(bad.check(at(0)), Err(Flaw::BadSuppression));
    let mut bad = decision(Decision::Acknowledge);
    bad.reason = None;
    assert_eq!(bad.check(at(0)), Ok(()), "to look after it needs no reason");
}

#[test]
fn words_are_read_back() {
    for reason in Reason::ALL {
        assert_eq!(Reason::of(reason.as_str()), Some(*reason));
    }
    for decision in Decision::ALL {
        assert_eq!(Decision::of(decision.as_str()), Some(*decision));
    }
    assert_eq!(Ceiling::of("confirmed"), None);
}

proptest! {
    #[test]
    fn nothing_suppresses_a_confirmed_finding(
        kinds in proptest::collection::vec(0usize..Kind::ALL.len(), 1..8),
        ceilings in proptest::collection::vec(any::<bool>(), 8),
        moment in 0i64..10_000,
    ) {
        let suspects: Vec<Finding> = kinds
            .iter()
            .zip(0u8..)
            .map(|(kind, number)| finding(Some("meter-1"), Kind::ALL[*kind], Certainty::Suspect, number))
            .collect();
        let rows = suspects.iter().zip(1u64..).zip(&ceilings).map(|((found, seq), wide)| {
            let mut what = decision(Decision::Suppress);
            if let (Some(s), false) = (&mut what.suppression, wide) {
                s.ceiling = Ceiling::Note;
            }
            row(seq, found, what)
        });
        let register = Register::new(rows.collect());
        for kind in Kind::ALL {
            let confirmed = finding(Some("meter-1"), *kind, Certainty::Confirmed, 99);
            prop_assert!(!register.holds_back(&confirmed, at(moment)));
        }
    }
}
