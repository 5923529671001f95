//! Foreign log lines into events.
//!
//! [`Reader`] is the one interface: it reads the lines of one source in one [`Format`], in the order in which the source
//! wrote them, and gives the events of each. What a line says is taken over, never guessed: a connection whose client
//! proved no key is refused under [`AdapterError::Refused`], and a line that a source writes for other purposes (a
//! published message, a new TCP connection) is no event and no error.
//!
//! Sources that write at the end of a connection (HAProxy, Envoy) give two events: an `authentication` dated to the
//! beginning and a `session_end`. `docs/adapters.md` says for each format which fields are read and what is lost.
//!
//! ```
//! use touchmark_monitor::adapters::{Format, Reader};
//!
//! let mut reader = Reader::new(Format::Mosquitto, "broker");
//! let line = b"2026-11-20T22:01:24+0000: New client connected from 192.0.2.7:43452 as dev1 (p5, c1, k10, u'meter-17').";
//! let events = reader.read(line)?;
//! assert_eq!(events[0].identity.common_name.as_deref(), Some("meter-17"));
//! # Ok::<(), touchmark_monitor::adapters::AdapterError>(())
//! ```

mod cloud;
mod cloudevents;
mod envoy;
mod fields;
mod haproxy;
mod mosquitto;
pub mod nginx;
mod reader;
mod recent;
mod siem;
mod syslog;
mod zeek;

pub use reader::{Format, Reader, UnknownFormat};

use touchmark_identity::event::EventError;

/// Why a line of a log is not an event. All of them are the sender's fault; the line is skipped and counted by
/// [`AdapterError::reason`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    /// AD-0001, peer: the line is longer than is read.
    #[error("the line has {found} bytes, at most {max} are read")]
    TooLong {
        /// Bytes in the line.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// AD-0002, peer: not a JSON object, or one that the snippet we ship did not write.
    #[error(
        "the line was not written by the shipped log format ({detail}); point the access log at it: {example}"
    )]
    Malformed {
        /// What was expected and found.
        detail: String,
        /// The beginning of the line, printable characters alone.
        example: String,
    },
    /// AD-0003, peer: a field is absent or empty.
    #[error("the field {field:?} is absent or empty; use the shipped log format unchanged: {example}")]
    Missing {
        /// The field.
        field: &'static str,
        /// The beginning of the line, printable characters alone.
        example: String,
    },
    /// AD-0004, peer: a value outside what the field may hold.
    #[error("the field {field:?} holds {found:?}, it must be {expected}: {example}")]
    Value {
        /// The field.
        field: &'static str,
        /// The value, cut to 64 characters.
        found: String,
        /// What it must be.
        expected: &'static str,
        /// The beginning of the line, printable characters alone.
        example: String,
    },
    /// AD-0005, peer: the line tells of a connection whose client proved no key. Nothing is wrong with the line.
    #[error("no key was proven on this connection ({detail}): {example}")]
    Refused {
        /// Whether there was no certificate or one that was not accepted.
        reason: Unproven,
        /// What the source says of it.
        detail: String,
        /// The beginning of the line, printable characters alone.
        example: String,
    },
    /// AD-0006, peer: what the line carries is no event of our own format.
    #[error("the event in the line cannot be read: {source}; the line is {example}")]
    Event {
        /// What is wrong with it.
        source: EventError,
        /// The beginning of the line, printable characters alone.
        example: String,
    },
}

/// Why no key was proven on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven {
    /// The client showed no certificate.
    NoCertificate,
    /// The client showed a certificate, and the terminator did not accept it.
    NotAccepted,
}

impl AdapterError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "AD-0001",
            Self::Malformed { .. } => "AD-0002",
            Self::Missing { .. } => "AD-0003",
            Self::Value { .. } => "AD-0004",
            Self::Refused { .. } => "AD-0005",
            Self::Event { .. } => "AD-0006",
        }
    }

    /// The reason under which refused lines are counted: a fixed word, no content of the line.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too-long",
            Self::Malformed { .. } => "malformed",
            Self::Missing { .. } => "missing-field",
            Self::Value { .. } => "bad-value",
            Self::Refused { reason: Unproven::NoCertificate, .. } => "no-client-certificate",
            Self::Refused { reason: Unproven::NotAccepted, .. } => "client-certificate-refused",
            Self::Event { source, .. } => source.reason(),
        }
    }

    /// The beginning of the line in printable characters; empty where nothing of it was kept.
    #[must_use]
    pub fn example(&self) -> &str {
        match self {
            Self::TooLong { .. } => "",
            Self::Malformed { example, .. }
            | Self::Missing { example, .. }
            | Self::Value { example, .. }
            | Self::Refused { example, .. }
            | Self::Event { example, .. } => example,
        }
    }
}

/// The beginning of a line, fit for a terminal and a log: at most 120 characters, each printable ASCII or `?`.
#[must_use]
pub fn safe_example(line: &[u8]) -> String {
    line.iter()
        .take(120)
        .map(|&byte| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '?' })
        .collect()
}
