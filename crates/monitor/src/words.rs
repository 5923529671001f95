//! Words that devices and sources use (firmware versions, TLS stacks, kinds of devices, sources), numbered.

use hashbrown::HashMap;

use crate::observation::{TextHash, Texts};

/// Numbers for words in the order in which they came, so that a record holds two bytes instead of a text. Bounded: the
/// words after the 65 534th share one number, for which nothing is said.
#[derive(Debug)]
pub(crate) struct Words {
    texts: Texts,
    numbers: HashMap<u64, u16>,
    hashes: Vec<u64>,
}

/// The number of all words that found no place.
const OTHER: u16 = u16::MAX;

impl Words {
    pub(crate) fn new(texts: Texts) -> Self {
        Self { texts, numbers: HashMap::new(), hashes: Vec::new() }
    }

    /// The number of a word; 0 for none.
    pub(crate) fn number(&mut self, word: TextHash) -> u16 {
        if word.0 == 0 {
            return 0;
        }
        if let Some(number) = self.numbers.get(&word.0) {
            return *number;
        }
        let number = u16::try_from(self.hashes.len() + 1).unwrap_or(OTHER);
        if number != OTHER {
            self.numbers.insert(word.0, number);
            self.hashes.push(word.0);
        }
        number
    }

    /// The word; `None` for none and for those that found no place.
    pub(crate) fn say(&self, number: u16) -> Option<String> {
        let hash = self.hashes.get(usize::from(number).checked_sub(1)?)?;
        Some(self.texts.show(TextHash(*hash)))
    }

    /// The texts behind the words.
    pub(crate) fn texts(&self) -> &Texts {
        &self.texts
    }

    /// All words by number, from 1, for a snapshot.
    pub(crate) fn all(&self) -> &[u64] {
        &self.hashes
    }

    /// Takes the words of a snapshot.
    pub(crate) fn restore(texts: Texts, hashes: Vec<u64>) -> Self {
        let numbered = (1..OTHER).zip(&hashes).map(|(number, hash)| (*hash, number));
        Self { texts, numbers: numbered.collect(), hashes }
    }
}
