//! Heartbeats: what is counted, what is sent, and what an answer or a restart changes. No I/O.
//!
//! Two rules make a copy of the device visible, and the device itself free of suspicion:
//! - A counter value goes with one body and no other. [`State::prepare`] counts and keeps the body; the caller saves the
//!   state *before* sending, so that a power loss cannot make two bodies with one counter.
//! - The continuity token of the last acknowledgement goes into the next heartbeat. Without an answer the same body is
//!   repeated, with the same counter and token, also after a restart: the server may have taken it, and the token that
//!   it answered with may be lost.

use serde::{Deserialize, Serialize};
use touchmark_identity::challenge::NONCE_BYTES;
use touchmark_identity::ids::DeviceType;
use touchmark_identity::timestamp::Timestamp;

use crate::error::{AgentError, quoted};
use crate::firmware::Version;
use crate::secret::Private;

const STATE_SCHEMA: &str = "touchmark.agent-state/1";
const ACK_SCHEMA: &str = "touchmark.heartbeat-ack/1";
/// No continuity token is longer than this, in hex digits.
const MAX_TOKEN_DIGITS: usize = 128;

/// What an agent remembers from one heartbeat to the next. It is JSON in `state.json`; numbers are decimal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    schema: String,
    /// How often the agent has started.
    pub boot_count: u64,
    /// Counter of the last body that was made; 0 before the first.
    pub counter: u64,
    /// The continuity token of the last acknowledgement.
    #[serde(serialize_with = "Private::write", deserialize_with = "Private::read")]
    pub token: Option<Private>,
    /// The firmware that runs.
    pub firmware: Version,
    /// Its security version.
    pub security_version: u64,
    /// The anti-rollback floor of a device whose key store has no ratchet. It is as good as the flash it lies on:
    /// whoever writes the flash lowers it.
    pub floor: u64,
    /// The body that was made and has not been answered.
    #[serde(serialize_with = "Private::write", deserialize_with = "Private::read")]
    pending: Option<Private>,
}

/// What the device can say of itself at the moment of a heartbeat.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// The kind of device.
    pub device_type: &'a DeviceType,
    /// Milliseconds since the agent started.
    pub uptime_ms: u64,
    /// The device's wall clock.
    pub device_time: Timestamp,
}

#[derive(Serialize)]
struct Body<'a> {
    counter: u64,
    uptime_ms: u64,
    boot_count: u64,
    firmware: &'a Version,
    security_version: u64,
    device_type: &'a DeviceType,
    token: Option<&'a str>,
    device_time: Timestamp,
}

/// The server's acknowledgement.
#[derive(Debug, Deserialize)]
pub struct Ack {
    schema: String,
    token: String,
    received: Timestamp,
    #[serde(default)]
    challenge: Option<Challenge>,
}

/// A challenge that comes with an answer to a heartbeat: the server wants to see that the key is here, now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Challenge {
    /// What to sign.
    #[serde(with = "hex::serde")]
    pub nonce: [u8; NONCE_BYTES],
    /// Whether evidence is asked for, where the key store can give it.
    pub evidence: bool,
}

impl Ack {
    /// Checks schema and token.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn checked(self) -> Result<CheckedAck, String> {
        crate::enrol::must_be(&self.schema, ACK_SCHEMA)?;
        let digits = self.token.len();
        if digits == 0 || digits > MAX_TOKEN_DIGITS || !self.token.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("the token is not 1 to {MAX_TOKEN_DIGITS} hex digits"));
        }
        Ok(CheckedAck { token: Private::new(self.token), received: self.received, challenge: self.challenge })
    }
}

/// An acknowledgement whose form was checked; made by [`Ack::checked`] alone.
#[derive(Debug)]
pub struct CheckedAck {
    token: Private,
    received: Timestamp,
    challenge: Option<Challenge>,
}

impl CheckedAck {
    /// When the server took the heartbeat.
    #[must_use]
    pub fn received(&self) -> Timestamp {
        self.received
    }

    /// The challenge that came with it.
    #[must_use]
    pub fn challenge(&self) -> Option<&Challenge> {
        self.challenge.as_ref()
    }
}

impl State {
    /// The state of a device that never started.
    #[must_use]
    pub fn first(firmware: Version, security_version: u64) -> Self {
        Self {
            schema: STATE_SCHEMA.to_owned(),
            boot_count: 0,
            counter: 0,
            token: None,
            firmware,
            security_version,
            floor: security_version,
            pending: None,
        }
    }

    /// Reads what [`State::to_json`] wrote; `place` is for messages.
    ///
    /// # Errors
    /// [`AgentError::Corrupt`] for anything else.
    pub fn from_json(bytes: &[u8], place: &str) -> Result<Self, AgentError> {
        let corrupt = |detail: String| AgentError::Corrupt { place: place.to_owned(), detail };
        let state: Self =
            serde_json::from_slice(bytes).map_err(|error| corrupt(quoted(&error.to_string())))?;
        crate::enrol::must_be(&state.schema, STATE_SCHEMA).map_err(corrupt)?;
        Ok(state)
    }

    /// The bytes that make the state durable.
    ///
    /// # Errors
    /// [`AgentError::Internal`], which no state is known to cause.
    pub fn to_json(&self) -> Result<Vec<u8>, AgentError> {
        serde_json::to_vec(self).map_err(|error| AgentError::Internal {
            operation: "writing the agent's state",
            detail: error.to_string(),
        })
    }

    /// The agent starts. What waits for an answer goes on waiting. Save before anything is sent.
    ///
    /// # Errors
    /// [`AgentError::Exhausted`] after 2^64 - 1 starts.
    pub fn booted(self) -> Result<Self, AgentError> {
        let boot_count =
            self.boot_count.checked_add(1).ok_or(AgentError::Exhausted { what: "the boot count" })?;
        Ok(Self { boot_count, ..self })
    }

    /// Makes the next body, or leaves the one that waits for its answer. Save before [`State::pending`] is sent.
    ///
    /// # Errors
    /// [`AgentError::Exhausted`] after 2^64 - 1 heartbeats.
    pub fn prepare(self, reading: &Reading<'_>) -> Result<Self, AgentError> {
        if self.pending.is_some() {
            return Ok(self);
        }
        let counter =
            self.counter.checked_add(1).ok_or(AgentError::Exhausted { what: "the heartbeat counter" })?;
        let body = Body {
            counter,
            uptime_ms: reading.uptime_ms,
            boot_count: self.boot_count,
            firmware: &self.firmware,
            security_version: self.security_version,
            device_type: reading.device_type,
            token: self.token.as_ref().map(Private::expose),
            device_time: reading.device_time,
        };
        let body = serde_json::to_string(&body).map_err(|error| AgentError::Internal {
            operation: "writing a heartbeat",
            detail: error.to_string(),
        })?;
        Ok(Self { counter, pending: Some(Private::new(body)), ..self })
    }

    /// The body that waits for its answer: what is sent.
    #[must_use]
    pub fn pending(&self) -> Option<&str> {
        self.pending.as_ref().map(Private::expose)
    }

    /// The server has taken the waiting body. Save before the next one is prepared.
    #[must_use]
    pub fn acknowledged(self, ack: CheckedAck) -> Self {
        Self { token: Some(ack.token), pending: None, ..self }
    }

    /// A firmware was installed. A body that waits for its answer keeps what was true when it was made.
    #[must_use]
    pub fn installed(self, firmware: Version, security_version: u64, floor: u64) -> Self {
        Self { firmware, security_version, floor, ..self }
    }
}

/// How long to wait after a number of failures in a row, in milliseconds: it doubles from `base_ms` (held to 100 ms to
/// 1 s) up to one minute or `base_ms`, whichever is longer, and `random` spreads it over the upper half, so that a fleet
/// does not return in step.
#[must_use]
pub fn back_off_ms(failures: u32, base_ms: u64, random: u64) -> u64 {
    let longest = base_ms.max(60_000);
    let doublings = failures.saturating_sub(1).min(20);
    let wait = base_ms.clamp(100, 1_000).saturating_mul(1 << doublings).min(longest);
    let half = wait / 2;
    half + random % (wait - half + 1)
}

#[cfg(test)]
mod tests;
