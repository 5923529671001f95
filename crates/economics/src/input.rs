//! Inputs: each a range with a unit, a source and the grade of its evidence.
//!
//! The product's own are in `data/economics/`. A user's file overrides any of them, in full or in short:
//!
//! ```toml
//! [inputs]
//! "fleet.devices" = "40000 device"                       # the same for low, likely and high
//! "part.secure-element.price" = "0.60..0.90 USD/device"  # likely is the middle
//! "part.tpm.price" = "2..2.60..5 USD/device"             # low, likely, high
//!
//! [[input]]                                              # in full, with a source of your own
//! key = "part.secure-element.price"
//! text = "Secure element, each"
//! low = 0.6
//! likely = 0.7
//! high = 0.9
//! unit = "USD/device"
//! source = "offer"
//! grade = "whole"
//!
//! [[source]]
//! id = "offer"
//! title = "Offer of our distributor, number 4711"
//! address = "in our files"
//! date = "2026-10"
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::error::{EconomicsError, Text};
use crate::expr::Expr;
use crate::source::{Grade, Source, Sources};
use crate::unit::{NAMES, Unit};

/// One input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Input {
    /// How models, files and forms name it: `group.name`.
    pub key: String,
    /// What people read.
    pub text: String,
    /// The lowest value that is plausible.
    pub low: f64,
    /// The value that is taken where one is taken.
    pub likely: f64,
    /// The highest value that is plausible.
    pub high: f64,
    /// Its unit, one of [`NAMES`].
    pub unit: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// What else there is to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What values are taken at all.
    #[serde(skip)]
    bounds: (f64, f64),
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Origin {
    /// A source of the list.
    Source {
        /// Its id.
        id: String,
        /// How far it carries.
        grade: Grade,
        /// When the figure was published or read.
        date: String,
    },
    /// The user's word: a file and its line, or a form.
    Given {
        /// The file, or what else the user filled in.
        file: String,
        /// The line, from 1; 0 where there are no lines.
        line: usize,
    },
}

impl Origin {
    /// How far it carries.
    #[must_use]
    pub fn grade(&self) -> Grade {
        match self {
            Self::Source { grade, .. } => *grade,
            Self::Given { .. } => Grade::Yours,
        }
    }
}

/// What a data file may hold, as far as inputs and sources go.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    source: Vec<Source>,
    #[serde(default)]
    input: Vec<Spanned<Entry>>,
    #[serde(default)]
    inputs: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: Spanned<String>,
    text: String,
    low: f64,
    likely: f64,
    high: f64,
    unit: Spanned<String>,
    source: Spanned<String>,
    grade: Grade,
    #[serde(default)]
    date: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    at_least: f64,
    #[serde(default = "infinity")]
    at_most: f64,
}

fn infinity() -> f64 {
    f64::INFINITY
}

/// All inputs and all sources that models can use.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    inputs: BTreeMap<String, Input>,
    sources: Sources,
}

/// The files that come with the product.
const OWN: &[Text<'static>] = &[
    Text { file: "data/economics/sources.toml", text: include_str!("../../../data/economics/sources.toml") },
    Text { file: "data/economics/costs.toml", text: include_str!("../../../data/economics/costs.toml") },
    Text { file: "data/economics/parts.toml", text: include_str!("../../../data/economics/parts.toml") },
    Text {
        file: "data/economics/attack-costs.toml",
        text: include_str!("../../../data/economics/attack-costs.toml"),
    },
    Text {
        file: "data/economics/articles.toml",
        text: include_str!("../../../data/economics/articles.toml"),
    },
    Text {
        file: "data/economics/posture-inputs.toml",
        text: include_str!("../../../data/economics/posture-inputs.toml"),
    },
];

impl Inputs {
    /// The product's own.
    ///
    /// # Errors
    /// EC-0001 where one of them is wrong, which a test excludes.
    pub fn own() -> Result<Self, EconomicsError> {
        let mut inputs = Self::default();
        for text in OWN {
            inputs.read(*text, true)?;
        }
        Ok(inputs)
    }

    /// These, with what a user's file says instead.
    ///
    /// # Errors
    /// EC-0001 with the line and the remedy.
    pub fn overridden(mut self, text: Text<'_>) -> Result<Self, EconomicsError> {
        self.read(text, false)?;
        Ok(self)
    }

    /// These, with one value given by name: the field of a form, or an argument.
    ///
    /// # Errors
    /// EC-0001 that names the field.
    pub fn given(mut self, place: &str, key: &str, value: &str) -> Result<Self, EconomicsError> {
        let text = Text { file: place, text: "" };
        self.short(text, 0, key, 0, value)?;
        Ok(self)
    }

    fn read(&mut self, text: Text<'_>, own: bool) -> Result<(), EconomicsError> {
        let file: File = text.parse()?;
        for source in file.source {
            self.sources.add(source);
        }
        for entry in file.input {
            let at = entry.span().start;
            let input = self.entry(text, at, entry.into_inner())?;
            if own && self.inputs.contains_key(&input.key) {
                return Err(text.wrong(at, format!("`{}` is there twice", input.key), "remove one"));
            }
            self.inputs.insert(input.key.clone(), input);
        }
        for (key, value) in file.inputs {
            let at = value.span().start;
            match value.as_ref() {
                toml::Value::String(words) => {
                    self.short(text, key.span().start, key.as_ref(), at, words)?;
                }
                toml::Value::Integer(_) | toml::Value::Float(_) => {
                    let number = value.as_ref();
                    let unit = self.known(text, key.span().start, key.as_ref())?.unit;
                    return Err(text.wrong(
                        at,
                        format!("`{}` has no unit", key.as_ref()),
                        format!("write \"{number} {unit}\""),
                    ));
                }
                _ => {
                    return Err(text.wrong(
                        at,
                        format!("`{}` is not a text with number and unit", key.as_ref()),
                        "write \"1.50 USD/device\", or a range \"1.20..1.50..2 USD/device\"",
                    ));
                }
            }
        }
        Ok(())
    }

    fn entry(&self, text: Text<'_>, at: usize, entry: Entry) -> Result<Input, EconomicsError> {
        self.sources.check(text, &entry.source)?;
        let Some(unit) = NAMES.iter().find(|name| **name == entry.unit.as_ref().as_str()) else {
            return Err(text.wrong(
                entry.unit.span().start,
                format!("`{}` is no unit that is known", entry.unit.as_ref()),
                format!("take one of: {}", NAMES.join(", ")),
            ));
        };
        let key = entry.key.into_inner();
        if let Some(before) = self.inputs.get(&key)
            && before.unit != *unit
        {
            return Err(text.wrong(
                entry.unit.span().start,
                format!("`{key}` is in {unit}, the model wants {}", before.unit),
                "convert it",
            ));
        }
        let bounds = self.inputs.get(&key).map_or((entry.at_least, entry.at_most), |before| before.bounds);
        let input = Input {
            key,
            text: entry.text,
            low: entry.low,
            likely: entry.likely,
            high: entry.high,
            unit,
            origin: Origin::Source { id: entry.source.into_inner(), grade: entry.grade, date: entry.date },
            note: entry.note,
            bounds,
        };
        input.check(text, at)?;
        Ok(input)
    }

    fn known(&self, text: Text<'_>, at: usize, key: &str) -> Result<&Input, EconomicsError> {
        self.inputs.get(key).ok_or_else(|| {
            let near = self.inputs.keys().max_by(|a, b| alike(a, key).total_cmp(&alike(b, key)));
            let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            text.wrong(
                at,
                format!("there is no input `{key}`"),
                format!("{near}`touchmark decide sources` lists them"),
            )
        })
    }

    fn short(
        &mut self,
        text: Text<'_>,
        key_at: usize,
        key: &str,
        at: usize,
        words: &str,
    ) -> Result<(), EconomicsError> {
        let known = self.known(text, key_at, key)?;
        let (numbers, unit) = match words.trim().split_once(char::is_whitespace) {
            Some((numbers, unit)) => (numbers, unit.trim()),
            None => {
                return Err(text.wrong(
                    at,
                    format!("`{key}` has no unit"),
                    format!("write \"{} {}\"", words.trim(), known.unit),
                ));
            }
        };
        if unit != known.unit {
            return Err(text.wrong(
                at,
                format!("`{key}` is in {unit}, the model wants {}", known.unit),
                format!("convert it, and write \"{numbers} {}\"", known.unit),
            ));
        }
        let parts: Option<Vec<f64>> =
            numbers.split("..").map(|part| part.replace('_', "").parse::<f64>().ok()).collect();
        let (low, likely, high) = match parts.as_deref() {
            Some([one]) => (*one, *one, *one),
            Some([low, high]) => (*low, f64::midpoint(*low, *high), *high),
            Some([low, likely, high]) => (*low, *likely, *high),
            _ => {
                return Err(text.wrong(
                    at,
                    format!("`{numbers}` is neither a number nor a range"),
                    format!("write \"1.5 {unit}\", \"1..2 {unit}\" or \"1..1.5..2 {unit}\""),
                ));
            }
        };
        let line = if text.text.is_empty() { 0 } else { text.line(at) };
        let origin = Origin::Given { file: text.file.to_owned(), line };
        let input = Input { low, likely, high, origin, note: String::new(), ..known.clone() };
        input.check(text, at)?;
        self.inputs.insert(key.to_owned(), input);
        Ok(())
    }

    /// The input as a quantity of the unit that the model wants.
    ///
    /// # Errors
    /// EC-0002 where it is not there, or has another unit.
    pub fn quantity<U: Unit>(&self, key: &str) -> Result<Expr<U>, EconomicsError> {
        let wrong = |found: String| EconomicsError::Input { key: key.to_owned(), wanted: U::NAME, found };
        match self.inputs.get(key) {
            Some(input) if input.unit == U::NAME => Ok(Expr::input(key)),
            Some(input) => Err(wrong(format!("and is in {}", input.unit))),
            None => Err(wrong("and is not there".to_owned())),
        }
    }

    /// The input of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Input> {
        self.inputs.get(key)
    }

    /// All inputs, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Input> {
        self.inputs.values()
    }

    /// All sources.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }
}

impl Input {
    fn check(&self, text: Text<'_>, at: usize) -> Result<(), EconomicsError> {
        let Self { key, low, likely, high, unit, bounds: (least, most), .. } = self;
        if !(low.is_finite() && likely.is_finite() && high.is_finite()) {
            return Err(text.wrong(at, format!("`{key}` is not a finite number"), "write a number"));
        }
        if !(low <= likely && likely <= high) {
            return Err(text.wrong(
                at,
                format!("`{key}` goes from {low} over {likely} to {high} {unit}"),
                "low must not be above likely, nor likely above high",
            ));
        }
        if low < least {
            return Err(text.wrong(
                at,
                format!("`{key}` is {low} {unit}, the least that makes sense is {least}"),
                format!("write {least} {unit} or more"),
            ));
        }
        if high > most {
            return Err(text.wrong(
                at,
                format!("`{key}` is {high} {unit}, the most that makes sense is {most}"),
                format!("write {most} {unit} or less"),
            ));
        }
        Ok(())
    }

    /// What values are taken at all: the least and the most, which may be infinite.
    #[must_use]
    pub fn bounds(&self) -> (f64, f64) {
        self.bounds
    }
}

/// How much two keys are alike: the share of neighbouring letters that they have in common.
pub(crate) fn alike(a: &str, b: &str) -> f64 {
    let pairs = |text: &str| -> Vec<(u8, u8)> { text.bytes().zip(text.bytes().skip(1)).collect() };
    let (a, mut b) = (pairs(a), pairs(b));
    let total = (a.len() + b.len()).max(1);
    let mut common = 0_u32;
    for pair in a {
        if let Some(at) = b.iter().position(|other| *other == pair) {
            b.swap_remove(at);
            common += 2;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "keys are short")]
    let total = total as f64;
    f64::from(common) / total
}

#[cfg(test)]
mod tests;
