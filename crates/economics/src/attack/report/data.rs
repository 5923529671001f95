//! The answer for programs; docs/decide.md says what is in it.

use serde_json::{Value, json};

use super::super::model::{Costs, Sharing, likely};
use super::charts::points;
use super::{Question, thousand};
use crate::error::EconomicsError;

pub(super) fn data(question: &Question<'_>) -> Result<Value, EconomicsError> {
    let inputs = question.inputs;
    let mut choices = Vec::new();
    for choice in &question.choices {
        let (from, each) = match choice.pays.clones() {
            Some((from, each)) => (Some(likely(from, inputs)?), Some(likely(each, inputs)?)),
            None => (None, None),
        };
        let within = choice.costs.within(&question.budget, &question.fleet, choice.sharing);
        choices.push(json!({
            "storage": choice.stand.id,
            "sharing": choice.sharing,
            "attack": choice.attack.id,
            "reach": choice.attack.reach,
            "once_usd": likely(&choice.costs.fixed, inputs)?,
            "each_usd_per_device": likely(&choice.costs.each, inputs)?,
            "fleet_usd": likely(&choice.costs.of(&question.fleet, choice.sharing), inputs)?,
            "points": points(&choice.costs, choice.sharing, inputs)?,
            "budget_opens_devices": likely(&within, inputs)?,
            "pays": choice.pays.word(),
            "pays_from_devices": from,
            "clone_usd_per_device": each,
        }));
    }
    let mut breaks = Vec::new();
    for one in &question.catalogue.breaks {
        let cost = |id: &str| -> Result<Option<f64>, EconomicsError> {
            let Some(attack) = question.catalogue.attack(id) else { return Ok(None) };
            let costs = Costs::new(attack, inputs)?;
            Ok(Some(likely(&costs.of(&thousand(), Sharing::PerDevice), inputs)?))
        };
        breaks.push(json!({
            "break": one,
            "thousand_before_usd": cost(&one.before)?,
            "thousand_since_usd": cost(&one.after)?,
        }));
    }
    Ok(json!({
        "fleet_devices": likely(&question.fleet, inputs)?,
        "budget_usd": likely(&question.budget, inputs)?,
        "gain_usd_per_device": likely(&question.gain, inputs)?,
        "choices": choices,
        "breaks": breaks,
        "attacks": question.catalogue.attacks,
        "none_found": question.catalogue.none_found,
    }))
}
