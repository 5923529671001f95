//! How regularly a source speaks, so that silence can be told from a quiet hour.
//!
//! The usual gap follows the longest recent one and forgets it slowly, because sources speak in bursts and a mean
//! would call every pause a silence. No clock of its own: arrivals are arguments.

use touchmark_identity::timestamp::Timestamp;

/// Arrivals before anything is said.
const LEARNT: u64 = 16;
/// A gap is forgotten by a thirty-second with each arrival.
const FORGET: i64 = 32;
/// Silence is this many usual gaps.
const GAPS: i64 = 3;
/// No silence is shorter than this, in milliseconds: five minutes.
const LEAST_MS: i64 = 300_000;

/// What is known of a source's pace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pace {
    last: Option<Timestamp>,
    arrivals: u64,
    usual_ms: i64,
    watermark: Option<Timestamp>,
    delay_ms: Option<i64>,
}

impl Pace {
    /// An event that happened at `event`, by the source's clock, arrived at `now`.
    pub fn heard(&mut self, event: Timestamp, now: Timestamp) {
        if let Some(last) = self.last {
            let gap = now.ms_since(last).max(0);
            self.usual_ms = gap.max(self.usual_ms.saturating_sub(self.usual_ms / FORGET));
        }
        self.last = Some(self.last.map_or(now, |last| last.max(now)));
        self.arrivals = self.arrivals.saturating_add(1);
        self.watermark = Some(self.watermark.map_or(event, |mark| mark.max(event)));
        self.delay_ms = Some(now.ms_since(event));
    }

    /// When it was last heard.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// The newest moment that it has reported up to.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        self.watermark
    }

    /// How long its last event took to arrive, in milliseconds; negative when the source's clock is ahead.
    #[must_use]
    pub fn delay_ms(&self) -> Option<i64> {
        self.delay_ms
    }

    /// The usual gap between arrivals in milliseconds, once enough has arrived.
    #[must_use]
    pub fn usual_ms(&self) -> Option<i64> {
        (self.arrivals >= LEARNT).then_some(self.usual_ms)
    }

    /// Whether it has been silent for longer than it usually is.
    #[must_use]
    pub fn is_silent(&self, now: Timestamp) -> bool {
        let (Some(last), Some(usual)) = (self.last, self.usual_ms()) else { return false };
        now.ms_since(last) > usual.saturating_mul(GAPS).max(LEAST_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros((1_795_213_800 + seconds) * 1_000_000)
    }

    #[test]
    fn silence_needs_a_habit() {
        let mut pace = Pace::default();
        for beat in 0..15 {
            pace.heard(at(beat * 200), at(beat * 200 + 1));
        }
        assert!(!pace.is_silent(at(100_000)), "15 arrivals are no habit");
        pace.heard(at(3_000), at(3_001));
        assert_eq!(pace.usual_ms(), Some(200_000));
        assert!(!pace.is_silent(at(3_001 + 600)));
        assert!(pace.is_silent(at(3_001 + 601)));
        assert_eq!((pace.watermark(), pace.delay_ms()), (Some(at(3_000)), Some(1_000)));
    }

    #[test]
    fn a_burst_does_not_make_a_pause_a_silence() {
        let mut pace = Pace::default();
        for hour in 0..4 {
            for line in 0..10 {
                pace.heard(at(hour * 3_600), at(hour * 3_600 + line));
            }
        }
        assert!(!pace.is_silent(at(3 * 3_600 + 3_600)));
        assert!(pace.is_silent(at(7 * 3_600)));
    }

    proptest! {
        #[test]
        fn the_watermark_never_goes_back(moments in proptest::collection::vec((0i64..9_999, 0i64..9_999), 1..40)) {
            let mut pace = Pace::default();
            let mut highest = None;
            for (event, now) in moments {
                pace.heard(at(event), at(now));
                prop_assert!(pace.watermark() >= highest);
                highest = pace.watermark();
            }
        }
    }
}
