//! Why an element cannot be made, opened or served. What it answers to a command is a status word instead.

use std::io;
use std::path::PathBuf;

use crate::fault::Fault;

/// Why an element cannot be made, opened or served.
#[derive(Debug, thiserror::Error)]
pub enum ElementError {
    /// EL-0001, caller: the directory holds an element, and an element is never overwritten.
    #[error("{} holds an element, which is not overwritten; open it, or choose another directory", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// EL-0002, caller: the directory holds no element.
    #[error("{} holds no element; make one first", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// EL-0003, caller: another process has the element open.
    #[error("the element in {} is in use by another process; close that one first", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// EL-0004, environment: the state cannot be understood. It is left as it is; nothing is made anew.
    #[error("{} is not the state of an element: {detail}; restore it from a copy", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        detail: String,
    },
    /// EL-0005, environment: a file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// EL-0006, test: an armed fault cut the power.
    #[error("the armed fault {fault} cut the power; open the element anew")]
    PowerCut {
        /// The fault.
        fault: Fault,
    },
    /// EL-0007, bug or platform: the cryptographic library failed without a cause.
    #[error("the cryptographic library failed in {operation}")]
    Crypto {
        /// The operation.
        operation: &'static str,
    },
    /// EL-0008, bug: a certificate could not be put together.
    #[error("cannot encode or decode {what}")]
    Der {
        /// What was being encoded or decoded.
        what: &'static str,
        /// What the DER library said.
        #[source]
        source: der::Error,
    },
    /// EL-0009, environment: the listening socket failed.
    #[error("the listening socket of the element failed")]
    Listener {
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// EL-0010, environment: the element lost its power while it was served, by a failed write or an armed fault.
    #[error("the element lost its power while it was served; open it anew")]
    PowerLost,
}

impl ElementError {
    /// The stable code, as listed in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "EL-0001",
            Self::Missing { .. } => "EL-0002",
            Self::Locked { .. } => "EL-0003",
            Self::Corrupt { .. } => "EL-0004",
            Self::File { .. } => "EL-0005",
            Self::PowerCut { .. } => "EL-0006",
            Self::Crypto { .. } => "EL-0007",
            Self::Der { .. } => "EL-0008",
            Self::Listener { .. } => "EL-0009",
            Self::PowerLost => "EL-0010",
        }
    }
}
