//! Lines over a horizontal axis, often with both axes logarithmic.

use super::canvas::{Anchor, At, Canvas, Drawn, Frame, LINE, SIZE};
use super::legend::{Legend, Sample, sample};
use super::scale::Scale;
use super::{Body, axis_title, more, palette, text};
use crate::report::chart::{Axis, Level, Series};

/// Lines, laid out.
#[derive(Debug)]
pub(super) struct Lines<'c> {
    series: &'c [Series],
    levels: &'c [Level],
    titles: (Vec<String>, Vec<String>),
    frame: Frame,
    names: Names,
}

/// Where the names of the lines stand.
#[derive(Debug)]
enum Names {
    /// Beside the ends of the lines, in a column so wide.
    Beside(Vec<Vec<String>>),
    /// Under the plot.
    Under(Legend),
}

const HEAD: f64 = 30.0;
const FOOT: f64 = 42.0;

impl<'c> Lines<'c> {
    pub(super) fn new((x, y): (&Axis, &Axis), series: &'c [Series], levels: &'c [Level], width: f64) -> Self {
        let wide = width > 500.0;
        let points = || series.iter().flat_map(|one| &one.points);
        let mut height = if wide { 330.0 } else { 250.0 };
        let down = Scale::new(
            points().map(|(_, y)| *y).chain(levels.iter().map(|level| level.value)),
            y.logarithmic,
            if y.logarithmic { 10 } else { 6 },
            true,
        );
        let left = down.widest(SIZE) + 12.0;
        let column = if wide { 210.0 } else { 0.0 };
        let names = if wide {
            let name = |one: &Series| text::lines(&one.name, SIZE, column - 50.0, 3);
            let names: Vec<_> = series.iter().map(name).collect();
            height = names.iter().map(|lines| block(lines)).sum::<f64>().max(height);
            Names::Beside(names)
        } else {
            Names::Under(Legend::new(series.iter().map(|one| one.name.as_str()), Sample::Line, width))
        };
        let wide = width - left - column - 14.0;
        let xs = || points().map(|(x, _)| *x);
        let across = |ticks| Scale::new(xs(), x.logarithmic, ticks, false).tight(xs());
        // As many ticks as have room for the widest label.
        let room = across(12).widest(SIZE) + 12.0;
        let across = across(count(wide / room));
        let titles = (axis_title(x, left + wide), axis_title(y, width));
        let frame = Frame { left, top: HEAD + more(&titles.1), width: wide, height, x: across, y: down };
        Self { series, levels, titles, frame, names }
    }
}

/// How many fit: at least two, at most twelve.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and 12")]
pub(super) fn count(room: f64) -> usize {
    room.clamp(2.0, 12.0) as usize
}

/// The height of a name of several lines.
fn block(lines: &[String]) -> f64 {
    lines.len() as f64 * LINE + 5.0
}

impl Body for Lines<'_> {
    fn height(&self) -> f64 {
        let names = match &self.names {
            Names::Beside(_) => 0.0,
            Names::Under(legend) => legend.height + 8.0,
        };
        self.frame.top + self.frame.height + FOOT + more(&self.titles.0) + names
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let Frame { left, top, width, height, x, y } = &self.frame;
        let (right, bottom) = (left + width, top + height);
        canvas.title(&self.titles.1, (0.0, 10.0), Anchor::Start)?;
        canvas.title(&self.titles.0, (right, bottom + 32.0), Anchor::End)?;
        let plot = canvas.plot(&self.frame)?;
        let mut ends = Vec::new();
        for (number, one) in self.series.iter().enumerate() {
            let points: Vec<At> = one
                .points
                .iter()
                .filter_map(|(at, value)| Some(canvas.spot(&plot, (x.at(*at)?, y.at(*value)?))))
                .collect();
            canvas.series_line(&points, number, 2.2)?;
            let mut last = f64::NEG_INFINITY;
            // Marks of different lines are set off against each other, so that lines that coincide can be told apart.
            let first = left + 12.0 + 13.0 * number as f64;
            for at in points.iter().filter(|(x, _)| *x >= first) {
                if at.0 - last >= 70.0 {
                    canvas.mark(*at, number)?;
                    last = at.0;
                }
            }
            ends.push(points.last().copied());
        }
        for level in self.levels {
            let Some(value) = y.at(level.value) else { continue };
            let (_, at) = canvas.spot(&plot, (x.from, value));
            canvas.broken(&[(*left, at), (right, at)], palette::INK, 1.4, Some((9.0, 3.0)))?;
            let words = text::lines(&level.name, SIZE, width - 12.0, 1).concat();
            canvas.bold(&words, (left + 8.0, at - 9.0), SIZE, Anchor::Start, palette::LABEL)?;
        }
        match &self.names {
            Names::Beside(names) => beside(canvas, names, &ends, (right, *top, bottom)),
            Names::Under(legend) => legend.draw(canvas, 0.0, bottom + FOOT + more(&self.titles.0) + 4.0),
        }
    }
}

/// Draws the names beside the ends of the lines, moved so that none overlaps another.
fn beside(
    canvas: &Canvas<'_>,
    names: &[Vec<String>],
    ends: &[Option<At>],
    (right, top, bottom): (f64, f64, f64),
) -> Drawn {
    let mut wanted: Vec<_> = names
        .iter()
        .zip(ends)
        .enumerate()
        .map(|(number, (lines, end))| (end.map_or(bottom, |(_, y)| y), number, lines, *end))
        .collect();
    wanted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let wishes: Vec<_> = wanted.iter().map(|(y, _, lines, _)| (*y, block(lines))).collect();
    for ((_, number, lines, end), middle) in wanted.iter().zip(apart(&wishes, top - 8.0, bottom + 8.0)) {
        let from = right + 14.0;
        if let Some((x, y)) = end {
            canvas.line(&[(*x + 2.0, *y), (right + 3.0, *y), (from - 2.0, middle)], palette::AXIS, 0.8)?;
        }
        sample(canvas, Sample::Line, *number, (from, middle))?;
        let first = middle - (lines.len() as f64 - 1.0) * LINE / 2.0;
        for (at, line) in lines.iter().enumerate() {
            let y = first + at as f64 * LINE;
            canvas.text(line, (from + 32.0, y), SIZE, Anchor::Start, palette::INK)?;
        }
    }
    Ok(())
}

/// The middles of blocks that want to be at a height, ascending: as near to it as they can be without overlapping,
/// between top and bottom.
fn apart(wishes: &[(f64, f64)], top: f64, bottom: f64) -> Vec<f64> {
    let mut middles: Vec<f64> = Vec::with_capacity(wishes.len());
    let mut free = top;
    for (wish, height) in wishes {
        let middle = wish.max(free + height / 2.0);
        free = middle + height / 2.0;
        middles.push(middle);
    }
    // What went over the bottom is pushed back up.
    let mut limit = bottom;
    for (middle, (_, height)) in middles.iter_mut().zip(wishes).rev() {
        *middle = middle.min(limit - height / 2.0);
        limit = *middle - height / 2.0;
    }
    middles
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_never_overlap(mut ys in proptest::collection::vec(0.0..300.0_f64, 1..12)) {
            ys.sort_by(f64::total_cmp);
            let wishes: Vec<_> = ys.iter().map(|y| (*y, 20.0)).collect();
            let middles = apart(&wishes, 0.0, 300.0);
            for pair in middles.windows(2) {
                prop_assert!(pair[1] - pair[0] >= 20.0 - 1e-9);
            }
            prop_assert!(middles[0] >= 10.0 - 1e-9 && middles[middles.len() - 1] <= 290.0 + 1e-9);
        }
    }
}
