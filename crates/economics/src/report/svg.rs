//! Charts as SVG: drawn by plotters, titled, described in words, and readable in colour or without.

mod canvas;
mod histogram;
mod legend;
mod lines;
mod palette;
mod radar;
mod scale;
mod stacks;
mod text;
mod tornado;

use plotters::drawing::IntoDrawingArea;
use plotters::prelude::SVGBackend;

use self::canvas::{Anchor, Canvas, Drawn, SIZE};
use super::chart::{Axis, Drawing};
use super::{Chart, Report, words};
use crate::error::EconomicsError;

/// Where a drawing will be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a page whose text gives the title and the sources; on a wide screen.
    Wide,
    /// The same on a phone.
    Narrow,
    /// In a file of its own, with title and sources, in light colours.
    File,
}

impl Place {
    fn width(self) -> f64 {
        match self {
            Self::Wide | Self::File => 760.0,
            Self::Narrow => 360.0,
        }
    }
}

/// A drawing that was laid out.
trait Body {
    /// How high it is.
    fn height(&self) -> f64;
    /// Draws it from the top left corner of the canvas.
    fn draw(&self, canvas: &Canvas<'_>) -> Drawn;
}

/// The rules that a page needs for the drawings in it: what their colours become on a dark page.
#[must_use]
pub fn dark_rules(selector: &str) -> String {
    palette::dark(selector)
}

/// The rule that keeps text over lines readable. `paper` is the page's colour, as CSS.
#[must_use]
pub fn halo_rule(selector: &str, paper: &str) -> String {
    palette::halo(selector, paper)
}

/// The chart as SVG.
///
/// # Errors
/// EC-0004 where the drawing library refuses.
pub fn drawn(chart: &Chart, report: &Report, place: Place) -> Result<String, EconomicsError> {
    draw(chart, report, place).map_err(|why| EconomicsError::Chart { chart: chart.title.clone(), why })
}

/// The margins around a drawing in a file.
const MARGIN: f64 = 20.0;

fn draw(chart: &Chart, report: &Report, place: Place) -> Drawn<String> {
    let width = place.width();
    let body: Box<dyn Body + '_> = match &chart.drawing {
        Drawing::Lines { x, y, series, levels } => Box::new(lines::Lines::new((x, y), series, levels, width)),
        Drawing::Stacks { y, bars, parts } => Box::new(stacks::Stacks::new(y, bars, parts, width)),
        Drawing::Tornado { x, middle, bars } => Box::new(tornado::Tornado::new(x, *middle, bars, width)),
        Drawing::Histogram { x, series } => Box::new(histogram::Histogram::new(x, series, width)),
        Drawing::Radar { most, spokes, series } => Box::new(radar::Radar::new(*most, spokes, series, width)),
    };
    let titles = text::lines(&chart.title, 17.0, width, 3);
    let sources = text::lines(&words::source_line(report, &chart.from), 11.0, width, 4);
    let (left, head, foot) = match place {
        Place::Wide | Place::Narrow => (0.0, 2.0, 2.0),
        Place::File => {
            let head = titles.len() as f64 * 22.0 + 12.0 + MARGIN;
            (MARGIN, head, sources.len() as f64 * 15.0 + 10.0 + MARGIN)
        }
    };
    let (whole, height) = (width + left * 2.0, head + body.height() + foot);
    let size = |length: f64| u32::try_from(canvas::steps(length)).unwrap_or(1);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (size(whole), size(height))).into_drawing_area();
        let page = Canvas(root.clone());
        if place == Place::File {
            page.filled((0.0, 0.0), whole, height, canvas::faint(palette::PAPER, 1.0))?;
            for (at, line) in titles.iter().enumerate() {
                let y = MARGIN + 8.0 + at as f64 * 22.0;
                page.bold(line, (left, y), 17.0, Anchor::Start, palette::INK)?;
            }
            for (at, line) in sources.iter().enumerate() {
                let y = height - foot + 14.0 + at as f64 * 15.0;
                page.text(line, (left, y), SIZE - 1.0, Anchor::Start, palette::QUIET)?;
            }
        }
        let corner = (canvas::steps(left), canvas::steps(head));
        let inner = root.clone().shrink(corner, (canvas::steps(width), canvas::steps(body.height())));
        body.draw(&Canvas(inner))?;
        root.present().map_err(|error| error.to_string())?;
    }
    Ok(finished(&svg, chart, report, place, (whole, height)))
}

/// The backend's document with our own first tag: a size that follows the page, a title and a description.
fn finished(svg: &str, chart: &Chart, report: &Report, place: Place, (width, height): (f64, f64)) -> String {
    let inside = svg.split_once('>').map_or("", |(_, rest)| rest);
    // Quotes of texts are escaped, so these are attributes that say what holds anyway.
    let inside = inside.replace(" opacity=\"1\"", "").replace(" font-family=\"sans-serif\"", "");
    let (id, title) = (words::slug(&chart.id), text::clean(&chart.title));
    let says = text::clean(&words::plain(report, &chart.says));
    let name = match place {
        Place::Wide => "wide",
        Place::Narrow => "narrow",
        Place::File => "file",
    };
    let size = match place {
        Place::File => format!(" width=\"{width}\" height=\"{height}\""),
        Place::Wide | Place::Narrow => String::new(),
    };
    let style = match place {
        Place::File => format!("<style>{}</style>", palette::halo("svg", "#FFFFFF")),
        Place::Wide | Place::Narrow => String::new(),
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"drawing {name}\" role=\"img\" \
         aria-labelledby=\"{id}-{name}-title {id}-{name}-says\" viewBox=\"0 0 {} {}\"{size} \
        font-family=\"Helvetica, Arial, sans-serif\">\
         <title id=\"{id}-{name}-title\">{}</title><desc id=\"{id}-{name}-says\">{}</desc>{style}{inside}",
        canvas::steps(width),
        canvas::steps(height),
        words::escaped(&title),
        words::escaped(&says),
    )
}

/// An axis' title with its unit, in at most two lines.
fn axis_title(axis: &Axis, room: f64) -> Vec<String> {
    let words = if axis.unit == "1" || axis.unit.is_empty() {
        axis.title.clone()
    } else {
        format!("{} ({})", axis.title, axis.unit)
    };
    text::lines(&words, SIZE, room, 2)
}

/// How much higher a drawing is where a title takes more than one line.
fn more(title: &[String]) -> f64 {
    title.len().saturating_sub(1) as f64 * canvas::LINE
}

#[cfg(test)]
mod tests;
