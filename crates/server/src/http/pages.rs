//! The dashboard's addresses, and metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::present;
use crate::app::App;
use crate::dashboard;
use crate::error::ServerError;

/// No more findings than this are handed out at once.
const MAX_FINDINGS: u32 = 10_000;

/// The dashboard.
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/device/{id}", get(device))
        .route("/finding/{id}", get(finding))
        .route("/fragment/overview/{part}", get(overview_part))
        .route("/fragment/device/{id}/{part}", get(device_part))
        .route("/fragment/finding/{id}/{part}", get(finding_part))
        .route("/assets/{name}", get(asset))
        .route("/api/findings", get(findings))
        .route("/metrics", get(metrics))
        .route("/favicon.ico", get(|| async { asset_named("emblem.svg", false) }))
        .fallback(missing)
        .with_state(Arc::clone(app))
        .layer(from_fn(protect))
}

/// Headers of every answer: nothing from elsewhere, no framing, no guessing of types.
async fn protect(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(dashboard::CONTENT_SECURITY_POLICY),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn html(status: StatusCode, page: String) -> Response {
    let mut response = (status, page).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page, or the page that says what went wrong.
async fn page(
    app: Arc<App>,
    make: impl FnOnce(&App) -> Result<String, ServerError> + Send + 'static,
) -> Response {
    match app.blocking(make).await {
        Ok(page) => html(StatusCode::OK, page),
        Err(error) => trouble(&app, &error),
    }
}

fn trouble(app: &App, error: &ServerError) -> Response {
    if error.status().is_server_error() {
        tracing::error!(code = error.code(), "{}", error.chain());
    }
    html(error.status(), dashboard::trouble(&present::trouble(app, error)))
}

/// A part of a page, for `live.js`: 304 when it has not changed.
async fn fragment(
    app: Arc<App>,
    headers: HeaderMap,
    make: impl FnOnce(&App) -> Result<Option<String>, ServerError> + Send + 'static,
) -> Response {
    let made = app.blocking(move |app| make(app)?.ok_or(ServerError::NotFound { what: "fragment" })).await;
    let body = match made {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let tag = dashboard::etag(&body);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes());
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { html(StatusCode::OK, body) };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

async fn overview(State(app): State<Arc<App>>) -> Response {
    page(app, |app| Ok(dashboard::overview(&present::overview(app)?))).await
}

async fn device(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    page(app, move |app| Ok(dashboard::device(&present::device(app, &id)?))).await
}

async fn finding(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    page(app, move |app| Ok(dashboard::finding(&present::finding(app, &id)?))).await
}

async fn overview_part(
    State(app): State<Arc<App>>,
    Path(part): Path<String>,
    headers: HeaderMap,
) -> Response {
    fragment(app, headers, move |app| Ok(dashboard::overview_fragment(&part, &present::overview(app)?))).await
}

async fn device_part(
    State(app): State<Arc<App>>,
    Path((id, part)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    fragment(app, headers, move |app| Ok(dashboard::device_fragment(&part, &present::device(app, &id)?)))
        .await
}

async fn finding_part(
    State(app): State<Arc<App>>,
    Path((id, part)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    fragment(app, headers, move |app| Ok(dashboard::finding_fragment(&part, &present::finding(app, &id)?)))
        .await
}

async fn asset(Path(name): Path<String>, uri: Uri) -> Response {
    // Pages ask with the content's digest as query, so that answer may be kept for ever.
    asset_named(&name, uri.query().is_some())
}

fn asset_named(name: &str, for_ever: bool) -> Response {
    let Some((content_type, bytes)) = dashboard::asset(name) else {
        return ServerError::NotFound { what: "asset" }.into_response();
    };
    let mut response = (StatusCode::OK, bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let keep = if for_ever { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    if let Err(error) = app.blocking(App::measure).await {
        return error.into_response();
    }
    let mut response = (StatusCode::OK, app.metrics.text()).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    response
}

/// Findings, newest first, one `touchmark.finding/1` a line.
async fn findings(State(app): State<Arc<App>>) -> Response {
    let lines = app.blocking(|app| app.watch().log().findings(MAX_FINDINGS)).await;
    match lines {
        Ok(lines) => {
            let body: String = lines.into_iter().map(|line| line + "\n").collect();
            let mut response = (StatusCode::OK, body).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => error.into_response(),
    }
}

async fn missing(State(app): State<Arc<App>>) -> Response {
    trouble(&app, &ServerError::NotFound { what: "page" })
}
