//! The detection engine: events in, explained findings out.
//!
//! Place in the life of a credential: while it is in use. The engine reads what terminators, brokers and devices report
//! ([`touchmark_identity::event`]) and says which identities answer from more than one place
//! ([`touchmark_identity::finding`]). How an identity is watched follows from where its key is *proven* to live: a
//! copyable key is watched for duplicates, a key in a chip for odd use.
//!
//! The main idea: one device has one boot clock, one counter, one chain of server-issued tokens. Harmless noise
//! (reboots, lost replies, re-installations, other networks) starts *new* sequences; it never brings an abandoned one
//! back to life. So the alarm is a return to an older live sequence, not a change. `docs/monitoring.md` has the rules,
//! the weights and the limits.
//!
//! - [`Engine`]: the state of all identities; [`Engine::observe`] takes one event and returns what it led to.
//! - [`Settings`]: windows, tolerances and bounds.
//! - [`adapters`]: foreign log lines into events.
//! - [`batch`]: events in a compact binary form.
//! - [`geography`]: in which country an address is registered.
//! - [`replay`]: a file of events into a file of findings.
//! - [`outputs`]: findings in the forms of other systems, and as a text for people.
//! - [`score`]: findings against the truth of a simulation.
//! - [`simulate`]: a fleet that never was, with labelled attacks, as a file of events.
//! - [`respond`]: what follows from a finding, as requests to others.
//!
//! Deliberately absent: I/O, a clock, randomness. Equal input gives byte-equal output.
//!
//! ```
//! use touchmark_identity::event::{Event, RawDigest};
//! use touchmark_monitor::{Engine, Settings};
//!
//! let mut engine = Engine::new(Settings::default());
//! let line = br#"{"schema":"touchmark.event/1","type":"heartbeat","time":"2026-11-20T22:00:00Z","source":"gate",
//!     "identity":{"common_name":"meter-000017"},"counter":41,"uptime_ms":900000}"#;
//! let findings = engine.observe(&Event::from_line(line)?, RawDigest::of(line));
//! assert!(findings.is_empty());
//! # Ok::<(), touchmark_identity::event::EventError>(())
//! ```

pub mod adapters;
pub mod batch;
pub mod geography;
pub mod outputs;
pub mod replay;
pub mod respond;
pub mod score;
pub mod simulate;

mod branch;
mod claims;
mod clocks;
mod continuity;
mod engine;
mod fleet;
mod inventory;
mod network;
mod observation;
mod partition;
mod peers;
mod pipeline;
mod remember;
mod renewal;
mod report;
mod rhythm;
mod route;
mod settings;
mod snapshot;
mod track;
mod usage;
mod version;
mod words;

pub use engine::{Counts, Engine};
pub use network::network_name;
pub use pipeline::{Enrich, Monitor, SourceClock};
pub use route::{PARTITIONS, Router};
pub use settings::Settings;
pub use snapshot::SnapshotError;
pub use track::TRACK_BYTES;
