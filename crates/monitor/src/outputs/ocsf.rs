//! OCSF Detection Finding, class 2004 of category 2.
//!
//! # Source
//! Open Cybersecurity Schema Framework 1.8.0: `events/findings/detection_finding.json`, `events/findings/finding.json`,
//! `events/base_event.json` and the objects they name.

use serde_json::{Value, json};
use touchmark_identity::finding::{Branch, Certainty, Finding, Kind};
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;

use super::explain::Weighing;
use super::{
    Context, PRODUCT, Severity, as_number, delivery_id, headline, json_of, last_seen, moment, proposal,
    subject,
};

/// The version of the schema that is written.
pub const SCHEMA_VERSION: &str = "1.8.0";
/// Detection Finding.
const CLASS: u32 = 2004;
/// `device.type_id`: IOT.
const IOT: u32 = 7;
/// Observables of types that OCSF has no number for.
const OTHER: u32 = 99;
/// `observable.type_id`: Resource UID.
const RESOURCE_UID: u32 = 10;
/// `observable.type_id`: Subnet.
const SUBNET: u32 = 12;

/// OCSF `timestamp_t`: milliseconds since 1970.
fn ms(at: Timestamp) -> i64 {
    at.micros() / 1_000
}

pub(super) fn document(finding: &Finding, context: &Context) -> Value {
    let (activity, activity_name) = match (finding.closed, finding.revision) {
        (Some(_), _) => (3, "Close"),
        (None, 0 | 1) => (1, "Create"),
        (None, _) => (2, "Update"),
    };
    // A status above `New` says that a person has looked; nobody has told the monitor.
    let (status, status_name) = if finding.closed.is_some() { (4, "Resolved") } else { (1, "New") };
    let (confidence, confidence_name) = match finding.grade {
        Certainty::Note => (1, "Low"),
        Certainty::Suspect => (2, "Medium"),
        Certainty::Confirmed => (3, "High"),
    };
    let severity = Severity::of(finding);
    let line = finding.to_line();
    let weighing = Weighing::of(&finding.evidence);
    json!({
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": format!("Detection Finding: {activity_name}"),
        "time": ms(moment(finding)),
        "start_time": ms(finding.first_event),
        "end_time": ms(last_seen(finding)),
        "severity_id": severity as u8,
        "severity": severity.caption(),
        "status_id": status,
        "status": status_name,
        "confidence_id": confidence,
        "confidence": confidence_name,
        "confidence_score": weighing.percent(),
        "is_alert": finding.grade > Certainty::Note && finding.closed.is_none(),
        "message": finding.says,
        "metadata": metadata(finding, context),
        "finding_info": finding_info(finding, context),
        "device": device(finding),
        "evidences": finding.branches.iter().map(|branch| evidence(finding, branch, context)).collect::<Vec<_>>(),
        "anomaly_analyses": anomaly_analysis(finding).into_iter().collect::<Vec<_>>(),
        "observables": observables(finding),
        "remediation": {"desc": proposal(finding.action)},
        "raw_data": line,
        "raw_data_hash": {"algorithm_id": 3, "algorithm": "SHA-256", "value": hex::encode(sha256(line.as_bytes()))},
        "raw_data_size": line.len(),
        "unmapped": unmapped(finding, &weighing),
    })
}

fn metadata(finding: &Finding, context: &Context) -> Value {
    json!({
        "version": SCHEMA_VERSION,
        "uid": delivery_id(finding),
        "correlation_uid": finding.id,
        "sequence": finding.revision,
        "original_time": finding.detected,
        "log_name": touchmark_identity::finding::SCHEMA,
        "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": context.version},
    })
}

/// What the schema has no place for. The whole finding is in `raw_data` as well.
fn unmapped(finding: &Finding, weighing: &Weighing) -> Value {
    json!({
        "identity": finding.identity,
        "kind": finding.kind,
        "grade": finding.grade,
        "regime": finding.regime,
        "regime_basis": finding.regime_basis,
        "rules": finding.rules,
        "original": finding.original.as_ref().map_or_else(|| json!("undecided"), json_of),
        "evidence": finding.evidence,
        "posterior_decibans": weighing.posterior_decibans,
        "benign_causes": finding.benign_causes,
        "events": finding.events,
        "action": finding.action,
    })
}

fn finding_info(finding: &Finding, context: &Context) -> Value {
    let (type_id, type_name) = match finding.kind {
        Kind::Behaviour | Kind::Relocation | Kind::OracleUse => (2, "Behavioral"),
        _ => (1, "Rule"),
    };
    let mut analytics = finding.rules.iter().map(|rule| {
        json!({"type_id": type_id, "type": type_name, "name": rule, "uid": rule, "version": context.version})
    });
    let mut sources: Vec<&str> = finding.events.iter().map(|event| event.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    let related = finding.events.iter().map(|event| {
        json!({
            "uid": event.sha256.to_string(),
            "type": "raw line, by its SHA-256",
            "title": event.event_id,
            "product": {"name": event.source},
        })
    });
    json!({
        "uid": finding.id,
        "title": format!("{}: {}", headline(finding.kind), subject(finding)),
        "desc": finding.says,
        "types": [finding.kind],
        "analytic": analytics.next(),
        "related_analytics": analytics.collect::<Vec<_>>(),
        "first_seen_time": ms(finding.first_event),
        "last_seen_time": ms(last_seen(finding)),
        // Later revisions do not know when the first was written.
        "created_time": (finding.revision <= 1).then(|| ms(finding.detected)),
        "modified_time": ms(moment(finding)),
        "data_sources": sources,
        "related_events": related.collect::<Vec<_>>(),
        "related_events_count": finding.events.len(),
    })
}

fn device(finding: &Finding) -> Value {
    json!({
        "type_id": IOT,
        "type": "IOT",
        "uid": subject(finding),
        "uid_alt": finding.identity.spki_sha256,
        "name": finding.device,
    })
}

/// One instance: where it came from, when, and all that is known of it.
fn evidence(finding: &Finding, branch: &Branch, context: &Context) -> Value {
    let original = finding.original.is_some_and(|original| original.branch == branch.id);
    json!({
        "name": format!("instance {}{}", branch.id, if original { ", thought to be the original" } else { "" }),
        "uid": branch.id.to_string(),
        "src_endpoint": branch.networks.first().map(|network| json!({
            "name": network,
            "autonomous_system": as_number(network).map(|number| json!({"number": number})),
            "location": context.geography.country_of_network(network)
                .map(|country| json!({"country": country.to_string()})),
        })),
        "device": {
            "type_id": IOT,
            "type": "IOT",
            "uid": subject(finding),
            "first_seen_time": branch.first_seen.map(ms),
            "last_seen_time": branch.last_seen.map(ms),
            "boot_time": branch.booted.map(ms),
        },
        "data": branch,
    })
}

/// The signs as anomalies, and the instance thought to be the original as what they were held against.
fn anomaly_analysis(finding: &Finding) -> Option<Value> {
    if finding.evidence.is_empty() {
        return None;
    }
    let anomalies = finding.evidence.iter().map(|sign| {
        json!({
            "observation_parameter": sign.sign,
            "observation_type": sign.group,
            "observations": [{"value": format!("{:+} decibans", sign.decibans)}],
            "observed_pattern": sign.says,
        })
    });
    let original = finding.original.and_then(|original| {
        let branch = finding.branches.iter().find(|branch| branch.id == original.branch)?;
        Some((branch, original.probability))
    });
    let baselines = original.into_iter().flat_map(|(branch, probability)| {
        let pattern = format!("instance {}, the original with probability {probability}", branch.id);
        let counters = branch.counter_first.into_iter().chain(branch.counter_last).map(|c| c.to_string());
        [
            ("network", branch.networks.clone()),
            ("firmware", branch.firmware.clone()),
            ("counter", counters.collect()),
            ("booted", branch.booted.map(|at| at.to_string()).into_iter().collect()),
        ]
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(move |(parameter, values)| {
            let observations: Vec<Value> = values.into_iter().map(|value| json!({"value": value})).collect();
            json!({
                "observation_parameter": parameter,
                "observations": observations,
                "observed_pattern": pattern,
            })
        })
    });
    Some(json!({
        "analysis_targets": [{"name": subject(finding), "type": "device identity"}],
        "anomalies": anomalies.collect::<Vec<_>>(),
        "baselines": baselines.collect::<Vec<_>>(),
    }))
}

fn observables(finding: &Finding) -> Vec<Value> {
    let identity = &finding.identity;
    let observable = |name: &str, type_id: u32, kind: &str, value: String| json!({"name": name, "type_id": type_id, "type": kind, "value": value});
    let mut found = vec![observable("device.uid", RESOURCE_UID, "Resource UID", subject(finding))];
    for (name, kind, value) in [
        (
            "unmapped.identity.spki_sha256",
            "SHA-256 of a public key",
            identity.spki_sha256.map(|v| v.to_string()),
        ),
        (
            "unmapped.identity.cert_sha256",
            "SHA-256 of a certificate",
            identity.cert_sha256.as_ref().map(ToString::to_string),
        ),
        (
            "unmapped.identity.cert_sha1",
            "SHA-1 of a certificate",
            identity.cert_sha1.as_ref().map(ToString::to_string),
        ),
    ] {
        found.extend(value.map(|value| observable(name, OTHER, kind, value)));
    }
    let mut networks: Vec<&String> = finding.branches.iter().flat_map(|branch| &branch.networks).collect();
    networks.sort_unstable();
    networks.dedup();
    found.extend(networks.into_iter().map(|network| {
        if as_number(network).is_some() {
            observable("evidences.src_endpoint.autonomous_system", OTHER, "AS number", network.clone())
        } else {
            observable("evidences.src_endpoint", SUBNET, "Subnet", network.clone())
        }
    }));
    found
}
