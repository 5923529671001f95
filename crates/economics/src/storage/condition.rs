//! Conditions over a profile, as data files write them.

use serde::Deserialize;

use super::field::{Answer, Field, Kind, field};
use super::profile::Profile;
use crate::input::Inputs;

/// A condition. A field that the profile does not say fulfils none of the plain ones.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All of them hold.
    All(Vec<Condition>),
    /// One of them holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// The field holds one of these words; for a field of several words, one of them is among these.
    Is {
        /// The field.
        field: &'static str,
        /// The words.
        words: Vec<String>,
    },
    /// The number is above the bound.
    Above {
        /// The field.
        field: &'static str,
        /// The bound.
        bound: Bound,
    },
    /// The number is below the bound.
    Below {
        /// The field.
        field: &'static str,
        /// The bound.
        bound: Bound,
    },
}

/// What a number is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// A number in the field's first unit.
    Amount(f64),
    /// An input.
    Input {
        /// Its key.
        key: String,
        /// Which of its three values.
        at: At,
    },
}

/// One of an input's three values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// The lowest.
    Low,
    /// The likely one.
    Likely,
    /// The highest.
    High,
}

/// A condition as a file has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Raw {
    all: Option<Vec<Raw>>,
    any: Option<Vec<Raw>>,
    not: Option<Box<Raw>>,
    field: Option<String>,
    is: Option<Vec<String>>,
    has: Option<Vec<String>>,
    above: Option<String>,
    below: Option<String>,
    above_input: Option<String>,
    below_input: Option<String>,
    at: Option<At>,
}

type Wrong = (String, String);

impl Raw {
    /// The condition, when its fields, words and units are known.
    pub(super) fn checked(self, inputs: &Inputs) -> Result<Condition, Wrong> {
        let many = |all: Vec<Self>| all.into_iter().map(|one| one.checked(inputs)).collect::<Result<_, _>>();
        match self {
            Self { all: Some(all), any: None, not: None, field: None, .. } => many(all).map(Condition::All),
            Self { all: None, any: Some(any), not: None, field: None, .. } => many(any).map(Condition::Any),
            Self { all: None, any: None, not: Some(not), field: None, .. } => {
                not.checked(inputs).map(|one| Condition::Not(Box::new(one)))
            }
            Self { all: None, any: None, not: None, field: Some(ref key), .. } => {
                let Some(field) = field(key) else {
                    return Err((
                        format!("a condition asks for a field `{key}`, which no profile has"),
                        "docs/decide.md lists the fields".to_owned(),
                    ));
                };
                self.plain(field, inputs)
            }
            _ => Err((
                "a condition is neither `all`, `any`, `not` nor about one `field`".to_owned(),
                "write one of them".to_owned(),
            )),
        }
    }

    fn plain(self, field: &'static Field, inputs: &Inputs) -> Result<Condition, Wrong> {
        let key = field.key;
        let said = [
            self.is.is_some(),
            self.has.is_some(),
            self.above.is_some(),
            self.below.is_some(),
            self.above_input.is_some(),
            self.below_input.is_some(),
        ];
        if said.into_iter().filter(|one| *one).count() != 1 {
            return Err((
                format!("the condition on `{key}` says not exactly one thing"),
                "write one of is, has, above, below, above-input, below-input".to_owned(),
            ));
        }
        if let Some(words) = self.is.or(self.has) {
            let words = words.iter().map(|word| field.word(word)).collect::<Result<_, _>>()?;
            return Ok(Condition::Is { field: key, words });
        }
        let amount = |words: &str| match (field.kind, field.read(words)?) {
            (Kind::Amount { .. }, Answer::Amount(value)) => Ok(Bound::Amount(value)),
            _ => Err((format!("`{key}` is no number"), "compare a field that holds one".to_owned())),
        };
        let input = |input: String| {
            let Some(found) = inputs.get(&input) else {
                return Err((
                    format!("there is no input `{input}`"),
                    "`touchmark decide sources` lists them".to_owned(),
                ));
            };
            if found.unit != field.unit() {
                return Err((
                    format!("`{input}` is in {}, and `{key}` in {}", found.unit, field.unit()),
                    "compare with an input of the same unit".to_owned(),
                ));
            }
            Ok(Bound::Input { key: input, at: self.at.unwrap_or(At::Likely) })
        };
        match (self.above, self.below, self.above_input, self.below_input) {
            (Some(words), ..) => Ok(Condition::Above { field: key, bound: amount(&words)? }),
            (_, Some(words), ..) => Ok(Condition::Below { field: key, bound: amount(&words)? }),
            (_, _, Some(name), _) => Ok(Condition::Above { field: key, bound: input(name)? }),
            (_, _, _, Some(name)) => Ok(Condition::Below { field: key, bound: input(name)? }),
            (None, None, None, None) => Ok(Condition::Any(Vec::new())),
        }
    }
}

impl Bound {
    /// Its number.
    #[must_use]
    pub fn value(&self, inputs: &Inputs) -> f64 {
        match self {
            Self::Amount(value) => *value,
            Self::Input { key, at } => inputs.get(key).map_or(f64::NAN, |input| match at {
                At::Low => input.low,
                At::Likely => input.likely,
                At::High => input.high,
            }),
        }
    }
}

impl Condition {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, profile: &Profile, inputs: &Inputs) -> bool {
        let number = |field: &str, bound: &Bound, test: fn(&f64, &f64) -> bool| {
            profile.amount(field).is_some_and(|value| test(&value, &bound.value(inputs)))
        };
        match self {
            Self::All(all) => all.iter().all(|one| one.holds(profile, inputs)),
            Self::Any(any) => any.iter().any(|one| one.holds(profile, inputs)),
            Self::Not(one) => !one.holds(profile, inputs),
            Self::Is { field, words } => match profile.answer(field) {
                Some(Answer::Word(word)) => words.contains(word),
                Some(Answer::Words(said)) => words.iter().any(|word| said.contains(word)),
                _ => false,
            },
            Self::Above { field, bound } => number(field, bound, f64::gt),
            Self::Below { field, bound } => number(field, bound, f64::lt),
        }
    }

    /// The bounds that it compares a field with.
    pub(super) fn bounds<'a>(&'a self, key: &str, found: &mut Vec<&'a Bound>) {
        match self {
            Self::All(all) | Self::Any(all) => all.iter().for_each(|one| one.bounds(key, found)),
            Self::Not(one) => one.bounds(key, found),
            Self::Is { .. } => {}
            Self::Above { field, bound } | Self::Below { field, bound } => {
                if *field == key {
                    found.push(bound);
                }
            }
        }
    }
}
