//! From answers to scores.

use serde::Serialize;

use super::answers::{Answer, Answers, LOWEST};
use super::model::Model;
use crate::error::EconomicsError;
use crate::input::Inputs;

/// What an assessment comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// The mean of the modules by their weights.
    pub overall: f64,
    /// The same, had no answer needed an artefact.
    pub claimed: f64,
    /// The modules.
    pub modules: Vec<ModuleScore>,
    /// The categories.
    pub categories: Vec<CategoryScore>,
    /// The questions.
    pub questions: Vec<QuestionScore>,
}

/// A module's score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModuleScore {
    /// Its id.
    pub id: String,
    /// Its weight.
    pub weight: f64,
    /// The mean of its categories' levels.
    pub score: f64,
    /// The same, had no answer needed an artefact.
    pub claimed: f64,
}

/// A category's score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CategoryScore {
    /// Its id.
    pub id: String,
    /// The mean of what its answers count as.
    pub mean: f64,
    /// Its level: the mean, rounded down.
    pub level: u8,
    /// The level, had no answer needed an artefact.
    pub claimed: u8,
    /// The question whose answer counts least: where to go on.
    pub weakest: String,
}

/// A question's score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuestionScore {
    /// Its id.
    pub id: String,
    /// The level that was answered; `None` where nothing was.
    pub answered: Option<u8>,
    /// The level that it counts as.
    pub counts: u8,
    /// Whether it counts less than answered, for want of an artefact.
    pub capped: bool,
}

/// What an answer counts as: no more than the cap without an artefact; unanswered is the lowest.
#[must_use]
pub fn counts(answer: Option<&Answer>, cap: u8) -> u8 {
    match answer {
        None => LOWEST,
        Some(answer) if answer.artefact.is_some() => answer.level,
        Some(answer) => answer.level.min(cap),
    }
}

/// The scores of these answers.
///
/// # Errors
/// EC-0002 where a weight or the cap is missing.
pub fn scores(model: &Model, answers: &Answers, inputs: &Inputs) -> Result<Scores, EconomicsError> {
    let cap = cap(inputs)?;
    let questions: Vec<_> = model
        .questions
        .iter()
        .map(|question| {
            let answer = answers.get(&question.id);
            let counts = counts(answer, cap);
            let answered = answer.map(|answer| answer.level);
            QuestionScore {
                id: question.id.clone(),
                answered,
                counts,
                capped: answered.is_some_and(|level| level > counts),
            }
        })
        .collect();
    let mut categories = Vec::with_capacity(model.categories.len());
    for category in &model.categories {
        let of_it: Vec<_> = model
            .questions
            .iter()
            .zip(&questions)
            .filter(|(question, _)| question.category == category.id)
            .map(|(_, score)| score)
            .collect();
        let (level, mean) = floor_of_mean(of_it.iter().map(|score| score.counts));
        let (claimed, _) = floor_of_mean(of_it.iter().map(|score| score.answered.unwrap_or(LOWEST)));
        let weakest =
            of_it.iter().min_by_key(|score| score.counts).map(|score| score.id.clone()).unwrap_or_default();
        categories.push(CategoryScore { id: category.id.clone(), mean, level, claimed, weakest });
    }
    let mut modules = Vec::with_capacity(model.modules.len());
    for module in &model.modules {
        let of_it: Vec<_> = model
            .categories
            .iter()
            .zip(&categories)
            .filter(|(category, _)| category.module == module.id)
            .map(|(_, score)| score)
            .collect();
        let weight = likely(inputs, &format!("posture.weight.{}", module.id))?;
        let score = mean(of_it.iter().map(|score| score.level));
        let claimed = mean(of_it.iter().map(|score| score.claimed));
        modules.push(ModuleScore { id: module.id.clone(), weight, score, claimed });
    }
    let overall = weighted(&modules, |module| module.score);
    let claimed = weighted(&modules, |module| module.claimed);
    Ok(Scores { overall, claimed, modules, categories, questions })
}

/// The highest level of an answer without an artefact.
pub(super) fn cap(inputs: &Inputs) -> Result<u8, EconomicsError> {
    let cap = likely(inputs, "posture.cap")?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the input's bounds are levels"
    )]
    let cap = cap.floor() as u8;
    Ok(cap.max(LOWEST))
}

fn likely(inputs: &Inputs, key: &str) -> Result<f64, EconomicsError> {
    inputs.quantity::<crate::unit::One>(key)?;
    Ok(inputs.get(key).map_or(0.0, |input| input.likely))
}

/// The mean, and the mean rounded down. Of none it is the lowest level.
fn floor_of_mean(levels: impl Iterator<Item = u8>) -> (u8, f64) {
    let levels: Vec<_> = levels.collect();
    let sum: usize = levels.iter().map(|level| usize::from(*level)).sum();
    let floor = sum.checked_div(levels.len()).and_then(|floor| u8::try_from(floor).ok()).unwrap_or(LOWEST);
    (floor, mean(levels.into_iter()))
}

fn mean(levels: impl Iterator<Item = u8>) -> f64 {
    let (mut sum, mut many) = (0.0, 0.0);
    for level in levels {
        sum += f64::from(level);
        many += 1.0;
    }
    if many > 0.0 { sum / many } else { f64::from(LOWEST) }
}

fn weighted(modules: &[ModuleScore], of: impl Fn(&ModuleScore) -> f64) -> f64 {
    let weights: f64 = modules.iter().map(|module| module.weight).sum();
    let sum: f64 = modules.iter().map(|module| module.weight * of(module)).sum();
    if weights > 0.0 { sum / weights } else { f64::from(LOWEST) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn world() -> (Model, Inputs) {
        (Model::own().unwrap(), Inputs::own().unwrap())
    }

    fn answered(model: &Model, given: &[(u8, bool)]) -> Answers {
        let mut answers = Answers::default();
        for (question, (level, artefact)) in model.questions.iter().zip(given) {
            answers.give(model, &question.id, *level, artefact.then_some("a file"), "test").unwrap();
        }
        answers
    }

    #[test]
    fn without_an_artefact_an_answer_counts_no_more_than_the_cap() {
        let (model, inputs) = world();
        let all = vec![(5, false); model.questions.len()];
        let scores = scores(&model, &answered(&model, &all), &inputs).unwrap();
        assert!(scores.questions.iter().all(|question| question.capped && question.counts == 2));
        assert_eq!((scores.overall, scores.claimed), (2.0, 5.0));
        let shown = vec![(5, true); model.questions.len()];
        let scores = super::scores(&model, &answered(&model, &shown), &inputs).unwrap();
        assert_eq!((scores.overall, scores.claimed), (5.0, 5.0));
    }

    #[test]
    fn an_unanswered_question_counts_as_the_lowest() {
        let (model, inputs) = world();
        let scores = scores(&model, &Answers::default(), &inputs).unwrap();
        assert_eq!(scores.overall, 1.0);
        assert!(scores.questions.iter().all(|question| question.answered.is_none() && !question.capped));
    }

    #[test]
    fn a_category_is_the_mean_rounded_down_and_modules_count_by_weight() {
        let (model, inputs) = world();
        let mut answers = Answers::default();
        answers.give(&model, "keys.storage", 4, Some("a"), "test").unwrap();
        answers.give(&model, "keys.shared", 3, Some("a"), "test").unwrap();
        let scores = scores(&model, &answers, &inputs).unwrap();
        let keys = scores.categories.iter().find(|category| category.id == "keys").unwrap();
        assert_eq!((keys.mean, keys.level, keys.weakest.as_str()), (3.5, 3, "keys.shared"));
        let management = scores.modules.iter().find(|module| module.id == "management").unwrap();
        assert_eq!(management.score, f64::from(3 + 1 + 1 + 1) / 4.0);
        // Twenty of a hundred parts, above a lowest level of one.
        assert!((scores.overall - (1.0 + 0.2 * 0.5)).abs() < 1e-12, "{}", scores.overall);
    }

    proptest! {
        #[test]
        fn raising_an_answer_or_naming_an_artefact_never_lowers_a_score(
            given in prop::collection::vec((1_u8..=5, any::<bool>()), 30), at in 0_usize..30, by in 0_u8..5, artefact: bool,
        ) {
            let (model, inputs) = world();
            let before = scores(&model, &answered(&model, &given), &inputs).unwrap();
            let mut raised = given;
            raised[at].0 = (raised[at].0 + by).min(5);
            raised[at].1 |= artefact;
            let after = scores(&model, &answered(&model, &raised), &inputs).unwrap();
            prop_assert!(after.overall >= before.overall && after.claimed >= before.claimed);
            for (before, after) in before.modules.iter().zip(&after.modules) {
                prop_assert!(after.score >= before.score);
            }
            for (before, after) in before.categories.iter().zip(&after.categories) {
                prop_assert!(after.level >= before.level && after.mean >= before.mean);
            }
            prop_assert!((1.0..=5.0).contains(&after.overall) && after.overall <= after.claimed);
        }
    }
}
