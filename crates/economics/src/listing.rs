//! Every input and every source behind the models, as a report.

use serde_json::json;

use crate::error::EconomicsError;
use crate::input::{Input, Inputs, Origin};
use crate::report::{Draft, Report, Span, Tone};
use crate::source::{Grade, Source};

/// Which inputs are listed; nothing given lists all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Only those of this grade.
    pub grade: Option<Grade>,
    /// Only those whose key begins with this.
    pub key: Option<String>,
}

impl Choice {
    fn takes(&self, input: &Input) -> bool {
        self.grade.is_none_or(|grade| input.origin.grade() == grade)
            && self.key.as_deref().is_none_or(|key| input.key.starts_with(key))
    }
}

/// The inputs and sources as a report. Its `data` has `inputs`, each with `key`, `text`, `low`, `likely`, `high`, `unit`,
/// `origin` and `note`, and `sources`, each with `id`, `title`, `address` and `date`.
///
/// # Errors
/// EC-0003 where nothing is chosen.
pub fn report(inputs: &Inputs, choice: &Choice) -> Result<Report, EconomicsError> {
    let chosen: Vec<&Input> = inputs.iter().filter(|input| choice.takes(input)).collect();
    if chosen.is_empty() {
        return Err(EconomicsError::Argument {
            what: "no input is of this grade, or has a key that begins so".to_owned(),
            remedy: "ask for all of them by `touchmark decide sources`".to_owned(),
        });
    }
    let mut draft = Draft::new(inputs);
    draft.heading("Inputs");
    let mut groups: Vec<&str> = chosen.iter().map(|input| group(input)).collect();
    groups.dedup();
    for of in groups {
        let rows = chosen.iter().filter(|input| group(input) == of).map(|input| row(&mut draft, input));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        // Groups are written without digits; one of a user's file that is not goes under no name.
        let named = if of.chars().any(char::is_numeric) { "Others" } else { of };
        draft.table(named, &["Input", "What it is", "Likely", "Range", "From", "Grade", "Date"], rows);
    }
    let all = *choice == Choice::default();
    if all {
        draft.heading("Sources");
        // Addresses are longer than a column, and are copied: they stand in lines of their own.
        let one = |source: &Source| {
            let Source { id, title, address, date } = source;
            vec![Span::name(format!("{id}: {title}, {date}, {address}"))]
        };
        draft.list(inputs.sources().iter().map(one).collect());
    }
    let words = "Every input of the models with its range and where it comes from; a file of yours, or --set, \
                 overrides any of them.";
    let words = if all { words } else { "The inputs that were asked for." };
    let sources: Vec<_> = inputs.sources().iter().collect();
    let data = json!({ "inputs": chosen, "sources": sources });
    draft.finish("touchmark.decide.sources/1", "Inputs and sources", vec![words.into()], data)
}

fn group(input: &Input) -> &str {
    input.key.split('.').next().unwrap_or(&input.key)
}

fn row(draft: &mut Draft<'_>, input: &Input) -> Result<Vec<Vec<Span>>, EconomicsError> {
    let (from, grade, date) = match &input.origin {
        Origin::Source { id, grade, date } => {
            let date = match draft.inputs().sources().get(id) {
                Some(source) if date.is_empty() => source.date.as_str(),
                _ => date.as_str(),
            };
            (Span::name(id.as_str()), *grade, Span::name(date))
        }
        Origin::Given { file, line: 0 } => (Span::given(file.as_str()), Grade::Yours, Span::text("")),
        Origin::Given { file, line } => {
            (Span::given(format!("{file}, line {line}")), Grade::Yours, Span::text(""))
        }
    };
    let tone = match grade {
        Grade::Whole | Grade::Quoted => Tone::Good,
        Grade::Unverified | Grade::Assumed => Tone::Warning,
        Grade::Opening | Grade::Secondary | Grade::Yours => Tone::Neutral,
    };
    Ok(vec![
        vec![Span::name(input.key.as_str())],
        vec![Span::name(input.text.as_str())],
        vec![draft.show_input(&input.key)?],
        if input.low < input.high { vec![draft.show_range(&input.key)?] } else { Vec::new() },
        vec![from],
        vec![Span::verdict(grade.word(), tone)],
        vec![date],
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::walk::orphans;

    #[test]
    fn all_inputs_and_sources_are_listed_and_none_is_an_orphan() {
        let inputs = Inputs::own().unwrap().given("--set", "fleet.devices", "5..7 device").unwrap();
        let report = report(&inputs, &Choice::default()).unwrap();
        assert_eq!(orphans(&report), Vec::<String>::new());
        assert_eq!(report.data["inputs"].as_array().unwrap().len(), inputs.iter().count());
        assert_eq!(report.data["sources"].as_array().unwrap().len(), inputs.sources().iter().count());
        for input in inputs.iter() {
            assert!(report.figures.contains_key(&input.key), "{}", input.key);
        }
    }

    #[test]
    fn a_choice_is_kept_to() {
        let inputs = Inputs::own().unwrap().given("--set", "fleet.devices", "5 device").unwrap();
        let choice = Choice { grade: Some(Grade::Yours), key: Some("fleet.".to_owned()) };
        let listed = report(&inputs, &choice).unwrap();
        assert_eq!(listed.data["inputs"].as_array().unwrap().len(), 1);
        let choice = Choice { grade: None, key: Some("nothing.".to_owned()) };
        assert!(report(&inputs, &choice).unwrap_err().to_string().contains("decide sources"));
    }
}
