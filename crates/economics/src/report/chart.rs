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
