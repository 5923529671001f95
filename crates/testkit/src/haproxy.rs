//! HAProxy as a terminator of TLS with the log format that this repository ships (`contrib/haproxy/touchmark.cfg`).
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Daemon, free_port, wait_for};

const SNIPPET: &str = include_str!("../../../contrib/haproxy/touchmark.cfg");

/// A running HAProxy that forwards to one TCP server and logs in two forms.
#[derive(Debug)]
pub struct Haproxy {
    /// Its port on 127.0.0.1.
    pub port: u16,
    folder: PathBuf,
    process: Daemon,
}

impl Haproxy {
    /// Starts it in `folder`, which holds `gate.pem` with its key `gate.key`, and `devices.pem`, the CA. `verify` is
    /// `required` or `optional`; `backend` is the port on 127.0.0.1 that it forwards to.
    ///
    /// # Panics
    /// When its files cannot be written or it does not start.
    #[must_use]
    pub fn start(folder: &Path, verify: &str, backend: u16) -> Self {
        let (at, port) = (folder.display(), free_port());
        let configuration = format!(
            "global\n  log stdout format raw local0\n  log stderr format rfc5424 local0\n\
             defaults\n  mode tcp\n  log global\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             frontend gate\n  bind 127.0.0.1:{port} ssl crt {at}/haproxy.pem ca-file {at}/devices.pem verify {verify}\n\
             {SNIPPET}\n  default_backend telemetry\n\
             backend telemetry\n  server one 127.0.0.1:{backend}\n"
        );
        let read = |name: &str| fs::read_to_string(folder.join(name));
        let written = read("gate.pem")
            .and_then(|certificate| Ok(certificate + &read("gate.key")?))
            .and_then(|both| fs::write(folder.join("haproxy.pem"), both))
            .and_then(|()| fs::write(folder.join("haproxy.cfg"), configuration))
            .and_then(|()| {
                Ok((File::create(folder.join("raw.log"))?, File::create(folder.join("syslog.log"))?))
            });
        let (raw, syslog) =
            written.unwrap_or_else(|error| panic!("cannot write HAProxy's files in {at}: {error}"));
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f"]).arg(folder.join("haproxy.cfg"));
        command.stdin(Stdio::null()).stdout(raw).stderr(syslog);
        let mut process = Daemon::start(&mut command);
        wait_for("HAProxy to listen", || {
            assert!(process.runs(), "HAProxy ended: {}", read("syslog.log").unwrap_or_default());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { port, folder: folder.to_owned(), process }
    }

    /// What it logged: the lines alone, and the same lines in RFC 5424 frames (with its own messages among them).
    #[must_use]
    pub fn logs(&self) -> (String, String) {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        (read("raw.log"), read("syslog.log"))
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.runs()
    }
}
