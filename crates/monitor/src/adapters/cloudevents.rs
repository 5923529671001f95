//! CloudEvents 1.0 with an event of our own format as their data: structured JSON mode, one a line, or batches.
//!
//! `type` is `org.touchmark.event`, `data` the event as an object or as a text. What the event itself does not say is
//! taken from the envelope: `schema`, `event_id` from `id`, `source` from `source`, `time` from `time`. A batch with one
//! bad entry is refused as a whole, so that its sender can repair and repeat it.
//! Source: CloudEvents 1.0.2 §3.1 and its JSON format §3 and §4.

use serde_json::{Map, Value};
use touchmark_identity::event::{Event, SCHEMA};
use touchmark_identity::text::printable;

use super::fields::{Fields, bare, malformed, objects};
use super::{AdapterError, safe_example};

/// The `type` of an envelope that carries an event.
const TYPE: &str = "org.touchmark.event";
/// The longest batch, in bytes: 1 MiB.
pub(super) const MAX_BATCH_BYTES: usize = 1 << 20;

pub(super) fn read(line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
    let line = bare(line, MAX_BATCH_BYTES)?;
    objects(line)?.into_iter().map(|envelope| one(&envelope, line, source)).collect()
}

fn one(envelope: &Fields<'_>, line: &[u8], source: &str) -> Result<Event, AdapterError> {
    let version = envelope.need("specversion")?;
    if version != "1.0" {
        return Err(envelope.value("specversion", &version, "1.0"));
    }
    let kind = envelope.need("type")?;
    if kind != TYPE {
        return Err(envelope.value("type", &kind, TYPE));
    }
    let mut data: Map<String, Value> = match envelope.get("data") {
        Some(Value::Object(map)) => map.clone(),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map_err(|error| malformed(line, format!("data: {}", printable(&error.to_string(), 200))))?,
        _ => return Err(envelope.missing("data")),
    };
    let mut fill = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            data.entry(name).or_insert(Value::String(value));
        }
    };
    fill("schema", Some(SCHEMA.to_owned()));
    fill("event_id", envelope.text("id"));
    fill("source", envelope.text("source").or_else(|| Some(source.to_owned())));
    fill("time", envelope.text("time"));
    own(data, line)
}

/// Reads a map as an event of our own format.
pub(super) fn own(map: Map<String, Value>, line: &[u8]) -> Result<Event, AdapterError> {
    let text = Value::Object(map).to_string();
    Event::from_line(text.as_bytes())
        .map_err(|source| AdapterError::Event { source, example: safe_example(line) })
}
