//! The decision: options ranked by what the rules say of a profile, and what would change the first place.

use std::collections::BTreeSet;

use serde::Serialize;

use super::condition::Bound;
use super::field::{Answer, FIELDS, Field, Kind};
use super::profile::Profile;
use super::rules::{Effect, Objection, Regime, Risk, Rule, Rules, Statement};
use crate::error::EconomicsError;
use crate::input::Inputs;
use crate::shared::{self, Shared};

/// How well an option fits; the better ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No rule asks for anything more.
    Fits,
    /// It fits, when what the rules require is done.
    FitsWithConditions,
    /// A rule excludes it.
    RuledOut,
}

impl Verdict {
    /// What people read.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::FitsWithConditions => "fits with conditions",
            Self::RuledOut => "ruled out",
        }
    }
}

/// An option in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked<'a> {
    /// Its id.
    pub option: &'a str,
    /// What people read.
    pub text: &'a str,
    /// How well it fits.
    pub verdict: Verdict,
    /// Rules for it, less rules against it.
    pub points: i64,
    /// The rules that spoke of it, the weightiest first.
    pub spoken: Vec<(Effect, &'a Rule)>,
}

/// What would put another option first.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// The field.
    pub field: &'static Field,
    /// What it would hold.
    pub to: Other<'a>,
    /// The option that is first then.
    pub first: &'a str,
    /// What people read.
    pub text: &'a str,
    /// How well it would fit.
    pub verdict: Verdict,
}

/// Another value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Other<'a> {
    /// One of these words instead.
    Words(Vec<&'static str>),
    /// This word more.
    With(&'static str),
    /// This word less.
    Without(&'static str),
    /// A number between these bounds; `None` where there is none.
    Between(Option<Edge<'a>>, Option<Edge<'a>>),
}

/// A bound, and the rule that draws it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge<'a> {
    /// The bound.
    pub bound: &'a Bound,
    /// The rule.
    pub rule: &'a Rule,
}

/// The decision.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// Whether one device's secret opens others: asked first.
    pub shared: Shared<'a>,
    /// The options, the best first.
    pub ranked: Vec<Ranked<'a>>,
    /// What would put another option first.
    pub changes: Vec<Change<'a>>,
    /// Rules that spoke and concern no option by itself.
    pub told: Vec<&'a Rule>,
    /// What remains with the first option.
    pub risks: Vec<&'a Risk>,
    /// How the fleet is watched with the first option.
    pub regime: Option<&'a Regime>,
    /// The objections of the profile, and the answers.
    pub objections: Vec<(&'a Objection, &'a Statement)>,
}

impl Decision<'_> {
    /// Whether the device can be built so: no secret opens others, and an option is left.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.shared.passes() && self.first().is_some_and(|first| first.verdict != Verdict::RuledOut)
    }

    /// The best option.
    #[must_use]
    pub fn first(&self) -> Option<&Ranked<'_>> {
        self.ranked.first()
    }
}

/// Refuses a profile that contradicts itself.
///
/// # Errors
/// EC-0001 with the line and the remedy.
pub fn consistent(profile: &Profile, rules: &Rules, inputs: &Inputs) -> Result<(), EconomicsError> {
    let found = rules.contradictions.iter().find(|one| one.when.holds(profile, inputs));
    found.map_or(Ok(()), |one| Err(profile.wrong(&one.field, &one.what, &one.remedy)))
}

/// Decides.
///
/// # Errors
/// EC-0001 where the profile contradicts itself.
pub fn decide<'a>(
    profile: &'a Profile,
    rules: &'a Rules,
    inputs: &'a Inputs,
) -> Result<Decision<'a>, EconomicsError> {
    consistent(profile, rules, inputs)?;
    let ranked = ranked(profile, rules, inputs);
    let first = ranked.first().map_or("", |first| first.option);
    let regime = rules.choices.iter().find(|choice| choice.id == first).map(|choice| choice.regime.as_str());
    let speaks = |rule: &&Rule| rule.effects.is_empty() && rule.when.holds(profile, inputs);
    let remains = |risk: &&Risk| {
        risk.options.iter().any(|option| option == first)
            && risk.when.as_ref().is_none_or(|when| when.holds(profile, inputs))
    };
    let answered = |objection: &'a Objection| {
        let answer = objection
            .answers
            .iter()
            .find(|(when, _)| when.as_ref().is_none_or(|when| when.holds(profile, inputs)));
        answer.map(|(_, answer)| (objection, answer))
    };
    Ok(Decision {
        shared: shared::check(profile, rules),
        changes: changes(profile, rules, inputs, &ranked),
        told: rules.rules.iter().filter(speaks).collect(),
        risks: rules.risks.iter().filter(remains).collect(),
        regime: rules.regimes.iter().find(|one| Some(one.id.as_str()) == regime),
        objections: rules
            .objections
            .iter()
            .filter(|objection| profile.has("objections", &objection.id))
            .filter_map(answered)
            .collect(),
        ranked,
    })
}

/// The options, the best first: by verdict, then by rules for less rules against, then in the order of the data.
#[must_use]
pub fn ranked<'a>(profile: &Profile, rules: &'a Rules, inputs: &Inputs) -> Vec<Ranked<'a>> {
    let speaking: Vec<&Rule> = rules.rules.iter().filter(|rule| rule.when.holds(profile, inputs)).collect();
    let mut all: Vec<Ranked<'a>> = rules
        .choices
        .iter()
        .map(|choice| {
            let of = |rule: &&'a Rule| {
                let effects = rule.effects.iter().filter(|(_, option)| *option == choice.id);
                effects.map(|(effect, _)| (*effect, *rule)).collect::<Vec<_>>()
            };
            let mut spoken: Vec<(Effect, &'a Rule)> = speaking.iter().flat_map(of).collect();
            spoken.sort_by_key(|(effect, _)| std::cmp::Reverse(*effect));
            let verdict = match spoken.first().map(|(effect, _)| effect) {
                Some(Effect::RulesOut) => Verdict::RuledOut,
                Some(Effect::Requires) => Verdict::FitsWithConditions,
                _ => Verdict::Fits,
            };
            let points = spoken.iter().map(|(effect, _)| match effect {
                Effect::Favours => 1,
                Effect::Opposes => -1,
                Effect::Requires | Effect::RulesOut => 0,
            });
            Ranked { option: &choice.id, text: &choice.text, verdict, points: points.sum(), spoken }
        })
        .collect();
    all.sort_by_key(|one| (one.verdict, std::cmp::Reverse(one.points)));
    all
}

fn changes<'a>(profile: &Profile, rules: &'a Rules, inputs: &Inputs, now: &[Ranked<'a>]) -> Vec<Change<'a>> {
    let place = |ranked: &[Ranked<'a>]| {
        ranked.first().map(|first| {
            let none = first.verdict == Verdict::RuledOut;
            (if none { "" } else { first.option }, if none { "none" } else { first.text }, first.verdict)
        })
    };
    let Some((current, ..)) = place(now) else { return Vec::new() };
    let mut found: Vec<Change<'a>> = Vec::new();
    for field in FIELDS {
        for (to, answer) in others(field, profile, rules, inputs) {
            let other = profile.with(field, answer);
            if consistent(&other, rules, inputs).is_err() {
                continue;
            }
            let Some((first, text, verdict)) = place(&ranked(&other, rules, inputs)) else { continue };
            if first == current {
                continue;
            }
            let same = found
                .iter_mut()
                .find(|one| one.field.key == field.key && one.first == first && one.verdict == verdict);
            match (same, to) {
                (Some(Change { to: Other::Words(words), .. }), Other::Words(more)) => words.extend(more),
                (Some(Change { to: Other::Between(_, end), .. }), Other::Between(from, to))
                    if *end == from =>
                {
                    *end = to;
                }
                (_, to) => found.push(Change { field, to, first, text, verdict }),
            }
        }
    }
    found
}

/// The other values of a field: each word, each flag turned, and a number on each side of every bound that a rule compares
/// it with.
fn others<'a>(
    field: &'static Field,
    profile: &Profile,
    rules: &'a Rules,
    inputs: &Inputs,
) -> Vec<(Other<'a>, Answer)> {
    match field.kind {
        Kind::Words => Vec::new(),
        Kind::Choice(_) | Kind::Flag => field
            .words()
            .iter()
            .filter(|(word, _)| profile.word(field.key) != Some(word))
            .map(|(word, _)| (Other::Words(vec![*word]), Answer::Word((*word).to_owned())))
            .collect(),
        Kind::Choices(_) => {
            let now = match profile.answer(field.key) {
                Some(Answer::Words(words)) => words.clone(),
                _ => BTreeSet::new(),
            };
            let toggled = |word: &'static str| {
                let mut words = now.clone();
                let to = if words.remove(word) {
                    Other::Without(word)
                } else {
                    words.insert(word.to_owned());
                    Other::With(word)
                };
                (to, Answer::Words(words))
            };
            field.words().iter().map(|(word, _)| toggled(word)).collect()
        }
        Kind::Amount { least, most, .. } => {
            let mut edges: Vec<Edge<'a>> = Vec::new();
            for rule in &rules.rules {
                let mut bounds = Vec::new();
                rule.when.bounds(field.key, &mut bounds);
                edges.extend(bounds.into_iter().map(|bound| Edge { bound, rule }));
            }
            edges.sort_by(|a, b| a.bound.value(inputs).total_cmp(&b.bound.value(inputs)));
            edges.dedup_by(|a, b| a.bound.value(inputs) == b.bound.value(inputs));
            if edges.is_empty() {
                return Vec::new();
            }
            let value = |edge: Option<Edge<'_>>, end: f64| edge.map_or(end, |edge| edge.bound.value(inputs));
            let lows = std::iter::once(None).chain(edges.iter().copied().map(Some));
            let highs = edges.iter().copied().map(Some).chain(std::iter::once(None));
            lows.zip(highs)
                .map(|(low, high)| (low, high, f64::midpoint(value(low, least), value(high, most))))
                .filter(|(.., middle)| (least..=most).contains(middle))
                .map(|(low, high, middle)| (Other::Between(low, high), Answer::Amount(middle)))
                .collect()
        }
    }
}
