//! `POST /v1/events`: events over HTTP, durable before they are acknowledged.
//!
//! The content type says how the body is read: `application/x-ndjson` (one event a line), `application/json` (one event
//! or an array), `application/cloudevents+json` (the event in `data`) and `application/cloudevents-batch+json` (an array of
//! such). An event without `event_id` gets the `id` of its envelope. What is no event is counted in the answer by reason,
//! and the others are taken: sending a body again changes nothing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::error::ServerError;
use crate::http::{nothing_here, wrong_method};
use crate::stream::desk::Desk;

/// No body is larger than this, in bytes.
const MAX_BODY_BYTES: usize = 8 << 20;
/// A client has this long to send a body.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// The input's name in counters.
pub const NAME: &str = "http";

/// A CloudEvent in the JSON format, as far as it is read.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The routes.
pub fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/v1/events", post(events))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .with_state(desk)
}

async fn events(State(desk): State<Arc<Desk>>, request: Request<Body>) -> Result<Response, ServerError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let read: fn(&[u8]) -> Result<Vec<u8>, ServerError> = match kind.as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => ndjson,
        "application/json" => json_lines,
        "application/cloudevents+json" => |body| envelopes(std::slice::from_ref(&parse::<&RawValue>(body)?)),
        "application/cloudevents-batch+json" => |body| envelopes(&parse::<Vec<&RawValue>>(body)?),
        _ => {
            return Err(ServerError::NotAcceptable {
                expected: "application/x-ndjson, application/json, application/cloudevents+json or \
                           application/cloudevents-batch+json",
            });
        }
    };
    let body = body(request).await?;
    let taken = desk.blocking(move |desk| desk.take(NAME, read(&body)?, None)).await?;
    let refused: serde_json::Map<String, serde_json::Value> = taken
        .refused
        .iter()
        .map(|(reason, (number, example))| {
            ((*reason).to_owned(), json!({ "lines": number, "example": example }))
        })
        .collect();
    let answer = json!({ "schema": "touchmark.accepted/1", "events": taken.events, "refused": refused });
    Ok(Json(answer).into_response())
}

async fn body(request: Request<Body>) -> Result<Vec<u8>, ServerError> {
    let reading = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    match tokio::time::timeout(PATIENCE, reading).await {
        Err(_) => {
            Err(ServerError::BadBody { detail: format!("it took longer than {} s", PATIENCE.as_secs()) })
        }
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(ServerError::TooLarge { limit: MAX_BODY_BYTES })
        }
        Ok(Err(error)) => Err(ServerError::BadBody { detail: format!("it ended early: {error}") }),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ServerError> {
    serde_json::from_slice(body).map_err(|error| ServerError::BadBody {
        detail: touchmark_identity::text::printable(&error.to_string(), 200),
    })
}

fn ndjson(body: &[u8]) -> Result<Vec<u8>, ServerError> {
    let mut lines = body.to_vec();
    lines.push(b'\n');
    Ok(lines)
}

/// One event or an array of them, each on a line of its own.
fn json_lines(body: &[u8]) -> Result<Vec<u8>, ServerError> {
    let events: Vec<&RawValue> =
        if body.trim_ascii_start().starts_with(b"[") { parse(body)? } else { vec![parse(body)?] };
    let mut lines = Vec::with_capacity(body.len());
    for event in events {
        line(event.get(), &mut lines);
    }
    Ok(lines)
}

/// Line feeds within JSON stand between its parts alone, where white space is as good.
fn line(json: &str, lines: &mut Vec<u8>) {
    lines.extend(json.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    lines.push(b'\n');
}

fn envelopes(all: &[&RawValue]) -> Result<Vec<u8>, ServerError> {
    let mut lines = Vec::new();
    for envelope in all {
        let Envelope { id, data } = parse(envelope.get().as_bytes())?;
        // Only an object can be an event; anything else is refused as a line, with its reason.
        match parse::<serde_json::Map<String, serde_json::Value>>(data.get().as_bytes()) {
            Ok(mut event) if !event.contains_key("event_id") => {
                event.insert("event_id".to_owned(), id.into_owned().into());
                line(&serde_json::Value::Object(event).to_string(), &mut lines);
            }
            _ => line(data.get(), &mut lines),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_lines() {
        assert_eq!(json_lines(b" {\"a\":\n1}").unwrap(), b"{\"a\": 1}\n");
        assert_eq!(json_lines(b"[{\"a\":1},\r\n{\"b\":\"\\n\"}]").unwrap(), b"{\"a\":1}\n{\"b\":\"\\n\"}\n");
        assert!(json_lines(b"[{]").is_err());
        assert!(json_lines(b"{} {}").is_err());
    }

    #[test]
    fn an_envelope_gives_its_id() {
        let one = br#"{"specversion":"1.0","id":"7","source":"s","type":"t","data":{"a":1}}"#;
        let read = |body: &[u8]| envelopes(&parse::<Vec<&RawValue>>(body).unwrap());
        let array = [b"[".as_slice(), one, b",", br#"{"id":"8","data":{"event_id":"x"}}"#, b"]"].concat();
        assert_eq!(read(&array).unwrap(), b"{\"a\":1,\"event_id\":\"7\"}\n{\"event_id\":\"x\"}\n");
        assert_eq!(read(br#"[{"id":"9","data":"text"}]"#).unwrap(), b"\"text\"\n");
        assert!(read(br#"[{"data":{}}]"#).is_err());
    }
}
