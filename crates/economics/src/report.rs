//! Reports: blocks of text, tables and charts in which every number is a figure whose origin is known.
//!
//! Words that the program itself writes hold no digits but names and clauses that [`Span::Name`] marks; what a data file says
//! comes with its source ([`Span::Sourced`]); everything else is a [`Figure`], which leads to inputs and sources. A test
//! walks each report and fails at an orphan.

pub mod chart;
pub mod csv;
mod draft;
pub mod html;
pub mod markdown;
pub mod number;
#[cfg(test)]
mod sample;
mod series;
pub mod svg;
pub mod terminal;
pub mod walk;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::chart::Chart;
pub use self::draft::Draft;
use crate::source::{Grade, Source};

/// A finished report. As JSON it is the document with `schema`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// `touchmark.decide.<verb>/1`.
    pub schema: String,
    /// What it is about.
    pub title: String,
    /// What it answers, in one sentence.
    pub summary: Vec<Span>,
    /// What it says, in order.
    pub blocks: Vec<Block>,
    /// Every figure in it, and every figure that those come from, by id.
    pub figures: BTreeMap<String, Figure>,
    /// The sources that these figures and sentences name, by id.
    pub sources: BTreeMap<String, Source>,
    /// The answer for programs: what the verb's documentation promises.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub data: serde_json::Value,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Block {
    /// A heading of the second level.
    Heading {
        /// Its words.
        text: String,
    },
    /// A paragraph.
    Paragraph {
        /// Its parts.
        spans: Vec<Span>,
    },
    /// A list.
    List {
        /// Its entries.
        items: Vec<Vec<Span>>,
    },
    /// A table.
    Table {
        /// What it shows.
        caption: String,
        /// The heads of its columns.
        columns: Vec<String>,
        /// Rows of cells, as many as there are columns.
        rows: Vec<Vec<Vec<Span>>>,
    },
    /// A chart.
    Chart(Chart),
}

/// A part of a sentence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Span {
    /// Words without digits.
    Text {
        /// The words.
        text: String,
    },
    /// A name or a clause that may hold digits, such as `ATECC608B` or `EN 303 645, 5.4-1`: no measure of anything.
    Name {
        /// The name.
        text: String,
    },
    /// Words of a data file, and where the file has them from.
    Sourced {
        /// The words.
        text: String,
        /// The source's id.
        source: String,
        /// How far it carries.
        grade: Grade,
    },
    /// What the user wrote.
    Given {
        /// The words.
        text: String,
    },
    /// A figure of the report.
    Figure {
        /// Its id.
        id: String,
    },
    /// The range of a figure of the report: `0.6 to 0.9 USD/device`; its value where it has none.
    Range {
        /// Its id.
        id: String,
    },
    /// A verdict, with the word that colour alone would not say.
    Verdict {
        /// The word.
        text: String,
        /// How it is meant.
        tone: Tone,
    },
}

/// How a verdict is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// As wished.
    Good,
    /// To be looked at.
    Warning,
    /// Not as wished.
    Bad,
    /// Neither.
    Neutral,
}

impl Span {
    /// Words without digits.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// A name or clause.
    pub fn name(text: impl Into<String>) -> Self {
        Self::Name { text: text.into() }
    }

    /// What the user wrote.
    pub fn given(text: impl Into<String>) -> Self {
        Self::Given { text: text.into() }
    }

    /// Words with their source.
    pub fn sourced(text: impl Into<String>, source: impl Into<String>, grade: Grade) -> Self {
        Self::Sourced { text: text.into(), source: source.into(), grade }
    }

    /// A verdict.
    pub fn verdict(text: impl Into<String>, tone: Tone) -> Self {
        Self::Verdict { text: text.into(), tone }
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What it is.
    pub text: String,
    /// Its value, in `unit`.
    pub value: f64,
    /// The lowest and the highest, for an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Its unit.
    pub unit: String,
    /// Where it comes from.
    pub origin: FigureOrigin,
}

/// Where a figure comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum FigureOrigin {
    /// An input from a source.
    Source {
        /// The source's id.
        source: String,
        /// How far it carries.
        grade: Grade,
        /// When it was published or read.
        #[serde(skip_serializing_if = "String::is_empty")]
        date: String,
        /// What else there is to say.
        #[serde(skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// An input of the user's.
    Given {
        /// The file or form.
        file: String,
        /// The line, from 1; 0 for a form.
        line: usize,
    },
    /// True by definition.
    Defined {
        /// Why.
        reason: String,
    },
    /// Computed from other figures.
    Calculated {
        /// How, with the figures' ids.
        formula: String,
        /// The figures.
        from: Vec<String>,
    },
}
