//! Fields of a foreign JSON object, brought into the types of events.

use std::net::IpAddr;

use serde_json::{Map, Value};
use touchmark_identity::event::{
    Authentication, Event, EventBody, EventError, IdentityRef, MAX_LINE_BYTES, MAX_TEXT_BYTES, Peer,
    SessionEnd, Tls,
};
use touchmark_identity::text::printable;
use touchmark_identity::timestamp::Timestamp;

use super::{AdapterError, Unproven, safe_example};

/// The most elements of a list that are looked at.
const LIST: usize = 64;

/// The fields of one JSON object. A path such as `source.ip` finds the member `ip` of `source` as well as a member whose
/// name is `source.ip`.
pub(super) struct Fields<'l> {
    map: Map<String, Value>,
    line: &'l [u8],
}

/// The names of a certificate as a source writes them; empty and absent ones are skipped.
#[derive(Default)]
pub(super) struct Names {
    pub(super) sha256: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) common_name: Option<String>,
    pub(super) client_id: Option<String>,
}

/// A connection whose client proved a key.
pub(super) struct Opened {
    pub(super) time: Timestamp,
    pub(super) received: Option<Timestamp>,
    pub(super) session: String,
    pub(super) identity: IdentityRef,
    pub(super) peer: Option<Peer>,
    pub(super) tls: Option<Tls>,
    pub(super) client_id: Option<String>,
    pub(super) event_id: Option<String>,
}

impl Opened {
    pub(super) fn event(self, source: &str) -> Event {
        let body = Authentication {
            session: self.session,
            peer: self.peer,
            tls: self.tls,
            client_id: self.client_id,
            ..Authentication::default()
        };
        Event {
            time: self.time,
            received: self.received,
            source: source.to_owned(),
            event_id: self.event_id,
            identity: self.identity,
            body: EventBody::Authentication(Box::new(body)),
        }
    }

    /// The two events of a line that was written when the connection ended.
    pub(super) fn and_closed(self, source: &str, at: Timestamp, end: SessionEnd) -> Vec<Event> {
        let closed = Event {
            time: at,
            received: self.received,
            source: source.to_owned(),
            event_id: Some(format!("{}/end", self.session)),
            identity: self.identity.clone(),
            body: EventBody::SessionEnd(end),
        };
        let opened = Self { event_id: Some(format!("{}/open", self.session)), ..self };
        vec![opened.event(source), closed]
    }
}

/// A line without its end, if it is short enough.
pub(super) fn bare(line: &[u8], max: usize) -> Result<&[u8], AdapterError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > max {
        return Err(AdapterError::TooLong { found: line.len(), max });
    }
    Ok(line)
}

pub(super) fn malformed(line: &[u8], detail: impl Into<String>) -> AdapterError {
    AdapterError::Malformed { detail: detail.into(), example: safe_example(line) }
}

/// The objects of a line: one, or the elements of an array.
pub(super) fn objects(line: &[u8]) -> Result<Vec<Fields<'_>>, AdapterError> {
    let said = |error: serde_json::Error| malformed(line, printable(&error.to_string(), 200));
    let maps: Vec<Map<String, Value>> = if line.trim_ascii_start().first() == Some(&b'[') {
        serde_json::from_slice(line).map_err(said)?
    } else {
        vec![serde_json::from_slice(line).map_err(said)?]
    };
    Ok(maps.into_iter().map(|map| Fields::of(map, line)).collect())
}

impl<'l> Fields<'l> {
    /// Reads one object from a line of at most 64 KiB.
    pub(super) fn parse(line: &'l [u8]) -> Result<Self, AdapterError> {
        let line = bare(line, MAX_LINE_BYTES)?;
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err(malformed(line, "it does not begin with '{'"));
        }
        let map = serde_json::from_slice(line)
            .map_err(|error| malformed(line, printable(&error.to_string(), 200)))?;
        Ok(Self { map, line })
    }

    pub(super) fn of(map: Map<String, Value>, line: &'l [u8]) -> Self {
        Self { map, line }
    }

    /// Demands the mark that a shipped snippet writes into each line.
    pub(super) fn marked(&self, format: &str) -> Result<(), AdapterError> {
        if self.text("touchmark").as_deref() == Some(format) {
            return Ok(());
        }
        Err(self.malformed(format!("the field \"touchmark\" is not {format:?}")))
    }

    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        lookup(&self.map, path)
    }

    /// A text or number that says something: not empty, not `-`, at most 512 bytes. Of a list, its first element.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        said(self.get(path)?)
    }

    /// The first of several paths that says something.
    pub(super) fn first(&self, paths: &[&str]) -> Option<String> {
        paths.iter().find_map(|path| self.text(path))
    }

    pub(super) fn need(&self, field: &'static str) -> Result<String, AdapterError> {
        self.text(field).ok_or_else(|| self.missing(field))
    }

    /// A list, or the elements of a text between commas.
    pub(super) fn list(&self, path: &str) -> Vec<String> {
        match self.get(path) {
            Some(Value::Array(values)) => values.iter().take(LIST).filter_map(said).collect(),
            Some(Value::String(text)) => {
                text.split(',').take(LIST).filter_map(|part| said(&Value::String(part.to_owned()))).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn flag(&self, path: &str) -> Option<bool> {
        match self.get(path)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_u64().map(|number| number != 0),
            Value::String(text) => match text.as_str() {
                "1" | "true" | "T" | "yes" => Some(true),
                "0" | "false" | "F" | "no" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn number(&self, field: &'static str) -> Result<Option<u64>, AdapterError> {
        let Some(text) = self.text(field) else { return Ok(None) };
        // HAProxy writes '+' before a figure that still grows.
        let digits = text.strip_prefix('+').unwrap_or(&text);
        digits.parse().map(Some).map_err(|_| self.value(field, &text, "a whole number"))
    }

    /// A moment: RFC 3339, or seconds since 1970 with or without a fraction, or, from twelve digits on, milliseconds.
    pub(super) fn time(&self, field: &'static str) -> Result<Option<Timestamp>, AdapterError> {
        let Some(text) = self.text(field) else { return Ok(None) };
        moment(&text).map(Some).ok_or_else(|| {
            self.value(field, &text, "RFC 3339 or seconds or milliseconds since 1970, before the year 10000")
        })
    }

    pub(super) fn need_time(&self, field: &'static str) -> Result<Timestamp, AdapterError> {
        self.time(field)?.ok_or_else(|| self.missing(field))
    }

    /// The other end, from a field with its address and perhaps one with its port.
    pub(super) fn peer(&self, ip: &'static str, port: &str) -> Result<Option<Peer>, AdapterError> {
        let Some(text) = self.text(ip) else { return Ok(None) };
        let ip: IpAddr = text.parse().map_err(|_| self.value(ip, &text, "an IP address"))?;
        let port = self.text(port).and_then(|port| port.parse().ok());
        Ok(Some(Peer { port, ..Peer::at(ip) }))
    }

    /// The other end, from a field with address and port.
    pub(super) fn peer_with_port(&self, field: &'static str) -> Result<Option<Peer>, AdapterError> {
        let Some(text) = self.text(field) else { return Ok(None) };
        address(&text).map(Some).ok_or_else(|| self.value(field, &text, "an IP address, a colon and a port"))
    }

    /// The identity that names of a certificate give; hex digits and serial numbers are brought into one form.
    pub(super) fn identity(&self, names: Names) -> Result<IdentityRef, AdapterError> {
        let read = |error: EventError| match error {
            EventError::Value { field, found, expected } => {
                AdapterError::Value { field, found, expected, example: self.example() }
            }
            source => AdapterError::Event { source, example: self.example() },
        };
        let subject = names.subject.as_deref().and_then(common_name);
        let identity = IdentityRef {
            spki_sha256: None,
            cert_sha256: names.sha256.map(|text| text.parse()).transpose().map_err(read)?,
            cert_sha1: names.sha1.map(|text| text.parse()).transpose().map_err(read)?,
            issuer_dn: names.issuer,
            serial: names.serial.map(|text| text.parse()).transpose().map_err(read)?,
            common_name: names.common_name.or(subject),
            client_id: names.client_id,
        };
        if identity.has_name() {
            return Ok(identity);
        }
        Err(self.refused(Unproven::NoCertificate, "the line names no certificate"))
    }

    pub(super) fn missing(&self, field: &'static str) -> AdapterError {
        AdapterError::Missing { field, example: self.example() }
    }

    pub(super) fn value(&self, field: &'static str, found: &str, expected: &'static str) -> AdapterError {
        AdapterError::Value {
            field,
            found: found.chars().take(64).collect(),
            expected,
            example: self.example(),
        }
    }

    pub(super) fn malformed(&self, detail: impl Into<String>) -> AdapterError {
        malformed(self.line, detail)
    }

    pub(super) fn refused(&self, reason: Unproven, detail: &str) -> AdapterError {
        AdapterError::Refused { reason, detail: printable(detail, 200), example: self.example() }
    }

    fn example(&self) -> String {
        safe_example(self.line)
    }
}

fn lookup<'m>(map: &'m Map<String, Value>, path: &str) -> Option<&'m Value> {
    if let Some(value) = map.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(at, _)| {
        let (head, tail) = (path.get(..at)?, path.get(at + 1..)?);
        lookup(map.get(head)?.as_object()?, tail)
    })
}

fn said(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(values) => return values.first().filter(|value| !value.is_array()).and_then(said),
        _ => return None,
    };
    (!matches!(text.as_str(), "" | "-") && text.len() <= MAX_TEXT_BYTES).then_some(text)
}

/// A moment as [`Fields::time`] reads it.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    if text.contains('T') {
        return text.parse().ok();
    }
    let micros = match text.split_once('.') {
        None if text.len() >= 12 => whole(text)?.checked_mul(1_000)?,
        None => whole(text)?.checked_mul(1_000_000)?,
        Some((seconds, fraction)) => {
            if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
            whole(seconds)?.checked_mul(1_000_000)?.checked_add(whole(&digits)?)?
        }
    };
    let at = Timestamp::from_micros(micros);
    (at.micros() == micros).then_some(at)
}

fn whole(digits: &str) -> Option<i64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// An address with a port, IPv6 with or without brackets.
pub(super) fn address(text: &str) -> Option<Peer> {
    let (ip, port) = text.rsplit_once(':')?;
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    Some(Peer { port: Some(port.parse().ok()?), ..Peer::at(bare.parse().ok()?) })
}

/// The common name in a distinguished name of RFC 4514 or of the older form with slashes, unescaped as far as
/// backslashes before one character go.
pub(super) fn common_name(dn: &str) -> Option<String> {
    let (dn, slashes) = dn.strip_prefix('/').map_or((dn, false), |rest| (rest, true));
    let mut parts = vec![String::new()];
    let mut chars = dn.chars();
    while let Some(c) = chars.next() {
        let separates = if slashes { c == '/' } else { matches!(c, ',' | '+') };
        match parts.last_mut() {
            Some(part) if c == '\\' => part.extend(chars.next()),
            Some(part) if !separates => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    let value = |part: String| part.trim_start().strip_prefix("CN=").map(ToOwned::to_owned);
    parts.into_iter().find_map(value).filter(|name| !name.is_empty() && name.len() <= MAX_TEXT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_every_form() {
        let at = |text: &str| moment(text).map(|at| at.to_string());
        assert_eq!(at("1795212088").as_deref(), Some("2026-11-20T22:01:28Z"));
        assert_eq!(at("1795212088.202").as_deref(), Some("2026-11-20T22:01:28.202Z"));
        assert_eq!(at("1795212088.2029999").as_deref(), Some("2026-11-20T22:01:28.202999Z"));
        assert_eq!(at("1795212088202").as_deref(), Some("2026-11-20T22:01:28.202Z"));
        assert_eq!(at("2026-11-20T23:01:28.2021234+01:00").as_deref(), Some("2026-11-20T22:01:28.202123Z"));
        for bad in ["", "-5", "1e9", "1.", ".", "99999999999999999999", "999999999999999999", "tomorrow"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_in_every_form() {
        for text in ["[2001:db8::7]:5000", "2001:db8::7:5000"] {
            assert_eq!(address(text).map(|peer| peer.port), Some(Some(5000)), "{text}");
        }
        assert_eq!(address("192.0.2.7:99999"), None);
        assert_eq!(address("192.0.2.7"), None);
    }

    #[test]
    fn a_common_name_in_every_form() {
        for dn in ["O=Fleet\\, north,CN=m-1", "/O=Fleet, north/CN=m-1", "CN=m-1+SN=4", " CN=m-1"] {
            assert_eq!(common_name(dn).as_deref(), Some("m-1"), "{dn}");
        }
        assert_eq!(common_name("O=CN=no"), None);
    }

    #[test]
    fn a_path_finds_flat_and_nested_members() {
        let fields = Fields::parse(br#"{"a":{"b.c":1},"a.d":["x"],"e":"-"}"#).unwrap();
        assert_eq!(fields.text("a.b.c").as_deref(), Some("1"));
        assert_eq!(fields.text("a.d").as_deref(), Some("x"));
        assert_eq!(fields.text("e"), None);
    }
}
