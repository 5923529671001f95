//! Syslog around another format: RFC 5424, RFC 3164, and the latter with an RFC 3339 time as rsyslog writes it.
//!
//! What is inside is found out from the line: JSON by its marks, Mosquitto by its application name, and otherwise
//! `key=value` pairs with the names of our own format, such as `type=authentication session=7 identity.common_name=m-1
//! peer.ip=192.0.2.7`. Each inner format has its own reader, so that one stream may carry several.
//!
//! RFC 3164 §4.1.2 writes neither year nor zone. Such a time is not used: what is inside has to carry its own.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use touchmark_identity::event::{Event, MAX_LINE_BYTES, SCHEMA};
use touchmark_identity::timestamp::Timestamp;

use super::cloudevents::own;
use super::fields::{Fields, bare, malformed};
use super::mosquitto::Mosquitto;
use super::reader::{Format, Reader};
use super::{AdapterError, envoy, haproxy, nginx};

/// The most pairs of a `key=value` message.
const PAIRS: usize = 64;

/// The readers of what is inside.
#[derive(Debug)]
pub(super) struct Syslog {
    inner: BTreeMap<Format, Reader>,
    mosquitto: Mosquitto,
}

/// The parts of a header that are used, and the message.
struct Frame<'l> {
    time: Option<Timestamp>,
    application: &'l str,
    message: &'l str,
}

impl Syslog {
    pub(super) fn new() -> Self {
        Self { inner: BTreeMap::new(), mosquitto: Mosquitto::new() }
    }

    pub(super) fn read(&mut self, line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
        let line = bare(line, MAX_LINE_BYTES)?;
        let text = std::str::from_utf8(line).map_err(|_| malformed(line, "it is not UTF-8"))?;
        let frame =
            frame(text).ok_or_else(|| malformed(line, "it has no syslog header (<PRI>, time, host)"))?;
        let message = frame.message.trim_start_matches('\u{feff}').trim_start();
        if message.starts_with(['{', '[']) {
            let format = sniff(message.as_bytes())
                .ok_or_else(|| malformed(line, "the JSON inside is of no format that is known"))?;
            let reader = self.inner.entry(format).or_insert_with(|| Reader::new(format, source));
            return reader.read(message.as_bytes());
        }
        if frame.application == "mosquitto" {
            return match frame.time {
                Some(time) => self.mosquitto.message(time, message, line, source),
                None => self.mosquitto.read(message.as_bytes(), source),
            };
        }
        pairs(message, frame.time, line, source).map(|event| vec![event])
    }
}

/// Splits header and message.
fn frame(text: &str) -> Option<Frame<'_>> {
    let (priority, rest) = text.strip_prefix('<')?.split_once('>')?;
    if priority.is_empty() || priority.len() > 3 || !priority.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Some(rest) = rest.strip_prefix("1 ") {
        // RFC 5424 §6: TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]
        let mut words = rest.splitn(6, ' ');
        let time = words.next()?;
        let (_host, application) = (words.next()?, words.next()?);
        let (_process, _id) = (words.next()?, words.next()?);
        let message = past_structured_data(words.next()?)?;
        return Some(Frame { time: time.parse().ok(), application, message });
    }
    // RFC 3164 §4.1: "Mmm dd hh:mm:ss HOST TAG: MSG", or an RFC 3339 time in place of the first three words.
    let (time, rest) = match rest.split_once(' ') {
        Some((word, rest)) if word.contains('T') && word.parse::<Timestamp>().is_ok() => {
            (word.parse().ok(), rest)
        }
        _ => (None, rest.get(15..).filter(|_| rest.is_char_boundary(15))?.strip_prefix(' ')?),
    };
    let (_host, rest) = rest.split_once(' ')?;
    let (tag, message) = rest.split_once(": ").unwrap_or(("", rest));
    let application = tag.split_once('[').map_or(tag, |(name, _)| name);
    Some(Frame { time, application, message })
}

/// What follows structured data: `-`, or elements in brackets, in whose values `\` escapes.
fn past_structured_data(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some(rest.strip_prefix(' ').unwrap_or(rest));
    }
    let (mut quoted, mut inside, mut chars) = (false, false, text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quoted => {
                chars.next();
            }
            '"' if inside => quoted = !quoted,
            '[' if !quoted => inside = true,
            ']' if !quoted => inside = false,
            ' ' if !inside => return text.get(at + 1..),
            _ if !inside => return None,
            _ => {}
        }
    }
    (!inside).then_some("")
}

/// Which format a JSON text is of, by what that format alone has.
fn sniff(text: &[u8]) -> Option<Format> {
    let object: Map<String, Value> = if text.first() == Some(&b'[') {
        serde_json::from_slice::<Vec<Map<String, Value>>>(text).ok()?.into_iter().next()?
    } else {
        serde_json::from_slice(text).ok()?
    };
    let fields = Fields::of(object, text);
    let is = |path: &str, value: &str| fields.text(path).as_deref() == Some(value);
    let has = |path: &str| fields.get(path).is_some();
    let marks = [
        (is("schema", SCHEMA), Format::Touchmark),
        (is("touchmark", nginx::FORMAT), Format::Nginx),
        (is("touchmark", haproxy::FORMAT), Format::Haproxy),
        (is("touchmark", envoy::FORMAT), Format::Envoy),
        (is("class_uid", "3002"), Format::Ocsf3002),
        (has("sessionIdentifier"), Format::AwsIot),
        (has("clientid"), Format::Emqx),
        (has("data.clientSessionName") || has("data.deviceConnectionStateEventInfo"), Format::AzureEventGrid),
        (has("specversion"), Format::CloudEvents),
        (has("id.orig_h") || has("certificate.serial"), Format::Zeek),
        (has("tls.client"), Format::Ecs),
    ];
    marks.into_iter().find_map(|(found, format)| found.then_some(format))
}

/// An event from pairs; dots in a key lead into objects, values of digits are numbers, `"` may stand around a value.
fn pairs(message: &str, time: Option<Timestamp>, line: &[u8], source: &str) -> Result<Event, AdapterError> {
    let mut map = Map::new();
    let mut rest = message.trim();
    for _ in 0..PAIRS {
        let Some((key, after)) = rest.split_once('=') else { break };
        let (value, next) = match after.strip_prefix('"') {
            Some(after) => {
                after.split_once('"').ok_or_else(|| malformed(line, "a quoted value does not end"))?
            }
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        insert(&mut map, key.trim(), value);
        rest = next.trim_start();
    }
    if map.is_empty() || !rest.is_empty() {
        return Err(malformed(line, "the message is neither JSON nor at most 64 pairs of key=value"));
    }
    map.entry("schema").or_insert_with(|| SCHEMA.into());
    map.entry("source").or_insert_with(|| source.into());
    if let Some(time) = time {
        map.entry("time").or_insert_with(|| time.to_string().into());
    }
    own(map, line)
}

fn insert(map: &mut Map<String, Value>, key: &str, value: &str) {
    // These are numbers in our format; everything else is a text, even where it has digits alone.
    let numbers = [
        "port",
        "asn",
        "counter",
        "uptime_ms",
        "boot_count",
        "security_version",
        "bytes",
        "duration_ms",
        "bytes_in",
        "bytes_out",
        "messages_in",
        "messages_out",
    ];
    let last = key.rsplit('.').next().unwrap_or(key);
    let value = match value.parse::<u64>() {
        Ok(number) if numbers.contains(&last) => Value::from(number),
        _ if last == "resumed" => Value::Bool(value == "true"),
        _ => Value::from(value),
    };
    match key.split_once('.') {
        Some((head, tail)) => {
            let inner = map.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                inner.insert(tail.to_owned(), value);
            }
        }
        None => {
            map.insert(key.to_owned(), value);
        }
    }
}
