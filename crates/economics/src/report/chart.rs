//! Charts: what is drawn, and the drawing as SVG.

use serde::Serialize;

/// What a chart shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    /// Lower-case words with `-`: the name of its file, and its anchor.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What a reader should see in it, in words: for those who do not see it.
    pub says: Vec<super::Span>,
    /// What is drawn.
    pub drawing: Drawing,
    /// The figures that its points are computed from, by id: at least one.
    pub from: Vec<String>,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "drawing")]
pub enum Drawing {
    /// Lines over a horizontal axis.
    Lines {
        /// The horizontal axis.
        x: Axis,
        /// The vertical axis.
        y: Axis,
        /// The lines.
        series: Vec<Series>,
        /// Horizontal lines with a name, such as a budget.
        levels: Vec<Level>,
    },
    /// Bars side by side, each made of parts on top of each other.
    Stacks {
        /// What the bars are measured in.
        y: Axis,
        /// The names of the bars.
        bars: Vec<String>,
        /// The parts: a name, and a value for each bar.
        parts: Vec<(String, Vec<f64>)>,
    },
    /// What moves an outcome: for each input a bar from the outcome at its lowest to that at its highest value.
    Tornado {
        /// What the outcome is measured in.
        x: Axis,
        /// The outcome with all inputs likely.
        middle: f64,
        /// Name of the input, outcome at its lowest, outcome at its highest value.
        bars: Vec<(String, f64, f64)>,
    },
    /// How often outcomes fall into intervals.
    Histogram {
        /// What the outcome is measured in.
        x: Axis,
        /// The series.
        series: Vec<Shares>,
    },
    /// Scores around a centre.
    Radar {
        /// The highest score.
        most: f64,
        /// The names of the spokes.
        spokes: Vec<String>,
        /// Name, and a score for each spoke.
        series: Vec<(String, Vec<f64>)>,
    },
}

impl Drawing {
    /// Changes values in US dollars to another currency, at so much of it for one.
    pub(super) fn convert(&mut self, code: &str, rate: f64) {
        match self {
            Self::Lines { x, y, series, levels } => {
                let (x, y) = (x.convert(code, rate), y.convert(code, rate));
                for point in series.iter_mut().flat_map(|one| &mut one.points) {
                    *point = (point.0 * x, point.1 * y);
                }
                for level in levels {
                    level.value *= y;
                }
            }
            Self::Stacks { y, parts, .. } => {
                let y = y.convert(code, rate);
                for value in parts.iter_mut().flat_map(|(_, values)| values) {
                    *value *= y;
                }
            }
            Self::Tornado { x, middle, bars } => {
                let x = x.convert(code, rate);
                *middle *= x;
                for (_, low, high) in bars {
                    (*low, *high) = (*low * x, *high * x);
                }
            }
            Self::Histogram { x, series } => {
                let x = x.convert(code, rate);
                for (from, to, _) in series.iter_mut().flat_map(|one| &mut one.bins) {
                    (*from, *to) = (*from * x, *to * x);
                }
            }
            Self::Radar { .. } => {}
        }
    }
}

impl Axis {
    /// Changes its unit where that is in US dollars, and gives what values are to be multiplied by.
    fn convert(&mut self, code: &str, rate: f64) -> f64 {
        match self.unit.strip_prefix("USD") {
            Some(rest) => {
                self.unit = format!("{code}{rest}");
                rate
            }
            None => 1.0,
        }
    }
}

/// An axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Axis {
    /// What it shows.
    pub title: String,
    /// In which unit.
    pub unit: String,
    /// Whether each step multiplies.
    pub logarithmic: bool,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its points, by x ascending.
    pub points: Vec<(f64, f64)>,
}

/// A horizontal line with a name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub value: f64,
}

/// How often outcomes fall into intervals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shares {
    /// The name of the outcomes.
    pub name: String,
    /// From, to, and the share of lives between them.
    pub bins: Vec<(f64, f64, f64)>,
}
