//! Why a line is not an event.

/// Why a line is not an event. All of them are the sender's fault; the line is skipped and counted by [`EventError::reason`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// EV-0001, peer: the line is longer than is read.
    #[error("the line has {found} bytes, at most {max} are read; split it or drop the large field")]
    TooLong {
        /// Bytes in the line.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// EV-0002, peer: not a JSON object, or a field has another JSON type than the format gives it.
    #[error("the line is not a JSON object of the event format: {detail}")]
    Malformed {
        /// What the JSON reader expected and found, and where.
        detail: String,
    },
    /// EV-0003, peer: another format or another version of it.
    #[error("the schema is {found:?}, this reads {expected:?}; convert the line with an adapter first")]
    Schema {
        /// What the line says.
        found: String,
        /// What is read here.
        expected: &'static str,
    },
    /// EV-0004, peer: a required field is absent.
    #[error("an event of type {kind:?} needs the field {field:?}, which is absent")]
    Missing {
        /// The event's type.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
    /// EV-0005, peer: a type that the format does not have.
    #[error("the type is {found:?}; it is one of authentication, session_end, heartbeat, registry")]
    UnknownType {
        /// What the line says.
        found: String,
    },
    /// EV-0006, peer: the identity has no complete name.
    #[error(
        "the identity has no name; give at least one of spki_sha256, cert_sha256, cert_sha1, issuer_dn with serial, \
         common_name, client_id"
    )]
    Nameless,
    /// EV-0007, peer: a value outside what the field may hold.
    #[error("the field {field:?} holds {found:?}, it must be {expected}")]
    Value {
        /// The field.
        field: &'static str,
        /// The value, cut to 64 characters.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
}

impl EventError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "EV-0001",
            Self::Malformed { .. } => "EV-0002",
            Self::Schema { .. } => "EV-0003",
            Self::Missing { .. } => "EV-0004",
            Self::UnknownType { .. } => "EV-0005",
            Self::Nameless => "EV-0006",
            Self::Value { .. } => "EV-0007",
        }
    }

    /// The reason under which refused lines are counted: one word per variant, no content of the line.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too-long",
            Self::Malformed { .. } => "malformed",
            Self::Schema { .. } => "schema",
            Self::Missing { .. } => "missing-field",
            Self::UnknownType { .. } => "unknown-type",
            Self::Nameless => "nameless-identity",
            Self::Value { .. } => "bad-value",
        }
    }

    pub(super) fn value(field: &'static str, found: &str, expected: &'static str) -> Self {
        Self::Value { field, found: found.chars().take(64).collect(), expected }
    }
}
