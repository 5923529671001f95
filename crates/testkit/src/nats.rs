//! A NATS JetStream cluster on loopback, whose nodes a test may kill and start again.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Daemon, free_port, wait_for};

/// A node: its ports are settled before any node runs.
#[derive(Debug)]
struct Node {
    config: PathBuf,
    log: PathBuf,
    port: u16,
    process: Option<Daemon>,
}

/// A cluster that runs.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
}

impl Cluster {
    /// Starts so many nodes, with their files in this folder.
    ///
    /// # Panics
    /// When a node does not start.
    #[must_use]
    pub fn start(folder: &Path, nodes: usize) -> Self {
        let mut ports = Vec::new();
        while ports.len() < nodes * 2 {
            let port = free_port();
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        let (clients, routes) = ports.split_at(nodes);
        let all: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let nodes = clients.iter().zip(routes).enumerate().map(|(number, (client, route))| {
            let base = folder.join(format!("nats-{number}"));
            let (config, log) = (base.with_extension("conf"), base.with_extension("log"));
            let mut text = format!(
                "server_name: n{number}\nlisten: 127.0.0.1:{client}\nlog_file: {:?}\n\
                 jetstream {{ store_dir: {base:?}, max_mem: 64MB, max_file: 1GB }}\n",
                log
            );
            // A cluster of one does not choose a leader.
            if all.len() > 1 {
                text.push_str(&format!(
                    "cluster {{ name: test, listen: 127.0.0.1:{route}, routes: [{}] }}\n",
                    all.join(", ")
                ));
            }
            if let Err(error) = fs::write(&config, text) {
                panic!("cannot write {}: {error}", config.display());
            }
            Node { config, log, port: *client, process: None }
        });
        let mut cluster = Self { nodes: nodes.collect() };
        for number in 0..cluster.nodes.len() {
            cluster.start_node(number);
        }
        cluster
    }

    /// Addresses of all nodes, separated by commas.
    #[must_use]
    pub fn servers(&self) -> String {
        let all: Vec<String> =
            self.nodes.iter().map(|node| format!("nats://127.0.0.1:{}", node.port)).collect();
        all.join(",")
    }

    /// Kills a node as `kill -9` does.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.nodes.get_mut(number).and_then(|node| node.process.take()) {
            process.kill();
        }
    }

    /// Starts a node, which keeps what it had on disk, and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_node(&mut self, number: usize) {
        let Some(node) = self.nodes.get_mut(number) else { panic!("there is no node {number}") };
        let mut command = Command::new("nats-server");
        command.arg("-c").arg(&node.config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Daemon::start(&mut command);
        wait_for("nats-server to listen", || {
            let log = || fs::read_to_string(&node.log).unwrap_or_default();
            assert!(process.runs(), "nats-server ended: {}", log());
            TcpStream::connect(("127.0.0.1", node.port)).ok()
        });
        node.process = Some(process);
    }
}
