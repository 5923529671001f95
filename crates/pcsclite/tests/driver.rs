//! This project's own driver over PC/SC, through this library and through the system's with `pcscd` and vpcd; there,
//! OpenSC and a client in C, too.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use touchmark_element::{ATR, Element, Served, vpcd};
use touchmark_keystore::conformance;
use touchmark_keystore::uri::{Secret, StoreUri};
use touchmark_testkit::element::ChannelKeyFile;
use touchmark_testkit::pcsc::{LibraryFolder, compile, in_a_system_of_its_own, opensc_module};
use touchmark_testkit::process::{run, wait_for};

/// Names the store of the tests below that run in a process of their own.
const STORE: &str = "TOUCHMARK_TEST_STORE";
/// The client in C, where it is compiled.
const CLIENT: &str = "TOUCHMARK_TEST_CLIENT";
/// The one reader of this library.
const OWN_READER: &str = "element:pcsc:Touchmark%20TEST%20element";
/// Where vpcd listens, and what its reader is called.
const VPCD: &str = "127.0.0.1:35963";
const READER: &str = "Virtual PCD 00 00";

fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libpcsclite.so")
}

fn element(dir: &Path) -> Element {
    Element::create(dir, "2026-11-20T00:00:00Z".parse().unwrap()).unwrap()
}

/// The loader and the library look at the environment of the process, so a test runs in one of its own.
fn alone(test: &str, store: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(STORE, store);
    command
}

fn passes(command: &mut Command) {
    let passed = run(command, &[]).must_end_with(0).text();
    assert!(passed.contains("1 passed"), "{passed}");
}

fn named_store() -> StoreUri {
    std::env::var(STORE).unwrap().parse().unwrap()
}

#[test]
#[ignore = "runs in a process of its own, started by the other tests"]
fn the_suite_over_the_named_store() {
    let store = named_store();
    conformance::run(&mut || store.open(Secret::None).unwrap());
}

#[test]
#[ignore = "runs in a process of its own, started by the other tests"]
fn the_named_store_opens_no_channel() {
    let refused = named_store().open(Secret::None).err().unwrap();
    assert_eq!(refused.code(), "KS-0020", "{refused}");
    assert!(refused.to_string().contains("card cryptogram is wrong"), "{refused}");
}

#[test]
fn through_this_library_the_store_keeps_its_promises() {
    let folder = LibraryFolder::of(&library());
    let (right, wrong) = (ChannelKeyFile::right(), ChannelKeyFile::wrong());
    for (test, query) in [
        ("the_suite_over_the_named_store", String::new()),
        ("the_suite_over_the_named_store", right.query()),
        ("the_named_store_opens_no_channel", wrong.query()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        drop(element(dir.path()));
        let mut command = alone(test, &format!("{OWN_READER}{query}"));
        command.env("LD_LIBRARY_PATH", folder.path()).env("TOUCHMARK_ELEMENT_STATE", dir.path());
        passes(&mut command);
    }
}

#[test]
fn through_pcscd_and_vpcd_the_store_keeps_its_promises() {
    let Some(mut command) = in_a_system_of_its_own(&std::env::current_exe().unwrap()) else { return };
    // Against the system's library: the folder is only where the compiler finds one, and is not the loader's.
    let folder = LibraryFolder::of(&library());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client.c");
    let Some(client) = compile(&source, &folder) else { return };
    command.args(["--exact", "beside_a_pcscd_of_its_own", "--ignored", "--nocapture"]).env(CLIENT, client);
    command.env_remove("LD_LIBRARY_PATH");
    passes(&mut command);
}

/// The daemon, which ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
#[ignore = "runs in a system of its own, started by the test above"]
fn beside_a_pcscd_of_its_own() {
    let _daemon = Daemon(Command::new("pcscd").arg("-f").stdout(Stdio::null()).spawn().unwrap());
    let with_a_card = |test: fn(&str)| {
        let dir = tempfile::tempdir().unwrap();
        let (served, stop) = (Served::new(element(dir.path())), AtomicBool::new(false));
        thread::scope(|scope| {
            let card = scope.spawn(|| vpcd::serve(VPCD, &served, &stop));
            let outcome = catch_unwind(|| {
                let reader = format!("element:pcsc:{}", READER.replace(' ', "%20"));
                let plain: StoreUri = reader.parse().unwrap();
                // The daemon looks for cards a few times a second; the one before may still stand in its books.
                wait_for("a card in the virtual reader", || plain.open(Secret::None).ok().map(drop));
                test(&reader);
            });
            stop.store(true, Ordering::Relaxed);
            card.join().unwrap().unwrap();
            outcome.unwrap();
        });
    };
    with_a_card(foreign_programs);
    with_a_card(|reader| passes(&mut alone("the_suite_over_the_named_store", reader)));
    with_a_card(|reader| {
        let (right, wrong) = (ChannelKeyFile::right(), ChannelKeyFile::wrong());
        let wrong = format!("{reader}{}", wrong.query());
        passes(&mut alone("the_named_store_opens_no_channel", &wrong));
        passes(&mut alone("the_suite_over_the_named_store", &format!("{reader}{}", right.query())));
    });
}

fn foreign_programs(_reader: &str) {
    let opensc = |arguments: &[&str]| run(Command::new("opensc-tool").args(arguments), &[]);
    let listed = opensc(&["-l"]).must_end_with(0).text();
    assert!(listed.lines().any(|line| line.starts_with("0    Yes") && line.ends_with(READER)), "{listed}");
    let atr = opensc(&["-c", "default", "-a"]).must_end_with(0).text();
    assert_eq!(atr.trim().replace(':', ""), hex::encode(ATR));
    let select = "00A4040010A000000396545300000001030000000000";
    let answers = opensc(&["-c", "default", "-s", select, "-s", "8004002000"]).must_end_with(0).text();
    assert_eq!(answers.matches("Received (SW1=0x90, SW2=0x00)").count(), 2, "{answers}");

    let Some(module) = opensc_module() else { return };
    let slots = run(Command::new("pkcs11-tool").arg("--module").arg(module).arg("-L"), &[]);
    let slots = slots.must_end_with(0).text();
    assert!(slots.contains(READER) && slots.contains("token not recognized"), "{slots}");

    let client = std::env::var_os(CLIENT).unwrap();
    let connected = run(Command::new(&client).arg("connect"), &[]).must_end_with(0).text();
    assert_eq!(connected.trim(), "00000000 Command successful.");
    let rate = run(Command::new(&client).args(["rate", "2000"]), &[]).must_end_with(0).text();
    // Some 20 where the second of vpcd's two writes waits for the acknowledgement of the first; the rate as such is a
    // benchmark's matter.
    let each_second: u32 = rate.split(' ').next().unwrap().parse().unwrap();
    assert!(each_second > 200, "{rate}");
}
