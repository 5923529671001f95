//! The session under an open handle ends, or becomes somebody else's: what the handle does next it does right, or says
//! that it did not; a new handle works.

use touchmark_identity::key::{PublicKey, sha256};

use super::{Bench, counter, key, ways};
use crate::store::{KeyStore, StoreError};

/// What a handle's next act comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The handle notices, or need not, and does what it was asked to do.
    Done,
    /// An error with this code.
    Refused(&'static str),
}

/// A way to end or replace the session beneath a handle.
pub struct WrongSession {
    /// What happens, for messages.
    pub what: &'static str,
    /// Does it, while a handle is open.
    pub bring: Box<dyn FnMut()>,
    /// Ends it where it lasts, before a new handle is opened.
    pub end: Box<dyn FnMut()>,
    /// What the next act comes to where it is a signature.
    pub sign: Seen,
    /// Where it is the generation of a key.
    pub generate: Seen,
    /// Where it is the increment of a counter.
    pub count: Seen,
}

/// What is there before, and has to be there afterwards.
struct Known {
    public: PublicKey,
    count: Option<u64>,
}

pub(super) fn run(bench: &mut dyn Bench) -> Result<(), &'static str> {
    let mut sessions = ways(bench.wrong_sessions())?;
    let (mine, other, made) = (key("conf-session"), key("conf-bystander"), key("conf-made"));
    let sent = counter("conf-session");
    let mut store = bench.open();
    let public = store.generate(&mine).expect("generate");
    store.generate(&other).expect("generate another key");
    let count = store.counters().map(|counters| counters.increment_counter(&sent).expect("increment"));
    let mut known = Known { public, count };
    drop(store);
    let acts: [fn(&mut dyn Bench, &mut WrongSession, &mut Known); 3] = [sign, generate, count_on];
    for session in &mut sessions {
        for act in acts {
            act(bench, session, &mut known);
            let mut store = bench.open();
            assert_eq!(store.public_key(&mine).expect(session.what), known.public, "{}", session.what);
            signs(store.as_mut(), session.what, &known).expect("a new handle works");
            match store.public_key(&made) {
                Ok(_) => store.delete(&made).expect("delete"),
                Err(error) => assert!(matches!(error, StoreError::NotFound { .. }), "{error}"),
            }
            if let (Some(counters), Some(count)) = (store.counters(), known.count) {
                assert_eq!(counters.read_counter(&sent).expect("read"), count, "{}", session.what);
            }
        }
    }
    let mut store = bench.open();
    store.delete(&mine).expect("delete");
    store.delete(&other).expect("delete");
    Ok(())
}

/// Signs; a signature that is given is one by the key that was asked for.
fn signs(store: &mut dyn KeyStore, message: &str, known: &Known) -> Result<(), StoreError> {
    let signature = store.sign_digest(&key("conf-session"), &sha256(message.as_bytes()))?;
    known
        .public
        .verify(message.as_bytes(), &signature)
        .expect("a signature by another key, or of another message");
    Ok(())
}

/// Holds what was seen against what must be seen.
fn hold(what: &str, act: &str, seen: Result<(), StoreError>, expected: Seen) {
    let found = match &seen {
        Ok(()) => Seen::Done,
        Err(error) => Seen::Refused(error.code()),
    };
    assert_eq!(found, expected, "{what}, {act}: {seen:?}");
}

fn sign(bench: &mut dyn Bench, session: &mut WrongSession, known: &mut Known) {
    let mut store = bench.open();
    signs(store.as_mut(), "before", known).expect("sign");
    (session.bring)();
    hold(session.what, "sign", signs(store.as_mut(), "during", known), session.sign);
    (session.end)();
    // The same handle again: it may go on refusing, and never says anything wrong.
    let _right_or_refused = signs(store.as_mut(), "after", known);
}

fn generate(bench: &mut dyn Bench, session: &mut WrongSession, known: &mut Known) {
    let (made, what) = (key("conf-made"), session.what);
    let mut store = bench.open();
    signs(store.as_mut(), "before", known).expect("sign");
    (session.bring)();
    let seen = store.generate(&made);
    (session.end)();
    drop(store);
    let mut store = bench.open();
    match (&seen, store.public_key(&made)) {
        (Ok(public), found) => assert_eq!(found.expect(what), *public, "{what}: another key than was told"),
        (Err(_), Ok(public)) => {
            let signature = store.sign_digest(&made, &sha256(b"whole")).expect("a key that is there signs");
            public.verify(b"whole", &signature).expect("with both its halves");
        }
        (Err(_), Err(error)) => assert!(matches!(error, StoreError::NotFound { .. }), "{what}: {error}"),
    }
    hold(what, "generate", seen.map(drop), session.generate);
}

fn count_on(bench: &mut dyn Bench, session: &mut WrongSession, known: &mut Known) {
    let (Some(before), sent, what) = (known.count, counter("conf-session"), session.what) else { return };
    let mut store = bench.open();
    let counters = store.counters().expect("the capability is still there");
    assert_eq!(counters.read_counter(&sent).expect("read"), before);
    (session.bring)();
    let seen = store.counters().expect("the capability is still there").increment_counter(&sent);
    (session.end)();
    drop(store);
    let mut store = bench.open();
    let after = store.counters().expect("counters").read_counter(&sent).expect("read");
    match &seen {
        Ok(told) => assert_eq!((*told, after), (before + 1, before + 1), "{what}: a wrong count"),
        Err(_) => assert!((before..=before + 1).contains(&after), "{what}: {before} became {after}"),
    }
    known.count = Some(after);
    hold(what, "count", seen.map(drop), session.count);
}
