//! The posture under sliders: each question a level, and what shows it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use touchmark_economics::EconomicsError;
use touchmark_economics::posture::answers::{HIGHEST, LOWEST};
use touchmark_economics::posture::model::Category;
use touchmark_economics::posture::{self, Answers, Model};
use touchmark_economics::report::Report;
use touchmark_identity::timestamp::Timestamp;

use super::{Asked, FORM, Own};
use crate::dashboard::view;
use crate::fleet;

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

/// The answers that the registry gives, kept for a while: they are read from every device.
#[derive(Debug, Default)]
pub struct Fleet(Mutex<Option<(Timestamp, Answers)>>);

/// So long are they kept.
const KEPT_S: u64 = 60;

impl Fleet {
    /// The answers of the registry in this directory; none where it cannot be read.
    pub fn answers(&self, data: &Path, now: Timestamp) -> Answers {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, answers)) = &*kept
            && now.seconds().abs_diff(then.seconds()) < KEPT_S
        {
            return answers.clone();
        }
        let read = Own::get().map_err(|error| error.to_string()).and_then(|own| {
            let days = own.inputs.get("evidence.expiry-days").map_or(0.0, |input| input.likely);
            let facts = fleet::facts(data, now, days).map_err(|error| error.to_string())?;
            Ok(posture::from_facts(&own.posture.model, &facts))
        });
        let answers = read.unwrap_or_else(|why| {
            tracing::warn!("the registry answers no question of the posture: {why}");
            Answers::default()
        });
        *kept = Some((now, answers.clone()));
        answers
    }
}

/// The answers before anybody moved a slider: the registry's, and no opinion beside them; the worked example where there is
/// no registry.
fn usual(own: &Own, fleet: &Answers) -> Answers {
    if fleet.iter().next().is_none() { own.posture.example.clone() } else { fleet.clone() }
}

/// The name of a question's artefact in the address.
fn artefact_of(question: &str) -> String {
    format!("{question}.artefact")
}

pub(super) fn controls(asked: &Asked, own: &Own, fleet: &Answers) -> Vec<view::Controls> {
    let model = &own.posture.model;
    let usual = usual(own, fleet);
    let group = |category: &Category| {
        let controls = model.questions_of(&category.id).flat_map(|question| {
            let answer = usual.get(&question.id);
            let level = answer.map_or(LOWEST, |answer| answer.level);
            let name = artefact_of(&question.id);
            let artefact = asked.get(&name).map(str::to_owned);
            [
                view::Control::Slider(view::Slider {
                    name: question.id.clone(),
                    text: question.text.clone(),
                    value: asked
                        .get(&question.id)
                        .and_then(|level| level.parse().ok())
                        .unwrap_or(level.into()),
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
    let mut answers = usual(own, fleet);
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
