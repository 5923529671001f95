//! The walk over a report that finds figures and digits that lead nowhere.

use std::collections::BTreeSet;

use super::chart::{Axis, Drawing};
use super::{Block, Chart, FigureOrigin, Report, Span};

/// The figures and digits of a report that lead nowhere, each with where it stands; none in a good report.
///
/// Every figure that is shown or computed from has to be there and lead, without going round, to a source, to what the user
/// gave, or to a definition. Every source that is named has to be in the list. Words that the program writes hold no digits.
#[must_use]
pub fn orphans(report: &Report) -> Vec<String> {
    let mut walk = Walk { report, found: Vec::new() };
    walk.words("the title", &report.title);
    walk.spans("the summary", &report.summary);
    for (at, block) in report.blocks.iter().enumerate() {
        walk.block(at + 1, block);
    }
    let mut good = BTreeSet::new();
    for id in report.figures.keys() {
        walk.figure(id, &mut Vec::new(), &mut good);
    }
    walk.found.sort();
    walk.found.dedup();
    walk.found
}

struct Walk<'r> {
    report: &'r Report,
    found: Vec<String>,
}

impl<'r> Walk<'r> {
    fn wrong(&mut self, what: String) {
        self.found.push(what);
    }

    fn words(&mut self, place: &str, words: &str) {
        if words.chars().any(char::is_numeric) {
            self.wrong(format!("{place} holds a digit: `{words}`"));
        }
    }

    fn id(&mut self, place: &str, id: &str) {
        if !self.report.figures.contains_key(id) {
            self.wrong(format!("{place} shows the figure `{id}`, which is not there"));
        }
    }

    fn source(&mut self, place: &str, id: &str) {
        if !self.report.sources.contains_key(id) {
            self.wrong(format!("{place} names the source `{id}`, which is not there"));
        }
    }

    fn spans(&mut self, place: &str, spans: &[Span]) {
        for span in spans {
            match span {
                Span::Text { text } | Span::Verdict { text, .. } => self.words(place, text),
                Span::Name { .. } | Span::Given { .. } => {}
                Span::Sourced { source, .. } => self.source(place, source),
                Span::Figure { id } | Span::Range { id } => self.id(place, id),
            }
        }
    }

    fn block(&mut self, number: usize, block: &Block) {
        match block {
            Block::Heading { text } => self.words("a heading", text),
            Block::Paragraph { spans } => self.spans(&format!("paragraph (block {number})"), spans),
            Block::List { items } => {
                for item in items {
                    self.spans(&format!("list (block {number})"), item);
                }
            }
            Block::Table { caption, columns, rows } => {
                self.words("a caption", caption);
                for column in columns {
                    self.words(&format!("a column of `{caption}`"), column);
                }
                for cell in rows.iter().flatten() {
                    self.spans(&format!("table `{caption}`"), cell);
                }
                if rows.iter().any(|row| row.len() != columns.len()) {
                    self.wrong(format!("table `{caption}` has a row that is not as long as its head"));
                }
            }
            Block::Chart(chart) => self.chart(chart),
        }
    }

    fn chart(&mut self, chart: &Chart) {
        let place = format!("chart `{}`", chart.id);
        self.words(&place, &chart.title);
        self.spans(&place, &chart.says);
        if chart.from.is_empty() {
            self.wrong(format!("{place} does not say what it is computed from"));
        }
        for id in &chart.from {
            self.id(&place, id);
        }
        let axes: Vec<&Axis> = match &chart.drawing {
            Drawing::Lines { x, y, .. } => vec![x, y],
            Drawing::Stacks { y, .. } => vec![y],
            Drawing::Tornado { x, .. } | Drawing::Histogram { x, .. } => vec![x],
            Drawing::Radar { .. } => Vec::new(),
        };
        for axis in axes {
            self.words(&place, &axis.title);
            if axis.unit.is_empty() {
                self.wrong(format!("{place} has the axis `{}` without a unit", axis.title));
            }
        }
    }

    /// Follows a figure to its leaves. `way` is how we came here, `good` what was followed before.
    fn figure(&mut self, id: &'r str, way: &mut Vec<&'r str>, good: &mut BTreeSet<&'r str>) {
        if good.contains(id) {
            return;
        }
        if way.contains(&id) {
            self.wrong(format!("the figure `{id}` is computed from itself: {}", way.join(", ")));
            return;
        }
        let Some((id, figure)) = self.report.figures.get_key_value(id) else { return };
        let place = format!("the figure `{id}`");
        if !figure.value.is_finite() {
            self.wrong(format!("{place} is no number"));
        }
        if figure.unit.is_empty() {
            self.wrong(format!("{place} has no unit"));
        }
        match &figure.origin {
            FigureOrigin::Source { source, .. } => self.source(&place, source),
            FigureOrigin::Given { file, .. } => {
                if file.is_empty() {
                    self.wrong(format!("{place} was given nowhere"));
                }
            }
            FigureOrigin::Defined { reason } => {
                if reason.is_empty() {
                    self.wrong(format!("{place} is defined without a reason"));
                }
            }
            FigureOrigin::Calculated { from, .. } => {
                if from.is_empty() {
                    self.wrong(format!("{place} is computed from nothing"));
                }
                way.push(id);
                for operand in from {
                    self.id(&place, operand);
                    self.figure(operand, way, good);
                }
                way.pop();
            }
        }
        good.insert(id);
    }
}

/// The digits of a page, as [`super::html::page`] writes it, that stand outside of everything that leads somewhere: elements
/// with `data-origin`. Figures are links, and those that lead to nothing on the page are found as well.
#[must_use]
pub fn stray(page: &str) -> Vec<String> {
    let mut stray = Vec::new();
    let mut open: Vec<(&str, bool)> = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, words) = piece.split_once('>').unwrap_or((piece, ""));
        let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            // Elements without an end tag in between are closed as well.
            if let Some(at) = open.iter().rposition(|(name, _)| *name == closed.trim()) {
                open.truncate(at);
            }
        } else if !tag.starts_with('!')
            && !tag.ends_with('/')
            && !matches!(name, "meta" | "br" | "hr" | "link")
        {
            let inside = open.last().is_some_and(|(_, leads)| *leads);
            open.push((name, inside || tag.contains(" data-origin=") || matches!(name, "style" | "svg")));
        }
        if let Some((_, target)) = tag.split_once("href=\"#") {
            let target = target.split('"').next().unwrap_or_default();
            if !page.contains(&format!("id=\"{target}\"")) {
                stray.push(format!("a link leads to `{target}`, which is not there"));
            }
        }
        let leads = open.last().is_some_and(|(_, leads)| *leads);
        // `&#39;` and the like are signs, not digits.
        let words: String = words
            .split('&')
            .map(|part| {
                part.split_once(';').filter(|(sign, _)| sign.starts_with('#')).map_or(part, |(_, rest)| rest)
            })
            .collect();
        if !leads && words.chars().any(char::is_numeric) {
            stray.push(words.trim().to_owned());
        }
    }
    stray
}

#[cfg(test)]
mod tests;
