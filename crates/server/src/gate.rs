//! Telling terminators: CA certificates and CRLs as files, and a command that makes them be read.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use touchmark_authority::crl::CaName;
use touchmark_authority::x509::pem;

use crate::app::App;
use crate::error::ServerError;

/// Writes the files that are configured, and runs the command when the CRL file changed.
///
/// # Errors
/// [`ServerError`] when a file cannot be written or the command fails.
pub fn publish(app: &App) -> Result<(), ServerError> {
    let gate = &app.config.gate;
    if gate.ca_file.is_none() && gate.crl_file.is_none() {
        return Ok(());
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
    let Some(path) = &gate.crl_file else { return Ok(()) };
    if replace(path, crls.as_bytes())? {
        run(&gate.on_change)?;
    }
    Ok(())
}

/// Writes a file whole; returns whether it changed.
fn replace(path: &Path, content: &[u8]) -> Result<bool, ServerError> {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    let failed = |source| ServerError::File { action: "write", path: path.display().to_string(), source };
    let beside = path.with_extension("new");
    let mut file = std::fs::File::create(&beside).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    Ok(true)
}

fn run(command: &[String]) -> Result<(), ServerError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let failed = |source| ServerError::File { action: "run", path: program.clone(), source };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr).chars().take(400).collect::<String>();
        Err(failed(std::io::Error::other(format!("it ended with {}: {said}", output.status))))
    }
}
