//! A key file that was changed while nobody looked.
#![no_main]

use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_keystore::software::{Medium, Protection, SoftwareStore};
use touchmark_keystore::{Counters, KeyStore, Objects, Ratchet, StoreError};
use zeroize::Zeroizing;

#[derive(Clone)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Medium for Memory {
    fn load(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(Some(self.0.lock().expect("one thread").clone()))
    }

    fn save(&mut self, document: &[u8]) -> Result<(), StoreError> {
        *self.0.lock().expect("one thread") = document.to_vec();
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

/// The passphrase of the first inputs, for documents that say how it is stretched; unless that takes long.
fn protection(data: &[u8]) -> Option<Protection> {
    let text = std::str::from_utf8(data).ok()?;
    let Some(sealing) = toml::from_str::<toml::Table>(text).ok().and_then(|mut all| all.remove("sealing"))
    else {
        return Some(Protection::PlainFlash);
    };
    let small = |name, limit| sealing.get(name).and_then(toml::Value::as_integer).is_none_or(|n| n <= limit);
    (small("memory_kib", 64) && small("passes", 2))
        .then(|| Protection::Passphrase(Zeroizing::new(b"open sesame".to_vec())))
}

fuzz_target!(|data: &[u8]| {
    let Some(protection) = protection(data) else { return };
    let memory = Memory(Arc::new(Mutex::new(data.to_vec())));
    let Some(mut store) = told(SoftwareStore::open(Box::new(memory.clone()), &protection)) else { return };
    let (key, name) =
        (KeyName::new("identity").expect("a name"), CounterName::new("firmware").expect("a name"));
    let public = told(store.public_key(&key));
    let _missing = told(store.read_object(&key));
    let floor = store.floor(&name).expect("a floor");
    let raised = floor.saturating_add(1);
    let raised = told(store.raise_floor(&name, raised)).map_or(floor, |()| raised);
    let count = told(store.increment_counter(&name));
    told(store.write_object(&key, b"object")).expect("room for an object");
    drop(store);

    let mut again = SoftwareStore::open(Box::new(memory), &protection).expect("what the store wrote itself");
    assert_eq!(again.public_key(&key).ok(), public);
    assert_eq!(again.floor(&name).ok(), Some(raised));
    assert_eq!(again.read_object(&key).ok().as_deref(), Some(&b"object"[..]));
    if count.is_some() {
        assert_eq!(again.read_counter(&name).ok(), count);
    }
});
