//! From facts to statements: for each kind of evidence, what a fleet can show and what is missing.
//!
//! One function for each kind, by the source that it reads. A kind without a source says so, and takes an artefact that
//! the user names.

mod events;
mod registry;

use serde::Serialize;

use super::artefacts::Artefacts;
use super::facts::{Counts, FleetFacts};
use super::kind::{Adapter, Kind};

/// How much there is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing.
    Missing,
    /// Something, and not for all of it.
    Partly,
    /// For all of it.
    Shown,
}

impl Standing {
    /// The word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Partly => "can show in part",
            Self::Shown => "can show",
        }
    }
}

/// A part of a sentence about facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Words without digits.
    Words(String),
    /// A name that may hold digits.
    Name(String),
    /// A count of the facts.
    Count {
        /// The figure's id.
        id: String,
        /// What is counted.
        text: String,
        /// How many.
        value: u64,
    },
    /// What the user named, and the line where.
    Given(String),
}

/// What can be said about a kind of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The kind.
    pub kind: Kind,
    /// How much there is.
    pub standing: Standing,
    /// What can be shown; empty where nothing can.
    pub says: Vec<Said>,
    /// What is missing; empty where nothing is.
    pub lacks: Vec<Said>,
}

/// What a fleet can show of a kind of evidence.
#[must_use]
pub fn statement(kind: Kind, facts: &FleetFacts, artefacts: &Artefacts) -> Statement {
    let mut builder = match kind.adapter() {
        Adapter::Registry => match &facts.registry {
            Some(registry) => registry::statement(kind, registry),
            None => Builder::missing("no registry was read"),
        },
        Adapter::Events => match &facts.events {
            Some(events) => events::statement(kind, events, facts.registry.as_ref()),
            None => Builder::missing("no log of events and findings was read"),
        },
        Adapter::NotYet => Builder::missing("no part of the product keeps such records yet"),
        Adapter::Papers => {
            Builder::missing("this stands in papers that no program has, and no artefact is named")
        }
    };
    if let Some(artefact) = artefacts.get(&kind) {
        if builder.standing == Standing::Missing {
            builder = Builder::new(Standing::Partly);
            builder.lacks.words("nobody here has looked into the artefact");
        } else {
            builder.says.words("; ");
        }
        builder.says.words("an artefact is named: ").given(&artefact.place);
    }
    Statement { kind, standing: builder.standing, says: builder.says.0, lacks: builder.lacks.0 }
}

/// A statement while it is put together.
#[derive(Debug)]
struct Builder {
    standing: Standing,
    says: Sentence,
    lacks: Sentence,
}

/// A sentence while it is put together.
#[derive(Debug, Default)]
struct Sentence(Vec<Said>);

impl Builder {
    fn new(standing: Standing) -> Self {
        Self { standing, says: Sentence::default(), lacks: Sentence::default() }
    }

    fn missing(why: &str) -> Self {
        let mut builder = Self::new(Standing::Missing);
        builder.lacks.words(why);
        builder
    }

    /// Shown where nothing is lacking of something, in part otherwise.
    fn of(have: u64, of: u64) -> Self {
        Self::new(if of > 0 && have >= of { Standing::Shown } else { Standing::Partly })
    }

    /// What is lacking, where it is more than none.
    fn lacking(&mut self, id: &str, text: &str, value: u64, words: &str) {
        if value > 0 {
            if !self.lacks.0.is_empty() {
                self.lacks.words("; ");
            }
            self.lacks.count(id, text, value).words(words);
            self.standing = self.standing.min(Standing::Partly);
        }
    }
}

impl Sentence {
    fn words(&mut self, words: &str) -> &mut Self {
        self.0.push(Said::Words(words.to_owned()));
        self
    }

    fn name(&mut self, name: &str) -> &mut Self {
        self.0.push(Said::Name(name.to_owned()));
        self
    }

    fn given(&mut self, text: &str) -> &mut Self {
        self.0.push(Said::Given(text.to_owned()));
        self
    }

    fn count(&mut self, id: &str, text: &str, value: u64) -> &mut Self {
        self.0.push(Said::Count { id: id.to_owned(), text: text.to_owned(), value });
        self
    }

    /// Counts by word: `secure-element: 17,000, software: 3,100`. At most [`MOST_WORDS`], and how many are left out.
    fn counts(&mut self, id: &str, text: &str, counts: &Counts) -> &mut Self {
        let mut by_count: Vec<_> = counts.iter().collect();
        by_count.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        for (at, (word, value)) in by_count.iter().take(MOST_WORDS).enumerate() {
            if at > 0 {
                self.words(", ");
            }
            let id = format!("{id}.{}", slug(word));
            self.name(word).words(": ").count(&id, &format!("{text}: {word}"), **value);
        }
        let left: u64 = by_count.iter().skip(MOST_WORDS).map(|(_, value)| **value).sum();
        if left > 0 {
            self.words(", others: ").count(&format!("{id}.others"), &format!("{text}: others"), left);
        }
        self
    }
}

/// More words than this are not listed one by one.
const MOST_WORDS: usize = 12;

/// A word as part of a figure's id.
pub(super) fn slug(word: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    word.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::artefacts::Artefact;

    #[test]
    fn each_kind_has_an_adapter_or_is_missing_with_a_remedy() {
        let example = FleetFacts::example().unwrap();
        let nothing = FleetFacts::default();
        for kind in Kind::ALL {
            assert!(!kind.remedy().is_empty());
            let with = statement(*kind, &example, &Artefacts::new());
            let without = statement(*kind, &nothing, &Artefacts::new());
            assert_eq!(without.standing, Standing::Missing, "{kind:?}");
            assert!(!without.lacks.is_empty(), "{kind:?}");
            match kind.adapter() {
                Adapter::Registry | Adapter::Events => {
                    assert!(with.standing > Standing::Missing, "{kind:?} says nothing about the example");
                    let counted = with.says.iter().any(|said| matches!(said, Said::Count { .. }));
                    assert!(counted, "{kind:?} shows no figure");
                }
                Adapter::NotYet | Adapter::Papers => assert_eq!(with.standing, Standing::Missing, "{kind:?}"),
            }
            // What is not all shown says what is missing.
            assert!(with.standing == Standing::Shown || !with.lacks.is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn an_empty_registry_shows_nothing() {
        let facts = FleetFacts {
            registry: Some(crate::evidence::facts::RegistryFacts::default()),
            events: Some(crate::evidence::facts::EventFacts::default()),
            ..FleetFacts::default()
        };
        for kind in Kind::ALL {
            let statement = statement(*kind, &facts, &Artefacts::new());
            assert_eq!(statement.standing, Standing::Missing, "{kind:?}");
        }
    }

    #[test]
    fn an_artefact_is_shown_and_is_no_more_than_that() {
        let artefact = Artefact { place: "a page".to_owned(), file: "a.toml".to_owned(), line: 2 };
        let artefacts = Artefacts::from([(Kind::SupportPeriod, artefact)]);
        let statement = statement(Kind::SupportPeriod, &FleetFacts::default(), &artefacts);
        assert_eq!(statement.standing, Standing::Partly);
        assert!(statement.says.contains(&Said::Given("a page".to_owned())));
    }

    #[test]
    fn words_hold_no_digits() {
        let example = FleetFacts::example().unwrap();
        for kind in Kind::ALL {
            let statement = statement(*kind, &example, &Artefacts::new());
            for said in statement.says.iter().chain(&statement.lacks) {
                if let Said::Words(words) = said {
                    assert!(!words.contains(|c: char| c.is_ascii_digit()), "{kind:?}: {words}");
                }
            }
        }
    }
}
