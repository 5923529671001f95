//! Envoy: the JSON access log of `contrib/envoy/access-log.yaml`.
//!
//! A TCP proxy writes at connect (where `flush_access_log_on_connected` is set) and at the end of a connection; an HTTP
//! connection manager writes at the end of each request. The first line of a connection gives the `authentication`;
//! further requests of it give heartbeats that say no more than that the connection is in use.
//! Operators: <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage>.

use touchmark_identity::event::{Event, EventBody, Heartbeat, SessionEnd, Tls};

use super::fields::{Fields, Names, Opened};
use super::recent::Recent;
use super::{AdapterError, Unproven};

/// The value of the field `touchmark` in each line.
pub(super) const FORMAT: &str = "envoy/1";

/// Sessions that have begun, by connection number and the client's address.
#[derive(Debug)]
pub(super) struct Envoy {
    begun: Recent<(u64, String), String>,
}

impl Envoy {
    pub(super) fn new() -> Self {
        Self { begun: Recent::new() }
    }

    pub(super) fn read(&mut self, line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
        let fields = Fields::parse(line)?;
        fields.marked(FORMAT)?;
        if let Some(failure) = fields.text("failure") {
            return Err(fields.refused(Unproven::NotAccepted, &failure));
        }
        let identity = fields.identity(Names {
            sha256: fields.text("sha256"),
            sha1: fields.text("sha1"),
            serial: fields.text("serial"),
            issuer: fields.text("issuer_dn"),
            subject: fields.text("subject_dn"),
            ..Names::default()
        })?;
        let start = fields.need_time("start")?;
        let duration = fields.number("duration_ms")?.unwrap_or(0);
        let end = start.plus_ms(i64::try_from(duration).unwrap_or(i64::MAX));
        let connection = fields.number("connection")?.ok_or_else(|| fields.missing("connection"))?;
        let address = fields.need("peer")?;
        let peer = fields.peer_with_port("peer")?;
        let kind = fields.text("log_type").unwrap_or_default();
        let ends = matches!(kind.as_str(), "TcpConnectionEnd" | "NotSet" | "");
        let key = (connection, address);
        let known = if ends { self.begun.remove(&key) } else { self.begun.get(&key).cloned() };
        let session = known.clone().unwrap_or_else(|| format!("{connection}@{}", start.micros()));
        let closed = SessionEnd {
            session: session.clone(),
            duration_ms: Some(duration),
            bytes_in: fields.number("bytes_in")?,
            bytes_out: fields.number("bytes_out")?,
            messages_in: None,
            messages_out: None,
            reason: fields.text("flags"),
        };
        let opened = Opened {
            time: start,
            received: Some(end),
            session: session.clone(),
            identity,
            peer,
            tls: Some(Tls {
                version: fields.text("tls"),
                resumed: None,
                ja4: fields.text("ja4"),
                sni: fields.text("sni"),
            }),
            client_id: None,
            event_id: Some(format!("{session}/open")),
        };
        if ends {
            let mut events = opened.and_closed(source, end, closed);
            if known.is_some() {
                events.remove(0);
            }
            return Ok(events);
        }
        if known.is_none() {
            self.begun.insert(key, session);
            return Ok(vec![opened.event(source)]);
        }
        let beat =
            Heartbeat { session: Some(session.clone()), peer: opened.peer.clone(), ..Heartbeat::default() };
        Ok(vec![Event {
            time: end,
            received: None,
            source: source.to_owned(),
            event_id: Some(format!("{session}/{}", end.micros())),
            identity: opened.identity,
            body: EventBody::Heartbeat(Box::new(beat)),
        }])
    }
}
