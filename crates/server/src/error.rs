//! Why the server refused or failed, and what its clients are told.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use touchmark_authority::AuthorityError;
use touchmark_authority::registry::RegistryError;
use touchmark_economics::EconomicsError;
use touchmark_keystore::StoreError;

use crate::respond::challenge::ChallengeBody;

/// Why the server did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// SV-0001, caller: the configuration cannot be used.
    #[error("the configuration {path} cannot be used: {detail}")]
    Config {
        /// The file.
        path: String,
        /// What is wrong, and where.
        detail: String,
    },
    /// SV-0002, environment: an address or socket cannot be taken.
    #[error("cannot listen on {address}; another process may use it")]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// SV-0003, peer: a body that cannot be read.
    #[error("the request body is not acceptable: {detail}")]
    BadBody {
        /// What was expected and found.
        detail: String,
    },
    /// SV-0004, peer: a body larger than allowed.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// SV-0005, peer: nobody said who asks.
    #[error(
        "authentication is missing: send a client certificate, or device id and enrolment token as HTTP Basic"
    )]
    Unauthenticated,
    /// SV-0006, peer: the terminator forwarded no certificate, or one that this authority did not issue.
    #[error("the client certificate is not one of this authority's: {detail}")]
    UnknownCertificate {
        /// What was found.
        detail: String,
    },
    /// SV-0007, policy: certificate or device is on hold or revoked.
    #[error("device {device} is {status}; it has no access until the operator decides otherwise")]
    NotInService {
        /// The device.
        device: String,
        /// Its state.
        status: String,
    },
    /// SV-0008, environment: a file of the server cannot be read or written. Nothing was acknowledged.
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
    /// SV-0009, environment: the event log refused. Nothing was acknowledged.
    #[error("the event log refused to {action}; check the disk's space and permissions")]
    EventLog {
        /// What was being done.
        action: &'static str,
        /// What the database said.
        #[source]
        source: rusqlite::Error,
    },
    /// SV-0010, caller: there is nothing at this address.
    #[error("there is no {what} at this address")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// SV-0011, peer: the method or content type is not one that this address takes.
    #[error("this address takes {expected}")]
    NotAcceptable {
        /// What it takes.
        expected: &'static str,
    },
    /// SV-0012, caller: an irreversible act was not confirmed.
    #[error("{act} cannot be undone; repeat it with --confirm {name}")]
    NotConfirmed {
        /// The act.
        act: &'static str,
        /// The name to confirm with.
        name: String,
    },
    /// SV-0013, bug or platform: TLS could not be set up.
    #[error("TLS could not be set up: {detail}")]
    Tls {
        /// What the library said.
        detail: String,
    },
    /// SV-0014, bug: a task of the server ended by itself.
    #[error("the task {task} ended unexpectedly")]
    TaskEnded {
        /// Which task.
        task: &'static str,
    },
    /// SV-0015, environment: an endorser root cannot be read.
    #[error("the endorser roots in {path} cannot be used: {detail}")]
    Endorsers {
        /// The directory.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// SV-0016, peer: this address is part of EST, and this server does not offer it.
    #[error("this EST operation is not offered: {operation}")]
    NotOffered {
        /// The operation.
        operation: &'static str,
    },
    /// SV-0017, peer: a request that changes something did not come from the dashboard's own pages.
    #[error("the request was not made by a page of this dashboard: {detail}")]
    ForeignRequest {
        /// What was expected and found.
        detail: String,
    },
    /// SV-0018, caller: a decision about a finding that breaks a rule. Nothing was written.
    #[error("the decision was not taken: {detail}")]
    BadTriage {
        /// Which rule.
        detail: &'static str,
    },
    /// SV-0019, environment: nothing says what the monitor knew.
    #[error(
        "no checkpoint in {path} can be used, and the log begins at step {first}; restore a copy, or start in an empty directory"
    )]
    NoState {
        /// The data directory.
        path: String,
        /// The first step that the log has.
        first: u64,
    },
    /// SV-0020, environment: the broker did not do what it was asked to do.
    #[error("the broker did not {action}; check that its nodes run and have JetStream")]
    Broker {
        /// What was being done.
        action: &'static str,
        /// What the client library said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SV-0021, caller: a decision that means nothing where the case stands. Nothing was written.
    #[error("the case does not take this: {detail}")]
    CaseRefuses {
        /// What it is, and what it takes.
        detail: String,
    },
    /// SV-0022, peer: an answer to a challenge that is not open.
    #[error("this is no answer to an open challenge: {detail}")]
    BadAnswer {
        /// What was expected and found.
        detail: String,
    },
    /// SV-0023, policy: the instance that asks lost its rights.
    #[error(
        "this instance of {device} has lost its rights because of finding {finding}; a person can give them back"
    )]
    RightsReduced {
        /// The device.
        device: String,
        /// The finding.
        finding: String,
        /// A challenge that it may still answer.
        challenge: Option<ChallengeBody>,
    },
    /// SV-0024, environment: cases are kept by the running server.
    #[error("no server runs on this data directory, and cases are kept by the running server; start it")]
    NeedsServer,
    /// SV-0025, environment: an input that was to be read to its end cannot be read.
    #[error("the input {input} cannot be read: {detail}")]
    Input {
        /// Its name.
        input: String,
        /// What is wrong.
        detail: String,
    },
    /// The authority's errors keep their own codes.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The models' errors keep their own codes.
    #[error(transparent)]
    Economics(#[from] EconomicsError),
    /// The key store's errors keep their own codes.
    #[error("the key store failed")]
    Store(#[from] StoreError),
}

impl ServerError {
    /// The stable code, as listed in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "SV-0001",
            Self::Listen { .. } => "SV-0002",
            Self::BadBody { .. } => "SV-0003",
            Self::TooLarge { .. } => "SV-0004",
            Self::Unauthenticated => "SV-0005",
            Self::UnknownCertificate { .. } => "SV-0006",
            Self::NotInService { .. } => "SV-0007",
            Self::File { .. } => "SV-0008",
            Self::EventLog { .. } => "SV-0009",
            Self::NotFound { .. } => "SV-0010",
            Self::NotAcceptable { .. } => "SV-0011",
            Self::NotConfirmed { .. } => "SV-0012",
            Self::Tls { .. } => "SV-0013",
            Self::TaskEnded { .. } => "SV-0014",
            Self::Endorsers { .. } => "SV-0015",
            Self::NotOffered { .. } => "SV-0016",
            Self::ForeignRequest { .. } => "SV-0017",
            Self::BadTriage { .. } => "SV-0018",
            Self::NoState { .. } => "SV-0019",
            Self::Broker { .. } => "SV-0020",
            Self::CaseRefuses { .. } => "SV-0021",
            Self::BadAnswer { .. } => "SV-0022",
            Self::RightsReduced { .. } => "SV-0023",
            Self::NeedsServer => "SV-0024",
            Self::Input { .. } => "SV-0025",
            Self::Authority(error) => error.code(),
            Self::Economics(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    /// The HTTP status: the one place where a fault becomes an answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadBody { .. }
            | Self::Config { .. }
            | Self::NotConfirmed { .. }
            | Self::BadTriage { .. }
            | Self::BadAnswer { .. } => StatusCode::BAD_REQUEST,
            Self::CaseRefuses { .. } => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::UnknownCertificate { .. }
            | Self::NotInService { .. }
            | Self::ForeignRequest { .. }
            | Self::RightsReduced { .. } => StatusCode::FORBIDDEN,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::NotAcceptable { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotOffered { .. } => StatusCode::NOT_IMPLEMENTED,
            Self::Listen { .. }
            | Self::File { .. }
            | Self::EventLog { .. }
            | Self::Endorsers { .. }
            | Self::NoState { .. }
            | Self::Broker { .. }
            | Self::NeedsServer
            | Self::Input { .. }
            | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Tls { .. } | Self::TaskEnded { .. } | Self::Economics(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Authority(error) => match error {
                AuthorityError::BadRequest { .. }
                | AuthorityError::NoProofOfPossession
                | AuthorityError::WrongSubject { .. }
                | AuthorityError::BadOcspRequest
                | AuthorityError::NoSession { .. } => StatusCode::BAD_REQUEST,
                AuthorityError::BadToken => StatusCode::UNAUTHORIZED,
                AuthorityError::GradeTooLow { .. }
                | AuthorityError::NotInService { .. }
                | AuthorityError::RekeyWithoutEvidence { .. }
                | AuthorityError::KeyCompromised { .. }
                | AuthorityError::Superseded { .. }
                | AuthorityError::Appraisal(_) => StatusCode::FORBIDDEN,
                AuthorityError::Unknown { .. } => StatusCode::NOT_FOUND,
                AuthorityError::Registry(RegistryError::Exists { .. })
                | AuthorityError::DeviceExists { .. }
                | AuthorityError::WrongState { .. }
                | AuthorityError::KeyInUse { .. } => StatusCode::CONFLICT,
                AuthorityError::Busy { .. }
                | AuthorityError::WrongCaKey { .. }
                | AuthorityError::Store(_)
                | AuthorityError::Registry(_) => StatusCode::SERVICE_UNAVAILABLE,
                AuthorityError::Encoding { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
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

/// What a client is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// `touchmark.error/1`.
    pub schema: String,
    /// The stable code.
    pub code: String,
    /// What is wrong, without inner causes.
    pub message: String,
    /// With SV-0023: a challenge that the instance may answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<ChallengeBody>,
}

impl IntoResponse for ServerError {
    fn into_response(self) -> Response {
        let (status, code) = (self.status(), self.code());
        if status.is_server_error() {
            tracing::error!(code, "{}", self.chain());
        } else {
            tracing::info!(code, "{}", self.chain());
        }
        let body = ErrorBody {
            schema: "touchmark.error/1".to_owned(),
            code: code.to_owned(),
            message: self.to_string(),
            challenge: match self {
                Self::RightsReduced { challenge, .. } => challenge,
                _ => None,
            },
        };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate header field".
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"touchmark enrolment\""),
            );
        }
        response
    }
}
