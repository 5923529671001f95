//! A Kafka cluster on loopback: the mock brokers that librdkafka keeps inside a `kcat` process, and `kcat` as a producer.
//!
//! The brokers end with their process and keep nothing; topics are made when they are first named, with four partitions.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Daemon, PATIENCE, run, wait_for};

/// How brokers say where they are.
const ADDRESSES: &str = "bootstrap.servers=";

/// A cluster that runs.
#[derive(Debug)]
pub struct Cluster {
    /// `HOST:PORT` of the brokers, separated by commas.
    pub brokers: String,
    folder: PathBuf,
    process: Daemon,
}

impl Cluster {
    /// Starts so many brokers. `folder` takes their log.
    ///
    /// # Panics
    /// When they do not start.
    #[must_use]
    pub fn start(folder: &Path, brokers: usize) -> Self {
        let path = folder.join("kafka.log");
        let log = fs::File::create(&path);
        let log = log.unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        let mut command = Command::new("kcat");
        command.arg("-X").arg(format!("test.mock.num.brokers={brokers}"));
        // A producer that is never given anything.
        command.args(["-P", "-t", "unused", "-b", "mock", "-d", "mock", "-X", "log_level=7"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let mut process = Daemon::start(&mut command);
        let brokers = wait_for("Kafka's brokers to listen", || {
            let log = fs::read_to_string(&path).unwrap_or_default();
            assert!(process.runs(), "kcat ended: {log}");
            let (_, rest) = log.split_once(ADDRESSES)?;
            let (addresses, _) = rest.split_once('\n')?;
            Some(addresses.to_owned())
        });
        Self { brokers, folder: folder.to_owned(), process }
    }

    /// Writes lines to a topic, each with the text before its first tab as its key, which chooses the partition. `options` go
    /// to `kcat` as they are.
    ///
    /// # Panics
    /// When the brokers do not take them.
    pub fn produce(&self, topic: &str, options: &[&str], lines: &str) {
        let mut command = Command::new("kcat");
        command.args(["-b", &self.brokers, "-P", "-t", topic, "-K", "\t"]).args(options);
        let _done = run(command.current_dir(&self.folder), lines.as_bytes()).must_end_with(0);
    }

    /// As [`Self::produce`], line after line: each record has a later time than those before it, as in real life.
    ///
    /// # Panics
    /// When the brokers do not take them.
    pub fn produce_in_turn(&self, topic: &str, options: &[&str], lines: &str) {
        let mut command = Command::new("kcat");
        command.args(["-b", &self.brokers, "-P", "-t", topic, "-K", "\t"]).args(options);
        command.current_dir(&self.folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut kcat = Daemon::start(&mut command);
        if let Some(mut stdin) = kcat.child().stdin.take() {
            for line in lines.split_inclusive('\n') {
                if let Err(error) = stdin.write_all(line.as_bytes()) {
                    panic!("kcat takes no more lines: {error}");
                }
                // A record's time is in whole milliseconds.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        let ended = kcat.wait(PATIENCE);
        assert!(ended.is_some_and(|status| status.success()), "kcat ended with {ended:?}");
    }

    /// Partitions and leaders of a topic, as another client sees them.
    ///
    /// # Panics
    /// When the brokers do not answer.
    #[must_use]
    pub fn listing(&self, topic: &str) -> String {
        let mut command = Command::new("kcat");
        command.args(["-b", &self.brokers, "-L", "-t", topic]);
        run(command.current_dir(&self.folder), b"").must_end_with(0).text()
    }

    /// From now on this port of loopback leads to the first broker, which is how a test settles a port before the brokers
    /// chose theirs.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn open_door(&self, port: u16) {
        let listener = TcpListener::bind(("127.0.0.1", port));
        let listener = listener.unwrap_or_else(|error| panic!("cannot listen on {port}: {error}"));
        let broker = self.brokers.split(',').next().unwrap_or_default().to_owned();
        std::thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                let Ok(to) = TcpStream::connect(&broker) else { continue };
                let (Ok(from_too), Ok(to_too)) = (from.try_clone(), to.try_clone()) else { continue };
                std::thread::spawn(move || carry(from, to));
                std::thread::spawn(move || carry(to_too, from_too));
            }
        });
    }

    /// Kills all brokers as `kill -9` does; what they kept is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// Carries bytes until either side is done.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    // A side that goes away ends the other.
    let _carried = io::copy(&mut from, &mut to);
    let _gone = to.shutdown(std::net::Shutdown::Both);
}
