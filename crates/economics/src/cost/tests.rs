use proptest::prelude::*;

use super::{Choices, Likely, Line, Model, Only, Options, Storage, report};
use crate::EconomicsError;
use crate::error::Text;
use crate::input::Inputs;
use crate::planner::{Authority, Revocation};
use crate::report::chart::Drawing;
use crate::report::{Block, FigureOrigin, Report, walk};

fn own() -> Inputs {
    Inputs::own().unwrap()
}

fn with(inputs: Inputs, key: &str, value: f64) -> Inputs {
    let unit = inputs.get(key).unwrap().unit;
    inputs.given("test", key, &format!("{value} {unit}")).unwrap()
}

fn likely(inputs: &Inputs, choices: Choices) -> Likely {
    Model::new(inputs, choices).unwrap().likely().unwrap()
}

fn total(likely: &Likely, storage: Storage) -> f64 {
    likely.storage(storage).unwrap().total_usd
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (a.abs() + b.abs() + 1.0)
}

fn choices() -> impl Strategy<Value = Choices> {
    let authority = prop::sample::select(Authority::ALL);
    let revocation = prop::sample::select(Revocation::ALL);
    (authority, revocation, any::<bool>()).prop_map(|(authority, revocation, discounted)| Choices {
        authority,
        revocation,
        discounted,
    })
}

/// What raises the cost of every storage, or of those it concerns, and never lowers any.
const RAISES: &[(&str, f64)] = &[
    ("fleet.devices", 2_000_000.0),
    ("fleet.lifetime", 20.0),
    ("part.secure-element.price", 10.0),
    ("part.tpm.price", 10.0),
    ("part.enclave.price", 10.0),
    ("people.engineer", 300.0),
    ("people.analyst", 300.0),
    ("people.operator", 300.0),
    ("alerts.behaviour", 0.2),
    ("alerts.duplicates", 0.2),
    ("investigation.minutes", 90.0),
    ("visits.price", 2_000.0),
    ("ca.managed.ocsp", 1.0),
    ("ca.own.setup", 1e6),
    ("hsm.hour-price", 10.0),
    ("incidents.software.rate", 2.0),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn more_devices_years_prices_hours_and_alerts_never_cost_less(
        (key, most) in prop::sample::select(RAISES), a in 0.01..1.0_f64, b in 0.01..1.0_f64, choices in choices(),
    ) {
        let (less, more) = (a.min(b) * most, a.max(b) * most);
        let floor = own().get(key).unwrap().bounds().0;
        let (less, more) = (less.max(floor), more.max(floor));
        let (less, more) = (likely(&with(own(), key, less), choices), likely(&with(own(), key, more), choices));
        for storage in Storage::ALL {
            let (less, more) = (total(&less, *storage), total(&more, *storage));
            prop_assert!(less <= more * (1.0 + 1e-12), "{key}, {storage}: {less} became {more}");
        }
    }

    #[test]
    fn at_its_break_even_price_hardware_costs_what_software_costs(
        alerts in 0.0005..0.03_f64, devices in 1_000.0..1e6_f64, choices in choices(),
    ) {
        let inputs = with(with(own(), "alerts.duplicates", alerts), "fleet.devices", devices.round());
        let before = likely(&inputs, choices);
        for storage in Storage::hardware() {
            let price = before.versus(*storage).unwrap().break_even_price;
            if price >= 0.0 {
                let inputs = with(inputs.clone(), &format!("part.{storage}.price"), price);
                let after = likely(&inputs, choices);
                let (hardware, software) = (total(&after, *storage), total(&after, Storage::Software));
                prop_assert!((hardware - software).abs() < 1e-6 * software, "{storage}: {hardware} {software}");
            }
        }
    }

    #[test]
    fn the_later_the_less(rate in 0.001..1.0_f64, years in 0.25..50.0_f64) {
        let inputs = with(with(own(), "fleet.lifetime", years), "finance.discount-rate", rate);
        for one in likely(&inputs, Choices::default()).storages {
            prop_assert!(one.present_usd < one.plain_usd);
            prop_assert!(one.present_usd > one.once_usd);
            prop_assert!(near(one.total_usd, one.plain_usd));
        }
        let choices = Choices { discounted: true, ..Choices::default() };
        for one in likely(&inputs, choices).storages {
            prop_assert!(near(one.total_usd, one.present_usd));
        }
    }

    #[test]
    fn lines_add_up_and_years_add_up(choices in choices(), years in 0.25..30.0_f64) {
        let values = likely(&with(own(), "fleet.lifetime", years), choices);
        for one in &values.storages {
            prop_assert_eq!(one.lines.len(), Line::ALL.len());
            prop_assert!(near(one.lines.iter().map(|line| line.total_usd).sum(), one.total_usd));
            let (first, last) = (one.cumulative_usd.first().unwrap(), one.cumulative_usd.last().unwrap());
            prop_assert!(near(first.1, one.once_usd));
            prop_assert!(near(last.0, years) && near(last.1, one.total_usd), "{last:?} {}", one.total_usd);
            prop_assert!(near(one.per_device_year_usd * values.devices * years, one.total_usd));
        }
        for one in &values.versus {
            prop_assert!(near(one.gross_usd - one.saved_usd, one.net_usd));
        }
    }

    #[test]
    fn a_dearer_chip_is_cheaper_in_fewer_lives(a in 0.0..8.0_f64, b in 0.0..8.0_f64, seed in any::<u64>()) {
        let share = |price: f64| {
            let inputs = with(own(), "part.secure-element.price", price);
            let lives = Model::new(&inputs, Choices::default()).unwrap().lives(300, seed).unwrap();
            lives.cheaper(Storage::SecureElement)
        };
        let (cheap, dear) = (share(a.min(b)), share(a.max(b)));
        prop_assert!((0.0..=1.0).contains(&cheap) && (0.0..=1.0).contains(&dear));
        prop_assert!(cheap >= dear);
    }
}

#[test]
fn without_a_discount_rate_years_count_the_same() {
    let inputs = with(own(), "finance.discount-rate", 0.0);
    for one in likely(&inputs, Choices::default()).storages {
        assert!(near(one.present_usd, one.plain_usd));
    }
}

#[test]
fn a_payback_is_where_the_lines_cross() {
    let inputs = with(own(), "alerts.duplicates", 0.01);
    let values = likely(&inputs, Choices::default());
    let one = values.versus(Storage::SecureElement).unwrap();
    let years = one.payback_years.unwrap();
    let paid = |storage: Storage| {
        let cost = values.storage(storage).unwrap();
        cost.once_usd + cost.yearly_usd * years
    };
    assert!(years > 0.0 && near(paid(Storage::SecureElement), paid(Storage::Software)));
    let quiet = with(with(own(), "alerts.duplicates", 0.0001), "monitoring.duplicates.posts", 0.0);
    let values = likely(&quiet, Choices::default());
    assert_eq!(values.versus(Storage::SecureElement).unwrap().payback_years, None);
}

#[test]
fn no_incident_is_in_the_totals_unless_its_rate_is_given() {
    let incidents = |inputs: &Inputs| {
        let values = likely(inputs, Choices::default());
        let line = |storage| {
            values
                .storage(storage)
                .unwrap()
                .lines
                .iter()
                .find(|one| one.line == Line::Incidents)
                .unwrap()
                .total_usd
        };
        (line(Storage::SecureElement), line(Storage::Software).round())
    };
    assert_eq!(incidents(&own()), (0.0, 0.0));
    assert_eq!(incidents(&with(own(), "incidents.software.rate", 0.1)), (0.0, 175_000.0));
}

#[test]
fn the_worked_example_is_what_it_was() {
    let inputs = own();
    let model = Model::new(&inputs, Choices::default()).unwrap();
    let values = model.likely().unwrap();
    let lives = model.lives(10_000, 1).unwrap();
    assert_eq!(lives, model.lives(10_000, 1).unwrap());
    assert_ne!(lives, model.lives(10_000, 2).unwrap());
    let mut seen = Vec::new();
    for storage in Storage::ALL {
        seen.push(format!("{storage}: {:.0}", total(&values, *storage)));
    }
    let net = lives.net(Storage::SecureElement).unwrap();
    for share in [0.05, 0.5, 0.95] {
        seen.push(format!("net {share}: {:.0}", net.quantile(share)));
    }
    seen.push(format!("cheaper: {:.4}", lives.cheaper(Storage::SecureElement)));
    let expected = [
        "secure-element: 1098848",
        "tpm: 1770056",
        "enclave: 1178068",
        "software: 1058260",
        "net 0.05: -540239",
        "net 0.5: 89946",
        "net 0.95: 867044",
        "cheaper: 0.5871",
    ];
    assert_eq!(seen, expected);
}

fn figures(report: &Report) -> impl Iterator<Item = (&String, f64)> {
    report.figures.iter().map(|(id, figure)| (id, figure.value))
}

#[test]
fn every_figure_of_the_report_is_a_number_and_leads_somewhere() {
    for only in [Only::All, Only::Cost, Only::Planner] {
        for choices in [
            Choices::default(),
            Choices { authority: Authority::Own, revocation: Revocation::Ocsp, discounted: true },
        ] {
            let options = Options { only, choices, lives: 500, ..Options::default() };
            let report = report(&own(), &options).unwrap();
            assert_eq!(walk::orphans(&report), Vec::<String>::new());
            assert_eq!(figures(&report).find(|(_, value)| !value.is_finite()), None);
            for block in &report.blocks {
                if let Block::Chart(chart) = block {
                    assert!(chart.from.iter().all(|id| report.figures.contains_key(id)), "{}", chart.id);
                }
            }
            for figure in report.figures.values() {
                if let FigureOrigin::Calculated { from, formula } = &figure.origin {
                    assert!(from.iter().all(|id| report.figures.contains_key(id)), "{formula}");
                }
            }
        }
    }
}

#[test]
fn bars_of_the_histogram_hold_all_lives() {
    let report = report(&own(), &Options { lives: 777, ..Options::default() }).unwrap();
    let bins = report.blocks.iter().find_map(|block| match block {
        Block::Chart(chart) => match &chart.drawing {
            Drawing::Histogram { series, .. } => series.first().map(|one| one.bins.clone()),
            _ => None,
        },
        _ => None,
    });
    let bins = bins.unwrap();
    assert!(near(bins.iter().map(|(_, _, share)| share).sum(), 1.0));
    assert!(bins.iter().all(|(from, to, share)| from < to && *share >= 0.0));
}

#[test]
fn money_is_shown_in_the_currency_that_is_wanted() {
    let options = Options { currency: Some("EUR".to_owned()), lives: 500, ..Options::default() };
    let missing = report(&own(), &options).unwrap_err();
    assert!(
        matches!(&missing, EconomicsError::Argument { remedy, .. } if remedy.contains("--rate")),
        "{missing}"
    );
    let inputs = own().given("--rate", "currency.rate", "0.5 1").unwrap();
    let euros = report(&inputs, &options).unwrap();
    let dollars = report(&inputs, &Options { currency: None, ..options }).unwrap();
    for id in ["cost.software.total", "lives.software.high", "versus.tpm.net"] {
        let (euro, dollar) = (&euros.figures[id], &dollars.figures[id]);
        assert_eq!((euro.value, euro.unit.as_str()), (dollar.value / 2.0, "EUR"));
    }
    let highest = |report: &Report| {
        report.blocks.iter().find_map(|block| match block {
            Block::Chart(chart) => match &chart.drawing {
                Drawing::Stacks { y, parts, .. } => Some((y.unit.clone(), parts[0].1[0])),
                _ => None,
            },
            _ => None,
        })
    };
    let ((unit, euro), (_, dollar)) = (highest(&euros).unwrap(), highest(&dollars).unwrap());
    assert!(unit == "EUR" && near(euro * 2.0, dollar), "{unit} {euro} {dollar}");
    assert_eq!(euros.data, dollars.data);
}

#[test]
fn what_cannot_be_is_refused_with_its_remedy() {
    let options = Options::default();
    for (wrong, word) in [
        (Options { lives: 3, ..options.clone() }, "between 100"),
        (Options { storage: Storage::Software, ..options.clone() }, "secure-element"),
        (Options { currency: Some("euro".to_owned()), ..options.clone() }, "EUR"),
    ] {
        let error = report(&own(), &wrong).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    for (words, line, remedy) in [
        ("[inputs]\n\"fleet.devices\" = \"-5 device\"\n", "line 2", "write 1 device or more"),
        ("[inputs]\n\n\"people.analyst\" = 60\n", "line 3", "60 USD/hour"),
        (
            "[inputs]\n\"part.secure-elemet.price\" = \"1 USD/device\"\n",
            "line 2",
            "part.secure-element.price",
        ),
        ("[inputs]\n\"fleet.lifetime\" = \"84 month\"\n", "line 2", "year"),
        ("[inputs]\n\"certificate.renewed-at\" = \"1.2 1\"\n", "line 2", "or less"),
    ] {
        let error = own().overridden(Text { file: "fleet.toml", text: words }).unwrap_err().to_string();
        assert!(error.contains("fleet.toml") && error.contains(line) && error.contains(remedy), "{error}");
    }
    assert!("chip".parse::<Storage>().is_err());
}

#[test]
fn every_input_of_the_costs_is_used() {
    let mut used: Vec<String> = vec!["currency.rate".to_owned()];
    for authority in Authority::ALL {
        for revocation in Revocation::ALL {
            let choices = Choices { authority: *authority, revocation: *revocation, discounted: true };
            let options = Options { choices, lives: 100, ..Options::default() };
            used.extend(report(&own(), &options).unwrap().figures.into_keys());
        }
    }
    let idle = |key: &&str| {
        let elsewhere = ["article.", "attack", "part."];
        !elsewhere.iter().any(|prefix| key.starts_with(prefix)) && !used.iter().any(|one| one == key)
    };
    let costs = include_str!("../../../../data/economics/costs.toml");
    let keys = costs.lines().filter_map(|line| line.strip_prefix("key = \"")?.strip_suffix('"'));
    assert_eq!(keys.filter(idle).collect::<Vec<_>>(), Vec::<&str>::new());
}
