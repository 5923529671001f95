//! The decision as a report.

mod data;

use super::condition::{At, Bound};
use super::decision::{Change, Decision, Edge, Other, Ranked, Verdict};
use super::field::{Answer, FIELDS, Field};
use super::profile::Profile;
use super::rules::{Effect, Rules, Statement};
use crate::attack::Catalogue;
use crate::error::EconomicsError;
use crate::input::Inputs;
use crate::report::{Draft, Report, Span, Tone};

/// The decision on a profile, as a report.
///
/// # Errors
/// EC-0001 where the profile contradicts itself; EC-0002 where an input is missing.
pub fn report(
    profile: &Profile,
    rules: &Rules,
    catalogue: &Catalogue,
    inputs: &Inputs,
) -> Result<Report, EconomicsError> {
    let decision = super::decide(profile, rules, inputs)?;
    let mut draft = Draft::new(inputs);
    shared(&mut draft, profile, &decision);
    options(&mut draft, profile, rules, &decision)?;
    change(&mut draft, &decision)?;
    remains(&mut draft, profile, catalogue, &decision);
    objections(&mut draft, &decision);
    given(&mut draft, profile);
    let name = profile.word("name").unwrap_or("this device");
    let mut summary = vec![Span::given(name), Span::text(": ")];
    summary.extend(verdict(&decision));
    let data = data::data(profile, rules, &decision);
    draft.finish("touchmark.decide.storage/1", "Where to keep the key", summary, data)
}

fn verdict(decision: &Decision<'_>) -> Vec<Span> {
    let mut spans = Vec::new();
    if !decision.shared.passes() {
        spans.push(Span::verdict("fails whatever the chip", Tone::Bad));
        spans.push(Span::text(": one device's secret opens others. "));
    }
    match decision.first() {
        Some(first) if first.verdict != Verdict::RuledOut => {
            spans.push(Span::text(if decision.shared.passes() { "" } else { "Once that is mended: " }));
            spans.push(Span::name(first.text));
            spans.push(Span::text(", which "));
            spans.push(toned(first.verdict));
            spans.push(Span::text("."));
        }
        _ => {
            spans.push(Span::verdict("no option is left", Tone::Bad));
            spans.push(Span::text(": each is ruled out; see what would change that."));
        }
    }
    spans
}

fn toned(verdict: Verdict) -> Span {
    let tone = match verdict {
        Verdict::Fits => Tone::Good,
        Verdict::FitsWithConditions => Tone::Warning,
        Verdict::RuledOut => Tone::Bad,
    };
    Span::verdict(verdict.words(), tone)
}

fn sourced(says: &Statement) -> Span {
    Span::sourced(&says.text, &says.source, says.grade)
}

fn shared(draft: &mut Draft<'_>, profile: &Profile, decision: &Decision<'_>) {
    draft.heading("Before any chip: does one device's secret open others?");
    let check = &decision.shared;
    draft.paragraph([
        if check.passes() { Span::verdict("passes", Tone::Good) } else { Span::verdict("fails", Tone::Bad) },
        Span::text(if check.passes() {
            ": what is read from one device opens that device only."
        } else {
            ": a chip makes the first device dearer to open, and all others stay free."
        }),
    ]);
    let mut rows = Vec::new();
    for (number, one) in check.offending.iter().enumerate() {
        let (id, text) = (format!("profile.secret.{number}.opens"), "Devices that this secret opens");
        let from_volume = one.opens > one.secret.shared_with;
        let line = if from_volume { profile.line("volume") } else { one.secret.line };
        let file = profile.file();
        let opens = draft.show_given(&id, text, (one.opens, "device"), file, line);
        rows.push(vec![
            vec![Span::given(&one.secret.name)],
            vec![Span::verdict("opens others", Tone::Bad)],
            vec![Span::text("opens "), opens, Span::text(": "), sourced(&one.kind.why)],
            vec![Span::sourced(&one.kind.remedy, &one.kind.why.source, one.kind.why.grade)],
        ]);
    }
    for one in &check.unknown {
        rows.push(vec![
            vec![Span::given(&one.name)],
            vec![Span::verdict("unknown", Tone::Bad)],
            vec![Span::text("nobody can say what it opens")],
            vec![Span::text("name a kind that the rules know")],
        ]);
    }
    for (secret, kind) in &check.replaceable {
        rows.push(vec![
            vec![Span::given(&secret.name)],
            vec![Span::verdict("opens nothing, can be replaced", Tone::Warning)],
            vec![sourced(&kind.why)],
            vec![Span::sourced(&kind.remedy, &kind.why.source, kind.why.grade)],
        ]);
    }
    for (secret, kind) in &check.own {
        let why = if secret.shared_with > 1.0 {
            vec![sourced(&kind.why)]
        } else {
            vec![Span::name(&kind.text), Span::text(", of this device only")]
        };
        rows.push(vec![
            vec![Span::given(&secret.name)],
            vec![Span::verdict("opens no other", Tone::Good)],
            why,
            Vec::new(),
        ]);
    }
    draft.table("Secrets on the device", &["Secret", "Verdict", "Why", "Remedy"], rows);
}

fn options(
    draft: &mut Draft<'_>,
    profile: &Profile,
    rules: &Rules,
    decision: &Decision<'_>,
) -> Result<(), EconomicsError> {
    draft.heading("The options, the best first");
    let mut rows = Vec::new();
    for one in &decision.ranked {
        let price =
            rules.choices.iter().find(|choice| choice.id == one.option).and_then(|c| c.price.as_ref());
        let (each, all) = match price {
            Some(key) => {
                let each = draft.show_input(key)?;
                (vec![each], total(draft, profile, key))
            }
            None => (vec![Span::text("none")], vec![Span::text("none")]),
        };
        let of = |wanted: Effect| {
            let rules = one.spoken.iter().filter(|(effect, _)| *effect == wanted);
            let names: Vec<&str> = rules.map(|(_, rule)| rule.id.as_str()).collect();
            if names.is_empty() { vec![Span::text("none")] } else { vec![Span::name(names.join(", "))] }
        };
        let against = if one.verdict == Verdict::RuledOut { Effect::RulesOut } else { Effect::Opposes };
        rows.push(vec![
            vec![Span::name(one.text)],
            vec![toned(one.verdict)],
            of(Effect::Favours),
            of(against),
            of(Effect::Requires),
            each,
            all,
        ]);
    }
    let columns = ["Option", "Verdict", "For it", "Against it", "Conditions", "Each", "For all devices"];
    draft.table("Options, and the rules that spoke", &columns, rows);
    draft.paragraph([Span::text(
        "Ranked by verdict, then by the rules for an option less those against it; where that is equal, the stronger one is \
         first.",
    )]);
    for one in &decision.ranked {
        draft.heading(one.text);
        if one.spoken.is_empty() {
            draft.paragraph([Span::text("No rule speaks of it.")]);
            continue;
        }
        draft.list(one.spoken.iter().map(|(effect, rule)| spoken(*effect, &rule.id, &rule.says)).collect());
    }
    if !decision.told.is_empty() {
        draft.heading("To know");
        draft.list(decision.told.iter().map(|rule| vec![sourced(&rule.says)]).collect());
    }
    Ok(())
}

fn spoken(effect: Effect, id: &str, says: &Statement) -> Vec<Span> {
    let (word, tone) = match effect {
        Effect::Favours => ("for it", Tone::Good),
        Effect::Opposes => ("against it", Tone::Warning),
        Effect::Requires => ("on condition", Tone::Warning),
        Effect::RulesOut => ("rules it out", Tone::Bad),
    };
    vec![Span::verdict(word, tone), Span::text(": "), sourced(says), Span::name(format!(" ({id})"))]
}

fn total(draft: &mut Draft<'_>, profile: &Profile, key: &str) -> Vec<Span> {
    let (Some(volume), Some(price)) = (profile.amount("volume"), draft.inputs().get(key)) else {
        return Vec::new();
    };
    let volume_id = "profile.volume";
    let likely = price.likely;
    let (file, line) = (profile.file(), profile.line("volume"));
    draft.show_given(volume_id, "Devices", (volume, "device"), file, line);
    vec![draft.show_value(
        &format!("storage.{key}.all"),
        "Parts for all devices",
        (likely * volume, "USD"),
        &format!("{key} × {volume_id}"),
        &[key, volume_id],
    )]
}

fn change(draft: &mut Draft<'_>, decision: &Decision<'_>) -> Result<(), EconomicsError> {
    draft.heading("What would change the answer");
    if decision.changes.is_empty() {
        draft.paragraph([Span::text("No other answer to a single question puts another option first.")]);
        return Ok(());
    }
    let mut items = Vec::new();
    for one in &decision.changes {
        let mut spans = vec![Span::name(one.field.key), Span::text(" ")];
        spans.extend(to(draft, one)?);
        spans.push(Span::text(": "));
        if one.verdict == Verdict::RuledOut {
            spans.push(Span::verdict("no option is left", Tone::Bad));
        } else {
            spans.push(Span::name(one.text));
            spans.push(Span::text(", which "));
            spans.push(toned(one.verdict));
        }
        items.push(spans);
    }
    draft.list(items);
    Ok(())
}

fn to(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<Vec<Span>, EconomicsError> {
    Ok(match &change.to {
        Other::Words(words) => vec![Span::name(words.join(" or "))],
        Other::With(word) => vec![Span::text("with "), Span::name(*word)],
        Other::Without(word) => vec![Span::text("without "), Span::name(*word)],
        Other::Between(low, high) => match (low, high) {
            (None, Some(high)) => vec![Span::text("below "), edge(draft, change.field, high)?],
            (Some(low), None) => vec![Span::text("above "), edge(draft, change.field, low)?],
            (Some(low), Some(high)) => {
                let low = edge(draft, change.field, low)?;
                vec![Span::text("from "), low, Span::text(" to "), edge(draft, change.field, high)?]
            }
            (None, None) => Vec::new(),
        },
    })
}

/// A bound as a figure: an input's, or a number of the rules, with the source of the rule that draws it.
fn edge(
    draft: &mut Draft<'_>,
    field: &Field,
    Edge { bound, rule }: &Edge<'_>,
) -> Result<Span, EconomicsError> {
    match bound {
        Bound::Amount(value) => {
            let (id, text) = (format!("rules.{}.{value}", field.key), "Where a rule begins or ends to speak");
            Ok(draft.show_stated(&id, text, (*value, field.unit()), &rule.says.source, rule.says.grade))
        }
        Bound::Input { key, at: At::Likely } => draft.show_input(key),
        Bound::Input { key, at } => {
            let value = bound.value(draft.inputs());
            let (id, text) = match at {
                At::Low => (format!("{key}.low"), "The lowest value of the input"),
                At::Likely | At::High => (format!("{key}.high"), "The highest value of the input"),
            };
            Ok(draft.show_value(&id, text, (value, field.unit()), &format!("an end of {key}"), &[key]))
        }
    }
}

fn remains(draft: &mut Draft<'_>, profile: &Profile, catalogue: &Catalogue, decision: &Decision<'_>) {
    let Some(first) = decision.first().filter(|first| first.verdict != Verdict::RuledOut) else { return };
    draft.heading("What remains");
    draft.paragraph([
        Span::text("With the first option ("),
        Span::name(first.text),
        Span::text(") these stay possible:"),
    ]);
    draft.list(
        decision
            .risks
            .iter()
            .map(|risk| vec![Span::name(format!("{}: ", risk.id)), sourced(&risk.says)])
            .collect(),
    );
    attacks(draft, profile, catalogue, first);
    if let Some(regime) = decision.regime {
        draft.heading("How the fleet is watched");
        draft.paragraph([
            Span::name(format!("{}: ", regime.id)),
            sourced(&regime.says),
            Span::text(". "),
            Span::name(&regime.note),
        ]);
    }
}

/// Published attacks on the microcontroller of the profile and on parts of the first option's kind.
fn attacks(draft: &mut Draft<'_>, profile: &Profile, catalogue: &Catalogue, first: &Ranked<'_>) {
    let mcu = profile.word("mcu").unwrap_or_default();
    let on_part = catalogue.on_part(mcu);
    let mut items = Vec::new();
    for attack in &catalogue.attacks {
        let on_mcu = on_part.iter().any(|one| one.id == attack.id);
        if on_mcu || (attack.storage == first.option && attack.source != "touchmark") {
            items.push(vec![
                Span::name(format!("{} ({}): ", attack.name, attack.year)),
                Span::sourced(&attack.fell, &attack.source, attack.grade),
            ]);
        }
    }
    if items.is_empty() {
        return;
    }
    draft.paragraph([Span::text(
        "Published attacks on this kind of storage, and on the family of the microcontroller:",
    )]);
    draft.list(items);
    for none in catalogue.none_found.iter().filter(|_| first.option == "secure-element") {
        draft.paragraph([
            Span::name(format!("{}: ", none.parts.join(", "))),
            Span::sourced(&none.text, &none.source, none.grade),
            Span::text("."),
        ]);
    }
}

fn objections(draft: &mut Draft<'_>, decision: &Decision<'_>) {
    if decision.objections.is_empty() {
        return;
    }
    draft.heading("What is said against it");
    draft.list(
        decision
            .objections
            .iter()
            .map(|(objection, answer)| vec![Span::name(format!("“{}” ", objection.claim)), sourced(answer)])
            .collect(),
    );
}

fn given(draft: &mut Draft<'_>, profile: &Profile) {
    draft.heading("The profile");
    let mut rows = Vec::new();
    for field in FIELDS {
        let said = match profile.answer(field.key) {
            None => vec![Span::text("not said")],
            Some(Answer::Word(word)) => vec![Span::given(word)],
            Some(Answer::Words(words)) if words.is_empty() => vec![Span::text("none")],
            Some(Answer::Words(words)) => {
                vec![Span::given(words.iter().map(String::as_str).collect::<Vec<_>>().join(", "))]
            }
            Some(Answer::Amount(value)) => {
                let (file, line) = (profile.file(), profile.line(field.key));
                let id = format!("profile.{}", field.key);
                vec![draft.show_given(&id, field.question, (*value, field.unit()), file, line)]
            }
        };
        rows.push(vec![vec![Span::name(field.key)], said, vec![Span::text(field.question)]]);
    }
    draft.table("What it was decided from", &["Field", "Answer", "Question"], rows);
}
