//! The posture under sliders: each question a level, and what shows it.

use touchmark_economics::EconomicsError;
use touchmark_economics::posture::{self, Answers, HIGHEST, LOWEST, Model};
use touchmark_economics::report::Report;

use super::{Asked, FORM, Own};
use crate::dashboard::view;

/// The assessment, and the answers before anybody moved a slider.
#[derive(Debug)]
pub(super) struct Assessment {
    model: Model,
    example: Answers,
}

impl Assessment {
    pub(super) fn read() -> Result<Self, EconomicsError> {
        let model = Model::own()?;
        let example = Answers::example(&model)?;
        Ok(Self { model, example })
    }
}

/// The name of a question's artefact in the address.
fn artefact_of(question: &str) -> String {
    format!("{question}.artefact")
}

pub(super) fn controls(asked: &Asked, own: &Own, fleet: &Answers) -> Vec<view::Controls> {
    let model = &own.posture.model;
    let usual = own.posture.example.clone().overridden(fleet.clone());
    let group = |category: &touchmark_economics::posture::Category| {
        let controls = model.questions_of(&category.id).flat_map(|question| {
            let answer = usual.get(&question.id);
            let level = answer.map_or(LOWEST, |answer| answer.level);
            let name = artefact_of(&question.id);
            let artefact = asked.get(&name).map(str::to_owned);
            [
                view::Control::Slider(view::Slider {
                    name: question.id.clone(),
                    text: question.text.clone(),
                    value: asked.get(&question.id).and_then(|level| level.parse().ok()).unwrap_or(level.into()),
                    usual: level.into(),
                    least: LOWEST.into(),
                    most: HIGHEST.into(),
                    step: 1.0,
                    unit: "1".to_owned(),
                }),
                view::Control::Words(view::Words {
                    name,
                    text: "What shows it".to_owned(),
                    value: artefact.unwrap_or_default(),
                    hint: answer
                        .and_then(|answer| answer.artefact.clone())
                        .unwrap_or_else(|| "a path, an address, a sentence".to_owned()),
                }),
            ]
        });
        view::Controls { title: category.title.clone(), controls: controls.collect() }
    };
    model.categories.iter().map(group).collect()
}

pub(super) fn report(asked: &Asked, own: &Own, fleet: &Answers) -> Result<Report, EconomicsError> {
    let model = &own.posture.model;
    let mut answers = own.posture.example.clone().overridden(fleet.clone());
    for question in &model.questions {
        let before = answers.get(&question.id).cloned();
        let level = asked.get(&question.id);
        let artefact = asked.get(&artefact_of(&question.id));
        if level.is_none() && artefact.is_none() {
            continue;
        }
        let level = match level {
            Some(level) => level.parse().map_err(|_| EconomicsError::Argument {
                what: format!("`{}` is answered with `{level}`", question.id),
                remedy: format!("write a whole number from {LOWEST} to {HIGHEST}"),
            })?,
            None => before.as_ref().map_or(LOWEST, |answer| answer.level),
        };
        let same = before.as_ref().is_some_and(|before| before.level == level) && artefact.is_none();
        if !same {
            let shown = artefact.or(before.as_ref().and_then(|before| before.artefact.as_deref()));
            answers.give(model, &question.id, level, shown, FORM)?;
        }
    }
    posture::report(model, &answers, &own.inputs)
}
