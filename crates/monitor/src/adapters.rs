//! Foreign log lines into events. One module for each terminator whose format we ship.

pub mod nginx;

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
        }
    }

    /// The reason under which refused lines are counted: one word per variant, no content of the line.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too-long",
            Self::Malformed { .. } => "malformed",
            Self::Missing { .. } => "missing-field",
            Self::Value { .. } => "bad-value",
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
