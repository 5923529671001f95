//! The clocks of the sources, and how far time has come.
//!
//! Three clocks are kept apart: the device's, which is never used; the source's, by which an event is dated; and the
//! collector's (`received`), against which a source's clock is held where it is given.

use std::collections::BTreeMap;

use crate::settings::Settings;

/// A source may run ahead by this many milliseconds at once; beyond it several events have to say so.
const LEAP: i64 = 6 * 3_600_000;
/// So many in turn.
const LEAP_EVENTS: u8 = 8;
/// Events before a source's clock is believed to be behind by more than the tolerance, and by less.
const SLOW_EVENTS: u32 = 64;
const BEHIND_EVENTS: u32 = 8;
/// A clock that differs by fewer milliseconds is taken as it is: events are received a moment after they are dated.
const NEGLIGIBLE: i64 = 3_000;
/// Sources that have a clock of their own; further ones share one.
const SOURCES: usize = 4_096;

/// One source's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Clock {
    /// The latest moment that it has dated, corrected.
    latest: i64,
    /// The least that an event was received after it had been dated; negative for a clock that is ahead.
    least_lag: Option<i64>,
    events: u32,
    /// A moment far ahead, and how many events in turn were dated near it.
    leap: Option<(i64, u8)>,
}

/// All sources' clocks. Moments in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Clocks {
    wait: i64,
    idle: i64,
    tolerance: i64,
    sources: BTreeMap<u64, Clock>,
    watermark: i64,
}

impl Clocks {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            wait: i64::from(settings.watermark_s) * 1_000,
            idle: i64::from(settings.source_idle_s) * 1_000,
            tolerance: i64::from(settings.clock_tolerance_s) * 1_000,
            sources: BTreeMap::new(),
            watermark: i64::MIN,
        }
    }

    /// Notes an event and gives its time, corrected where the source's clock is known to be wrong: by the least that its
    /// events were received after they had been dated.
    pub(crate) fn note(&mut self, source: u64, time: i64, received: Option<i64>) -> i64 {
        let source =
            if self.sources.len() < SOURCES || self.sources.contains_key(&source) { source } else { 0 };
        let tolerance = self.tolerance;
        let clock =
            self.sources.entry(source).or_insert_with(|| Clock { latest: i64::MIN, ..Clock::default() });
        clock.events = clock.events.saturating_add(1);
        // Without it, an event was received when it was dated.
        let lag = received.map_or(0, |received| received.saturating_sub(time));
        clock.least_lag = Some(clock.least_lag.map_or(lag, |least| least.min(lag)));
        let correction = match clock.least_lag {
            Some(lag) if lag < -NEGLIGIBLE => lag,
            Some(lag) if lag > tolerance && clock.events >= SLOW_EVENTS => lag,
            Some(lag) if lag > NEGLIGIBLE && lag <= tolerance && clock.events >= BEHIND_EVENTS => lag,
            _ => 0,
        };
        let time = time.saturating_add(correction);
        if clock.latest == i64::MIN || time <= clock.latest.saturating_add(LEAP) {
            clock.latest = clock.latest.max(time);
            if time > clock.latest.saturating_sub(LEAP) {
                clock.leap = None;
            }
            return time;
        }
        let (near, events) = clock.leap.unwrap_or((time, 0));
        let events = if near.abs_diff(time) <= LEAP.unsigned_abs() { events + 1 } else { 1 };
        clock.leap = Some((time, events));
        if events >= LEAP_EVENTS {
            (clock.latest, clock.leap) = (time, None);
        }
        time
    }

    /// The moment up to which events are taken to have arrived: that of the slowest source that is not idle, less the
    /// time to wait. It never goes back.
    pub(crate) fn watermark(&mut self) -> i64 {
        if let Some(newest) = self.sources.values().map(|clock| clock.latest).max() {
            let active = self.sources.values().map(|clock| clock.latest);
            let slowest = active.filter(|latest| newest.saturating_sub(*latest) <= self.idle).min();
            let reached = slowest.unwrap_or(newest).saturating_sub(self.wait);
            self.watermark = self.watermark.max(reached);
        }
        self.watermark
    }

    /// Time goes on although no source says so.
    pub(crate) fn pass(&mut self, now: i64) {
        self.watermark = self.watermark.max(now.saturating_sub(self.wait));
    }

    /// Each source: its hash, the latest moment it has dated, and how many events it has given.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (u64, i64, u32)> {
        self.sources.iter().map(|(source, clock)| (*source, clock.latest, clock.events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn clocks() -> Clocks {
        Clocks::new(&Settings::default())
    }

    #[test]
    fn the_slowest_active_source_decides() {
        let mut clocks = clocks();
        clocks.note(1, 100 * MINUTE, None);
        clocks.note(2, 95 * MINUTE, None);
        assert_eq!(clocks.watermark(), 93 * MINUTE);
        clocks.note(1, 120 * MINUTE, None);
        assert_eq!(clocks.watermark(), 118 * MINUTE, "the second is idle");
        clocks.note(2, 119 * MINUTE, None);
        assert_eq!(clocks.watermark(), 118 * MINUTE, "it never goes back");
    }

    #[test]
    fn one_event_of_the_far_future_moves_nothing() {
        let mut clocks = clocks();
        clocks.note(1, 100 * MINUTE, None);
        clocks.note(1, 100 * 366 * 24 * 60 * MINUTE, None);
        clocks.note(1, 101 * MINUTE, None);
        assert_eq!(clocks.watermark(), 99 * MINUTE);
        for step in 0..8 {
            clocks.note(1, 3 * 24 * 60 * MINUTE + step, None);
        }
        assert!(clocks.watermark() > 2 * 24 * 60 * MINUTE, "a gap in a recording is one");
    }

    #[test]
    fn a_clock_that_is_ahead_is_corrected() {
        let mut clocks = clocks();
        assert_eq!(clocks.note(1, 160 * MINUTE, Some(100 * MINUTE)), 100 * MINUTE);
        assert_eq!(
            clocks.note(2, 100 * MINUTE, Some(110 * MINUTE)),
            100 * MINUTE,
            "it may have been kept back"
        );
        for minute in 0..64 {
            clocks.note(2, (100 + minute) * MINUTE, Some((110 + minute) * MINUTE));
        }
        assert_eq!(clocks.note(2, 164 * MINUTE, Some(174 * MINUTE)), 174 * MINUTE, "it always is");
    }
}
