//! Tables of text, and breaking text into lines.

use super::length;

/// How wide a report may be.
pub(super) const WIDTH: usize = 110;
/// A column of words is not made narrower than this.
const LEAST: usize = 9;

/// A table.
pub(super) struct Grid {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// Whether each column holds figures, which stand to the right.
    pub(super) numbers: Vec<bool>,
}

impl Grid {
    pub(super) fn written(&self) -> String {
        let widths = self.widths();
        let mut text = self.line(&self.columns, &widths);
        let rule: Vec<_> = widths.iter().map(|width| "─".repeat(*width)).collect();
        text.push_str(&format!("  {}\n", rule.join("  ")));
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let cell = |row: &Vec<String>, at: usize| row.get(at).map_or(0, |cell| length(cell));
        let widest = |at: usize| self.rows.iter().map(|row| cell(row, at)).max().unwrap_or(0);
        let mut widths: Vec<_> = (0..self.columns.len())
            .map(|at| {
                // The head of a column of figures may take two lines or more.
                let head = cell(&self.columns, at);
                let longest =
                    self.columns.get(at).map_or(0, |head| head.split(' ').map(length).max().unwrap_or(0));
                if self.number(at) { widest(at).max(longest).max(head.min(16)) } else { widest(at).max(head) }
            })
            .collect();
        while widths.iter().sum::<usize>() + 2 * widths.len() > WIDTH {
            // The widest column gives way, one of words before one of figures.
            let gives = |words: bool| {
                let all = widths.iter().enumerate();
                let all = all.filter(|(at, width)| **width > LEAST && (words != self.number(*at)));
                all.max_by_key(|(_, width)| **width).map(|(at, _)| at)
            };
            let Some(width) = gives(true).or_else(|| gives(false)).and_then(|at| widths.get_mut(at)) else {
                break;
            };
            *width -= 1;
        }
        widths
    }

    fn number(&self, at: usize) -> bool {
        self.numbers.get(at).copied().unwrap_or(false)
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| wrapped(cell, *width)).collect();
        let mut text = String::new();
        for number in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut line = String::new();
            for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
                let words = cell.get(number).map_or("", String::as_str);
                let room = " ".repeat(width.saturating_sub(length(words)));
                let (before, after) = if self.number(at) { (room.as_str(), "") } else { ("", room.as_str()) };
                line.push_str("  ");
                line.push_str(before);
                line.push_str(words);
                line.push_str(after);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The words in lines of at most so many columns; a longer word is cut.
pub(super) fn wrapped(words: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in words.split_whitespace() {
        if !line.is_empty() && length(&line) + 1 + length(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        while length(&line) > width {
            let rest = line.chars().skip(width).collect();
            lines.push(line.chars().take(width).collect());
            line = rest;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn wrapping_loses_no_letter(words in "\\PC{0,200}", width in 1..60_usize) {
            let lines = wrapped(&words, width);
            prop_assert!(lines.iter().all(|line| length(line) <= width));
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&words));
        }

        #[test]
        fn a_table_fits(cells in proptest::collection::vec("\\PC{0,60}", 6..24), columns in 2..6_usize) {
            let rows: Vec<Vec<String>> = cells.chunks(columns).map(<[String]>::to_vec).collect();
            let columns = vec!["A head of some words".to_owned(); columns];
            let numbers = vec![false, true, false];
            for line in (Grid { columns, rows, numbers }).written().lines() {
                prop_assert!(length(line) <= WIDTH, "{}", line);
            }
        }
    }
}
