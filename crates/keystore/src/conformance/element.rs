//! The adverse cases of a virtual element, whichever way it is reached: its faults are armed by lines in the file `fault`
//! of its state directory.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use touchmark_identity::apdu::se05x::{AID, Instruction, TAG_1, TAG_3};
use touchmark_identity::apdu::{Command, Response, StatusWord, tlv};

use super::{Bench, Case, Exhaustion, PowerCut, Seen, WhichCounter, WrongKey, WrongSession};
use crate::element::{Transport, counter_id};
use crate::store::{KeyStore, StoreError};

/// The AID of the card manager (GlobalPlatform Card Specification 2.3.1, §7.3).
const CARD_MANAGER: [u8; 8] = [0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00];

/// What a store is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// No secure channel.
    None,
    /// The keys of the element.
    Right,
    /// Others under the same version.
    Wrong,
    /// The keys of the element, under a version that it has not.
    WrongVersion,
}

/// A way to an element, and power over it.
pub trait Way {
    /// The state directory of the element.
    fn state(&self) -> PathBuf;

    /// Opens the store.
    ///
    /// # Errors
    /// What the driver says.
    fn open(&mut self, keys: Keys) -> Result<Box<dyn KeyStore>, StoreError>;

    /// Another client of the element, without a secure channel.
    fn client(&mut self) -> Box<dyn Transport + Send>;

    /// Whether that client is in the session of a store that is open.
    fn shares_session(&self) -> bool;

    /// Gives the element its power back; one that has power loses it for a moment.
    fn power_on(&mut self);

    /// The element loses its power for a moment while a store is open.
    fn power_cycle(&mut self) {
        self.power_on();
    }

    /// Whether the connection of a store that is open breaks when the element loses its power for a moment.
    fn breaks_with_power(&self) -> bool;

    /// Why the element cannot be without power while a test runs, where that is so.
    fn needs_power(&self) -> Option<&'static str> {
        None
    }
}

/// Where the power fails: a trigger and an effect of the file `fault`.
const POINTS: [(&str, &str); 5] = [
    ("apdu", "power-cut-before-apdu"),
    ("write", "power-cut-between-writes"),
    ("write", "power-cut-in-write"),
    ("write", "power-cut-after-write"),
    ("apdu", "power-cut-before-answer"),
];

/// A bench for an element.
#[derive(Debug)]
pub struct ElementBench<W> {
    way: Rc<RefCell<W>>,
    keys: Keys,
}

impl<W: Way + 'static> ElementBench<W> {
    /// A new element, with a secure channel or without.
    pub fn new(way: W, secured: bool) -> Self {
        let keys = if secured { Keys::Right } else { Keys::None };
        Self { way: Rc::new(RefCell::new(way)), keys }
    }

    /// Does something to the way.
    fn doing(&self, act: impl Fn(&mut W) + 'static) -> Box<dyn FnMut()> {
        let way = Rc::clone(&self.way);
        Box::new(move || act(&mut way.borrow_mut()))
    }

    fn others_session(&self, what: &'static str, bring: Box<dyn FnMut()>, seen: Seen) -> WrongSession {
        WrongSession { what, bring, end: Box::new(|| {}), sign: seen, generate: seen, count: seen }
    }
}

impl<W: Way + 'static> Bench for ElementBench<W> {
    fn open(&mut self) -> Box<dyn KeyStore> {
        self.way.borrow_mut().open(self.keys).expect("the store opens")
    }

    fn wrong_keys(&mut self) -> Case<WrongKey> {
        if self.keys == Keys::None {
            return Case::Absent("an element without a secure channel asks for no key");
        }
        let with = |what, keys| {
            let way = Rc::clone(&self.way);
            let attempt = Box::new(move || way.borrow_mut().open(keys).map(drop));
            WrongKey { what, code: "KS-0020", attempt }
        };
        Case::Present(vec![
            with("other channel keys", Keys::Wrong),
            with("a version without keys", Keys::WrongVersion),
        ])
    }

    fn wrong_sessions(&mut self) -> Case<WrongSession> {
        let broken = if self.keys == Keys::None { Seen::Done } else { Seen::Refused("KS-0021") };
        let mut sessions = Vec::new();
        if self.way.borrow().shares_session() {
            for (what, aid) in [
                ("another client selects the applet anew", &AID[..]),
                ("another client selects the card manager", &CARD_MANAGER),
            ] {
                let bring = self.doing(move |way| select(way.client().as_mut(), aid));
                sessions.push(self.others_session(what, bring, broken));
            }
        }
        if let Some(why) = self.way.borrow().needs_power() {
            return if sessions.is_empty() { Case::Absent(why) } else { Case::Present(sessions) };
        }
        let seen = if self.way.borrow().breaks_with_power() { Seen::Done } else { broken };
        let bring = self.doing(Way::power_cycle);
        sessions.push(self.others_session("the element loses its power for a moment", bring, seen));
        Case::Present(sessions)
    }

    fn exhaustions(&mut self) -> Case<Exhaustion> {
        let way = Rc::clone(&self.way);
        let number = Exhaustion {
            what: "a counter one below the end of its number",
            which: WhichCounter::This,
            left: 1,
            bring: Box::new(move |name| {
                let mut client = way.borrow_mut().client();
                select(client.as_mut(), &AID);
                let value = (u32::MAX - 1).to_be_bytes();
                let fields: [(u8, &[u8]); 2] = [(TAG_1, &counter_id(name).to_be_bytes()), (TAG_3, &value)];
                let data = tlv::encode(&fields).expect("fields");
                succeed(client.as_mut(), &Instruction::WriteCounter.command(data));
            }),
            end: Box::new(|| {}),
        };
        let (armed, cleared) = (self.way.borrow().state(), self.way.borrow().state());
        let wear = Exhaustion {
            what: "a counter that is worn out",
            which: WhichCounter::This,
            left: 0,
            bring: Box::new(move |name| {
                write_faults(&armed, &format!("exhausted-counter={:08X}\n", counter_id(name)));
            }),
            end: Box::new(move || write_faults(&cleared, "")),
        };
        Case::Present(vec![number, wear])
    }

    fn power_cuts(&mut self) -> Case<Box<dyn PowerCut>> {
        if let Some(why) = self.way.borrow().needs_power() {
            return Case::Absent(why);
        }
        let cut = |(trigger, effect): &(&'static str, &'static str)| -> Box<dyn PowerCut> {
            Box::new(Cut { way: Rc::clone(&self.way), trigger, effect })
        };
        Case::Present(POINTS.iter().map(cut).collect())
    }
}

struct Cut<W> {
    way: Rc<RefCell<W>>,
    trigger: &'static str,
    effect: &'static str,
}

impl<W: Way> PowerCut for Cut<W> {
    fn what(&self) -> String {
        self.effect.to_owned()
    }

    fn arm(&mut self, nth: u64) {
        let Self { trigger, effect, .. } = self;
        write_faults(&self.way.borrow().state(), &format!("{trigger}={nth} {effect}\n"));
    }

    fn restore(&mut self) -> bool {
        let state = self.way.borrow().state();
        let left = std::fs::read_to_string(state.join("fault")).expect("the file of faults");
        write_faults(&state, "");
        let struck = left.trim().is_empty();
        if struck {
            self.way.borrow_mut().power_on();
        }
        struck
    }
}

/// Replaces what is armed, under the lock of the file.
fn write_faults(state: &Path, lines: &str) {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(state.join("fault"));
    let mut file = file.expect("the file of faults");
    file.lock().expect("its lock");
    file.set_len(0).expect("it can be emptied");
    file.write_all(lines.as_bytes()).expect("it can be written");
}

fn select(client: &mut dyn Transport, aid: &[u8]) {
    let command = Command { cla: 0x00, ins: 0xA4, p1: 0x04, p2: 0x00, data: aid.to_vec(), le: Some(256) };
    succeed(client, &command);
}

fn succeed(client: &mut dyn Transport, command: &Command) {
    let answer = client.transmit(&command.encode().expect("a command")).expect("an answer");
    let response = Response::parse(&answer).expect("a response");
    let sw = response.sw;
    assert!(sw == StatusWord::SUCCESS || sw.waiting().is_some(), "another client was answered {sw}");
}
