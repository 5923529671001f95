//! Mosquitto as a broker that asks devices for certificates, with the settings that this repository ships
//! (`contrib/mosquitto/touchmark.conf`).
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Daemon, free_port, wait_for};

const SNIPPET: &str = include_str!("../../../contrib/mosquitto/touchmark.conf");

/// A running broker.
#[derive(Debug)]
pub struct Mosquitto {
    /// Its port on 127.0.0.1.
    pub port: u16,
    log: PathBuf,
    process: Daemon,
}

impl Mosquitto {
    /// Starts it in `folder`, which holds `gate.pem` with its key `gate.key`, and `devices.pem`, the CA. `name` is
    /// `use_identity_as_username` or `use_subject_as_username`; `zone` is its time zone, as `TZ` has it.
    ///
    /// # Panics
    /// When its files cannot be written or it does not start.
    #[must_use]
    pub fn start(folder: &Path, name: &str, zone: &str) -> Self {
        let (at, port) = (folder.display(), free_port());
        let log = folder.join(format!("mosquitto-{port}.log"));
        // As root it would become another user, who may not enter the test's directory.
        let configuration = format!(
            "{SNIPPET}\nuser root\nlog_dest file {}\nlistener {port} 127.0.0.1\ncafile {at}/devices.pem\n\
             certfile {at}/gate.pem\nkeyfile {at}/gate.key\nrequire_certificate true\n{name} true\n",
            log.display()
        );
        let file = folder.join(format!("mosquitto-{port}.conf"));
        if let Err(error) = fs::write(&file, configuration) {
            panic!("cannot write {}: {error}", file.display());
        }
        Self::run(&file, port, log, zone)
    }

    /// Starts a broker in `folder` that takes anybody, without TLS, and keeps messages for clients that are away.
    ///
    /// # Panics
    /// When its files cannot be written or it does not start.
    #[must_use]
    pub fn start_open(folder: &Path) -> Self {
        let port = free_port();
        let log = folder.join(format!("mosquitto-{port}.log"));
        let configuration = format!(
            "user root\nlog_dest file {}\nlog_type all\nlistener {port} 127.0.0.1\nallow_anonymous true\n\
             max_queued_messages 0\n",
            log.display()
        );
        let file = folder.join(format!("mosquitto-{port}.conf"));
        if let Err(error) = fs::write(&file, configuration) {
            panic!("cannot write {}: {error}", file.display());
        }
        Self::run(&file, port, log, "UTC")
    }

    fn run(file: &Path, port: u16, log: PathBuf, zone: &str) -> Self {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(file).env("TZ", zone);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut broker = Self { port, log, process: Daemon::start(&mut command) };
        wait_for("Mosquitto to listen", || {
            assert!(broker.process.runs(), "Mosquitto ended: {}", broker.log());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        broker
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
