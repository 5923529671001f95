//! What a host asks of a key store whose part answers what it likes.

use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_keystore::KeyStore;

use crate::{nonce, told};

/// How many acts [`act`] knows.
pub const ACTS: u8 = 10;

/// One act with the store; what the store refuses is told. Numbers from [`ACTS`] on do nothing.
pub fn act(store: &mut dyn KeyStore, number: u8) {
    let key = KeyName::new("identity").expect("a name");
    let name = CounterName::new("firmware").expect("a name");
    match number {
        0 => drop(told(store.info())),
        1 => drop(told(store.generate(&key))),
        2 => drop(told(store.public_key(&key))),
        3 => drop(told(store.sign_digest(&key, &[7; 32]))),
        4 => drop(told(store.delete(&key))),
        5 => drop(store.attest().and_then(|store| told(store.attest(&key, &nonce())))),
        6 => drop(store.counters().and_then(|store| told(store.increment_counter(&name)))),
        7 => drop(store.ratchet().and_then(|store| told(store.raise_floor(&name, 7)))),
        8 => drop(store.objects().and_then(|store| told(store.read_object(&key)))),
        9 => drop(store.objects().and_then(|store| told(store.write_object(&key, &[7; 600])))),
        _ => {}
    }
}
