//! A report as Markdown: each figure a link to its row in a table at the end.

use std::fmt::Write;

use super::words::{self, Piece, slug};
use super::{Block, Chart, FigureOrigin, Report, Span, number, series};

/// More rows of a chart's values are not written; the CSV has them all.
const ROWS: usize = 13;

/// The report as Markdown with tables, as most forges render it.
#[must_use]
pub fn written(report: &Report) -> String {
    let mut text = format!("# {}\n\n{}\n\n", escaped(&report.title), spans(report, &report.summary));
    for block in &report.blocks {
        write_block(&mut text, report, block);
    }
    appendix(&mut text, report);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn write_block(text: &mut String, report: &Report, block: &Block) {
    // Writing into a String does not fail.
    let _written = match block {
        Block::Heading { text: words } => write!(text, "## {}\n\n", escaped(words)),
        Block::Paragraph { spans: parts } => write!(text, "{}\n\n", opening(&spans(report, parts))),
        Block::List { items } => {
            for item in items {
                let _written = writeln!(text, "- {}", opening(&spans(report, item)));
            }
            writeln!(text)
        }
        Block::Table { caption, columns, rows } => {
            let numbers = words::numbers(columns, rows);
            let columns: Vec<_> = columns.iter().map(|column| escaped(column)).collect();
            let rows = rows.iter().map(|row| row.iter().map(|cell| spans(report, cell)).collect()).collect();
            write!(text, "**{}**\n\n{}\n", escaped(caption), table(&columns, rows, &numbers))
        }
        Block::Chart(chart) => write!(text, "{}", drawn(report, chart)),
    };
}

fn table(columns: &[String], rows: Vec<Vec<String>>, numbers: &[bool]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<_> = numbers.iter().map(|number| if *number { "---:" } else { "---" }.to_owned()).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{}{rows}", line(columns), line(&rule))
}

/// A chart as its title, what it says, and its values.
fn drawn(report: &Report, chart: &Chart) -> String {
    let values = series::table(chart, ROWS);
    let columns: Vec<_> = values.columns.iter().map(|column| escaped(column)).collect();
    let rows = values.rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
    let numbers: Vec<_> = (0..columns.len()).map(|at| at > 0).collect();
    let part = if values.thinned { " Some of the values:" } else { "" };
    let from: Vec<_> = chart.from.iter().map(|id| format!("[`{}`](#fig-{})", code(id), slug(id))).collect();
    let leaves = words::leaves(report, &chart.from);
    let mut under = format!("Computed from {}.", from.join(", "));
    if !leaves.given.is_empty() {
        let given: Vec<_> = leaves.given.iter().map(|file| escaped(file)).collect();
        let _written = write!(under, " Your inputs: {}.", given.join(", "));
    }
    if !leaves.sources.is_empty() {
        let sources: Vec<_> =
            leaves.sources.iter().map(|id| format!("[{}](#src-{})", escaped(id), slug(id))).collect();
        let _written = write!(under, " Sources: {}.", sources.join(", "));
    }
    format!(
        "### {}\n\n{}{part}\n\n{}\n{under}\n\n",
        escaped(&chart.title),
        opening(&spans(report, &chart.says)),
        table(&columns, rows, &numbers),
    )
}

fn appendix(text: &mut String, report: &Report) {
    text.push_str("## Where each figure comes from\n\n");
    let rows = words::figures(report)
        .map(|(id, figure)| {
            let range = figure
                .range
                .map(|_| format!("<br>{}", escaped(&words::range(report, id))))
                .unwrap_or_default();
            vec![
                format!("<a id=\"fig-{}\"></a>{}<br>`{}`", slug(id), escaped(&figure.text), code(id)),
                format!("{}{range}", escaped(&number::written(figure.value, &figure.unit))),
                origin(report, &figure.origin),
            ]
        })
        .collect();
    let columns = ["Figure", "Value and range", "Where it comes from"].map(str::to_owned);
    text.push_str(&table(&columns, rows, &[false, true, false]));
    if !report.sources.is_empty() {
        text.push_str("\n## Sources\n\n");
        for (id, source) in &report.sources {
            let address = match words::link(source) {
                Some(link) => format!("<{link}>"),
                None => escaped(&source.address),
            };
            let (title, date) = (escaped(&source.title), escaped(&source.date));
            let _written =
                writeln!(text, "- <a id=\"src-{}\"></a>`{}`: {title}, {date}. {address}", slug(id), code(id));
        }
    }
}

fn origin(report: &Report, origin: &FigureOrigin) -> String {
    match origin {
        FigureOrigin::Source { source, grade, date, note } => {
            let title = report.sources.get(source).map_or(source, |found| &found.title);
            let mut text = format!(
                "[{}](#src-{}), {} ({})",
                escaped(title),
                slug(source),
                grade.word(),
                grade.meaning()
            );
            for more in [date, note].into_iter().filter(|more| !more.is_empty()) {
                let _written = write!(text, ", {}", escaped(more));
            }
            text
        }
        FigureOrigin::Given { file, line } => format!("your input: {}", escaped(&words::given(file, *line))),
        FigureOrigin::Defined { reason } => format!("by definition: {}", escaped(reason)),
        FigureOrigin::Calculated { formula, from } => {
            let pieces = words::pieces(formula, from);
            let piece = |piece: &Piece<'_>| match piece {
                Piece::Words(words) => escaped(words),
                Piece::Figure(id) => format!("[`{}`](#fig-{})", code(id), slug(id)),
            };
            let mut text: String = pieces.iter().map(piece).collect();
            if words::is_arithmetic(&pieces) {
                text.push_str("<br>= ");
                text.extend(pieces.iter().map(|piece| match piece {
                    Piece::Words(words) => escaped(words),
                    Piece::Figure(id) => escaped(&words::operand(report, id)),
                }));
            }
            let beside = words::beside(formula, from);
            if !beside.is_empty() {
                let with = |id: &&str| format!("[`{}`](#fig-{})", code(id), slug(id));
                let _written =
                    write!(text, "<br>with {}", beside.iter().map(with).collect::<Vec<_>>().join(", "));
            }
            text
        }
    }
}

fn spans(report: &Report, spans: &[Span]) -> String {
    let one = |span: &Span| match span {
        Span::Text { text } | Span::Name { text } => escaped(text),
        Span::Given { text } => format!("<i>{}</i>", escaped(text)),
        Span::Sourced { text, source, grade } => {
            format!("{} ([{}](#src-{}), {})", escaped(text), escaped(source), slug(source), grade.word())
        }
        Span::Figure { id } => format!("[{}](#fig-{})", escaped(&words::value(report, id)), slug(id)),
        Span::Range { id } => format!("[{}](#fig-{})", escaped(&words::range(report, id)), slug(id)),
        Span::Verdict { text, .. } => format!("**{}**", escaped(text)),
    };
    spans.iter().map(one).collect()
}

/// Words in which nothing is a sign of Markdown or HTML.
fn escaped(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' => text.extend(['\\', c]),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            c if c.is_control() => text.push(' '),
            c => text.push(c),
        }
    }
    text
}

/// A line that does not begin a list, a rule or another block.
fn opening(line: &str) -> String {
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let numbered = digits > 0 && line.get(digits..).is_some_and(|rest| rest.starts_with(['.', ')']));
    match line.chars().next() {
        Some('-' | '+' | '=') => format!("\\{line}"),
        _ if numbered => {
            let (number, rest) = line.split_at(digits);
            format!("{number}\\{rest}")
        }
        _ => line.to_owned(),
    }
}

/// An id inside of a code span.
fn code(id: &str) -> String {
    id.replace('`', "'").replace('|', "/").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn each_link_leads_to_a_row_and_each_figure_has_one() {
        let report = sample::report();
        let text = written(&report);
        for id in report.figures.keys() {
            assert!(text.contains(&format!("<a id=\"fig-{}\"></a>", slug(id))), "{id}");
        }
        let mut links = 0;
        for target in text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(text.contains(&format!("<a id=\"{target}\"></a>")), "{target}");
            links += 1;
        }
        assert!(links > 50, "{links}");
    }

    #[test]
    fn no_words_become_markup() {
        assert_eq!(escaped("<b>*a*|b\n# [x](y)"), "&lt;b&gt;\\*a\\*\\|b \\# \\[x\\](y)");
        assert_eq!(opening("1. no list"), "1\\. no list");
        assert_eq!(opening("- no list"), "\\- no list");
        assert_eq!(opening("a - b"), "a - b");
    }

    #[test]
    fn rows_of_a_table_have_as_many_cells_as_its_head() {
        let text = written(&sample::report());
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let lines: Vec<_> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with('|'))) {
            assert_eq!(cells(pair[0]), cells(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn the_form_adds_no_digits() {
        let mut report = sample::report();
        report.figures.clear();
        report.sources.clear();
        report.blocks.retain(|block| matches!(block, Block::Heading { .. }));
        report.summary = vec![Span::text("words")];
        assert!(!written(&report).chars().any(char::is_numeric));
    }
}
