//! The answer for programs; docs/decide.md says what is in it.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::condition::{At, Bound};
use super::super::decision::{Change, Decision, Edge, Other};
use super::super::profile::{Profile, Secret};
use super::super::rules::{Rules, SecretKind};

pub(super) fn data(profile: &Profile, rules: &Rules, decision: &Decision<'_>) -> serde_json::Value {
    let offending: Vec<_> = decision
        .shared
        .offending
        .iter()
        .map(|one| {
            json!({
                "name": one.secret.name, "kind": one.secret.kind, "line": one.secret.line,
                "opens_devices": one.opens, "why": one.kind.why.text, "remedy": one.kind.remedy,
            })
        })
        .collect();
    let names = |all: &[(&Secret, &SecretKind)]| {
        all.iter().map(|(secret, _)| secret.name.clone()).collect::<Vec<_>>()
    };
    let options: Vec<_> = decision
        .ranked
        .iter()
        .map(|one| {
            let spoken: Vec<_> = one
                .spoken
                .iter()
                .map(|(effect, rule)| {
                    json!({
                        "rule": rule.id, "effect": effect, "text": rule.says.text,
                        "source": rule.says.source, "grade": rule.says.grade,
                    })
                })
                .collect();
            json!({"option": one.option, "verdict": one.verdict, "points": one.points, "rules": spoken})
        })
        .collect();
    let changes: Vec<_> = decision.changes.iter().map(changed).collect();
    let unknown: Vec<_> = decision.shared.unknown.iter().map(|one| &one.name).collect();
    json!({
        "stands": decision.stands(),
        "shared_secrets": {
            "passes": decision.shared.passes(), "offending": offending, "unknown": unknown,
            "own": names(&decision.shared.own), "replaceable": names(&decision.shared.replaceable),
        },
        "options": options,
        "changes": changes,
        "risks": decision.risks.iter().map(|risk| &risk.id).collect::<Vec<_>>(),
        "regime": decision.regime.map(|regime| &regime.id),
        "profile": profile.answers.iter().map(|(key, said)| (*key, &said.answer)).collect::<BTreeMap<_, _>>(),
        "secrets": profile.secrets(),
        "rules": rules.rules.len(),
    })
}

fn changed(change: &Change<'_>) -> serde_json::Value {
    let bound = |edge: &Option<Edge<'_>>| match edge.map(|edge| edge.bound) {
        None => serde_json::Value::Null,
        Some(Bound::Amount(value)) => json!({"value": value, "unit": change.field.unit()}),
        Some(Bound::Input { key, at }) => {
            let at = match at {
                At::Low => "low",
                At::Likely => "likely",
                At::High => "high",
            };
            json!({"input": key, "at": at})
        }
    };
    let to = match &change.to {
        Other::Words(words) => json!({"any": words}),
        Other::With(word) => json!({"with": word}),
        Other::Without(word) => json!({"without": word}),
        Other::Between(low, high) => json!({"above": bound(low), "below": bound(high)}),
    };
    let first = (!change.first.is_empty()).then_some(change.first);
    json!({"field": change.field.key, "to": to, "first": first, "verdict": change.verdict})
}
