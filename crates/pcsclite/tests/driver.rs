//! This project's own driver over PC/SC, through this library and through the system's with `pcscd` and vpcd.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use touchmark_element::{ATR, Element, Served, vpcd};
use touchmark_keystore::conformance;
use touchmark_keystore::uri::{ElementLink, Secret, StoreUri};
use touchmark_testkit::pcsc::{LibraryFolder, in_a_system_of_its_own};
use touchmark_testkit::process::{run, wait_for};

/// Names the store of the tests below that run in a process of their own.
const STORE: &str = "TOUCHMARK_TEST_STORE";
/// Where vpcd listens, and what its reader is called.
const VPCD: &str = "127.0.0.1:35963";
const READER: &str = "Virtual PCD 00 00";

fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libpcsclite.so")
}

fn element(dir: &Path) -> Element {
    Element::create(dir, "2026-11-20T00:00:00Z".parse().unwrap()).unwrap()
}

/// The loader and the library look at the environment of the process, so the suite runs in one of its own.
fn suite(store: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_suite_over_the_named_store", "--ignored", "--nocapture"]).env(STORE, store);
    command
}

#[test]
#[ignore = "runs in a process of its own, started by the other tests"]
fn the_suite_over_the_named_store() {
    let store: StoreUri = std::env::var(STORE).unwrap().parse().unwrap();
    conformance::run(&mut || store.open(Secret::None).unwrap());
}

#[test]
fn conformance_through_this_library() {
    let (folder, dir) = (LibraryFolder::of(&library()), tempfile::tempdir().unwrap());
    drop(element(dir.path()));
    let mut command = suite("element:pcsc:Touchmark%20TEST%20element");
    command.env("LD_LIBRARY_PATH", folder.path()).env("TOUCHMARK_ELEMENT_STATE", dir.path());
    let passed = run(&mut command, &[]).must_end_with(0).text();
    assert!(passed.contains("1 passed"), "{passed}");
}

#[test]
fn conformance_through_pcscd_and_vpcd() {
    let Some(mut command) = in_a_system_of_its_own(&std::env::current_exe().unwrap()) else { return };
    command.args(["--exact", "beside_a_pcscd_of_its_own", "--ignored", "--nocapture"]);
    let passed = run(&mut command, &[]).must_end_with(0).text();
    assert!(passed.contains("1 passed"), "{passed}");
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
    let dir = tempfile::tempdir().unwrap();
    let served = Served::new(element(dir.path()));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let card = scope.spawn(|| vpcd::serve(VPCD, &served, &stop));
        let outcome = catch_unwind(through_the_daemon);
        stop.store(true, Ordering::Relaxed);
        card.join().unwrap().unwrap();
        outcome.unwrap();
    });
}

fn through_the_daemon() {
    let opensc = |arguments: &[&str]| run(Command::new("opensc-tool").args(arguments), &[]);
    wait_for("a card in the virtual reader", || {
        let listed = opensc(&["-l"]).text();
        listed.lines().any(|line| line.starts_with("0    Yes") && line.ends_with(READER)).then_some(())
    });
    let atr = opensc(&["-c", "default", "-a"]).must_end_with(0).text();
    assert_eq!(atr.replace(':', ""), hex::encode(ATR));
    let select = "00A4040010A000000396545300000001030000000000";
    let answers = opensc(&["-c", "default", "-s", select, "-s", "8004002000"]).must_end_with(0).text();
    assert_eq!(answers.matches("Received (SW1=0x90, SW2=0x00)").count(), 2, "{answers}");

    let store = StoreUri::Element { link: ElementLink::Pcsc(READER.to_owned()), scp03: None };
    conformance::run(&mut || store.open(Secret::None).unwrap());
}
