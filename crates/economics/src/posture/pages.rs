//! The assessment as a report: radar, scores, gaps and the next step of each category.

use serde_json::json;

use super::answers::{Answer, Answers, HIGHEST, LOWEST, Place};
use super::model::{Model, Question};
use super::score::{CategoryScore, QuestionScore, Scores, cap, scores};
use crate::error::EconomicsError;
use crate::input::Inputs;
use crate::report::chart::Drawing;
use crate::report::{Chart, Draft, Report, Span, Tone};
use crate::source::Grade;

/// The JSON format.
pub const SCHEMA: &str = "touchmark.decide.posture/1";

/// The assessment as a report.
///
/// # Errors
/// EC-0002 where a weight or the cap is missing.
pub fn report(model: &Model, answers: &Answers, inputs: &Inputs) -> Result<Report, EconomicsError> {
    let scores = scores(model, answers, inputs)?;
    let mut draft = Draft::new(inputs);
    let cap_shown = draft.show_input("posture.cap")?;
    figures(&mut draft, model, answers, &scores)?;
    let summary = summary(&scores);
    opening(&mut draft, answers);
    draft.chart(radar(model, &scores));
    draft.heading("Scores");
    modules(&mut draft, model, &scores);
    categories(&mut draft, model, &scores);
    draft.heading("Next steps");
    next(&mut draft, model, &scores, cap(inputs)?);
    draft.heading("Answers");
    let capped: Vec<_> = scores.questions.iter().filter(|question| question.capped).collect();
    draft.paragraph([
        Span::text("An answer above "),
        cap_shown,
        Span::text(if capped.is_empty() {
            " needs an artefact; each of these has one."
        } else {
            " needs an artefact. Those marked as capped have none, and count as that."
        }),
    ]);
    questions(&mut draft, model, answers, &scores);
    draft.heading("How it is counted");
    method(&mut draft, model)?;
    let data = json!({ "scores": scores, "answers": answers, "levels": model.levels });
    draft.finish(SCHEMA, "Posture of the PKI", summary, data)
}

fn answer_id(question: &str) -> String {
    format!("posture.answer.{question}")
}

fn counts_id(question: &str) -> String {
    format!("posture.counts.{question}")
}

fn category_id(category: &str) -> String {
    format!("posture.level.{category}")
}

fn module_id(module: &str) -> String {
    format!("posture.score.{module}")
}

/// Every figure of the report, each with what it comes from.
fn figures(
    draft: &mut Draft<'_>,
    model: &Model,
    answers: &Answers,
    scores: &Scores,
) -> Result<(), EconomicsError> {
    draft.show_input("posture.lowest")?;
    for (question, score) in model.questions.iter().zip(&scores.questions) {
        let (text, counts) = (format!("Answer: {}", question.text), format!("Counts as: {}", question.text));
        let mut from = vec!["posture.lowest".to_owned()];
        let mut how = "not answered: the lowest level";
        if let Some(answer) = answers.get(&question.id) {
            show_answer(draft, &answer_id(&question.id), &text, answer);
            from = vec![answer_id(&question.id)];
            how = "the answer, which has an artefact or needs none";
            if score.capped {
                from.push("posture.cap".to_owned());
                how = "the smaller of answer and cap, for want of an artefact";
            }
        }
        let from: Vec<_> = from.iter().map(String::as_str).collect();
        draft.show_value(&counts_id(&question.id), &counts, (f64::from(score.counts), "1"), how, &from);
    }
    for (category, score) in model.categories.iter().zip(&scores.categories) {
        let from: Vec<_> = model.questions_of(&category.id).map(|question| counts_id(&question.id)).collect();
        let from: Vec<_> = from.iter().map(String::as_str).collect();
        let (id, how) = (category_id(&category.id), "the mean of what its answers count as, rounded down");
        draft.show_value(&id, &category.title, (f64::from(score.level), "1"), how, &from);
    }
    let mut all = Vec::new();
    for (module, score) in model.modules.iter().zip(&scores.modules) {
        let from: Vec<_> =
            model.categories_of(&module.id).map(|category| category_id(&category.id)).collect();
        let from: Vec<_> = from.iter().map(String::as_str).collect();
        let (id, weight) = (module_id(&module.id), format!("posture.weight.{}", module.id));
        draft.show_value(&id, &module.title, (score.score, "1"), "the mean of its categories' levels", &from);
        draft.show_input(&weight)?;
        all.extend([id, weight]);
    }
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let how = "the mean of the modules' scores by their weights";
    draft.show_value("posture.overall", "Overall", (scores.overall, "1"), how, &all);
    // As answered: the same without the cap.
    let mut from: Vec<_> = answers.iter().map(|(id, _)| answer_id(id)).collect();
    from.push("posture.lowest".to_owned());
    let from: Vec<_> = from.iter().map(String::as_str).collect();
    let how = "as the overall score, had no answer needed an artefact";
    draft.show_value("posture.claimed", "Overall, as answered", (scores.claimed, "1"), how, &from);
    Ok(())
}

fn show_answer(draft: &mut Draft<'_>, id: &str, text: &str, answer: &Answer) {
    let value = (f64::from(answer.level), "1");
    match &answer.place {
        Place::Given { file, line } => draft.show_given(id, text, value, file, *line),
        Place::Facts { read, example: false } => draft.show_given(id, text, value, read, 0),
        Place::Facts { .. } | Place::Example { .. } => {
            draft.show_stated(id, text, value, "touchmark", Grade::Assumed)
        }
    };
}

fn shown(id: String) -> Span {
    Span::Figure { id }
}

fn summary(scores: &Scores) -> Vec<Span> {
    let mut summary = vec![
        Span::text("Overall "),
        shown("posture.overall".to_owned()),
        Span::text(" by what can be shown, and "),
        shown("posture.claimed".to_owned()),
        Span::text(" by what was answered"),
    ];
    let weakest = scores.modules.iter().min_by(|a, b| a.score.total_cmp(&b.score));
    if let Some(weakest) = weakest {
        summary.push(Span::text("; the weakest module is "));
        summary.push(Span::name(weakest.id.as_str()));
        summary.push(Span::text(" with "));
        summary.push(shown(module_id(&weakest.id)));
    }
    summary.push(Span::text("."));
    summary
}

fn opening(draft: &mut Draft<'_>, answers: &Answers) {
    let is_example =
        |answer: &Answer| matches!(answer.place, Place::Example { .. } | Place::Facts { example: true, .. });
    if answers.iter().any(|(_, answer)| is_example(answer)) {
        draft.paragraph([
            Span::verdict("example", Tone::Warning),
            Span::text(": answers of a maker that does not exist are among these. Give your own with "),
            Span::name("--answers FILE"),
            Span::text("."),
        ]);
    }
    let read = answers.iter().find_map(|(_, answer)| match &answer.place {
        Place::Facts { read, .. } => Some(read.clone()),
        _ => None,
    });
    if let Some(read) = read {
        draft.paragraph([
            Span::text("Questions that a registry can answer were answered by it, in place of an opinion: "),
            Span::given(read),
            Span::text("."),
        ]);
    }
}

fn radar(model: &Model, scores: &Scores) -> Chart {
    let values =
        |of: fn(&CategoryScore) -> u8| scores.categories.iter().map(|score| f64::from(of(score))).collect();
    Chart {
        id: "posture".to_owned(),
        title: "Level of each category".to_owned(),
        says: vec![
            Span::text(
                "Each spoke is a category. The inner line is what can be shown; where the outer line leaves it, an \
                        answer has no artefact. Overall ",
            ),
            shown("posture.overall".to_owned()),
            Span::text(" and "),
            shown("posture.claimed".to_owned()),
            Span::text("."),
        ],
        drawing: Drawing::Radar {
            most: f64::from(HIGHEST),
            spokes: model.categories.iter().map(|category| category.title.clone()).collect(),
            series: vec![
                ("by what can be shown".to_owned(), values(|score| score.level)),
                ("as answered".to_owned(), values(|score| score.claimed)),
            ],
        },
        from: model.categories.iter().map(|category| category_id(&category.id)).collect(),
    }
}

fn modules(draft: &mut Draft<'_>, model: &Model, scores: &Scores) {
    let rows = model.modules.iter().zip(&scores.modules).map(|(module, score)| {
        vec![
            vec![Span::name(module.title.as_str())],
            vec![shown(format!("posture.weight.{}", score.id))],
            vec![shown(module_id(&score.id))],
        ]
    });
    draft.table("Modules", &["Module", "Weight", "Score"], rows.collect());
}

fn tone(level: u8, cap: u8) -> Tone {
    if level > cap {
        Tone::Good
    } else if level == cap {
        Tone::Warning
    } else {
        Tone::Bad
    }
}

fn categories(draft: &mut Draft<'_>, model: &Model, scores: &Scores) {
    let cap = cap(draft.inputs()).unwrap_or(LOWEST);
    let rows = model.categories.iter().zip(&scores.categories).map(|(category, score)| {
        let module = model.modules.iter().find(|module| module.id == category.module);
        let gap = if score.claimed > score.level { "answered higher than can be shown" } else { "" };
        vec![
            vec![Span::name(module.map_or("", |module| module.title.as_str()))],
            vec![Span::name(category.title.as_str())],
            vec![shown(category_id(&score.id))],
            vec![Span::verdict(model.level_name(score.level), tone(score.level, cap))],
            vec![Span::text(gap)],
        ]
    });
    let columns = ["Module", "Category", "Level", "Which is", "Gap"];
    draft.table("Categories", &columns, rows.collect());
}

/// What to do next about the weakest question of each category, the lowest level first.
fn next(draft: &mut Draft<'_>, model: &Model, scores: &Scores, cap: u8) {
    let mut order: Vec<_> = model.categories.iter().zip(&scores.categories).collect();
    order.sort_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
    let mut rows = Vec::new();
    for (category, score) in order {
        let (Some(question), Some(answer)) = (
            model.question(&score.weakest),
            scores.questions.iter().find(|question| question.id == score.weakest),
        ) else {
            continue;
        };
        rows.push(vec![
            vec![Span::name(category.title.as_str())],
            vec![shown(category_id(&category.id))],
            vec![Span::sourced(question.text.as_str(), "touchmark", Grade::Assumed)],
            step(question, answer, cap),
        ]);
    }
    draft.table("The next step of each category", &["Category", "Level", "Weakest point", "Next step"], rows);
}

fn step(question: &Question, score: &QuestionScore, cap: u8) -> Vec<Span> {
    let own = |text: &str| Span::sourced(text, "touchmark", Grade::Assumed);
    if score.capped {
        vec![Span::text("Name an artefact for what was answered. Where there is none: "), own(&question.next)]
    } else if score.counts <= cap {
        vec![own(&question.next)]
    } else if score.counts < HIGHEST {
        vec![own(&question.beyond)]
    } else {
        vec![Span::text("keep it so")]
    }
}

fn questions(draft: &mut Draft<'_>, model: &Model, answers: &Answers, scores: &Scores) {
    let rows = model.questions.iter().zip(&scores.questions).map(|(question, score)| {
        let answer = answers.get(&question.id);
        let answered = match answer {
            Some(_) => vec![shown(answer_id(&question.id))],
            None => vec![Span::verdict("not answered", Tone::Warning)],
        };
        let artefact = match (answer.and_then(|answer| answer.artefact.as_deref()), score.capped) {
            (Some(artefact), _) => vec![Span::given(artefact)],
            (None, true) => vec![Span::verdict("capped: no artefact", Tone::Bad)],
            (None, false) => vec![Span::text("none")],
        };
        vec![
            vec![Span::name(question.id.as_str())],
            vec![Span::sourced(question.text.as_str(), "touchmark", Grade::Assumed)],
            answered,
            vec![shown(counts_id(&question.id))],
            artefact,
        ]
    });
    let columns = ["Question", "How far is it so?", "Answer", "Counts as", "Artefact"];
    draft.table("Answers and what they count as", &columns, rows.collect());
}

fn method(draft: &mut Draft<'_>, model: &Model) -> Result<(), EconomicsError> {
    let highest = draft.show_input("posture.highest")?;
    draft.paragraph([
        Span::text("Modules and categories follow the "),
        Span::sourced("PKI Consortium's maturity model", "pkimm-modules", Grade::Opening),
        Span::text("; its assessment is longer, and this short one stands for none of its results. Levels go from "),
        shown("posture.lowest".to_owned()),
        Span::text(" to "),
        highest,
        Span::text(
            ". A category's level is the mean of what its answers count as, rounded down. An unanswered question counts as the \
             lowest level. What a registry answers goes up to the level at which things are measured, not beyond.",
        ),
    ]);
    let rows = model.levels.iter().map(|level| {
        vec![
            vec![Span::name(format!("{} {}", level.number, level.name))],
            vec![Span::sourced(level.text.as_str(), "touchmark", Grade::Assumed)],
        ]
    });
    draft.table("Levels", &["Level", "What it means here"], rows.collect());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::FleetFacts;
    use crate::posture::from_facts;
    use crate::report::walk::orphans;
    use crate::report::{Block, FigureOrigin};

    fn example() -> (Model, Answers, Inputs) {
        let model = Model::own().unwrap();
        let answers = Answers::example(&model).unwrap();
        (model, answers, Inputs::own().unwrap())
    }

    #[test]
    fn the_example_has_no_orphans_one_radar_and_says_what_is_capped() {
        let (model, answers, inputs) = example();
        let report = report(&model, &answers, &inputs).unwrap();
        assert_eq!(orphans(&report), Vec::<String>::new());
        let charts: Vec<_> = report.blocks.iter().filter(|block| matches!(block, Block::Chart(_))).collect();
        assert_eq!(charts.len(), 1);
        assert!(serde_json::to_string(&report).unwrap().contains("capped: no artefact"));
        let figure = &report.figures["posture.counts.keys.storage"];
        assert_eq!(figure.value, 2.0);
        let FigureOrigin::Calculated { from, .. } = &figure.origin else { panic!("{figure:?}") };
        assert_eq!(from, &["posture.answer.keys.storage", "posture.cap"]);
        assert_eq!(report.data["scores"]["overall"], report.figures["posture.overall"].value);
    }

    #[test]
    fn every_figure_leads_to_one_that_is_there() {
        let (model, answers, inputs) = example();
        let with_facts = answers.clone().overridden(from_facts(&model, &FleetFacts::example().unwrap()));
        for answers in [answers, with_facts, Answers::default()] {
            let report = report(&model, &answers, &inputs).unwrap();
            assert_eq!(orphans(&report), Vec::<String>::new());
            for (id, figure) in &report.figures {
                if let FigureOrigin::Calculated { from, .. } = &figure.origin {
                    assert!(!from.is_empty(), "{id}");
                    assert!(from.iter().all(|one| report.figures.contains_key(one)), "{id}: {from:?}");
                }
            }
        }
    }

    #[test]
    fn a_users_answer_leads_to_its_line() {
        let (model, _, inputs) = example();
        let text = "[answers]\n\n\"keys.storage\" = { level = 3, artefact = \"keys 2026.xlsx\" }\n";
        let answers = Answers::read(crate::error::Text { file: "ours.toml", text }, &model).unwrap();
        let report = report(&model, &answers, &inputs).unwrap();
        let origin = &report.figures["posture.answer.keys.storage"].origin;
        assert_eq!(*origin, FigureOrigin::Given { file: "ours.toml".to_owned(), line: 3 });
        assert!(!serde_json::to_string(&report.blocks).unwrap().contains("does not exist"));
    }
}
