//! A report's figures, the values of its charts and its sources as one table for a spreadsheet.

use super::series::{self, Across};
use super::{Block, Figure, FigureOrigin, Report, words};

/// The head of the table.
///
/// `kind` is `figure`, `point` or `source`. A figure has `id`, `text`, `value`, `low`, `high`, `unit`; `origin` is `source`,
/// `given`, `defined` or `calculated`; `source` is a source's id or the user's file and line, `grade` and `date` belong to it;
/// `from` is the formula or the reason. A point of a chart has the chart's id in `id`, its title in `text`, and `series`;
/// it lies at `x`, a number or a name, or between `low` and `high`, in `x_unit`, and has `value` in `unit`. A source has `id`,
/// `text`, `date`, and its address in `source`.
pub const HEAD: &[&str] = &[
    "kind", "id", "text", "value", "low", "high", "unit", "origin", "source", "grade", "date", "from",
    "series", "x", "x_unit",
];

/// One row, by the names of [`HEAD`].
#[derive(Default)]
struct Row {
    kind: &'static str,
    id: String,
    text: String,
    value: String,
    low: String,
    high: String,
    unit: String,
    origin: &'static str,
    source: String,
    grade: &'static str,
    date: String,
    from: String,
    series: String,
    x: String,
    x_unit: String,
}

/// The report as CSV after RFC 4180, lines ending in CR LF. Numbers are written in full.
#[must_use]
pub fn written(report: &Report) -> String {
    let mut csv = HEAD.join(",");
    csv.push_str("\r\n");
    let mut add = |row: Row| {
        let Row { kind, id, text, value, low, high, unit, .. } = row;
        let Row { origin, source, grade, date, from, series, x, x_unit, .. } = row;
        let cells = [
            kind.to_owned(),
            safe(&id),
            safe(&text),
            value,
            low,
            high,
            safe(&unit),
            origin.to_owned(),
            safe(&source),
            grade.to_owned(),
            safe(&date),
            safe(&from),
            safe(&series),
            x,
            safe(&x_unit),
        ];
        let cells: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
        csv.push_str(&cells.join(","));
        csv.push_str("\r\n");
    };
    for (id, figure) in words::figures(report) {
        add(of_figure(id, figure));
    }
    for block in &report.blocks {
        let Block::Chart(chart) = block else { continue };
        for point in series::points(chart) {
            let row = Row {
                kind: "point",
                id: chart.id.clone(),
                text: chart.title.clone(),
                value: point.y.to_string(),
                unit: point.unit,
                from: chart.from.join(" "),
                series: point.series,
                ..Row::default()
            };
            add(match point.x {
                Across::Number(x, x_unit) => Row { x: x.to_string(), x_unit, ..row },
                Across::Interval(low, high, x_unit) => {
                    Row { low: low.to_string(), high: high.to_string(), x_unit, ..row }
                }
                Across::Name(name) => Row { x: safe(&name), ..row },
            });
        }
    }
    for (id, source) in &report.sources {
        add(Row {
            kind: "source",
            id: id.clone(),
            text: source.title.clone(),
            source: source.address.clone(),
            date: source.date.clone(),
            ..Row::default()
        });
    }
    csv
}

fn of_figure(id: &str, figure: &Figure) -> Row {
    let [low, high] = figure.range.unwrap_or([figure.value; 2]).map(|end| end.to_string());
    let row = Row {
        kind: "figure",
        id: id.to_owned(),
        text: figure.text.clone(),
        value: figure.value.to_string(),
        unit: figure.unit.clone(),
        ..Row::default()
    };
    match &figure.origin {
        FigureOrigin::Source { source, grade, date, note } => Row {
            origin: "source",
            source: source.clone(),
            grade: grade.word(),
            date: date.clone(),
            from: note.clone(),
            low,
            high,
            ..row
        },
        FigureOrigin::Given { file, line } => {
            Row { origin: "given", source: words::given(file, *line), grade: "yours", low, high, ..row }
        }
        FigureOrigin::Defined { reason } => Row { origin: "defined", from: reason.clone(), ..row },
        FigureOrigin::Calculated { formula, from } => {
            let beside = words::beside(formula, from);
            let with =
                if beside.is_empty() { String::new() } else { format!("; with {}", beside.join(", ")) };
            Row { origin: "calculated", from: format!("{formula}{with}"), ..row }
        }
    }
}

/// Words that a spreadsheet would take for a formula get a quote before them.
fn safe(words: &str) -> String {
    if words.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{words}") } else { words.to_owned() }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// The rows of a CSV, read after RFC 4180.
    fn rows(csv: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut cell, mut inside) = (Vec::new(), Vec::new(), String::new(), false);
        let mut letters = csv.chars().peekable();
        while let Some(letter) = letters.next() {
            match (letter, inside) {
                ('"', true) if letters.peek() == Some(&'"') => cell.extend(letters.next()),
                ('"', _) => inside = !inside,
                (',', false) => row.push(std::mem::take(&mut cell)),
                ('\r', false) => {}
                ('\n', false) => {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                (letter, _) => cell.push(letter),
            }
        }
        assert!(row.is_empty() && cell.is_empty() && !inside);
        rows
    }

    #[test]
    fn each_row_is_as_long_as_the_head_and_nothing_is_missing() {
        let report = sample::report();
        let rows = rows(&written(&report));
        assert!(rows.iter().all(|row| row.len() == HEAD.len()));
        let count = |kind: &str| rows.iter().filter(|row| row[0] == kind).count();
        assert_eq!(count("figure"), report.figures.len());
        assert_eq!(count("source"), report.sources.len());
        assert_eq!(count("point"), 7 * 55 + 1 + 3 * 10 + 2 * 4 + 1 + 2 * 30 + 2 * 9);
        let total = rows.iter().find(|row| row[1] == "cost.total").unwrap();
        assert_eq!(total[3].parse::<f64>().unwrap().to_bits(), report.figures["cost.total"].value.to_bits());
    }

    #[test]
    fn a_name_does_not_become_a_formula() {
        let mut report = sample::report();
        report.figures.get_mut("cost.total").unwrap().text = "=HYPERLINK(\"http://x\",\"y\")\nz".to_owned();
        let rows = rows(&written(&report));
        let total = rows.iter().find(|row| row[1] == "cost.total").unwrap();
        assert_eq!(total[2], "'=HYPERLINK(\"http://x\",\"y\")\nz");
    }
}
