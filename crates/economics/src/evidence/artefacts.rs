//! Artefacts that a user names for evidence that the product does not keep.
//!
//! ```toml
//! [artefacts]
//! "support-period" = "https://example.org/support"
//! "update-records" = "exports of the update server, in the product's file"
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::kind::Kind;
use crate::error::{EconomicsError, Text};

/// One artefact: where it is, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// Where it is: a path, an address, a sentence.
    pub place: String,
    /// The file that names it.
    pub file: String,
    /// The line there, from 1.
    pub line: usize,
}

/// Artefacts by the kind of evidence that they are.
pub type Artefacts = BTreeMap<Kind, Artefact>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    artefacts: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// Reads a file of artefacts.
///
/// # Errors
/// EC-0001 with the line: a kind that is not known, or an empty place.
pub fn read(text: Text<'_>) -> Result<Artefacts, EconomicsError> {
    let file: File = text.parse()?;
    let mut artefacts = Artefacts::new();
    for (word, place) in file.artefacts {
        let Some(kind) = Kind::of(word.as_ref()) else {
            let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
            return Err(text.wrong(
                word.span().start,
                format!("there is no kind of evidence `{}`", word.as_ref()),
                format!("take one of: {}", known.join(", ")),
            ));
        };
        let (at, place) = (place.span().start, place.into_inner());
        if place.trim().is_empty() {
            return Err(text.wrong(
                at,
                format!("the artefact of `{}` is empty", kind.word()),
                "write where it is: a path, an address, a sentence",
            ));
        }
        let (file, line) = (text.file.to_owned(), text.line(at));
        artefacts.insert(kind, Artefact { place, file, line });
    }
    Ok(artefacts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Artefacts, EconomicsError> {
        read(Text { file: "a.toml", text })
    }

    #[test]
    fn an_artefact_leads_to_its_line() {
        let artefacts = of("# mine\n[artefacts]\n\"support-period\" = \"a page\"\n").unwrap();
        let artefact = artefacts.get(&Kind::SupportPeriod).unwrap();
        assert_eq!((artefact.place.as_str(), artefact.line), ("a page", 3));
    }

    #[test]
    fn an_unknown_kind_and_an_empty_place_are_refused_with_their_lines() {
        let error = of("[artefacts]\n\"suport-period\" = \"a page\"\n").unwrap_err().to_string();
        assert!(error.starts_with("a.toml, line 2: there is no kind of evidence `suport-period`"), "{error}");
        let error = of("[artefacts]\n\n\"support-period\" = \" \"\n").unwrap_err().to_string();
        assert!(error.starts_with("a.toml, line 3: the artefact of `support-period` is empty"), "{error}");
        assert!(of("[artifacts]\n").is_err());
    }
}
