//! This project's own driver over PC/SC, through this library and through the system's with `pcscd` and vpcd; there,
//! OpenSC and a client in C, too.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use touchmark_element::{ATR, Effect, Element, Fault, Point, Served, Trigger, vpcd};
use touchmark_keystore::conformance::element::{ElementBench, Keys, Way};
use touchmark_keystore::conformance::{self, Adverse};
use touchmark_keystore::element::{PcscTransport, Transport};
use touchmark_keystore::uri::{Secret, StoreUri};
use touchmark_keystore::{KeyStore, StoreError};
use touchmark_testkit::element::ChannelKeyFile;
use touchmark_testkit::pcsc::{LibraryFolder, compile, in_a_system_of_its_own, opensc_module};
use touchmark_testkit::process::{run, run_within, wait_for};

/// Names the reader of the test below that runs in a process of its own.
const READER_NAME: &str = "TOUCHMARK_TEST_READER";
/// Whether it runs inside a secure channel: `yes` or `no`.
const SECURED: &str = "TOUCHMARK_TEST_SECURED";
/// The state directory of the element in the reader.
const STATE: &str = "TOUCHMARK_ELEMENT_STATE";
/// The client in C, where it is compiled.
const CLIENT: &str = "TOUCHMARK_TEST_CLIENT";
/// The one reader of this library.
const OWN_READER: &str = "Touchmark TEST element";
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
fn suite(reader: &str, secured: bool, state: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_suite_over_the_named_reader", "--ignored", "--nocapture"]);
    command.env(READER_NAME, reader).env(SECURED, if secured { "yes" } else { "no" }).env(STATE, state);
    command
}

fn passes(command: &mut Command) {
    let passed = run_within(command, &[], Duration::from_secs(300)).unwrap().must_end_with(0).text();
    assert!(passed.contains("1 passed"), "{passed}");
}

/// An element in a reader, which the driver has for itself.
struct InReader {
    reader: String,
    state: PathBuf,
    right: ChannelKeyFile,
    wrong: ChannelKeyFile,
}

impl InReader {
    /// Whether the reader is that of the library, which gives the element power whenever somebody connects.
    fn is_own(&self) -> bool {
        self.reader == OWN_READER
    }
}

impl Way for InReader {
    fn state(&self) -> PathBuf {
        self.state.clone()
    }

    fn open(&mut self, keys: Keys) -> Result<Box<dyn KeyStore>, StoreError> {
        let query = match keys {
            Keys::None => String::new(),
            Keys::Right => self.right.query(),
            Keys::Wrong => self.wrong.query(),
            Keys::WrongVersion => self.right.query().replace("kvn=0B", "kvn=0C"),
        };
        let uri = format!("element:pcsc:{}{query}", self.reader.replace(' ', "%20"));
        uri.parse::<StoreUri>().unwrap().open(Secret::None)
    }

    fn client(&mut self) -> Box<dyn Transport + Send> {
        Box::new(PcscTransport::new(&self.reader))
    }

    fn shares_session(&self) -> bool {
        false
    }

    fn power_on(&mut self) {
        // Whoever connects gives it power.
    }

    fn power_cycle(&mut self) {
        Fault { when: Trigger::Next, what: Effect::PowerCut(Point::BeforeApdu) }.arm(&self.state).unwrap();
    }

    fn breaks_with_power(&self) -> bool {
        true
    }

    fn needs_power(&self) -> Option<&'static str> {
        (!self.is_own())
            .then_some("a card that left vpcd in the middle of an exchange did not come back to pcscd")
    }
}

#[test]
#[ignore = "runs in a process of its own, started by the other tests"]
fn the_suite_over_the_named_reader() {
    let state = PathBuf::from(std::env::var_os(STATE).unwrap());
    let reader = std::env::var(READER_NAME).unwrap();
    let secured = std::env::var(SECURED).unwrap() == "yes";
    let way = InReader { reader, state, right: ChannelKeyFile::right(), wrong: ChannelKeyFile::wrong() };
    let mut absent = Vec::new();
    if !secured {
        absent.push(Adverse::WrongKey);
    }
    if !way.is_own() {
        absent.extend([Adverse::WrongSession, Adverse::PowerCut]);
    }
    conformance::run(&mut ElementBench::new(way, secured), &absent);
}

#[test]
fn through_this_library_the_store_keeps_its_promises() {
    let folder = LibraryFolder::of(&library());
    for secured in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        drop(element(dir.path()));
        passes(suite(OWN_READER, secured, dir.path()).env("LD_LIBRARY_PATH", folder.path()));
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
    let with_a_card = |test: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        let (served, stop) = (Served::new(element(dir.path())), AtomicBool::new(false));
        thread::scope(|scope| {
            let card = scope.spawn(|| vpcd::serve(VPCD, &served, &stop));
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let plain: StoreUri = format!("element:pcsc:{}", READER.replace(' ', "%20")).parse().unwrap();
                // The daemon looks for cards a few times a second; the one before may still stand in its books.
                wait_for("a card in the virtual reader", || plain.open(Secret::None).ok().map(drop));
                test(dir.path());
            }));
            stop.store(true, Ordering::Relaxed);
            card.join().unwrap().unwrap();
            outcome.unwrap();
        });
    };
    with_a_card(&|_state| foreign_programs());
    for secured in [false, true] {
        with_a_card(&|state| passes(&mut suite(READER, secured, state)));
    }
}

fn foreign_programs() {
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
