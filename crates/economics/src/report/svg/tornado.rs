//! What moves an outcome: for each input a bar to both sides of the outcome.

use super::canvas::{Anchor, Canvas, Drawn, Frame, LINE, SIZE, faint};
use super::lines::count;
use super::scale::Scale;
use super::stacks::short;
use super::{Body, axis_title, more, palette, text};
use crate::report::chart::Axis;

/// A tornado, laid out.
#[derive(Debug)]
pub(super) struct Tornado<'c> {
    middle: f64,
    bars: &'c [(String, f64, f64)],
    names: Vec<Vec<String>>,
    title: Vec<String>,
    frame: Frame,
    place: (f64, f64),
}

const HEAD: f64 = 44.0;
const FOOT: f64 = 44.0;
const BAR: f64 = 18.0;
/// Room for a value beside the longest bar.
const LABEL: f64 = 48.0;

impl<'c> Tornado<'c> {
    pub(super) fn new(axis: &Axis, middle: f64, bars: &'c [(String, f64, f64)], width: f64) -> Self {
        let wide = width > 500.0;
        let column = if wide { 240.0 } else { 0.0 };
        let room = if wide { column - 14.0 } else { width - 10.0 };
        let names: Vec<_> = bars.iter().map(|(name, ..)| text::lines(name, SIZE, room, 2)).collect();
        let longest = names.iter().map(Vec::len).max().unwrap_or(1) as f64 * LINE;
        let place = if wide { (longest.max(BAR) + 10.0, 0.0) } else { (longest + BAR + 14.0, longest + 4.0) };
        let values = || bars.iter().flat_map(|(_, low, high)| [*low, *high]).chain([middle]);
        let left = column + LABEL;
        let span = width - left - LABEL;
        let scale = |ticks| Scale::new(values(), axis.logarithmic, ticks, false);
        let x = scale(count(span / (scale(6).widest(SIZE) + 20.0)).min(6));
        let height = place.0 * bars.len().max(1) as f64 + 8.0;
        let frame = Frame { left, top: HEAD, width: span, height, x, y: Scale::places(1) };
        Self {
            middle,
            bars,
            names,
            title: axis_title(axis, if wide { left + span } else { width }),
            frame,
            place,
        }
    }

    fn legend(&self, canvas: &Canvas<'_>) -> Drawn {
        let words = ["input at its lowest", "input at its highest"];
        let y = 12.0;
        low(canvas, (0.0, y - 6.0), 26.0, 12.0)?;
        canvas.text(words[0], (32.0, y), SIZE, Anchor::Start, palette::INK)?;
        let next = 32.0 + text::width(words[0], SIZE) + 20.0;
        high(canvas, (next, y - 6.0), 26.0, 12.0)?;
        canvas.text(words[1], (next + 32.0, y), SIZE, Anchor::Start, palette::INK)
    }
}

fn low(canvas: &Canvas<'_>, at: (f64, f64), width: f64, height: f64) -> Drawn {
    canvas.filled(at, width, height, faint(palette::LOWEST, 1.0))
}

fn high(canvas: &Canvas<'_>, (x, y): (f64, f64), width: f64, height: f64) -> Drawn {
    canvas.filled((x, y), width, height, faint(palette::HIGHEST_FILL, 1.0))?;
    let corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)];
    canvas.line(&corners, palette::HIGHEST, 1.4)
}

impl Body for Tornado<'_> {
    fn height(&self) -> f64 {
        HEAD + self.frame.height + FOOT + more(&self.title)
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let Frame { left, top, width, height, x, .. } = &self.frame;
        self.legend(canvas)?;
        let plot = canvas.plot(&self.frame)?;
        let across = |value: f64| x.at(value).map(|value| canvas.spot(&plot, (value, 0.0)).0);
        let Some(middle) = across(self.middle) else { return Ok(()) };
        let (place, above) = self.place;
        let bottom = top + height;
        // Names above the bars would lie over a line from top to bottom.
        let end = if above > 0.0 { top + 4.0 } else { bottom };
        canvas.line(&[(middle, top - 4.0), (middle, end)], palette::INK, 1.4)?;
        for (number, ((_, at_low, at_high), name)) in self.bars.iter().zip(&self.names).enumerate() {
            let first = top + 4.0 + place * number as f64;
            let y = if above > 0.0 { first + above } else { first + (place - BAR) / 2.0 };
            for (at, line) in name.iter().enumerate() {
                if above > 0.0 {
                    let y = first + 10.0 + at as f64 * LINE;
                    canvas.text(line, (0.0, y), SIZE, Anchor::Start, palette::LABEL)?;
                } else {
                    let y = y + BAR / 2.0 + (at as f64 - (name.len() as f64 - 1.0) / 2.0) * LINE;
                    canvas.text(line, (left - LABEL - 10.0, y), SIZE, Anchor::End, palette::INK)?;
                }
            }
            for (value, is_low) in [(*at_low, true), (*at_high, false)] {
                let Some(end) = across(value) else { continue };
                let (from, wide) = (middle.min(end), (end - middle).abs());
                if wide < 0.1 {
                    continue;
                }
                if is_low {
                    low(canvas, (from, y), wide, BAR)?;
                } else {
                    high(canvas, (from, y), wide, BAR)?;
                }
                canvas.line(&[(middle, y - 2.0), (middle, y + BAR + 2.0)], palette::INK, 1.4)?;
                let (at, anchor) =
                    if end < middle { (end - 5.0, Anchor::End) } else { (end + 5.0, Anchor::Start) };
                canvas.text(&short(value, x), (at, y + BAR / 2.0), 11.0, anchor, palette::LABEL)?;
            }
        }
        let words = format!("all likely: {}", short(self.middle, x));
        let half = text::width(&words, SIZE) / 2.0;
        let at = middle.clamp(half, canvas.width() - half);
        canvas.bold(&words, (at, top - 13.0), SIZE, Anchor::Middle, palette::LABEL)?;
        let end = if *left < 100.0 { canvas.width() } else { left + width };
        canvas.title(&self.title, (end, bottom + 32.0), Anchor::End)
    }
}
