//! Charts as bars of letters and tables.

use super::grid::Grid;
use crate::report::chart::{Chart, Drawing, Shares};
use crate::report::number::plain;
use crate::report::series;

/// How many rows a table of a chart's values has at most, and how wide bars are.
const ROWS: usize = 9;
const BAR: f64 = 40.0;

/// A chart as text, each line ending in a line feed.
pub(super) fn drawn(chart: &Chart) -> String {
    match &chart.drawing {
        Drawing::Lines { .. } => table(chart),
        Drawing::Stacks { bars, parts, .. } => format!("{}\n{}", stacks(bars, parts), table(chart)),
        Drawing::Tornado { middle, bars, .. } => tornado(*middle, bars),
        Drawing::Histogram { x, series } => {
            series.iter().map(|one| histogram(&x.title, &x.unit, one)).collect::<Vec<_>>().join("\n")
        }
        Drawing::Radar { most, spokes, series } => radar(*most, spokes, series),
    }
}

fn table(chart: &Chart) -> String {
    let series::Table { columns, rows, .. } = series::table(chart, ROWS);
    let numbers =
        (0..columns.len()).map(|at| at > 0 || matches!(chart.drawing, Drawing::Lines { .. })).collect();
    let cells = |row: Vec<String>| row.iter().map(|cell| super::clean(cell)).collect();
    Grid { columns: cells(columns), rows: rows.into_iter().map(cells).collect(), numbers }.written()
}

/// So many times a character, for a share of the bar.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the width of a bar")]
fn times(character: char, share: f64) -> String {
    let count = if share.is_finite() { (share.clamp(0.0, 1.0) * BAR).round() as usize } else { 0 };
    std::iter::repeat_n(character, count).collect()
}

fn grid<const N: usize>(columns: [&str; N], numbers: [bool; N], rows: Vec<[String; N]>) -> String {
    Grid {
        columns: columns.map(super::clean).to_vec(),
        rows: rows.into_iter().map(|row| row.map(|cell| super::clean(&cell)).to_vec()).collect(),
        numbers: numbers.to_vec(),
    }
    .written()
}

fn stacks(bars: &[String], parts: &[(String, Vec<f64>)]) -> String {
    let value = |values: &[f64], bar: usize| {
        values.get(bar).copied().filter(|value| value.is_finite()).unwrap_or(0.0)
    };
    let total = |bar: usize| parts.iter().map(|(_, values)| value(values, bar)).sum::<f64>();
    let size = |bar: usize| parts.iter().map(|(_, values)| value(values, bar).max(0.0)).sum::<f64>();
    let most = (0..bars.len()).map(size).fold(0.0, f64::max);
    let letter = |at: usize| char::from(b'A' + u8::try_from(at % 26).unwrap_or(0));
    let row = |(bar, name): (usize, &String)| {
        let all: String = parts
            .iter()
            .enumerate()
            .map(|(at, (_, values))| times(letter(at), value(values, bar) / most))
            .collect();
        [name.clone(), all, plain(total(bar))]
    };
    let key: Vec<_> =
        parts.iter().enumerate().map(|(at, (name, _))| format!("{} {name}", letter(at))).collect();
    let mut text =
        grid(["", "", "Together"], [false, false, true], bars.iter().enumerate().map(row).collect());
    super::lines(&mut text, &super::clean(&key.join(", ")), "  ", "  ");
    text
}

fn tornado(middle: f64, bars: &[(String, f64, f64)]) -> String {
    let all =
        || bars.iter().flat_map(|(_, low, high)| [*low, *high]).chain([middle]).filter(|end| end.is_finite());
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let width = (most - least).max(f64::MIN_POSITIVE);
    let row = |(name, low, high): &(String, f64, f64)| {
        let (from, to) = (low.min(*high), low.max(*high));
        let (left, right) = if low <= high { ('█', '░') } else { ('░', '█') };
        let bar = format!(
            "{}{}│{}",
            times('·', (from.min(middle) - least) / width),
            times(left, (middle.min(to) - from) / width),
            times(right, (to - middle.max(from)) / width),
        );
        [name.clone(), bar, plain(*low), plain(*high)]
    };
    let columns = ["Input", "█ at its lowest, ░ at its highest", "At lowest", "At highest"];
    grid(columns, [false, false, true, true], bars.iter().map(row).collect())
}

fn histogram(title: &str, unit: &str, shares: &Shares) -> String {
    // Neighbours are put together so that a histogram fits on a screen.
    let together = shares.bins.len().div_ceil(15).max(1);
    let bins: Vec<(f64, f64, f64)> = shares
        .bins
        .chunks(together)
        .filter_map(|bins| Some((bins.first()?.0, bins.last()?.1, bins.iter().map(|bin| bin.2).sum())))
        .collect();
    // Empty ends say nothing.
    let first = bins.iter().position(|bin| bin.2 > 0.0).unwrap_or(0);
    let last = bins.iter().rposition(|bin| bin.2 > 0.0).unwrap_or(0);
    let bins = bins.get(first..=last).unwrap_or_default();
    let most = bins.iter().map(|bin| bin.2).fold(f64::MIN_POSITIVE, f64::max);
    let row = |(from, to, share): &(f64, f64, f64)| {
        [
            format!("{} to {}", plain(*from), plain(*to)),
            times('█', share / most),
            // A tenth of a per cent is all that sampling tells.
            format!("{} %", plain((share * 1000.0).round() / 10.0)),
        ]
    };
    let name = format!("{title} ({unit})");
    grid([&name, &shares.name, "Lives"], [false, false, true], bins.iter().map(row).collect())
}

fn radar(most: f64, spokes: &[String], series: &[(String, Vec<f64>)]) -> String {
    let cell = |score: f64| {
        let bar = times('█', score / most / 3.0);
        format!("{} {bar}", plain(score))
    };
    let row = |(at, spoke): (usize, &String)| {
        let scores =
            series.iter().map(|(_, scores)| scores.get(at).map(|score| cell(*score)).unwrap_or_default());
        std::iter::once(spoke.clone()).chain(scores).collect()
    };
    let columns = std::iter::once("Score").chain(series.iter().map(|(name, _)| name.as_str()));
    let columns: Vec<_> = columns.map(super::clean).collect();
    let numbers = vec![false; columns.len()];
    let rows: Vec<Vec<String>> = spokes.iter().enumerate().map(row).collect();
    let rows = rows.into_iter().map(|row| row.iter().map(|cell| super::clean(cell)).collect()).collect();
    Grid { columns, rows, numbers }.written()
}
