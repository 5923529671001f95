//! CloudEvents 1.0, structured content mode in JSON.
//!
//! # Source
//! CloudEvents 1.0.2 §3.1: `id`, `source`, `specversion` and `type` are required; producers must see to it that `source`
//! and `id` together name one event. Extension names are lower-case letters and digits.

use serde_json::{Value, json};
use touchmark_identity::finding::Finding;

use super::{Context, delivery_id, json_of, moment, subject};

/// The identifier of the native form's JSON Schema (`docs/schemas/finding.schema.json`).
const DATA_SCHEMA: &str = "https://touchmark.example/schemas/finding/1";

pub(super) fn envelope(finding: &Finding, context: &Context) -> Value {
    json!({
        "specversion": "1.0",
        "id": delivery_id(finding),
        "source": context.source,
        "type": format!("touchmark.finding.{}", finding.kind),
        "subject": subject(finding),
        "time": moment(finding),
        "datacontenttype": "application/json",
        "dataschema": DATA_SCHEMA,
        "findinggrade": finding.grade,
        "data": json_of(finding),
    })
}
