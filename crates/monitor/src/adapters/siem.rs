//! Events that a SIEM or a data lake has brought into one form already: OCSF and ECS.

use touchmark_identity::event::{Event, EventBody, SessionEnd, Tls};

use super::fields::{Fields, Names, Opened};
use super::{AdapterError, Unproven};

/// OCSF: class 3002, Authentication; activity 1 (logon) and 2 (logoff). `certificate.fingerprints` are told apart by
/// `algorithm_id`: 2 is SHA-1, 3 is SHA-256. Fields: <https://schema.ocsf.io/1.1.0/classes/authentication>.
pub(super) fn ocsf(line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
    let fields = Fields::parse(line)?;
    let class = fields.number("class_uid")?.ok_or_else(|| fields.missing("class_uid"))?;
    if class != 3002 {
        return Err(fields.value("class_uid", &class.to_string(), "3002 (Authentication)"));
    }
    let activity = fields.number("activity_id")?;
    if !matches!(activity, Some(1 | 2)) {
        return Ok(Vec::new());
    }
    if fields.number("status_id")? == Some(2) {
        let detail = fields.first(&["status_detail", "message"]).unwrap_or_else(|| "status 2".to_owned());
        return Err(fields.refused(Unproven::NotAccepted, &detail));
    }
    let fingerprint = |algorithm: u64| {
        let prints = fields.get("certificate.fingerprints")?.as_array()?;
        let is = |print: &&serde_json::Value| {
            print.get("algorithm_id").and_then(serde_json::Value::as_u64) == Some(algorithm)
        };
        prints.iter().find(is)?.get("value")?.as_str().map(ToOwned::to_owned)
    };
    let identity = fields.identity(Names {
        sha256: fingerprint(3),
        sha1: fingerprint(2),
        serial: fields.text("certificate.serial_number"),
        issuer: fields.text("certificate.issuer"),
        subject: fields.text("certificate.subject"),
        ..Names::default()
    })?;
    let time = fields.need_time("time")?;
    let session = match fields.first(&["session.uid", "actor.session.uid", "metadata.correlation_uid"]) {
        Some(session) => session,
        None => fields.need("metadata.uid")?,
    };
    let event_id = fields.text("metadata.uid");
    if activity == Some(2) {
        let body = SessionEnd {
            session,
            duration_ms: fields.number("duration")?,
            reason: fields.text("status_detail"),
            ..SessionEnd::default()
        };
        return Ok(vec![Event {
            time,
            received: fields.time("metadata.logged_time")?,
            source: source.to_owned(),
            event_id,
            identity,
            body: EventBody::SessionEnd(body),
        }]);
    }
    let opened = Opened {
        time,
        received: fields.time("metadata.logged_time")?,
        session,
        identity,
        peer: fields.peer("src_endpoint.ip", "src_endpoint.port")?,
        tls: Some(Tls {
            version: fields.text("tls.version"),
            resumed: None,
            ja4: fields.text("tls.ja4_fingerprint_list.value"),
            sni: fields.text("tls.sni"),
        }),
        client_id: None,
        event_id,
    };
    Ok(vec![opened.event(source)])
}

/// ECS: documents with `tls.client.*`. The session is `event.id`, in its absence `network.community_id` with the time.
/// With `event.duration` (nanoseconds) or `event.end`, the connection's end is given as well.
/// Fields: <https://www.elastic.co/guide/en/ecs/current/ecs-tls.html>.
pub(super) fn ecs(line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
    let fields = Fields::parse(line)?;
    if fields.text("event.outcome").as_deref() == Some("failure")
        || fields.flag("tls.established") == Some(false)
    {
        let detail = fields.first(&["error.message", "event.reason"]).unwrap_or_else(|| "failure".to_owned());
        return Err(fields.refused(Unproven::NotAccepted, &detail));
    }
    let identity = fields.identity(Names {
        sha256: fields.text("tls.client.hash.sha256"),
        sha1: fields.text("tls.client.hash.sha1"),
        serial: fields.text("tls.client.x509.serial_number"),
        issuer: fields.first(&["tls.client.x509.issuer.distinguished_name", "tls.client.issuer"]),
        subject: fields.first(&["tls.client.x509.subject.distinguished_name", "tls.client.subject"]),
        common_name: fields.text("tls.client.x509.subject.common_name"),
        client_id: None,
    })?;
    let stamp = fields.need_time("@timestamp")?;
    let length = fields.number("event.duration")?.map(|nanoseconds| nanoseconds / 1_000_000);
    let start = match (fields.time("event.start")?, length, fields.time("event.end")?) {
        (Some(start), _, _) => start,
        (None, Some(length), Some(end)) => end.plus_ms(-i64::try_from(length).unwrap_or(i64::MAX)),
        _ => stamp,
    };
    let end = match (fields.time("event.end")?, length) {
        (Some(end), _) => Some(end),
        (None, Some(length)) => Some(start.plus_ms(i64::try_from(length).unwrap_or(i64::MAX))),
        (None, None) => None,
    };
    let session = match fields.text("event.id") {
        Some(id) => id,
        None => format!("{}@{}", fields.need("network.community_id")?, start.micros()),
    };
    let version = fields.text("tls.version").map(|version| match fields.text("tls.version_protocol") {
        Some(protocol) if protocol == "tls" => format!("TLSv{version}"),
        _ => version,
    });
    let opened = Opened {
        time: start,
        received: fields.time("event.ingested")?,
        event_id: Some(format!("{session}/open")),
        session: session.clone(),
        identity,
        peer: match fields.peer("source.ip", "source.port")? {
            Some(peer) => Some(peer),
            None => fields.peer("client.ip", "client.port")?,
        },
        tls: Some(Tls {
            version,
            resumed: fields.flag("tls.resumed"),
            ja4: fields.text("tls.client.ja4"),
            sni: fields.text("tls.client.server_name"),
        }),
        client_id: None,
    };
    let Some(end) = end else { return Ok(vec![opened.event(source)]) };
    let closed = SessionEnd {
        session,
        duration_ms: u64::try_from(end.ms_since(start)).ok(),
        bytes_in: fields.number("source.bytes")?,
        bytes_out: fields.number("destination.bytes")?,
        messages_in: None,
        messages_out: None,
        reason: fields.text("event.reason"),
    };
    Ok(opened.and_closed(source, end, closed))
}
