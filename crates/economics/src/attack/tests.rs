use proptest::prelude::*;

use super::model::{likely, one};
use super::*;
use crate::error::Text;
use crate::expr::Expr;
use crate::input::{Inputs, Origin};
use crate::report::chart::Drawing;
use crate::report::{Block, walk};
use crate::unit::{Devices, Usd, UsdPerDevice};

fn own() -> (Inputs, Catalogue) {
    let inputs = Inputs::own().unwrap();
    let catalogue = Catalogue::own(&inputs).unwrap();
    (inputs, catalogue)
}

fn with(pairs: &[(&str, String)]) -> Inputs {
    pairs
        .iter()
        .fold(Inputs::own().unwrap(), |inputs, (key, value)| inputs.given("test", key, value).unwrap())
}

fn cost(inputs: &Inputs, id: &str, n: f64, sharing: Sharing) -> f64 {
    let catalogue = Catalogue::own(inputs).unwrap();
    let costs = Costs::new(catalogue.attack(id).unwrap(), inputs).unwrap();
    likely(&costs.of(&Expr::<Devices>::defined(n, "test"), sharing), inputs).unwrap()
}

fn money(value: f64) -> Expr<UsdPerDevice> {
    Expr::defined(value, "test")
}

#[test]
fn every_attack_has_its_source_and_its_costs() {
    let (inputs, catalogue) = own();
    assert!(catalogue.attacks.len() >= 24, "the table of published attacks is complete");
    for attack in &catalogue.attacks {
        assert!(inputs.sources().get(&attack.source).is_some(), "{}", attack.id);
        assert!(!attack.fell.is_empty() && !attack.needs.is_empty(), "{}", attack.id);
        let assumed = attack.grade == crate::source::Grade::Assumed;
        assert_eq!(assumed, attack.source == "touchmark", "{}", attack.id);
    }
    for input in inputs.iter().filter(|input| input.key.starts_with("attack.")) {
        let Origin::Source { id, .. } = &input.origin else { panic!("{} has no source", input.key) };
        assert!(inputs.sources().get(id).is_some(), "{}", input.key);
        let mut parts = input.key.split('.');
        if let (Some(_), Some(attack), Some(_)) = (parts.next(), parts.next(), parts.next()) {
            assert!(catalogue.attack(attack).is_some_and(|one| one.costs), "{} is of no attack", input.key);
        }
    }
}

#[test]
fn the_formula_is_the_one_of_the_text() {
    let set = |key: &'static str, value: &str| (key, value.to_owned());
    let inputs = with(&[
        set("attack.rate", "100 USD/hour"),
        set("attack.acquire", "50 USD/device"),
        set("attack.titan.equipment", "12000 USD"),
        set("attack.titan.method", "10 hour"),
        set("attack.titan.device", "6 hour/device"),
        set("attack.titan.sample", "30 USD/device"),
    ]);
    // F = 12,000 + 10 × 100; a + m = 50 + 6 × 100 + 30.
    assert_eq!(cost(&inputs, "titan", 1.0, Sharing::PerDevice), 13_680.0);
    assert_eq!(cost(&inputs, "titan", 1000.0, Sharing::PerDevice), 693_000.0);
    assert_eq!(cost(&inputs, "titan", 1000.0, Sharing::Shared), 13_680.0);
}

#[test]
fn public_data_need_no_device_in_the_hand() {
    let dear = with(&[("attack.acquire", "200 USD/device".to_owned())]);
    let cheap = with(&[("attack.acquire", "10 USD/device".to_owned())]);
    for (id, differs) in [("roca", false), ("tpm-fail", false), ("eucleak", true)] {
        let moved = cost(&dear, id, 100.0, Sharing::PerDevice) > cost(&cheap, id, 100.0, Sharing::PerDevice);
        assert_eq!(moved, differs, "{id}");
    }
}

#[test]
fn where_the_attack_pays_it_pays_and_one_clone_earlier_it_does_not() {
    let (inputs, catalogue) = own();
    for attack in catalogue.attacks.iter().filter(|attack| attack.costs) {
        let costs = Costs::new(attack, &inputs).unwrap();
        let each = likely(&costs.each, &inputs).unwrap();
        assert!(
            costs.pays_from(&money(each), Sharing::PerDevice, &inputs).unwrap().is_none(),
            "{}",
            attack.id
        );
        let gain = each + 10.0;
        let from = costs.pays_from(&money(gain), Sharing::PerDevice, &inputs).unwrap().unwrap();
        let from = likely(&from, &inputs).unwrap();
        assert!(
            cost(&inputs, &attack.id, from, Sharing::PerDevice) <= gain * from * 1.000_001,
            "{}",
            attack.id
        );
        if from > 1.0 {
            let less = from - 1.0;
            assert!(cost(&inputs, &attack.id, less, Sharing::PerDevice) > gain * less, "{}", attack.id);
        }
    }
}

#[test]
fn one_element_opened_is_the_fleet_where_the_secret_is_shared() {
    let (inputs, _) = own();
    let shared = cost(&inputs, "laser", 1e6, Sharing::Shared);
    assert_eq!(shared, cost(&inputs, "laser", 1.0, Sharing::PerDevice));
    // Software with secrets of its own is dearer for a fleet than a chip with a shared one.
    assert!(cost(&inputs, "stm32-trezor", 1e5, Sharing::PerDevice) > shared);
}

#[test]
fn a_part_takes_its_own_attack() {
    let (_, catalogue) = own();
    let stands = |part: &str, storage: &str| {
        let chosen = catalogue.clone().for_part(part).unwrap();
        chosen.stands.into_iter().find(|stand| stand.id == storage).unwrap().attack
    };
    assert_eq!(stands("OPTIGA Trust M", "secure-element"), "eucleak");
    assert_eq!(stands("optiga trust m sls32", "secure-element"), "eucleak");
    assert_eq!(stands("nRF52840", "software"), "nrf52");
    assert_eq!(stands("ST33", "tpm"), "tpm-fail");
    // Nothing was published on it: what stands for elements goes on standing.
    assert_eq!(stands("ATECC608B", "secure-element"), "laser");
    assert!(catalogue.nothing_on("SE050C1").is_some());
    let families: Vec<_> = catalogue.on_part("STM32F405").iter().map(|attack| attack.id.as_str()).collect();
    assert_eq!(families, ["stm32-trezor"]);
    assert!(catalogue.on_part("").is_empty());
    let error = catalogue.clone().for_part("STM32X9").unwrap_err();
    assert_eq!(error.code(), "EC-0003");
    assert!(error.to_string().contains("did you mean"), "{error}");
}

#[test]
fn the_report_leads_everywhere_and_says_what_was_not_found() {
    let (inputs, catalogue) = own();
    for part in [None, Some("ATECC608B"), Some("OPTIGA TPM"), Some("ESP32-C3")] {
        let report = report(&catalogue, part, &inputs).unwrap();
        assert_eq!(walk::orphans(&report), Vec::<String>::new());
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.contains("none found, which is not the same as safe"));
        let lines = report.blocks.iter().find_map(|block| match block {
            Block::Chart(chart) => match &chart.drawing {
                Drawing::Lines { x, y, series, levels } => Some((x, y, series, levels)),
                _ => None,
            },
            _ => None,
        });
        let (x, y, series, levels) = lines.unwrap();
        assert!(x.logarithmic && y.logarithmic);
        assert_eq!((series.len(), levels.len()), (9, 1));
        assert!(series.iter().all(|line| line.points.iter().all(|(_, cost)| *cost > 0.0)));
        for block in &report.blocks {
            let Block::Chart(chart) = block else { continue };
            assert!(!chart.from.is_empty());
            assert!(chart.from.iter().all(|id| report.figures.contains_key(id)), "{:?}", chart.from);
        }
    }
}

#[test]
fn bad_data_name_the_line_and_the_remedy() {
    let (inputs, catalogue) = own();
    let entry = |change: &str| {
        format!(
            "[[attack]]\nid = \"x\"\nname = \"x\"\nyear = 2026\nstorage = \"tpm\"\nfell = \"x\"\nequipment = \"x\"\n\
             time = \"x\"\nreach = \"physical\"\nneeds = \"x\"\nyields = \"key\"\nsource = \"touchmark\"\n\
             grade = \"assumed\"\n{change}"
        )
    };
    let wrong = |text: &str| {
        let text = Text { file: "mine.toml", text };
        catalogue.clone().overridden(text, &inputs).unwrap_err().to_string()
    };
    assert!(wrong(&entry("costs = true\n")).contains("attack.x.equipment"));
    assert!(wrong(&entry("also = \"nowhere\"\n")).contains("there is no source `nowhere`"));
    assert!(wrong(&entry("").replace("\"tpm\"", "\"safe\"")).contains("line 1"));
    assert!(wrong(&entry("colour = \"red\"\n")).contains("line 14"));
    let stand = "[[storage]]\nid = \"tpm\"\ntext = \"TPM\"\nattack = \"tpm-genie\"\n";
    assert!(wrong(stand).contains("no attack `tpm-genie` with costs"));
}

const IDS: [&str; 8] =
    ["stm32-trezor", "esp32-efuse", "faultpm", "sle66", "roca", "titan", "eucleak", "laser"];

proptest! {
    #[test]
    fn cost_rises_with_devices(at in 0..IDS.len(), n in 1.0..1e6_f64, more in 0.0..1e6_f64) {
        let inputs = Inputs::own().unwrap();
        for sharing in Sharing::ALL {
            prop_assert!(cost(&inputs, IDS[at], n + more, sharing) >= cost(&inputs, IDS[at], n, sharing));
        }
    }

    #[test]
    fn cost_rises_with_each_price_and_the_rate(
        at in 0..IDS.len(), n in 1.0..1e6_f64, price in 0.0..1e6_f64, more in 0.0..1e6_f64, which in 0..6_usize,
    ) {
        let id = IDS[at];
        let (key, unit) = [
            (format!("attack.{id}.equipment"), "USD"),
            (format!("attack.{id}.method"), "hour"),
            (format!("attack.{id}.device"), "hour/device"),
            (format!("attack.{id}.sample"), "USD/device"),
            ("attack.rate".to_owned(), "USD/hour"),
            ("attack.acquire".to_owned(), "USD/device"),
        ][which].clone();
        let at_price = |price: f64| with(&[(key.as_str(), format!("{price} {unit}"))]);
        for sharing in Sharing::ALL {
            let (low, high) = (at_price(price), at_price(price + more));
            prop_assert!(cost(&high, id, n, sharing) >= cost(&low, id, n, sharing));
        }
    }

    #[test]
    fn a_shared_secret_is_never_dearer(at in 0..IDS.len(), n in 1.0..1e6_f64) {
        let inputs = Inputs::own().unwrap();
        let (own, shared) =
            (cost(&inputs, IDS[at], n, Sharing::PerDevice), cost(&inputs, IDS[at], n, Sharing::Shared));
        prop_assert!(shared <= own);
        prop_assert_eq!(shared, cost(&inputs, IDS[at], 1.0, Sharing::Shared));
        prop_assert_eq!(shared, cost(&inputs, IDS[at], 1.0, Sharing::PerDevice));
    }

    #[test]
    fn a_budget_opens_what_it_can_pay_and_not_one_more(at in 0..IDS.len(), budget in 0.0..1e7_f64, fleet in 1..1_000_000_u32) {
        let inputs = Inputs::own().unwrap();
        let catalogue = Catalogue::own(&inputs).unwrap();
        let costs = Costs::new(catalogue.attack(IDS[at]).unwrap(), &inputs).unwrap();
        let fleet = f64::from(fleet);
        let (budget_of, fleet_of) =
            (Expr::<Usd>::defined(budget, "test"), Expr::<Devices>::defined(fleet, "test"));
        let opened = likely(&costs.within(&budget_of, &fleet_of, Sharing::PerDevice), &inputs).unwrap();
        prop_assert!((0.0..=fleet).contains(&opened));
        let slack = 1e-6 * budget.max(1.0);
        if opened > 0.0 {
            prop_assert!(cost(&inputs, IDS[at], opened, Sharing::PerDevice) <= budget + slack);
        }
        if opened < fleet {
            prop_assert!(cost(&inputs, IDS[at], opened + 1.0, Sharing::PerDevice) > budget - slack);
        }
        let all = likely(&costs.within(&budget_of, &fleet_of, Sharing::Shared), &inputs).unwrap();
        let first = likely(&costs.of(&one(), Sharing::Shared), &inputs).unwrap();
        prop_assert_eq!(all, if budget >= first { fleet } else { 0.0 });
    }
}
