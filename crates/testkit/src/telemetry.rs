//! Heartbeats as the gate hands them on: curl at the server's telemetry socket, where a test plays the terminator.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::curl::{Answer, try_curl};
use crate::server::Server;

/// What a device says in one heartbeat.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Its counter.
    pub counter: u64,
    /// Milliseconds since it booted.
    pub uptime_ms: u64,
    /// How often it has booted.
    pub boot_count: u64,
    /// The token that it was given last.
    pub token: Option<String>,
}

impl Beat {
    /// The body of the request.
    #[must_use]
    pub fn body(&self) -> String {
        json!({
            "counter": self.counter, "uptime_ms": self.uptime_ms, "boot_count": self.boot_count, "firmware": "2.4.1",
            "security_version": 3, "device_type": "meter", "token": self.token,
        })
        .to_string()
    }
}

/// The certificate's PEM as nginx forwards it (`$ssl_client_escaped_cert`).
fn escaped(pem: &str) -> String {
    let begin = pem.find("-----BEGIN").unwrap_or_default();
    let mut text = String::new();
    for byte in pem.bytes().skip(begin) {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing into a `String` has no way to fail.
            let _infallible = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Sends a body with a certificate (PEM) from a device's address.
///
/// # Errors
/// curl's exit code and message when there was no answer.
///
/// # Panics
/// When curl cannot be run.
#[track_caller]
pub fn send(
    folder: &Path,
    server: &Server,
    certificate: &str,
    address: &str,
    body: &str,
) -> Result<Answer, (i32, String)> {
    post(folder, server, certificate, address, "/v1/heartbeat", body)
}

/// As [`send`], to another path of the socket.
///
/// # Errors
/// curl's exit code and message when there was no answer.
///
/// # Panics
/// When curl cannot be run.
#[track_caller]
pub fn post(
    folder: &Path,
    server: &Server,
    certificate: &str,
    address: &str,
    path: &str,
    body: &str,
) -> Result<Answer, (i32, String)> {
    let url = format!("http://gate{path}");
    let socket = server.telemetry.display().to_string();
    let certificate = format!("X-Touchmark-Client-Certificate: {}", escaped(certificate));
    let address = format!("X-Touchmark-Client-Address: {address}");
    let arguments = [
        "--unix-socket",
        &socket,
        "-H",
        &certificate,
        "-H",
        &address,
        "-H",
        "Content-Type: application/json",
        "--data-binary",
        "@-",
        &url,
    ];
    try_curl(folder, &arguments, body.as_bytes())
}

/// The token in the server's answer.
#[must_use]
pub fn token(answer: &Answer) -> Option<String> {
    answer.json().get("token").and_then(Value::as_str).map(str::to_owned)
}
