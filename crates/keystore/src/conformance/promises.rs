//! The promises of the traits, kept when nothing goes wrong.

use touchmark_identity::evidence::Nonce;
use touchmark_identity::key::sha256;

use super::{Open, counter, key};
use crate::store::StoreError;

/// Runs the promises alone; the store must be empty at the beginning.
///
/// # Panics
/// At the first promise that is not kept.
pub fn promises(open: Open<'_>) {
    keys(open);
    wrong_names(open);
    counters(open);
    ratchet(open);
    objects(open);
    evidence(open);
}

/// The profile of a token: the derivation of SCP03 keys that was expected, tried; the mechanisms that the suite used are listed.
///
/// # Panics
/// When the profile is another one.
pub fn profile(open: Open<'_>, scp03: &str) {
    let mut store = open();
    let profile = store.profiled().expect("a token").profile().expect("profile");
    let found = serde_json::to_value(&profile).expect("a profile is JSON");
    let derivation = found.get("scp03").and_then(|word| word.as_str());
    assert_eq!((derivation, profile.scp03_tried), (Some(scp03), true), "{found}");
    for (name, flag) in [("CKM_ECDSA", "sign"), ("CKM_EC_KEY_PAIR_GEN", "generate_key_pair")] {
        let listed = profile.mechanisms.iter().find(|mechanism| mechanism.name == name);
        assert!(
            listed.is_some_and(|it| it.flags.contains(&flag) && it.max_key_size >= 256),
            "{name}: {found}"
        );
    }
    assert!(!profile.wraps.is_empty(), "a token that wraps no key: {found}");
    let again = store.profiled().expect("a token").profile().expect("profile");
    assert_eq!(again, profile, "the probe changed the token");
}

/// Generated keys sign, survive reopening, differ from each other, and are never overwritten.
fn keys(open: Open<'_>) {
    let (first, second) = {
        let mut store = open();
        store.info().expect("info");
        let first = store.generate(&key("conf-1")).expect("generate");
        let second = store.generate(&key("conf-2")).expect("generate a second key");
        assert_ne!(first, second, "two keys are the same");
        assert!(
            matches!(store.generate(&key("conf-1")), Err(StoreError::Exists { .. })),
            "an existing key was overwritten"
        );
        (first, second)
    };
    let mut store = open();
    assert_eq!(store.public_key(&key("conf-1")).expect("public key"), first, "the key changed by reopening");
    let message = b"what is signed";
    let signature = store.sign_digest(&key("conf-1"), &sha256(message)).expect("sign");
    first.verify(message, &signature).expect("the signature verifies under the key");
    second.verify(message, &signature).expect_err("the signature verifies under another key");
    first
        .verify(b"what was not signed", &signature)
        .expect_err("the signature verifies over another message");
    store.delete(&key("conf-2")).expect("delete");
    drop(store);
    let mut store = open();
    assert!(
        matches!(store.public_key(&key("conf-2")), Err(StoreError::NotFound { .. })),
        "a deleted key is back"
    );
    let again = store.generate(&key("conf-2")).expect("generate under a freed name");
    assert_ne!(again, second, "a deleted key came back");
}

fn wrong_names(open: Open<'_>) {
    let mut store = open();
    let nobody = key("conf-nobody");
    assert!(matches!(store.public_key(&nobody), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.sign_digest(&nobody, &[0; 32]), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.delete(&nobody), Err(StoreError::NotFound { .. })));
}

/// A counter goes up by one, each counter by itself, and keeps its value.
fn counters(open: Open<'_>) {
    let first = {
        let mut store = open();
        let Some(counters) = store.counters() else { return };
        assert!(matches!(counters.read_counter(&counter("conf-a")), Err(StoreError::NotFound { .. })));
        let first = counters.increment_counter(&counter("conf-a")).expect("first increment");
        assert_eq!(counters.increment_counter(&counter("conf-a")).expect("increment"), first + 1);
        counters.increment_counter(&counter("conf-b")).expect("another counter");
        first
    };
    let mut store = open();
    let counters = store.counters().expect("the capability is still there");
    assert_eq!(counters.read_counter(&counter("conf-a")).expect("read"), first + 1, "a count was lost");
    assert_eq!(counters.increment_counter(&counter("conf-a")).expect("increment"), first + 2);
}

/// A floor starts at 0, goes up, never down, and keeps its value.
fn ratchet(open: Open<'_>) {
    let name = counter("conf-floor");
    {
        let mut store = open();
        let Some(ratchet) = store.ratchet() else { return };
        assert_eq!(ratchet.floor(&name).expect("floor"), 0);
        ratchet.raise_floor(&name, 3).expect("raise");
        ratchet.raise_floor(&name, 3).expect("raise to where it stands");
        assert!(matches!(
            ratchet.raise_floor(&name, 2),
            Err(StoreError::WouldGoBack { current: 3, asked: 2, .. })
        ));
    }
    let mut store = open();
    let ratchet = store.ratchet().expect("the capability is still there");
    assert_eq!(ratchet.floor(&name).expect("floor"), 3, "the floor sank");
    ratchet.raise_floor(&name, 5).expect("raise");
    assert_eq!(ratchet.floor(&name).expect("floor"), 5);
}

/// Objects are read back whole, also after a shorter and a longer replacement.
fn objects(open: Open<'_>) {
    let name = key("conf-object");
    let long: Vec<u8> = (0..=255).cycle().take(1_300).collect();
    {
        let mut store = open();
        let Some(objects) = store.objects() else { return };
        assert!(matches!(objects.read_object(&name), Err(StoreError::NotFound { .. })));
        objects.write_object(&name, &long).expect("write");
    }
    let mut store = open();
    let objects = store.objects().expect("the capability is still there");
    assert_eq!(objects.read_object(&name).expect("read"), long);
    objects.write_object(&name, b"short").expect("replace");
    assert_eq!(objects.read_object(&name).expect("read"), b"short");
    objects.write_object(&name, &long).expect("replace by a longer one");
    assert_eq!(objects.read_object(&name).expect("read"), long);
}

/// Evidence names the key that was asked for, and differs with the nonce.
fn evidence(open: Open<'_>) {
    let mut store = open();
    let public = store.public_key(&key("conf-1")).expect("public key");
    let Some(attest) = store.attest() else { return };
    let nonce = |byte| Nonce::new(&[byte; 32]).expect("a valid nonce");
    assert!(matches!(attest.attest(&key("conf-nobody"), &nonce(1)), Err(StoreError::NotFound { .. })));
    let one = match attest.attest(&key("conf-1"), &nonce(1)) {
        // A token that keeps no certificate of its own for the key.
        Err(StoreError::NoCapability { .. }) => return,
        attested => attested.expect("attest"),
    };
    let two = attest.attest(&key("conf-1"), &nonce(2)).expect("attest");
    assert_eq!(one.key, public, "evidence speaks of another key");
    assert_ne!(one.evidence, two.evidence, "evidence does not depend on the nonce");
}
