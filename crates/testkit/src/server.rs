//! The program under test as its users have it: `touchmark` as processes, with a directory of its own for each test.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Daemon, Finished, run};

/// How long one HTTP exchange may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Where the server listens; every port is free for the taking.
const LISTEN: &str =
    "[listen]\nenrol = \"127.0.0.1:0\"\npublic = \"127.0.0.1:0\"\ndashboard = \"127.0.0.1:0\"\n";

/// One operator's site: a directory with the server's configuration and data, and what tests put beside them.
#[derive(Debug)]
pub struct Site {
    program: PathBuf,
    folder: TempDir,
    data: PathBuf,
    environment: Vec<(String, PathBuf)>,
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    /// `https://HOST:PORT` of enrolment.
    pub enrol: String,
    /// `http://HOST:PORT` of CRL and OCSP.
    pub public: String,
    /// `http://HOST:PORT` of dashboard and metrics.
    pub dashboard: String,
    /// The telemetry socket.
    pub telemetry: PathBuf,
    /// The root certificate, PEM.
    pub root: PathBuf,
    log: PathBuf,
    process: Daemon,
}

/// What starts a part of the program that says when it is ready; returns the ready line.
fn start_ready(command: &mut Command, log: &Path) -> Result<(Daemon, Value), String> {
    let stderr = fs::File::options().create(true).append(true).open(log).map_err(|e| e.to_string())?;
    command.args(["--ready-fd", "1"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    let mut process = Daemon::start(command);
    let mut line = String::new();
    if let Some(stdout) = process.child().stdout.take() {
        // At the end of the program the line is empty, and that is the error below.
        let _read = BufReader::new(stdout).read_line(&mut line);
    }
    match serde_json::from_str(&line) {
        Ok(ready) => Ok((process, ready)),
        Err(_) => {
            let status = process.wait(Duration::from_secs(5));
            Err(format!("not ready ({status:?}): {}", fs::read_to_string(log).unwrap_or_default()))
        }
    }
}

fn text(ready: &Value, name: &str) -> String {
    match ready.get(name).and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => panic!("the ready line has no {name}: {ready}"),
    }
}

impl Site {
    /// Makes a site for this program. `configuration` is TOML that follows the `[listen]` table.
    ///
    /// # Panics
    /// When the directory cannot be made.
    #[must_use]
    pub fn new(program: &str, configuration: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("touchmark-site-").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("cannot make a directory: {error}"));
        let data = folder.path().join("data");
        let site = Self { program: program.into(), folder, data, environment: Vec::new() };
        site.configure(configuration);
        site
    }

    /// Keeps the server's data in another directory.
    #[must_use]
    pub fn with_data(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    /// Sets a variable for every process of the program.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: &Path) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces the configuration; a running server does not notice.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, configuration: &str) {
        self.write("server.toml", format!("{LISTEN}{configuration}"));
    }

    /// The site's directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A path in the site's directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Writes a file in the site's directory.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        if let Err(error) = fs::write(self.path(name), content) {
            panic!("cannot write {name}: {error}");
        }
    }

    /// Reads a text file in the site's directory.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("cannot read {name}: {error}"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.folder()).env_remove("TOUCHMARK_LOG").env("NO_COLOR", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program in the site's directory, with `--json`.
    #[track_caller]
    #[must_use]
    pub fn touchmark(&self, arguments: &[&str]) -> Finished {
        run(self.command().arg("--json").args(arguments), &[])
    }

    /// Runs `touchmark authority VERB` on the site's data.
    #[track_caller]
    #[must_use]
    pub fn authority(&self, arguments: &[&str]) -> Finished {
        let data = self.data.display().to_string();
        let own = ["--config", "server.toml", "--data", &data];
        self.touchmark(&[&["authority"], arguments, &own].concat())
    }

    /// Registers a device; returns its enrolment token.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    #[must_use]
    pub fn register(&self, device: &str) -> String {
        let registered =
            self.authority(&["enrol", "--device", device, "--type", "meter"]).must_end_with(0).json();
        text(&registered, "token")
    }

    /// Every device with its keys and certificates.
    ///
    /// # Panics
    /// When the inventory cannot be had.
    #[track_caller]
    #[must_use]
    pub fn inventory(&self) -> Vec<Value> {
        let inventory = self.authority(&["inventory"]).must_end_with(0).json();
        match inventory.get("devices").and_then(Value::as_array) {
            Some(devices) => devices.clone(),
            None => panic!("no devices in {inventory}"),
        }
    }

    /// A device as the inventory has it.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    #[must_use]
    pub fn device(&self, name: &str) -> Value {
        let found =
            self.inventory().into_iter().find(|device| device.get("device").is_some_and(|d| d == name));
        found.unwrap_or_else(|| panic!("{name} is not in the inventory"))
    }

    /// Starts the server.
    ///
    /// # Errors
    /// What it wrote to stderr, when it did not become ready.
    pub fn try_start(&self) -> Result<Server, String> {
        let log = self.path("server.log");
        let mut command = self.command();
        command.args(["server", "run", "--config", "server.toml", "--data"]).arg(&self.data);
        let (process, ready) = start_ready(&mut command, &log)?;
        Ok(Server {
            enrol: text(&ready, "enrol"),
            public: text(&ready, "public"),
            dashboard: text(&ready, "dashboard"),
            telemetry: self.folder().join(text(&ready, "telemetry")),
            root: self.folder().join(text(&ready, "root")),
            log,
            process,
        })
    }

    /// Starts the server.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    #[must_use]
    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|error| panic!("the server did not start: {error}"))
    }

    /// Makes a virtual element named `name` and runs it; returns it with its address, `HOST:PORT`.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    #[must_use]
    pub fn element(&self, name: &str) -> (Daemon, String) {
        let (process, ready) = self.element_with(name, &[]);
        let address = text(&ready, "tcp");
        (process, address)
    }

    /// The same with further arguments; returns it with what it said when it was ready.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    #[must_use]
    pub fn element_with(&self, name: &str, arguments: &[&str]) -> (Daemon, Value) {
        let _made = self.touchmark(&["element", "new", "--state", name]).must_end_with(0);
        let mut command = self.command();
        command.args(["element", "run", "--state", name]).args(arguments);
        match start_ready(&mut command, &self.path(&format!("{name}.log"))) {
            Ok(started) => started,
            Err(error) => panic!("the element did not start: {error}"),
        }
    }

    /// Writes the configuration `NAME.toml` of an agent and its token; `more` is TOML that is added.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn agent(&self, server: &Server, name: &str, store: &str, telemetry: &str, token: &str, more: &str) {
        self.write(&format!("{name}.token"), token);
        self.write(
            &format!("{name}.toml"),
            format!(
                "device = \"{name}\"\ndevice_type = \"meter\"\nstore = \"{store}\"\nserver = \"{}\"\n\
                 telemetry = \"{telemetry}\"\ntrust_anchors = \"anchors.pem\"\nenrol_token_file = \"{name}.token\"\n\
                 firmware = \"2.4.1\"\nsecurity_version = 3\n{more}\n",
                server.enrol
            ),
        );
    }

    /// Starts an agent with the configuration `NAME.toml`; its events go to the file `log`, one a line.
    ///
    /// # Panics
    /// When the log cannot be written.
    #[must_use]
    pub fn run_agent(&self, name: &str, log: &str) -> Daemon {
        let path = self.path(log);
        let file = fs::File::create(&path).unwrap_or_else(|error| panic!("cannot write {log}: {error}"));
        let mut command = self.command();
        command.args(["agent", "run", "--config", &format!("{name}.toml")]);
        Daemon::start(command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()))
    }

    /// The events that an agent wrote to `log`.
    #[must_use]
    pub fn agent_events(&self, log: &str) -> Vec<Value> {
        // The last line may still be in the making.
        self.read(log).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Server {
    /// Kills it as a power loss would end it.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.runs()
    }

    /// Its process id.
    #[must_use]
    pub fn process_id(&mut self) -> u32 {
        self.process.child().id()
    }

    /// Ends it in good order.
    ///
    /// # Panics
    /// When it does not end with code 0.
    #[track_caller]
    pub fn stop(self) {
        let log = self.log.clone();
        let status = self.process.terminate();
        assert!(
            status.success(),
            "the server ended with {status}: {}",
            fs::read_to_string(log).unwrap_or_default()
        );
    }

    /// What it wrote to stderr, in this run and those before.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Gets an address over plain HTTP: status and body.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    #[must_use]
    pub fn get(&self, address: &str) -> (u16, Vec<u8>) {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_WITHIN))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        let answer = agent.get(address).call();
        let mut answer = answer.unwrap_or_else(|error| panic!("{address} does not answer: {error}"));
        let status = answer.status().as_u16();
        let body = answer.body_mut().read_to_vec();
        (status, body.unwrap_or_else(|error| panic!("{address} broke off: {error}")))
    }

    /// The value of a counter with this reason; 0 where it was never counted.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    #[must_use]
    pub fn counted(&self, counter: &str, reason: &str) -> u64 {
        let (_, body) = self.get(&format!("{}/metrics", self.dashboard));
        let text = String::from_utf8_lossy(&body).into_owned();
        let wanted = format!("touchmark_{counter}_total{{reason=\"{reason}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&wanted)?.trim().parse().ok()).unwrap_or(0)
    }

    /// What the monitor has found: findings, one document each.
    ///
    /// # Panics
    /// When there is no answer or it cannot be read.
    #[track_caller]
    #[must_use]
    pub fn findings(&self) -> Vec<Value> {
        let (status, body) = self.get(&format!("{}/api/findings", self.dashboard));
        assert_eq!(status, 200, "the findings cannot be had");
        let lines = String::from_utf8_lossy(&body).into_owned();
        let read =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no finding ({error}): {line}"));
        lines.lines().map(read).collect()
    }
}
