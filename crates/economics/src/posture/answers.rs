//! Answers: a level and, for what is above the cap, an artefact.
//!
//! ```toml
//! [answers]
//! "keys.storage" = { level = 3, artefact = "inventory of keys, in the product's file" }
//! "change.rollover" = 1
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::model::Model;
use crate::error::{EconomicsError, Text};

/// The lowest level.
pub const LOWEST: u8 = 1;
/// The highest level.
pub const HIGHEST: u8 = 5;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// From [`LOWEST`] to [`HIGHEST`].
    pub level: u8,
    /// What shows it: a path, an address, a sentence.
    pub artefact: Option<String>,
    /// Who says so.
    pub place: Place,
}

/// Where an answer comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Place {
    /// A file's line, or a form where the line is 0.
    Given {
        /// The file or form.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// Facts of a fleet.
    Facts {
        /// What was read.
        read: String,
        /// Whether it is the worked example.
        example: bool,
    },
    /// The worked example, at this line of its file.
    Example {
        /// The line, from 1.
        line: usize,
    },
}

/// Answers by the question's id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answers(BTreeMap<String, Answer>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    answers: BTreeMap<Spanned<String>, Spanned<Given>>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an answer is a level from 1 to 5, or { level = 3, artefact = \"where it is\" }"
)]
enum Given {
    Level(i64),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    level: i64,
    #[serde(default)]
    artefact: Option<String>,
}

impl Answers {
    /// The worked example that comes with the product.
    ///
    /// # Errors
    /// EC-0001 where it is wrong, which a test excludes.
    pub fn example(model: &Model) -> Result<Self, EconomicsError> {
        let text = include_str!("../../../../data/economics/posture-example.toml");
        let mut answers = Self::read(Text { file: "data/economics/posture-example.toml", text }, model)?;
        for answer in answers.0.values_mut() {
            if let Place::Given { line, .. } = answer.place {
                answer.place = Place::Example { line };
            }
        }
        Ok(answers)
    }

    /// Reads answers.
    ///
    /// # Errors
    /// EC-0001 with the line: a question that is not there, a level that is none, an empty artefact.
    pub fn read(text: Text<'_>, model: &Model) -> Result<Self, EconomicsError> {
        let file: File = text.parse()?;
        let mut answers = Self::default();
        for (id, given) in file.answers {
            let (key_at, at) = (id.span().start, given.span().start);
            let id = id.into_inner();
            let (level, artefact) = match given.into_inner() {
                Given::Level(level) => (level, None),
                Given::Table(table) => (table.level, table.artefact),
            };
            if model.question(&id).is_none() {
                let known: Vec<_> = model.questions.iter().map(|question| question.id.as_str()).collect();
                return Err(text.wrong(
                    key_at,
                    format!("there is no question `{id}`"),
                    format!("take one of: {}", known.join(", ")),
                ));
            }
            let Some(level) = u8::try_from(level).ok().filter(|level| (LOWEST..=HIGHEST).contains(level))
            else {
                return Err(text.wrong(
                    at,
                    format!("`{id}` has the level {level}, levels go from {LOWEST} to {HIGHEST}"),
                    format!("write a whole number from {LOWEST} to {HIGHEST}"),
                ));
            };
            if artefact.as_ref().is_some_and(|artefact| artefact.trim().is_empty()) {
                return Err(text.wrong(
                    at,
                    format!("the artefact of `{id}` is empty"),
                    "write where it is, or leave it out",
                ));
            }
            let place = Place::Given { file: text.file.to_owned(), line: text.line(key_at) };
            answers.0.insert(id, Answer { level, artefact, place });
        }
        Ok(answers)
    }

    /// Answers one question, as a slider does.
    ///
    /// # Errors
    /// EC-0003 where there is no such question or level.
    pub fn give(
        &mut self,
        model: &Model,
        id: &str,
        level: u8,
        artefact: Option<&str>,
        form: &str,
    ) -> Result<(), EconomicsError> {
        if model.question(id).is_none() || !(LOWEST..=HIGHEST).contains(&level) {
            return Err(EconomicsError::Argument {
                what: format!("there is no question `{id}` with a level {level}"),
                remedy: format!(
                    "levels go from {LOWEST} to {HIGHEST}; data/economics/posture.toml has the questions"
                ),
            });
        }
        let artefact = artefact.map(str::trim).filter(|artefact| !artefact.is_empty()).map(str::to_owned);
        let place = Place::Given { file: form.to_owned(), line: 0 };
        self.0.insert(id.to_owned(), Answer { level, artefact, place });
        Ok(())
    }

    /// The answer to a question.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Answer> {
        self.0.get(id)
    }

    /// These answers, and the others in their place where there are any.
    #[must_use]
    pub fn overridden(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    pub(super) fn insert(&mut self, id: &str, answer: Answer) {
        self.0.insert(id.to_owned(), answer);
    }

    /// All answers, by the question's id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Answer)> {
        self.0.iter().map(|(id, answer)| (id.as_str(), answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Answers, EconomicsError> {
        Answers::read(Text { file: "a.toml", text }, &Model::own().unwrap())
    }

    #[test]
    fn the_example_answers_every_question() {
        let model = Model::own().unwrap();
        let answers = Answers::example(&model).unwrap();
        let open: Vec<_> = model.questions.iter().filter(|q| answers.get(&q.id).is_none()).collect();
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn both_forms_are_read_with_their_line() {
        let answers =
            of("[answers]\n\"keys.storage\" = 2\n\"keys.shared\" = { level = 4, artefact = \"a\" }\n")
                .unwrap();
        assert_eq!(answers.get("keys.storage").unwrap().level, 2);
        let shared = answers.get("keys.shared").unwrap();
        assert_eq!(shared.place, Place::Given { file: "a.toml".to_owned(), line: 3 });
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_remedy() {
        for (text, wanted) in [
            ("[answers]\n\n\"keys.strage\" = 2\n", "a.toml, line 3: there is no question `keys.strage`"),
            ("[answers]\n\"keys.storage\" = 6\n", "a.toml, line 2: `keys.storage` has the level 6"),
            ("[answers]\n\"keys.storage\" = 0\n", "a.toml, line 2: `keys.storage` has the level 0"),
            ("[answers]\n\"keys.storage\" = -1\n", "a.toml, line 2: `keys.storage` has the level -1"),
            (
                "[answers]\n\"keys.storage\" = { level = 3, artefact = \"\" }\n",
                "a.toml, line 2: the artefact of",
            ),
            ("[answers]\n\"keys.storage\" = { level = 3, artifact = \"x\" }\n", "a.toml, line 2: "),
            ("[answers]\n\"keys.storage\" = \"high\"\n", "a.toml, line 2: "),
            ("[answer]\n", "a.toml, line 1: "),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
