//! What an exchange and a signature cost over PC/SC: through this library, and through the system's with `pcscd` and
//! vpcd. `taskset -c 0` has client, daemon and element share one core.

#![expect(clippy::expect_used, reason = "a benchmark whose world cannot be made measures nothing")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use touchmark_element::{Element, Served, vpcd};
use touchmark_identity::apdu::Command as Apdu;
use touchmark_identity::apdu::se05x::{AID, Instruction};
use touchmark_identity::ids::KeyName;
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::element::{PcscTransport, Transport};
use touchmark_keystore::uri::{Secret, StoreUri};
use touchmark_testkit::element::ChannelKeyFile;
use touchmark_testkit::pcsc::{LibraryFolder, in_a_system_of_its_own};

/// What a child process of this benchmark measures.
const WAY: &str = "TOUCHMARK_BENCH_WAY";
const LIBRARY: &str = "without a daemon";
const DAEMON: &str = "pcscd and vpcd";
/// Where vpcd listens, and what its reader is called.
const VPCD: &str = "127.0.0.1:35963";
const READER: &str = "Virtual PCD 00 00";

fn main() {
    match std::env::var(WAY).as_deref() {
        Ok(LIBRARY) => measure(LIBRARY, "Touchmark TEST element"),
        Ok(_) => beside_a_daemon(),
        Err(_) => {
            let arguments: Vec<_> = std::env::args_os().skip(1).collect();
            let own = std::env::current_exe().expect("this program");
            // The loader and the library look at the environment of the process.
            let folder = LibraryFolder::of(&own.with_file_name("libpcsclite.so"));
            let state = tempfile::tempdir().expect("a folder");
            drop(element(state.path()));
            let mut through_library = Command::new(&own);
            through_library
                .env("LD_LIBRARY_PATH", folder.path())
                .env("TOUCHMARK_ELEMENT_STATE", state.path());
            run(through_library.args(&arguments).env(WAY, LIBRARY));
            if let Some(mut through_daemon) = in_a_system_of_its_own(&own) {
                run(through_daemon.args(&arguments).env(WAY, DAEMON));
            }
        }
    }
}

fn run(command: &mut Command) {
    let ended = command.status().expect("a child process");
    assert!(ended.success(), "{command:?} ended with {ended}");
}

fn element(state: &Path) -> Element {
    Element::create(state, Timestamp::from_micros(1_795_132_800_000_000)).expect("an element")
}

fn beside_a_daemon() {
    let mut daemon =
        Command::new("pcscd").arg("-f").stdout(Stdio::null()).spawn().expect("pcscd, which was found");
    let state = tempfile::tempdir().expect("a folder");
    let served = Arc::new(Served::new(element(state.path())));
    let stop = Arc::new(AtomicBool::new(false));
    let card = thread::spawn({
        let (served, stop) = (Arc::clone(&served), Arc::clone(&stop));
        move || vpcd::serve(VPCD, &served, &stop)
    });
    measure(DAEMON, READER);
    stop.store(true, Ordering::Relaxed);
    card.join().expect("the card's thread").expect("a card that kept its power");
    daemon.kill().and_then(|()| daemon.wait()).expect("the daemon's end");
}

fn measure(way: &str, reader: &str) {
    let mut criterion = Criterion::default().configure_from_args();
    let select = Apdu { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
    let select = select.encode().expect("a short command");
    let version = Instruction::GetVersion.command(Vec::new()).encode().expect("a short command");
    let mut transport = PcscTransport::new(reader);
    // The daemon takes a moment until it has found the card.
    let selected = (0..100).find_map(|_| {
        let answer = transport.transmit(&select).ok();
        if answer.is_none() {
            thread::sleep(Duration::from_millis(100));
        }
        answer
    });
    assert!(selected.expect("a card in the reader").ends_with(&[0x90, 0x00]), "SELECT failed");

    let mut group = criterion.benchmark_group("PC/SC");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("{way}: APDU round trip, GetVersion"), |bencher| {
        bencher.iter(|| {
            let answer = transport.transmit(&version).expect("an answer");
            assert!(answer.ends_with(&[0x90, 0x00]), "GetVersion failed");
        });
    });
    drop(transport);

    let keys = ChannelKeyFile::right();
    for (name, query) in [("signature", String::new()), ("signature inside SCP03", keys.query())] {
        let uri: StoreUri =
            format!("element:pcsc:{}{query}", reader.replace(' ', "%20")).parse().expect("an address");
        let mut store = uri.open(Secret::None).expect("an element in the reader");
        let key = KeyName::new("identity").expect("a name");
        if store.public_key(&key).is_err() {
            store.generate(&key).expect("a new key");
        }
        group.bench_function(format!("{way}: {name}"), |bencher| {
            bencher.iter(|| store.sign_digest(&key, &[7; 32]).expect("a signature"));
        });
    }
    group.finish();
    criterion.final_summary();
}
