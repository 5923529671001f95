//! Enrolment with evidence: `begin` gives nonce and challenge, `complete` takes evidence and request.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use touchmark_attest::tpm::ClaimedIdentity;
use touchmark_authority::enrol::{Finish, Ticket};
use touchmark_identity::assurance::{Grade, KeyAssurance, Storage};

use super::{basic_ticket, json};
use crate::app::App;
use crate::error::ServerError;

/// What a device sends first.
#[derive(Debug, Deserialize)]
pub struct BeginBody {
    claims: Storage,
    #[serde(default)]
    endorsement: Option<EndorsementBody>,
}

#[derive(Debug, Deserialize)]
struct EndorsementBody {
    #[serde(with = "hex::serde")]
    ek_certificate: Vec<u8>,
    #[serde(default)]
    ek_chain: Vec<String>,
    #[serde(with = "hex::serde")]
    ek_public: Vec<u8>,
    #[serde(with = "hex::serde")]
    ak_public: Vec<u8>,
}

#[derive(Debug, Serialize)]
struct BegunBody {
    schema: &'static str,
    session: String,
    nonce: String,
    challenge: Option<ChallengeBody>,
    refusal: Option<String>,
}

#[derive(Debug, Serialize)]
struct ChallengeBody {
    credential_blob: String,
    encrypted_secret: String,
}

/// What a device sends last.
#[derive(Debug, Deserialize)]
pub struct CompleteBody {
    #[serde(with = "hex::serde")]
    session: Vec<u8>,
    #[serde(with = "hex::serde")]
    csr: Vec<u8>,
    #[serde(default)]
    evidence: Option<String>,
    #[serde(default)]
    activated_secret: Option<String>,
}

#[derive(Debug, Serialize)]
struct EnrolledBody {
    schema: &'static str,
    certificate: String,
    chain: String,
    assurance: KeyAssurance,
    grade: Grade,
    reasons: Vec<String>,
}

/// The two steps.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/touchmark/v1/enrol/begin", post(begin))
        .route("/touchmark/v1/enrol/complete", post(complete))
}

fn from_hex(name: &'static str, text: &str) -> Result<Vec<u8>, ServerError> {
    hex::decode(text)
        .map_err(|e| ServerError::BadBody { detail: format!("{name} is not written in hex: {e}") })
}

async fn begin(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Json<BegunBody>, ServerError> {
    let checked = async { Ok((basic_ticket(request.headers())?, json::<BeginBody>(request).await?)) };
    let (ticket, begin) = checked.await.inspect_err(|e: &ServerError| app.metrics.refused(e.code()))?;
    let begun = app
        .blocking(move |app| {
            let endorsement = match begin.endorsement {
                None => None,
                Some(e) => Some(ClaimedIdentity {
                    ek_certificate: e.ek_certificate,
                    ek_chain: e.ek_chain.iter().map(|c| from_hex("ek_chain", c)).collect::<Result<_, _>>()?,
                    ek_public: e.ek_public,
                    ak_public: e.ak_public,
                }),
            };
            let ticket = Ticket { device: &ticket.device, token: &ticket.token };
            Ok(app.authority().begin(&ticket, begin.claims, endorsement.as_ref(), app.now())?)
        })
        .await?;
    Ok(Json(BegunBody {
        schema: "touchmark.enrol-begin/1",
        session: hex::encode(begun.session),
        nonce: hex::encode(begun.nonce),
        challenge: begun.challenge.map(|(blob, secret)| ChallengeBody {
            credential_blob: hex::encode(blob),
            encrypted_secret: hex::encode(secret),
        }),
        refusal: begun.refusal,
    }))
}

async fn complete(
    State(app): State<Arc<App>>,
    request: Request<Body>,
) -> Result<Json<EnrolledBody>, ServerError> {
    let checked = async { Ok((basic_ticket(request.headers())?, json::<CompleteBody>(request).await?)) };
    let (ticket, complete) = checked.await.inspect_err(|e: &ServerError| app.metrics.refused(e.code()))?;
    let body = app
        .blocking(move |app| {
            let evidence = complete.evidence.as_deref().map(|e| from_hex("evidence", e)).transpose()?;
            let secret =
                complete.activated_secret.as_deref().map(|s| from_hex("activated_secret", s)).transpose()?;
            let finish = Finish {
                session: &complete.session,
                csr: &complete.csr,
                evidence: evidence.as_deref(),
                activated_secret: secret.as_deref(),
            };
            let ticket = Ticket { device: &ticket.device, token: &ticket.token };
            let mut authority = app.authority();
            let enrolled = authority.finish(&ticket, &finish, app.now())?;
            let chain =
                [authority.issuing().certificate().pem()?, authority.root().certificate().pem()?].concat();
            drop(authority);
            app.after_issue(&enrolled.key.device);
            Ok(EnrolledBody {
                schema: "touchmark.enrolled/1",
                certificate: enrolled.certificate.pem()?,
                chain,
                grade: enrolled.key.assurance.grade(),
                assurance: enrolled.key.assurance,
                reasons: enrolled.key.reasons,
            })
        })
        .await?;
    Ok(Json(body))
}
