//! What anybody may ask: CRLs, OCSP, CA certificates.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64ct::{Base64, Encoding};
use touchmark_authority::AuthorityError;
use touchmark_authority::crl::CaName;
use touchmark_authority::ocsp;

use super::body;
use crate::app::App;
use crate::error::ServerError;

/// The revocation endpoints.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/crl/{file}", get(crl))
        .route("/ca/{file}", get(certificate))
        .route("/ocsp", post(ocsp_post))
        .route("/ocsp/", post(ocsp_post))
        .route("/ocsp/{*request}", get(ocsp_get))
}

fn der(content_type: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = (StatusCode::OK, bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // A revocation has to be visible at once, so no cache may answer for us.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn crl(State(app): State<Arc<App>>, Path(file): Path<String>) -> Result<Response, ServerError> {
    let ca = match file.as_str() {
        "issuing.crl" => CaName::Issuing,
        "root.crl" => CaName::Root,
        _ => return Err(ServerError::NotFound { what: "CRL" }),
    };
    let bytes = app.blocking(move |app| Ok(app.authority().crl(ca)?.der)).await?;
    // RFC 2585 §4.2.
    Ok(der("application/pkix-crl", bytes))
}

async fn certificate(State(app): State<Arc<App>>, Path(file): Path<String>) -> Result<Response, ServerError> {
    let (issuing, pem) = match file.as_str() {
        "issuing.cer" => (true, false),
        "root.cer" => (false, false),
        "issuing.pem" => (true, true),
        "root.pem" => (false, true),
        _ => return Err(ServerError::NotFound { what: "certificate" }),
    };
    let held = app
        .blocking(move |app| {
            let authority = app.authority();
            let ca = if issuing { authority.issuing() } else { authority.root() };
            Ok(ca.certificate().clone())
        })
        .await?;
    Ok(if pem {
        der("application/x-pem-file", held.pem()?.into_bytes())
    } else {
        // RFC 2585 §4.1.
        der("application/pkix-cert", held.der)
    })
}

async fn ocsp_post(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, ServerError> {
    answer(app, body(request).await?).await
}

/// RFC 6960 appendix A.1: the request in base64, percent-encoded, as the last part of the address.
async fn ocsp_get(State(app): State<Arc<App>>, Path(encoded): Path<String>) -> Result<Response, ServerError> {
    answer(app, Base64::decode_vec(&encoded).unwrap_or_default()).await
}

async fn answer(app: Arc<App>, request: Vec<u8>) -> Result<Response, ServerError> {
    let bytes = app
        .blocking(move |app| {
            let answered = app.authority().ocsp(&request, app.now());
            match answered {
                Err(AuthorityError::BadOcspRequest) => {
                    app.metrics.refused(AuthorityError::BadOcspRequest.code());
                    Ok(ocsp::malformed())
                }
                other => Ok(other?),
            }
        })
        .await?;
    Ok(der("application/ocsp-response", bytes))
}
