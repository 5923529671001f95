//! Enrolment over Secure Transport (RFC 7030), for any client that speaks it: `cacerts`, `csrattrs`, `simpleenroll`,
//! `simplereenroll`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use touchmark_authority::csr::ProvenRequest;
use touchmark_authority::enrol::{Enrolled, Ticket};
use touchmark_authority::est::{Wrapping, certs_only, csr_attributes, encode_body};
use touchmark_authority::x509::HeldCertificate;

use super::serve::ClientCertificate;
use super::{basic_ticket, body};
use crate::app::App;
use crate::error::ServerError;

/// The EST operations.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/est/cacerts", get(ca_certificates))
        .route("/.well-known/est/csrattrs", get(attributes))
        .route("/.well-known/est/simpleenroll", post(simple_enrol))
        .route("/.well-known/est/simplereenroll", post(simple_reenrol))
        .route("/.well-known/est/serverkeygen", post(|| not_offered("serverkeygen")))
        .route("/.well-known/est/fullcmc", post(|| not_offered("fullcmc")))
}

async fn not_offered(operation: &'static str) -> Response {
    ServerError::NotOffered { operation }.into_response()
}

/// Clients disagree about line breaks: one refuses a single line, another, which names no user agent, refuses breaks.
fn wrapping(headers: &HeaderMap) -> Wrapping {
    if headers.contains_key(header::USER_AGENT) { Wrapping::Lines } else { Wrapping::None }
}

fn answer(content_type: &'static str, der: &[u8], wrapping: Wrapping) -> Response {
    let mut response = (StatusCode::OK, encode_body(der, wrapping)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // RFC 7030 §4.1.3 asks for it, RFC 8951 §3.1 has receivers ignore it: old clients look for it.
    headers.insert("content-transfer-encoding", HeaderValue::from_static("base64"));
    response
}

async fn ca_certificates(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ServerError> {
    let message = app
        .blocking(|app| {
            let authority = app.authority();
            let (issuing, root) =
                (&authority.issuing().certificate().der, &authority.root().certificate().der);
            Ok(certs_only(&[issuing.as_slice(), root.as_slice()])?)
        })
        .await?;
    Ok(answer("application/pkcs7-mime; smime-type=certs-only", &message, wrapping(&headers)))
}

async fn attributes(headers: HeaderMap) -> Result<Response, ServerError> {
    Ok(answer("application/csrattrs", &csr_attributes()?, wrapping(&headers)))
}

/// RFC 7030 §4.2.1: the body is `application/pkcs10`. A client that names no type is heard as well.
fn must_be_pkcs10(headers: &HeaderMap) -> Result<(), ServerError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/pkcs10")
        || kind.eq_ignore_ascii_case("application/octet-stream")
    {
        Ok(())
    } else {
        Err(ServerError::NotAcceptable { expected: "content type application/pkcs10" })
    }
}

async fn simple_enrol(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, ServerError> {
    let checked = async {
        must_be_pkcs10(request.headers())?;
        let ticket = basic_ticket(request.headers())?;
        let wrapping = wrapping(request.headers());
        Ok((ticket, wrapping, body(request).await?))
    };
    let (ticket, wrapping, bytes) =
        checked.await.inspect_err(|e: &ServerError| app.metrics.refused(e.code()))?;
    let enrolled = app
        .blocking(move |app| {
            let request = ProvenRequest::from_any(&bytes)?;
            let ticket = Ticket { device: &ticket.device, token: &ticket.token };
            let enrolled = app.authority().simple_enrol(&ticket, &request, app.now())?;
            app.after_issue(&enrolled.key.device);
            Ok(enrolled)
        })
        .await?;
    issued(&enrolled, wrapping)
}

async fn simple_reenrol(
    State(app): State<Arc<App>>,
    certificate: Option<Extension<ClientCertificate>>,
    request: Request<Body>,
) -> Result<Response, ServerError> {
    let checked = async {
        must_be_pkcs10(request.headers())?;
        // RFC 7030 §3.3.2: the certificate that is renewed authenticates the request.
        let Extension(certificate) = certificate.ok_or(ServerError::Unauthenticated)?;
        let wrapping = wrapping(request.headers());
        Ok((certificate, wrapping, body(request).await?))
    };
    let (presented, wrapping, bytes) =
        checked.await.inspect_err(|e: &ServerError| app.metrics.refused(e.code()))?;
    let enrolled = app
        .blocking(move |app| {
            let certificate = HeldCertificate::from_der(&presented.der)?;
            let request = ProvenRequest::from_any(&bytes)?;
            app.renew(&certificate, &request, presented.from)
        })
        .await?;
    issued(&enrolled, wrapping)
}

fn issued(enrolled: &Enrolled, wrapping: Wrapping) -> Result<Response, ServerError> {
    // RFC 7030 §4.2.3: the response holds "only the certificate that was issued".
    let message = certs_only(&[enrolled.certificate.der.as_slice()])?;
    Ok(answer("application/pkcs7-mime; smime-type=certs-only", &message, wrapping))
}
