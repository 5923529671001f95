//! The configuration of a stand-alone monitor: one TOML file, in which unknown keys are refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use touchmark_monitor::Settings;
use touchmark_monitor::adapters::Format;

use crate::error::ServerError;
use crate::geo::Geo;

/// Everything that an operator may choose.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Where log, findings and checkpoints are. Default `monitor-data`.
    pub data: PathBuf,
    /// Where events are taken over HTTP, at `/v1/events`. Whoever reaches it speaks for any device. Default: nowhere.
    pub listen: Option<SocketAddr>,
    /// Registry lines that are valid from the beginning. Read at the start. Default: none.
    pub registry: Option<PathBuf>,
    /// What addresses are looked up in: `built-in` (countries, for what is shown), `none`, or the path of a database in
    /// MaxMind format, which also gives events without an AS number that of their address. Default `built-in`.
    pub geo: Geo,
    /// Threads, 0 to 1024; the findings are the same for any number. Default 0: one for each processor.
    pub workers: u16,
    /// Seconds between checkpoints, 1 to 86,400. Default 30. A start repeats at most what came since the last one.
    pub checkpoint_s: u32,
    /// Seconds without events after which the clock moves time on, 0 to 86,400. Default 10; 0: it never does.
    pub tick_s: u32,
    /// Hours for which events are kept that checkpoints cover, 0 to 87,600. Default 168.
    pub keep_h: u32,
    /// The detection engine.
    pub monitor: Settings,
    /// What is read.
    pub input: Vec<Input>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            data: PathBuf::from("monitor-data"),
            listen: None,
            registry: None,
            geo: Geo::default(),
            workers: 0,
            checkpoint_s: 30,
            tick_s: 10,
            keep_h: 168,
            monitor: Settings::default(),
            input: Vec::new(),
        }
    }
}

/// An `[[input]]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name, 1 to 64 characters: how far it was read is kept under it.
    pub name: String,
    /// What it is.
    pub kind: InputKind,
    /// The format of its lines, such as `nginx`; the adapters' documentation lists them. Default: our own events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// For a file: its path. It may be missing at the start, grow, be rotated and be truncated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// For a broker: `HOST:PORT`. For Kafka, brokers to begin with, separated by commas; they tell the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// For a broker: the topic, for MQTT also a topic filter. Each message holds one event, or lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// For Kafka: file with the roots that are believed, PEM; then TLS is spoken. Default: no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// For Kafka over TLS: the user of a login with SASL PLAIN. Default: no login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// For Kafka: file with that user's password, read at each connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputKind {
    /// A file of lines.
    File,
    /// Lines on stdin, to its end.
    Stdin,
    /// A topic of an MQTT 3.1.1 broker.
    Mqtt,
    /// A topic of Kafka, Redpanda or Azure Event Hubs.
    Kafka,
}

impl RunConfig {
    /// Reads a file; relative paths in it stay relative to the working directory.
    ///
    /// # Errors
    /// [`ServerError::Config`], naming file, place and what is wrong.
    pub fn read(path: &Path) -> Result<Self, ServerError> {
        let wrong = |detail: String| ServerError::Config { path: path.display().to_string(), detail };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        config.check().map_err(wrong)?;
        Ok(config)
    }

    /// Adds an input.
    ///
    /// # Errors
    /// [`ServerError::Config`] when another one has its name, or something about it is wrong.
    pub fn add_input(&mut self, input: Input) -> Result<(), ServerError> {
        input.check(self.input.iter()).map_err(|wrong| ServerError::Config {
            path: format!("input {:?}", input.name),
            detail: wrong,
        })?;
        self.input.push(input);
        Ok(())
    }

    /// Holds the values against their documented ranges.
    fn check(&self) -> Result<(), String> {
        for (key, value, range) in [
            ("workers", u32::from(self.workers), 0..=1_024),
            ("checkpoint_s", self.checkpoint_s, 1..=86_400),
            ("tick_s", self.tick_s, 0..=86_400),
            ("keep_h", self.keep_h, 0..=87_600),
        ] {
            if !range.contains(&value) {
                return Err(format!("{key} is {value}, it must be {} to {}", range.start(), range.end()));
            }
        }
        for (at, input) in self.input.iter().enumerate() {
            let before = self.input.iter().take(at);
            input.check(before).map_err(|wrong| format!("input {:?}: {wrong}", input.name))?;
        }
        Ok(())
    }
}

impl Input {
    fn check<'a>(&self, mut before: impl Iterator<Item = &'a Self> + Clone) -> Result<(), String> {
        if !(1..=64).contains(&self.name.chars().count()) || self.name.chars().any(char::is_control) {
            return Err("a name must have 1 to 64 characters, none of them a control character".to_owned());
        }
        if before.clone().any(|other| other.name == self.name) {
            return Err("another input has this name".to_owned());
        }
        let (needed, allowed): (&[&str], &[&str]) = match self.kind {
            InputKind::File => (&["path"], &[]),
            InputKind::Stdin => (&[], &[]),
            InputKind::Mqtt => (&["address", "topic"], &[]),
            InputKind::Kafka => (&["address", "topic"], &["ca_file", "user", "password_file"]),
        };
        for (key, set) in [
            ("path", self.path.is_some()),
            ("address", self.address.is_some()),
            ("topic", self.topic.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
        ] {
            match (set, needed.contains(&key)) {
                (false, true) => return Err(format!("`{key}` is missing")),
                (true, false) if !allowed.contains(&key) => {
                    return Err(format!("`{key}` has no meaning for this kind"));
                }
                _ => {}
            }
        }
        if self.kind == InputKind::Stdin && before.any(|other| other.kind == InputKind::Stdin) {
            return Err("another input reads stdin".to_owned());
        }
        match (self.kind, &self.address) {
            (InputKind::Mqtt, Some(address)) if self.host_and_port().is_none() => {
                return Err(format!("address is {address:?}, it must be HOST:PORT"));
            }
            (InputKind::Kafka, Some(address)) if self.brokers().is_none() => {
                return Err(format!("address is {address:?}, it must be HOST:PORT, or several with commas"));
            }
            _ => {}
        }
        if self.kind == InputKind::Kafka { self.check_kafka() } else { Ok(()) }
    }

    fn check_kafka(&self) -> Result<(), String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !self
            .topic
            .as_ref()
            .is_some_and(|topic| (1..=249).contains(&topic.len()) && topic.chars().all(legal))
        {
            let topic = self.topic.as_deref().unwrap_or_default();
            return Err(format!("topic is {topic:?}, it must be 1 to 249 letters, digits, `.`, `_` and `-`"));
        }
        match (&self.user, &self.password_file) {
            (None, None) => Ok(()),
            (Some(_), Some(_)) if self.ca_file.is_some() => Ok(()),
            (Some(_), Some(_)) => {
                Err("the password would be sent in the clear; set ca_file to speak TLS".to_owned())
            }
            _ => Err("user and password_file go together".to_owned()),
        }
    }

    /// Host and port of a broker.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        host_and_port(self.address.as_deref()?)
    }

    /// Hosts and ports of the brokers that the address names; `None` when one of them is none.
    #[must_use]
    pub fn brokers(&self) -> Option<Vec<(String, u16)>> {
        let one = |address: &str| host_and_port(address.trim()).map(|(host, port)| (host.to_owned(), port));
        self.address.as_deref()?.split(',').map(one).collect()
    }
}

fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "/,@".contains(c);
    (!host.is_empty() && !host.contains(wrong)).then_some(host).zip(port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_file_is_the_default() {
        let config: RunConfig = toml::from_str("").unwrap();
        assert_eq!((config.checkpoint_s, config.check()), (30, Ok(())));
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let file = "[[input]]\nname = \"a\"\nkind = \"file\"\npath = \"x\"\n";
        for text in [
            "checkpoint_s = 0",
            "workers = 2000",
            "keep_h = 90000",
            "[[input]]\nname = \"\"\nkind = \"stdin\"",
            "[[input]]\nname = \"a\"\nkind = \"file\"",
            "[[input]]\nname = \"a\"\nkind = \"stdin\"\npath = \"x\"",
            "[[input]]\nname = \"a\"\nkind = \"mqtt\"\naddress = \"h:1\"",
            "[[input]]\nname = \"a\"\nkind = \"mqtt\"\naddress = \"h\"\ntopic = \"t\"",
            "[[input]]\nname = \"a\"\nkind = \"mqtt\"\naddress = \"h:1\"\ntopic = \"t\"\nca_file = \"x\"",
            "[[input]]\nname = \"a\"\nkind = \"kafka\"\naddress = \"h:1,\"\ntopic = \"t\"",
            "[[input]]\nname = \"a\"\nkind = \"kafka\"\naddress = \"h:1\"\ntopic = \"t u\"",
            "[[input]]\nname = \"a\"\nkind = \"kafka\"\naddress = \"h:1\"\ntopic = \"t\"\nuser = \"u\"\npassword_file = \"p\"",
            "[[input]]\nname = \"a\"\nkind = \"kafka\"\naddress = \"h:1\"\ntopic = \"t\"\nca_file = \"c\"\nuser = \"u\"",
            "[[input]]\nname = \"a\"\nkind = \"stdin\"\n[[input]]\nname = \"b\"\nkind = \"stdin\"",
            &format!("{file}{file}"),
        ] {
            let config: RunConfig = toml::from_str(text).unwrap();
            assert!(config.check().is_err(), "{text}");
        }
        assert_eq!(toml::from_str::<RunConfig>(file).unwrap().check(), Ok(()));
        assert!(toml::from_str::<RunConfig>("chekpoint_s = 1").is_err());
    }

    #[test]
    fn host_and_port_are_told_apart() {
        let of = |address: &str| {
            let text =
                format!("[[input]]\nname = \"a\"\nkind = \"mqtt\"\ntopic = \"t\"\naddress = \"{address}\"");
            let config: RunConfig = toml::from_str(&text).unwrap();
            config.input[0].host_and_port().map(|(host, port)| (host.to_owned(), port))
        };
        assert_eq!(of("[::1]:1883"), Some(("::1".to_owned(), 1883)));
        assert_eq!(of("broker:1883"), Some(("broker".to_owned(), 1883)));
        assert_eq!((of(":1883"), of("broker:x"), of("broker")), (None, None, None));
    }

    #[test]
    fn several_brokers_are_told_apart() {
        let of = |address: &str| {
            let text =
                format!("[[input]]\nname = \"a\"\nkind = \"kafka\"\ntopic = \"t\"\naddress = \"{address}\"");
            let config: RunConfig = toml::from_str(&text).unwrap();
            assert_eq!(config.check().is_ok(), config.input[0].brokers().is_some(), "{address}");
            config.input[0].brokers()
        };
        let two = vec![("b1".to_owned(), 9_092), ("::1".to_owned(), 9_093)];
        assert_eq!(of("b1:9092,[::1]:9093"), Some(two.clone()));
        assert_eq!(of(" b1:9092, [::1]:9093"), Some(two));
        for wrong in ["b1:9092,", "b1", "b1:9092 b2:9092", "kafka://b1:9092", "b1:9092;b2:x", ":9092"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
