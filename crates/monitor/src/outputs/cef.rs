//! ArcSight Common Event Format, version 0.
//!
//! # Source
//! Implementing ArcSight Common Event Format (CEF), version 26: seven header fields parted by `|`, then `key=value`
//! pairs. In the header `\` and `|` are escaped by `\`; in values `\` and `=` are, and line ends are written `\n`, `\r`.

use std::fmt::Write as _;

use touchmark_identity::finding::Finding;

use super::explain::Weighing;
use super::{Context, PRODUCT, Severity, delivery_id, headline, is_harmful, last_seen, moment, subject};

/// The longest custom string, in characters.
const CUSTOM: usize = 4_000;
/// The longest message, reason and host name, in characters.
const MESSAGE: usize = 1_023;

pub(super) fn line(finding: &Finding, context: &Context) -> String {
    let mut out = String::from("CEF:0");
    let rule = finding.rules.first().map_or("none", String::as_str);
    for (field, most) in
        [(PRODUCT, 63), (PRODUCT, 63), (&context.version, 31), (rule, 1_023), (headline(finding.kind), 512)]
    {
        out.push('|');
        field.chars().take(most).for_each(|c| match c {
            '\\' | '|' => out.extend(['\\', c]),
            c => out.push(if is_harmful(c) { ' ' } else { c }),
        });
    }
    let severity = match Severity::of(finding) {
        Severity::Informational => 1,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    };
    // Writing into a `String` has no way to fail.
    let _infallible = write!(out, "|{severity}|");
    let ms = |at: touchmark_identity::timestamp::Timestamp| (at.micros() / 1_000).to_string();
    let mut pairs = Pairs { out, first: true };
    pairs.add("rt", &ms(moment(finding)), MESSAGE);
    pairs.add("start", &ms(finding.first_event), MESSAGE);
    pairs.add("end", &ms(last_seen(finding)), MESSAGE);
    pairs.add("externalId", &delivery_id(finding), 40 + 11);
    pairs.add("cat", finding.kind.as_str(), MESSAGE);
    pairs.add("act", finding.action.as_str(), 63);
    pairs.add("outcome", if finding.closed.is_some() { "closed" } else { finding.grade.as_str() }, 63);
    pairs.add("dvchost", &context.host, 100);
    pairs.add("shost", &subject(finding), MESSAGE);
    pairs.add("msg", &finding.says, MESSAGE);
    if let Some(spki) = finding.identity.spki_sha256 {
        pairs.custom("cs1", "spkiSha256", &spki.to_string());
    }
    pairs.custom("cs2", "regime", &format!("{} ({})", finding.regime, finding.regime_basis));
    pairs.custom("cs3", "rules", &finding.rules.join(", "));
    let signs: Vec<String> =
        finding.evidence.iter().map(|sign| format!("{} {:+}", sign.sign, sign.decibans)).collect();
    pairs.custom("cs4", "evidenceDecibans", &signs.join(", "));
    let networks: Vec<String> = finding
        .branches
        .iter()
        .map(|branch| {
            let placed = |network: &String| match context.geography.country_of_network(network) {
                Some(country) => format!("{network} ({country})"),
                None => network.clone(),
            };
            let networks: Vec<String> = branch.networks.iter().map(placed).collect();
            format!("instance {}: {}", branch.id, networks.join(" "))
        })
        .collect();
    pairs.custom("cs5", "instances", &networks.join("; "));
    let original = finding.original.map_or_else(
        || "undecided".to_owned(),
        |original| format!("instance {}, probability {}", original.branch, original.probability),
    );
    pairs.custom("cs6", "original", &original);
    pairs.custom("cn1", "revision", &finding.revision.to_string());
    if let Some(percent) = Weighing::of(&finding.evidence).percent() {
        pairs.custom("cn2", "confidencePercent", &percent.to_string());
    }
    pairs.out
}

/// The extension under construction.
struct Pairs {
    out: String,
    first: bool,
}

impl Pairs {
    /// Adds a pair; empty values are left out. A value is cut at `most` characters before it is escaped, so that no
    /// escape is cut in two.
    fn add(&mut self, key: &str, value: &str, most: usize) {
        if value.is_empty() {
            return;
        }
        if !std::mem::take(&mut self.first) {
            self.out.push(' ');
        }
        self.out.push_str(key);
        self.out.push('=');
        value.chars().take(most).for_each(|c| match c {
            '\\' | '=' => self.out.extend(['\\', c]),
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            c => self.out.push(if is_harmful(c) { '?' } else { c }),
        });
    }

    fn custom(&mut self, key: &str, label: &str, value: &str) {
        if !value.is_empty() {
            self.add(&format!("{key}Label"), label, MESSAGE);
            self.add(key, value, CUSTOM);
        }
    }
}
