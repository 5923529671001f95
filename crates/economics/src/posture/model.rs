//! The assessment as data: levels, modules, categories, questions.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::error::{EconomicsError, Text};

/// The assessment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The levels, the lowest first.
    pub levels: Vec<Level>,
    /// The modules.
    pub modules: Vec<Module>,
    /// The categories, those of one module together.
    pub categories: Vec<Category>,
    /// The questions, those of one category together.
    pub questions: Vec<Question>,
}

/// A level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// From 1.
    pub number: u8,
    /// Its name.
    pub name: String,
    /// What it means.
    pub text: String,
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Its id; its weight is the input `posture.weight.<id>`.
    pub id: String,
    /// What people read.
    pub title: String,
}

/// A category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Its id.
    pub id: String,
    /// The module's id.
    pub module: String,
    /// What people read.
    pub title: String,
}

/// A question, worded as a statement that holds more or less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its id.
    pub id: String,
    /// The category's id.
    pub category: String,
    /// The statement.
    pub text: String,
    /// The step to something that can be shown.
    pub next: String,
    /// The step beyond that.
    pub beyond: String,
    /// What the registry can answer it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact: Option<Fact>,
}

/// What the registry can answer a question by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// Keys whose part is recorded.
    PartsRecorded,
    /// Keys whose storage is proven.
    StorageProven,
    /// Keys that do not come from a shared secret.
    NoSharedSecret,
    /// Devices with key and certificate.
    Inventory,
    /// Certificates that expired or will soon.
    Expiry,
    /// The list of revoked certificates is current.
    CrlCurrent,
    /// Something was revoked or put on hold.
    RevocationExercised,
    /// Published breaks of parts were applied.
    ClassBreaks,
    /// Devices renewed certificates.
    Renewal,
    /// Use of keys is watched.
    Monitored,
    /// The journal's chain is whole.
    JournalWhole,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    level: Vec<Level>,
    module: Vec<Module>,
    category: Vec<Spanned<Category>>,
    question: Vec<Spanned<Question>>,
}

impl Model {
    /// The assessment that comes with the product.
    ///
    /// # Errors
    /// EC-0001 where its file is wrong, which a test excludes.
    pub fn own() -> Result<Self, EconomicsError> {
        let text = include_str!("../../../../data/economics/posture.toml");
        Self::read(Text { file: "data/economics/posture.toml", text })
    }

    /// Reads an assessment.
    ///
    /// # Errors
    /// EC-0001 with the line: a category of no module, a question of no category, an id that is there twice.
    pub fn read(text: Text<'_>) -> Result<Self, EconomicsError> {
        let file: File = text.parse()?;
        let modules: BTreeSet<_> = file.module.iter().map(|module| module.id.as_str()).collect();
        let mut ids = BTreeSet::new();
        for category in &file.category {
            let (at, category) = (category.span().start, category.as_ref());
            if !modules.contains(category.module.as_str()) {
                let what = format!("there is no module `{}`", category.module);
                return Err(text.wrong(at, what, "name a [[module]] of this file"));
            }
            if !ids.insert(category.id.as_str()) {
                let what = format!("the category `{}` is there twice", category.id);
                return Err(text.wrong(at, what, "remove one"));
            }
        }
        let mut questions = BTreeSet::new();
        for question in &file.question {
            let (at, question) = (question.span().start, question.as_ref());
            if !ids.contains(question.category.as_str()) {
                let what = format!("there is no category `{}`", question.category);
                return Err(text.wrong(at, what, "name a [[category]] of this file"));
            }
            if !questions.insert(question.id.as_str()) {
                let what = format!("the question `{}` is there twice", question.id);
                return Err(text.wrong(at, what, "remove one"));
            }
        }
        Ok(Self {
            levels: file.level,
            modules: file.module,
            categories: file.category.into_iter().map(Spanned::into_inner).collect(),
            questions: file.question.into_iter().map(Spanned::into_inner).collect(),
        })
    }

    /// The question of this id.
    #[must_use]
    pub fn question(&self, id: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.id == id)
    }

    /// The questions of a category.
    pub fn questions_of<'a>(&'a self, category: &'a str) -> impl Iterator<Item = &'a Question> {
        self.questions.iter().filter(move |question| question.category == category)
    }

    /// The categories of a module.
    pub fn categories_of<'a>(&'a self, module: &'a str) -> impl Iterator<Item = &'a Category> {
        self.categories.iter().filter(move |category| category.module == module)
    }

    /// The name of a level.
    #[must_use]
    pub fn level_name(&self, number: u8) -> &str {
        self.levels.iter().find(|level| level.number == number).map_or("", |level| level.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_assessment_has_four_modules_and_questions_in_each_category() {
        let model = Model::own().unwrap();
        assert_eq!((model.modules.len(), model.categories.len(), model.levels.len()), (4, 15, 5));
        for module in &model.modules {
            assert!(model.categories_of(&module.id).count() >= 3, "{}", module.id);
        }
        for category in &model.categories {
            assert!(model.questions_of(&category.id).count() >= 2, "{}", category.id);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let error = Model::read(Text {
            file: "p.toml",
            text: "question = []\n[[level]]\nnumber = 1\nname = \"\"\ntext = \"\"\n[[module]]\nid = \"m\"\ntitle = \"\"\n\
                   [[category]]\nid = \"c\"\nmodule = \"n\"\ntitle = \"\"\n",
        });
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("p.toml, line 9: there is no module `n`"), "{error}");
    }
}
