//! The tables.

use super::super::catalogue::{Attack, Yields};
use super::super::model::{Costs, Sharing};
use super::{Question, single, thousand, total};
use crate::error::EconomicsError;
use crate::expr::Expr;
use crate::report::{Draft, Span, Tone};
use crate::source::Grade;
use crate::unit::Devices;

fn sourced(attack: &Attack, words: &str) -> Vec<Span> {
    vec![Span::sourced(words, &attack.source, attack.grade)]
}

fn named(attack: &Attack) -> Vec<Span> {
    vec![Span::name(format!("{} ({})", attack.name, attack.year))]
}

/// What is known of the part that was asked about.
pub(super) fn part(draft: &mut Draft<'_>, question: &Question<'_>, part: &str) {
    draft.heading("The part");
    if let Some(none) = question.catalogue.nothing_on(part) {
        let says = Span::sourced(&none.text, &none.source, none.grade);
        draft.paragraph([Span::given(part), Span::text(": "), says, Span::text(".")]);
    }
    let on_part = question.catalogue.on_part(part);
    if on_part.is_empty() {
        return;
    }
    let stands = |attack: &Attack| question.catalogue.stands.iter().any(|stand| stand.attack == attack.id);
    let items = on_part.iter().map(|attack| {
        let mut spans = named(attack);
        spans.push(Span::text(": "));
        spans.push(Span::sourced(&attack.fell, &attack.source, attack.grade));
        spans.push(Span::text(if stands(attack) {
            "; the figures below are of this attack."
        } else if attack.costs {
            "; it has figures, and another attack stands for its storage."
        } else if attack.yields == Yields::Use {
            "; it uses or forges in place and carries no key away."
        } else {
            "; published without figures, so another attack stands for its storage."
        }));
        spans
    });
    let items = items.collect();
    draft.paragraph([Span::text("Published on "), Span::given(part), Span::text(", or on its family:")]);
    draft.list(items);
}

/// What each attack needs, once and for each device.
pub(super) fn needs(draft: &mut Draft<'_>, question: &Question<'_>) {
    draft.heading("What an attack needs");
    let own = question
        .choices
        .iter()
        .filter(|choice| choice.sharing == Sharing::PerDevice || choice.stand.id == "shared");
    let mut rows = Vec::new();
    for choice in own {
        let how = match choice.attack.grade {
            Grade::Assumed => Span::verdict("assumed", Tone::Warning),
            _ => Span::verdict("published", Tone::Neutral),
        };
        rows.push(vec![
            vec![Span::name(&choice.stand.text)],
            named(choice.attack),
            vec![how],
            vec![Span::text(choice.attack.reach.words())],
            vec![draft.show(&choice.costs.fixed)],
            vec![draft.show(&choice.costs.each)],
        ]);
    }
    let columns = ["Key in", "By", "Evidence", "Reaches for", "Once", "For each device"];
    draft.table("The attack that stands for each storage", &columns, rows);
    draft.paragraph([Span::text(
        "Once: equipment, and the work until the method stands. For each device: getting hold of it, laboratory time, \
         material. Published times and prices are taken where there are any; the attacker's rate, the work to repeat a \
         method and what nobody states are assumed, and are yours to replace.",
    )]);
}

/// Costs, what the budget opens, and from where on the attack pays.
pub(super) fn outcome(draft: &mut Draft<'_>, question: &Question<'_>) -> Result<(), EconomicsError> {
    let (one, thousand) = (single(), thousand());
    let (mut costs, mut pays) = (Vec::new(), Vec::new());
    for choice in &question.choices {
        let what = vec![Span::name(&choice.stand.text)];
        let sharing = vec![Span::text(choice.sharing.words())];
        let first = total(choice, &one, "one", "One device");
        let some = total(choice, &thousand, "thousand", "A thousand devices");
        let all = total(choice, &question.fleet, "fleet", "The fleet");
        let id = format!("attack-cost.{}.{}.break-even-gain", choice.attack.id, choice.sharing.word());
        let each = choice
            .costs
            .each_of(&question.fleet, choice.sharing)
            .named(id, "Gain from one clone below which the whole fleet is not worth the attack");
        costs.push(vec![
            what.clone(),
            sharing.clone(),
            vec![draft.show(&first)],
            vec![draft.show(&some)],
            vec![draft.show(&all)],
            vec![draft.show(&each)],
        ]);
        let within = choice.costs.within(&question.budget, &question.fleet, choice.sharing);
        let (from, at) = match choice.pays.clones() {
            Some((from, each)) => (vec![draft.show(from)], vec![draft.show(each)]),
            None => (vec![Span::text("nowhere")], vec![Span::text("more than it brings")]),
        };
        pays.push(vec![what, sharing, vec![draft.show(&within)], from, at, vec![choice.pays.verdict()]]);
    }
    draft.heading("What it costs, and when it pays");
    let columns =
        ["Key in", "Sharing", "One device", "A thousand", "The fleet", "Fleet stops paying below a gain of"];
    draft.table("Cost of an attack", &columns, costs);
    let columns = ["Key in", "Sharing", "The budget opens", "Pays from", "Cost of a clone there", "So it"];
    draft.table("What the budget buys, and where the attack stops paying", &columns, pays);
    draft.paragraph([Span::text(
        "With fewer clones than “pays from” the attack loses money. An attacker rarely needs the whole fleet, so the cost of \
         a clone at that number says more than the cost of all.",
    )]);
    Ok(())
}

/// Class breaks: the costs before and since.
pub(super) fn breaks(draft: &mut Draft<'_>, question: &Question<'_>) -> Result<(), EconomicsError> {
    draft.heading("When a class breaks");
    let mut rows = Vec::new();
    for one in &question.catalogue.breaks {
        let (Some(before), Some(after)) =
            (question.catalogue.attack(&one.before), question.catalogue.attack(&one.after))
        else {
            continue;
        };
        let cost = |attack: &Attack, n: &Expr<Devices>, word: &str, text: &str| {
            let total = Costs::new(attack, question.inputs)?.of(n, Sharing::PerDevice);
            Ok(total.named(format!("attack-cost.{}.per-device.{word}", attack.id), text))
        };
        let mut row = vec![
            vec![Span::name(format!("{} ({})", one.name, one.date))],
            vec![Span::name(one.parts.join(", "))],
            vec![Span::sourced(&one.text, &one.source, one.grade)],
        ];
        for (n, word, text) in
            [(single(), "one", "One device"), (thousand(), "thousand", "A thousand devices")]
        {
            row.push(vec![draft.show(&cost(before, &n, word, text)?)]);
            row.push(vec![draft.show(&cost(after, &n, word, text)?)]);
        }
        rows.push(row);
    }
    let columns = [
        "Break",
        "Parts",
        "What changed",
        "One before",
        "One since",
        "A thousand before",
        "A thousand since",
    ];
    draft.table("Scenarios: from that day on other costs hold, for the whole cohort at once", &columns, rows);
    draft.paragraph([Span::text(
        "What breaks is the first cost: nobody has to build a laboratory any more. Where each key takes its own computing, as with \
         ROCA, a large fleet may stay dear. A break touches those who hold such a part. Whether a fleet does is a question for its registry: part, revision and \
         version of the library of each key.",
    )]);
    Ok(())
}

/// What the model does not say.
pub(super) fn limits(draft: &mut Draft<'_>) {
    draft.heading("What this does not count");
    draft.list(vec![
        vec![Span::text(
            "Using a key in place: whoever controls the host of a connected device can have it sign, wherever the key is, \
             for nothing of the above. Hardware only stops the key from being carried away.",
        )],
        vec![Span::text(
            "Being found: an attacker who is noticed after some clones loses the rest. Watching the fleet moves where an \
             attack pays, and this model does not credit it.",
        )],
        vec![Span::text("Discounts, patience and pride: researchers do for a talk what does not pay.")],
    ]);
}

/// The published attacks.
pub(super) fn published(draft: &mut Draft<'_>, question: &Question<'_>) {
    draft.heading("Published attacks");
    let mut rows = Vec::new();
    for attack in question.catalogue.attacks.iter().filter(|attack| attack.grade != Grade::Assumed) {
        let yields = match attack.yields {
            Yields::Key => "key carried away",
            Yields::Use => "use in place",
            Yields::Tool => "a tool",
        };
        let mut what = sourced(attack, &attack.fell);
        for more in [&attack.cve, &attack.note].into_iter().filter(|more| !more.is_empty()) {
            what.push(Span::text("; "));
            what.push(Span::sourced(more, &attack.source, attack.grade));
        }
        rows.push(vec![
            named(attack),
            vec![Span::name(attack.parts.join(", "))],
            what,
            sourced(attack, &attack.equipment),
            sourced(attack, &attack.time),
            sourced(attack, &attack.needs),
            vec![Span::text(yields)],
        ]);
    }
    let columns = ["Attack", "On", "What fell", "Equipment", "Time", "Needs", "In the end"];
    draft.table("Method, year, equipment, time, source", &columns, rows);
    for none in &question.catalogue.none_found {
        draft.paragraph([
            Span::name(format!("{}: ", none.parts.join(", "))),
            Span::sourced(&none.text, &none.source, none.grade),
            Span::name(format!(" (looked for in {}).", none.date)),
        ]);
    }
}
