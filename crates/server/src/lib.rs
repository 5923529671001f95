//! Authority, monitor and dashboard in one process.
//!
//! Place in the life of a credential: everywhere after the factory. Devices enrol and renew over EST and over the
//! attested enrolment ([`http::enrol`]), send heartbeats through the operator's terminator ([`http::telemetry`]), and
//! anybody may ask what is revoked ([`http::public`]). The terminator's own log is read as it grows ([`tail`]). What
//! arrives is written down before it is acknowledged ([`events`]), watched ([`watch`]), and shown ([`http::pages`]).
//! Findings go on to other systems through the outbox ([`outbox`]). What follows from them by policy is done, once, and
//! can be taken back ([`respond`]).
//! The operator acts through the control socket ([`control`]), to which file permissions are the key.
//!
//! A monitor without an authority is [`stream`].
//!
//! Deliberately absent: decisions. What a certificate needs is `authority`'s to say, what an event means `monitor`'s.

pub mod app;
pub mod config;
pub mod control;
pub mod dashboard;
pub mod decide;
pub mod error;
pub mod events;
pub mod fleet;
pub mod gate;
pub mod geo;
pub mod http;
pub mod keys;
pub mod metrics;
pub mod outbox;
pub mod pace;
pub mod renewal;
pub mod respond;
pub mod run;
pub mod stream;
pub mod tail;
pub mod tls;
pub mod triage;
pub mod watch;

pub use config::Config;
pub use error::ServerError;
pub use run::{Addresses, Server};
