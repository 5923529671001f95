//! What drawings are made with: plotters' SVG backend, in pixels with one decimal place.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::DrawingArea;
use plotters::element::{Circle, DashedPathElement, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::SVGBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, IntoTextStyle, RGBAColor, RGBColor, ShapeStyle};

use super::palette;
use super::scale::Scale;

/// Steps of a pixel, so that lines are smooth.
pub(super) const SCALE: f64 = 10.0;
/// The size of most text.
pub(super) const SIZE: f64 = 12.0;
/// The height of a line of text.
pub(super) const LINE: f64 = 15.0;

/// That it was drawn, or what the drawing library says.
pub(super) type Drawn<T = ()> = Result<T, String>;

/// A place, in pixels.
pub(super) type At = (f64, f64);

/// A plot with its axes.
pub(super) type Plot<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Scale, Scale>>;

/// Which end of a text is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How series differ besides their colour: how their line is broken, and what marks their points.
const DASHES: [Option<(f64, f64)>; 4] = [None, Some((7.0, 4.0)), Some((2.0, 3.0)), Some((12.0, 3.0))];

/// Where a plot lies, and what its axes span.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
}

/// What is drawn on.
pub(super) struct Canvas<'a>(pub(super) DrawingArea<SVGBackend<'a>, Shift>);

/// A length in the backend's steps.
#[expect(clippy::cast_possible_truncation, reason = "drawings are some thousand steps wide")]
pub(super) fn steps(length: f64) -> i32 {
    (length * SCALE).round().clamp(-1e6, 1e6) as i32
}

fn size(length: f64) -> u32 {
    u32::try_from(steps(length)).unwrap_or(0)
}

fn place((x, y): At) -> (i32, i32) {
    (steps(x), steps(y))
}

fn line_style(colour: RGBAColor, width: f64) -> ShapeStyle {
    ShapeStyle { color: colour, filled: false, stroke_width: size(width) }
}

/// The colour, so opaque.
pub(super) fn faint(colour: RGBColor, opacity: f64) -> RGBAColor {
    colour.mix(opacity)
}

impl<'a> Canvas<'a> {
    fn draw<E>(&self, element: &E) -> Drawn
    where
        for<'b> &'b E: plotters::element::PointCollection<'b, (i32, i32)>,
        E: plotters::element::Drawable<SVGBackend<'a>>,
    {
        self.0.draw(element).map_err(|error| error.to_string())
    }

    pub(super) fn text(&self, words: &str, at: At, size: f64, anchor: Anchor, colour: RGBColor) -> Drawn {
        self.styled(words, at, size, anchor, colour, false)
    }

    pub(super) fn bold(&self, words: &str, at: At, size: f64, anchor: Anchor, colour: RGBColor) -> Drawn {
        self.styled(words, at, size, anchor, colour, true)
    }

    fn styled(&self, words: &str, at: At, size: f64, anchor: Anchor, colour: RGBColor, bold: bool) -> Drawn {
        let words = super::text::clean(words);
        if words.trim().is_empty() {
            return Ok(());
        }
        let h = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // The backend divides the size by this.
        let font = ("sans-serif", size * SCALE * 1.24).into_font();
        let font = if bold { font.style(plotters::style::FontStyle::Bold) } else { font };
        let style = font.into_text_style(&self.0).color(&colour).pos(Pos::new(h, VPos::Center));
        self.draw(&Text::new(words, place(at), style))
    }

    pub(super) fn line(&self, points: &[At], colour: RGBColor, width: f64) -> Drawn {
        let points: Vec<_> = points.iter().map(|at| place(*at)).collect();
        self.draw(&PathElement::new(points, line_style(colour.mix(1.0), width)))
    }

    /// The lines of an axis' title, the first at this height.
    pub(super) fn title(&self, lines: &[String], (x, y): At, anchor: Anchor) -> Drawn {
        for (at, line) in lines.iter().enumerate() {
            self.text(line, (x, y + at as f64 * LINE), SIZE, anchor, palette::QUIET)?;
        }
        Ok(())
    }

    /// A line as the series of this number has it.
    pub(super) fn series_line(&self, points: &[At], number: usize, width: f64) -> Drawn {
        self.broken(
            points,
            palette::series(number),
            width,
            DASHES.get(number % DASHES.len()).copied().flatten(),
        )
    }

    pub(super) fn broken(
        &self,
        points: &[At],
        colour: RGBColor,
        width: f64,
        dash: Option<(f64, f64)>,
    ) -> Drawn {
        let Some((on, off)) = dash else { return self.line(points, colour, width) };
        let points: Vec<_> = points.iter().map(|at| place(*at)).collect();
        let style = line_style(colour.mix(1.0), width);
        self.draw(&DashedPathElement::new(points, steps(on), steps(off), style))
    }

    pub(super) fn filled(&self, (x, y): At, width: f64, height: f64, colour: RGBAColor) -> Drawn {
        let ends = [place((x, y)), place((x + width, y + height))];
        self.draw(&Rectangle::new(ends, colour.filled()))
    }

    pub(super) fn polygon(&self, points: &[At], colour: RGBAColor) -> Drawn {
        let points: Vec<_> = points.iter().map(|at| place(*at)).collect();
        self.draw(&Polygon::new(points, colour.filled()))
    }

    /// The mark of the series of this number.
    pub(super) fn mark(&self, (x, y): At, number: usize) -> Drawn {
        let colour = palette::series(number).mix(1.0);
        let r = 3.6;
        match number % 5 {
            0 => self.draw(&Circle::new(place((x, y)), size(r), colour.filled())),
            1 => self.polygon(&[(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)], colour),
            2 => self.polygon(&[(x, y - r * 1.3), (x + r * 1.2, y + r), (x - r * 1.2, y + r)], colour),
            3 => self
                .polygon(&[(x, y - r * 1.4), (x + r * 1.4, y), (x, y + r * 1.4), (x - r * 1.4, y)], colour),
            _ => self.polygon(&[(x, y + r * 1.3), (x + r * 1.2, y - r), (x - r * 1.2, y - r)], colour),
        }
    }

    /// The axes of a plot: lines behind it, and labels along it; the titles are the caller's.
    pub(super) fn plot(&self, frame: &Frame) -> Drawn<Plot<'a>> {
        let Frame { left, top, width, height, x, y } = frame;
        let area = self.0.clone().shrink(place((*left, *top)), place((*width, *height)));
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let mut plot =
            ChartBuilder::on(&area).build_cartesian_2d(x.clone(), y.clone()).map_err(|error| said(&error))?;
        let mut mesh = plot.configure_mesh();
        mesh.bold_line_style(line_style(palette::GRID.mix(1.0), 1.0));
        mesh.light_line_style(line_style(palette::FINE.mix(1.0), 0.8));
        mesh.axis_style(line_style(palette::AXIS.mix(1.0), 1.0));
        mesh.draw().map_err(|error| said(&error))?;
        drop(mesh);
        let (right, bottom) = (left + width, top + height);
        self.line(&[(*left, bottom), (right, bottom)], palette::AXIS, 1.2)?;
        for (at, label) in &x.ticks {
            let (place, _) = self.spot(&plot, (*at, y.from));
            self.line(&[(place, bottom), (place, bottom + 4.0)], palette::AXIS, 1.0)?;
            // The outermost labels stay above the plot.
            let half = super::text::width(label, SIZE) / 2.0;
            let place = place.clamp(half, self.width() - half);
            self.text(label, (place, bottom + 14.0), SIZE, Anchor::Middle, palette::QUIET)?;
        }
        for (at, label) in &y.ticks {
            let (_, place) = self.spot(&plot, (x.from, *at));
            self.text(label, (left - 7.0, place), SIZE, Anchor::End, palette::QUIET)?;
        }
        Ok(plot)
    }

    /// How wide it is.
    pub(super) fn width(&self) -> f64 {
        f64::from(self.0.dim_in_pixel().0) / SCALE
    }

    /// Where a point of a plot lies, in pixels.
    pub(super) fn spot(&self, plot: &Plot<'_>, at: (f64, f64)) -> At {
        let ((x, y), (left, top)) = (plot.backend_coord(&at), self.0.get_base_pixel());
        (f64::from(x - left) / SCALE, f64::from(y - top) / SCALE)
    }
}
