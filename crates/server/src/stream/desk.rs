//! What the parts of a running monitor share: the station, the clock, and how the inputs are doing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::station::{Refused, Station, Taken};
use crate::app::Clock;
use crate::error::ServerError;

/// Reasons that are counted for each input; further ones count as `other`.
const MAX_REASONS: usize = 32;

/// How an input is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputState {
    /// Lines that were events.
    pub events: u64,
    /// Lines that were none, by reason, each with an example.
    pub refused: Refused,
    /// Whether it has more to give at the moment.
    pub behind: bool,
    /// Why it cannot be read at the moment.
    pub trouble: Option<String>,
}

/// The shared parts.
#[derive(Debug)]
pub struct Desk {
    station: Mutex<Station>,
    inputs: Mutex<BTreeMap<String, InputState>>,
    clock: Clock,
    /// Told whenever lines were taken.
    pub taken: Notify,
}

impl Desk {
    /// A desk for this station.
    #[must_use]
    pub fn new(station: Station, clock: Clock) -> Arc<Self> {
        Arc::new(Self { station: Mutex::new(station), inputs: Mutex::default(), clock, taken: Notify::new() })
    }

    /// The clock's time.
    #[must_use]
    pub fn now(&self) -> touchmark_identity::timestamp::Timestamp {
        (self.clock)()
    }

    /// The station, for this thread alone.
    pub fn station(&self) -> MutexGuard<'_, Station> {
        self.station.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The inputs by name.
    pub fn inputs(&self) -> MutexGuard<'_, BTreeMap<String, InputState>> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the station on a thread that may block.
    ///
    /// # Errors
    /// What `work` says; [`ServerError::TaskEnded`] when it panics.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, ServerError> + Send + 'static,
    ) -> Result<T, ServerError> {
        let desk = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&desk)).await;
        done.unwrap_or(Err(ServerError::TaskEnded { task: "station" }))
    }

    /// Takes lines of an input, and the place that it has reached with them; durable when it returns.
    ///
    /// # Errors
    /// As for [`Station::take`].
    pub fn take(
        &self,
        input: &str,
        lines: Vec<u8>,
        place: Option<(&str, &str)>,
    ) -> Result<Taken, ServerError> {
        let taken = self.station().take(lines, place, self.now())?;
        self.count(input, &taken);
        self.taken.notify_waiters();
        Ok(taken)
    }

    /// Counts what became of an input's lines.
    pub fn count(&self, input: &str, taken: &Taken) {
        let mut inputs = self.inputs();
        let state = inputs.entry(input.to_owned()).or_default();
        state.events += taken.events;
        for (reason, (number, example)) in &taken.refused {
            let full = state.refused.len() >= MAX_REASONS;
            let reason = if full && !state.refused.contains_key(reason) { "other" } else { *reason };
            let entry = state.refused.entry(reason).or_insert_with(|| (0, String::new()));
            if entry.0 == 0 {
                tracing::warn!(input, reason, "a line is no event: {example}");
            }
            *entry = (entry.0 + number, example.clone());
        }
    }

    /// Says how an input is doing. Trouble that begins or changes is logged.
    pub fn report(&self, input: &str, behind: bool, trouble: Option<String>) {
        let mut inputs = self.inputs();
        let state = inputs.entry(input.to_owned()).or_default();
        if trouble.is_some() && trouble != state.trouble {
            tracing::error!(input, "{}", trouble.as_deref().unwrap_or_default());
        }
        (state.behind, state.trouble) = (behind, trouble);
    }

    /// Whether any input has more to give, or cannot be asked.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.inputs().values().any(|state| state.behind || state.trouble.is_some())
    }
}
