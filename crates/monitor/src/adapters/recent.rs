//! A memory of bounded size for what was seen lately.

use std::collections::HashMap;
use std::hash::Hash;

/// Entries that are remembered; when there are more, all but those of the last half are forgotten.
const ENTRIES: usize = 65_536;

/// A map that forgets its older half when it is full.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    pub(super) fn new() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= ENTRIES / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        // An entry that was written again while it was old stands in both.
        let old = self.old.remove(key);
        self.young.remove(key).or(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_the_oldest_and_stays_small() {
        let mut recent = Recent::new();
        for key in 0..ENTRIES * 3 {
            recent.insert(key, key);
        }
        assert!(recent.young.len() + recent.old.len() <= ENTRIES);
        assert_eq!(recent.get(&0), None);
        let last = ENTRIES * 3 - 1;
        assert_eq!(recent.remove(&last), Some(last));
        assert_eq!(recent.remove(&last), None);
    }
}
