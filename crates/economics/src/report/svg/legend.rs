//! The legend under a plot: which name belongs to which line or bar.

use super::canvas::{Anchor, Canvas, Drawn, LINE, SIZE, faint};
use super::{palette, text};

/// What stands before a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    /// A line with its mark.
    Line,
    /// A line over a faint area.
    Area,
    /// A box with a letter.
    Letter,
}

/// A legend that was set in rows.
#[derive(Debug)]
pub(super) struct Legend {
    sample: Sample,
    /// Left end, row's top, number of the series, lines of its name.
    entries: Vec<(f64, f64, usize, Vec<String>)>,
    /// How high it is.
    pub(super) height: f64,
}

/// The width of the sample and the gap after it.
const SAMPLE: f64 = 34.0;

impl Legend {
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>, sample: Sample, width: f64) -> Self {
        let (mut entries, mut x, mut y, mut row) = (Vec::new(), 0.0, 0.0, 0.0_f64);
        for (number, name) in names.enumerate() {
            let lines = text::lines(name, SIZE, width - SAMPLE, 2);
            let wide = lines.iter().map(|line| text::width(line, SIZE)).fold(0.0, f64::max) + SAMPLE;
            if x > 0.0 && x + wide > width {
                (x, y, row) = (0.0, y + row, 0.0);
            }
            row = row.max(lines.len() as f64 * LINE + 5.0);
            entries.push((x, y, number, lines));
            x += wide + 18.0;
        }
        Self { sample, entries, height: y + row }
    }

    pub(super) fn draw(&self, canvas: &Canvas<'_>, left: f64, top: f64) -> Drawn {
        for (x, y, number, lines) in &self.entries {
            let (x, y) = (left + x, top + y + LINE / 2.0);
            sample(canvas, self.sample, *number, (x, y))?;
            for (at, line) in lines.iter().enumerate() {
                let y = y + at as f64 * LINE;
                canvas.text(line, (x + SAMPLE, y), SIZE, Anchor::Start, palette::INK)?;
            }
        }
        Ok(())
    }
}

/// The sample of a series, 26 wide.
pub(super) fn sample(canvas: &Canvas<'_>, sample: Sample, number: usize, (x, y): (f64, f64)) -> Drawn {
    match sample {
        Sample::Line => {
            canvas.series_line(&[(x, y), (x + 26.0, y)], number, 2.0)?;
            canvas.mark((x + 13.0, y), number)
        }
        Sample::Area => {
            canvas.filled((x, y - 6.0), 26.0, 12.0, faint(palette::series(number), 0.2))?;
            canvas.series_line(&[(x, y - 6.0), (x + 26.0, y - 6.0)], number, 2.0)
        }
        Sample::Letter => {
            canvas.filled((x, y - 8.0), 26.0, 16.0, faint(palette::series(number), 1.0))?;
            canvas.bold(&letter(number), (x + 13.0, y), 11.0, Anchor::Middle, palette::on(number))
        }
    }
}

/// A, B, and so on; after Z comes AA.
pub(super) fn letter(number: usize) -> String {
    let last = u8::try_from(number % 26).unwrap_or(0);
    let last = char::from(b'A' + last);
    if number < 26 { last.to_string() } else { format!("{}{last}", letter(number / 26 - 1)) }
}
