//! Who works on a partition: one record for each, changed by compare-and-swap alone.
//!
//! The record names the owner and the newest checkpoint. Whoever changes it names the revision that it has seen, so of two
//! that try, one fails; and a worker that was paused and comes back fails at whatever it writes, because its successor has
//! changed the record. No clocks are compared: a lease is free when its record has not changed for the time to live *of
//! the one who looks*.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a partition's state is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The last message of the stream that is in it.
    pub sequence: u64,
    /// The key of its parts, up to their number.
    pub key: String,
    /// How many parts it has.
    pub parts: u32,
    /// SHA-256 of the whole, hex.
    pub sha256: String,
}

/// The record of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The worker; empty when it gave the partition back.
    pub owner: String,
    /// Grows with each renewal, so that every renewal changes the record.
    pub beat: u64,
    /// The newest checkpoint.
    pub checkpoint: Option<Pointer>,
}

/// What one worker has seen of one record. Moments are the worker's own, since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    revision: u64,
    since: Duration,
    owner: String,
    seen: bool,
}

impl Observed {
    /// Notes what the record is now; revision 0: there is none. A replica that is behind may show an older one.
    pub fn note(&mut self, revision: u64, owner: &str, now: Duration) {
        if !self.seen || self.revision < revision {
            *self = Self { revision, since: now, owner: owner.to_owned(), seen: true };
        }
    }

    /// Whether the partition may be taken over.
    #[must_use]
    pub fn is_free(&self, now: Duration, time_to_live: Duration) -> bool {
        self.seen && (self.owner.is_empty() || now.saturating_sub(self.since) >= time_to_live)
    }

    /// Since when the record has not changed, as far as this worker knows.
    #[must_use]
    pub fn unchanged_for(&self, now: Duration) -> Duration {
        if self.seen { now.saturating_sub(self.since) } else { Duration::ZERO }
    }

    /// The owner, while it renews.
    #[must_use]
    pub fn live_owner(&self, now: Duration, time_to_live: Duration) -> Option<&str> {
        (self.seen && !self.is_free(now, time_to_live)).then_some(self.owner.as_str())
    }
}

/// How many partitions are a worker's share: all are shared out when every worker has its share.
#[must_use]
pub fn share(partitions: usize, workers: usize) -> usize {
    partitions.div_ceil(workers.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TTL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_is_free_when_it_was_given_back_or_not_renewed() {
        let mut seen = Observed::default();
        assert!(!seen.is_free(at(0), TTL), "nobody has looked");
        seen.note(5, "a", at(3));
        assert!(!seen.is_free(at(12), TTL));
        assert_eq!(seen.live_owner(at(12), TTL), Some("a"));
        seen.note(6, "a", at(12));
        assert!(!seen.is_free(at(21), TTL), "it was renewed");
        seen.note(6, "a", at(22));
        assert!(seen.is_free(at(22), TTL));
        assert_eq!(seen.live_owner(at(22), TTL), None);
        seen.note(5, "a", at(23));
        assert!(seen.is_free(at(23), TTL), "a replica is behind");
        assert_eq!(seen.unchanged_for(at(23)), at(11));
        seen.note(7, "", at(22));
        assert!(seen.is_free(at(22), TTL), "it was given back");
        let mut none = Observed::default();
        none.note(0, "", at(0));
        assert!(none.is_free(at(0), TTL), "there is no record");
    }

    proptest! {
        #[test]
        fn shares_cover_everything(partitions in 1usize..200, workers in 1usize..40) {
            let share = share(partitions, workers);
            prop_assert!(share * workers >= partitions);
            prop_assert!((share - 1) * workers < partitions);
        }
    }
}
