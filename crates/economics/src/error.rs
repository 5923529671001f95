//! What is wrong with a file or a call, where, and what to do about it.

/// Why a model could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EconomicsError {
    /// EC-0001, caller: a file says something that cannot be taken.
    #[error("{file}, line {line}: {what}; {remedy}")]
    File {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the values that were compared.
        what: String,
        /// What to write instead.
        remedy: String,
    },
    /// EC-0002, caller: a model asks for an input that no data file has, or has in another unit.
    #[error(
        "the input `{key}` is wanted in {wanted}, {found}; give it in a file of your own, as under [inputs] in docs/decide.md"
    )]
    Input {
        /// Its key.
        key: String,
        /// The unit that the model wants.
        wanted: &'static str,
        /// What the data files have.
        found: String,
    },
    /// EC-0003, caller: an argument is outside what the model takes.
    #[error("{what}; {remedy}")]
    Argument {
        /// What is wrong, with the values that were compared.
        what: String,
        /// What to give instead.
        remedy: String,
    },
    /// EC-0004, bug: a chart could not be drawn.
    #[error("the chart `{chart}` could not be drawn: {why}; please report this")]
    Chart {
        /// Its title.
        chart: String,
        /// What the drawing library said.
        why: String,
    },
}

impl EconomicsError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "EC-0001",
            Self::Input { .. } => "EC-0002",
            Self::Argument { .. } => "EC-0003",
            Self::Chart { .. } => "EC-0004",
        }
    }
}

/// The text of one file, and its name, so that errors can point into it.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// The file, as the user named it.
    pub file: &'a str,
    /// What it holds.
    pub text: &'a str,
}

impl Text<'_> {
    /// The error that points at a byte of this text.
    pub(crate) fn wrong(
        &self,
        at: usize,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> EconomicsError {
        EconomicsError::File {
            file: self.file.to_owned(),
            line: self.line(at),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at.min(self.text.len())).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Reads it as TOML. Unknown keys are refused by the types.
    ///
    /// # Errors
    /// EC-0001 with the line.
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, EconomicsError> {
        toml::from_str(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            self.wrong(at, error.message().to_owned(), "see docs/decide.md for what this file may hold")
        })
    }
}
