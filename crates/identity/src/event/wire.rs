//! The line itself: one flat record of all fields, so that a line is read in one pass, and the way from it to the
//! types and back.

use serde::{Deserialize, Serialize};

use super::names::WireIdentity;
use super::{
    AntiRollbackFloor, AssuranceSummary, Authentication, Event, EventBody, EventError, Heartbeat, Home,
    IdentityRef, MAX_ALIASES, MAX_LINE_BYTES, MAX_TEXT_BYTES, Peer, Registry, Renewal, SCHEMA, SessionEnd,
    Tls,
};
use crate::text::printable;
use crate::timestamp::Timestamp;

macro_rules! record {
    ($($field:ident: $type:ty),+ $(,)?) => {
        #[derive(Debug, Default, Serialize, Deserialize)]
        struct Wire {
            #[serde(default, skip_serializing_if = "Option::is_none")]
            schema: Option<String>,
            #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
            kind: Option<String>,
            $(#[serde(default, skip_serializing_if = "Option::is_none")] $field: Option<$type>,)+
        }
    };
}

record! {
    time: String, received: String, source: String, event_id: String, identity: WireIdentity,
    session: String, peer: Peer, tls: Tls, device_type: String, firmware: String, security_version: u64,
    client_id: String, boot_id: String, boot_count: u64, uptime_ms: u64, counter: u64,
    counter_quote: serde_json::Value, token: String, token_issued: String, device_time: String, bytes: u64,
    duration_ms: u64, bytes_in: u64, bytes_out: u64, messages_in: u64, messages_out: u64, reason: String,
    device: String, assurance: AssuranceSummary, home: Home, aliases: Vec<WireIdentity>,
    anti_rollback_floor: AntiRollbackFloor, status: String, renewal: Renewal,
}

pub(super) fn read(line: &[u8]) -> Result<Event, EventError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.len() > MAX_LINE_BYTES {
        return Err(EventError::TooLong { found: line.len(), max: MAX_LINE_BYTES });
    }
    // Derived readers take a list of fields in order for an object; the format does not.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(EventError::Malformed { detail: "it does not begin with '{'".to_owned() });
    }
    let wire: Wire = serde_json::from_slice(line)
        .map_err(|error| EventError::Malformed { detail: printable(&error.to_string(), 200) })?;
    match wire.schema.as_deref() {
        Some(SCHEMA) => {}
        other => {
            let found = other.unwrap_or_default().chars().take(64).collect();
            return Err(EventError::Schema { found, expected: SCHEMA });
        }
    }
    match wire.kind.as_deref().unwrap_or_default() {
        "authentication" => event(wire, "authentication", authentication),
        "session_end" => event(wire, "session_end", session_end),
        "heartbeat" => event(wire, "heartbeat", heartbeat),
        "registry" => event(wire, "registry", registry),
        other => Err(EventError::UnknownType { found: other.chars().take(64).collect() }),
    }
}

fn event(
    mut wire: Wire,
    kind: &'static str,
    body: fn(Wire) -> Result<EventBody, EventError>,
) -> Result<Event, EventError> {
    let missing = |field| EventError::Missing { kind, field };
    let time = moment("time", wire.time.take())?.ok_or_else(|| missing("time"))?;
    let received = moment("received", wire.received.take())?;
    let source = text("source", wire.source.take())?.ok_or_else(|| missing("source"))?;
    let event_id = text("event_id", wire.event_id.take())?;
    let identity = IdentityRef::try_from(wire.identity.take().ok_or_else(|| missing("identity"))?)?;
    Ok(Event { time, received, source, event_id, identity, body: body(wire)? })
}

fn authentication(wire: Wire) -> Result<EventBody, EventError> {
    let missing = EventError::Missing { kind: "authentication", field: "session" };
    Ok(EventBody::Authentication(Box::new(Authentication {
        session: text("session", wire.session)?.ok_or(missing)?,
        peer: peer(wire.peer)?,
        tls: tls(wire.tls)?,
        device_type: text("device_type", wire.device_type)?,
        firmware: text("firmware", wire.firmware)?,
        client_id: text("client_id", wire.client_id)?,
        token: wire.token,
        token_issued: wire.token_issued,
        boot_id: text("boot_id", wire.boot_id)?,
        counter: wire.counter,
        uptime_ms: wire.uptime_ms,
        renewal: wire.renewal,
    })))
}

fn session_end(wire: Wire) -> Result<EventBody, EventError> {
    let missing = EventError::Missing { kind: "session_end", field: "session" };
    Ok(EventBody::SessionEnd(SessionEnd {
        session: text("session", wire.session)?.ok_or(missing)?,
        duration_ms: wire.duration_ms,
        bytes_in: wire.bytes_in,
        bytes_out: wire.bytes_out,
        messages_in: wire.messages_in,
        messages_out: wire.messages_out,
        reason: text("reason", wire.reason)?,
    }))
}

fn heartbeat(wire: Wire) -> Result<EventBody, EventError> {
    Ok(EventBody::Heartbeat(Box::new(Heartbeat {
        session: text("session", wire.session)?,
        peer: peer(wire.peer)?,
        counter: wire.counter,
        counter_quote: wire.counter_quote,
        uptime_ms: wire.uptime_ms,
        boot_count: wire.boot_count,
        firmware: text("firmware", wire.firmware)?,
        security_version: wire.security_version,
        device_type: text("device_type", wire.device_type)?,
        token: wire.token,
        token_issued: wire.token_issued,
        device_time: moment("device_time", wire.device_time)?,
        bytes: wire.bytes,
    })))
}

fn registry(wire: Wire) -> Result<EventBody, EventError> {
    let missing = EventError::Missing { kind: "registry", field: "device" };
    let aliases = wire.aliases.unwrap_or_default();
    if aliases.len() > MAX_ALIASES {
        return Err(EventError::value(
            "aliases",
            &aliases.len().to_string(),
            "a list of at most 32 identities",
        ));
    }
    if let Some(home) = &wire.home {
        degrees("home.lat", Some(home.lat), 90.0)?;
        degrees("home.lon", Some(home.lon), 180.0)?;
        if home.radius_km < 0.0 {
            return Err(EventError::value("home.radius_km", &home.radius_km.to_string(), "at least 0"));
        }
    }
    if let Some(AntiRollbackFloor::Firmware(version)) = &wire.anti_rollback_floor {
        text("anti_rollback_floor", Some(version.clone()))?;
    }
    if let Some(part) = wire.assurance.as_ref().and_then(|assurance| assurance.part.clone()) {
        for value in [Some(part.vendor), Some(part.model), part.firmware, part.crypto_library] {
            text("assurance.part", value)?;
        }
    }
    Ok(EventBody::Registry(Box::new(Registry {
        device: text("device", wire.device)?.ok_or(missing)?,
        device_type: text("device_type", wire.device_type)?,
        assurance: wire.assurance,
        home: wire.home,
        aliases: aliases.into_iter().map(IdentityRef::try_from).collect::<Result<_, _>>()?,
        anti_rollback_floor: wire.anti_rollback_floor,
        status: text("status", wire.status)?,
    })))
}

fn moment(field: &'static str, value: Option<String>) -> Result<Option<Timestamp>, EventError> {
    let expected = "an RFC 3339 date and time between the years 1970 and 9999";
    value.map(|value| value.parse().map_err(|_| EventError::value(field, &value, expected))).transpose()
}

fn text(field: &'static str, value: Option<String>) -> Result<Option<String>, EventError> {
    match value {
        Some(value) if value.len() > MAX_TEXT_BYTES => {
            Err(EventError::value(field, &value, "a text of at most 512 bytes"))
        }
        other => Ok(other),
    }
}

fn degrees(field: &'static str, value: Option<f64>, limit: f64) -> Result<(), EventError> {
    match value {
        Some(value) if !(-limit..=limit).contains(&value) => Err(EventError::value(
            field,
            &value.to_string(),
            "degrees between -90 and 90 (lat) or -180 and 180 (lon)",
        )),
        _ => Ok(()),
    }
}

fn peer(peer: Option<Peer>) -> Result<Option<Peer>, EventError> {
    if let Some(peer) = &peer {
        degrees("peer.lat", peer.lat, 90.0)?;
        degrees("peer.lon", peer.lon, 180.0)?;
        text("peer.country", peer.country.clone())?;
    }
    Ok(peer)
}

fn tls(tls: Option<Tls>) -> Result<Option<Tls>, EventError> {
    if let Some(tls) = &tls {
        for value in [&tls.version, &tls.ja4, &tls.sni] {
            text("tls", value.clone())?;
        }
    }
    Ok(tls)
}

pub(super) fn write(event: &Event) -> String {
    let common = Wire {
        schema: Some(SCHEMA.to_owned()),
        kind: Some(event.body.type_name().to_owned()),
        time: Some(event.time.to_string()),
        received: event.received.map(|at| at.to_string()),
        source: Some(event.source.clone()),
        event_id: event.event_id.clone(),
        identity: Some(event.identity.clone().into()),
        ..Wire::default()
    };
    let wire = match event.body.clone() {
        EventBody::Authentication(body) => Wire {
            session: Some(body.session),
            peer: body.peer,
            tls: body.tls,
            device_type: body.device_type,
            firmware: body.firmware,
            client_id: body.client_id,
            token: body.token,
            token_issued: body.token_issued,
            boot_id: body.boot_id,
            counter: body.counter,
            uptime_ms: body.uptime_ms,
            renewal: body.renewal,
            ..common
        },
        EventBody::SessionEnd(body) => Wire {
            session: Some(body.session),
            duration_ms: body.duration_ms,
            bytes_in: body.bytes_in,
            bytes_out: body.bytes_out,
            messages_in: body.messages_in,
            messages_out: body.messages_out,
            reason: body.reason,
            ..common
        },
        EventBody::Heartbeat(body) => Wire {
            session: body.session,
            peer: body.peer,
            counter: body.counter,
            counter_quote: body.counter_quote,
            uptime_ms: body.uptime_ms,
            boot_count: body.boot_count,
            firmware: body.firmware,
            security_version: body.security_version,
            device_type: body.device_type,
            token: body.token,
            token_issued: body.token_issued,
            device_time: body.device_time.map(|at| at.to_string()),
            bytes: body.bytes,
            ..common
        },
        EventBody::Registry(body) => Wire {
            aliases: if body.aliases.is_empty() {
                None
            } else {
                Some(body.aliases.into_iter().map(Into::into).collect())
            },
            device: Some(body.device),
            device_type: body.device_type,
            assurance: body.assurance,
            home: body.home,
            anti_rollback_floor: body.anti_rollback_floor,
            status: body.status,
            ..common
        },
    };
    #[expect(
        clippy::expect_used,
        reason = "a record of texts, numbers and finite floats always has a JSON form"
    )]
    serde_json::to_string(&wire).expect("an event is plain data")
}
