//! The models of `touchmark decide` under sliders: from the query of an address to a report.
//!
//! An address holds what was changed and nothing else (`/decide/cost?fleet.devices=40000`), so it can be passed on and
//! means the same for whoever opens it. Values are in the input's own unit, as the data files have it.

mod attack;
mod cost;
mod posture;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use touchmark_economics::EconomicsError;
use touchmark_economics::attack::Catalogue;
use touchmark_economics::input::Inputs;
use touchmark_economics::posture::Answers;
use touchmark_economics::report::{Report, csv, html, markdown};

use crate::dashboard::view;

pub use self::posture::Fleet;

/// What stands in errors for the file that a form has not.
const FORM: &str = "the address";
/// No more pairs than this are read from an address.
const MAX_PAIRS: usize = 200;

/// A model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// What the life of a fleet costs.
    Cost,
    /// What an attack on it costs.
    Attack,
    /// How ready the organisation is.
    Posture,
}

impl Subject {
    /// All of them, in the order of the pages.
    pub const ALL: [Self; 3] = [Self::Cost, Self::Attack, Self::Posture];

    /// The word in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Attack => "attack",
            Self::Posture => "posture",
        }
    }

    /// The model of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.word() == word)
    }

    fn title(self) -> &'static str {
        match self {
            Self::Cost => "Life-cycle cost",
            Self::Attack => "Attack cost",
            Self::Posture => "Posture",
        }
    }
}

/// How a report leaves the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// One HTML file with its charts inside.
    Html,
    /// Markdown.
    Markdown,
    /// The figures and the series of the charts.
    Csv,
    /// Everything, for programs.
    Json,
}

impl Export {
    /// All of them, in the order of the links.
    pub const ALL: [Self; 4] = [Self::Html, Self::Markdown, Self::Csv, Self::Json];

    /// The end of the file's name.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    /// The report in this form.
    ///
    /// # Errors
    /// EC-0004 where a chart cannot be drawn.
    pub fn written(self, report: &Report) -> Result<String, EconomicsError> {
        Ok(match self {
            Self::Html => html::page(report)?,
            Self::Markdown => markdown::written(report),
            Self::Csv => csv::written(report),
            Self::Json => serde_json::to_string(report).map_err(|error| EconomicsError::Chart {
                chart: report.title.clone(),
                why: error.to_string(),
            })?,
        })
    }
}

/// What an address asks for: name and value, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked(Vec<(String, String)>);

impl Asked {
    /// What the pairs of a query say. An empty value is as none.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs.into_iter().filter(|(_, value)| !value.trim().is_empty()).take(MAX_PAIRS).collect())
    }

    /// The last value of a name, since that is what the reader set last.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What was changed, as a query without the question mark.
    fn query(&self) -> String {
        let escape = |text: &str| {
            let mut out = String::with_capacity(text.len());
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    out.push(char::from(byte));
                } else {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
            out
        };
        let pairs = self.0.iter().map(|(key, value)| format!("{}={}", escape(key), escape(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// The page of a model. `fleet` are the answers that the registry gives to the questions of the posture.
///
/// What cannot be computed is said in place of the report, and the sliders stay.
#[must_use]
pub fn model(subject: Subject, asked: &Asked, frame: view::Frame, own: &Own, fleet: &Answers) -> view::Model {
    let controls = match subject {
        Subject::Cost => cost::controls(asked, own),
        Subject::Attack => attack::controls(asked, own),
        Subject::Posture => posture::controls(asked, own, fleet),
    };
    view::Model {
        frame,
        subject: subject.word(),
        title: subject.title(),
        subjects: Subject::ALL.map(|one| (one.word(), one.title())).to_vec(),
        exports: Export::ALL.map(Export::extension).to_vec(),
        query: asked.query(),
        controls,
        report: fragment(subject, asked, own, fleet),
    }
}

/// The report of a model as a part of a page, or why there is none.
///
/// # Errors
/// The words that say what is wrong with what was asked.
pub fn fragment(subject: Subject, asked: &Asked, own: &Own, fleet: &Answers) -> Result<String, String> {
    report(subject, asked, own, fleet)
        .and_then(|report| html::fragment(&report))
        .map_err(|error| error.to_string())
}

/// The report of a model.
///
/// # Errors
/// EC-0001 and EC-0003 where what was asked cannot be computed.
pub fn report(subject: Subject, asked: &Asked, own: &Own, fleet: &Answers) -> Result<Report, EconomicsError> {
    match subject {
        Subject::Cost => cost::report(asked, own),
        Subject::Attack => attack::report(asked, own),
        Subject::Posture => posture::report(asked, own, fleet),
    }
}

/// What comes with the product, read once.
#[derive(Debug)]
pub struct Own {
    inputs: Inputs,
    attacks: Catalogue,
    posture: posture::Assessment,
}

impl Own {
    fn read() -> Result<Self, EconomicsError> {
        let inputs = Inputs::own()?;
        let attacks = Catalogue::own(&inputs)?;
        Ok(Self { inputs, attacks, posture: posture::Assessment::read()? })
    }

    /// What comes with the product.
    ///
    /// # Errors
    /// EC-0001, which a test excludes.
    pub fn get() -> Result<&'static Self, EconomicsError> {
        static OWN: LazyLock<Result<Own, EconomicsError>> = LazyLock::new(Own::read);
        OWN.as_ref().map_err(Clone::clone)
    }

    /// The product's inputs, with those that an address names.
    fn inputs(&self, asked: &Asked, sliders: &[&[Range]]) -> Result<Inputs, EconomicsError> {
        let mut inputs = self.inputs.clone();
        for range in sliders.iter().flat_map(|ranges| ranges.iter()) {
            let Some(value) = asked.get(range.key) else { continue };
            let Some(input) = self.inputs.get(range.key) else { continue };
            // A form without a script sends every slider; one that was not moved says nothing.
            if value.parse() != Ok(input.likely) {
                inputs = inputs.given(FORM, range.key, &format!("{value} {}", input.unit))?;
            }
        }
        Ok(inputs)
    }
}

/// How far a slider goes.
#[derive(Debug, Clone, Copy)]
struct Range {
    key: &'static str,
    least: f64,
    most: f64,
    step: f64,
}

const fn range(key: &'static str, least: f64, most: f64, step: f64) -> Range {
    Range { key, least, most, step }
}

/// The sliders of inputs, each where the address or the product has it.
fn sliders(title: &str, ranges: &[Range], asked: &Asked, own: &Own) -> view::Controls {
    let slider = |range: &Range| {
        let input = own.inputs.get(range.key)?;
        let value = asked.get(range.key).and_then(|value| value.parse().ok()).unwrap_or(input.likely);
        Some(view::Control::Slider(view::Slider {
            name: range.key.to_owned(),
            text: input.text.clone(),
            value,
            usual: input.likely,
            least: range.least.min(input.likely),
            most: range.most.max(input.likely),
            step: range.step,
            unit: input.unit.to_owned(),
        }))
    };
    view::Controls { title: title.to_owned(), controls: ranges.iter().filter_map(slider).collect() }
}

/// A choice between words, where the address or the product has it.
fn choice(name: &str, text: &str, words: &[(&str, &str)], usual: &str, asked: &Asked) -> view::Control {
    let chosen = asked.get(name).unwrap_or(usual).to_owned();
    let words = words.iter().map(|(word, text)| ((*word).to_owned(), (*text).to_owned())).collect();
    view::Control::Choice(view::Choice {
        name: name.to_owned(),
        text: text.to_owned(),
        words,
        chosen,
        usual: usual.to_owned(),
    })
}
