//! A device's profile, as its file says it.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::field::{Answer, FIELDS, Field, Kind, STORED, STORES, amount, field};
use crate::error::{EconomicsError, Text};
use crate::input::alike;

/// A profile: what is known of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub(super) file: String,
    pub(super) answers: BTreeMap<&'static str, Said>,
    pub(super) secrets: Vec<Secret>,
}

/// What a field holds, and in which line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) answer: Answer,
    pub(super) line: usize,
}

/// One secret on the device.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Secret {
    /// What it is called.
    pub name: String,
    /// Its kind, one of the rules' data.
    pub kind: String,
    /// How many devices have the same one, this device included.
    pub shared_with: f64,
    /// Where it is stored.
    pub stored: String,
    /// The line of the file, from 1.
    pub line: usize,
}

/// The keys of a secret.
const SECRET_KEYS: [&str; 4] = ["name", "kind", "shared-with", "stored"];

impl Profile {
    /// The profile that a file holds. `kinds` are the kinds of secrets that the rules know.
    ///
    /// # Errors
    /// EC-0001 with the line and the remedy: an unknown or missing key, a word or unit that is not known, a value that
    /// makes no sense.
    pub fn read(text: Text<'_>, kinds: &[&str]) -> Result<Self, EconomicsError> {
        let table = DeTable::parse(text.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            text.wrong(at, error.message().to_owned(), "see docs/decide.md for what a profile may hold")
        })?;
        let mut profile = Self { file: text.file.to_owned(), answers: BTreeMap::new(), secrets: Vec::new() };
        for (key, value) in table.get_ref() {
            let at = key.span().start;
            if key.get_ref() == "secret" {
                profile.secrets = secrets(text, value, kinds)?;
                continue;
            }
            let Some(field) = FIELDS.iter().find(|field| field.key == key.get_ref().as_ref()) else {
                return Err(unknown(text, at, key.get_ref(), FIELDS.iter().map(|field| field.key)));
            };
            let answer = answer(field, value)
                .map_err(|(what, remedy)| text.wrong(value.span().start, what, remedy))?;
            profile.answers.insert(field.key, Said { answer, line: text.line(at) });
        }
        let missing = FIELDS.iter().find(|field| !field.optional && !profile.answers.contains_key(field.key));
        if let Some(field) = missing {
            return Err(text.wrong(0, format!("`{}` is missing", field.key), remedy(field)));
        }
        if profile.secrets.is_empty() {
            return Err(text.wrong(
                0,
                "no secret is listed, and a device with an identity has one",
                "add a [[secret]] with name, kind, shared-with and stored for each key on the device",
            ));
        }
        profile.check_shares(text)?;
        profile.note_stores();
        Ok(profile)
    }

    fn check_shares(&self, text: Text<'_>) -> Result<(), EconomicsError> {
        let volume = self.amount("volume").unwrap_or(f64::INFINITY);
        let Some(secret) = self.secrets.iter().find(|secret| secret.shared_with > volume) else {
            return Ok(());
        };
        Err(EconomicsError::File {
            file: text.file.to_owned(),
            line: secret.line,
            what: format!(
                "the secret \"{}\" is shared with {} devices, and there are {volume}",
                secret.name, secret.shared_with
            ),
            remedy: "correct shared-with, or volume".to_owned(),
        })
    }

    fn note_stores(&mut self) {
        let stores = self.secrets.iter().map(|secret| secret.stored.clone()).collect();
        let line = self.secrets.first().map_or(0, |secret| secret.line);
        self.answers.insert(STORED.key, Said { answer: Answer::Words(stores), line });
    }

    /// What a field holds, if the profile says so.
    #[must_use]
    pub fn answer(&self, key: &str) -> Option<&Answer> {
        self.answers.get(key).map(|said| &said.answer)
    }

    /// The line of a field, from 1; 0 where the profile does not say it.
    #[must_use]
    pub fn line(&self, key: &str) -> usize {
        self.answers.get(key).map_or(0, |said| said.line)
    }

    /// The number that a field holds, in the field's first unit.
    #[must_use]
    pub fn amount(&self, key: &str) -> Option<f64> {
        match self.answer(key) {
            Some(Answer::Amount(value)) => Some(*value),
            _ => None,
        }
    }

    /// The word that a field holds.
    #[must_use]
    pub fn word(&self, key: &str) -> Option<&str> {
        match self.answer(key) {
            Some(Answer::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Whether a field holds this word among others.
    #[must_use]
    pub fn has(&self, key: &str, word: &str) -> bool {
        matches!(self.answer(key), Some(Answer::Words(words)) if words.contains(word))
    }

    /// The file, as the user named it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The secrets on the device.
    #[must_use]
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The profile with another answer in one field.
    #[must_use]
    pub fn with(&self, field: &'static Field, answer: Answer) -> Self {
        let mut other = self.clone();
        let line = self.line(field.key);
        other.answers.insert(field.key, Said { answer, line });
        other
    }

    /// The profile with one more objection.
    ///
    /// # Errors
    /// EC-0003 where it is none that is known.
    pub fn objecting(mut self, word: &str) -> Result<Self, EconomicsError> {
        let Some(field) = field("objections") else { return Ok(self) };
        let word = field.word(word).map_err(|(what, remedy)| EconomicsError::Argument { what, remedy })?;
        let said = self
            .answers
            .entry(field.key)
            .or_insert_with(|| Said { answer: Answer::Words(Default::default()), line: 0 });
        if let Answer::Words(words) = &mut said.answer {
            words.insert(word);
        }
        Ok(self)
    }

    /// The error that points at a field's line.
    pub(super) fn wrong(&self, key: &str, what: &str, remedy: &str) -> EconomicsError {
        EconomicsError::File {
            file: self.file.clone(),
            line: self.line(key).max(1),
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

/// What to write for a field that is missing.
#[must_use]
pub fn remedy(field: &Field) -> String {
    let words: Vec<&str> = field.words().iter().map(|(word, _)| *word).collect();
    match field.kind {
        Kind::Choice(_) => format!("add {} = one of \"{}\"", field.key, words.join("\", \"")),
        Kind::Choices(_) => format!("add {} = [] or some of \"{}\"", field.key, words.join("\", \"")),
        Kind::Flag => format!("add {} = true or false", field.key),
        Kind::Amount { .. } => format!("add {} = \"5 {}\" with your number", field.key, field.unit()),
        Kind::Words => format!("add {} = \"…\"", field.key),
    }
}

fn unknown<'a>(text: Text<'_>, at: usize, key: &str, known: impl Iterator<Item = &'a str>) -> EconomicsError {
    let near = known.max_by(|a, b| alike(a, key).total_cmp(&alike(b, key))).unwrap_or_default();
    text.wrong(
        at,
        format!("a profile has no `{key}`"),
        format!("did you mean `{near}`? docs/decide.md lists what it may hold"),
    )
}

fn answer(field: &Field, value: &Spanned<DeValue<'_>>) -> Result<Answer, (String, String)> {
    match (field.kind, value.get_ref()) {
        (Kind::Choices(_), DeValue::Array(all)) => {
            let mut words = std::collections::BTreeSet::new();
            for one in all {
                let Some(word) = one.get_ref().as_str() else {
                    return Err((format!("`{}` holds something else than words", field.key), remedy(field)));
                };
                words.insert(field.word(word)?);
            }
            Ok(Answer::Words(words))
        }
        (Kind::Choices(_), _) => Err((format!("`{}` is no list", field.key), remedy(field))),
        (Kind::Flag, DeValue::Boolean(flag)) => Ok(Answer::Word(if *flag { "yes" } else { "no" }.to_owned())),
        (Kind::Flag, _) => Err((format!("`{}` is neither true nor false", field.key), remedy(field))),
        (Kind::Choice(_), DeValue::Array(_)) => Err((
            format!("`{}` holds several words that exclude each other", field.key),
            "write the one that goes farthest: what holds for the most exposed device".to_owned(),
        )),
        (Kind::Amount { .. }, DeValue::Integer(number)) => Err(no_unit(field, number.as_str())),
        (Kind::Amount { .. }, DeValue::Float(number)) => Err(no_unit(field, number.as_str())),
        (_, DeValue::String(words)) => field.read(words),
        _ => Err((format!("`{}` is no text", field.key), remedy(field))),
    }
}

fn no_unit(field: &Field, number: &str) -> (String, String) {
    (format!("`{}` has no unit", field.key), format!("write \"{number} {}\"", field.unit()))
}

fn secrets(
    text: Text<'_>,
    value: &Spanned<DeValue<'_>>,
    kinds: &[&str],
) -> Result<Vec<Secret>, EconomicsError> {
    let at = value.span().start;
    let Some(all) = value.get_ref().as_array() else {
        return Err(text.wrong(at, "`secret` is no list of tables", "write [[secret]] before each"));
    };
    all.iter().map(|one| secret(text, one, kinds)).collect()
}

fn secret(text: Text<'_>, value: &Spanned<DeValue<'_>>, kinds: &[&str]) -> Result<Secret, EconomicsError> {
    let at = value.span().start;
    let Some(table) = value.get_ref().as_table() else {
        return Err(text.wrong(at, "a secret is no table", "write [[secret]] before each"));
    };
    if let Some((key, _)) = table.iter().find(|(key, _)| !SECRET_KEYS.contains(&key.get_ref().as_ref())) {
        return Err(unknown(text, key.span().start, key.get_ref(), SECRET_KEYS.into_iter()));
    }
    let words = |key: &'static str, remedy: &str| {
        let value = table.get(key);
        match value.and_then(|value| Some((value.get_ref().as_str()?, value.span().start))) {
            Some(found) => Ok(found),
            None => {
                let place = value.map_or(at, |value| value.span().start);
                Err(text.wrong(
                    place,
                    format!("a secret has no text `{key}`"),
                    format!("add {key} = {remedy}"),
                ))
            }
        }
    };
    let (name, _) = words("name", "\"…\"")?;
    let (kind, kind_at) = words("kind", &format!("one of \"{}\"", kinds.join("\", \"")))?;
    if !kinds.contains(&kind) {
        return Err(text.wrong(
            kind_at,
            format!("there is no kind of secret \"{kind}\""),
            format!("take one of: {}", kinds.join(", ")),
        ));
    }
    let (shared, shared_at) = words("shared-with", "\"1 device\" where no other device has it")?;
    let shared_with = match amount("shared-with", shared, &[("device", 1.0)], (1.0, 1e12)) {
        Ok(Answer::Amount(value)) => value,
        Ok(_) => 1.0,
        Err((what, remedy)) => return Err(text.wrong(shared_at, what, remedy)),
    };
    let stores: Vec<&str> = STORES.iter().map(|(word, _)| *word).collect();
    let (stored, stored_at) = words("stored", &format!("one of \"{}\"", stores.join("\", \"")))?;
    if !stores.contains(&stored) {
        return Err(text.wrong(
            stored_at,
            format!("nothing is stored in \"{stored}\""),
            format!("take one of: {}", stores.join(", ")),
        ));
    }
    let line = text.line(kind_at);
    Ok(Secret { name: name.to_owned(), kind: kind.to_owned(), shared_with, stored: stored.to_owned(), line })
}
