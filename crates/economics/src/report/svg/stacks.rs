//! Bars made of parts, lying so that their names have room.

use super::canvas::{Anchor, Canvas, Drawn, Frame, LINE, SIZE, faint};
use super::legend::{Legend, Sample, letter};
use super::lines::count;
use super::scale::Scale;
use super::{Body, axis_title, more, palette, text};
use crate::report::chart::Axis;
use crate::report::number::plain;

/// Stacked bars, laid out.
#[derive(Debug)]
pub(super) struct Stacks<'c> {
    parts: &'c [(String, Vec<f64>)],
    names: Vec<Vec<String>>,
    title: Vec<String>,
    frame: Frame,
    /// How high one bar's place is, and the name above the bar where there is no room beside it.
    place: (f64, f64),
    legend: Legend,
}

const FOOT: f64 = 46.0;

impl<'c> Stacks<'c> {
    pub(super) fn new(axis: &Axis, bars: &[String], parts: &'c [(String, Vec<f64>)], width: f64) -> Self {
        let wide = width > 500.0;
        let column = if wide { 170.0 } else { 0.0 };
        let room = if wide { column - 14.0 } else { width - 70.0 };
        let names: Vec<_> = bars.iter().map(|name| text::lines(name, SIZE, room, 2)).collect();
        let above = if wide { 0.0 } else { names.iter().map(Vec::len).max().unwrap_or(1) as f64 * LINE };
        let place = (above + 46.0, above);
        // A bar goes as far right as its positive parts, and as far left as its negative ones.
        let reach = |sign: f64| {
            (0..bars.len()).map(move |bar| {
                let values = parts.iter().filter_map(move |(_, values)| values.get(bar));
                values.filter(|value| value.is_finite() && **value * sign > 0.0).sum::<f64>()
            })
        };
        let left = column.max(8.0);
        let span = width - left - 70.0;
        let scale = |ticks| Scale::new(reach(1.0).chain(reach(-1.0)), false, ticks, true);
        let x = scale(count(span / (scale(6).widest(SIZE) + 24.0)).min(6));
        let height = place.0 * bars.len().max(1) as f64;
        let frame = Frame { left, top: 6.0, width: span, height, x, y: Scale::places(bars.len()) };
        let legend = Legend::new(parts.iter().map(|(name, _)| name.as_str()), Sample::Letter, width);
        Self {
            parts,
            names,
            title: axis_title(axis, if wide { left + span } else { width }),
            frame,
            place,
            legend,
        }
    }
}

impl Body for Stacks<'_> {
    fn height(&self) -> f64 {
        self.frame.top + self.frame.height + FOOT + more(&self.title) + self.legend.height + 6.0
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let Frame { left, top, width, height, x, .. } = &self.frame;
        let plot = canvas.plot(&self.frame)?;
        let (place, above) = self.place;
        let across = |value: f64| canvas.spot(&plot, (value, 0.0)).0;
        for (bar, name) in self.names.iter().enumerate() {
            let first = top + place * bar as f64;
            let (y, thick) = (first + above + (place - above - 28.0) / 2.0, 28.0);
            for (at, line) in name.iter().enumerate() {
                if above > 0.0 {
                    let y = first + 14.0 + at as f64 * LINE;
                    canvas.text(line, (left + 4.0, y), SIZE, Anchor::Start, palette::LABEL)?;
                } else {
                    let y = y + thick / 2.0 + (at as f64 - (name.len() as f64 - 1.0) / 2.0) * LINE;
                    canvas.text(line, (left - 10.0, y), SIZE, Anchor::End, palette::INK)?;
                }
            }
            let (mut up, mut down, mut total) = (0.0, 0.0, 0.0);
            for (number, (_, values)) in self.parts.iter().enumerate() {
                let value = values.get(bar).copied().filter(|value| value.is_finite()).unwrap_or(0.0);
                let end = if value >= 0.0 { &mut up } else { &mut down };
                let (a, b) = (across(*end), across(*end + value));
                *end += value;
                total += value;
                let (a, b) = (a.min(b), a.max(b));
                if b - a < 0.1 {
                    continue;
                }
                canvas.filled((a, y), b - a, thick, faint(palette::series(number), 1.0))?;
                canvas.line(&[(b, y), (b, y + thick)], palette::PAPER, 1.0)?;
                let letter = letter(number);
                if b - a > text::width(&letter, 11.0) + 6.0 {
                    let middle = (f64::midpoint(a, b), y + thick / 2.0);
                    canvas.bold(&letter, middle, 11.0, Anchor::Middle, palette::on(number))?;
                }
            }
            let label = short(total, x);
            canvas.bold(&label, (across(up) + 6.0, y + thick / 2.0), SIZE, Anchor::Start, palette::LABEL)?;
        }
        let (right, bottom) = (left + width, top + height);
        let end = if *left < 20.0 { canvas.width() } else { right };
        canvas.title(&self.title, (end, bottom + 32.0), Anchor::End)?;
        self.legend.draw(canvas, 0.0, bottom + FOOT + more(&self.title) + 4.0)
    }
}

/// A value beside a bar, as short as the ticks are.
pub(super) fn short(value: f64, scale: &Scale) -> String {
    // Three digits of the widest value are enough beside a bar.
    let size = scale.from.abs().max(scale.to.abs());
    let (unit, word) = match size {
        size if size < 999_999.0 => (1.0, ""),
        size if size < 999_999_999.0 => (1e6, " M"),
        size if size < 999_999_999_999.0 => (1e9, " bn"),
        _ => (1e12, " tn"),
    };
    let step = 10_f64.powf((size / unit).log10().floor() - 2.0);
    format!("{}{word}", plain((value / unit / step).round() * step))
}
