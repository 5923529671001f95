//! What all forms of a report write the same way: figures, formulas, origins, sources.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Figure, FigureOrigin, Report, Span, number};
use crate::source::Source;

/// A figure's value with its unit; a `?` where there is no such figure, which the walk over the report finds.
pub(super) fn value(report: &Report, id: &str) -> String {
    report.figures.get(id).map_or_else(|| "?".to_owned(), |one| number::written(one.value, &one.unit))
}

/// A figure's range with its unit; the value where there is none.
pub(super) fn range(report: &Report, id: &str) -> String {
    let Some(figure) = report.figures.get(id) else { return "?".to_owned() };
    match figure.range {
        Some([low, high]) => format!("{} to {}", number::plain(low), number::written(high, &figure.unit)),
        None => number::written(figure.value, &figure.unit),
    }
}

/// The words of spans, figures as their values.
pub(super) fn plain(report: &Report, spans: &[Span]) -> String {
    let mut words = String::new();
    for span in spans {
        match span {
            Span::Text { text }
            | Span::Name { text }
            | Span::Sourced { text, .. }
            | Span::Given { text }
            | Span::Verdict { text, .. } => words.push_str(text),
            Span::Figure { id } => words.push_str(&value(report, id)),
            Span::Range { id } => words.push_str(&range(report, id)),
        }
    }
    words
}

/// A piece of a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Words and signs between figures.
    Words(&'a str),
    /// A figure's id.
    Figure(&'a str),
}

/// A formula cut at the ids of the figures that it is computed from.
pub(super) fn pieces<'a>(formula: &'a str, from: &'a [String]) -> Vec<Piece<'a>> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let (mut pieces, mut words, mut at) = (Vec::new(), 0, 0);
    while let Some(rest) = formula.get(at..).filter(|rest| !rest.is_empty()) {
        let before = formula.get(..at).and_then(|before| before.chars().next_back());
        let begins = !before.is_some_and(|c| part(c) || c == '.');
        let ends = |id: &str| {
            let mut after = rest.get(id.len()..).unwrap_or_default().chars();
            match after.next() {
                Some('.') => !after.next().is_some_and(part),
                Some(c) => !part(c),
                None => true,
            }
        };
        let found =
            from.iter().filter(|id| begins && !id.is_empty() && rest.starts_with(id.as_str()) && ends(id));
        if let Some(id) = found.max_by_key(|id| id.len()) {
            pieces.extend(formula.get(words..at).filter(|words| !words.is_empty()).map(Piece::Words));
            pieces.push(Piece::Figure(id));
            at += id.len();
            words = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    pieces.extend(formula.get(words..).filter(|words| !words.is_empty()).map(Piece::Words));
    pieces
}

/// Whether a formula is arithmetic, in which values can stand for figures, and not a sentence.
pub(super) fn is_arithmetic(pieces: &[Piece<'_>]) -> bool {
    const WORDS: [&str; 5] =
        ["the smaller of", "the larger of", "rounded up", "to the power of", "is at least"];
    let sign = |words: &str| {
        let rest = WORDS.iter().fold(words.to_owned(), |rest, word| rest.replace(word, ""));
        !rest.chars().any(char::is_alphabetic)
    };
    let mut figures = pieces.iter().filter(|piece| matches!(piece, Piece::Figure(_)));
    figures.next().is_some()
        && pieces.iter().all(|piece| {
            matches!(piece, Piece::Figure(_)) || matches!(piece, Piece::Words(words) if sign(words))
        })
}

/// The figures that a value is computed from and its formula does not mention, such as a rate of exchange.
pub(super) fn beside<'a>(formula: &'a str, from: &'a [String]) -> Vec<&'a str> {
    let pieces = pieces(formula, from);
    let mentioned = |id: &str| pieces.contains(&Piece::Figure(id));
    from.iter().map(String::as_str).filter(|id| !mentioned(id)).collect()
}

/// Where the user gave a figure.
pub(super) fn given(file: &str, line: usize) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}, line {line}") }
}

/// What figures come from in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Leaves {
    /// Ids of sources.
    pub(super) sources: BTreeSet<String>,
    /// The user's files and forms.
    pub(super) given: BTreeSet<String>,
}

/// What these figures come from in the end.
pub(super) fn leaves(report: &Report, from: &[String]) -> Leaves {
    let (mut leaves, mut seen) = (Leaves::default(), BTreeSet::new());
    let mut open: Vec<&str> = from.iter().map(String::as_str).collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        match report.figures.get(id).map(|figure| &figure.origin) {
            Some(FigureOrigin::Source { source, .. }) => {
                leaves.sources.insert(source.clone());
            }
            Some(FigureOrigin::Given { file, .. }) => {
                leaves.given.insert(file.clone());
            }
            Some(FigureOrigin::Calculated { from, .. }) => open.extend(from.iter().map(String::as_str)),
            Some(FigureOrigin::Defined { .. }) | None => {}
        }
    }
    leaves
}

/// The line under a chart that says where its figures come from.
pub(super) fn source_line(report: &Report, from: &[String]) -> String {
    let leaves = leaves(report, from);
    let mut line = format!("Computed from {}.", from.join(", "));
    if !leaves.given.is_empty() {
        let given: Vec<_> = leaves.given.into_iter().collect();
        let _written = write!(line, " Your inputs: {}.", given.join(", "));
    }
    if !leaves.sources.is_empty() {
        let sources: Vec<_> = leaves.sources.into_iter().collect();
        let _written = write!(line, " Sources: {}.", sources.join(", "));
    }
    line
}

/// The address of a source as a link, where it is one.
pub(super) fn link(source: &Source) -> Option<String> {
    let address = source.address.trim();
    let rest =
        address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let host = rest.split('/').next().unwrap_or_default();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let is_host =
        host.contains('.') && host.chars().all(good) && host.starts_with(|c: char| c.is_alphanumeric());
    let is_address =
        is_host && rest.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '`'));
    is_address.then(|| if rest == address { format!("https://{rest}") } else { address.to_owned() })
}

/// An id as an anchor: each id has its own.
pub(super) fn slug(id: &str) -> String {
    let mut slug = String::with_capacity(id.len());
    for c in id.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') {
            slug.push(c);
        } else {
            let _written = write!(slug, "_{:x}_", u32::from(c));
        }
    }
    slug
}

/// The value of an operand inside a formula: in parentheses where it is negative.
pub(super) fn operand(report: &Report, id: &str) -> String {
    match report.figures.get(id) {
        Some(figure) if figure.value < 0.0 => format!("({})", number::written(figure.value, &figure.unit)),
        _ => value(report, id),
    }
}

/// Text for XML.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Whether a cell holds a figure or a range and nothing else, or nothing at all.
pub(super) fn is_number(cell: &[Span]) -> bool {
    matches!(cell, [] | [Span::Figure { .. } | Span::Range { .. }])
}

/// For each column of a table whether it holds figures.
pub(super) fn numbers(columns: &[String], rows: &[Vec<Vec<Span>>]) -> Vec<bool> {
    let of = |at: usize| {
        let cells = || rows.iter().filter_map(move |row| row.get(at));
        cells().all(|cell| is_number(cell)) && cells().any(|cell| !cell.is_empty())
    };
    (0..columns.len()).map(of).collect()
}

/// The figures in the order in which an appendix lists them: by id.
pub(super) fn figures(report: &Report) -> impl Iterator<Item = (&str, &Figure)> {
    report.figures.iter().map(|(id, figure)| (id.as_str(), figure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_cut_at_whole_ids() {
        let from = ["a.b".to_owned(), "a.b.c".to_owned(), "d".to_owned()];
        let found = pieces("a.b × a.b.c + ad − d.", &from);
        let Piece::Figure(first) = found[0] else { panic!("{found:?}") };
        assert_eq!(first, "a.b");
        let ids: Vec<_> = found.iter().filter(|piece| matches!(piece, Piece::Figure(_))).collect();
        assert_eq!(ids, [&Piece::Figure("a.b"), &Piece::Figure("a.b.c"), &Piece::Figure("d")]);
        assert_eq!(beside("a.b + d", &from), ["a.b.c"]);
    }

    #[test]
    fn values_stand_for_figures_in_arithmetic_only() {
        let from = ["a".to_owned(), "b".to_owned()];
        for (formula, is) in [
            ("a × b", true),
            ("rounded up(a ÷ b)", true),
            ("the smaller of(a; b) − a", true),
            ("the lowest twentieth of a", false),
            ("counted", false),
        ] {
            assert_eq!(is_arithmetic(&pieces(formula, &from)), is, "{formula}");
        }
    }

    #[test]
    fn only_addresses_become_links() {
        let link = |address: &str| {
            let (id, title, date) = (String::new(), String::new(), String::new());
            super::link(&Source { id, title, address: address.to_owned(), date })
        };
        assert_eq!(link("courk.cc").as_deref(), Some("https://courk.cc"));
        assert_eq!(link("https://a.org/b?c=1").as_deref(), Some("https://a.org/b?c=1"));
        for none in ["a public file", "none", "javascript:alert(1).x", "data/economics", "a.org/\"onclick"] {
            assert_eq!(link(none), None, "{none}");
        }
    }

    #[test]
    fn different_ids_have_different_anchors() {
        assert_ne!(slug("a b"), slug("a_20_b"));
        assert_eq!(slug("cost.part-1"), "cost.part-1");
    }
}
