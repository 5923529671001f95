//! The charts.

use super::super::model::{Costs, Sharing, likely};
use super::{Question, name_of, thousand, total};
use crate::error::EconomicsError;
use crate::expr::Expr;
use crate::input::Inputs;
use crate::plan::Plan;
use crate::report::chart::{Axis, Drawing, Level, Series};
use crate::report::{Chart, Draft, Span};
use crate::unit::Devices;

/// The numbers of devices that lines are drawn over: one to a million, three to a power of ten.
const FLEETS: [f64; 19] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6];

fn axes() -> (Axis, Axis) {
    (
        Axis { title: "Devices".to_owned(), unit: "device".to_owned(), logarithmic: true },
        Axis { title: "Cost to the attacker".to_owned(), unit: "USD".to_owned(), logarithmic: true },
    )
}

/// The points of one line.
///
/// # Errors
/// EC-0002 where an input is missing.
pub(super) fn points(
    costs: &Costs,
    sharing: Sharing,
    inputs: &Inputs,
) -> Result<Vec<(f64, f64)>, EconomicsError> {
    let of = |n: &f64| costs.of(&Expr::<Devices>::defined(*n, "devices of the chart"), sharing);
    let totals: Vec<_> = FLEETS.iter().map(of).collect();
    Ok(FLEETS.into_iter().zip(Plan::new(&totals, inputs)?.likely()).collect())
}

/// Cost against fleet size for each storage and sharing choice, with the budget.
pub(super) fn by_fleet(draft: &mut Draft<'_>, question: &Question<'_>) -> Result<(), EconomicsError> {
    let (x, y) = axes();
    let (mut series, mut from) = (Vec::new(), vec!["attack.budget".to_owned()]);
    for choice in &question.choices {
        let points = points(&choice.costs, choice.sharing, question.inputs)?;
        let sharing = match choice.sharing {
            Sharing::PerDevice => "own secrets",
            Sharing::Shared => "one shared secret",
        };
        series.push(Series { name: format!("{}, {sharing}", choice.stand.text), points });
        from.push(name_of(&choice.costs.fixed));
        from.push(name_of(&choice.costs.each));
    }
    from.sort();
    from.dedup();
    let budget = likely(&question.budget, question.inputs)?;
    draft.chart(Chart {
        id: "attack-cost".to_owned(),
        title: "What it costs to compromise a fleet".to_owned(),
        says: vec![Span::text(
            "With a secret of its own in each device the cost rises with every device; with one shared secret it stays what \
             the first device costs, wherever the key is. The level line is the attacker's budget.",
        )],
        drawing: Drawing::Lines {
            x,
            y,
            series,
            levels: vec![Level { name: "Budget".to_owned(), value: budget }],
        },
        from,
    });
    Ok(())
}

/// The costs before and since each class break.
pub(super) fn breaks(draft: &mut Draft<'_>, question: &Question<'_>) -> Result<(), EconomicsError> {
    let (x, y) = axes();
    let (mut series, mut from): (Vec<Series>, Vec<String>) = (Vec::new(), Vec::new());
    let ends = question.catalogue.breaks.iter().flat_map(|one| [&one.before, &one.after]);
    for attack in ends.filter_map(|id| question.catalogue.attack(id)) {
        if series.iter().any(|line| line.name == attack.name) {
            continue;
        }
        let costs = Costs::new(attack, question.inputs)?;
        let points = points(&costs, Sharing::PerDevice, question.inputs)?;
        series.push(Series { name: attack.name.clone(), points });
        for shown in [draft.show(&costs.fixed), draft.show(&costs.each)] {
            if let Span::Figure { id } = shown {
                from.push(id);
            }
        }
    }
    if series.is_empty() {
        return Ok(());
    }
    let budget = likely(&question.budget, question.inputs)?;
    from.push("attack.budget".to_owned());
    draft.chart(Chart {
        id: "class-breaks".to_owned(),
        title: "Class breaks: the same chips, before and since".to_owned(),
        says: vec![Span::text(
            "A break replaces the upper lines by the lower ones for every device with such a part, from one day to the next.",
        )],
        drawing: Drawing::Lines {
            x,
            y,
            series,
            levels: vec![Level { name: "Budget".to_owned(), value: budget }],
        },
        from,
    });
    Ok(())
}

/// What moves the cost of a thousand clones most, for the strongest storage.
pub(super) fn swings(draft: &mut Draft<'_>, question: &Question<'_>) -> Result<(), EconomicsError> {
    let mut own = question.choices.iter().filter(|choice| choice.sharing == Sharing::PerDevice);
    let Some(choice) = own.next_back() else { return Ok(()) };
    let cost = total(choice, &thousand(), "thousand", "A thousand devices");
    let plan = Plan::new(std::slice::from_ref(&cost), question.inputs)?;
    let swings = plan.tornado(0);
    if swings.is_empty() {
        return Ok(());
    }
    let text =
        |key: &str| question.inputs.get(key).map_or_else(|| key.to_owned(), |input| input.text.clone());
    let bars = swings.iter().map(|swing| (text(&swing.key), swing.at_low, swing.at_high)).collect();
    draft.show(&cost);
    draft.chart(Chart {
        id: "attack-swings".to_owned(),
        title: format!("What moves the cost of a thousand clones: {}", choice.stand.text.to_lowercase()),
        says: vec![Span::text(
            "Each bar is the cost with one input at its lowest and at its highest value. Where the widest bars are \
             assumptions, the answer is as good as they are.",
        )],
        drawing: Drawing::Tornado {
            x: Axis { title: "Cost to the attacker".to_owned(), unit: "USD".to_owned(), logarithmic: false },
            middle: likely(&cost, question.inputs)?,
            bars,
        },
        from: vec![name_of(&cost)],
    });
    Ok(())
}
