//! Where figures come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{EconomicsError, Text};

/// How much of a source was read, and so how far a figure from it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// The whole text was read.
    Whole,
    /// The official text, quoted inside another public document.
    Quoted,
    /// The beginning of the page was read.
    Opening,
    /// A report of the fact by somebody else.
    Secondary,
    /// Common knowledge, checked nowhere.
    Unverified,
    /// An assumption of ours; nobody published it.
    Assumed,
    /// An input of the user's.
    Yours,
}

impl Grade {
    /// The word that data files and reports use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Quoted => "quoted",
            Self::Opening => "opening",
            Self::Secondary => "secondary",
            Self::Unverified => "unverified",
            Self::Assumed => "assumed",
            Self::Yours => "yours",
        }
    }

    /// What the word means.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Whole => "the whole source was read",
            Self::Quoted => "the text, as another public document quotes it",
            Self::Opening => "the beginning of the page was read",
            Self::Secondary => "somebody else's report of it",
            Self::Unverified => "common knowledge, checked nowhere",
            Self::Assumed => "an assumption of this project; nobody published it",
            Self::Yours => "your own input",
        }
    }
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// How other entries name it.
    pub id: String,
    /// Author and title.
    pub title: String,
    /// Where it is.
    pub address: String,
    /// When it was read, or published: `2026-11`.
    pub date: String,
}

/// The sources, by id.
#[derive(Debug, Clone, Default)]
pub struct Sources(BTreeMap<String, Source>);

impl Sources {
    /// The source of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Source> {
        self.0.get(id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.values()
    }

    pub(crate) fn add(&mut self, source: Source) {
        self.0.insert(source.id.clone(), source);
    }

    /// That a data file names a source that exists.
    ///
    /// # Errors
    /// EC-0001 with the line.
    pub(crate) fn check(&self, text: Text<'_>, id: &toml::Spanned<String>) -> Result<(), EconomicsError> {
        if self.0.contains_key(id.as_ref().as_str()) {
            return Ok(());
        }
        Err(text.wrong(
            id.span().start,
            format!("there is no source `{}`", id.as_ref()),
            "name one of `touchmark decide sources`, or add a [[source]] to this file",
        ))
    }
}
