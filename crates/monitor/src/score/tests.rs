use proptest::prelude::*;
use serde_json::{Value, json};
use touchmark_identity::finding::Finding;

use super::{Attribution, Scorer, attribution, interval, wilson};
use crate::simulate::attack::Truth;

fn truth(device: &str, class: &str) -> Truth {
    serde_json::from_value(json!({
        "schema": "touchmark.truth/1", "identity": {"common_name": device}, "device": device, "class": class,
        "kind": ["clone"], "starts": "2026-11-02T06:00:00Z", "ends": "2026-11-03T00:00:00Z", "concurrent": true,
        "instances": [
            {"id": 0, "role": "original", "first_event": "2026-11-02T00:00:00Z", "last_event": "2026-11-03T00:00:00Z",
             "events": 96, "first_uses": [], "networks": ["AS1"], "boots": ["2026-11-01T00:00:00Z"], "sha256": null},
            {"id": 1, "role": "copy", "first_event": "2026-11-02T06:05:00Z", "last_event": "2026-11-02T22:00:00Z",
             "events": 3, "networks": ["AS2"], "boots": ["2026-11-02T06:01:00Z"], "sha256": null,
             "first_uses": ["2026-11-02T06:05:00Z", "2026-11-02T06:20:00Z", "2026-11-02T22:00:00Z"]}]
    }))
    .unwrap()
}

fn finding(device: &str, id: u8, grade: &str, detected: &str, booted: Option<&str>) -> Finding {
    let original = booted.map_or(Value::Null, |_| json!({"branch": 0, "probability": 0.9}));
    serde_json::from_value(json!({
        "schema": "touchmark.finding/1", "id": format!("{id:032x}"), "identity": {"common_name": device},
        "kind": "clone", "grade": grade, "regime": "duplication", "regime_basis": "software/declared",
        "first_event": detected, "detected": detected, "rules": ["a.rule"],
        "branches": [{"id": 0, "booted": booted}, {"id": 1}],
        "original": original, "evidence": [], "benign_causes": [], "events": [], "action": "watch", "says": ""
    }))
    .unwrap()
}

#[test]
fn hand_made_findings_give_the_figures_computed_by_hand() {
    let mut scorer = Scorer::new(vec![truth("a", "C1"), truth("b", "C1"), truth("c", "C1")]);
    let original = Some("2026-11-01T00:00:30Z");
    let copy = Some("2026-11-02T06:01:10Z");
    // a: suspect at the second use, 15 minutes after the first; confirmed later; the right original.
    scorer.take(finding("a", 1, "suspect", "2026-11-02T06:20:00Z", None));
    scorer.take(finding("a", 1, "confirmed", "2026-11-02T22:00:00Z", original));
    // b: suspect at the last use, the copy taken for the original; c: nothing.
    scorer.take(finding("b", 2, "suspect", "2026-11-02T22:00:00Z", copy));
    // Two false suspects of one device on one day are one device-day; a false confirmed one on the next is another.
    scorer.take(finding("x", 3, "suspect", "2026-11-02T07:00:00Z", None));
    scorer.take(finding("x", 4, "suspect", "2026-11-02T08:00:00Z", None));
    scorer.take(finding("x", 5, "confirmed", "2026-11-03T08:00:00Z", None));
    // A note is no alarm.
    scorer.take(finding("y", 6, "note", "2026-11-02T08:00:00Z", None));
    // Before anything was done to c: false.
    scorer.take(finding("c", 7, "suspect", "2026-11-02T01:00:00Z", None));
    let score = scorer.score(1000.0);
    assert_eq!(score.findings, 7);
    assert_eq!((score.false_confirmed.device_days, score.false_confirmed.identities), (1, 1));
    assert_eq!((score.false_suspect.device_days, score.false_suspect.identities), (3, 2));
    assert!((score.false_suspect.per_million - 3000.0).abs() < 1e-9);
    assert_eq!((score.precision_confirmed.of, score.precision_confirmed.all), (1, 2));
    assert_eq!((score.precision_suspect.of, score.precision_suspect.all), (2, 4));
    let c1 = &score.classes["C1"];
    assert_eq!((c1.seen, c1.confirmed.of, c1.suspect.of, c1.right_kind.of), (3, 1, 2, 2));
    assert_eq!((c1.seconds.median, c1.seconds.p90), (Some(900.0), Some(57_300.0)));
    assert_eq!((c1.uses.median, c1.uses.p90), (Some(2.0), Some(3.0)));
    assert_eq!((score.original.right, score.original.wrong, score.original.abstained), (1, 1, 0));
}

#[test]
fn a_branch_that_fits_nobody_is_no_attribution() {
    let finding = finding("a", 1, "confirmed", "2026-11-02T22:00:00Z", Some("2020-01-01T00:00:00Z"));
    assert_eq!(attribution(&truth("a", "C1"), &finding), Attribution::Abstained);
}

#[test]
fn intervals_have_their_textbook_values() {
    let ten = wilson(8, 10);
    assert!((ten.low - 0.4902).abs() < 1e-4 && (ten.high - 0.9433).abs() < 1e-4, "{ten:?}");
    let (rate, none) = interval::rate(0, 2e6, 1e6);
    assert_eq!((rate, none.low, none.high), (0.0, 0.0, 1.5));
    // Exact Poisson limits of ten events: 4.795 to 18.39.
    let (_, ten) = interval::rate(10, 1.0, 1.0);
    assert!((ten.low - 4.795).abs() < 0.03 && (ten.high - 18.39).abs() < 0.03, "{ten:?}");
}

proptest! {
    #[test]
    fn an_interval_holds_its_share_and_narrows(all in 1_u64..100_000, part in 0.0_f64..=1.0) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "test")]
        let of = (part * all as f64) as u64;
        #[expect(clippy::cast_precision_loss, reason = "test")]
        let share = of as f64 / all as f64;
        let (one, more) = (wilson(of, all), wilson(of * 100, all * 100));
        prop_assert!(0.0 <= one.low && one.low <= share && share <= one.high && one.high <= 1.0);
        prop_assert!(more.high - more.low < one.high - one.low);
        let (count, bounds) = interval::rate(of, all as f64, 1.0);
        prop_assert!(bounds.low <= count && count <= bounds.high);
    }
}
