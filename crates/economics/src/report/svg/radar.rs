//! Scores around a centre.

use std::f64::consts::TAU;

use super::canvas::{Anchor, At, Canvas, Drawn, LINE, SIZE, faint};
use super::legend::{Legend, Sample};
use super::{Body, palette, text};
use crate::report::number::plain;

/// A radar, laid out.
#[derive(Debug)]
pub(super) struct Radar<'c> {
    most: f64,
    names: Vec<Vec<String>>,
    series: &'c [(String, Vec<f64>)],
    centre: At,
    radius: f64,
    /// Room under the ring.
    below: f64,
    legend: Legend,
}

/// Between the ring and the names.
const GAP: f64 = 12.0;

impl<'c> Radar<'c> {
    pub(super) fn new(most: f64, spokes: &[String], series: &'c [(String, Vec<f64>)], width: f64) -> Self {
        let wide = width > 500.0;
        let radius = if wide { 150.0 } else { 86.0 };
        let name = |(at, name): (usize, &String)| {
            // A name beside the ring has the room up to the margin; one above or below it has that between its neighbours.
            let step = TAU / spokes.len().max(1) as f64;
            let side = (step * at as f64).sin().abs() * (radius + GAP);
            let between = 2.0 * (radius + GAP) * step.sin().abs().max(0.4) - GAP;
            let room = if side > 0.2 * radius { width / 2.0 - side - 2.0 } else { between };
            text::lines(name, SIZE, room.min(170.0), 3)
        };
        let names: Vec<_> = spokes.iter().enumerate().map(name).collect();
        let high = |lines: Option<usize>| lines.unwrap_or(1) as f64 * LINE;
        let above = high(names.first().map(Vec::len)) + 24.0;
        let below = high(names.iter().map(Vec::len).max()) + 20.0;
        let legend = Legend::new(series.iter().map(|(name, _)| name.as_str()), Sample::Line, width);
        Self {
            most: if most.is_finite() { most.max(1.0) } else { 1.0 },
            names,
            series,
            centre: (width / 2.0, radius + above),
            below,
            radius,
            legend,
        }
    }

    /// Where a score lies on a spoke; the first spoke points up.
    fn place(&self, spoke: usize, score: f64) -> At {
        let angle = TAU * spoke as f64 / self.names.len().max(1) as f64;
        let far = self.radius * (score / self.most).clamp(0.0, 1.2);
        (self.centre.0 + far * angle.sin(), self.centre.1 - far * angle.cos())
    }

    fn ring(&self, score: impl Fn(usize) -> f64) -> Vec<At> {
        (0..self.names.len()).chain([0]).map(|spoke| self.place(spoke, score(spoke))).collect()
    }
}

impl Body for Radar<'_> {
    fn height(&self) -> f64 {
        self.centre.1 + self.radius + self.below + self.legend.height + 6.0
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let rings = super::lines::count(self.most).min(6);
        let step = (self.most / rings as f64).ceil().max(1.0);
        let levels = || (1..=20).map(|n| step * f64::from(n)).take_while(|level| *level <= self.most);
        for level in levels() {
            canvas.line(&self.ring(|_| level), palette::GRID, 1.0)?;
        }
        for (spoke, name) in self.names.iter().enumerate() {
            canvas.line(&[self.centre, self.place(spoke, self.most)], palette::GRID, 1.0)?;
            let (x, y) = self.place(spoke, self.most + self.most * GAP / self.radius);
            let side = (x - self.centre.0) / self.radius;
            let anchor = match side {
                side if side < -0.2 => Anchor::End,
                side if side > 0.2 => Anchor::Start,
                _ => Anchor::Middle,
            };
            // The name lies outside of the ring: above at the top, below at the bottom, and in between beside it.
            let upward = (self.centre.1 - y) / (self.radius + GAP);
            let high = (name.len() as f64 - 1.0) * LINE;
            let first = y - high / 2.0 - upward * high / 2.0 - if upward > 0.95 { 8.0 } else { 0.0 };
            for (at, line) in name.iter().enumerate() {
                canvas.text(line, (x, first + at as f64 * LINE), SIZE, anchor, palette::INK)?;
            }
        }
        let rings: Vec<Vec<At>> = self
            .series
            .iter()
            .map(|(_, scores)| {
                self.ring(|spoke| scores.get(spoke).copied().filter(|s| s.is_finite()).unwrap_or(0.0))
            })
            .collect();
        for (number, ring) in rings.iter().enumerate() {
            canvas.polygon(ring, faint(palette::series(number), 0.12))?;
        }
        for (number, ring) in rings.iter().enumerate() {
            canvas.series_line(ring, number, 2.2)?;
            for at in ring {
                canvas.mark(*at, number)?;
            }
        }
        for level in levels() {
            let (x, y) = self.place(0, level);
            canvas.text(&plain(level), (x + 4.0, y - 7.0), 10.5, Anchor::Start, palette::LABEL)?;
        }
        self.legend.draw(canvas, 0.0, self.centre.1 + self.radius + self.below + 4.0)
    }
}
