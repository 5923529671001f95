//! What a signature costs by where the key lives, and what one exchange with an element costs.

#![expect(clippy::expect_used, reason = "a benchmark whose world cannot be made measures nothing")]

use std::hint::black_box;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use criterion::{Criterion, criterion_group};
use touchmark_element::{Element, tcp};
use touchmark_identity::apdu::se05x::{AID, Instruction};
use touchmark_identity::apdu::{Command as Apdu, Response, StatusWord};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::element::{ChannelKeys, ElementStore, TcpTransport};
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};
use touchmark_keystore::tpm::TpmStore;
use touchmark_keystore::uri::{Secret, StoreUri};
use touchmark_keystore::{Counters, KeyStore};
use touchmark_testkit::element::ChannelKeyFile;
use touchmark_testkit::swtpm::{EkKind, Swtpm};
use touchmark_testkit::{kryoptic, softhsm};

/// Names and addresses of tokens, a line each, for a process that has their configuration.
const TOKENS: &str = "TOUCHMARK_BENCH_TOKENS";
/// kryoptic's module, whose token is still to be made.
const NEW_TOKEN: &str = "TOUCHMARK_BENCH_NEW_TOKEN";

/// The label of each token.
const LABEL: &str = "bench";

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
    let file = ChannelKeyFile::right();
    let keys = || ChannelKeys::read(&file.path(), 0x0B).expect("keys");
    let mut secured = Element::create(&folder.path().join("secured"), now()).expect("an element");
    let secured = ElementStore::secured(Box::new(move |apdu: &[u8]| secured.transmit(apdu)), keys());
    let secured_tcp = ElementStore::secured(Box::new(TcpTransport::new(&address)), keys());

    // The same by what others made, where it is installed.
    let swtpm = Swtpm::start(EkKind::P384);
    let tpm = swtpm
        .as_ref()
        .map(|swtpm| -> Box<dyn KeyStore> { Box::new(TpmStore::open(&swtpm.address).expect("a TPM")) });
    if let Ok(module) = std::env::var(NEW_TOKEN) {
        kryoptic::make(Path::new(&module), LABEL);
    }
    let tokens = std::env::var(TOKENS).unwrap_or_default();
    let tokens = tokens.lines().filter_map(|line| line.split_once(' ')).map(|(name, uri)| {
        let uri: StoreUri = uri.parse().expect("an address");
        (name, uri.open(Secret::None).expect("a token"))
    });
    let others = tpm.map(|store| ("swtpm", store)).into_iter().chain(tokens);

    let mut group = criterion.benchmark_group("signature");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("aws-lc-rs alone, digest given", |bencher| {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref()).expect("a key");
        let digest = Digest::import_less_safe(&[7; 32], &SHA256).expect("a digest");
        bencher.iter(|| pair.sign_digest(black_box(&digest)).expect("a signature"));
    });
    let stores: [(&str, Box<dyn KeyStore>); 5] = [
        ("key file", Box::new(software)),
        ("virtual element in process", Box::new(in_process)),
        ("virtual element over TCP", Box::new(over_tcp)),
        ("virtual element in process, inside SCP03", Box::new(secured.expect("a channel"))),
        ("virtual element over TCP, inside SCP03", Box::new(secured_tcp.expect("a channel"))),
    ];
    for (name, mut store) in stores.into_iter().chain(others) {
        if store.public_key(&key).is_err() {
            store.generate(&key).expect("a new key");
        }
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
    let select = Apdu { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
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
    let folder = tempfile::tempdir().expect("a folder");
    let mut element = Element::create(folder.path(), now()).expect("an element");
    let store = ElementStore::new(Box::new(move |apdu: &[u8]| element.transmit(apdu)));
    let (mut store, counter) = (store.expect("an applet"), CounterName::new("boots").expect("a name"));
    group.bench_function("counter read and counted up, durable", |bencher| {
        bencher.iter(|| store.increment_counter(&counter).expect("a counter"));
    });
    group.finish();
}

criterion_group!(benches, sign, exchange);

fn main() {
    // Tokens look for their configuration in the environment of the process.
    if std::env::var_os(TOKENS).is_none() {
        let mut again = Command::new(std::env::current_exe().expect("this program"));
        again.args(std::env::args_os().skip(1));
        let mut tokens = String::new();
        let softhsm = softhsm::create(LABEL);
        if let Some(token) = &softhsm {
            again.env("SOFTHSM2_CONF", token.configuration());
            tokens.push_str(&format!("SoftHSM2 {}\n", token.uri(&token.pin_file())));
        }
        let kryoptic = kryoptic::prepare(LABEL);
        if let Some(token) = &kryoptic {
            again.env("KRYOPTIC_CONF", token.configuration()).env(NEW_TOKEN, &token.module);
            tokens.push_str(&format!("kryoptic {}\n", token.uri(&token.pin_file())));
        }
        again.env(TOKENS, tokens);
        assert!(again.status().expect("a child process").success(), "the benchmark failed");
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
