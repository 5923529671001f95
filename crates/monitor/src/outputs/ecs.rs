//! Elastic Common Schema: known fields by their names, the rest under `touchmark`.
//!
//! # Source
//! Elastic Common Schema 8.17, field sets `event`, `rule`, `device`, `tls`, `related`, `observer`.

use serde_json::{Value, json};
use touchmark_identity::finding::{Certainty, Finding};
use touchmark_identity::key::sha256;

use super::explain::Weighing;
use super::{Context, PRODUCT, Severity, delivery_id, headline, json_of, last_seen, moment, subject};

/// The version of the schema that is written.
const SCHEMA_VERSION: &str = "8.17.0";

pub(super) fn document(finding: &Finding, context: &Context) -> Value {
    let identity = &finding.identity;
    let weighing = Weighing::of(&finding.evidence);
    let line = finding.to_line();
    // `signal` is reserved for what Kibana's own rules write; what comes from outside is an `alert`.
    let kind = if finding.grade > Certainty::Note && finding.closed.is_none() { "alert" } else { "event" };
    let hashes = [
        identity.spki_sha256.map(|hash| hash.to_string()),
        identity.cert_sha256.as_ref().map(ToString::to_string),
        identity.cert_sha1.as_ref().map(ToString::to_string),
    ];
    // ECS wants these two in upper case, unlike every other hash.
    let upper = |hash: Option<String>| hash.map(|hash| hash.to_uppercase());
    let mut rest = json_of(finding);
    if let Value::Object(fields) = &mut rest {
        fields.remove("says");
        fields.insert("posterior_decibans".to_owned(), json!(weighing.posterior_decibans));
        let networks = finding.branches.iter().flat_map(|branch| &branch.networks);
        let countries = context.geography.countries(networks);
        let countries: Vec<String> = countries.iter().map(ToString::to_string).collect();
        fields.insert("countries".to_owned(), json!(countries));
    }
    json!({
        "@timestamp": moment(finding),
        "ecs": {"version": SCHEMA_VERSION},
        "message": finding.says,
        "event": {
            "kind": kind,
            "category": ["intrusion_detection"],
            "type": ["info"],
            "action": finding.kind,
            "id": delivery_id(finding),
            "sequence": finding.revision,
            "severity": u32::from(Severity::of(finding) as u8) * 20,
            "risk_score": weighing.percent(),
            "start": finding.first_event,
            "end": last_seen(finding),
            "created": finding.detected,
            "reason": format!("{}: {}", headline(finding.kind), subject(finding)),
            "module": "touchmark",
            "dataset": "touchmark.finding",
            "provider": "touchmark monitor",
            "original": line,
            "hash": hex::encode(sha256(line.as_bytes())),
        },
        "rule": {
            "id": finding.rules.first(),
            "name": finding.rules.first(),
            "category": finding.kind,
            "ruleset": PRODUCT,
            "version": context.version,
            "description": headline(finding.kind),
        },
        "device": {"id": subject(finding)},
        "observer": {"vendor": PRODUCT, "product": PRODUCT, "version": context.version, "type": "ids",
            "hostname": context.host},
        "related": {"hash": hashes.into_iter().flatten().collect::<Vec<_>>()},
        "tls": {"client": {
            "hash": {
                "sha256": upper(identity.cert_sha256.as_ref().map(ToString::to_string)),
                "sha1": upper(identity.cert_sha1.as_ref().map(ToString::to_string)),
            },
            "issuer": identity.issuer_dn,
            "x509": {
                "serial_number": upper(identity.serial.as_ref().map(ToString::to_string)),
                "subject": {"common_name": identity.common_name.iter().collect::<Vec<_>>()},
            },
        }},
        "touchmark": rest,
    })
}
