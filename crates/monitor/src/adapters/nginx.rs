//! nginx: the JSON access log of `contrib/nginx/touchmark-log-format.conf`, written by nginx 1.22 or newer.
//!
//! nginx writes a line at the end of each *request*; an `authentication` is a *connection*. So the first line of a
//! connection becomes an `authentication`, dated to the connection's beginning, and each further line of it becomes a
//! `heartbeat` that carries the connection and its address and nothing else: the connection is still in use. A
//! connection is known by `$connection`, a number that starts again when nginx does, together with its beginning.
//!
//! A line whose client certificate nginx did not accept is no event: nobody proved possession of a key. It is returned
//! as [`Line::Refused`], to be counted.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::Deserialize;
use touchmark_identity::event::{
    Authentication, CertSerial, CertSha1, Event, EventBody, EventError, Heartbeat, IdentityRef,
    MAX_LINE_BYTES, MAX_TEXT_BYTES, Peer, Tls,
};
use touchmark_identity::text::printable;
use touchmark_identity::timestamp::Timestamp;

use super::fields::common_name;
use super::{AdapterError, safe_example};

/// The value of the field `touchmark` in each line.
pub const FORMAT: &str = "nginx/1";

/// Connections that are remembered; when there are more, all but those of the last half are forgotten and their next
/// line counts as a new connection.
const CONNECTIONS: usize = 65_536;

/// nginx takes the time of a line and the age of a connection from two clocks; a beginning that is computed from both
/// moves by less than this.
const BEGINNING_TOLERANCE_MS: i64 = 2_000;

/// What a line of the log is.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A use of a connection whose client proved possession of its key.
    Event(Box<Event>),
    /// A request without an accepted client certificate.
    Refused {
        /// What nginx says of the certificate: `NONE`, or `FAILED` with a reason.
        verify: String,
    },
}

/// Reads the lines of one nginx in the order in which it wrote them.
#[derive(Debug)]
pub struct Nginx {
    source: String,
    young: HashMap<u64, i64>,
    old: HashMap<u64, i64>,
}

#[derive(Debug, Deserialize)]
struct Wire {
    touchmark: Option<String>,
    msec: Option<String>,
    connection: Option<String>,
    connection_requests: Option<String>,
    connection_time: Option<String>,
    remote_addr: Option<String>,
    remote_port: Option<String>,
    verify: Option<String>,
    fingerprint: Option<String>,
    serial: Option<String>,
    issuer_dn: Option<String>,
    subject_dn: Option<String>,
    tls: Option<String>,
    reused: Option<String>,
    sni: Option<String>,
}

impl Nginx {
    /// A reader for one nginx; `source` is its name in the events.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self { source: source.to_owned(), young: HashMap::new(), old: HashMap::new() }
    }

    /// Reads one line; a line feed at its end does not count.
    ///
    /// # Errors
    /// [`AdapterError`], with the beginning of the line in printable characters; the next line can be read all the same.
    pub fn line(&mut self, line: &[u8]) -> Result<Line, AdapterError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() > MAX_LINE_BYTES {
            return Err(AdapterError::TooLong { found: line.len(), max: MAX_LINE_BYTES });
        }
        let example = || safe_example(line);
        let malformed = |detail: String| AdapterError::Malformed { detail, example: example() };
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err(malformed("it does not begin with '{'".to_owned()));
        }
        let wire: Wire =
            serde_json::from_slice(line).map_err(|error| malformed(printable(&error.to_string(), 200)))?;
        if wire.touchmark.as_deref() != Some(FORMAT) {
            return Err(malformed(format!("the field \"touchmark\" is not {FORMAT:?}")));
        }
        let needed = |field: &'static str, value: &Option<String>| match value {
            Some(value) if !value.is_empty() => Ok(value.clone()),
            _ => Err(AdapterError::Missing { field, example: example() }),
        };
        let bad = |field, found: &str, expected| AdapterError::Value {
            field,
            found: found.chars().take(64).collect(),
            expected,
            example: example(),
        };
        let verify = needed("verify", &wire.verify)?;
        if verify != "SUCCESS" {
            return Ok(Line::Refused { verify: verify.chars().take(MAX_TEXT_BYTES).collect() });
        }
        let milliseconds = |field, value: &Option<String>| {
            let text = needed(field, value)?;
            seconds(&text).ok_or_else(|| bad(field, &text, "seconds with three digits of a fraction"))
        };
        let number = |field, value: &Option<String>| {
            let text = needed(field, value)?;
            text.parse::<u64>().map_err(|_| bad(field, &text, "a whole number"))
        };
        let written = milliseconds("msec", &wire.msec)?;
        let age = milliseconds("connection_time", &wire.connection_time)?;
        let connection = number("connection", &wire.connection)?;
        let requests = number("connection_requests", &wire.connection_requests)?;
        let address = needed("remote_addr", &wire.remote_addr)?;
        let ip: IpAddr = address.parse().map_err(|_| bad("remote_addr", &address, "an IP address"))?;
        let port = wire.remote_port.as_deref().and_then(|port| port.parse().ok());
        let named = |error: EventError| match error {
            EventError::Value { field, found, expected } => {
                AdapterError::Value { field, found, expected, example: example() }
            }
            other => malformed(other.to_string()),
        };
        let fingerprint: CertSha1 = needed("fingerprint", &wire.fingerprint)?.parse().map_err(named)?;
        let serial: CertSerial = needed("serial", &wire.serial)?.parse().map_err(named)?;
        let short =
            |text: Option<String>| text.filter(|text| !text.is_empty() && text.len() <= MAX_TEXT_BYTES);
        let identity = IdentityRef {
            cert_sha1: Some(fingerprint),
            serial: Some(serial),
            issuer_dn: short(wire.issuer_dn),
            common_name: short(wire.subject_dn.as_deref().and_then(common_name)),
            ..IdentityRef::default()
        };

        let beginning = written.saturating_sub(age);
        let known =
            self.beginning(connection).filter(|known| (known - beginning).abs() <= BEGINNING_TOLERANCE_MS);
        let session = format!("{connection}@{}", known.unwrap_or(beginning));
        let peer = Some(Peer { port, ..Peer::at(ip) });
        let (time, body) = if known.is_some() {
            let body = Heartbeat { session: Some(session.clone()), peer, ..Heartbeat::default() };
            (written, EventBody::Heartbeat(Box::new(body)))
        } else {
            self.remember(connection, beginning);
            let tls = Tls {
                version: short(wire.tls),
                resumed: wire.reused.as_deref().map(|reused| reused == "r"),
                ja4: None,
                sni: short(wire.sni),
            };
            let body = Authentication {
                session: session.clone(),
                peer,
                tls: Some(tls),
                ..Authentication::default()
            };
            (beginning, EventBody::Authentication(Box::new(body)))
        };
        let moment = |ms: i64| Timestamp::from_micros(ms.saturating_mul(1_000));
        Ok(Line::Event(Box::new(Event {
            time: moment(time),
            received: Some(moment(written)),
            source: self.source.clone(),
            event_id: Some(format!("{session}/{requests}@{written}")),
            identity,
            body,
        })))
    }

    fn beginning(&self, connection: u64) -> Option<i64> {
        self.young.get(&connection).or_else(|| self.old.get(&connection)).copied()
    }

    fn remember(&mut self, connection: u64, beginning: i64) {
        if self.young.len() >= CONNECTIONS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(connection, beginning);
    }
}

/// Seconds with a fraction of three digits, as nginx writes `$msec`, in milliseconds.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    if fraction.len() != 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u32 =
        whole.parse().ok().or_else(|| whole.parse::<u64>().ok().and_then(|w| u32::try_from(w).ok()))?;
    Some(i64::from(whole) * 1_000 + fraction.parse::<i64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(connection: u64, requests: u64, msec: &str, age: &str) -> Vec<u8> {
        format!(
            "{{\"touchmark\":\"nginx/1\",\"msec\":\"{msec}\",\"connection\":\"{connection}\",\
             \"connection_requests\":\"{requests}\",\"connection_time\":\"{age}\",\"remote_addr\":\"192.0.2.7\",\
             \"remote_port\":\"40000\",\"verify\":\"SUCCESS\",\
             \"fingerprint\":\"0b8d8080726aa7d379aacf2b3af72f922598aa3b\",\"serial\":\"7668F969\",\
             \"issuer_dn\":\"CN=Example CA\",\"subject_dn\":\"O=Fleet\\\\, north,CN=meter-000017\",\"tls\":\"TLSv1.3\",\
             \"reused\":\".\",\"sni\":\"gate.example\",\"uri\":\"/\"}}\n"
        )
        .into_bytes()
    }

    fn event(nginx: &mut Nginx, line: &[u8]) -> Event {
        match nginx.line(line).unwrap() {
            Line::Event(event) => *event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_line_of_a_connection_authenticates_and_the_next_goes_on() {
        let mut nginx = Nginx::new("gate");
        let first = event(&mut nginx, &line(7, 1, "1795212088.202", "0.036"));
        let EventBody::Authentication(body) = &first.body else { panic!("{first:?}") };
        assert_eq!(first.time.to_string(), "2026-11-20T22:01:28.166Z");
        assert_eq!(first.identity.common_name.as_deref(), Some("meter-000017"));
        assert_eq!(body.tls.as_ref().unwrap().resumed, Some(false));
        let next = event(&mut nginx, &line(7, 2, "1795212099.203", "11.036"));
        let EventBody::Heartbeat(beat) = &next.body else { panic!("{next:?}") };
        assert_eq!(beat.session.as_ref(), Some(&body.session));
        assert_ne!(next.event_id, first.event_id);
        let restarted = event(&mut nginx, &line(7, 1, "1795219999.000", "0.000"));
        assert!(
            matches!(restarted.body, EventBody::Authentication(_)),
            "the number is of another connection"
        );
        assert_eq!(Event::from_line(first.to_line().as_bytes()).unwrap(), first);
    }

    #[test]
    fn an_unaccepted_certificate_is_no_event() {
        let text = String::from_utf8(line(7, 1, "1795212088.202", "0.036")).unwrap();
        let refused = text.replace("SUCCESS", "FAILED:self-signed certificate");
        let read = Nginx::new("gate").line(refused.as_bytes()).unwrap();
        assert_eq!(read, Line::Refused { verify: "FAILED:self-signed certificate".to_owned() });
    }

    #[test]
    fn refusals_say_what_and_stay_printable() {
        let text = String::from_utf8(line(7, 1, "1795212088.202", "0.036")).unwrap();
        let refused = |text: &str| Nginx::new("gate").line(text.as_bytes()).unwrap_err();
        assert_eq!(refused("192.0.2.7 - - [20/Nov/2026] \"GET /\u{1b}[31m\"").code(), "AD-0002");
        assert_eq!(refused(&text.replace("nginx/1", "nginx/2")).code(), "AD-0002");
        assert_eq!(refused(&text.replace("0b8d8080726aa7d379aacf2b3af72f922598aa3b", "")).code(), "AD-0003");
        assert_eq!(refused(&text.replace("192.0.2.7", "unix:")).code(), "AD-0004");
        assert_eq!(refused(&text.replace("1795212088.202", "99999999999999999999.000")).code(), "AD-0004");
        let message = refused("\u{1b}[31m").to_string();
        assert!(message.chars().all(|c| (' '..='~').contains(&c)), "{message}");
    }

    proptest! {
        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Nginx::new("gate").line(&bytes);
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0usize..400, byte: u8) {
            let mut bytes = line(7, 1, "1795212088.202", "0.036");
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Nginx::new("gate").line(&bytes);
        }
    }
}
