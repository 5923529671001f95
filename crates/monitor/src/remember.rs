//! A bounded memory of what was seen: two generations, the older of which is forgotten as a whole.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Remembers at least the last half of `capacity` keys, and at most `capacity` of them.
#[derive(Debug)]
pub(crate) struct Remembered<V> {
    young: HashMap<u128, V>,
    old: HashMap<u128, V>,
    half: usize,
}

impl<V: Copy> Remembered<V> {
    pub(crate) fn new(capacity: u32) -> Self {
        let half = usize::try_from(capacity / 2).unwrap_or(usize::MAX).max(1);
        Self { young: HashMap::new(), old: HashMap::new(), half }
    }

    /// The value that was first kept under the key; keeps this one where there was none.
    pub(crate) fn first_or_insert(&mut self, key: u128, value: V) -> Option<V> {
        if let Some(first) = self.young.get(&key).or_else(|| self.old.get(&key)) {
            return Some(*first);
        }
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
        None
    }
}

/// A 64-bit hash for comparison inside this process; it never leaves it.
pub(crate) fn hash64(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Two independent 64-bit hashes, where a chance collision would hide an event.
pub(crate) fn hash128(value: impl Hash) -> u128 {
    u128::from(hash64((0u8, &value))) << 64 | u128::from(hash64((1u8, &value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_half_and_stays_bounded() {
        let mut memory = Remembered::new(8);
        for key in 0..100 {
            assert_eq!(memory.first_or_insert(key, key), None);
            assert!(memory.young.len() + memory.old.len() <= 8);
            for recent in key.saturating_sub(3)..=key {
                assert_eq!(memory.first_or_insert(recent, 0), Some(recent));
            }
        }
        assert_eq!(memory.first_or_insert(0, 7), None, "forgotten");
    }
}
