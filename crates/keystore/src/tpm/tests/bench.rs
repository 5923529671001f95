//! The conformance suite over swtpm, and whoever sits on the line to it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::super::measured::{Measured, Sealed, Terms};
use super::bus::{Bus, Hook, Passing, message};
use super::*;
use crate::conformance::{
    self, Bench, Case, Exhaustion, PowerCut, Seen, WhichCounter, WrongKey, WrongSession,
};
use crate::store::{Counters, Objects};

/// `TPM_ST_SESSIONS` (part 2, §6.9).
const WITH_SESSIONS: [u8; 2] = [0x80, 0x02];
/// Handles of the first HMAC sessions that a TPM gives.
const FIRST_SESSIONS: [u32; 3] = [0x0200_0000, 0x0200_0001, 0x0200_0002];

/// A TPM behind a line that the test holds.
struct TpmBench {
    swtpm: Arc<Mutex<Swtpm>>,
    bus: Bus,
    /// Another TPM, for the same address.
    other: Swtpm,
    sealed: Sealed,
}

impl TpmBench {
    fn start() -> Option<Self> {
        let (swtpm, other) = (Swtpm::start(EkKind::P384)?, Swtpm::start(EkKind::P384)?);
        let bus = Bus::between(&swtpm.address);
        let terms = Terms { auth_value: b"the right value", ..Terms::default() };
        let sealed = TpmStore::open(&swtpm.address).unwrap().seal(b"a secret", &terms).unwrap();
        Some(Self { swtpm: Arc::new(Mutex::new(swtpm)), bus, other, sealed })
    }

    /// From now on, this is done to what passes.
    fn hooks(&self, hook: impl Fn() -> Option<Hook> + 'static) -> Box<dyn FnMut()> {
        let place = Arc::clone(&self.bus.hook);
        Box::new(move || *place.lock().unwrap() = hook())
    }

    fn leads_to(&self, address: &str) -> Box<dyn FnMut()> {
        let (tpm, address) = (Arc::clone(&self.bus.tpm), address.to_owned());
        Box::new(move || tpm.lock().unwrap().clone_from(&address))
    }
}

/// Signs with the key that the suite has made for the case of wrong keys.
fn signs(store: &mut TpmStore) -> Result<(), StoreError> {
    store.sign_digest(&key("conf-wrong-key"), &[7; 32]).map(drop)
}

/// Before each command in a session, another client of the TPM flushes every session.
fn flush_sessions(passing: Passing<'_>) -> Option<()> {
    let Passing::Command(command, tpm) = passing else { return Some(()) };
    let in_session = FIRST_SESSIONS.iter().any(|session| {
        let authorisations = command.get(10..).unwrap_or_default();
        authorisations.windows(4).step_by(4).any(|window| window == session.to_be_bytes())
    });
    if command.starts_with(&WITH_SESSIONS) && in_session {
        for session in FIRST_SESSIONS {
            let header = [0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x65];
            tpm.write_all(&[&header[..], &session.to_be_bytes()].concat()).ok()?;
            // That there is no such session is as good.
            message(tpm)?;
        }
    }
    Some(())
}

impl Bench for TpmBench {
    fn open(&mut self) -> Box<dyn KeyStore> {
        Box::new(TpmStore::open(&self.bus.address).unwrap())
    }

    fn wrong_keys(&mut self) -> Case<WrongKey> {
        let (sealed, address) = (self.sealed.clone(), self.bus.address.clone());
        let value = WrongKey {
            what: "another value than the one under which a secret is sealed",
            code: "KS-0010",
            attempt: Box::new(move || {
                TpmStore::open(&address)?.unseal(&sealed, b"another value", None).map(drop)
            }),
        };
        let (swtpm, address) = (Arc::clone(&self.swtpm), self.bus.address.clone());
        let owner = WrongKey {
            what: "no value, where the owner has set one",
            code: "KS-0005",
            attempt: Box::new(move || {
                let swtpm = swtpm.lock().unwrap();
                let _set = tpm2_tool(&swtpm, "tpm2_changeauth", &["-c", "o", "owned"]);
                let refused = signs(&mut TpmStore::open(&address)?);
                let _cleared = tpm2_tool(&swtpm, "tpm2_changeauth", &["-c", "o", "-p", "owned"]);
                refused
            }),
        };
        let pinned = format!("{}?salt-key=000b{}", self.bus.address, "5a".repeat(32));
        let salt = WrongKey {
            what: "another salt key than the one that is pinned",
            code: "KS-0014",
            attempt: Box::new(move || signs(&mut TpmStore::open(&pinned)?)),
        };
        Case::Present(vec![value, owner, salt])
    }

    fn wrong_sessions(&mut self) -> Case<WrongSession> {
        let swtpm = Arc::clone(&self.swtpm);
        let tpm = Arc::clone(&self.bus.tpm);
        let reset = WrongSession {
            what: "the TPM is reset",
            bring: Box::new(move || {
                let mut swtpm = swtpm.lock().unwrap();
                swtpm.kill_and_restart();
                tpm.lock().unwrap().clone_from(&swtpm.address);
            }),
            end: Box::new(|| {}),
            // Each operation has a session of its own.
            sign: Seen::Done,
            generate: Seen::Done,
            count: Seen::Done,
        };
        let flushed = WrongSession {
            what: "another client flushes the session before it is used",
            bring: self.hooks(|| Some(Box::new(flush_sessions))),
            end: self.hooks(|| None),
            sign: Seen::Refused("KS-0005"),
            generate: Seen::Refused("KS-0005"),
            count: Seen::Refused("KS-0005"),
        };
        let back = self.bus.tpm.lock().unwrap().clone();
        let another = WrongSession {
            what: "another TPM answers at the address",
            bring: self.leads_to(&self.other.address),
            end: self.leads_to(&back),
            // It says that it has no such key before anybody asks who it is.
            sign: Seen::Refused("KS-0001"),
            generate: Seen::Refused("KS-0014"),
            count: Seen::Refused("KS-0014"),
        };
        Case::Present(vec![flushed, another, reset])
    }

    /// A counter of a TPM has 64 bits and no command sets it; what ends is the memory for further counters.
    fn exhaustions(&mut self) -> Case<Exhaustion> {
        let (filled, address) = (Arc::new(Mutex::new(Vec::new())), self.bus.address.clone());
        let (fill, opened) = (Arc::clone(&filled), address.clone());
        Case::Present(vec![Exhaustion {
            what: "no memory for a further counter",
            which: WhichCounter::Further,
            left: 0,
            bring: Box::new(move |_| {
                let mut store = TpmStore::open(&opened).unwrap();
                let mut places = fill.lock().unwrap();
                for size in [Some(1_900), Some(300), Some(20), None] {
                    loop {
                        let name = format!("fill-{}", places.len());
                        let (kind, full) = match size {
                            Some(size) => (Kind::Object, store.write_object(&key(&name), &vec![7; size])),
                            None => (Kind::Counter, store.increment_counter(&counter(&name)).map(drop)),
                        };
                        match full {
                            Ok(()) => places.push(Place::of(kind, &name)),
                            Err(StoreError::Exhausted { .. }) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            }),
            end: Box::new(move || {
                let address = Address::parse(&address).unwrap();
                for place in filled.lock().unwrap().drain(..) {
                    let mut tpm = Connection::open(&address, &PinnedSaltKey::default()).unwrap();
                    tpm.nv_undefine(place.handle).unwrap();
                }
            }),
        }])
    }

    fn power_cuts(&mut self) -> Case<Box<dyn PowerCut>> {
        let cut = |answered| -> Box<dyn PowerCut> {
            Box::new(Kill {
                answered,
                swtpm: Arc::clone(&self.swtpm),
                tpm: Arc::clone(&self.bus.tpm),
                hook: Arc::clone(&self.bus.hook),
                struck: Arc::default(),
            })
        };
        Case::Present(vec![cut(false), cut(true)])
    }
}

/// `kill -9` of the TPM at a command, of whose state nothing but the files is left.
struct Kill {
    /// When the answer is there; otherwise as soon as the command is sent, while the TPM works on it.
    answered: bool,
    swtpm: Arc<Mutex<Swtpm>>,
    tpm: Arc<Mutex<String>>,
    hook: Arc<Mutex<Option<Hook>>>,
    struck: Arc<Mutex<bool>>,
}

impl PowerCut for Kill {
    fn what(&self) -> String {
        if self.answered { "killed before the answer leaves" } else { "killed in the middle of a command" }
            .to_owned()
    }

    fn arm(&mut self, nth: u64) {
        let (mut left, answered) = (nth, self.answered);
        let (swtpm, struck) = (Arc::clone(&self.swtpm), Arc::clone(&self.struck));
        *self.hook.lock().unwrap() = Some(Box::new(move |passing| {
            match (passing, answered) {
                (Passing::Sent, false) | (Passing::Answered, true) => left -= 1,
                _ => return Some(()),
            }
            if left > 0 {
                return Some(());
            }
            swtpm.lock().unwrap().kill();
            *struck.lock().unwrap() = true;
            None
        }));
    }

    fn restore(&mut self) -> bool {
        *self.hook.lock().unwrap() = None;
        let struck = std::mem::take(&mut *self.struck.lock().unwrap());
        if struck {
            let mut swtpm = self.swtpm.lock().unwrap();
            swtpm.start_again();
            self.tpm.lock().unwrap().clone_from(&swtpm.address);
        }
        struck
    }
}

#[test]
fn the_store_keeps_the_promises_of_the_traits() {
    let Some(mut bench) = TpmBench::start() else { return };
    conformance::run(&mut bench, &[]);
}
