//! The attack economics as a report.

mod charts;
mod data;
mod tables;

use super::catalogue::{Attack, Catalogue, Stand};
use super::model::{Costs, Sharing, likely, one};
use crate::error::EconomicsError;
use crate::expr::Expr;
use crate::input::Inputs;
use crate::report::{Draft, Report, Span, Tone};
use crate::unit::{Devices, Usd, UsdPerDevice};

/// What all parts of the report use.
pub(super) struct Question<'a> {
    catalogue: &'a Catalogue,
    inputs: &'a Inputs,
    fleet: Expr<Devices>,
    budget: Expr<Usd>,
    gain: Expr<UsdPerDevice>,
    choices: Vec<Choice<'a>>,
}

/// A storage, and how secrets are shared.
pub(super) struct Choice<'a> {
    stand: &'a Stand,
    attack: &'a Attack,
    sharing: Sharing,
    costs: Costs,
    pays: Pays,
}

/// Whether an attack pays.
pub(super) enum Pays {
    /// From this many clones on, at this cost for each of them.
    From(Expr<Devices>, Expr<UsdPerDevice>),
    /// From more clones on than the budget opens.
    BeyondBudget(Expr<Devices>, Expr<UsdPerDevice>),
    /// From more clones on than there are devices.
    BeyondFleet(Expr<Devices>, Expr<UsdPerDevice>),
    /// Never: each further device costs more than it brings.
    Never,
}

impl Pays {
    fn verdict(&self) -> Span {
        match self {
            Self::From(..) => Span::verdict("pays", Tone::Bad),
            Self::BeyondBudget(..) => Span::verdict("beyond the budget", Tone::Warning),
            Self::BeyondFleet(..) => Span::verdict("not in this fleet", Tone::Good),
            Self::Never => Span::verdict("never pays", Tone::Good),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::From(..) => "pays",
            Self::BeyondBudget(..) => "beyond-budget",
            Self::BeyondFleet(..) => "beyond-fleet",
            Self::Never => "never",
        }
    }

    fn clones(&self) -> Option<(&Expr<Devices>, &Expr<UsdPerDevice>)> {
        match self {
            Self::From(from, each) | Self::BeyondBudget(from, each) | Self::BeyondFleet(from, each) => {
                Some((from, each))
            }
            Self::Never => None,
        }
    }
}

/// What an attack costs, by where the key is and whether a secret is shared. `part` is what the user asked about.
///
/// # Errors
/// EC-0002 where an input is missing; EC-0003 where nothing is known of the part.
pub fn report(catalogue: &Catalogue, part: Option<&str>, inputs: &Inputs) -> Result<Report, EconomicsError> {
    let chosen = match part {
        Some(part) => catalogue.clone().for_part(part)?,
        None => catalogue.clone(),
    };
    let question = question(&chosen, inputs)?;
    let mut draft = Draft::new(inputs);
    draft.heading("What the attacker is after");
    let gain = draft.show(&question.gain);
    let budget = draft.show(&question.budget);
    let fleet = draft.show(&question.fleet);
    draft.list(vec![
        vec![Span::text("Each clone brings "), gain, Span::text(".")],
        vec![Span::text("The budget is "), budget, Span::text(".")],
        vec![Span::text("The fleet has "), fleet, Span::text(".")],
    ]);
    if let Some(part) = part {
        tables::part(&mut draft, &question, part);
    }
    tables::needs(&mut draft, &question);
    charts::by_fleet(&mut draft, &question)?;
    tables::outcome(&mut draft, &question)?;
    tables::breaks(&mut draft, &question)?;
    charts::breaks(&mut draft, &question)?;
    charts::swings(&mut draft, &question)?;
    tables::limits(&mut draft);
    tables::published(&mut draft, &question);
    let data = data::data(&question)?;
    let summary = summary(&mut draft, &question);
    draft.finish("touchmark.decide.attack/1", "What an attack costs", summary, data)
}

fn question<'a>(catalogue: &'a Catalogue, inputs: &'a Inputs) -> Result<Question<'a>, EconomicsError> {
    let fleet = inputs.quantity::<Devices>("fleet.devices")?;
    let budget = inputs.quantity::<Usd>("attack.budget")?;
    let gain = inputs.quantity::<UsdPerDevice>("attack.gain")?;
    let mut choices = Vec::new();
    for stand in &catalogue.stands {
        let Some(attack) = catalogue.attack(&stand.attack) else { continue };
        let costs = Costs::new(attack, inputs)?;
        // A secret that was found in public data is one that is shared.
        let possible = |sharing: &Sharing| stand.id != "shared" || *sharing == Sharing::Shared;
        for sharing in Sharing::ALL.into_iter().filter(possible) {
            let pays = pays(&costs, sharing, (&gain, &budget, &fleet), inputs)?;
            choices.push(Choice { stand, attack, sharing, costs: costs.clone(), pays });
        }
    }
    Ok(Question { catalogue, inputs, fleet, budget, gain, choices })
}

fn pays(
    costs: &Costs,
    sharing: Sharing,
    (gain, budget, fleet): (&Expr<UsdPerDevice>, &Expr<Usd>, &Expr<Devices>),
    inputs: &Inputs,
) -> Result<Pays, EconomicsError> {
    let Some(from) = costs.pays_from(gain, sharing, inputs)? else { return Ok(Pays::Never) };
    let each = costs.each_of(&from, sharing);
    let id = format!("{}.cost-of-each", name_of(&from));
    let each = each.named(id, "Cost of each clone there");
    let needed = likely(&costs.of(&from, sharing), inputs)?;
    Ok(if likely(&from, inputs)? > likely(fleet, inputs)? {
        Pays::BeyondFleet(from, each)
    } else if needed > likely(budget, inputs)? {
        Pays::BeyondBudget(from, each)
    } else {
        Pays::From(from, each)
    })
}

fn name_of<U>(expr: &Expr<U>) -> String
where
    U: crate::unit::Unit,
{
    expr.node().name.as_ref().map(|name| name.id.clone()).unwrap_or_default()
}

fn summary(draft: &mut Draft<'_>, question: &Question<'_>) -> Vec<Span> {
    let mut spans = vec![Span::text("One shared secret makes the whole fleet as cheap as one device. ")];
    let own = |id: &str| {
        question.choices.iter().find(|one| one.stand.id == id && one.sharing == Sharing::PerDevice)
    };
    for (id, words) in [("software", "With keys in software"), ("secure-element", "in a secure element")] {
        let Some(choice) = own(id) else { continue };
        let from = choice.pays.clones().map(|(from, _)| draft.show(from));
        spans.push(Span::text(if spans.len() > 1 { format!("; {words} ") } else { format!("{words} ") }));
        match from {
            Some(from) => {
                spans.push(Span::text("an attack pays from "));
                spans.push(from);
            }
            None => spans.push(Span::text("it never pays")),
        }
        if !matches!(choice.pays, Pays::From(..)) {
            spans.push(Span::text(" ("));
            spans.push(choice.pays.verdict());
            spans.push(Span::text(")"));
        }
    }
    spans.push(Span::text("."));
    spans
}

/// How many devices the report compares.
fn thousand() -> Expr<Devices> {
    Expr::defined(1000.0, "a thousand devices, to compare by")
}

/// The cost of `n` devices as a figure.
fn total(choice: &Choice<'_>, n: &Expr<Devices>, word: &str, text: &str) -> Expr<Usd> {
    let id = format!("attack-cost.{}.{}.{word}", choice.attack.id, choice.sharing.word());
    choice.costs.of(n, choice.sharing).named(id, text)
}

/// One device, for the tables.
fn single() -> Expr<Devices> {
    one()
}
