//! The charts of the report.

use super::{Likely, Line, Lives, Storage};
use crate::input::Inputs;
use crate::plan::{Spread, Swing};
use crate::report::chart::{Axis, Drawing, Series, Shares};
use crate::report::{Chart, Span};

/// Bars of a histogram.
const BINS: u32 = 40;
/// Bars of a tornado.
const SWINGS: usize = 12;

fn usd(title: &str) -> Axis {
    Axis { title: title.to_owned(), unit: "USD".to_owned(), logarithmic: false }
}

/// The totals of all storages, by line. Lines that cost nothing anywhere are left out.
pub(super) fn stacks(likely: &Likely) -> Chart {
    let mut parts = Vec::new();
    for line in Line::ALL {
        let of = |storage: &super::StorageValue| {
            storage.lines.iter().find(|one| one.line == *line).map_or(0.0, |one| one.total_usd)
        };
        let values: Vec<f64> = likely.storages.iter().map(of).collect();
        if values.iter().any(|value| *value > 0.0) {
            parts.push((line.title().to_owned(), values));
        }
    }
    let bars = likely.storages.iter().map(|one| one.storage.title().to_owned()).collect();
    Chart {
        id: "cost-by-storage".to_owned(),
        title: "Cost over the life of the fleet, by storage".to_owned(),
        says: vec![Span::text("One bar for each storage, made of the lines of the table above.")],
        drawing: Drawing::Stacks { y: usd("Cost over the life"), bars, parts },
        from: likely.storages.iter().map(|one| format!("cost.{}.total", one.storage)).collect(),
    }
}

/// What was paid by each year, for one hardware and for software. The lines cross where hardware has paid for itself.
pub(super) fn cumulative(likely: &Likely, storage: Storage, payback: Vec<Span>) -> Chart {
    let shown = [storage, Storage::Software];
    let of = |storage: &Storage| {
        let points = likely.storage(*storage).map(|one| one.cumulative_usd.clone()).unwrap_or_default();
        Series { name: storage.title().to_owned(), points }
    };
    let x = Axis { title: "Years in use".to_owned(), unit: "year".to_owned(), logarithmic: false };
    Chart {
        id: "cost-by-year".to_owned(),
        title: format!("What was paid by each year: {} and software", storage.title().to_lowercase()),
        says: payback,
        drawing: Drawing::Lines {
            x,
            y: usd("Paid so far"),
            series: shown.iter().map(of).collect(),
            levels: Vec::new(),
        },
        from: shown
            .iter()
            .flat_map(|one| [format!("cost.{one}.once"), format!("cost.{one}.yearly")])
            .collect(),
    }
}

/// How often the difference falls into which interval.
pub(super) fn histogram(lives: &Lives, storage: Storage) -> Option<Chart> {
    let net = lives.net(storage)?;
    Some(Chart {
        id: "lives".to_owned(),
        title: format!("What software costs more than {}, in sampled lives", with_article(storage)),
        says: vec![
            Span::text("Right of zero the hardware is cheaper: in a share of "),
            Span::Figure { id: format!("lives.{storage}.cheaper") },
            Span::text(" of the lives."),
        ],
        drawing: Drawing::Histogram {
            x: usd("Software less hardware, over the life"),
            series: vec![Shares { name: "Lives".to_owned(), bins: bins(net) }],
        },
        from: vec![format!("versus.{storage}.net"), "run.lives".to_owned(), "run.seed".to_owned()],
    })
}

pub(super) fn with_article(storage: Storage) -> &'static str {
    match storage {
        Storage::SecureElement => "a secure element",
        Storage::Tpm => "a TPM",
        Storage::Enclave => "an enclave",
        Storage::Software => "software",
    }
}

fn bins(spread: &Spread) -> Vec<(f64, f64, f64)> {
    let (low, high) = (spread.quantile(0.0), spread.quantile(1.0));
    if low >= high {
        return vec![(low, high, 1.0)];
    }
    let step = (high - low) / f64::from(BINS);
    let edge = |number: u32| if number == BINS { high } else { low + step * f64::from(number) };
    // Above the lower edge, up to the upper one; the first holds its lower edge as well.
    let above = |number: u32| if number == 0 { 1.0 } else { spread.share_above(edge(number)) };
    (0..BINS).map(|number| (edge(number), edge(number + 1), above(number) - above(number + 1))).collect()
}

/// What moves the difference.
pub(super) fn tornado(likely: &Likely, storage: Storage, swings: &[Swing], inputs: &Inputs) -> Chart {
    let middle = likely.versus(storage).map_or(0.0, |one| one.net_usd);
    let name = |key: &str| inputs.get(key).map_or_else(|| key.to_owned(), |input| input.text.clone());
    let shown = swings.get(..swings.len().min(SWINGS)).unwrap_or_default();
    let mut from = vec![format!("versus.{storage}.net")];
    from.extend(shown.iter().map(|swing| swing.key.clone()));
    Chart {
        id: "tornado".to_owned(),
        title: format!("What moves the difference between software and {}", with_article(storage)),
        says: vec![Span::text(
            "Each bar goes from the difference at an input's lowest to that at its highest value, all others being likely. \
             Where a bar crosses zero, that input alone decides which is cheaper.",
        )],
        drawing: Drawing::Tornado {
            x: usd("Software less hardware, over the life"),
            middle,
            bars: shown.iter().map(|swing| (name(&swing.key), swing.at_low, swing.at_high)).collect(),
        },
        from,
    }
}
