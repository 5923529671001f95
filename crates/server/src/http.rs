//! What the server answers over HTTP, by listener.

pub mod control;
pub mod enrol;
pub mod est;
pub mod pages;
pub mod present;
pub mod public;
pub mod serve;
pub mod telemetry;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64ct::{Base64, Encoding};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use touchmark_identity::ids::DeviceId;
use touchmark_identity::text::printable;
use zeroize::Zeroizing;

use crate::error::ServerError;

/// No request body is larger than this, in bytes.
pub const MAX_BODY_BYTES: usize = 128 * 1024;

/// A client has this long to send a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads a whole body, up to the limit of size and time.
///
/// # Errors
/// [`ServerError::TooLarge`] above the limit, which is noticed while reading; [`ServerError::BadBody`] when the
/// connection breaks.
pub async fn body(request: Request<Body>) -> Result<Vec<u8>, ServerError> {
    let reading = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    let Ok(read) = tokio::time::timeout(PATIENCE, reading).await else {
        return Err(ServerError::BadBody { detail: format!("it took longer than {} s", PATIENCE.as_secs()) });
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(ServerError::TooLarge { limit: MAX_BODY_BYTES })
        }
        Err(error) => Err(ServerError::BadBody { detail: format!("it ended early: {error}") }),
    }
}

/// Reads a JSON body.
///
/// # Errors
/// [`ServerError::BadBody`], saying at which line and column, and the errors of [`body`].
pub async fn json<T: serde::de::DeserializeOwned>(request: Request<Body>) -> Result<T, ServerError> {
    let bytes = body(request).await?;
    serde_json::from_slice(&bytes)
        .map_err(|e| ServerError::BadBody { detail: printable(&e.to_string(), 200) })
}

/// Device id and token from HTTP Basic authentication (RFC 7617), as RFC 7030 §3.2.3 allows.
#[derive(Debug)]
pub struct BasicTicket {
    /// The device.
    pub device: DeviceId,
    /// The one-time token.
    pub token: Zeroizing<String>,
}

/// Reads the ticket from the headers.
///
/// # Errors
/// [`ServerError::Unauthenticated`] when there is none that can be read.
pub fn basic_ticket(headers: &HeaderMap) -> Result<BasicTicket, ServerError> {
    let missing = || ServerError::Unauthenticated;
    let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).ok_or_else(missing)?;
    let (scheme, encoded) = value.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(missing());
    }
    let decoded = Zeroizing::new(Base64::decode_vec(encoded.trim()).map_err(|_| missing())?);
    let text = std::str::from_utf8(&decoded).map_err(|_| missing())?;
    let (device, token) = text.split_once(':').ok_or_else(missing)?;
    Ok(BasicTicket {
        device: DeviceId::new(device).map_err(|_| missing())?,
        token: Zeroizing::new(token.to_owned()),
    })
}

/// The answer to an address that is not there.
pub async fn nothing_here() -> Response {
    ServerError::NotFound { what: "resource" }.into_response()
}

/// The answer to a method that an address does not take.
pub async fn wrong_method() -> Response {
    let mut response = ServerError::NotAcceptable { expected: "another method" }.into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn a_ticket_is_read() {
        let ticket = basic_ticket(&headers("basic bWV0ZXItMTphOmI=")).unwrap();
        assert_eq!((ticket.device.as_str(), ticket.token.as_str()), ("meter-1", "a:b"));
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        for value in ["", "Basic", "Basic !!", "Bearer bWV0ZXItMTphOmI=", "Basic bWV0ZXI=", "Basic LTE6YQ=="]
        {
            assert!(matches!(basic_ticket(&headers(value)), Err(ServerError::Unauthenticated)), "{value}");
        }
        assert!(basic_ticket(&HeaderMap::new()).is_err());
    }
}
