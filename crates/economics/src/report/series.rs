//! The values of a chart as rows: for tables beside the drawing, and for spreadsheets.

use super::chart::{Chart, Drawing};
use super::number::{plain, written};

/// One drawn value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    /// Whose it is.
    pub(super) series: String,
    /// Where it lies across: a number or a name.
    pub(super) x: Across,
    /// The value.
    pub(super) y: f64,
    /// Its unit.
    pub(super) unit: String,
}

/// Where a value lies across.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Across {
    /// At a number, with its unit.
    Number(f64, String),
    /// In an interval, with its unit.
    Interval(f64, f64, String),
    /// At something with a name.
    Name(String),
}

/// All values that a chart draws.
pub(super) fn points(chart: &Chart) -> Vec<Point> {
    let mut points = Vec::new();
    let mut add = |series: &str, x: Across, y: f64, unit: &str| {
        points.push(Point { series: series.to_owned(), x, y, unit: unit.to_owned() });
    };
    match &chart.drawing {
        Drawing::Lines { x, y, series, levels } => {
            for one in series {
                for (at, value) in &one.points {
                    add(&one.name, Across::Number(*at, x.unit.clone()), *value, &y.unit);
                }
            }
            for level in levels {
                add(&level.name, Across::Name("everywhere".to_owned()), level.value, &y.unit);
            }
        }
        Drawing::Stacks { y, bars, parts } => {
            for (name, values) in parts {
                for (bar, value) in bars.iter().zip(values) {
                    add(name, Across::Name(bar.clone()), *value, &y.unit);
                }
            }
        }
        Drawing::Tornado { x, middle, bars } => {
            add("all likely", Across::Name("all inputs".to_owned()), *middle, &x.unit);
            for (name, low, high) in bars {
                add("at its lowest", Across::Name(name.clone()), *low, &x.unit);
                add("at its highest", Across::Name(name.clone()), *high, &x.unit);
            }
        }
        Drawing::Histogram { x, series } => {
            for one in series {
                for (from, to, share) in &one.bins {
                    add(&one.name, Across::Interval(*from, *to, x.unit.clone()), *share, "1");
                }
            }
        }
        Drawing::Radar { spokes, series, .. } => {
            for (name, scores) in series {
                for (spoke, score) in spokes.iter().zip(scores) {
                    add(name, Across::Name(spoke.clone()), *score, "1");
                }
            }
        }
    }
    points
}

/// The values of a chart as a table of text; the first column names what the row is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// Whether rows were left out to keep it short.
    pub(super) thinned: bool,
}

/// The values of a chart as a table of at most so many rows, evenly chosen where there are more.
pub(super) fn table(chart: &Chart, most: usize) -> Table {
    let (columns, rows) = whole(chart);
    let count = rows.len();
    // Of rows without an order none can be left out.
    let ordered = matches!(chart.drawing, Drawing::Lines { .. } | Drawing::Histogram { .. });
    let thinned = ordered && count > most && most > 1;
    let every = if thinned { (count - 1).div_ceil(most - 1) } else { 1 };
    let kept = |at: usize| at.is_multiple_of(every) || at + 1 == count;
    let rows = rows.into_iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, row)| row).collect();
    Table { columns, rows, thinned }
}

fn whole(chart: &Chart) -> (Vec<String>, Vec<Vec<String>>) {
    let head = |first: String, names: &mut dyn Iterator<Item = String>| -> Vec<String> {
        std::iter::once(first).chain(names).collect()
    };
    let titled = |axis: &super::chart::Axis| match axis.unit.as_str() {
        "" | "1" => axis.title.clone(),
        unit => format!("{} ({unit})", axis.title),
    };
    match &chart.drawing {
        Drawing::Lines { x, y, series, levels } => {
            let mut across: Vec<f64> = series.iter().flat_map(|one| &one.points).map(|(x, _)| *x).collect();
            across.sort_by(f64::total_cmp);
            across.dedup();
            let columns = head(titled(x), &mut series.iter().map(|one| format!("{} ({})", one.name, y.unit)));
            let row = |at: &f64| -> Vec<String> {
                let value = |one: &super::chart::Series| {
                    let found = one.points.iter().find(|(x, _)| x.total_cmp(at).is_eq());
                    found.map(|(_, y)| plain(*y)).unwrap_or_default()
                };
                std::iter::once(plain(*at)).chain(series.iter().map(value)).collect()
            };
            let mut rows: Vec<_> = across.iter().map(row).collect();
            for level in levels {
                let values = series.iter().map(|_| plain(level.value));
                rows.push(std::iter::once(level.name.clone()).chain(values).collect());
            }
            (columns, rows)
        }
        Drawing::Stacks { y, bars, parts } => {
            let columns = head(titled(y), &mut bars.iter().cloned());
            let mut rows: Vec<Vec<String>> = parts
                .iter()
                .map(|(name, values)| head(name.clone(), &mut values.iter().map(|value| plain(*value))))
                .collect();
            let total =
                |bar: usize| parts.iter().filter_map(|(_, values)| values.get(bar)).copied().sum::<f64>();
            rows.push(head("Together".to_owned(), &mut (0..bars.len()).map(|bar| plain(total(bar)))));
            (columns, rows)
        }
        Drawing::Tornado { x, middle, bars } => {
            let ends = ["at its lowest", "all likely", "at its highest"];
            let columns = head(format!("Input, {}", titled(x)), &mut ends.into_iter().map(str::to_owned));
            let row = |(name, low, high): &(String, f64, f64)| {
                vec![name.clone(), plain(*low), plain(*middle), plain(*high)]
            };
            (columns, bars.iter().map(row).collect())
        }
        Drawing::Histogram { x, series } => {
            let mut bins: Vec<(f64, f64)> =
                series.iter().flat_map(|one| &one.bins).map(|(from, to, _)| (*from, *to)).collect();
            bins.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            bins.dedup();
            let columns =
                head(titled(x), &mut series.iter().map(|one| format!("{}, share of lives", one.name)));
            let row = |(from, to): &(f64, f64)| -> Vec<String> {
                let share = |one: &super::chart::Shares| {
                    let same =
                        |bin: &&(f64, f64, f64)| bin.0.total_cmp(from).is_eq() && bin.1.total_cmp(to).is_eq();
                    let found = one.bins.iter().find(same);
                    found.map(|(_, _, share)| format!("{} %", plain(share * 100.0))).unwrap_or_default()
                };
                std::iter::once(format!("{} to {}", plain(*from), plain(*to)))
                    .chain(series.iter().map(share))
                    .collect()
            };
            (columns, bins.iter().map(row).collect())
        }
        Drawing::Radar { most, spokes, series } => {
            let of = format!("Score, at most {}", written(*most, "1"));
            let columns = head(of, &mut series.iter().map(|(name, _)| name.clone()));
            let row = |(at, spoke): (usize, &String)| {
                let score = |(_, scores): &(String, Vec<f64>)| {
                    scores.get(at).map(|score| plain(*score)).unwrap_or_default()
                };
                head(spoke.clone(), &mut series.iter().map(score))
            };
            (columns, spokes.iter().enumerate().map(row).collect())
        }
    }
}
