use super::report;
use crate::input::Inputs;
use crate::report::{FigureOrigin, Report, walk};

fn reproduced() -> Report {
    report(&Inputs::own().unwrap()).unwrap()
}

fn value(report: &Report, id: &str) -> f64 {
    report.figures.get(id).unwrap_or_else(|| panic!("no figure {id}")).value
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 0.01 * b.abs(), "{a} is not {b}");
}

#[test]
fn what_the_totals_imply() {
    let report = reproduced();
    for (id, expected) in [
        ("implied.price", 1.5),
        ("implied.saved.low", 125_000.0),
        ("implied.saved.high", 500_000.0),
        ("implied.saved.middle", 312_500.0),
        ("implied.net.lower", 1_900_000.0),
        ("implied.net.upper", 3_400_000.0),
        ("implied.gross.low", 2_275_000.0),
        ("implied.gross.high", 3_775_000.0),
        ("implied.device-year.hardware", 0.8),
        ("implied.device-year.software-low", 1.886),
        ("implied.device-year.software-high", 2.743),
        ("implied.break-even.low", 9.1),
        ("implied.break-even.high", 15.1),
        ("implied.payback.shortest", 0.695),
        ("implied.payback.longest", 1.154),
        ("implied.alert.cheap", 16.33),
        ("implied.alert.dear", 43.33),
        ("implied.alerts.fewest", 6_264.0),
        ("implied.alerts.most", 29_740.0),
        ("implied.parts.small.low", 50_000.0),
        ("implied.parts.large.high", 2_000_000.0),
        ("implied.attack.fleet", 300e9),
        ("implied.attack.fleet.low", 200e9),
        ("implied.attack.fleet.high", 500e9),
        ("implied.attack.factor", 1_000.0),
        ("implied.attack.last", 300_000.0),
        ("implied.attack.times.low", 666.7),
        ("implied.attack.times.high", 50.0),
    ] {
        near(value(&report, id), expected);
    }
}

#[test]
fn the_implied_sets_give_the_stated_totals() {
    let report = reproduced();
    let sets = report.data.pointer("/implied/sets").and_then(|sets| sets.as_array()).unwrap();
    assert_eq!(sets.len(), 2);
    for (set, software) in sets.iter().zip([3.3e6, 4.8e6]) {
        let of = |key: &str| set.get(key).and_then(serde_json::Value::as_f64).unwrap();
        assert!((of("hardware_usd") - 1.4e6).abs() < 1.0, "{set}");
        assert!((of("software_usd") - software).abs() < 1.0, "{set}");
        assert!(of("alerts_behaviour") > 0.0 && of("alerts_duplicates") > of("alerts_behaviour"));
    }
}

#[test]
fn verdicts_follow_from_the_figures() {
    let report = reproduced();
    let checked = report.data.get("checked").and_then(|checked| checked.as_array()).unwrap();
    let agrees = |id: &str| {
        let one = checked.iter().find(|one| one["ours_id"] == id).unwrap_or_else(|| panic!("no check {id}"));
        one["agrees"].as_bool().unwrap()
    };
    assert!(agrees("implied.net.lower") && agrees("implied.net.upper") && agrees("implied.parts.small.low"));
    assert!(
        !agrees("implied.attack.fleet") && !agrees("implied.attack.last") && !agrees("implied.saved.middle")
    );
}

#[test]
fn every_figure_leads_somewhere() {
    let report = reproduced();
    assert_eq!(walk::orphans(&report), Vec::<String>::new());
    for (id, figure) in &report.figures {
        assert!(figure.value.is_finite(), "{id}");
        if let FigureOrigin::Calculated { from, .. } = &figure.origin {
            assert!(!from.is_empty(), "{id}");
            for one in from {
                assert!(report.figures.contains_key(one), "{id} comes from {one}");
            }
        }
    }
}
