//! The control socket's one address.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::routing::post;
use axum::{Json, Router};

use super::json;
use crate::app::App;
use crate::control::{Act, Outcome, on_server};
use crate::error::ServerError;

/// The operator's acts.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/act", post(act))
}

async fn act(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Json<Outcome>, ServerError> {
    let act: Act = json(request).await?;
    let outcome = app
        .blocking(move |app| {
            let outcome = on_server(app, &act)?;
            // The act stands whatever follows; what cannot be told now is told at the next change or start.
            let told = match &outcome {
                Outcome::Changed { device, dry_run: false, .. } => app.after_change(device),
                Outcome::ClassBroken { dry_run: false, .. } => app.tell_monitor(None),
                _ => Ok(()),
            };
            if let Err(error) = told {
                tracing::error!(code = error.code(), "after {act:?}: {}", error.chain());
            }
            Ok(outcome)
        })
        .await?;
    Ok(Json(outcome))
}
