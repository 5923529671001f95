//! A bounded memory of what was seen: two generations, the older of which is forgotten as a whole.

use hashbrown::HashMap;

/// Remembers at least the last half of `capacity` keys, and at most `capacity` of them.
#[derive(Debug)]
pub(crate) struct Remembered<V> {
    young: HashMap<u64, V>,
    old: HashMap<u64, V>,
    half: usize,
}

impl<V: Copy> Remembered<V> {
    pub(crate) fn new(capacity: u32) -> Self {
        let half = usize::try_from(capacity / 2).unwrap_or(usize::MAX).max(1);
        Self { young: HashMap::new(), old: HashMap::new(), half }
    }

    /// The value that is kept under the key.
    pub(crate) fn find(&self, key: u64) -> Option<V> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// Keeps a value, in place of the one before.
    pub(crate) fn insert(&mut self, key: u64, value: V) {
        if self.young.len() >= self.half {
            // The table of the generation that is forgotten serves the next one.
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        self.young.insert(key, value);
    }

    /// The value that was first kept under the key; keeps this one where there was none.
    pub(crate) fn first_or_insert(&mut self, key: u64, value: V) -> Option<V> {
        let found = self.find(key);
        if found.is_none() {
            self.insert(key, value);
        }
        found
    }

    /// Both generations, each in ascending order of keys, for a snapshot: the older first.
    pub(crate) fn generations(&self) -> [Vec<(u64, V)>; 2] {
        [&self.old, &self.young].map(|table| {
            let mut entries: Vec<(u64, V)> = table.iter().map(|(key, value)| (*key, *value)).collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            entries
        })
    }

    /// Takes the generations of a snapshot.
    pub(crate) fn restore(capacity: u32, [old, young]: [Vec<(u64, V)>; 2]) -> Self {
        Self { old: old.into_iter().collect(), young: young.into_iter().collect(), ..Self::new(capacity) }
    }
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

    #[test]
    fn comes_back_from_its_generations() {
        let mut memory = Remembered::new(8);
        (0..7).for_each(|key| memory.insert(key, key));
        let again = Remembered::restore(8, memory.generations());
        assert_eq!(again.generations(), memory.generations());
        assert_eq!(again.find(6), Some(6));
    }
}
