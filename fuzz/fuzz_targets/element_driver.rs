//! A chip that answers what it likes to the host's driver: pieces are its answers after a good SELECT.
#![no_main]

use std::collections::VecDeque;

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::acts::{ACTS, act};
use touchmark_fuzz::{pieces, told};
use touchmark_keystore::element::ElementStore;

fuzz_target!(|data: &[u8]| {
    let Some((&number, data)) = data.split_first() else { return };
    let mut answers: VecDeque<Vec<u8>> = pieces(data, 256).map(<[u8]>::to_vec).collect();
    answers.push_front(vec![3, 1, 1, 0x6f, 0xff, 1, 0x0b, 0x90, 0]);
    let chip = move |_: &[u8]| answers.pop_front().unwrap_or_default();
    let Some(mut store) = told(ElementStore::new(Box::new(chip))) else { return };
    act(&mut store, number % ACTS);
});
