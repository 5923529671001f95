//! Telling terminators: CA certificates and CRLs as files, and a command that makes them be read.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use touchmark_authority::crl::CaName;
use touchmark_authority::x509::pem;
use touchmark_keystore::durable;

use crate::app::App;
use crate::error::ServerError;

/// What is done with the command, in errors.
const RUN: &str = "run";
/// How long the command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a wait for its end looks again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What terminators are still owed. One act of telling goes on at a time, so that an older CRL never replaces a newer.
#[derive(Debug)]
pub struct Owed(Mutex<bool>);

impl Default for Owed {
    /// A crash may have come between file and command, so the command is owed at every start.
    fn default() -> Self {
        Self(Mutex::new(true))
    }
}

/// Writes the files that are configured, and runs the command when the CRL file changed or the command is still owed:
/// one that failed is run again at the next call.
///
/// # Errors
/// [`ServerError`] when a file cannot be written or the command fails.
pub fn publish(app: &App) -> Result<(), ServerError> {
    let mut owed = app.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
    *owed |= write(app)?;
    if *owed && app.config.gate.crl_file.is_some() {
        run(&app.config.gate.on_change)?;
    }
    *owed = false;
    Ok(())
}

/// As [`publish`], at the start: a command that fails is no reason not to start, for the terminator may be waiting for
/// the files; the timer runs it again.
///
/// # Errors
/// [`ServerError`] when a file cannot be written.
pub fn publish_at_start(app: &App) -> Result<(), ServerError> {
    match publish(app) {
        Err(error @ ServerError::File { action: RUN, .. }) => {
            tracing::warn!(code = error.code(), "terminators were not told, and will be: {}", error.chain());
            Ok(())
        }
        other => other,
    }
}

/// Writes the files; returns whether the CRL file changed.
fn write(app: &App) -> Result<bool, ServerError> {
    let gate = &app.config.gate;
    if gate.ca_file.is_none() && gate.crl_file.is_none() {
        return Ok(false);
    }
    let mut authority = app.authority();
    let cas = [authority.issuing().certificate().pem()?, authority.root().certificate().pem()?].concat();
    let crls = [
        pem("X509 CRL", &authority.crl(CaName::Issuing)?.der)?,
        pem("X509 CRL", &authority.crl(CaName::Root)?.der)?,
    ]
    .concat();
    drop(authority);
    if let Some(path) = &gate.ca_file {
        replace(path, cas.as_bytes())?;
    }
    match &gate.crl_file {
        Some(path) => replace(path, crls.as_bytes()),
        None => Ok(false),
    }
}

/// Writes a file that anybody may read, whole; returns whether it changed.
fn replace(path: &Path, content: &[u8]) -> Result<bool, ServerError> {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    let failed = |source| ServerError::File { action: "write", path: path.display().to_string(), source };
    durable::replace(path, content, 0o644).map_err(failed)?;
    Ok(true)
}

fn run(command: &[String]) -> Result<(), ServerError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let failed = |source| ServerError::File { action: RUN, path: program.clone(), source };
    // stderr is this program's own: a pipe would be held open by whatever the command leaves running.
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
            None => {
                child.kill().and_then(|()| child.wait()).map_err(failed)?;
                let text = format!("it did not end within {} s and was killed", PATIENCE.as_secs());
                return Err(failed(std::io::Error::other(text)));
            }
        }
    };
    if status.success() {
        Ok(())
    } else {
        Err(failed(std::io::Error::other(format!(
            "it ended with {status}; see what it wrote to stderr above"
        ))))
    }
}
