//! nginx as the gate in front of the telemetry back end, configured from the template that this repository ships
//! (`contrib/nginx/touchmark-gate.conf.in`).
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::openssl;
use crate::process::{Daemon, free_port, wait_for};

const TEMPLATE: &str = include_str!("../../../contrib/nginx/touchmark-gate.conf.in");
const LOG_FORMAT: &str = include_str!("../../../contrib/nginx/touchmark-log-format.conf");

/// A gate whose files and port are settled: what the server's configuration has to say of it is known before either
/// runs.
#[derive(Debug)]
pub struct GatePlan {
    folder: PathBuf,
    port: u16,
}

/// A running gate.
#[derive(Debug)]
pub struct Gate {
    /// `https://127.0.0.1:PORT`.
    pub address: String,
    plan: GatePlan,
    process: Daemon,
}

impl GatePlan {
    /// Settles port and files in a new folder `gate`, and makes the gate's own root and certificate for 127.0.0.1.
    ///
    /// # Panics
    /// When the folder cannot be written or openssl fails.
    #[must_use]
    pub fn new(beside: &Path) -> Self {
        let folder = beside.join("gate");
        if let Err(error) = fs::create_dir(&folder) {
            panic!("cannot make {}: {error}", folder.display());
        }
        openssl::root(&folder, "gate-root");
        openssl::leaf(&folder, "gate-root", "gate", "subjectAltName=IP:127.0.0.1");
        Self { folder, port: free_port() }
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The root that agents have to trust for it, PEM.
    ///
    /// # Panics
    /// When its file is gone.
    #[must_use]
    pub fn root_pem(&self) -> String {
        let path = self.folder.join("gate-root.pem");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    }

    /// The access log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("access.json")
    }

    /// The tables of the server's configuration that speak of it: `[[source]]` and `[gate]`.
    #[must_use]
    pub fn server_tables(&self) -> String {
        let at = self.folder.display();
        format!(
            "[[source]]\nname = \"gate\"\nformat = \"nginx\"\npath = \"{at}/access.json\"\n\
             [gate]\nca_file = \"{at}/devices.pem\"\ncrl_file = \"{at}/devices.crl\"\n\
             on_change = [\"nginx\", \"-p\", \"{at}\", \"-e\", \"{at}/error.log\", \"-c\", \"{at}/nginx.conf\", \"-s\", \"reload\"]\n"
        )
    }

    /// Starts nginx; the server must have written CA and CRL file.
    ///
    /// # Panics
    /// When nginx does not start.
    #[must_use]
    pub fn start(self, telemetry: &Path) -> Gate {
        let at = self.folder.display().to_string();
        // As root, nginx would run its workers as another user, who may not enter the test's directory.
        let is_root = fs::metadata(&self.folder).is_ok_and(|folder| folder.uid() == 0);
        let words = [
            ("@DIR@", at.clone()),
            ("@FORMAT@", format!("{at}/touchmark-log-format.conf")),
            ("@LISTEN@", format!("127.0.0.1:{}", self.port)),
            ("@CERTIFICATE@", format!("{at}/gate.pem")),
            ("@KEY@", format!("{at}/gate.key")),
            ("@CA@", format!("{at}/devices.pem")),
            ("@CRL@", format!("{at}/devices.crl")),
            ("@TELEMETRY@", telemetry.display().to_string()),
            ("@USER@", if is_root { "user root;".to_owned() } else { String::new() }),
        ];
        let configuration =
            words.iter().fold(TEMPLATE.to_owned(), |text, (word, value)| text.replace(word, value));
        let written = fs::write(self.folder.join("nginx.conf"), configuration)
            .and_then(|()| fs::write(self.folder.join("touchmark-log-format.conf"), LOG_FORMAT));
        if let Err(error) = written {
            panic!("cannot write nginx's configuration: {error}");
        }
        let mut command = Command::new("nginx");
        command
            .args(["-p", &at, "-e", &format!("{at}/error.log"), "-c", &format!("{at}/nginx.conf")])
            .args(["-g", "daemon off;"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut gate = Gate { address: self.address(), process: Daemon::start(&mut command), plan: self };
        wait_for("nginx to listen", || {
            assert!(gate.process.runs(), "nginx ended: {}", gate.error_log());
            TcpStream::connect(("127.0.0.1", gate.plan.port)).ok()
        });
        gate
    }
}

impl Gate {
    /// What nginx wrote to its error log.
    #[must_use]
    pub fn error_log(&self) -> String {
        fs::read_to_string(self.plan.folder.join("error.log")).unwrap_or_default()
    }

    /// The access log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.plan.log()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A master that is killed leaves its workers behind; one that is asked takes them along.
        self.process.ask_to_end();
        let _ended = self.process.wait(std::time::Duration::from_secs(5));
    }
}
