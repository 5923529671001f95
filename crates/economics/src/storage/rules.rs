//! The rules as data: `data/economics/rules.toml` and `objections.toml`.

use serde::Deserialize;
use toml::Spanned;

use super::condition::{Condition, Raw};
use super::field::field;
use crate::error::{EconomicsError, Text};
use crate::input::Inputs;
use crate::source::Grade;

/// The files that come with the product.
const OWN: &[Text<'static>] = &[
    Text { file: "data/economics/rules.toml", text: include_str!("../../../../data/economics/rules.toml") },
    Text {
        file: "data/economics/objections.toml",
        text: include_str!("../../../../data/economics/objections.toml"),
    },
];

/// What a data file says, and where it has it from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The words.
    pub text: String,
    /// The source's id.
    pub source: String,
    /// How far it carries.
    pub grade: Grade,
}

/// A place to keep a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// `secure-element`, `tpm`, `enclave`, `software`.
    pub id: String,
    /// What people read.
    pub text: String,
    /// The input that is its price.
    pub price: Option<String>,
    /// The regime that follows.
    pub regime: String,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// What it says.
    pub says: Statement,
    /// When it speaks.
    pub when: Condition,
    /// The options that it speaks for or against, and how.
    pub effects: Vec<(Effect, String)>,
}

/// What a rule does to an option. The later ones weigh more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Speaks for it.
    Favours,
    /// Speaks against it.
    Opposes,
    /// Asks something of it.
    Requires,
    /// Excludes it.
    RulesOut,
}

/// Why a profile is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Contradiction {
    /// Its id.
    pub id: String,
    /// The field whose line is named.
    pub field: String,
    /// When it is one.
    pub when: Condition,
    /// What contradicts what.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

/// When a secret of a kind opens other devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opens {
    /// Wherever it is: it is made to.
    Always,
    /// When more than one device has it.
    WhenShared,
    /// Never: it is no secret.
    Never,
}

/// A kind of secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretKind {
    /// Its id.
    pub kind: String,
    /// What people read.
    pub text: String,
    /// When it opens other devices.
    pub opens_others: Opens,
    /// Why.
    pub why: Statement,
    /// What to do instead.
    pub remedy: String,
}

/// What remains.
#[derive(Debug, Clone, PartialEq)]
pub struct Risk {
    /// Its id.
    pub id: String,
    /// For which options.
    pub options: Vec<String>,
    /// When; `None` for always.
    pub when: Option<Condition>,
    /// What it is.
    pub says: Statement,
}

/// How a fleet is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regime {
    /// `behaviour` or `duplication`.
    pub id: String,
    /// What it means.
    pub says: Statement,
    /// What this project adds.
    pub note: String,
}

/// What is said against hardware.
#[derive(Debug, Clone, PartialEq)]
pub struct Objection {
    /// Its id.
    pub id: String,
    /// The claim.
    pub claim: String,
    /// Answers; the first whose condition holds is given.
    pub answers: Vec<(Option<Condition>, Statement)>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Options, the strongest first.
    pub choices: Vec<Choice>,
    /// Rules.
    pub rules: Vec<Rule>,
    /// Contradictions.
    pub contradictions: Vec<Contradiction>,
    /// Kinds of secrets.
    pub secrets: Vec<SecretKind>,
    /// Residual risks.
    pub risks: Vec<Risk>,
    /// Regimes.
    pub regimes: Vec<Regime>,
    /// Objections.
    pub objections: Vec<Objection>,
}

mod raw {
    use super::{Choice, Deserialize, Grade, Opens, Raw, Spanned};

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(super) struct File {
        pub(super) option: Vec<Spanned<Choice>>,
        pub(super) rule: Vec<Spanned<Rule>>,
        pub(super) contradiction: Vec<Spanned<Contradiction>>,
        pub(super) secret: Vec<Secret>,
        pub(super) risk: Vec<Spanned<Risk>>,
        pub(super) regime: Vec<Regime>,
        pub(super) objection: Vec<Spanned<Objection>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(super) struct Rule {
        pub(super) id: String,
        pub(super) text: String,
        pub(super) source: Spanned<String>,
        pub(super) grade: Grade,
        pub(super) when: Raw,
        #[serde(default)]
        pub(super) favours: Vec<String>,
        #[serde(default)]
        pub(super) opposes: Vec<String>,
        #[serde(default)]
        pub(super) requires: Vec<String>,
        #[serde(default)]
        pub(super) rules_out: Vec<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Contradiction {
        pub(super) id: String,
        pub(super) field: String,
        pub(super) when: Raw,
        pub(super) what: String,
        pub(super) remedy: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    pub(super) struct Secret {
        pub(super) kind: String,
        pub(super) text: String,
        pub(super) opens_others: Opens,
        pub(super) why: String,
        pub(super) remedy: String,
        pub(super) source: Spanned<String>,
        pub(super) grade: Grade,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Risk {
        pub(super) id: String,
        pub(super) options: Vec<String>,
        pub(super) when: Option<Raw>,
        pub(super) text: String,
        pub(super) source: Spanned<String>,
        pub(super) grade: Grade,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Regime {
        pub(super) id: String,
        pub(super) text: String,
        #[serde(default)]
        pub(super) note: String,
        pub(super) source: Spanned<String>,
        pub(super) grade: Grade,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Objection {
        pub(super) id: String,
        pub(super) claim: String,
        pub(super) answer: Vec<Answer>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Answer {
        pub(super) when: Option<Raw>,
        pub(super) text: String,
        pub(super) source: Spanned<String>,
        pub(super) grade: Grade,
    }
}

impl Rules {
    /// The product's own, over inputs that they compare with and whose sources they name.
    ///
    /// # Errors
    /// EC-0001 where a file is wrong, which a test excludes for the product's own inputs.
    pub fn own(inputs: &Inputs) -> Result<Self, EconomicsError> {
        let mut rules = Self::default();
        for text in OWN {
            rules.read(*text, inputs)?;
        }
        Ok(rules)
    }

    /// These, with what a user's file says instead: what has the same id is replaced, the rest is added.
    ///
    /// # Errors
    /// EC-0001 with the line and the remedy.
    pub fn overridden(mut self, text: Text<'_>, inputs: &Inputs) -> Result<Self, EconomicsError> {
        self.read(text, inputs)?;
        Ok(self)
    }

    fn read(&mut self, text: Text<'_>, inputs: &Inputs) -> Result<(), EconomicsError> {
        let file: raw::File = text.parse()?;
        let condition =
            |at: usize, raw: Raw| raw.checked(inputs).map_err(|(what, remedy)| text.wrong(at, what, remedy));
        let statement = |words: String, source: Spanned<String>, grade: Grade| {
            inputs.sources().check(text, &source)?;
            Ok(Statement { text: words, source: source.into_inner(), grade })
        };
        for one in file.option {
            put(&mut self.choices, one.into_inner(), |a, b| a.id == b.id);
        }
        for one in file.rule {
            let at = one.span().start;
            let raw = one.into_inner();
            let effects = [
                (Effect::Favours, raw.favours),
                (Effect::Opposes, raw.opposes),
                (Effect::Requires, raw.requires),
                (Effect::RulesOut, raw.rules_out),
            ];
            let effects: Vec<_> = effects
                .into_iter()
                .flat_map(|(effect, options)| options.into_iter().map(move |option| (effect, option)))
                .collect();
            for (_, option) in &effects {
                self.known(text, at, option)?;
            }
            let says = statement(raw.text, raw.source, raw.grade)?;
            let rule = Rule { id: raw.id, says, when: condition(at, raw.when)?, effects };
            put(&mut self.rules, rule, |a, b| a.id == b.id);
        }
        for one in file.contradiction {
            let at = one.span().start;
            let raw::Contradiction { id, field: key, when, what, remedy } = one.into_inner();
            if field(&key).is_none() {
                return Err(text.wrong(
                    at,
                    format!("no profile has `{key}`"),
                    "docs/decide.md lists the fields",
                ));
            }
            let one = Contradiction { id, field: key, when: condition(at, when)?, what, remedy };
            put(&mut self.contradictions, one, |a, b| a.id == b.id);
        }
        for raw in file.secret {
            let why = statement(raw.why, raw.source, raw.grade)?;
            let raw::Secret { kind, text, opens_others, remedy, .. } = raw;
            let one = SecretKind { kind, text, opens_others, why, remedy };
            put(&mut self.secrets, one, |a, b| a.kind == b.kind);
        }
        for one in file.risk {
            let at = one.span().start;
            let raw = one.into_inner();
            for option in &raw.options {
                self.known(text, at, option)?;
            }
            let when = raw.when.map(|when| condition(at, when)).transpose()?;
            let says = statement(raw.text, raw.source, raw.grade)?;
            let one = Risk { id: raw.id, options: raw.options, when, says };
            put(&mut self.risks, one, |a, b| a.id == b.id);
        }
        for raw in file.regime {
            let says = statement(raw.text, raw.source, raw.grade)?;
            let one = Regime { id: raw.id, says, note: raw.note };
            put(&mut self.regimes, one, |a, b| a.id == b.id);
        }
        for one in file.objection {
            let at = one.span().start;
            let raw = one.into_inner();
            let mut answers = Vec::new();
            for answer in raw.answer {
                let when = answer.when.map(|when| condition(at, when)).transpose()?;
                answers.push((when, statement(answer.text, answer.source, answer.grade)?));
            }
            let one = Objection { id: raw.id, claim: raw.claim, answers };
            put(&mut self.objections, one, |a, b| a.id == b.id);
        }
        Ok(())
    }

    fn known(&self, text: Text<'_>, at: usize, option: &str) -> Result<(), EconomicsError> {
        if self.choices.iter().any(|choice| choice.id == option) {
            return Ok(());
        }
        let all: Vec<&str> = self.choices.iter().map(|choice| choice.id.as_str()).collect();
        Err(text.wrong(
            at,
            format!("there is no option `{option}`"),
            format!("take one of: {}", all.join(", ")),
        ))
    }

    /// The kinds of secrets that a profile may name.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        self.secrets.iter().map(|secret| secret.kind.as_str()).collect()
    }

    /// The kind of a secret.
    #[must_use]
    pub fn kind(&self, kind: &str) -> Option<&SecretKind> {
        self.secrets.iter().find(|secret| secret.kind == kind)
    }
}

fn put<T>(all: &mut Vec<T>, one: T, same: impl Fn(&T, &T) -> bool) {
    match all.iter_mut().find(|other| same(other, &one)) {
        Some(other) => *other = one,
        None => all.push(one),
    }
}
