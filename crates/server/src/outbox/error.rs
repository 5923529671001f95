//! Why a finding was not delivered.

use crate::error::ServerError;

/// Why a finding was not delivered. Unless [`DeliveryError::is_final`], it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// OB-0001, environment: the receiver cannot be reached, or the connection broke.
    #[error("cannot {action} {address}")]
    Connection {
        /// What was being done.
        action: &'static str,
        /// The receiver.
        address: String,
        /// What the operating system or the TLS library said.
        #[source]
        source: std::io::Error,
    },
    /// OB-0002, peer: there was no whole HTTP answer.
    #[error("{address} gave no whole HTTP answer")]
    Broken {
        /// The receiver.
        address: String,
        /// What the HTTP library said.
        #[source]
        source: hyper::Error,
    },
    /// OB-0003, peer: the receiver took longer than it is given.
    #[error("{address} did not finish within {limit_s} s")]
    NoAnswer {
        /// The receiver.
        address: String,
        /// The limit, in seconds.
        limit_s: u64,
    },
    /// OB-0004, peer: the receiver answered, and not that it has the finding.
    #[error("{address} answered with status {status}, a status from 200 to 299 was expected")]
    Status {
        /// The receiver.
        address: String,
        /// What it answered.
        status: u16,
    },
    /// OB-0005, peer: the receiver says that this document is wrong, so it is not sent again.
    #[error("{address} refused the finding with status {status}; does it read the form {form}?")]
    Refused {
        /// The receiver.
        address: String,
        /// What it answered.
        status: u16,
        /// The form that was sent.
        form: &'static str,
    },
    /// OB-0006, environment: the output's file or its token file cannot be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// OB-0007, caller: a message is larger than one UDP datagram, so it is not sent again.
    #[error("the message has {found} bytes, one datagram carries {max}; use tcp:// or the form cef")]
    TooLarge {
        /// Bytes in the message.
        found: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// The server's own errors keep their codes.
    #[error(transparent)]
    Server(#[from] ServerError),
}

impl DeliveryError {
    /// The stable code, as listed in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connection { .. } => "OB-0001",
            Self::Broken { .. } => "OB-0002",
            Self::NoAnswer { .. } => "OB-0003",
            Self::Status { .. } => "OB-0004",
            Self::Refused { .. } => "OB-0005",
            Self::File { .. } => "OB-0006",
            Self::TooLarge { .. } => "OB-0007",
            Self::Server(error) => error.code(),
        }
    }

    /// Whether sending the same again could only end the same way.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::TooLarge { .. })
    }

    /// The error with its causes, in one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        text
    }
}
