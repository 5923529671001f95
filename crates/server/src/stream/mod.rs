//! A monitor that stands alone: events in, findings out, without an authority.
//!
//! What arrives is one durable log of steps ([`log`]); the state is a function of that log, and a checkpoint is a
//! shortcut to it ([`checkpoint`]); findings have deterministic ids and are written once ([`findings`]). So a monitor that
//! is killed anywhere goes on where it stood: nothing that it acknowledged is lost, and no finding is written twice.
//!
//! - [`station`]: log, engine and findings together.
//! - [`input`]: files, stdin, HTTP, MQTT, Kafka.
//! - [`run`]: `touchmark monitor run`.
//! - [`nats`]: the same on several machines, with NATS JetStream as the log.
//!
//! Deliberately absent: decisions about devices. This process has no keys and asks no authority.

pub mod checkpoint;
pub mod config;
pub mod desk;
pub mod findings;
pub mod input;
pub mod log;
pub mod nats;
pub mod run;
pub mod station;

#[cfg(test)]
mod tests;

pub use config::RunConfig;
pub use run::Runner;
