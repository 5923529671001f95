//! The host's side against the element's own side of SCP03, over TCP, by address.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use touchmark_element::{Element, tcp};
use touchmark_identity::ids::KeyName;

use crate::store::{KeyStore, StoreError};
use crate::uri::{Secret, StoreUri};

/// The platform keys of a new element: version 0B in the applet's domain.
const KEYS: [&str; 3] = [
    "abcdabcdabcdabcdabcdabcdabcd0001",
    "abcdabcdabcdabcdabcdabcdabcd0002",
    "abcdabcdabcdabcdabcdabcdabcd0003",
];

fn key_file(dir: &Path, keys: [&str; 3], more: &str) -> String {
    let path = dir.join("scp03.toml");
    let [enc, mac, dek] = keys;
    std::fs::write(&path, format!("enc = \"{enc}\"\nmac = \"{mac}\"\ndek = \"{dek}\"\n{more}")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// Serves a new element while `during` runs, which gets its address.
fn served(dir: &Path, during: impl FnOnce(&str)) {
    let element = Element::create(&dir.join("element"), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let server = thread::spawn(move || tcp::serve(&listener, element, &told));
    during(&address);
    stop.store(true, Ordering::Relaxed);
    server.join().unwrap().unwrap();
}

fn open(uri: &str) -> Result<Box<dyn KeyStore>, StoreError> {
    uri.parse::<StoreUri>().unwrap().open(Secret::None)
}

#[test]
fn every_level_over_tcp() {
    let dir = tempfile::tempdir().unwrap();
    served(dir.path(), |address| {
        for level in ["01", "03", "11", "13", "33"] {
            let file = key_file(dir.path(), KEYS, &format!("level = \"{level}\"\n"));
            let mut store = open(&format!("element:tcp:{address}?scp03={file}&kvn=0B")).unwrap();
            let key = KeyName::new(&format!("level-{level}")).unwrap();
            let public = store.generate(&key).unwrap();
            let signature = store.sign_digest(&key, &[7; 32]).unwrap();
            drop(store);
            assert_eq!(open(&format!("element:tcp:{address}")).unwrap().public_key(&key).unwrap(), public);
            assert!(signature.starts_with(&[0x30]));
        }
    });
}

/// A driver finds wrong keys before it says anything (the conformance suite); whoever goes on regardless is slowed down.
#[test]
fn guesses_over_tcp_are_slowed_down() {
    let dir = tempfile::tempdir().unwrap();
    served(dir.path(), |address| {
        let transport = &mut crate::element::TcpTransport::new(address);
        let begin = "8050300008000102030405060700";
        let guess = format!("8482010010{}", "00".repeat(16));
        let mut send = |apdu: &str| {
            use crate::element::Transport;
            hex::encode(transport.transmit(&hex::decode(apdu).unwrap()).unwrap())
        };
        for _ in 0..5 {
            assert!(send(begin).ends_with("9000"));
            assert_eq!(send(&guess), "6300");
        }
        let begun = Instant::now();
        assert!(send(begin).ends_with("9000"));
        assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    });
}
