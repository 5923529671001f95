//! The suite that every key store must pass, whatever holds its keys.
//!
//! A back end's test implements [`Bench`]: how *the same* store is opened anew, and how each adverse case is brought about
//! with that back end's own means, with what must then be seen. [`run`] holds the store against the promises of the
//! traits and against these cases, one handle after the other. It panics at the first promise that is not kept.
//!
//! A case that a back end cannot have is named as absent with its reason, and the test names the absent cases a second
//! time: none can vanish unnoticed.
#![expect(clippy::expect_used, clippy::panic, reason = "a test suite: a broken promise is a panic")]

mod act;
pub mod element;
mod exhausted;
mod power_cut;
mod promises;
mod wrong_key;
mod wrong_session;

use touchmark_identity::ids::{CounterName, KeyName};

use crate::store::KeyStore;
pub use act::Act;
pub use exhausted::{Exhaustion, WhichCounter};
pub use power_cut::PowerCut;
pub use promises::{profile, promises};
pub use wrong_key::WrongKey;
pub use wrong_session::{Seen, WrongSession};

/// Opens the store under test.
pub type Open<'a> = &'a mut dyn FnMut() -> Box<dyn KeyStore>;

/// A back end, and what can be done to it.
pub trait Bench {
    /// Opens the store with what opens it. The suite drops one handle before it opens the next.
    fn open(&mut self) -> Box<dyn KeyStore>;

    /// Ways to come with a wrong key, PIN, passphrase or value.
    fn wrong_keys(&mut self) -> Case<WrongKey>;

    /// Ways to end or replace the session beneath an open handle.
    fn wrong_sessions(&mut self) -> Case<WrongSession>;

    /// Ways to bring a counter to its end.
    fn exhaustions(&mut self) -> Case<Exhaustion>;

    /// Ways to take the power away in the middle of an act.
    fn power_cuts(&mut self) -> Case<Box<dyn PowerCut>>;
}

/// What a bench has for an adverse case.
pub enum Case<T> {
    /// Each way to bring it about.
    Present(Vec<T>),
    /// The back end cannot have it, for this reason.
    Absent(&'static str),
}

/// The adverse cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adverse {
    /// Whoever opens the store has not what opens it.
    WrongKey,
    /// The session under an open handle is ended or replaced by another party.
    WrongSession,
    /// A counter stands at the end of its budget.
    ExhaustedCounter,
    /// The power fails in the middle of a change.
    PowerCut,
}

/// Runs the whole suite; the store must be empty at the beginning. `absent` are the cases that the bench is known not to
/// have.
///
/// # Panics
/// At the first promise that is not kept, and when other cases are absent than `absent`.
#[expect(
    clippy::print_stderr,
    reason = "a case that is not tried has to be visible in the output of the test run"
)]
pub fn run(bench: &mut dyn Bench, absent: &[Adverse]) {
    promises(&mut || bench.open());
    let mut missing = Vec::new();
    for (case, tried) in [
        (Adverse::WrongKey, wrong_key::run as fn(&mut dyn Bench) -> Result<(), &'static str>),
        (Adverse::WrongSession, wrong_session::run),
        (Adverse::ExhaustedCounter, exhausted::run),
        (Adverse::PowerCut, power_cut::run),
    ] {
        if let Err(why) = tried(bench) {
            eprintln!("ABSENT: {case:?}: {why}");
            missing.push(case);
        }
    }
    assert_eq!(missing, absent, "the cases that are absent");
}

/// The ways of a case, of which there has to be one; or why there is none.
fn ways<T>(case: Case<T>) -> Result<Vec<T>, &'static str> {
    match case {
        Case::Present(ways) => {
            assert!(!ways.is_empty(), "a case without a way to bring it about");
            Ok(ways)
        }
        Case::Absent(why) => Err(why),
    }
}

fn key(text: &str) -> KeyName {
    KeyName::new(text).expect("a valid key name")
}

fn counter(text: &str) -> CounterName {
    CounterName::new(text).expect("a valid counter name")
}
