//! The conformance suite over tokens of SoftHSM and of kryoptic.
//!
//! Both read their configuration from the environment when their module is loaded, so the suite runs in a process of its
//! own: this test binary again, with the variable set.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use touchmark_testkit::kryoptic;
use touchmark_testkit::process::{run, run_within};
use touchmark_testkit::softhsm;
use touchmark_testkit::token::{SO_PIN, Token};

use super::*;
use crate::conformance::{
    self, Act, Adverse, Bench, Case, Exhaustion, PowerCut, Seen, WrongKey, WrongSession,
};
use crate::uri::{Secret, StoreUri};

const URI: &str = "TOUCHMARK_TEST_TOKEN";
/// How long the suite may take, with a program of its own for each power cut.
const PATIENCE: Duration = Duration::from_secs(300);
/// The directory in which the token lies.
const FOLDER: &str = "TOUCHMARK_TEST_TOKEN_FOLDER";
/// What one program does that ends in the middle of it: number of the act, round, and room in bytes.
const ACT: &str = "TOUCHMARK_TEST_ACT";

#[test]
fn a_token_keeps_the_promises() {
    let Some(token) = softhsm::create("conformance") else { return };
    let environment =
        [("SOFTHSM2_CONF", token.configuration().display().to_string()), (FOLDER, folder(&token))];
    apart("tests::in_a_process_of_its_own", &environment, &token.uri(&token.pin_file()));
}

/// kryoptic derives the keys of SCP03 inside, which SoftHSM does not.
#[test]
fn a_token_of_another_maker_keeps_them_too() {
    for suite in ["tests::in_a_process_of_its_own", "probe::tests::any_token_by_its_address"] {
        let Some(token) = kryoptic::prepare("conformance") else { return };
        let environment = [
            ("KRYOPTIC_CONF", token.configuration().display().to_string()),
            ("TOUCHMARK_TEST_TOKEN_SCP03", "in-token".to_owned()),
            (FOLDER, folder(&token)),
        ];
        apart("tests::makes_a_token", &environment, &token.module.display().to_string());
        apart(suite, &environment, &token.uri(&token.pin_file()));
    }
}

fn folder(token: &Token) -> String {
    token.folder().display().to_string()
}

/// Runs one of the tests of this module in a process of its own.
fn apart(test: &str, environment: &[(&str, String)], token: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", &format!("pkcs11::{test}"), "--nocapture"]);
    command.envs(environment.iter().map(|(name, value)| (name, value))).env(URI, token);
    let finished = run_within(&mut command, &[], PATIENCE).unwrap().must_end_with(0);
    assert!(finished.text().contains("1 passed"), "{}", finished.all());
}

#[test]
#[ignore = "run by a_token_of_another_maker_keeps_them_too, which sets its environment"]
fn makes_a_token() {
    kryoptic::make(Path::new(&std::env::var(URI).unwrap()), "conformance");
}

/// What the suite does to a token.
struct TokenBench {
    /// The token's address, with the file of its PIN.
    address: String,
    /// Where the module keeps the token.
    folder: PathBuf,
}

impl TokenBench {
    fn uri(&self) -> StoreUri {
        self.address.parse().unwrap()
    }

    /// A session beside the store's, in the same program.
    fn beside(&self) -> impl Fn() -> Session + use<> {
        let StoreUri::Pkcs11 { module, token, .. } = self.uri() else { panic!("no token: {}", self.address) };
        move || {
            let context = load(&module).unwrap();
            let mut slots = context.get_slots_with_token().unwrap().into_iter();
            let slot = slots.find(|slot| context.get_token_info(*slot).unwrap().label() == token).unwrap();
            context.open_rw_session(slot).unwrap()
        }
    }
}

impl Bench for TokenBench {
    fn open(&mut self) -> Box<dyn KeyStore> {
        self.uri().open(Secret::None).unwrap()
    }

    fn wrong_keys(&mut self) -> Case<WrongKey> {
        let with = |what, pin: &'static [u8]| {
            let uri = self.uri();
            let attempt = Box::new(move || uri.open(Secret::Bytes(pin.to_vec().into())).map(drop));
            WrongKey { what, code: "KS-0010", attempt }
        };
        Case::Present(vec![
            with("another PIN", b"4321-test"),
            with("an empty PIN", b""),
            with("a PIN that is no text", b"\xff"),
        ])
    }

    fn wrong_sessions(&mut self) -> Case<WrongSession> {
        let officer = Rc::new(RefCell::new(None));
        let (logs_out, logs_in, left) = (self.beside(), self.beside(), Rc::clone(&officer));
        let refused = Seen::Refused("KS-0005");
        let session = |what, bring: Box<dyn FnMut()>, end: Box<dyn FnMut()>| WrongSession {
            what,
            bring,
            end,
            sign: refused,
            generate: refused,
            count: refused,
        };
        Case::Present(vec![
            session(
                "another part of the program logs out",
                Box::new(move || logs_out().logout().unwrap()),
                Box::new(|| {}),
            ),
            session(
                "the security officer logs in instead",
                Box::new(move || {
                    let session = logs_in();
                    session.logout().unwrap();
                    session.login(UserType::So, Some(&AuthPin::from(SO_PIN))).unwrap();
                    *officer.borrow_mut() = Some(session);
                }),
                Box::new(move || left.borrow_mut().take().unwrap().logout().unwrap()),
            ),
        ])
    }

    fn exhaustions(&mut self) -> Case<Exhaustion> {
        Case::Absent("tokens have no counters that all of them share")
    }

    fn power_cuts(&mut self) -> Case<Box<dyn PowerCut>> {
        let cut = ShortOfRoom {
            address: self.address.clone(),
            folder: self.folder.clone(),
            room: 0,
            struck: false,
        };
        Case::Present(vec![Box::new(cut)])
    }
}

/// The program with the token ends in the middle of a write: it may write so many bytes of a file and no more
/// (`RLIMIT_FSIZE`; the signal ends it without a chance to say anything).
struct ShortOfRoom {
    address: String,
    folder: PathBuf,
    room: u64,
    struck: bool,
}

impl ShortOfRoom {
    /// The size of the token's largest file, in bytes: a database whose pages are written in place is cut at some 30 of
    /// them, a small file at every 64 bytes.
    fn largest(&self) -> u64 {
        let mut folders = vec![self.folder.clone()];
        let mut largest = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let about = entry.metadata().unwrap();
                if about.is_dir() {
                    folders.push(entry.path());
                } else {
                    largest = largest.max(about.len());
                }
            }
        }
        largest
    }
}

impl PowerCut for ShortOfRoom {
    fn what(&self) -> String {
        format!("the program may write {} bytes of a file", self.room)
    }

    fn arm(&mut self, nth: u64) {
        self.room = (nth - 1) * (self.largest() / 30).max(64);
    }

    fn carry_out(&mut self, store: Box<dyn KeyStore>, act: Act, round: u64) -> Result<(), StoreError> {
        drop(store);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "pkcs11::tests::carries_an_act_out", "--nocapture"]);
        let act = Act::ALL.iter().position(|each| *each == act).unwrap();
        command.env(URI, &self.address).env(ACT, format!("{act} {round} {}", self.room));
        let ended = run(&mut command, &[]);
        self.struck = ended.code != Some(0);
        if !self.struck {
            assert!(ended.text().contains("1 passed"), "{}", ended.all());
            return Ok(());
        }
        let source = std::io::Error::other(format!("it ended with {:?}: {}", ended.code, ended.all()));
        Err(StoreError::Unreachable { address: self.address.clone(), source })
    }

    fn restore(&mut self) -> bool {
        self.struck
    }
}

#[test]
#[ignore = "run by the suite, which sets its environment and ends it"]
fn carries_an_act_out() {
    let uri: StoreUri = std::env::var(URI).unwrap().parse().unwrap();
    let what = std::env::var(ACT).unwrap();
    let [act, round, room] = what.split(' ').collect::<Vec<_>>()[..] else { panic!("{what}") };
    let act = Act::ALL[act.parse::<usize>().unwrap()];
    // SoftHSM writes its token's own file in place at each login: a cut there costs the token, whatever a store does.
    let mut store = uri.open(Secret::None).unwrap();
    let mut limit = Command::new("prlimit");
    limit.args(["--pid", &std::process::id().to_string(), &format!("--fsize={room}")]);
    assert!(limit.status().unwrap().success());
    act.perform(store.as_mut(), round.parse().unwrap()).unwrap();
}

#[test]
#[ignore = "run by the tests above, which set its environment"]
fn in_a_process_of_its_own() {
    let text = std::env::var(URI).unwrap();
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    conformance::run(&mut TokenBench { address: text.clone(), folder }, &[Adverse::ExhaustedCounter]);

    let missing: StoreUri = text.replace("token=conformance", "token=elsewhere").parse().unwrap();
    let refused = missing.open(Secret::None).err().unwrap();
    assert!(matches!(refused, StoreError::NotFound { what: "token", .. }), "{refused:?}");
    let (address, _) = text.split_once("&pin-source").unwrap();
    let nowhere: StoreUri = format!("{address}&pin-source=file:/nowhere/pin").parse().unwrap();
    assert!(matches!(nowhere.open(Secret::None).err().unwrap(), StoreError::File { .. }));
}
