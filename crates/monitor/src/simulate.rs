//! A simulated fleet: events as sources would write them, and the truth about them.
//!
//! It models the world and knows nothing of the rules that judge it: devices with a boot clock, a counter and a chain
//! of tokens, on networks that change, with messages and log lines that are late, lost or doubled, and attackers of
//! labelled classes. `docs/simulation.md` describes scenarios and their defaults. Equal scenario and seed give equal
//! bytes. Memory grows with the number of devices and with the lines that are under way, not with the number of events.

pub mod attack;
mod incident;
mod instance;
mod line;
mod network;
mod output;
mod rng;
pub mod scenario;
mod step;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use touchmark_identity::event::IdentityRef;
use touchmark_identity::timestamp::{Timestamp, TimestampError};

use attack::Truth;
use incident::Incident;
use instance::{DAY, Instance};
use output::Output;
use rng::whole;
use scenario::DeviceType;
pub use scenario::Scenario;

/// Changes whenever equal input would give other bytes.
pub const GENERATOR: &str = "1";

/// The format of the manifest.
pub const MANIFEST_SCHEMA: &str = "touchmark.simulation/1";

/// What was simulated: `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format: [`MANIFEST_SCHEMA`].
    pub schema: String,
    /// Version of the generator: [`GENERATOR`].
    pub generator: String,
    /// The scenario's name.
    pub scenario: String,
    /// SHA-256 of the scenario with all defaults filled in, as JSON.
    pub scenario_sha256: String,
    /// The seed, in decimal.
    pub seed: String,
    /// When it begins.
    pub start: Timestamp,
    /// How many days it lasts.
    pub days: f64,
    /// How many devices there are.
    pub devices: u32,
    /// Devices times days: what false findings are counted by.
    pub device_days: f64,
    /// Event lines.
    pub events: u64,
    /// Registry lines of the beginning.
    pub registry: u64,
    /// Attacked identities.
    pub attacked: u64,
}

/// Where the lines go.
pub struct Sinks<'a> {
    /// Events in the order in which they arrive.
    pub events: &'a mut dyn Write,
    /// Registry lines that are valid from the beginning.
    pub registry: &'a mut dyn Write,
    /// The truth, one attacked identity a line.
    pub truth: &'a mut dyn Write,
    /// Which instance caused which event of an attacked identity, where wanted.
    pub labels: Option<&'a mut dyn Write>,
}

/// Why nothing was simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// MO-0030, caller: the scenario's start is not a moment.
    #[error("the scenario's start is no time")]
    Start(#[source] TimestampError),
    /// MO-0031, caller: a number in the scenario is out of its range.
    #[error("the scenario's {field} is {found}; it must be {allowed}")]
    Range {
        /// Which number.
        field: &'static str,
        /// What it is.
        found: f64,
        /// What it may be.
        allowed: &'static str,
    },
    /// MO-0032, environment: a line cannot be written.
    #[error("cannot write a simulated line")]
    Write(#[from] io::Error),
}

impl SimulateError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Start(_) => "MO-0030",
            Self::Range { .. } => "MO-0031",
            Self::Write(_) => "MO-0032",
        }
    }
}

/// The world at one moment.
struct World<'a> {
    scenario: &'a Scenario,
    kinds: &'a [DeviceType],
    seed: u64,
    start: i64,
    end: i64,
    instances: Vec<Instance>,
    /// What is next: when, and the place of the instance.
    agenda: BinaryHeap<Reverse<(i64, u32)>>,
    incidents: BinaryHeap<Reverse<(i64, u32)>>,
    incident_list: Vec<Incident>,
    truths: Vec<Truth>,
    output: Output<'a>,
    labels: Option<&'a mut dyn Write>,
    skews: Vec<(i64, bool)>,
    /// The newest firmware that was rolled out.
    newest: u16,
    ids: u64,
    line: String,
    name: String,
}

fn check(scenario: &Scenario) -> Result<(), SimulateError> {
    let range = |field, found: f64, low: f64, high: f64, allowed| {
        if found >= low && found <= high {
            Ok(())
        } else {
            Err(SimulateError::Range { field, found, allowed })
        }
    };
    range("days", scenario.days, 0.0, 3650.0, "0 to 3650")?;
    range("devices", f64::from(scenario.devices), 1.0, 50e6, "1 to 50 million")?;
    range(
        "types",
        f64::from(u32::try_from(scenario.types.len()).unwrap_or(u32::MAX)),
        1.0,
        1000.0,
        "1 to 1000",
    )?;
    range("sources.count", f64::from(scenario.sources.count), 1.0, 10_000.0, "1 to 10000")?;
    for kind in &scenario.types {
        range("types.period-s", kind.period_s, 1.0, 31.6e6, "1 to 31600000 seconds")?;
        range("types.share", kind.share, 0.0, 1e9, "0 to 1e9")?;
        range("types.jitter", kind.jitter, 0.0, 0.9, "0 to 0.9")?;
        range("types.reboots", kind.reboots, 0.0, 1000.0, "0 to 1000 a day")?;
        let plain =
            kind.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && kind.name.len() <= 40;
        range("types.name", f64::from(u8::from(plain)), 1.0, 1.0, "letters, digits and hyphens, 40 at most")?;
    }
    for happening in &scenario.happenings {
        range("happenings.minutes", happening.minutes, 0.0, 100_000.0, "0 to 100000")?;
    }
    Ok(())
}

/// Simulates a scenario and writes what sources, registry and attackers leave behind.
///
/// # Errors
/// [`SimulateError`] when the scenario is out of range or a line cannot be written.
pub fn simulate<'a>(scenario: &'a Scenario, seed: u64, sinks: Sinks<'a>) -> Result<Manifest, SimulateError> {
    check(scenario)?;
    let start_at: Timestamp = scenario.start.parse().map_err(SimulateError::Start)?;
    let start = start_at.micros();
    let end = start + whole(scenario.days * 86_400e6);
    let kinds = &scenario.types;
    let instances: Vec<Instance> =
        (0..scenario.devices).map(|device| Instance::new(scenario, kinds, seed, start, device)).collect();
    let agenda = instances.iter().map(|one| Reverse((one.next, one.device))).collect();
    let mut registry = 0;
    for one in instances.iter().filter(|one| one.traits.registered) {
        let Some(kind) = kinds.get(usize::from(one.kind)) else { continue };
        writeln!(sinks.registry, "{}", step::registry_line(kind, one, start, None))?;
        registry += 1;
    }
    let mut world = World {
        scenario,
        kinds,
        seed,
        start,
        end,
        instances,
        agenda,
        incidents: BinaryHeap::new(),
        incident_list: Vec::new(),
        truths: Vec::new(),
        output: Output::new(sinks.events),
        labels: sinks.labels,
        skews: Vec::new(),
        newest: 40,
        ids: 0,
        line: String::with_capacity(1024),
        name: String::new(),
    };
    world.plan();
    world.run()?;
    for truth in &world.truths {
        writeln!(sinks.truth, "{}", serde_json::to_string(truth).map_err(io::Error::from)?)?;
    }
    let json = serde_json::to_string(scenario).map_err(io::Error::from)?;
    let attacked = world.truths.len() as u64;
    let device_days = f64::from(scenario.devices) * scenario.days;
    Ok(Manifest {
        schema: MANIFEST_SCHEMA.to_owned(),
        generator: GENERATOR.to_owned(),
        scenario: scenario.name.clone(),
        scenario_sha256: hex::encode(touchmark_identity::key::sha256(json.as_bytes())),
        seed: seed.to_string(),
        start: start_at,
        days: scenario.days,
        devices: scenario.devices,
        device_days,
        events: world.output.lines,
        registry,
        attacked,
    })
}

impl World<'_> {
    fn run(&mut self) -> io::Result<()> {
        while let Some(&Reverse((now, place))) = self.agenda.peek() {
            if let Some(&Reverse((at, number))) = self.incidents.peek()
                && at <= now
            {
                self.incidents.pop();
                if at < self.end {
                    self.incident(at, number);
                }
                continue;
            }
            if now >= self.end {
                break;
            }
            self.output.advance(now)?;
            let Some(one) = self.instances.get(usize::try_from(place).unwrap_or(usize::MAX)) else {
                continue;
            };
            let next = if one.next == now {
                let mut one = *one;
                self.act(&mut one, now)?;
                let next = one.next;
                if let Some(slot) = self.instances.get_mut(usize::try_from(place).unwrap_or(usize::MAX)) {
                    *slot = one;
                }
                Some(next)
            } else {
                None
            };
            // Replacing the top costs half of taking it and putting another.
            if let Some(mut top) = self.agenda.peek_mut() {
                match next.filter(|next| *next < self.end) {
                    Some(next) => *top = Reverse((next, place)),
                    None => {
                        std::collections::binary_heap::PeekMut::pop(top);
                    }
                }
            }
        }
        self.output.advance(i64::MAX)
    }

    /// Has an instance act at another time than it meant to.
    fn wake(&mut self, place: u32, at: i64) {
        if let Some(one) = self.instances.get_mut(usize::try_from(place).unwrap_or(usize::MAX)) {
            one.next = at;
            self.agenda.push(Reverse((at, place)));
        }
    }

    fn days(&self, at: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "centuries of microseconds are exact in a float")]
        let days = (at - self.start) as f64 / DAY as f64;
        days
    }
}

/// The names by which a device's identity is known.
fn identity_of(kinds: &[DeviceType], one: &Instance) -> IdentityRef {
    let mut name = String::new();
    step::name_of(kinds.get(usize::from(one.kind)), one.device, &mut name);
    let mut key = String::new();
    line::digest(one.flash.key, &mut key);
    let mut hash = [0; 32];
    // Sixty-four hex digits always fit.
    let _ = hex::decode_to_slice(&key, &mut hash);
    IdentityRef {
        spki_sha256: Some(touchmark_identity::key::SpkiHash(hash)),
        common_name: Some(name),
        ..IdentityRef::default()
    }
}
