//! What an operator may set.

use serde::{Deserialize, Serialize};

/// Windows, tolerances and bounds. Every field has a default, so an empty TOML table is complete; an unknown field is
/// refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Seconds within which two networks have to alternate before that counts. Default 900 (15 minutes): roaming and
    /// moves take longer, a clone beside its original does not.
    pub alternation_window_s: u32,
    /// Seconds by which a boot time computed from uptime may differ and still be the same boot. Default 900: messages
    /// that a device keeps back make its boot look later by as much as they were kept.
    pub boot_tolerance_s: u32,
    /// Seconds by which the clocks of sources and steps of one clock may differ. Default 120. Two boots have to overlap
    /// by more than this before they count as simultaneous.
    pub clock_tolerance_s: u32,
    /// Seconds within which the same message may come again and is a retry. Default 60.
    pub retry_window_s: u32,
    /// Seconds for which an old connection may go on after a new one was opened from another network, without counting
    /// as a return. Default 60: make before break, half-open connections.
    pub handover_grace_s: u32,
    /// Seconds for which an event is held back so that others which happened before it can still arrive; then it is
    /// observed, in the order of time. Default 120. What arrives later than that is observed as a late event. 0 holds
    /// nothing back.
    pub watermark_s: u32,
    /// Seconds by which a source may be behind the others before the others stop waiting for it. Default 900.
    pub source_idle_s: u32,
    /// How many events are held back at most. Default 4 000 000. Beyond it the earliest are observed before their time.
    /// Memory: about 400 bytes for each.
    pub max_held_back: u32,
    /// How many identities are kept. Default 1 000 000. Beyond it one of the least recently seen goes; those that the
    /// registry does not know go first. 0 counts as 1. Memory: [`crate::TRACK_BYTES`] for each, 56 bytes more
    /// where habits are watched, and its names.
    pub max_identities: u32,
    /// How many events are remembered to recognise duplicates; likewise messages to recognise replays, used tokens,
    /// open connections and beginnings of instances. Default 4 000 000 each. Memory: 16 to 64 bytes for each.
    pub remembered_events: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alternation_window_s: 900,
            boot_tolerance_s: 900,
            clock_tolerance_s: 120,
            retry_window_s: 60,
            handover_grace_s: 60,
            watermark_s: 120,
            source_idle_s: 900,
            max_held_back: 4_000_000,
            max_identities: 1_000_000,
            remembered_events: 4_000_000,
        }
    }
}

/// The settings in seconds, as the detectors count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) alternation_window: i64,
    pub(crate) boot_tolerance: i64,
    pub(crate) clock_tolerance: i64,
    pub(crate) retry_window: i64,
    pub(crate) handover_grace: i64,
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        Self {
            alternation_window: settings.alternation_window_s.into(),
            boot_tolerance: settings.boot_tolerance_s.into(),
            clock_tolerance: settings.clock_tolerance_s.into(),
            retry_window: settings.retry_window_s.into(),
            handover_grace: settings.handover_grace_s.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default() {
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let error = toml::from_str::<Settings>("alternation_window = 900").unwrap_err();
        assert!(error.to_string().contains("alternation_window_s"), "{error}");
    }
}
