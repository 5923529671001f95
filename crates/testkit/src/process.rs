//! Programs that a test runs: bounded in time, and ended with the test.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long one program may take; generous, because test machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a wait looks again.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `look` gives something, at most [`PATIENCE`].
///
/// # Panics
/// When nothing came in time; the message names `what` was waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain for {what}", PATIENCE.as_secs());
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A port of the loopback interface that nobody listens on at the moment, from below those that the system gives out by
/// itself (Linux: 32768 and up), so that it stays free until it is used.
///
/// # Panics
/// When none is found.
#[must_use]
pub fn free_port() -> u16 {
    const LOWEST: u64 = 20_000;
    const BEYOND: u64 = 32_000;
    for _ in 0..1_000 {
        let random = RandomState::new().build_hasher().finish();
        let Ok(port) = u16::try_from(LOWEST + random % (BEYOND - LOWEST)) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {LOWEST} and {BEYOND}")
}

/// What a program did.
#[derive(Debug)]
pub struct Finished {
    /// Program and arguments, for messages.
    pub command: String,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Finished {
    /// Demands an exit code.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    #[must_use]
    pub fn must_end_with(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "{} ended with {:?}, expected {code}\nstdout: {}\nstderr: {}",
            self.command,
            self.code,
            self.text(),
            self.stderr
        );
        self
    }

    /// stdout as text, without white space around it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// stdout and stderr together: tools differ in where they put their answers.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}\n{}", self.text(), self.stderr)
    }

    /// stdout as one JSON document.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("{} wrote no JSON ({error}): {}", self.command, self.all()))
    }
}

fn described(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

fn collect(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            // A pipe that breaks has given what it had.
            let _broken = from.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Runs a program to its end with `input` as its stdin.
///
/// # Panics
/// When it does not start, or does not end within [`PATIENCE`].
#[track_caller]
#[must_use]
pub fn run(command: &mut Command, input: &[u8]) -> Finished {
    run_within(command, input, PATIENCE)
}

/// The same with another limit.
///
/// # Panics
/// When it does not start, or does not end within `limit`.
#[track_caller]
#[must_use]
pub fn run_within(command: &mut Command, input: &[u8], limit: Duration) -> Finished {
    let name = described(command);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let (stdin, input) = (child.stdin.take(), input.to_vec());
    let feeder = std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input closes the pipe.
            let _closed = stdin.write_all(&input);
        }
    });
    let mut daemon = Daemon { child, name: name.clone() };
    let Some(status) = daemon.wait(limit) else {
        daemon.kill();
        panic!("{name} did not end within {} s", limit.as_secs());
    };
    let _fed = feeder.join();
    Finished {
        command: name,
        code: status.code(),
        stdout: stdout.join().unwrap_or_default(),
        stderr: String::from_utf8_lossy(&stderr.join().unwrap_or_default()).into_owned(),
    }
}

/// A program that runs beside the test and is killed with it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    name: String,
}

impl Daemon {
    /// Starts a program. Its standard streams are as the command says.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let name = described(command);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { child, name }
    }

    /// Its process, for streams.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it as `kill -9` does and waits until it is gone.
    pub fn kill(&mut self) {
        // Either call fails only when the process has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Asks it to end (SIGTERM).
    pub fn ask_to_end(&self) {
        // It fails only when the process has ended already.
        let _asked =
            Command::new("kill").args(["-TERM", &self.child.id().to_string()]).stderr(Stdio::null()).status();
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Panics
    /// When it does not end within [`PATIENCE`].
    #[track_caller]
    pub fn terminate(mut self) -> ExitStatus {
        self.ask_to_end();
        match self.wait(PATIENCE) {
            Some(status) => status,
            None => panic!("{} did not end within {} s of SIGTERM", self.name, PATIENCE.as_secs()),
        }
    }

    /// Waits until it ends by itself; `None` when it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
                _ => return None,
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
