//! A chip that answers what it likes to the host's driver: pieces are its answers after a good SELECT.
#![no_main]

use std::collections::VecDeque;

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::{nonce, pieces, told};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_keystore::KeyStore;
use touchmark_keystore::element::ElementStore;

fuzz_target!(|data: &[u8]| {
    let Some((&act, data)) = data.split_first() else { return };
    let mut answers: VecDeque<Vec<u8>> = pieces(data, 256).map(<[u8]>::to_vec).collect();
    answers.push_front(vec![3, 1, 1, 0x6f, 0xff, 1, 0x0b, 0x90, 0]);
    let chip = move |_: &[u8]| answers.pop_front().unwrap_or_default();
    let Some(mut store) = told(ElementStore::new(Box::new(chip))) else { return };
    let (key, name) =
        (KeyName::new("identity").expect("a name"), CounterName::new("firmware").expect("a name"));
    match act % 10 {
        0 => drop(told(store.info())),
        1 => drop(told(store.generate(&key))),
        2 => drop(told(store.public_key(&key))),
        3 => drop(told(store.sign_digest(&key, &[7; 32]))),
        4 => drop(told(store.delete(&key))),
        5 => drop(store.attest().and_then(|store| told(store.attest(&key, &nonce())))),
        6 => drop(store.counters().and_then(|store| told(store.increment_counter(&name)))),
        7 => drop(store.ratchet().and_then(|store| told(store.raise_floor(&name, 7)))),
        8 => drop(store.objects().and_then(|store| told(store.read_object(&key)))),
        _ => drop(store.objects().and_then(|store| told(store.write_object(&key, &[7; 600])))),
    }
});
