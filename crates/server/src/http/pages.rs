//! The dashboard's addresses, and metrics.
//!
//! Three addresses take forms. The dashboard has no login, so what protects them is that a browser says where a form
//! comes from: its own page, under a name that is this dashboard's. That a foreign page cannot give the dashboard a
//! name of its own (DNS rebinding) is why names have to be listed, and numeric addresses do not.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Form, FromRequest, Path, Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use touchmark_economics::posture::Answers;

use super::present::{self, FilterQuery};
use crate::app::App;
use crate::dashboard;
use crate::decide::{self, Asked, Export, Subject};
use crate::error::ServerError;
use crate::triage::{Ceiling, Decision, Flaw, MAX_SUPPRESSION_S, NewTriage, Reason, Suppression};

/// No more findings than this are handed out at once.
const MAX_FINDINGS: u32 = 10_000;

/// The dashboard.
pub fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/device/{id}", get(device))
        .route("/device/{id}/timeline", get(history))
        .route("/findings", get(findings_list))
        .route("/finding/{id}", get(finding))
        .route("/finding/{id}/triage", post(decide))
        .route("/triage/{seq}/undo", post(undo))
        .route("/finding/{id}/case", post(decide_case))
        .route("/event/{seq}", get(event))
        .route("/sources", get(sources))
        .route("/decide/{subject}", get(model))
        .route("/decide/{subject}/{file}", get(model_export))
        .route("/fragment/decide/{subject}", get(model_part))
        .route("/fragment/findings/{part}", get(findings_part))
        .route("/fragment/sources/{part}", get(sources_part))
        .route("/fragment/overview/{part}", get(overview_part))
        .route("/fragment/device/{id}/{part}", get(device_part))
        .route("/fragment/finding/{id}/{part}", get(finding_part))
        .route("/assets/{name}", get(asset))
        .route("/api/findings", get(findings))
        .route("/api/cases", get(cases))
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
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
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

/// The page of a device's timeline that begins below this number.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Before {
    before: String,
}

async fn history(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(from): Query<Before>,
) -> Response {
    page(app, move |app| Ok(dashboard::history(&present::history(app, &id, from.before.parse().ok())?))).await
}

async fn findings_list(State(app): State<Arc<App>>, Query(query): Query<FilterQuery>) -> Response {
    page(app, move |app| Ok(dashboard::findings(&present::findings(app, &query)?))).await
}

async fn sources(State(app): State<Arc<App>>) -> Response {
    page(app, |app| Ok(dashboard::sources(&present::sources(app)))).await
}

fn subject(word: &str) -> Result<Subject, ServerError> {
    Subject::of(word).ok_or(ServerError::NotFound { what: "model" })
}

fn own() -> Result<&'static decide::Own, ServerError> {
    Ok(decide::Own::get()?)
}

/// What the registry answers, where the model asks it.
fn fleet_answers(app: &App, subject: Subject) -> Answers {
    match subject {
        Subject::Posture => app.fleet.answers(&app.data, app.now()),
        Subject::Cost | Subject::Attack => Answers::default(),
    }
}

async fn model(
    State(app): State<Arc<App>>,
    Path(word): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    page(app, move |app| {
        let subject = subject(&word)?;
        let asked = Asked::new(pairs);
        let fleet = fleet_answers(app, subject);
        Ok(dashboard::model(&decide::model(subject, &asked, present::frame(app), own()?, &fleet)))
    })
    .await
}

/// The report alone, for `sliders.js`. What cannot be computed is said as plain text.
async fn model_part(
    State(app): State<Arc<App>>,
    Path(word): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let made = app
        .blocking(move |app| {
            let subject = subject(&word)?;
            Ok(decide::fragment(subject, &Asked::new(pairs), own()?, &fleet_answers(app, subject)))
        })
        .await;
    match made {
        Ok(Ok(report)) => html(StatusCode::OK, report),
        Ok(Err(why)) => (StatusCode::UNPROCESSABLE_ENTITY, why).into_response(),
        Err(error) => error.into_response(),
    }
}

/// The report as a file.
async fn model_export(
    State(app): State<Arc<App>>,
    Path((word, file)): Path<(String, String)>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let made = app
        .blocking(move |app| {
            let subject = subject(&word)?;
            let form = Export::ALL.into_iter().find(|form| file == format!("report.{}", form.extension()));
            let form = form.ok_or(ServerError::NotFound { what: "form of a report" })?;
            let report = decide::report(subject, &Asked::new(pairs), own()?, &fleet_answers(app, subject));
            Ok(report.and_then(|report| {
                Ok((
                    form.media_type(),
                    format!("touchmark-{word}.{}", form.extension()),
                    form.written(&report)?,
                ))
            }))
        })
        .await;
    match made {
        Ok(Ok((media_type, name, text))) => {
            let disposition = format!("attachment; filename=\"{name}\"");
            let headers = [
                (header::CONTENT_TYPE, media_type.to_owned()),
                (header::CONTENT_DISPOSITION, disposition),
                (header::CACHE_CONTROL, "no-store".to_owned()),
            ];
            (headers, text).into_response()
        }
        Ok(Err(error)) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn event(State(app): State<Arc<App>>, Path(seq): Path<String>) -> Response {
    page(app, move |app| {
        let seq = seq.parse().map_err(|_| ServerError::NotFound { what: "event" })?;
        Ok(dashboard::event(&present::event(app, seq)?))
    })
    .await
}

async fn findings_part(
    State(app): State<Arc<App>>,
    Path(part): Path<String>,
    Query(query): Query<FilterQuery>,
    headers: HeaderMap,
) -> Response {
    fragment(app, headers, move |app| {
        Ok(dashboard::findings_fragment(&part, &present::findings(app, &query)?))
    })
    .await
}

async fn sources_part(State(app): State<Arc<App>>, Path(part): Path<String>, headers: HeaderMap) -> Response {
    fragment(app, headers, move |app| Ok(dashboard::sources_fragment(&part, &present::sources(app)))).await
}

/// What the form of a finding's page sends; what does not belong to the decision is sent empty or not at all.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct TriageForm {
    decision: String,
    reason: String,
    note: String,
    hours: String,
    ceiling: String,
    rule: String,
}

impl TriageForm {
    fn read(self, app: &App) -> Result<NewTriage, ServerError> {
        let flaw = |flaw: Flaw| ServerError::BadTriage { detail: flaw.says() };
        let decision = Decision::of(&self.decision)
            .ok_or(ServerError::BadTriage { detail: "choose what was decided" })?;
        let reason = match self.reason.as_str() {
            "" => None,
            word => Some(Reason::of(word).ok_or_else(|| flaw(Flaw::NoReason))?),
        };
        let suppression = if decision == Decision::Suppress {
            let hours: i64 = self.hours.parse().map_err(|_| flaw(Flaw::BadEnd))?;
            let longest = i64::try_from(MAX_SUPPRESSION_S / 3_600).unwrap_or(i64::MAX);
            let hours = Some(hours).filter(|hours| (1..=longest).contains(hours));
            let ms = hours.ok_or_else(|| flaw(Flaw::BadEnd))? * 3_600_000;
            Some(Suppression {
                ceiling: Ceiling::of(&self.ceiling).ok_or_else(|| flaw(Flaw::BadSuppression))?,
                rule: Some(self.rule).filter(|rule| !rule.is_empty()),
                until: app.now().plus_ms(ms),
            })
        } else {
            None
        };
        Ok(NewTriage { decision, reason, note: self.note.trim().to_owned(), suppression })
    }
}

/// Refuses what was not sent by a page of this dashboard.
///
/// Fetch Metadata (`Sec-Fetch-Site`) says so where the browser gives it, which it does for loopback and TLS; `Origin`
/// is compared with `Host` where it is there, and has to be there where the former is not. `Host` itself has to be a
/// name of this dashboard, because a name that a stranger points here would make all three agree.
fn own_page(headers: &HeaderMap, names: &[String]) -> Result<(), ServerError> {
    let refuse = |detail: String| Err(ServerError::ForeignRequest { detail });
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let Some(host) = text("host") else { return refuse("it names no host".to_owned()) };
    let name =
        host.parse::<Authority>().ok().map(|host| host.host().to_ascii_lowercase()).unwrap_or_default();
    let numeric = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    if !numeric && name != "localhost" && !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
        return refuse(format!("{name:?} is not among listen.dashboard_hosts"));
    }
    let site = text("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin") {
        return refuse("the browser says that it comes from another site".to_owned());
    }
    match text("origin") {
        Some(origin) => {
            let bare = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            if bare.is_some_and(|bare| bare.eq_ignore_ascii_case(host)) {
                Ok(())
            } else {
                refuse("its origin is another than the address it was sent to".to_owned())
            }
        }
        None if site.is_some() => Ok(()),
        None => refuse("the browser does not say where it comes from".to_owned()),
    }
}

/// A form, once it is known to come from an own page.
async fn own_form<T: serde::de::DeserializeOwned>(app: &App, request: Request) -> Result<T, ServerError> {
    own_page(request.headers(), &app.config.listen.dashboard_hosts)?;
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let bytes = super::body(request).await?;
    let mut whole = Request::new(Body::from(bytes));
    *whole.method_mut() = axum::http::Method::POST;
    whole.headers_mut().extend(kind.map(|kind| (header::CONTENT_TYPE, kind)));
    let read = Form::<T>::from_request(whole, &()).await;
    read.map(|Form(form)| form).map_err(|error| ServerError::BadBody { detail: error.to_string() })
}

async fn decide(State(app): State<Arc<App>>, Path(id): Path<String>, request: Request) -> Response {
    let done = async {
        let form: TriageForm = own_form(&app, request).await?;
        let finding = id.clone();
        app.blocking(move |app| {
            let what = form.read(app)?;
            app.watch().decide(&finding, what, app.now())?;
            app.respond_to_triage()
        })
        .await
    };
    match done.await {
        // The id was found among the findings, so it is nothing but hex digits.
        Ok(()) => Redirect::to(&format!("/finding/{id}#decisions-title")).into_response(),
        Err(error) => trouble(&app, &error),
    }
}

async fn undo(State(app): State<Arc<App>>, Path(seq): Path<String>, headers: HeaderMap) -> Response {
    let done = async {
        own_page(&headers, &app.config.listen.dashboard_hosts)?;
        let seq = seq.parse().map_err(|_| ServerError::NotFound { what: "decision" })?;
        app.blocking(move |app| {
            let finding = app.watch().undo(seq, app.now())?;
            app.respond_to_triage()?;
            Ok(finding)
        })
        .await
    };
    match done.await {
        Ok(id) => Redirect::to(&format!("/finding/{id}#decisions-title")).into_response(),
        Err(error) => trouble(&app, &error),
    }
}

/// What a button of a case sends.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct CaseForm {
    decision: String,
    confirm: String,
}

async fn decide_case(State(app): State<Arc<App>>, Path(id): Path<String>, request: Request) -> Response {
    let done = async {
        let form: CaseForm = own_form(&app, request).await?;
        let finding = id.clone();
        app.blocking(move |app| {
            let decision = form.decision.parse().map_err(|detail| ServerError::BadBody { detail })?;
            app.decide_case(&finding, decision, Some(&form.confirm), "whoever reaches the dashboard")
        })
        .await
    };
    match done.await {
        // The id was found among the cases, so it is nothing but hex digits.
        Ok(_case) => Redirect::to(&format!("/finding/{id}#case-title")).into_response(),
        Err(error) => trouble(&app, &error),
    }
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
    lines(app.blocking(|app| app.watch().log().findings(MAX_FINDINGS)).await)
}

/// Cases, newest first, one `touchmark.case/1` a line.
async fn cases(State(app): State<Arc<App>>) -> Response {
    let made = app.blocking(|app| {
        let line = |case| serde_json::to_string(case).map_err(|_| ServerError::TaskEnded { task: "JSON" });
        app.cases(None)?.iter().map(line).collect::<Result<Vec<_>, _>>()
    });
    lines(made.await)
}

fn lines(lines: Result<Vec<String>, ServerError>) -> Response {
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
