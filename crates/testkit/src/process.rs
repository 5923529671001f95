//! Programs that a test runs: bounded in time, and ended with the test.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Why a program did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// The system did not start it.
    #[error("cannot start {command}: {source}")]
    NotStarted {
        /// Program and arguments.
        command: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It, or something that it started and that still has its output, took longer.
    #[error("timed out after {} s: {command}", limit.as_secs())]
    TimedOut {
        /// Program and arguments.
        command: String,
        /// How long it was waited for.
        limit: Duration,
        /// What it had written to stdout and stderr until then.
        output: String,
    },
}

/// What a stream gives, as far as it has come.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Collected {
    fn from(stream: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let Some(mut stream) = stream else { return };
            let mut room = [0; 8192];
            // A pipe that breaks has given what it had.
            while let Ok(count @ 1..) = stream.read(&mut room) {
                let mut bytes = shared.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend(room.get(..count).unwrap_or_default());
            }
        });
        Self { bytes, reader }
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs a program to its end with `input` as its stdin.
///
/// # Panics
/// When it does not start, or does not end within [`PATIENCE`].
#[track_caller]
#[must_use]
pub fn run(command: &mut Command, input: &[u8]) -> Finished {
    finish(command, input, PATIENCE, Daemon::kill).unwrap_or_else(|unfinished| panic!("{unfinished}"))
}

/// The same with another limit, and without a panic. The program is a process group of its own, which is killed as a whole
/// when its time is over.
///
/// # Errors
/// [`Unfinished`] when it does not start, or does not end within `limit`.
pub fn run_within(command: &mut Command, input: &[u8], limit: Duration) -> Result<Finished, Unfinished> {
    finish(command.process_group(0), input, limit, Daemon::kill_group)
}

fn finish(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
    kill: fn(&mut Daemon),
) -> Result<Finished, Unfinished> {
    let name = described(command);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|source| Unfinished::NotStarted { command: name.clone(), source })?;
    let (stdout, stderr) = (Collected::from(child.stdout.take()), Collected::from(child.stderr.take()));
    let (stdin, input) = (child.stdin.take(), input.to_vec());
    std::thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input closes the pipe.
            let _closed = stdin.write_all(&input);
        }
    });
    let mut daemon = Daemon { child, name: name.clone() };
    let deadline = Instant::now() + limit;
    let status = daemon.wait(limit);
    let is_silent = || stdout.reader.is_finished() && stderr.reader.is_finished();
    while status.is_some() && !is_silent() && Instant::now() < deadline {
        std::thread::sleep(LOOK_EVERY);
    }
    match status {
        Some(status) if is_silent() => Ok(Finished {
            command: name,
            code: status.code(),
            stdout: stdout.take(),
            stderr: String::from_utf8_lossy(&stderr.take()).into_owned(),
        }),
        _ => {
            kill(&mut daemon);
            let output = [stdout.take(), stderr.take()].concat();
            let output = String::from_utf8_lossy(&output).into_owned();
            Err(Unfinished::TimedOut { command: name, limit, output })
        }
    }
}

/// Sends a signal to a process or, with a minus sign before its number, to a process group.
fn signal(name: &str, to: &str) {
    // It fails only when there is no such process any more.
    let _sent = Command::new("kill").args([name, "--", to]).stderr(Stdio::null()).status();
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

    /// Kills it and what it started, for a program that is a process group of its own.
    fn kill_group(&mut self) {
        signal("-KILL", &format!("-{}", self.child.id()));
        self.kill();
    }

    /// Asks it to end (SIGTERM).
    pub fn ask_to_end(&self) {
        signal("-TERM", &self.child.id().to_string());
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
