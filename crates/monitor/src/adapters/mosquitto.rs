//! Mosquitto: the text log of a broker configured as `contrib/mosquitto/touchmark.conf` shows, version 2.0.
//!
//! The broker names a client by its client id and, behind `u`, by the user name that `use_identity_as_username` (common
//! name) or `use_subject_as_username` (subject) takes from the certificate. It writes whole seconds; a session is known
//! by client id, address and the second in which it began. An end is dated by its line alone.

use touchmark_identity::event::{Event, EventBody, IdentityRef, MAX_LINE_BYTES, MAX_TEXT_BYTES, SessionEnd};
use touchmark_identity::timestamp::Timestamp;

use super::fields::{Opened, address, bare, common_name, malformed, moment};
use super::recent::Recent;
use super::{AdapterError, Unproven, safe_example};

const CONNECTED: &str = "New client connected from ";

/// The words behind a client id that end its session, and the reason that the event gives.
const ENDS: [(&str, &str); 5] = [
    (" already connected, closing old connection", "taken-over"),
    (" has exceeded timeout, disconnecting", "timeout"),
    (" closed its connection", "closed"),
    (" disconnected due to ", "error"),
    (" disconnected", "disconnected"),
];

/// Sessions that are open, by client id.
#[derive(Debug)]
pub(super) struct Mosquitto {
    open: Recent<String, Session>,
}

#[derive(Debug)]
struct Session {
    id: String,
    identity: IdentityRef,
    began: Timestamp,
}

impl Mosquitto {
    pub(super) fn new() -> Self {
        Self { open: Recent::new() }
    }

    pub(super) fn read(&mut self, line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
        let line = bare(line, MAX_LINE_BYTES)?;
        let text = std::str::from_utf8(line).map_err(|_| malformed(line, "it is not UTF-8"))?;
        let (stamp, message) = text
            .split_once(": ")
            .ok_or_else(|| malformed(line, "it has no time before a colon and a space"))?;
        let time = stamped(stamp).ok_or_else(|| AdapterError::Value {
            field: "time",
            found: stamp.chars().take(64).collect(),
            expected: "seconds since 1970 or %Y-%m-%dT%H:%M:%S%z",
            example: safe_example(line),
        })?;
        self.message(time, message, line, source)
    }

    /// Reads a message whose time is known otherwise, such as from a syslog header.
    pub(super) fn message(
        &mut self,
        time: Timestamp,
        message: &str,
        line: &[u8],
        source: &str,
    ) -> Result<Vec<Event>, AdapterError> {
        if let Some(rest) = message.strip_prefix(CONNECTED) {
            return self.connected(time, rest, line, source).map(|event| vec![event]);
        }
        if message.starts_with("OpenSSL Error") || message.starts_with("Error: OpenSSL") {
            return Err(AdapterError::Refused {
                reason: Unproven::NotAccepted,
                detail: "the TLS handshake failed".to_owned(),
                example: safe_example(line),
            });
        }
        let Some(rest) = message.strip_prefix("Client ") else { return Ok(Vec::new()) };
        let ended = ENDS.iter().find_map(|(words, reason)| Some((rest.get(..rest.rfind(words)?)?, *reason)));
        let Some((client, reason)) = ended else { return Ok(Vec::new()) };
        // Of a client that connected before this log began, no session is known that could end.
        let Some(session) = self.open.remove(&client.to_owned()) else { return Ok(Vec::new()) };
        let body = SessionEnd {
            session: session.id.clone(),
            duration_ms: u64::try_from(time.ms_since(session.began)).ok(),
            reason: Some(reason.to_owned()),
            ..SessionEnd::default()
        };
        Ok(vec![Event {
            time,
            received: None,
            source: source.to_owned(),
            event_id: Some(format!("{}/end", session.id)),
            identity: session.identity,
            body: EventBody::SessionEnd(body),
        }])
    }

    fn connected(
        &mut self,
        time: Timestamp,
        rest: &str,
        line: &[u8],
        source: &str,
    ) -> Result<Event, AdapterError> {
        let wrong = || malformed(line, "it is not \"... from IP:PORT as CLIENT (p, c, k, u'NAME').\"");
        let (from, rest) = rest.split_once(" as ").ok_or_else(wrong)?;
        let (client, details) = rest.rsplit_once(" (p").ok_or_else(wrong)?;
        let peer = address(from).ok_or_else(wrong)?;
        let user = details
            .split_once("u'")
            .and_then(|(_, user)| user.rsplit_once('\''))
            .map(|(user, _)| user)
            .filter(|user| !user.is_empty());
        // The client id becomes part of a session's name, which has 512 bytes at most.
        if client.is_empty() || client.len() > MAX_TEXT_BYTES - 100 {
            return Err(AdapterError::Value {
                field: "client id",
                found: client.chars().take(64).collect(),
                expected: "a text of 1 to 412 bytes",
                example: safe_example(line),
            });
        }
        let name = user.map(|user| common_name(user).unwrap_or_else(|| user.to_owned()));
        let Some(name) = name.filter(|name| name.len() <= MAX_TEXT_BYTES) else {
            return Err(AdapterError::Refused {
                reason: Unproven::NoCertificate,
                detail: "no user name from a certificate; set use_identity_as_username".to_owned(),
                example: safe_example(line),
            });
        };
        let identity = IdentityRef::by_common_name(&name);
        let id = format!("{client}@{from}/{}", time.seconds());
        self.open
            .insert(client.to_owned(), Session { id: id.clone(), identity: identity.clone(), began: time });
        let opened = Opened {
            time,
            received: None,
            event_id: Some(format!("{id}/open")),
            session: id,
            identity,
            peer: Some(peer),
            tls: None,
            client_id: Some(client.to_owned()),
        };
        Ok(opened.event(source))
    }
}

/// Seconds since 1970 (the broker's default), or a date and time; without an offset it is taken as UTC.
fn stamped(text: &str) -> Option<Timestamp> {
    if !text.contains('T') {
        return moment(text);
    }
    let sign = text.len().checked_sub(5).filter(|_| text.is_ascii())?;
    let (head, tail) = text.split_at(sign);
    if tail.starts_with(['+', '-']) && !tail.contains(':') {
        let (hours, minutes) = tail.split_at(3);
        return format!("{head}{hours}:{minutes}").parse().ok();
    }
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(broker: &mut Mosquitto, line: &str) -> Vec<Event> {
        broker.read(line.as_bytes(), "broker").unwrap()
    }

    #[test]
    fn a_displaced_client_ends_before_its_successor_begins() {
        let mut broker = Mosquitto::new();
        let first = read(
            &mut broker,
            "2026-11-20T22:01:24: New client connected from 192.0.2.7:43452 as dev 1 as x (p5, c1, k10, u'CN=m-1,O=F').",
        );
        let EventBody::Authentication(body) = &first[0].body else { panic!("{first:?}") };
        assert_eq!(first[0].identity.common_name.as_deref(), Some("m-1"));
        assert_eq!(body.client_id.as_deref(), Some("dev 1 as x"));
        assert!(
            read(&mut broker, "2026-11-20T22:01:25: New connection from 192.0.2.8:1 on port 8883.")
                .is_empty()
        );
        let taken = read(
            &mut broker,
            "2026-11-20T22:01:25: Client dev 1 as x already connected, closing old connection.",
        );
        let EventBody::SessionEnd(end) = &taken[0].body else { panic!("{taken:?}") };
        assert_eq!((end.reason.as_deref(), end.duration_ms), (Some("taken-over"), Some(1_000)));
        assert_eq!(end.session, body.session);
        let second = read(
            &mut broker,
            "2026-11-20T22:01:25: New client connected from 2001:db8::8:9 as dev 1 as x (p5, c1, k10, u'm-1').",
        );
        let closed = read(&mut broker, "2026-11-20T22:02:25: Client dev 1 as x closed its connection.");
        let EventBody::Authentication(body) = &second[0].body else { panic!("{second:?}") };
        let EventBody::SessionEnd(end) = &closed[0].body else { panic!("{closed:?}") };
        assert_eq!(end.session, body.session);
        assert!(read(&mut broker, "2026-11-20T22:02:26: Client dev 1 as x disconnected.").is_empty());
    }

    #[test]
    fn stamps_in_every_form_are_one_moment() {
        for stamp in
            ["1795212084", "2026-11-20T22:01:24", "2026-11-20T23:01:24+0100", "2026-11-20T23:01:24+01:00"]
        {
            assert_eq!(
                stamped(stamp).map(|at| at.to_string()).as_deref(),
                Some("2026-11-20T22:01:24Z"),
                "{stamp}"
            );
        }
        for bad in ["", "T", "2026-11-20T22:01:24é", "T+000é"] {
            assert_eq!(stamped(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_client_without_a_certificate_is_refused() {
        let line = b"1795212084: New client connected from 192.0.2.7:1 as x (p2, c1, k60).";
        assert_eq!(Mosquitto::new().read(line, "broker").unwrap_err().reason(), "no-client-certificate");
    }
}
