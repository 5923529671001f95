//! Samples of each format version load, and what the code writes is what the JSON Schemas say.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop where it stands"
)]

use std::fs;
use std::path::Path;

use serde_json::Value;
use touchmark_identity::event::{Event, EventBody};
use touchmark_identity::finding::{Action, Certainty, Finding, Kind};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&read(&format!("../../docs/schemas/{name}.schema.json"))).unwrap()
}

/// Checks the part of JSON Schema 2020-12 that the two schemas use, and, beyond it, that every field is described.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return check(root, target, value, at);
    }
    let refused = |why: String| Err(format!("{at}: {why}"));
    if schema.get("const").is_some_and(|only| only != value) {
        return refused(format!("{value} is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return refused(format!("{value} is none of {}", schema["enum"]));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the checker does not know the type {other}"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        return refused(format!("{value} is not of type {types:?}"));
    }
    if let (Some(number), low, high) = (value.as_f64(), &schema["minimum"], &schema["maximum"])
        && (low.as_f64().is_some_and(|low| number < low) || high.as_f64().is_some_and(|high| number > high))
    {
        return refused(format!("{number} is out of range"));
    }
    if schema["pattern"].is_string()
        && !value.as_str().is_some_and(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return refused(format!("{value} is not hex digits"));
    }
    if let Some(items) = value.as_array() {
        for (place, item) in items.iter().enumerate() {
            check(root, &schema["items"], item, &format!("{at}/{place}"))?;
        }
    }
    let Some(fields) = value.as_object() else { return Ok(()) };
    let has = |list: &Value| {
        list.as_array().is_none_or(|l| l.iter().all(|f| fields.contains_key(f.as_str().unwrap())))
    };
    if !has(&schema["required"]) {
        return refused(format!("one of {} is absent", schema["required"]));
    }
    if schema["anyOf"].as_array().is_some_and(|ways| !ways.iter().any(|way| has(&way["required"]))) {
        return refused("no alternative fits".to_owned());
    }
    for rule in schema["allOf"].as_array().into_iter().flatten() {
        let kind = &rule["if"]["properties"]["type"]["const"];
        if fields.get("type") == Some(kind) && !has(&rule["then"]["required"]) {
            return refused(format!("{kind} needs {}", rule["then"]["required"]));
        }
    }
    let Some(known) = schema["properties"].as_object() else { return Ok(()) };
    for (name, field) in fields {
        let Some(described) = known.get(name) else { return refused(format!("{name} is not described")) };
        check(root, described, field, &format!("{at}/{name}"))?;
    }
    Ok(())
}

fn assert_described(schema: &Value, line: &str) {
    let value: Value = serde_json::from_str(line).unwrap();
    check(schema, schema, &value, "").unwrap_or_else(|why| panic!("{why}: {line}"));
}

#[test]
fn events_of_version_1_load_and_are_written_as_the_schema_says() {
    let schema = schema("event");
    let mut types = Vec::new();
    for line in read("tests/samples/event-1.ndjson").lines() {
        let event = Event::from_line(line.as_bytes()).unwrap();
        let written = event.to_line();
        assert_described(&schema, &written);
        assert_eq!(Event::from_line(written.as_bytes()).unwrap(), event);
        types.push(event.body.type_name());
        if let EventBody::Registry(registry) = &event.body {
            assert_eq!(registry.aliases.len(), 2);
        }
    }
    let opened = "authentication";
    assert_eq!(types, ["registry", opened, "heartbeat", "session_end", "heartbeat", opened, opened]);
}

#[test]
fn the_samples_hold_every_field_of_the_event_schema() {
    let schema = schema("event");
    let samples = read("tests/samples/event-1.ndjson");
    for field in schema["properties"].as_object().unwrap().keys() {
        assert!(samples.contains(&format!("\"{field}\":")), "{field} is in no sample");
    }
}

#[test]
fn findings_of_version_1_load_and_are_written_as_the_schema_says() {
    let schema = schema("finding");
    let samples = read("tests/samples/finding-1.ndjson");
    for line in samples.lines() {
        let finding = Finding::from_line(line.as_bytes()).unwrap();
        assert_described(&schema, &finding.to_line());
    }
    for field in schema["properties"].as_object().unwrap().keys() {
        assert!(samples.contains(&format!("\"{field}\":")), "{field} is in no sample");
    }
    let first = samples.lines().next().unwrap();
    assert_eq!(Finding::from_line(first.as_bytes()).unwrap().to_line(), first);
}

#[test]
fn the_words_of_the_schema_are_those_of_the_code() {
    let schema = schema("finding");
    let words = |field: &str| schema["properties"][field]["enum"].as_array().unwrap().clone();
    assert_eq!(words("kind"), Kind::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
    assert_eq!(words("grade"), Certainty::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
    assert_eq!(words("action"), Action::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
}

#[test]
fn the_checker_can_fail() {
    let schema = schema("event");
    let line = read("tests/samples/event-1.ndjson").lines().next().unwrap().to_owned();
    for (from, to) in [
        ("\"registry\"", "\"authentication\""),
        ("\"device\":", "\"devices\":"),
        ("touchmark.event/1", "touchmark.event/2"),
        ("\"gate-1\"", "7"),
        ("52.5", "152.5"),
    ] {
        let value: Value = serde_json::from_str(&line.replacen(from, to, 1)).unwrap();
        assert!(check(&schema, &schema, &value, "").is_err(), "{from} -> {to}");
    }
}
