//! Whoever comes with a wrong key, PIN, passphrase or value is refused, as often as he comes, and the owner is not.

use touchmark_identity::key::sha256;

use super::{Bench, key, ways};
use crate::store::StoreError;

/// How often each wrong key is tried in a row.
const TRIES: usize = 3;

/// A way to come with a wrong key.
pub struct WrongKey {
    /// What is wrong, for messages.
    pub what: &'static str,
    /// The code of the error that must be seen.
    pub code: &'static str,
    /// Comes with it, while no handle is open, and leaves nothing behind.
    pub attempt: Box<dyn FnMut() -> Result<(), StoreError>>,
}

pub(super) fn run(bench: &mut dyn Bench) -> Result<(), &'static str> {
    let wrong_keys = ways(bench.wrong_keys())?;
    let name = key("conf-wrong-key");
    let public = bench.open().generate(&name).expect("generate");
    for WrongKey { what, code, mut attempt } in wrong_keys {
        for _ in 0..TRIES {
            let refused = attempt().expect_err(what);
            assert_eq!(refused.code(), code, "{what}: {refused}");
        }
        // Nothing came of it: the owner gets in, and finds what he left.
        let mut store = bench.open();
        assert_eq!(store.public_key(&name).expect(what), public, "{what}: another key");
        let signature = store.sign_digest(&name, &sha256(what.as_bytes())).expect(what);
        public.verify(what.as_bytes(), &signature).expect(what);
        drop(store);
        // Nor does the owner's visit open the store for the next one.
        attempt().expect_err(what);
    }
    bench.open().delete(&name).expect("delete");
    Ok(())
}
