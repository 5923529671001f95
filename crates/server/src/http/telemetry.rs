//! Heartbeats, behind the operator's terminator.
//!
//! The terminator checks the device's certificate and forwards it, with the device's address, over a Unix socket that
//! only it may open. What it says is believed; which device that is, and whether it is in service, is the registry's
//! to say.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use touchmark_authority::AuthorityError;
use touchmark_authority::registry::{CertificateStatus, DeviceStatus};
use touchmark_authority::x509::HeldCertificate;
use touchmark_identity::event::{Event, EventBody, Heartbeat, IdentityRef, Peer};
use touchmark_identity::ids::DeviceId;
use touchmark_identity::key::{SpkiHash, sha256};
use touchmark_identity::text::printable;
use touchmark_identity::timestamp::Timestamp;

use super::{body, json};
use crate::app::App;
use crate::error::ServerError;
use crate::events::{Continuity, NewEvent};
use crate::respond::challenge::{AnswerBody, ChallengeBody};
use crate::respond::instances::Sight;

/// The source name of heartbeat events.
pub const SOURCE: &str = "telemetry";
/// Header with the client's certificate: PEM, percent-encoded (`$ssl_client_escaped_cert`).
pub const CERTIFICATE_HEADER: &str = "x-touchmark-client-certificate";
/// Header with the client's address (`$remote_addr`).
pub const ADDRESS_HEADER: &str = "x-touchmark-client-address";
/// Header with the client's port (`$remote_port`).
pub const PORT_HEADER: &str = "x-touchmark-client-port";
/// Header with the terminator's name for the connection (`$connection`).
pub const CONNECTION_HEADER: &str = "x-touchmark-connection";

#[derive(Debug, Deserialize)]
struct HeartbeatBody {
    counter: u64,
    uptime_ms: u64,
    boot_count: u64,
    firmware: String,
    security_version: u64,
    #[serde(default)]
    device_type: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    device_time: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct AckBody {
    schema: &'static str,
    token: String,
    received: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<ChallengeBody>,
}

/// What became of an instance's answer to a challenge.
#[derive(Debug, Serialize)]
struct VerdictBody {
    schema: &'static str,
    verdict: &'static str,
    says: String,
}

/// The telemetry back end.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/heartbeat", post(heartbeat)).route("/v1/challenge", post(challenge))
}

/// Who sent it, as the terminator says.
#[derive(Debug)]
struct Sender {
    certificate: HeldCertificate,
    peer: Option<Peer>,
    session: Option<String>,
}

fn sender(headers: &HeaderMap) -> Result<Sender, ServerError> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).filter(|v| !v.is_empty());
    let escaped = text(CERTIFICATE_HEADER).ok_or(ServerError::Unauthenticated)?;
    let unknown = |detail: &str| ServerError::UnknownCertificate { detail: detail.to_owned() };
    let pem =
        percent_decode(escaped).ok_or_else(|| unknown("the forwarded certificate is not percent-encoded"))?;
    let (_, der) = der::pem::decode_vec(&pem).map_err(|_| unknown("the forwarded certificate is not PEM"))?;
    let peer = text(ADDRESS_HEADER).and_then(|a| a.parse::<IpAddr>().ok()).map(|ip| {
        let port = text(PORT_HEADER).and_then(|p| p.parse().ok());
        Peer { port, ..Peer::at(ip) }
    });
    Ok(Sender {
        certificate: HeldCertificate::from_der(&der)?,
        peer,
        session: text(CONNECTION_HEADER).map(str::to_owned),
    })
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut decoded = [0];
            hex::decode_to_slice([rest.next()?, rest.next()?], &mut decoded).ok()?;
            bytes.extend(decoded);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

async fn heartbeat(
    State(app): State<Arc<App>>,
    request: Request<Body>,
) -> Result<Json<AckBody>, ServerError> {
    let checked = async { Ok((sender(request.headers())?, body(request).await?)) };
    let (sender, bytes) = checked.await.inspect_err(|e: &ServerError| app.metrics.refused(e.code()))?;
    app.blocking(move |app| take(app, sender, &bytes)).await.map(Json)
}

/// An instance's answer to a challenge. One that is on hold or has lost its rights may answer as well.
async fn challenge(
    State(app): State<Arc<App>>,
    request: Request<Body>,
) -> Result<Json<VerdictBody>, ServerError> {
    let checked = async { Ok((sender(request.headers())?, json::<AnswerBody>(request).await?)) };
    let (sender, answer) = checked.await.inspect_err(|e: &ServerError| app.metrics.refused(e.code()))?;
    app.blocking(move |app| {
        let (device, ..) = identify(app, &sender.certificate)?;
        let key = sender.certificate.public_key()?;
        let (verdict, says) = app.answer_challenge(&device, &key, &answer)?;
        Ok(VerdictBody { schema: "touchmark.challenge-verdict/1", verdict: verdict.as_str(), says })
    })
    .await
    .map(Json)
}

/// The event of a heartbeat.
fn event_of(
    device: &DeviceId,
    spki: SpkiHash,
    sender: Sender,
    beat: HeartbeatBody,
    bytes: &[u8],
    continuity: &Continuity,
) -> Event {
    Event {
        time: continuity.received,
        received: None,
        source: SOURCE.to_owned(),
        event_id: Some(continuity.token.clone()),
        identity: IdentityRef {
            spki_sha256: Some(spki),
            common_name: Some(device.to_string()),
            ..IdentityRef::default()
        },
        body: EventBody::Heartbeat(Box::new(Heartbeat {
            session: sender.session,
            peer: sender.peer,
            counter: Some(beat.counter),
            uptime_ms: Some(beat.uptime_ms),
            boot_count: Some(beat.boot_count),
            firmware: Some(beat.firmware),
            security_version: Some(beat.security_version),
            device_type: beat.device_type,
            token: beat.token,
            token_issued: Some(continuity.token.clone()),
            device_time: beat.device_time,
            bytes: u64::try_from(bytes.len()).ok(),
            ..Heartbeat::default()
        })),
    }
}

fn take(app: &App, sender: Sender, bytes: &[u8]) -> Result<AckBody, ServerError> {
    let (device, spki, refusal) = identify(app, &sender.certificate)?;
    let beat: HeartbeatBody = serde_json::from_slice(bytes)
        .map_err(|e| ServerError::BadBody { detail: printable(&e.to_string(), 200) })?;
    let now = app.now();
    let mut token = [0; 16];
    aws_lc_rs::rand::fill(&mut token)
        .map_err(|_| ServerError::Tls { detail: "no random bytes".to_owned() })?;
    let content_sha256 = sha256(bytes);
    let continuity = Continuity { content_sha256, token: hex::encode(token), received: now };
    let event = event_of(&device, spki, sender, beat, bytes, &continuity);
    let sight = Sight::of(&event).map(|(sight, _)| sight).unwrap_or_default();
    let ruling = app.responses.orders().rule(device.as_str(), &sight);
    let challenge = ruling.question.map(ChallengeBody::from);
    if let Some(finding) = ruling.refused_for {
        // It will come again as it is, which the monitor would take for a replay, so it is no event.
        let (device, finding) = (device.to_string(), finding.to_string());
        return Err(ServerError::RightsReduced { device, finding, challenge });
    }
    // A device that got no answer sends the same heartbeat again, and gets the same answer.
    if let Some(last) =
        app.watch().log().continuity(&spki)?.filter(|last| last.content_sha256 == content_sha256)
    {
        return match refusal {
            None => Ok(ack(last.token, last.received, challenge)),
            Some(refusal) => Err(refusal),
        };
    }
    let new = NewEvent {
        event: &event,
        device: Some(device.as_str()),
        continuity: Some((&spki, &continuity)),
        place: None,
    };
    app.accept(&new)?;
    app.responses.orders().follow(device.as_str(), &sight, &continuity.token);
    // What a device on hold says is evidence: it is written down, and refused.
    match refusal {
        None => Ok(ack(continuity.token, now, challenge)),
        Some(refusal) => Err(refusal),
    }
}

fn ack(token: String, received: Timestamp, challenge: Option<ChallengeBody>) -> AckBody {
    AckBody { schema: "touchmark.heartbeat-ack/1", token, received, challenge }
}

/// The device behind a forwarded certificate, and why it is not in service, if so.
fn identify(
    app: &App,
    presented: &HeldCertificate,
) -> Result<(DeviceId, SpkiHash, Option<ServerError>), ServerError> {
    let unknown = |detail: &str| ServerError::UnknownCertificate { detail: detail.to_owned() };
    let mut authority = app.authority();
    let record = authority
        .registry()
        .certificate(&presented.serial())
        .map_err(AuthorityError::from)?
        .filter(|record| record.der.as_deref() == Some(presented.der.as_slice()))
        .ok_or_else(|| unknown("it is not in the registry"))?;
    let device = record.device.clone().ok_or_else(|| unknown("it is not a device's"))?;
    authority.note_use(&record, app.now())?;
    let status = authority.known(&device)?.status;
    drop(authority);
    let refusal = (record.status != CertificateStatus::Good || status != DeviceStatus::Enrolled).then(|| {
        let status = format!("{status}, its certificate {}", record.status.as_str());
        ServerError::NotInService { device: device.to_string(), status }
    });
    Ok((device, record.spki_sha256, refusal))
}
