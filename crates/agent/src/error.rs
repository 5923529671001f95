//! The one error of the agent.

use touchmark_identity::ids::{DeviceId, KeyName};
use touchmark_identity::key::SpkiHash;
use touchmark_keystore::StoreError;

/// Why the agent did not do what it was asked to do, sorted by whose fault it is. Texts of a server are cut to 300
/// characters and hold no control characters.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// AG-0001, caller: the configuration cannot be used.
    #[error("the configuration {path} cannot be used: {detail}")]
    Config {
        /// The file.
        path: String,
        /// What is wrong, and what would be right.
        detail: String,
    },
    /// AG-0002, environment: a file cannot be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// AG-0003, caller: nobody is trusted, so no server can be believed.
    #[error("{path} holds no trust anchor: {detail}; put the server's root certificate there, in PEM")]
    NoTrustAnchor {
        /// The file.
        path: String,
        /// What was found instead.
        detail: String,
    },
    /// AG-0004, transport: the server could not be reached.
    #[error("cannot reach {address}; check that the server runs and that the address is right")]
    Unreachable {
        /// The address tried.
        address: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// AG-0005, transport: no whole answer in time.
    #[error("{address} gave no whole answer within {limit_ms} ms")]
    NoAnswer {
        /// The server.
        address: String,
        /// The time allowed, in milliseconds.
        limit_ms: u64,
    },
    /// AG-0006, peer: the TLS handshake failed, or the peer ended it.
    #[error("no TLS connection with {address}; check the trust anchors and this device's certificate")]
    Tls {
        /// The server.
        address: String,
        /// What TLS said.
        #[source]
        source: std::io::Error,
    },
    /// AG-0007, transport: the connection broke before the answer was whole.
    #[error("the connection with {address} broke before the answer was whole")]
    Broken {
        /// The server.
        address: String,
        /// What HTTP said.
        #[source]
        source: hyper::Error,
    },
    /// AG-0008, peer: an answer that the protocol does not allow.
    #[error("{address} answered {what} in a form that the protocol does not allow: {detail}")]
    Protocol {
        /// The server.
        address: String,
        /// What was asked.
        what: &'static str,
        /// What was expected and found.
        detail: String,
    },
    /// AG-0009, policy: the server refused.
    #[error("{address} refused {what} with HTTP status {status}: {said}")]
    Refused {
        /// The server.
        address: String,
        /// What was asked.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// The server's own error code, where it gave one.
        server_code: Option<String>,
        /// Its message and hint.
        said: String,
    },
    /// AG-0010, hardware or caller: the key store refused or cannot be reached.
    #[error("the key store could not {action}")]
    Store {
        /// The verb.
        action: &'static str,
        /// What the key store said, with its own code.
        #[source]
        source: StoreError,
    },
    /// AG-0011, policy: certificate and key store speak of two keys. Nothing is deleted or made anew to hide it.
    #[error(
        "the certificate is for key {certified}, the key store holds {held} under the name {key}; nothing was changed: \
         find out which of the two was replaced, then remove the certificate to enrol again"
    )]
    Drift {
        /// The key's name.
        key: KeyName,
        /// The key in the certificate.
        certified: SpkiHash,
        /// The key in the store.
        held: SpkiHash,
    },
    /// AG-0012, environment: what the agent remembered is damaged. It is never replaced by an empty record.
    #[error("{place} is damaged: {detail}")]
    Corrupt {
        /// Which record.
        place: String,
        /// What was expected and found.
        detail: String,
    },
    /// AG-0013, caller: there is no certificate yet.
    #[error("device {device} has no certificate; enrol it first")]
    NotEnrolled {
        /// The device.
        device: DeviceId,
    },
    /// AG-0014, policy: the flash holds a firmware that the floor has ruled out: it was rolled back.
    #[error(
        "the flash holds firmware {firmware} with security version {security_version}, the anti-rollback floor is \
         {floor}: this device was rolled back and does not start; install a release of security version {floor} or later"
    )]
    RolledBack {
        /// The firmware's version.
        firmware: String,
        /// Its security version.
        security_version: u64,
        /// The floor.
        floor: u64,
    },
    /// AG-0015, hardware: a number has reached its end.
    #[error(
        "{what} has reached its end and would start again; replace the device's state and enrol it again"
    )]
    Exhausted {
        /// Which number.
        what: &'static str,
    },
    /// AG-0016, bug or platform: something failed without a cause that is known here.
    #[error("{operation} failed: {detail}")]
    Internal {
        /// The operation.
        operation: &'static str,
        /// What is known about it.
        detail: String,
    },
}

impl AgentError {
    /// The stable code, as `docs/errors.md` lists it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "AG-0001",
            Self::File { .. } => "AG-0002",
            Self::NoTrustAnchor { .. } => "AG-0003",
            Self::Unreachable { .. } => "AG-0004",
            Self::NoAnswer { .. } => "AG-0005",
            Self::Tls { .. } => "AG-0006",
            Self::Broken { .. } => "AG-0007",
            Self::Protocol { .. } => "AG-0008",
            Self::Refused { .. } => "AG-0009",
            Self::Store { .. } => "AG-0010",
            Self::Drift { .. } => "AG-0011",
            Self::Corrupt { .. } => "AG-0012",
            Self::NotEnrolled { .. } => "AG-0013",
            Self::RolledBack { .. } => "AG-0014",
            Self::Exhausted { .. } => "AG-0015",
            Self::Internal { .. } => "AG-0016",
        }
    }

    /// Whether the same request may succeed later without anybody's help: the network, the server's load, its policy.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Tls { .. }
            | Self::Broken { .. }
            | Self::Protocol { .. }
            | Self::Refused { .. } => true,
            Self::Config { .. }
            | Self::File { .. }
            | Self::NoTrustAnchor { .. }
            | Self::Store { .. }
            | Self::Drift { .. }
            | Self::Corrupt { .. }
            | Self::NotEnrolled { .. }
            | Self::RolledBack { .. }
            | Self::Exhausted { .. }
            | Self::Internal { .. } => false,
        }
    }

    /// The error and its causes in one line, parted by `: `.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    pub(crate) fn store(action: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store { action, source }
    }

    pub(crate) fn file(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::File { action, path: path.clone(), source }
    }
}

/// A text of somebody else's, made fit for a message: at most 300 characters, no control characters.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_every_cause_and_text_of_others_is_tamed() {
        let source = StoreError::NotFound { what: "key", name: "identity".to_owned() };
        let error = AgentError::store("sign")(source);
        assert_eq!(
            error.chain(),
            "the key store could not sign: there is no key named \"identity\" in this store; make it first"
        );
        assert_eq!(error.code(), "AG-0010");
        assert_eq!(quoted("a\u{1b}[31mb\n"), "a[31mb");
        assert_eq!(quoted(&"x".repeat(1000)).len(), 300);
    }
}
