//! How often outcomes fall into intervals.

use super::canvas::{Anchor, At, Canvas, Drawn, Frame, SIZE, faint};
use super::legend::{Legend, Sample};
use super::lines::count;
use super::scale::Scale;
use super::{Body, axis_title, more, palette};
use crate::report::chart::{Axis, Shares};

/// A histogram, laid out.
#[derive(Debug)]
pub(super) struct Histogram<'c> {
    series: &'c [Shares],
    title: Vec<String>,
    frame: Frame,
    legend: Legend,
}

const HEAD: f64 = 30.0;
const FOOT: f64 = 44.0;

impl<'c> Histogram<'c> {
    pub(super) fn new(axis: &Axis, series: &'c [Shares], width: f64) -> Self {
        let wide = width > 500.0;
        let bins = || series.iter().flat_map(|one| &one.bins);
        let mut y = Scale::new(bins().map(|(_, _, share)| share * 100.0), false, 5, true);
        for (_, label) in &mut y.ticks {
            label.push_str(" %");
        }
        let left = y.widest(SIZE) + 12.0;
        let span = width - left - 20.0;
        let ends = || bins().flat_map(|(from, to, _)| [*from, *to]);
        let scale = |ticks| Scale::new(ends(), axis.logarithmic, ticks, false);
        let x = scale(count(span / (scale(8).widest(SIZE) + 16.0)).min(8));
        let height = if wide { 260.0 } else { 210.0 };
        let frame = Frame { left, top: HEAD, width: span, height, x, y };
        let legend = Legend::new(series.iter().map(|one| one.name.as_str()), Sample::Area, width);
        Self { series, title: axis_title(axis, left + span), frame, legend }
    }
}

impl Body for Histogram<'_> {
    fn height(&self) -> f64 {
        HEAD + self.frame.height + FOOT + more(&self.title) + self.legend.height + 6.0
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let Frame { left, top, width, height, x, y } = &self.frame;
        let bottom = top + height;
        canvas.text("Share of the sampled lives", (0.0, 10.0), SIZE, Anchor::Start, palette::QUIET)?;
        let plot = canvas.plot(&self.frame)?;
        let outlines: Vec<Vec<At>> = self
            .series
            .iter()
            .map(|one| {
                let mut outline: Vec<At> = Vec::new();
                for (from, to, share) in &one.bins {
                    if let (Some(from), Some(to), Some(share)) = (x.at(*from), x.at(*to), y.at(share * 100.0))
                    {
                        let (from, to) = (canvas.spot(&plot, (from, share)), canvas.spot(&plot, (to, share)));
                        if outline.is_empty() {
                            outline.push((from.0, bottom));
                        }
                        outline.extend([from, to]);
                    }
                }
                if let Some((last, _)) = outline.last().copied() {
                    outline.push((last, bottom));
                }
                outline
            })
            .collect();
        for (number, outline) in outlines.iter().enumerate() {
            canvas.polygon(outline, faint(palette::series(number), 0.18))?;
        }
        for (number, outline) in outlines.iter().enumerate() {
            canvas.series_line(outline, number, 2.0)?;
        }
        canvas.title(&self.title, (left + width, bottom + 32.0), Anchor::End)?;
        self.legend.draw(canvas, 0.0, bottom + FOOT + more(&self.title) + 4.0)
    }
}
