//! Connection events of brokers that send JSON: EMQX, AWS IoT Core, Azure Event Grid.

use touchmark_identity::event::{Event, EventBody, IdentityRef, SessionEnd};
use touchmark_identity::timestamp::Timestamp;

use super::cloudevents::MAX_BATCH_BYTES;
use super::fields::{Fields, Names, Opened, bare, common_name, objects};
use super::recent::Recent;
use super::{AdapterError, Unproven};

/// The reason of an end where another connection took the session's place.
const TAKEN_OVER: &str = "taken-over";

fn ended(
    source: &str,
    time: Timestamp,
    event_id: Option<String>,
    identity: IdentityRef,
    body: SessionEnd,
) -> Event {
    Event {
        time,
        received: None,
        source: source.to_owned(),
        event_id,
        identity,
        body: EventBody::SessionEnd(body),
    }
}

/// EMQX: the rule events `client.connected` and `client.disconnected`, as a rule or a webhook sends them on.
///
/// The user name is the certificate's common name where the listener has `peer_cert_as_username = cn` (or `dn`); without
/// one the client id alone names the client. Fields: <https://docs.emqx.com/en/emqx/latest/data-integration/rule-sql-events-and-fields.html>.
pub(super) fn emqx(line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
    let fields = Fields::parse(line)?;
    let event = match fields.first(&["event", "action"]) {
        Some(event) => event.replace('_', "."),
        None => return Err(fields.missing("event")),
    };
    let connects = event == "client.connected";
    if !connects && event != "client.disconnected" {
        return Ok(Vec::new());
    }
    let client = fields.need("clientid")?;
    let user = fields.first(&["cn", "cert_common_name", "username"]).filter(|user| user != "undefined");
    let name = user.map(|user| common_name(&user).unwrap_or(user));
    let client_id = name.is_none().then(|| client.clone());
    let identity = fields.identity(Names { common_name: name, client_id, ..Names::default() })?;
    let began = fields.need_time("connected_at")?;
    let session = format!("{client}@{}", began.micros());
    if connects {
        let peer = match fields.peer_with_port("peername")? {
            Some(peer) => Some(peer),
            None => fields.peer("ipaddress", "port")?,
        };
        let opened = Opened {
            time: began,
            received: fields.time("timestamp")?,
            event_id: Some(format!("{session}/open")),
            session,
            identity,
            peer,
            tls: None,
            client_id: Some(client),
        };
        return Ok(vec![opened.event(source)]);
    }
    let time = match fields.time("disconnected_at")? {
        Some(time) => time,
        None => fields.need_time("timestamp")?,
    };
    let reason = fields.text("reason").map(|reason| match reason.as_str() {
        "takenover" | "takeovered" | "discarded" => TAKEN_OVER.to_owned(),
        _ => reason,
    });
    let id = Some(format!("{session}/end"));
    let body = SessionEnd {
        session,
        duration_ms: u64::try_from(time.ms_since(began)).ok(),
        reason,
        ..SessionEnd::default()
    };
    Ok(vec![ended(source, time, id, identity, body)])
}

/// AWS IoT Core: life-cycle messages of `$aws/events/presence/#`. They may come twice and out of order; `event_id` is made
/// of session, version number and type, so that a repetition is one event.
///
/// `principalIdentifier` is the certificate's id, its SHA-256; principals of another form (an IAM role, a Cognito
/// identity) proved no key of a device. Fields: <https://docs.aws.amazon.com/iot/latest/developerguide/life-cycle-events.html>.
pub(super) fn aws(line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
    let fields = Fields::parse(line)?;
    let kind = fields.need("eventType")?;
    if !matches!(kind.as_str(), "connected" | "disconnected") {
        return Ok(Vec::new());
    }
    let principal = fields.need("principalIdentifier")?;
    if principal.len() != 64 || !principal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(fields.refused(Unproven::NoCertificate, "the principal is no certificate"));
    }
    let identity = fields.identity(Names { sha256: Some(principal), ..Names::default() })?;
    let session = fields.need("sessionIdentifier")?;
    let time = fields.need_time("timestamp")?;
    let version = fields.number("versionNumber")?.map_or_else(String::new, |version| version.to_string());
    let event_id = Some(format!("{session}/{version}/{kind}"));
    if kind == "connected" {
        let opened = Opened {
            time,
            received: None,
            session,
            identity,
            peer: fields.peer("ipAddress", "")?,
            tls: None,
            client_id: fields.text("clientId"),
            event_id,
        };
        return Ok(vec![opened.event(source)]);
    }
    let reason = fields.text("disconnectReason").map(|reason| match reason.as_str() {
        "DUPLICATE_CLIENTID" | "DUPLICATE_CLIENT_ID" => TAKEN_OVER.to_owned(),
        _ => reason,
    });
    let body = SessionEnd { session, reason, ..SessionEnd::default() };
    Ok(vec![ended(source, time, event_id, identity, body)])
}

/// Azure: MQTT sessions of Event Grid (`Microsoft.EventGrid.MQTTClientSessionConnected` and `…Disconnected`) and devices
/// of IoT Hub (`Microsoft.Devices.DeviceConnected` and `…Disconnected`), one an object or several in an array.
///
/// They carry no address. The sequence number orders them; a session is named by the one of its beginning. The name of an
/// MQTT client is the one it authenticated with; a device id of IoT Hub may have been proven by a shared secret, so it
/// is a client id alone. A batch with one bad entry is refused as a whole.
/// Fields: <https://learn.microsoft.com/en-us/azure/event-grid/event-schema-event-grid-namespace> and
/// <https://learn.microsoft.com/en-us/azure/event-grid/event-schema-iot-hub>.
#[derive(Debug)]
pub(super) struct Azure {
    open: Recent<String, (String, Timestamp)>,
}

impl Azure {
    pub(super) fn new() -> Self {
        Self { open: Recent::new() }
    }

    pub(super) fn read(&mut self, line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
        let mut events = Vec::new();
        for fields in objects(bare(line, MAX_BATCH_BYTES)?)? {
            events.extend(self.one(&fields, source)?);
        }
        Ok(events)
    }

    fn one(&mut self, fields: &Fields<'_>, source: &str) -> Result<Option<Event>, AdapterError> {
        let kind = fields.first(&["eventType", "type"]).ok_or_else(|| fields.missing("eventType"))?;
        let (connects, hub) = match kind.as_str() {
            "Microsoft.EventGrid.MQTTClientSessionConnected" => (true, false),
            "Microsoft.EventGrid.MQTTClientSessionDisconnected" => (false, false),
            "Microsoft.Devices.DeviceConnected" => (true, true),
            "Microsoft.Devices.DeviceDisconnected" => (false, true),
            _ => return Ok(None),
        };
        let time = match fields.time("eventTime")? {
            Some(time) => time,
            None => fields.need_time("time")?,
        };
        let (client, names, sequence) = if hub {
            let device = fields.need("data.deviceId")?;
            let client = match fields.text("data.moduleId") {
                Some(module) => format!("{device}/{module}"),
                None => device,
            };
            let names = Names { client_id: Some(client.clone()), ..Names::default() };
            (client, names, fields.need("data.deviceConnectionStateEventInfo.sequenceNumber")?)
        } else {
            let client = fields.need("data.clientSessionName")?;
            let name = fields.need("data.clientAuthenticationName")?;
            let name = common_name(&name).unwrap_or(name);
            (
                client,
                Names { common_name: Some(name), ..Names::default() },
                fields.need("data.sequenceNumber")?,
            )
        };
        let identity = fields.identity(names)?;
        let event_id = fields.text("id");
        if connects {
            let session = format!("{client}#{sequence}");
            self.open.insert(client.clone(), (session.clone(), time));
            let opened = Opened {
                time,
                received: None,
                session,
                identity,
                peer: None,
                tls: None,
                client_id: Some(client),
                event_id,
            };
            return Ok(Some(opened.event(source)));
        }
        // An end whose beginning was not seen, or that overtook it, names no session.
        let Some((session, began)) = self.open.remove(&client) else { return Ok(None) };
        let body = SessionEnd {
            session,
            duration_ms: u64::try_from(time.ms_since(began)).ok(),
            reason: fields.text("data.disconnectionReason"),
            ..SessionEnd::default()
        };
        Ok(Some(ended(source, time, event_id, identity, body)))
    }
}
