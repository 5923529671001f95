//! The agent at work: heartbeats until it is told to stop.
//!
//! The order of each step is what makes it survive power loss: the boot count is durable before the first heartbeat, a
//! heartbeat's counter and body are durable before they are sent, the new token is durable before the next counter is
//! taken. Failures that may pass are reported and repeated with a bounded back-off; all others end the run.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use touchmark_identity::ids::DeviceId;
use touchmark_identity::timestamp::Timestamp;

use crate::clock::{Clock, SystemClock};
use crate::config::AgentConfig;
use crate::device::{Device, Record};
use crate::enrol::accepted;
use crate::error::AgentError;
use crate::firmware::{self, OfferRefusal, OfferResult, Version};
use crate::heartbeat::{Ack, Challenge, CheckedAck, Reading, State, back_off_ms};
use crate::http::{Client, Response};
use crate::tls::{self, DeviceIdentity};

mod challenge;

const HEARTBEAT: &str = "/v1/heartbeat";

/// What happened, for a log or a demonstration. Holds no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum AgentEvent {
    /// The agent has started, and its boot count is durable.
    Started {
        /// The device.
        device: DeviceId,
        /// How often it has started, this time included.
        boot_count: u64,
        /// Counter of the last heartbeat that was made.
        counter: u64,
        /// The firmware that runs.
        firmware: Version,
        /// Its security version.
        security_version: u64,
    },
    /// A heartbeat was acknowledged.
    Acknowledged {
        /// Its counter.
        counter: u64,
        /// When the server took it.
        received: Timestamp,
        /// How often it was sent in this run before it was acknowledged.
        attempts: u32,
    },
    /// A heartbeat was not acknowledged; it is repeated as it is.
    Failed {
        /// Its counter.
        counter: u64,
        /// The error's code.
        code: &'static str,
        /// The HTTP status, where the server gave one.
        status: Option<u16>,
        /// The error with its causes.
        error: String,
        /// Milliseconds until it is repeated.
        retry_in_ms: u64,
    },
    /// A challenge was answered, or could not be.
    Challenged {
        /// Whether evidence was asked for.
        evidence_asked: bool,
        /// Whether it was sent.
        evidence_sent: bool,
        /// What the server made of the answer; absent when none came.
        verdict: Option<String>,
        /// What the server says of it, or why it was not answered.
        says: String,
    },
    /// A firmware offer was decided.
    Offer {
        /// The offer's file name.
        offer: String,
        /// What came of it.
        result: OfferResult,
    },
    /// The agent has stopped in good order.
    Stopped {
        /// Heartbeats acknowledged in this run.
        acknowledged: u64,
    },
}

/// Runs a device until `shutdown` is ready, or `max_heartbeats` are acknowledged. Returns the number of heartbeats
/// acknowledged.
///
/// # Errors
/// As for [`run_device`], and the errors of [`Device::open`].
pub async fn run(
    config: AgentConfig,
    shutdown: impl Future<Output = ()>,
    on_event: impl FnMut(AgentEvent),
) -> Result<u64, AgentError> {
    let mut device = Device::open(&config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    run_device(&config, &mut device, &clock, shutdown, on_event).await
}

/// As [`run`], with a device that is open and clocks that are handed in.
///
/// # Errors
/// [`AgentError::NotEnrolled`] without a certificate; [`AgentError::Drift`] when the certificate is for another key;
/// [`AgentError::RolledBack`] when the flash holds a firmware below the floor; [`AgentError::Corrupt`] when a record is
/// damaged; and the errors of key store and files, after which going on could use a counter twice.
pub async fn run_device(
    config: &AgentConfig,
    device: &mut Device,
    clock: &Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
    mut on_event: impl FnMut(AgentEvent),
) -> Result<u64, AgentError> {
    let mut agent = Agent::boot(config, device, clock, &mut on_event)?;
    let mut shutdown = pin!(shutdown);
    let mut acknowledged = 0;
    let mut attempts = 0;
    while config.max_heartbeats.is_none_or(|most| acknowledged < most) {
        agent.look_into_inbox(config, device, &mut on_event)?;
        agent.prepare(config, device, clock.as_ref())?;
        attempts += 1;
        let counter = agent.state()?.counter;
        let answer = tokio::select! {
            biased;
            () = &mut shutdown => break,
            answer = agent.send() => answer,
        };
        let (answer, challenge) = answer;
        let wait_ms = match answer {
            Ok(ack) => {
                let received = ack.received();
                agent.acknowledge(device, ack)?;
                acknowledged += 1;
                on_event(AgentEvent::Acknowledged { counter, received, attempts });
                attempts = 0;
                config.heartbeat_ms
            }
            Err(error) if error.may_pass() => {
                let retry_in_ms = back_off_ms(attempts, config.heartbeat_ms, random()?);
                let status = match &error {
                    AgentError::Refused { status, .. } => Some(*status),
                    _ => None,
                };
                let (code, error) = (error.code(), error.chain());
                on_event(AgentEvent::Failed { counter, code, status, error, retry_in_ms });
                retry_in_ms
            }
            Err(error) => return Err(error),
        };
        if let Some(challenge) = challenge {
            let answered = tokio::select! {
                biased;
                () = &mut shutdown => break,
                answered = challenge::answer(config, device, &agent.client, &challenge) => answered,
            };
            on_event(answered);
        }
        if config.max_heartbeats.is_some_and(|most| acknowledged >= most) {
            break;
        }
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
        }
    }
    on_event(AgentEvent::Stopped { acknowledged });
    Ok(acknowledged)
}

fn random() -> Result<u64, AgentError> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AgentError::Internal {
        operation: "drawing a random number",
        detail: "the cryptographic library gave no cause".to_owned(),
    })?;
    Ok(u64::from_le_bytes(bytes))
}

/// The state in memory, which is the state on flash after each of its methods.
struct Agent {
    /// Absent only after a failed write, when nobody knows what the flash holds.
    state: Option<State>,
    client: Client,
}

impl Agent {
    fn boot(
        config: &AgentConfig,
        device: &mut Device,
        clock: &Arc<dyn Clock>,
        on_event: &mut impl FnMut(AgentEvent),
    ) -> Result<Self, AgentError> {
        let Some(pem) = device.read(Record::Certificate)? else {
            return Err(AgentError::NotEnrolled { device: config.device.clone() });
        };
        let place = device.place_of(Record::Certificate);
        let identity = DeviceIdentity::new(&pem, &place, device.store(), &config.key)?;
        let roots = tls::trust_anchors(&config.trust_anchors)?;
        let client =
            Client::new(config.telemetry.clone(), tls::mutual(roots, identity, clock)?, config.bind_address);
        let state = match device.read(Record::State)? {
            Some(bytes) => State::from_json(&bytes, &device.place_of(Record::State))?,
            None => {
                // A device without a record is new, or somebody removed the record: the floor never goes down for it.
                if firmware::floor(device.store())?.is_some_and(|floor| floor < config.security_version) {
                    firmware::raise_floor(device.store(), config.security_version)?;
                }
                State::first(config.firmware.clone(), config.security_version)
            }
        };
        let mut agent = Self { state: Some(state), client };
        agent.change(device, State::booted)?;
        // An offer whose installation was cut short stands between the floor and the state: it is finished first.
        agent.look_into_inbox(config, device, on_event)?;
        let floor = agent.floor(device)?;
        let State { boot_count, counter, firmware, security_version, .. } = agent.state()?;
        if *security_version < floor {
            return Err(AgentError::RolledBack {
                firmware: firmware.to_string(),
                security_version: *security_version,
                floor,
            });
        }
        on_event(AgentEvent::Started {
            device: config.device.clone(),
            boot_count: *boot_count,
            counter: *counter,
            firmware: firmware.clone(),
            security_version: *security_version,
        });
        Ok(agent)
    }

    fn state(&self) -> Result<&State, AgentError> {
        self.state.as_ref().ok_or_else(unknown_state)
    }

    /// Changes the state, on flash before in memory.
    fn change(
        &mut self,
        device: &mut Device,
        change: impl FnOnce(State) -> Result<State, AgentError>,
    ) -> Result<(), AgentError> {
        let state = change(self.state.take().ok_or_else(unknown_state)?)?;
        device.write(Record::State, &zeroize::Zeroizing::new(state.to_json()?))?;
        self.state = Some(state);
        Ok(())
    }

    fn prepare(
        &mut self,
        config: &AgentConfig,
        device: &mut Device,
        clock: &dyn Clock,
    ) -> Result<(), AgentError> {
        if self.state()?.pending().is_some() {
            return Ok(());
        }
        let reading = Reading {
            device_type: &config.device_type,
            uptime_ms: clock.uptime_ms(),
            device_time: clock.now(),
        };
        self.change(device, |state| state.prepare(&reading))
    }

    /// Sends what waits. A challenge comes with the acknowledgement, or with the refusal of an instance that lost its
    /// rights and may win them back.
    async fn send(&self) -> (Result<CheckedAck, AgentError>, Option<Challenge>) {
        match self.exchange().await {
            Err(error) => (Err(error), None),
            Ok(answer) => {
                let what = "heartbeat";
                let ack = accepted::<Ack>(&self.client, what, &answer).and_then(|ack| {
                    let address = self.client.address();
                    ack.checked().map_err(|detail| AgentError::Protocol { address, what, detail })
                });
                let challenge = match &ack {
                    Ok(ack) => ack.challenge().cloned(),
                    Err(_) => challenge::in_refusal(&answer),
                };
                (ack, challenge)
            }
        }
    }

    async fn exchange(&self) -> Result<Response, AgentError> {
        let body = self.state()?.pending().ok_or_else(unknown_state)?;
        self.client.post_json(HEARTBEAT, None, body.as_bytes()).await
    }

    fn acknowledge(&mut self, device: &mut Device, ack: CheckedAck) -> Result<(), AgentError> {
        self.change(device, |state| Ok(state.acknowledged(ack)))
    }

    fn floor(&self, device: &Device) -> Result<u64, AgentError> {
        Ok(match firmware::floor(device.store())? {
            Some(floor) => floor,
            None => self.state()?.floor,
        })
    }

    fn look_into_inbox(
        &mut self,
        config: &AgentConfig,
        device: &mut Device,
        on_event: &mut impl FnMut(AgentEvent),
    ) -> Result<(), AgentError> {
        let Some(inbox) = &config.update_inbox else { return Ok(()) };
        for path in firmware::waiting(inbox)? {
            let result = match self.decide(config, device, &path)? {
                Ok(result) => result,
                Err(refusal) => OfferResult::refused(&refusal, self.floor(device)?),
            };
            firmware::write_result(&path, &result)?;
            let offer = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            on_event(AgentEvent::Offer { offer, result });
        }
        Ok(())
    }

    fn decide(
        &mut self,
        config: &AgentConfig,
        device: &mut Device,
        path: &Path,
    ) -> Result<Result<OfferResult, OfferRefusal>, AgentError> {
        let floor = self.floor(device)?;
        let admitted = firmware::read(path)
            .and_then(|bytes| firmware::verify(&bytes, config.release_key.as_ref()))
            .and_then(|verified| verified.admit(floor));
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let release = admitted.release();
        // The floor first: cut short here, the device refuses to run the old firmware instead of going back to it.
        firmware::raise_floor(device.store(), release.security_version)?;
        self.change(device, |state| {
            Ok(state.installed(release.version.clone(), release.security_version, release.security_version))
        })?;
        Ok(Ok(OfferResult::installed(release, self.floor(device)?)))
    }
}

fn unknown_state() -> AgentError {
    AgentError::Internal {
        operation: "using the agent's state",
        detail: "an earlier write failed; start the agent again".to_owned(),
    }
}

#[cfg(test)]
mod tests;
