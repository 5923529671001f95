//! A counter at the end of its budget refuses, keeps its value, and never begins again.

use touchmark_identity::ids::CounterName;

use super::{Bench, counter, ways};
use crate::store::{KeyStore, StoreError};

/// Which counters are at their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichCounter {
    /// The one that is there.
    This,
    /// Every further one: there is no room for it.
    Further,
}

/// A way to bring a counter to its end.
pub struct Exhaustion {
    /// What happens, for messages.
    pub what: &'static str,
    /// Whose end it is.
    pub which: WhichCounter,
    /// How many increments are left.
    pub left: u64,
    /// Does it to this counter, which is there, while no handle is open.
    pub bring: Box<dyn FnMut(&CounterName)>,
    /// Ends it, where it can end.
    pub end: Box<dyn FnMut()>,
}

pub(super) fn run(bench: &mut dyn Bench) -> Result<(), &'static str> {
    for (number, mut way) in ways(bench.exhaustions())?.into_iter().enumerate() {
        let (this, other) = (counter(&format!("conf-end-{number}")), counter("conf-end-other"));
        let further = counter(&format!("conf-end-{number}-further"));
        let mut store = bench.open();
        let before = increment(store.as_mut(), &this).expect("increment");
        let elsewhere = increment(store.as_mut(), &other).expect("increment");
        drop(store);
        (way.bring)(&this);
        let mut store = bench.open();
        let mut last = read(store.as_mut(), &this).expect("a counter near its end is readable");
        assert!(last >= before, "{}: it went from {before} to {last}", way.what);
        for _ in 0..way.left {
            assert_eq!(increment(store.as_mut(), &this).expect(way.what), last + 1, "{}", way.what);
            last += 1;
        }
        drop(store);
        let ended = if way.which == WhichCounter::This { &this } else { &further };
        // Asked again, and by another handle: it does not wrap, and does not begin anew.
        for _ in 0..2 {
            let mut store = bench.open();
            for _ in 0..2 {
                let refused = increment(store.as_mut(), ended).expect_err(way.what);
                assert!(matches!(refused, StoreError::Exhausted { .. }), "{}: {refused:?}", way.what);
            }
            assert_eq!(read(store.as_mut(), &this).expect("it stays readable"), last, "{}", way.what);
            assert_eq!(read(store.as_mut(), &other).expect("so do others"), elsewhere, "{}", way.what);
            if way.which == WhichCounter::Further {
                let none = read(store.as_mut(), &further).expect_err("a counter that was refused");
                assert!(matches!(none, StoreError::NotFound { .. }), "{}: {none:?}", way.what);
                last = increment(store.as_mut(), &this).expect("counters that are there go on");
            }
        }
        (way.end)();
        increment(bench.open().as_mut(), &other).expect("another counter goes on");
    }
    Ok(())
}

fn increment(store: &mut dyn KeyStore, name: &CounterName) -> Result<u64, StoreError> {
    store.counters().expect("a store with counters").increment_counter(name)
}

fn read(store: &mut dyn KeyStore, name: &CounterName) -> Result<u64, StoreError> {
    store.counters().expect("a store with counters").read_counter(name)
}
