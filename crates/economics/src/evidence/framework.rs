//! Frameworks as data: clauses, what each asks, where that was read, and which evidence bears on it.

use serde::Deserialize;
use toml::Spanned;

use super::kind::Kind;
use crate::error::{EconomicsError, Text};
use crate::source::{Grade, Sources};

/// A law, standard or baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framework {
    /// The word on the command line.
    pub id: String,
    /// What people read.
    pub title: String,
    /// How it is cited.
    pub cites: String,
    /// What holds for all of it.
    pub note: Option<Note>,
    /// Its clauses, in its own order.
    pub clauses: Vec<Clause>,
}

/// A clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Lower-case words with `-`.
    pub id: String,
    /// How it is cited.
    pub clause: String,
    /// What it asks, in our words.
    pub asks: Note,
    /// What else there is to say.
    pub note: Option<Note>,
    /// The evidence that bears on it.
    pub wants: Vec<Kind>,
}

/// A sentence, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The sentence.
    pub text: String,
    /// The source's id.
    pub source: String,
    /// How far it carries.
    pub grade: Grade,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    title: String,
    cites: String,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    note_source: Option<Spanned<String>>,
    #[serde(default)]
    note_grade: Option<Grade>,
    clause: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    clause: String,
    asks: String,
    source: Spanned<String>,
    grade: Grade,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    note_source: Option<Spanned<String>>,
    #[serde(default)]
    note_grade: Option<Grade>,
    wants: Vec<Spanned<String>>,
}

macro_rules! own {
    ($($id:literal),*) => {
        /// The words of the frameworks that come with the product.
        pub const NAMES: &[&str] = &[$($id),*];
        const OWN: &[Text<'static>] = &[$(Text {
            file: concat!("data/economics/frameworks/", $id, ".toml"),
            text: include_str!(concat!("../../../../data/economics/frameworks/", $id, ".toml")),
        }),*];
    };
}
own!("cra", "en303645", "iec62443", "nist8425", "matter", "r155", "r156");

/// The framework of this word.
///
/// # Errors
/// EC-0003 where there is none; EC-0001 where its file is wrong, which a test excludes.
pub fn own(id: &str, sources: &Sources) -> Result<Framework, EconomicsError> {
    let at = NAMES.iter().position(|name| *name == id).and_then(|at| OWN.get(at));
    let Some(text) = at else {
        return Err(EconomicsError::Argument {
            what: format!("there is no framework `{id}`"),
            remedy: format!("take one of: {}", NAMES.join(", ")),
        });
    };
    read(*text, sources)
}

/// Reads a framework.
///
/// # Errors
/// EC-0001 with the line: a source or a kind of evidence that is not known, a clause that asks for no evidence.
pub fn read(text: Text<'_>, sources: &Sources) -> Result<Framework, EconomicsError> {
    let file: File = text.parse()?;
    let note = sentence(text, sources, 0, file.note, file.note_source, file.note_grade)?;
    let mut clauses = Vec::with_capacity(file.clause.len());
    for entry in file.clause {
        let at = entry.span().start;
        let entry = entry.into_inner();
        sources.check(text, &entry.source)?;
        let note = sentence(text, sources, at, entry.note, entry.note_source, entry.note_grade)?;
        let mut wants = Vec::with_capacity(entry.wants.len());
        for word in entry.wants {
            let Some(kind) = Kind::of(word.as_ref()) else {
                return Err(text.wrong(
                    word.span().start,
                    format!("there is no kind of evidence `{}`", word.as_ref()),
                    "take one of crates/economics/src/evidence/kind.rs",
                ));
            };
            wants.push(kind);
        }
        if wants.is_empty() {
            return Err(text.wrong(
                at,
                format!("the clause `{}` wants no evidence", entry.clause),
                "name at least one kind",
            ));
        }
        let asks = Note { text: entry.asks, source: entry.source.into_inner(), grade: entry.grade };
        clauses.push(Clause { id: entry.id, clause: entry.clause, asks, note, wants });
    }
    Ok(Framework { id: file.id, title: file.title, cites: file.cites, note, clauses })
}

/// A note is there with its source and grade, or not at all.
fn sentence(
    text: Text<'_>,
    sources: &Sources,
    at: usize,
    note: Option<String>,
    source: Option<Spanned<String>>,
    grade: Option<Grade>,
) -> Result<Option<Note>, EconomicsError> {
    match (note, source, grade) {
        (None, None, None) => Ok(None),
        (Some(note), Some(source), Some(grade)) => {
            sources.check(text, &source)?;
            Ok(Some(Note { text: note, source: source.into_inner(), grade }))
        }
        _ => Err(text.wrong(
            at,
            "a note stands here without its source or grade",
            "write note, note_source and note_grade together",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::input::Inputs;

    #[test]
    fn each_framework_reads_and_each_clause_has_source_and_evidence() {
        let inputs = Inputs::own().unwrap();
        for name in NAMES {
            let framework = own(name, inputs.sources()).unwrap();
            assert_eq!(framework.id, *name);
            let ids: BTreeSet<_> = framework.clauses.iter().map(|clause| &clause.id).collect();
            assert_eq!(ids.len(), framework.clauses.len(), "{name} has a clause twice");
            for clause in &framework.clauses {
                assert!(inputs.sources().get(&clause.asks.source).is_some(), "{name} {}", clause.id);
                assert!(!clause.wants.is_empty(), "{name} {}", clause.id);
            }
        }
    }

    #[test]
    fn each_kind_of_evidence_is_wanted_by_some_clause() {
        let inputs = Inputs::own().unwrap();
        let mut wanted = BTreeSet::new();
        for name in NAMES {
            let framework = own(name, inputs.sources()).unwrap();
            wanted.extend(framework.clauses.into_iter().flat_map(|clause| clause.wants));
        }
        let idle: Vec<_> = Kind::ALL.iter().filter(|kind| !wanted.contains(kind)).collect();
        assert!(idle.is_empty(), "{idle:?}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let inputs = Inputs::own().unwrap();
        let head = "id = \"x\"\ntitle = \"x\"\ncites = \"x\"\n[[clause]]\nid = \"a\"\nclause = \"a\"\nasks = \"a\"\n";
        let of = |rest: &str| {
            let text = format!("{head}{rest}");
            read(Text { file: "x.toml", text: &text }, inputs.sources()).unwrap_err().to_string()
        };
        let error = of("source = \"nobody\"\ngrade = \"whole\"\nwants = [\"inventory\"]\n");
        assert!(error.starts_with("x.toml, line 8: there is no source `nobody`"), "{error}");
        let error = of("source = \"touchmark\"\ngrade = \"whole\"\nwants = [\"magic\"]\n");
        assert!(error.starts_with("x.toml, line 10: there is no kind of evidence `magic`"), "{error}");
        let error = of("source = \"touchmark\"\ngrade = \"whole\"\nwants = []\n");
        assert!(error.starts_with("x.toml, line 4: the clause `a` wants no evidence"), "{error}");
        let error = of("source = \"touchmark\"\ngrade = \"whole\"\nnote = \"n\"\nwants = [\"inventory\"]\n");
        assert!(error.contains("without its source"), "{error}");
    }
}
