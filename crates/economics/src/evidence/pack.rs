//! The evidence pack: a framework's clauses against what a fleet can show.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::adapters::{Said, Standing, Statement, statement};
use super::artefacts::Artefacts;
use super::facts::FleetFacts;
use super::framework::{Clause, Framework, Note};
use super::kind::Kind;
use crate::error::EconomicsError;
use crate::expr::Expr;
use crate::input::Inputs;
use crate::report::Tone;
use crate::report::number;
use crate::report::{Draft, Report, Span};
use crate::source::Grade;
use crate::unit::One;

/// The JSON format of the pack.
pub const SCHEMA: &str = "touchmark.decide.evidence/1";

/// What stands under every pack.
pub const NOTE: &str = "This pack says what can be shown and what is missing. It claims no conformity with anything: whether what is \
                        shown is enough is for the maker, the auditor or the authority to judge.";

/// A clause's standing: that of all its evidence where it is the same, else in part.
#[must_use]
pub fn standing(clause: &Clause, statements: &BTreeMap<Kind, Statement>) -> Standing {
    let of = |kind: &Kind| statements.get(kind).map_or(Standing::Missing, |statement| statement.standing);
    let (least, most) = (clause.wants.iter().map(of).min(), clause.wants.iter().map(of).max());
    match (least, most) {
        (Some(least), Some(most)) if least == most => least,
        (None, _) | (_, None) => Standing::Missing,
        _ => Standing::Partly,
    }
}

/// What the fleet can show of each kind that the framework asks for.
#[must_use]
pub fn statements(
    framework: &Framework,
    facts: &FleetFacts,
    artefacts: &Artefacts,
) -> BTreeMap<Kind, Statement> {
    let wanted = framework.clauses.iter().flat_map(|clause| clause.wants.iter().copied());
    wanted.map(|kind| (kind, statement(kind, facts, artefacts))).collect()
}

/// The pack as a report.
///
/// # Errors
/// EC-0002 where an input is missing.
pub fn report(
    framework: &Framework,
    facts: &FleetFacts,
    artefacts: &Artefacts,
    inputs: &Inputs,
) -> Result<Report, EconomicsError> {
    let statements = statements(framework, facts, artefacts);
    let mut draft = Draft::new(inputs);
    let summary = head(&mut draft, framework, facts, &statements);
    clauses(&mut draft, framework, &statements);
    details(&mut draft, framework, facts, &statements);
    remedies(&mut draft, facts, &statements);
    draft.heading("What this is, and what it is not");
    let soon = draft.show_input("evidence.expiry-days")?;
    draft.paragraph([
        Span::text(NOTE),
        Span::text(" What a clause asks is told in this project's words, from what was read of it; read the clause itself. \
                    A certificate counts as expiring soon within "),
        soon,
        Span::text("."),
    ]);
    let data = data(framework, facts, &statements);
    draft.finish(SCHEMA, "Evidence pack", summary, data)
}

fn head(
    draft: &mut Draft<'_>,
    framework: &Framework,
    facts: &FleetFacts,
    statements: &BTreeMap<Kind, Statement>,
) -> Vec<Span> {
    let count =
        |wanted: Standing| framework.clauses.iter().filter(|c| standing(c, statements) == wanted).count();
    let mut summary = vec![
        Span::name(framework.cites.as_str()),
        Span::text(": of "),
        counted(draft, "pack.clauses", "Clauses in this pack", framework.clauses.len()),
        Span::text(" clauses, this fleet can show something for all that is wanted of "),
        counted(draft, "pack.shown", "Clauses with all evidence", count(Standing::Shown)),
        Span::text(", for a part of it of "),
        counted(draft, "pack.partly", "Clauses with a part of the evidence", count(Standing::Partly)),
        Span::text(", and nothing for "),
        counted(draft, "pack.missing", "Clauses without evidence", count(Standing::Missing)),
        Span::text(". It claims conformity with none."),
    ];
    draft.paragraph([Span::text("Read from: "), Span::given(facts.origin()), Span::text(".")]);
    if facts.example {
        let example = Span::verdict("example", Tone::Warning);
        draft.paragraph([example, Span::text(": the figures are those of a fleet that does not exist. Name a data directory to see your own.")]);
        summary.push(Span::text(" The fleet is the worked example, and does not exist."));
    }
    if let Some(note) = &framework.note {
        draft.paragraph([sourced(note)]);
    }
    summary
}

fn clauses(draft: &mut Draft<'_>, framework: &Framework, statements: &BTreeMap<Kind, Statement>) {
    draft.heading("Clauses");
    let rows = framework.clauses.iter().map(|clause| {
        let mut asks = vec![sourced(&clause.asks)];
        if let Some(note) = &clause.note {
            asks.extend([Span::text(". "), sourced(note)]);
        }
        let of = |wanted: fn(Standing) -> bool| {
            let kinds = clause
                .wants
                .iter()
                .filter(|kind| statements.get(kind).is_some_and(|statement| wanted(statement.standing)));
            let titles: Vec<_> = kinds.map(|kind| kind.title()).collect();
            vec![Span::text(if titles.is_empty() { "nothing".to_owned() } else { titles.join("; ") })]
        };
        vec![
            vec![Span::name(clause.clause.as_str())],
            asks,
            vec![verdict(standing(clause, statements))],
            of(|standing| standing == Standing::Shown),
            of(|standing| standing == Standing::Partly),
            of(|standing| standing == Standing::Missing),
        ]
    });
    let rows = rows.collect();
    let columns = ["Clause", "Asks", "This fleet", "Can show", "Can show in part", "Missing"];
    draft.table("What each clause asks, and what there is to show for it", &columns, rows);
}

fn details(
    draft: &mut Draft<'_>,
    framework: &Framework,
    facts: &FleetFacts,
    statements: &BTreeMap<Kind, Statement>,
) {
    draft.heading("What this fleet can show");
    let mut rows = Vec::new();
    for statement in statements.values().filter(|statement| statement.standing > Standing::Missing) {
        let mut asked = Vec::new();
        for clause in framework.clauses.iter().filter(|clause| clause.wants.contains(&statement.kind)) {
            if !asked.is_empty() {
                asked.push(Span::text("; "));
            }
            asked.push(Span::name(clause.clause.as_str()));
        }
        rows.push(vec![
            vec![Span::text(statement.kind.title())],
            vec![verdict(statement.standing)],
            spans(draft, facts, &statement.says),
            vec![Span::text(statement.kind.adapter().title())],
            asked,
        ]);
    }
    let columns = ["Evidence", "Standing", "What it says", "From", "Asked by"];
    draft.table("Evidence, what it says, and where it comes from", &columns, rows);
}

fn remedies(draft: &mut Draft<'_>, facts: &FleetFacts, statements: &BTreeMap<Kind, Statement>) {
    draft.heading("What is missing, and what to do");
    let mut rows = Vec::new();
    let lacking =
        |wanted: Standing| statements.values().filter(move |statement| statement.standing == wanted);
    for statement in lacking(Standing::Missing).chain(lacking(Standing::Partly)) {
        rows.push(vec![
            vec![Span::text(statement.kind.title())],
            vec![verdict(statement.standing)],
            spans(draft, facts, &statement.lacks),
            vec![Span::text(statement.kind.remedy())],
        ]);
    }
    draft.table(
        "Missing evidence and remedies",
        &["Evidence", "Standing", "What is missing", "Remedy"],
        rows,
    );
}

fn data(framework: &Framework, facts: &FleetFacts, statements: &BTreeMap<Kind, Statement>) -> Value {
    let clauses: Vec<_> = framework
        .clauses
        .iter()
        .map(|clause| {
            let evidence: Vec<_> = clause
                .wants
                .iter()
                .filter_map(|kind| statements.get(kind))
                .map(|statement| {
                    json!({
                        "kind": statement.kind.word(), "title": statement.kind.title(),
                        "from": statement.kind.adapter(), "standing": statement.standing,
                        "shows": plain(&statement.says), "missing": plain(&statement.lacks),
                        "remedy": (statement.standing != Standing::Shown).then(|| statement.kind.remedy()),
                        "figures": figures(statement),
                    })
                })
                .collect();
            json!({
                "id": clause.id, "clause": clause.clause, "asks": clause.asks.text, "source": clause.asks.source,
                "grade": clause.asks.grade, "note": clause.note.as_ref().map(|note| &note.text),
                "standing": standing(clause, statements), "evidence": evidence,
            })
        })
        .collect();
    json!({
        "framework": framework.id, "cites": framework.cites, "read_from": facts.place, "as_of": facts.as_of,
        "example": facts.example, "note": NOTE, "clauses": clauses,
    })
}

fn figures(statement: &Statement) -> BTreeMap<&str, u64> {
    let all = statement.says.iter().chain(&statement.lacks);
    all.filter_map(|said| match said {
        Said::Count { id, value, .. } => Some((id.as_str(), *value)),
        _ => None,
    })
    .collect()
}

/// A statement as spans; each count is a figure whose origin is what was read.
pub(super) fn spans(draft: &mut Draft<'_>, facts: &FleetFacts, said: &[Said]) -> Vec<Span> {
    said.iter()
        .map(|said| match said {
            Said::Words(words) => Span::text(words.as_str()),
            Said::Name(name) => Span::name(name.as_str()),
            Said::Given(text) => Span::given(text.as_str()),
            Said::Count { id, text, value } => read_count(draft, facts, id, text, *value),
        })
        .collect()
}

/// A count of the facts as a figure.
pub(crate) fn read_count(
    draft: &mut Draft<'_>,
    facts: &FleetFacts,
    id: &str,
    text: &str,
    value: u64,
) -> Span {
    let value = (as_number(value), "1");
    if facts.example {
        draft.show_stated(id, text, value, "touchmark", Grade::Assumed)
    } else {
        draft.show_given(id, text, value, &facts.origin(), 0)
    }
}

/// Something counted in the report itself.
fn counted(draft: &mut Draft<'_>, id: &str, text: &str, value: usize) -> Span {
    let value = as_number(u64::try_from(value).unwrap_or(u64::MAX));
    draft.show(&Expr::<One>::defined(value, "counted in the table of clauses").named(id, text))
}

#[expect(clippy::cast_precision_loss, reason = "a count of devices, far below what a f64 holds")]
pub(crate) fn as_number(value: u64) -> f64 {
    value as f64
}

fn plain(said: &[Said]) -> String {
    said.iter()
        .map(|said| match said {
            Said::Words(text) | Said::Name(text) | Said::Given(text) => text.clone(),
            Said::Count { value, .. } => number::plain(as_number(*value)),
        })
        .collect()
}

fn sourced(note: &Note) -> Span {
    Span::sourced(note.text.as_str(), note.source.as_str(), note.grade)
}

fn verdict(standing: Standing) -> Span {
    let tone = match standing {
        Standing::Shown => Tone::Good,
        Standing::Partly => Tone::Warning,
        Standing::Missing => Tone::Bad,
    };
    Span::verdict(standing.word(), tone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::framework;
    use crate::report::walk::orphans;
    use crate::report::{Block, FigureOrigin};

    fn pack(id: &str, facts: &FleetFacts) -> Report {
        let inputs = Inputs::own().unwrap();
        let framework = framework::own(id, inputs.sources()).unwrap();
        report(&framework, facts, &Artefacts::new(), &inputs).unwrap()
    }

    #[test]
    fn every_pack_has_no_orphans_and_claims_nothing() {
        let example = FleetFacts::example().unwrap();
        for name in framework::NAMES {
            for facts in [&example, &FleetFacts::default()] {
                let report = pack(name, facts);
                assert_eq!(orphans(&report), Vec::<String>::new(), "{name}");
                let text = serde_json::to_string(&report).unwrap().to_lowercase();
                assert!(text.contains("it claims no conformity"));
                for word in ["is compliant", "complies", "fulfils", "impossible", "guarantee"] {
                    assert!(!text.contains(word), "{name} says {word}");
                }
            }
        }
    }

    #[test]
    fn counts_come_from_what_was_read() {
        let mut facts = FleetFacts::example().unwrap();
        let of_example = pack("cra", &facts);
        let figure = &of_example.figures["registry.keys"];
        assert!(matches!(figure.origin, FigureOrigin::Source { ref source, .. } if source == "touchmark"));
        facts.example = false;
        facts.place = "touchmark-data".to_owned();
        facts.as_of = "2026-11-21T12:00:00Z".to_owned();
        let report = pack("nist8425", &facts);
        let figure = &report.figures["registry.keys"];
        assert_eq!(figure.value, 24_800.0);
        let FigureOrigin::Given { file, .. } = &figure.origin else { panic!("{figure:?}") };
        assert_eq!(file, "touchmark-data as of 2026-11-21T12:00:00Z");
    }

    #[test]
    fn the_example_is_labelled_and_a_fleet_is_not() {
        let mut facts = FleetFacts::example().unwrap();
        assert!(serde_json::to_string(&pack("cra", &facts).blocks).unwrap().contains("does not exist"));
        facts.example = false;
        facts.place = "here".to_owned();
        assert!(!serde_json::to_string(&pack("cra", &facts)).unwrap().contains("does not exist"));
    }

    #[test]
    fn without_anything_read_every_clause_is_missing() {
        let report = pack("cra", &FleetFacts::default());
        for clause in report.data["clauses"].as_array().unwrap() {
            assert_eq!(clause["standing"], "missing", "{clause}");
        }
        let [tables] = [report.blocks.iter().filter(|block| matches!(block, Block::Table { .. })).count()];
        assert_eq!(tables, 3);
    }

    #[test]
    fn more_facts_never_show_less() {
        let inputs = Inputs::own().unwrap();
        let example = FleetFacts::example().unwrap();
        let without_events = FleetFacts { events: None, ..example.clone() };
        for name in framework::NAMES {
            let framework = framework::own(name, inputs.sources()).unwrap();
            let standings = |facts: &FleetFacts| -> Vec<Standing> {
                let statements = statements(&framework, facts, &Artefacts::new());
                framework.clauses.iter().map(|clause| standing(clause, &statements)).collect()
            };
            for (less, more) in standings(&without_events).iter().zip(standings(&example)) {
                assert!(*less <= more, "{name}");
            }
        }
    }
}
