//! Exit codes: which fault a command ended with.

use std::process::ExitCode;

use touchmark_agent::AgentError;
use touchmark_attest::AppraisalError;
use touchmark_authority::AuthorityError;
use touchmark_authority::registry::RegistryError;
use touchmark_economics::EconomicsError;
use touchmark_element::ElementError;
use touchmark_keystore::StoreError;
use touchmark_lab::LabError;
use touchmark_monitor::replay::ReplayError;
use touchmark_monitor::respond::ResponseError;
use touchmark_monitor::simulate::SimulateError;
use touchmark_server::ServerError;

/// How the program ends. Scripts rely on these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The thing asked about is not so: a verification failed, a policy refused.
    NotSo = 1,
    /// The call is wrong.
    Usage = 2,
    /// The environment failed: no token, no server, disk full.
    Environment = 3,
    /// Interrupted.
    Interrupted = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The thing asked about is not so.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotSo(pub(crate) String);

/// The call is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The user stopped the program.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// The exit code of an error: by the first cause in its chain that says whose fault it is.
pub(crate) fn classify(error: &anyhow::Error) -> Exit {
    error.chain().find_map(one).unwrap_or(Exit::Environment)
}

fn one(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if cause.is::<NotSo>() || cause.is::<AppraisalError>() {
        return Some(Exit::NotSo);
    }
    if cause.is::<Usage>() || cause.is::<ResponseError>() || cause.is::<EconomicsError>() {
        return Some(Exit::Usage);
    }
    if cause.is::<Interrupted>() {
        return Some(Exit::Interrupted);
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return Some(store(error));
    }
    if let Some(error) = cause.downcast_ref::<AuthorityError>() {
        return Some(authority(error));
    }
    if let Some(error) = cause.downcast_ref::<ServerError>() {
        return Some(match error {
            ServerError::Authority(error) => authority(error),
            ServerError::Store(error) => store(error),
            ServerError::Config { .. } | ServerError::NotConfirmed { .. } | ServerError::BadBody { .. } => {
                Exit::Usage
            }
            _ => Exit::Environment,
        });
    }
    if let Some(error) = cause.downcast_ref::<AgentError>() {
        return match error {
            AgentError::Config { .. } => Some(Exit::Usage),
            AgentError::Refused { .. } => Some(Exit::NotSo),
            _ => None,
        };
    }
    if let Some(SimulateError::Start(_) | SimulateError::Range { .. }) = cause.downcast_ref::<SimulateError>()
    {
        return Some(Exit::Usage);
    }
    cause.is::<ElementError>().then_some(Exit::Environment)
}

/// The stable code of an error: of the first cause in its chain that has one.
pub(crate) fn code(error: &anyhow::Error) -> Option<&'static str> {
    fn of<E: std::error::Error + 'static>(
        cause: &(dyn std::error::Error + 'static),
        code: fn(&E) -> &'static str,
    ) -> Option<&'static str> {
        cause.downcast_ref::<E>().map(code)
    }
    error.chain().find_map(|cause| {
        of(cause, ServerError::code)
            .or_else(|| of(cause, AuthorityError::code))
            .or_else(|| of(cause, RegistryError::code))
            .or_else(|| of(cause, StoreError::code))
            .or_else(|| of(cause, AppraisalError::code))
            .or_else(|| of(cause, AgentError::code))
            .or_else(|| of(cause, EconomicsError::code))
            .or_else(|| of(cause, ElementError::code))
            .or_else(|| of(cause, LabError::code))
            .or_else(|| of(cause, ReplayError::code))
            .or_else(|| of(cause, SimulateError::code))
            .or_else(|| of(cause, ResponseError::code))
    })
}

fn store(error: &StoreError) -> Exit {
    match error {
        StoreError::NotFound { what: "token", .. } => Exit::Environment,
        StoreError::BadUri { .. }
        | StoreError::NotFound { .. }
        | StoreError::Exists { .. }
        | StoreError::NoCapability { .. } => Exit::Usage,
        StoreError::WouldGoBack { .. } | StoreError::NotInState { .. } => Exit::NotSo,
        _ => Exit::Environment,
    }
}

fn authority(error: &AuthorityError) -> Exit {
    match error {
        AuthorityError::Unknown { .. }
        | AuthorityError::DeviceExists { .. }
        | AuthorityError::Registry(RegistryError::Absent { .. }) => Exit::Usage,
        AuthorityError::Store(_) | AuthorityError::Registry(_) | AuthorityError::WrongCaKey { .. } => {
            Exit::Environment
        }
        _ => Exit::NotSo,
    }
}
