use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,24}"
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_000i64).prop_map(Timestamp::from_micros)
}

prop_compose! {
    fn branch()(
        id: u32, first_seen in option::of(moment()), booted in option::of(moment()), counter_last: Option<u64>,
        networks in proptest::collection::vec(text(), 0..3),
    ) -> Branch {
        Branch { id, first_seen, booted, counter_last, networks, ..Branch::default() }
    }
}

prop_compose! {
    fn finding()(
        kind in select(Kind::ALL), grade in select(Certainty::ALL), regime in select(Regime::ALL),
        action in select(Action::ALL), name in "\\PC{1,24}", says in text(),
        first_event in moment(), detected in moment(), revision in 1..u32::MAX,
        branches in proptest::collection::vec(branch(), 0..4),
        original in option::of((0u32..4, 0..=64u8)),
        evidence in proptest::collection::vec((text(), -480..480i32), 0..4),
        digest: [u8; 32], closed in option::of(moment()),
    ) -> Finding {
        let identity = IdentityRef::by_common_name(&name);
        Finding {
            schema: Schema, id: FindingId::derive(&identity, kind, "rule", RawDigest(digest)), revision, identity,
            device: Some(name), kind, grade, regime, regime_basis: "software/declared".to_owned(), first_event, detected,
            rules: vec!["rule".to_owned()], branches,
            original: original.map(|(branch, probability)| Original { branch, probability: f64::from(probability) / 64.0 }),
            evidence: evidence.into_iter().map(|(sign, decibans)| Evidence {
                sign, decibans: f64::from(decibans) / 8.0, group: "g".to_owned(), says: says.clone(),
            }).collect(),
            benign_causes: vec![BenignCause { cause: says.clone(), rejected_because: says.clone() }],
            events: vec![EventRef { source: "s".to_owned(), event_id: None, sha256: RawDigest(digest) }],
            action, says, closed,
        }
    }
}

proptest! {
    #[test]
    fn line_round_trip(finding in finding()) {
        let line = finding.to_line();
        prop_assert!(!line.contains('\n'));
        let read = Finding::from_line(line.as_bytes()).unwrap();
        prop_assert_eq!(read.to_line(), line);
    }

    #[test]
    fn every_truncation_is_refused(finding in finding()) {
        let line = finding.to_line();
        for end in (0..line.len()).step_by(7).chain([line.len() - 1]) {
            prop_assert!(Finding::from_line(&line.as_bytes()[..end]).is_err());
        }
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Finding::from_line(&bytes);
    }

    #[test]
    fn the_id_depends_on_each_of_its_parts(digest: [u8; 32]) {
        let (a, b) = (IdentityRef::by_common_name("a"), IdentityRef::by_common_name("b"));
        let id = |who, kind, rule, digest| FindingId::derive(who, kind, rule, RawDigest(digest));
        let one = id(&a, Kind::Clone, "r", digest);
        prop_assert_eq!(id(&a, Kind::Clone, "r", digest), one);
        prop_assert_ne!(id(&b, Kind::Clone, "r", digest), one);
        prop_assert_ne!(id(&a, Kind::Replay, "r", digest), one);
        prop_assert_ne!(id(&a, Kind::Clone, "s", digest), one);
        prop_assert_ne!(id(&a, Kind::Clone, "r", digest.map(|byte| !byte)), one);
    }
}

#[test]
fn another_format_is_refused_and_says_so() {
    let error = Finding::from_line(br#"{"schema":"touchmark.finding/2"}"#).unwrap_err();
    assert_eq!(error.code(), "FN-0002");
    assert!(error.to_string().contains("touchmark.finding/2"), "{error}");
    assert_eq!(Finding::from_line(&vec![b' '; MAX_LINE_BYTES + 1]).unwrap_err().code(), "FN-0001");
}

#[test]
fn an_undecided_original_is_written_as_null() {
    let line = r#"{"schema":"touchmark.finding/1","id":"00112233445566778899aabbccddeeff","identity":{"common_name":"m"},
        "kind":"clone","grade":"suspect","regime":"duplication","regime_basis":"unregistered",
        "first_event":"2026-11-20T22:00:00Z","detected":"2026-11-20T22:00:00Z","rules":[],"branches":[{"id":0},{"id":1}],
        "original":null,"evidence":[],"benign_causes":[],"events":[],"action":"watch","says":""}"#;
    let finding = Finding::from_line(line.as_bytes()).unwrap();
    assert_eq!(finding.revision, 1);
    assert!(finding.to_line().contains("\"original\":null"));
}
