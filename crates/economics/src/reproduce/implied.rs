//! Which inputs of our model would give the article's totals.

use serde::Serialize;

use super::key_storage::Stated;
use crate::EconomicsError;
use crate::cost::{Choices, Model, Storage, Values};
use crate::expr::Expr;
use crate::input::Inputs;
use crate::plan::Plan;
use crate::report::{Draft, Span, Tone};
use crate::unit::Usd;

/// How many times the highest plausible value of an input is tried.
const REACH: f64 = 1_000.0;
/// Inputs that are asked, one at a time, and for which storage.
const ASKED: &[(Storage, &str)] = &[
    (Storage::SecureElement, "alerts.behaviour"),
    (Storage::SecureElement, "monitoring.behaviour.platform"),
    (Storage::SecureElement, "monitoring.behaviour.posts"),
    (Storage::Software, "alerts.duplicates"),
    (Storage::Software, "monitoring.duplicates.platform"),
    (Storage::Software, "monitoring.duplicates.posts"),
    (Storage::Software, "visits.duplicates"),
    (Storage::Software, "incidents.software.rate"),
];

/// The value of one input at which our model gives a stated total, everything else being likely.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Solution {
    /// The storage whose total is meant.
    pub storage: Storage,
    /// The input of the stated total.
    pub total: String,
    /// The input that is solved for.
    pub input: String,
    /// Its value, in its unit; none where no value gives the total.
    pub value: Option<f64>,
    /// Whether that lies in the range of the input.
    pub plausible: bool,
}

/// What the totals imply.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Implied {
    /// One input at a time.
    pub solutions: Vec<Solution>,
    /// One set that gives all: the stated fleet, the implied price, alerts of both regimes, everything else likely.
    pub sets: Vec<Set>,
}

/// One consistent set of inputs, and the totals that our model gives for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Set {
    /// Which end of the stated range: `low` or `high`.
    pub end: &'static str,
    /// Alerts of odd use, for one device and year.
    pub alerts_behaviour: f64,
    /// Alerts of duplicates, for one device and year.
    pub alerts_duplicates: f64,
    /// The total with a secure element that our model gives for it.
    pub hardware_usd: f64,
    /// The total with keys in software that our model gives for it.
    pub software_usd: f64,
}

/// The inputs with the article's fleet and the price of the chip that it implies.
fn stated_fleet(inputs: &Inputs, stated: &Stated) -> Result<Inputs, EconomicsError> {
    let nodes = [stated.devices.node(), stated.lifetime.node(), stated.price.node()].map(std::rc::Rc::clone);
    let values = Values::new(nodes.to_vec(), inputs)?;
    let place = "the stated fleet";
    inputs
        .clone()
        .given(place, "fleet.devices", &format!("{} device", values.of(&stated.devices)))?
        .given(place, "fleet.lifetime", &format!("{} year", values.of(&stated.lifetime)))?
        .given(place, "part.secure-element.price", &format!("{} USD/device", values.of(&stated.price)))
}

fn solve(
    inputs: &Inputs,
    (storage, key): (Storage, &str),
    (total, id): (&Expr<Usd>, &str),
) -> Result<(Solution, Vec<String>), EconomicsError> {
    let model = Model::new(inputs, Choices::default())?;
    let over: Vec<_> =
        model.cost(storage).map(|cost| cost.total.clone() - total.clone()).into_iter().collect();
    let plan = Plan::new(&over, inputs)?;
    let (low, high) = inputs.get(key).map_or((0.0, 0.0), |input| (input.low, input.high));
    let most = inputs.get(key).map_or(f64::INFINITY, |input| input.bounds().1);
    let reach = (if high > 0.0 { high } else { 1.0 }) * REACH;
    let value = plan.break_even(0, key, (0.0, reach.min(most)));
    let plausible = value.is_some_and(|value| (low..=high).contains(&value));
    let from = plan.keys().map(str::to_owned).collect();
    Ok((Solution { storage, total: id.to_owned(), input: key.to_owned(), value, plausible }, from))
}

pub(super) fn section(draft: &mut Draft<'_>) -> Result<Implied, EconomicsError> {
    let stated = Stated::new(draft)?;
    let inputs = stated_fleet(draft.inputs(), &stated)?;
    draft.heading("Which inputs would give these totals");
    let spans = [
        Span::text("Our model, for "),
        draft.show(&stated.devices),
        Span::text(" over "),
        draft.show(&stated.lifetime),
        Span::text(" with a chip at "),
        draft.show(&stated.price),
        Span::text(
            ", everything else at its likely value: the value of one input at which it gives a stated total. A rate of incidents \
             is asked as well, because the stated totals hold the risk of breaches.",
        ),
    ];
    draft.paragraph(spans);
    let [low, high] = &stated.software;
    let totals = [
        (Storage::SecureElement, &stated.hardware, "article.storage.hardware"),
        (Storage::Software, low, "article.storage.software-low"),
        (Storage::Software, high, "article.storage.software-high"),
    ];
    let (mut solutions, mut rows) = (Vec::new(), Vec::new());
    for (storage, key) in ASKED {
        for (_, total, id) in totals.iter().filter(|(of, _, _)| of == storage) {
            let (solution, from) = solve(&inputs, (*storage, key), (total, id))?;
            rows.push(row(draft, &solution, total, &from)?);
            solutions.push(solution);
        }
    }
    let columns = ["Storage", "Total", "Input alone", "Its range here", "Value that gives the total", ""];
    draft.table("One input at a time", &columns, rows);
    let sets = sets(draft, &inputs, &stated, &solutions)?;
    Ok(Implied { solutions, sets })
}

fn row(
    draft: &mut Draft<'_>,
    solution: &Solution,
    total: &Expr<Usd>,
    from: &[String],
) -> Result<Vec<Vec<Span>>, EconomicsError> {
    let input = draft.inputs().get(&solution.input);
    let (name, unit) = input.map_or(("", "1"), |input| (input.text.as_str(), input.unit));
    let given = input.is_some_and(|input| input.high > 0.0);
    let (value, verdict) = match solution.value {
        None => (vec![Span::text("none")], Span::verdict("no value gives it", Tone::Bad)),
        Some(value) => {
            let mut from: Vec<&str> = from.iter().map(String::as_str).collect();
            from.extend(["article.storage.devices", "article.storage.lifetime", "implied.price"]);
            let how = format!(
                "the value of {} at which the total of the model is {}, with the stated fleet, all others likely",
                solution.input, solution.total
            );
            let id = format!("implied.{}.{}", solution.total.replace('.', "-"), solution.input);
            let shown = draft.show_value(&id, &format!("{name}, implied"), (value, unit), &how, &from);
            let verdict = match (solution.plausible, given) {
                (true, _) => Span::verdict("in our range", Tone::Good),
                (false, true) => Span::verdict("outside our range", Tone::Warning),
                (false, false) => Span::verdict("nobody has a rate", Tone::Neutral),
            };
            (vec![shown], verdict)
        }
    };
    Ok(vec![
        vec![Span::text(solution.storage.title())],
        vec![draft.show(total)],
        vec![Span::name(name)],
        draft.show_with_range(&solution.input)?,
        value,
        vec![verdict],
    ])
}

/// One set for each end of the stated range: alerts of both regimes are solved for, and the model is asked again with them.
fn sets(
    draft: &mut Draft<'_>,
    inputs: &Inputs,
    stated: &Stated,
    solutions: &[Solution],
) -> Result<Vec<Set>, EconomicsError> {
    let solved = |total: &str, key: &str| {
        solutions.iter().find(|one| one.total == total && one.input == key).and_then(|one| one.value)
    };
    let (mut sets, mut rows) = (Vec::new(), Vec::new());
    for (end, software) in ["low", "high"].into_iter().zip(&stated.software) {
        let total = format!("article.storage.software-{end}");
        let odd = solved("article.storage.hardware", "alerts.behaviour");
        let (Some(odd), Some(twice)) = (odd, solved(&total, "alerts.duplicates")) else { continue };
        let set = inputs
            .clone()
            .given("the implied set", "alerts.behaviour", &format!("{odd} alert/device/year"))?
            .given("the implied set", "alerts.duplicates", &format!("{twice} alert/device/year"))?;
        let likely = Model::new(&set, Choices::default())?.likely()?;
        let of = |storage: Storage| {
            likely.storage(storage).map_or((0.0, 0.0), |one| (one.total_usd, one.alerts_per_year))
        };
        let ((hardware_usd, few), (software_usd, many)) = (of(Storage::SecureElement), of(Storage::Software));
        let odd_id = "implied.article-storage-hardware.alerts.behaviour";
        let twice_id = format!("implied.article-storage-software-{end}.alerts.duplicates");
        let from = [
            odd_id,
            twice_id.as_str(),
            "article.storage.devices",
            "article.storage.lifetime",
            "implied.price",
        ];
        let mut show = |id: &str, text: &str, value: f64, unit: &str, how: &str| {
            draft.show_value(&format!("implied.set.{end}.{id}"), text, (value, unit), how, &from)
        };
        let how = "the model with the values of this row";
        let cells = [
            show("hardware", "Total with a secure element, from the implied set", hardware_usd, "USD", how),
            show("software", "Total with keys in software, from the implied set", software_usd, "USD", how),
            show("alerts.behaviour", "Alerts a year of odd use, implied", few, "alert/year", how),
            show("alerts.duplicates", "Alerts a year of duplicates, implied", many, "alert/year", how),
        ];
        let [hardware, alone, few, many] = cells;
        let figure = |id: &str| vec![Span::Figure { id: id.to_owned() }];
        let name = if end == "low" { "lower" } else { "upper" };
        rows.push(vec![
            vec![Span::text(name)],
            figure(odd_id),
            figure(&twice_id),
            vec![few],
            vec![many],
            vec![hardware],
            vec![alone],
            vec![draft.show(software)],
        ]);
        sets.push(Set { end, alerts_behaviour: odd, alerts_duplicates: twice, hardware_usd, software_usd });
    }
    let columns = [
        "End",
        "Odd use, each",
        "Duplicates, each",
        "Odd use, a year",
        "Duplicates, a year",
        "Gives, secure element",
        "Gives, software",
        "Stated, software",
    ];
    draft.table("One consistent set: alerts of both regimes, everything else likely", &columns, rows);
    draft.paragraph([Span::text(
        "Many other sets give the same totals; this one shows that they can be had, and from how many alerts. It does not show \
         that they are true.",
    )]);
    Ok(sets)
}
