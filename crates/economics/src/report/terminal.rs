//! A report as text for a terminal, at most 110 columns wide.

mod charts;
mod grid;

use std::collections::BTreeMap;
use std::fmt::Write;

use self::grid::{Grid, WIDTH, wrapped};
use super::words::{self, Piece};
use super::{Block, Chart, FigureOrigin, Report, Span};

/// The report with its sources; where each figure comes from is said by [`with_figures`] and the other forms.
#[must_use]
pub fn written(report: &Report) -> String {
    Page { report, marks: None }.written()
}

/// The report with a mark of letters after each figure, and at the end where each figure comes from.
#[must_use]
pub fn with_figures(report: &Report) -> String {
    Page { report, marks: Some(marks(report)) }.written()
}

struct Page<'r> {
    report: &'r Report,
    /// The mark of each figure, by its id.
    marks: Option<BTreeMap<&'r str, String>>,
}

/// Marks in the order in which figures are shown; those that are not shown follow.
fn marks(report: &Report) -> BTreeMap<&str, String> {
    let mut marks = BTreeMap::new();
    let shown = all_spans(report).filter_map(|span| match span {
        Span::Figure { id } | Span::Range { id } => Some(id),
        _ => None,
    });
    for id in shown.chain(report.figures.keys()) {
        let number = marks.len();
        marks.entry(id.as_str()).or_insert_with(|| letters(number));
    }
    marks
}

fn all_spans(report: &Report) -> impl Iterator<Item = &Span> {
    let blocks = report.blocks.iter().flat_map(|block| -> Vec<&Span> {
        match block {
            Block::Heading { .. } => Vec::new(),
            Block::Paragraph { spans } => spans.iter().collect(),
            Block::List { items } => items.iter().flatten().collect(),
            Block::Table { rows, .. } => rows.iter().flatten().flatten().collect(),
            Block::Chart(chart) => chart.says.iter().collect(),
        }
    });
    report.summary.iter().chain(blocks)
}

/// a, b, and so on; after z comes aa.
fn letters(number: usize) -> String {
    let last = char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    if number < 26 { last.to_string() } else { format!("{}{last}", letters(number / 26 - 1)) }
}

impl Page<'_> {
    fn written(&self) -> String {
        let report = self.report;
        let mut text =
            format!("{}\n{}\n\n", clean(&report.title), "═".repeat(length(&report.title).min(WIDTH)));
        lines(&mut text, &self.spans(&report.summary), "", "");
        for block in &report.blocks {
            text.push('\n');
            self.block(&mut text, block);
        }
        if self.marks.is_some() {
            self.figures(&mut text);
        }
        self.sources(&mut text);
        text
    }

    fn block(&self, text: &mut String, block: &Block) {
        match block {
            Block::Heading { text: words } => heading(text, words),
            Block::Paragraph { spans } => lines(text, &self.spans(spans), "", ""),
            Block::List { items } => {
                for item in items {
                    lines(text, &self.spans(item), "  - ", "    ");
                }
            }
            Block::Table { caption, columns, rows } => {
                lines(text, caption, "", "");
                let numbers = words::numbers(columns, rows);
                let columns = columns.iter().map(|column| clean(column)).collect();
                let rows = rows.iter().map(|row| row.iter().map(|cell| self.spans(cell)).collect()).collect();
                text.push_str(&Grid { columns, rows, numbers }.written());
            }
            Block::Chart(chart) => self.chart(text, chart),
        }
    }

    fn chart(&self, text: &mut String, chart: &Chart) {
        lines(text, &clean(&chart.title), "▪ ", "  ");
        lines(text, &self.spans(&chart.says), "  ", "  ");
        text.push('\n');
        text.push_str(&charts::drawn(chart));
        let from: Vec<_> = chart.from.iter().map(|id| self.id(id)).collect();
        lines(text, &format!("Computed from {}.", from.join(", ")), "  ", "  ");
    }

    /// A figure's id with its mark.
    fn id(&self, id: &str) -> String {
        let mark = self.marks.as_ref().and_then(|marks| marks.get(id));
        mark.map_or_else(|| clean(id), |mark| format!("{} [{mark}]", clean(id)))
    }

    fn spans(&self, spans: &[Span]) -> String {
        let mark = |id: &str| {
            let mark = self.marks.as_ref().and_then(|marks| marks.get(id));
            mark.map(|mark| format!(" [{mark}]")).unwrap_or_default()
        };
        let one = |span: &Span| match span {
            Span::Text { text } | Span::Name { text } | Span::Given { text } => clean(text),
            Span::Sourced { text, source, grade } => format!("{} [{source}, {}]", clean(text), grade.word()),
            Span::Figure { id } => format!("{}{}", words::value(self.report, id), mark(id)),
            Span::Range { id } => format!("{}{}", words::range(self.report, id), mark(id)),
            Span::Verdict { text, .. } => clean(text).to_uppercase(),
        };
        spans.iter().map(one).collect()
    }

    fn figures(&self, text: &mut String) {
        let Some(marks) = &self.marks else { return };
        text.push('\n');
        heading(text, "Where each figure comes from");
        let mut figures: Vec<_> = words::figures(self.report).collect();
        let mark = |id: &str| marks.get(id).map_or("", String::as_str);
        figures.sort_by_key(|(id, _)| (mark(id).len(), mark(id)));
        for (id, figure) in figures {
            let value = words::value(self.report, id);
            let named = if figure.text == id { String::new() } else { format!("{}: ", clean(&figure.text)) };
            let head =
                if named.is_empty() { format!("{id}: {value}") } else { format!("{named}{value}, {id}") };
            lines(text, &clean(&head), &format!("{:>3}  ", mark(id)), "     ");
            if figure.range.is_some() {
                lines(text, &format!("range {}", words::range(self.report, id)), "       ", "       ");
            }
            lines(text, &self.origin(&figure.origin), "       ", "       ");
        }
    }

    fn origin(&self, origin: &FigureOrigin) -> String {
        match origin {
            FigureOrigin::Source { source, grade, date, note } => {
                let parts = [source, grade.word(), date, note];
                let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).map(clean).collect();
                format!("from {}", parts.join(", "))
            }
            FigureOrigin::Given { file, line } => {
                format!("your input, {}", clean(&words::given(file, *line)))
            }
            FigureOrigin::Defined { reason } => format!("by definition, {}", clean(reason)),
            FigureOrigin::Calculated { formula, from } => {
                let piece = |piece: &Piece<'_>| match piece {
                    Piece::Words(words) => clean(words),
                    Piece::Figure(id) => self.id(id),
                };
                let mut text: String = "= ".to_owned();
                text.extend(words::pieces(formula, from).iter().map(piece));
                let beside: Vec<_> = words::beside(formula, from).into_iter().map(|id| self.id(id)).collect();
                if !beside.is_empty() {
                    let _written = write!(text, ", with {}", beside.join(", "));
                }
                text
            }
        }
    }

    fn sources(&self, text: &mut String) {
        if self.report.sources.is_empty() {
            return;
        }
        text.push('\n');
        heading(text, "Sources");
        for (id, source) in &self.report.sources {
            let (title, date, address) = (&source.title, &source.date, &source.address);
            lines(text, &clean(&format!("{id}: {title}, {date}, {address}")), "  ", "    ");
        }
    }
}

fn heading(text: &mut String, words: &str) {
    let words = clean(words);
    let _written = write!(text, "{words}\n{}\n", "─".repeat(length(&words).min(WIDTH)));
}

fn lines(text: &mut String, words: &str, first: &str, rest: &str) {
    for (at, line) in wrapped(words, WIDTH - length(rest)).iter().enumerate() {
        let line = format!("{}{line}", if at == 0 { first } else { rest });
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// The number of columns that a text takes, where each character takes one.
fn length(text: &str) -> usize {
    text.chars().count()
}

/// Words in which nothing commands the terminal.
fn clean(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn no_line_is_too_wide_and_none_ends_in_a_space() {
        for text in [written(&sample::report()), with_figures(&sample::report())] {
            for line in text.lines() {
                assert!(length(line) <= WIDTH && line.trim_end() == line, "{line:?}");
            }
        }
    }

    #[test]
    fn each_figure_has_a_mark_and_a_line() {
        let report = sample::report();
        let text = with_figures(&report);
        assert!(text.contains("450,000 USD [a]"));
        assert!(text.contains("  a  Cost with secure elements: 450,000 USD, cost.total"));
        for id in report.figures.keys() {
            let words: String = text.split_whitespace().collect();
            let id: String = id.split_whitespace().collect();
            assert!(words.contains(&id), "{id}");
        }
    }

    #[test]
    fn the_form_adds_no_digits() {
        let mut report = sample::report();
        report.figures.clear();
        report.sources.clear();
        report.blocks.retain(|block| matches!(block, Block::Heading { .. }));
        report.summary = vec![Span::text("words")];
        assert!(!with_figures(&report).chars().any(char::is_numeric));
    }

    #[test]
    fn nothing_commands_the_terminal() {
        let mut report = sample::report();
        report.summary.push(Span::given("\u{1b}[2J"));
        for figure in report.figures.values_mut() {
            figure.text.push('\u{7}');
        }
        let text = with_figures(&report);
        assert!(!text.contains(['\u{1b}', '\u{7}']));
    }
}
