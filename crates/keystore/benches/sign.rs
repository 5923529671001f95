//! What a signature costs by where the key lives, and what one exchange with an element costs.

#![expect(clippy::expect_used, reason = "a benchmark whose world cannot be made measures nothing")]

use std::hint::black_box;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use touchmark_element::{Element, tcp};
use touchmark_identity::apdu::se05x::{AID, Instruction};
use touchmark_identity::apdu::{Command, Response, StatusWord};
use touchmark_identity::ids::KeyName;
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::KeyStore;
use touchmark_keystore::element::ElementStore;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_132_800_000_000)
}

fn sign(criterion: &mut Criterion) {
    let key = KeyName::new("identity").expect("a name");
    let folder = tempfile::tempdir().expect("a folder");
    let medium = FileMedium::hold(&folder.path().join("keys.toml")).expect("a key file");
    let software = SoftwareStore::open(Box::new(medium), &Protection::PlainFlash).expect("a key store");
    let mut element = Element::create(&folder.path().join("here"), now()).expect("an element");
    let in_process =
        ElementStore::new(Box::new(move |apdu: &[u8]| element.transmit(apdu))).expect("an applet");

    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let stop = Arc::new(AtomicBool::new(false));
    let serving = std::thread::spawn({
        let element = Element::create(&folder.path().join("there"), now()).expect("an element");
        let stop = Arc::clone(&stop);
        move || tcp::serve(&listener, element, &stop)
    });
    let over_tcp = ElementStore::tcp(&address).expect("an element that serves");

    let mut group = criterion.benchmark_group("signature");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    let stores: [(&str, Box<dyn KeyStore>); 3] = [
        ("key file", Box::new(software)),
        ("virtual element in process", Box::new(in_process)),
        ("virtual element over TCP", Box::new(over_tcp)),
    ];
    for (name, mut store) in stores {
        store.generate(&key).expect("a new key");
        group.bench_function(name, |bencher| {
            bencher.iter(|| store.sign_digest(&key, black_box(&[7; 32])).expect("a signature"));
        });
    }
    group.finish();
    stop.store(true, Ordering::Relaxed);
    serving.join().expect("the element's thread").expect("an element that served");
}

fn exchange(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut element = Element::create(folder.path(), now()).expect("an element");
    let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
    element.transmit(&select.encode().expect("a short command"));

    let mut group = criterion.benchmark_group("element");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("APDU round trip, GetVersion", |bencher| {
        bencher.iter(|| {
            let command = Instruction::GetVersion.command(Vec::new()).encode().expect("a short command");
            let response = Response::parse(&element.transmit(black_box(&command))).expect("a response");
            assert_eq!(response.sw, StatusWord::SUCCESS);
            response
        });
    });
    group.finish();
}

criterion_group!(benches, sign, exchange);
criterion_main!(benches);
