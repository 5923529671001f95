//! Texts by their hash. The engine compares hashes; findings show texts.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rapidhash::v3::rapidhash_v3;
use touchmark_identity::event::canonical_dn;
use touchmark_identity::key::sha256;

use super::folded;

/// A 64-bit hash of bytes, never 0; the same in every run and on every platform.
pub(crate) fn hash64(bytes: &[u8]) -> u64 {
    rapidhash_v3(bytes).max(1)
}

/// The hash of a text; 0 is "none". An empty text is a text.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct TextHash(pub(crate) u64);

impl TextHash {
    /// No text.
    pub(crate) const NONE: Self = Self(0);

    /// The hash of a text.
    pub(crate) fn of(text: &[u8]) -> Self {
        Self(hash64(text))
    }

    /// 32 bits of it, never 0; 0 for no text.
    pub(crate) fn short(self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d]).max(u32::from(!self.is_none()))
    }

    /// True where there is no text.
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// What stands in a finding for a text that is not kept: `#` and 16 hex digits.
impl fmt::Display for TextHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:016x}", self.0)
    }
}

impl fmt::Debug for TextHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many texts are kept unless told otherwise.
pub(crate) const TEXTS_DEFAULT: usize = 262_144;

/// The texts that were seen, by hash; shared between threads, bounded, never forgetting. Memory: at most the bound
/// times the longest text of a field (512 bytes) and some 60 bytes.
#[derive(Debug, Clone)]
pub(crate) struct Texts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: RwLock<HashMap<u64, Arc<str>>>,
    most: usize,
}

impl Default for Texts {
    fn default() -> Self {
        Self::new(TEXTS_DEFAULT)
    }
}

impl Texts {
    /// Room for so many texts.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Shared { known: RwLock::default(), most }))
    }

    /// A thread's view.
    pub(crate) fn cache(&self) -> TextCache {
        TextCache {
            texts: self.clone(),
            recent: vec![0; RECENT],
            issuers: vec![Issuer::default(); ISSUERS],
            name: Vec::new(),
        }
    }

    /// Keeps a text, unless there is no room for it.
    pub(crate) fn insert(&self, text: &str) -> TextHash {
        let hash = TextHash::of(text.as_bytes());
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains_key(&hash.0) || known.len() >= self.0.most {
            return hash;
        }
        drop(known);
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < self.0.most {
            known.entry(hash.0).or_insert_with(|| Arc::from(text));
        }
        hash
    }

    /// The text of a hash, where it is kept.
    pub(crate) fn get(&self, hash: TextHash) -> Option<Arc<str>> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).get(&hash.0).cloned()
    }

    /// The text of a hash, or what stands for it: `#` and 16 hex digits. Empty for "none".
    pub(crate) fn show(&self, hash: TextHash) -> String {
        match self.get(hash) {
            Some(text) => text.as_ref().to_owned(),
            None if hash.is_none() => String::new(),
            None => hash.to_string(),
        }
    }

    /// All texts, in the order of their hashes: what a snapshot holds. [`Texts::insert`] takes each back.
    pub(crate) fn all(&self) -> Vec<Arc<str>> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<(u64, Arc<str>)> = known.iter().map(|(hash, text)| (*hash, text.clone())).collect();
        all.sort_unstable_by_key(|(hash, _)| *hash);
        all.into_iter().map(|(_, text)| text).collect()
    }
}

/// Hashes that a thread remembers to have given away.
const RECENT: usize = 4_096;

/// A thread's view of [`Texts`]. It remembers what it has given away, so the lock is taken for news alone.
#[derive(Debug)]
pub(crate) struct TextCache {
    texts: Texts,
    /// A hash stands at its own place, taken modulo the length; the latest wins.
    recent: Vec<u64>,
    /// Likewise.
    issuers: Vec<Issuer>,
    /// Room for a name that is hashed.
    name: Vec<u8>,
}

/// Issuers whose form for comparison a thread remembers: fleets have few.
const ISSUERS: usize = 64;

/// An issuer as a source writes it, and its form for comparison.
#[derive(Debug, Clone, Default)]
struct Issuer {
    written: Box<str>,
    canonical: Box<str>,
}

impl TextCache {
    /// Gives a text away, for findings to show, and says its hash. What is not UTF-8 is not kept.
    pub(crate) fn keep(&mut self, text: &[u8]) -> TextHash {
        let hash = TextHash::of(text);
        self.keep_hashed(hash, text);
        hash
    }

    /// As [`TextCache::keep`], for a text whose hash is known.
    pub(crate) fn keep_hashed(&mut self, hash: TextHash, text: &[u8]) {
        let [low, high, ..] = hash.0.to_le_bytes();
        let place = usize::from(u16::from_le_bytes([low, high])) % RECENT;
        if let Some(recent) = self.recent.get_mut(place)
            && *recent != hash.0
        {
            *recent = hash.0;
            if let Ok(text) = std::str::from_utf8(text) {
                self.texts.insert(text);
            }
        }
    }

    /// The bits of the name that an issuer and a serial number make; digits of either case without leading zeros. As
    /// [`touchmark_identity::event::IdentityRef::names`] has it.
    pub(super) fn issued(&mut self, written: &str, serial: &[u8]) -> u128 {
        let [place, ..] = hash64(written.as_bytes()).to_le_bytes();
        #[expect(clippy::indexing_slicing, reason = "a remainder of the length, which never changes")]
        let issuer = &mut self.issuers[usize::from(place) % ISSUERS];
        if *issuer.written != *written {
            *issuer = Issuer { written: written.into(), canonical: canonical_dn(written).into() };
        }
        self.name.clear();
        self.name.extend(serial.iter().map(u8::to_ascii_lowercase));
        self.name.push(b'\n');
        self.name.extend_from_slice(issuer.canonical.as_bytes());
        folded(&sha256(&self.name))
    }

    /// As [`TextCache::keep`]; no text has no hash.
    pub(crate) fn keep_some(&mut self, text: Option<&str>) -> TextHash {
        text.map_or(TextHash::NONE, |text| self.keep(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_same_in_every_run() {
        // Snapshots keep them: a change of the hash needs a new version of the snapshot.
        assert_eq!(TextHash::of(b"2.4.1").to_string(), "#4c8f3c31fa3aa642");
        assert!(!TextHash::of(b"").is_none());
    }

    #[test]
    fn texts_are_kept_up_to_the_bound_and_then_shown_as_hashes() {
        let texts = Texts::new(2);
        let mut cache = texts.cache();
        let hashes = ["a", "b", "c"].map(|text| cache.keep(text.as_bytes()));
        assert_eq!(hashes.map(|hash| texts.show(hash)), ["a", "b", &hashes[2].to_string()]);
        assert_eq!(texts.show(TextHash::NONE), "");
        assert_eq!(cache.keep(b"a"), hashes[0]);

        let again = Texts::new(2);
        for text in texts.all() {
            again.insert(&text);
        }
        assert_eq!(again.all(), texts.all());
    }

    #[test]
    fn threads_share_texts() {
        let texts = Texts::default();
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let mut cache = texts.cache();
                scope.spawn(move || {
                    for number in 0..10_000 {
                        cache.keep(format!("text {}", number * (thread + 1)).as_bytes());
                    }
                });
            }
        });
        assert_eq!(texts.all().len(), 15_000);
    }
}
