//! Asking a running server, or doing it here when none runs.

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use touchmark_server::control::{Act, Outcome, execute, socket};
use touchmark_server::error::ErrorBody;
use touchmark_server::run::open_authority;

use crate::failure::{NotSo, Usage};
use crate::input::DataArgs;

const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// Has an act carried out: by the server that runs on this data directory, else in this process.
pub(crate) fn perform(data: &DataArgs, act: &Act) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Ok(stream) = runtime.block_on(UnixStream::connect(socket(&data.data))) {
        return runtime.block_on(ask(stream, act));
    }
    let (mut authority, _) = open_authority(
        &data.config()?,
        &data.data,
        data.passphrase()?,
        touchmark_element::TEST_ROOT_CERTIFICATE_PEM,
        crate::now,
    )?;
    Ok(execute(&mut authority, act, crate::now())?)
}

async fn ask(stream: UnixStream, act: &Act) -> anyhow::Result<Outcome> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("the server does not answer")?;
    tokio::spawn(connection);
    let request = hyper::Request::post("/v1/act")
        .header("host", "control")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(act)?)))?;
    let response = sender.send_request(request).await.context("the server does not answer")?;
    let status = response.status();
    let body =
        Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(|e| anyhow!(e))?;
    let body = body.to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&body).context("the server's answer cannot be read");
    }
    let refusal: ErrorBody = serde_json::from_slice(&body).context("the server's answer cannot be read")?;
    let text = format!("{} ({})", refusal.message, refusal.code);
    // As `failure` has it for the same act without a server.
    Err(match (status.as_u16(), refusal.code.as_str()) {
        (400 | 404 | 415, _) | (_, "AU-0010") => Usage(text).into(),
        (401 | 403 | 409, _) => NotSo(text).into(),
        _ => anyhow!(text),
    })
}
