//! What changes a store, and what may be found of it when it was cut off.

use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::{PublicKey, sha256};

use super::{counter, key};
use crate::store::{KeyStore, StoreError};

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A key is made.
    Generate,
    /// A key is deleted.
    Delete,
    /// A counter is made by its first increment.
    FirstCount,
    /// A counter goes up.
    Count,
    /// A floor goes up.
    Raise,
    /// An object is written for the first time.
    FirstObject,
    /// A small object is replaced by a large one.
    ReplaceObject,
}

impl Act {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Generate,
        Self::Delete,
        Self::FirstCount,
        Self::Count,
        Self::Raise,
        Self::FirstObject,
        Self::ReplaceObject,
    ];

    /// Carries it out. Names that have to be new depend on `round`.
    ///
    /// # Errors
    /// What the store says.
    pub fn perform(self, store: &mut dyn KeyStore, round: u64) -> Result<(), StoreError> {
        let missing = || StoreError::NoCapability { capability: "carry out this act" };
        match self {
            Self::Generate => store.generate(&cut_key()).map(drop),
            Self::Delete => store.delete(&cut_key()),
            Self::FirstCount | Self::Count => {
                let name = self.counter(round);
                store.counters().ok_or_else(missing)?.increment_counter(&name).map(drop)
            }
            Self::Raise => {
                let ratchet = store.ratchet().ok_or_else(missing)?;
                let floor = ratchet.floor(&self.counter(round))?;
                ratchet.raise_floor(&self.counter(round), floor + 1)
            }
            Self::FirstObject | Self::ReplaceObject => {
                let (name, bytes) = (self.object(round), self.new_object(round));
                store.objects().ok_or_else(missing)?.write_object(&name, &bytes)
            }
        }
    }

    pub(super) fn is_possible(self, store: &mut dyn KeyStore) -> bool {
        match self {
            Self::Generate | Self::Delete => true,
            Self::FirstCount | Self::Count => store.counters().is_some(),
            Self::Raise => store.ratchet().is_some(),
            Self::FirstObject | Self::ReplaceObject => store.objects().is_some(),
        }
    }

    fn counter(self, round: u64) -> CounterName {
        match self {
            Self::FirstCount => counter(&format!("conf-cut-{round}")),
            _ => counter("conf-cut"),
        }
    }

    fn object(self, round: u64) -> KeyName {
        match self {
            Self::FirstObject => key(&format!("conf-cut-{round}")),
            _ => key("conf-cut-object"),
        }
    }

    fn new_object(self, round: u64) -> Vec<u8> {
        let size = if self == Self::FirstObject { 20 } else { 1_300 };
        (0..size).map(|at| (at ^ round).to_le_bytes()[0]).collect()
    }
}

fn cut_key() -> KeyName {
    key("conf-cut")
}

/// What was acknowledged before an act.
pub(super) struct Before {
    act: Act,
    round: u64,
    key: Option<PublicKey>,
    number: u64,
    object: Vec<u8>,
}

impl Before {
    /// Prepares an act, so that it has something to do.
    pub(super) fn prepare(store: &mut dyn KeyStore, act: Act, round: u64) -> Self {
        let mut before = Self { act, round, key: None, number: 0, object: Vec::new() };
        match act {
            Act::Generate => {
                if store.public_key(&cut_key()).is_ok() {
                    store.delete(&cut_key()).expect("delete");
                }
            }
            Act::Delete => {
                let there = store.public_key(&cut_key());
                before.key = Some(there.or_else(|_| store.generate(&cut_key())).expect("generate"));
            }
            Act::Count => {
                let counters = store.counters().expect("counters");
                let there = counters.read_counter(&act.counter(round));
                let number = there.or_else(|_| counters.increment_counter(&act.counter(round)));
                before.number = number.expect("increment");
            }
            Act::Raise => {
                before.number =
                    store.ratchet().expect("a ratchet").floor(&act.counter(round)).expect("floor");
            }
            Act::FirstCount | Act::FirstObject => {}
            Act::ReplaceObject => {
                before.object = round.to_be_bytes().repeat(5);
                let objects = store.objects().expect("objects");
                objects.write_object(&act.object(round), &before.object).expect("write");
            }
        }
        before
    }

    /// Holds what is found afterwards against what was told: what was acknowledged is there, and what was not is there as
    /// a whole or not at all.
    pub(super) fn hold(&self, store: &mut dyn KeyStore, told: &Result<(), StoreError>, what: &str) {
        let (act, done) = (self.act, told.is_ok());
        let name = self.act.counter(self.round);
        match act {
            Act::Generate | Act::Delete => {
                let there = whole_or_absent(store, what);
                match (act, done) {
                    (Act::Generate, true) => assert!(there.is_some(), "{what}: an acknowledged key is lost"),
                    (Act::Delete, true) => assert_eq!(there, None, "{what}: a deleted key is back"),
                    (Act::Delete, false) if there.is_some() => {
                        assert_eq!(there, self.key, "{what}: another key")
                    }
                    _ => {}
                }
                if there.is_none() {
                    // What is left over is in nobody's way.
                    let public = store.generate(&cut_key()).expect(what);
                    assert_eq!(whole_or_absent(store, what), Some(public), "{what}");
                }
            }
            Act::FirstCount => {
                let counters = store.counters().expect("counters");
                let before = match counters.read_counter(&name) {
                    Ok(value) => Some(value),
                    Err(StoreError::NotFound { .. }) if !done => None,
                    Err(error) => panic!("{what}, acknowledged: {done}: {error}"),
                };
                let next = counters.increment_counter(&name).expect(what);
                assert!(before.is_none_or(|before| next == before + 1), "{what}: {before:?}, then {next}");
            }
            Act::Count => {
                let counters = store.counters().expect("counters");
                let found = counters.read_counter(&name).expect(what);
                self.hold_number(found, done, what);
                assert_eq!(counters.increment_counter(&name).expect(what), found + 1, "{what}");
            }
            Act::Raise => {
                let found = store.ratchet().expect("a ratchet").floor(&name).expect(what);
                self.hold_number(found, done, what);
            }
            Act::FirstObject | Act::ReplaceObject => self.hold_object(store, done, what),
        }
    }

    fn hold_number(&self, found: u64, done: bool, what: &str) {
        let expected = if done { self.number + 1 } else { self.number };
        let next = self.number + 1;
        assert!(
            (expected..=next).contains(&found),
            "{what}: {} became {found}, acknowledged: {done}",
            self.number
        );
    }

    fn hold_object(&self, store: &mut dyn KeyStore, done: bool, what: &str) {
        let (name, new) = (self.act.object(self.round), self.act.new_object(self.round));
        let objects = store.objects().expect("objects");
        let first = self.act == Act::FirstObject;
        match objects.read_object(&name) {
            Ok(found) if found == new => {}
            Ok(found) => assert!(!done && !first && found == self.object, "{what}: {found:02x?}"),
            Err(StoreError::NotFound { .. }) if first && !done => {}
            Err(error) => panic!("{what}: the old object and the new are lost: {error}"),
        }
        objects.write_object(&name, b"again").expect(what);
        assert_eq!(objects.read_object(&name).expect(what), b"again", "{what}");
    }
}

/// The key of the acts: with both its halves, or neither.
fn whole_or_absent(store: &mut dyn KeyStore, what: &str) -> Option<PublicKey> {
    let signature = store.sign_digest(&cut_key(), &sha256(b"whole"));
    match (store.public_key(&cut_key()), signature) {
        (Ok(public), Ok(signature)) => {
            public.verify(b"whole", &signature).expect(what);
            Some(public)
        }
        (Err(StoreError::NotFound { .. }), Err(StoreError::NotFound { .. })) => None,
        halves => panic!("{what}: half a key: {halves:02x?}"),
    }
}
