//! The power fails at every command and at every write of a script that provisions a card: what is found afterwards is
//! the state before the command or the one behind it.

use std::fs;
use std::path::Path;

use touchmark_identity::apdu::scp03::{
    AesKey, CounterRule, KeySet, Level, SecureChannel, SessionKeys, UpdateResponse, initialize_update,
    put_keys,
};
use touchmark_identity::apdu::se05x::{
    AID, Instruction, Policy, TAG_1, TAG_2, TAG_3, TAG_4, TAG_POLICY, rule,
};
use touchmark_identity::apdu::{Command, Response, tlv};

use super::{Effect, Fault, Point, Trigger};
use crate::{Element, Session};

const GENERATED: u32 = 0x4000_0010;

enum Step {
    Plain(Command),
    Begin,
    Authenticate,
    Secured(Command),
}

fn command(cla: u8, ins: u8, p1: u8, p2: u8, data: &[u8]) -> Command {
    Command { cla, ins, p1, p2, data: data.to_vec(), le: Some(256) }
}

fn counted() -> KeySet {
    let key = || AesKey::new(&(0x40..0x50).collect::<Vec<u8>>()).unwrap();
    KeySet { enc: key(), mac: key(), dek: key() }
}

/// Objects of every kind are made, changed and deleted; then the card manager gets an application, keys, data and
/// another life cycle state.
fn script() -> Vec<Step> {
    let iot = |instruction: Instruction, fields: &[(u8, &[u8])]| {
        Step::Plain(instruction.command(tlv::encode(fields).unwrap()))
    };
    let (file, counter) = ([0x50, 0, 0, 1], [0x50, 0, 0, 2]);
    let key = GENERATED.to_be_bytes();
    let policies =
        [Policy { authentication: 0, rule: rule::SIGN | rule::READ | rule::GENERATE, extension: vec![] }];
    let policies = Policy::encode_set(&policies).unwrap();
    let field = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let (elf, module) = (crate::notes::ELF, crate::notes::MODULE);
    let notes = [0xF0, 0x4E, 0x4F, 0x54, 0x45, 0x01];
    let install = [field(elf), field(module), field(&notes), field(&[0]), field(&[]), field(&[])].concat();
    let new = || AesKey::new(&[7; 32]).unwrap();
    let new = KeySet { enc: new(), mac: new(), dek: new() };
    let (keys, _) = put_keys(&counted().dek, 0x40, &new).unwrap();
    vec![
        Step::Plain(command(0x00, 0xA4, 4, 0, &AID)),
        iot(Instruction::WriteEcKeyPair, &[(TAG_POLICY, &policies), (TAG_1, &key), (TAG_2, &[3])]),
        iot(Instruction::ReadObject, &[(TAG_1, &key)]),
        iot(Instruction::WriteBinary, &[(TAG_1, &file), (TAG_3, &[0x02, 0]), (TAG_4, &[1; 512])]),
        iot(Instruction::WriteBinary, &[(TAG_1, &file), (TAG_2, &[0, 9]), (TAG_4, &[2; 400])]),
        iot(Instruction::WriteCounter, &[(TAG_1, &counter), (TAG_2, &[0, 4])]),
        iot(Instruction::WriteCounter, &[(TAG_1, &counter)]),
        iot(Instruction::WriteCounter, &[(TAG_1, &counter), (TAG_3, &[0, 0, 1, 0])]),
        iot(Instruction::WriteEcKeyPair, &[(TAG_1, &key)]),
        iot(Instruction::DeleteSecureObject, &[(TAG_1, &file)]),
        Step::Plain(command(0x00, 0xA4, 4, 0, &[])),
        Step::Begin,
        Step::Authenticate,
        Step::Secured(command(0x80, 0xE6, 0x0C, 0, &install)),
        Step::Secured(command(0x80, 0xD8, 0x00, 0x81, &keys)),
        Step::Secured(command(0x80, 0xE2, 0x80, 0, &[0x45, 2, 0xAA, 0xBB])),
        Step::Secured(command(0x80, 0xF0, 0x80, 0x07, &[])),
        Step::Secured(command(0x80, 0xE4, 0, 0, &[&[0x4F, 6], &notes[..]].concat())),
    ]
}

struct Rig {
    element: Element,
    session: Session,
    begun: Option<(SecureChannel, Command)>,
    channel: Option<SecureChannel>,
}

impl Rig {
    fn open(dir: &Path) -> Self {
        let element = Element::open(dir).unwrap();
        Self { element, session: Session::default(), begun: None, channel: None }
    }

    fn send(&mut self, command: &Command) -> Option<Response> {
        let answer = self.element.answer(&mut self.session, &command.encode().unwrap());
        assert!(!answer.lost);
        (!answer.bytes.is_empty()).then(|| Response::parse(&answer.bytes).unwrap())
    }

    /// Whether there was an answer; a good one, if any.
    fn step(&mut self, step: &Step) -> bool {
        let response = match step {
            Step::Plain(command) => self.send(command),
            Step::Begin => self.send(&initialize_update(0x30, &[5; 8])).inspect(|response| {
                let update = UpdateResponse::parse(&response.data).unwrap();
                let keys = SessionKeys::derive(&counted(), &[5; 8], &update.challenge).unwrap();
                keys.check_card(&update.cryptogram).unwrap();
                let begun = SecureChannel::begin(keys, Level::FULL, CounterRule::EveryCommand);
                self.begun = Some(begun.unwrap());
            }),
            Step::Authenticate => {
                let (channel, hello) = self.begun.take().unwrap();
                self.channel = Some(channel);
                self.send(&hello)
            }
            Step::Secured(command) => {
                let wrapped = self.channel.as_mut().unwrap().wrap(command).unwrap();
                self.send(&wrapped)
                    .map(|response| self.channel.as_mut().unwrap().unwrap_response(response).unwrap())
            }
        };
        if let Some(response) = &response {
            assert_eq!(response.sw.0, 0x9000);
        }
        response.is_some()
    }

    /// All that is durable but for the number of starts; the key that the script generates, where it is left out, only
    /// as far as it exists.
    fn image(&self, with_generated: bool) -> String {
        let mut state = self.element.card.state().clone();
        state.boots = 0;
        let generated = state.objects.contains_key(&GENERATED);
        if !with_generated {
            state.objects.remove(&GENERATED);
        }
        let objects = String::from_utf8(state.encode().unwrap().to_vec()).unwrap();
        let gp = serde_json::to_string(self.element.card.gp()).unwrap();
        format!("{generated} {objects} {gp}")
    }
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

struct Sweep {
    origin: tempfile::TempDir,
    steps: Vec<Step>,
    /// The state before each command, and behind the last.
    states: Vec<String>,
}

impl Sweep {
    fn new() -> Self {
        let origin = tempfile::tempdir().unwrap();
        drop(Element::create(origin.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap());
        let steps = script();
        let dir = copy(origin.path());
        let mut rig = Rig::open(dir.path());
        let mut states = vec![rig.image(false)];
        for step in &steps {
            assert!(rig.step(step));
            states.push(rig.image(false));
        }
        Self { origin, steps, states }
    }

    /// Runs the script with a fault, and compares what is found. `None` when the fault never struck, else the command at
    /// which it did, and whether that changed anything.
    fn run(&self, when: Trigger, point: Point, compact: bool) -> Option<(usize, bool)> {
        let dir = copy(self.origin.path());
        let mut rig = Rig::open(dir.path());
        if compact {
            rig.element.card.compact_always();
        }
        let fault = Fault { when, what: Effect::PowerCut(point) };
        fault.arm(dir.path()).unwrap();
        let mut before = rig.image(true);
        let silent = self.steps.iter().position(|step| {
            before = rig.image(true);
            !rig.step(step)
        });
        let Some(at) = silent else {
            assert!(rig.element.is_powered());
            return None;
        };
        assert!(!rig.element.is_powered());
        drop(rig);
        let rig = Rig::open(dir.path());
        let is_before = rig.image(true) == before;
        let is_behind = rig.image(false) == self.states[at + 1];
        assert!(is_before || is_behind, "{fault}: between the states, at command {at}");
        if is_before {
            assert_eq!(rig.image(false), self.states[at], "{fault}");
        }
        assert_eq!(Fault::armed(dir.path()).unwrap(), [], "{fault} is still armed");
        Some((at, !is_before))
    }
}

#[test]
fn at_every_command() {
    let sweep = Sweep::new();
    // Another key in the place of the first does not show in these states.
    let changes = |at: usize| sweep.states[at] != sweep.states[at + 1] || at == 8;
    for at in 0..sweep.steps.len() {
        for point in Point::ALL {
            let struck = sweep.run(Trigger::Apdu(u64::try_from(at + 1).unwrap()), point, false);
            let writing = (at..sweep.steps.len()).find(|at| changes(*at));
            let expected = match point {
                Point::BeforeApdu => Some((at, false)),
                Point::BeforeAnswer => Some((at, changes(at))),
                Point::InWrite | Point::BetweenWrites => writing.map(|at| (at, false)),
                Point::AfterWrite => writing.map(|at| (at, true)),
            };
            assert_eq!(struck, expected, "{point:?} at command {at}");
        }
    }
}

/// The commands that change something.
const WRITING: [usize; 14] = [1, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 16, 17];

#[test]
fn at_every_write() {
    let sweep = Sweep::new();
    for point in [Point::InWrite, Point::BetweenWrites, Point::AfterWrite, Point::BeforeAnswer] {
        let mut commands = Vec::new();
        for write in 1.. {
            let Some((at, done)) = sweep.run(Trigger::Write(write), point, false) else { break };
            assert_eq!(done, matches!(point, Point::AfterWrite | Point::BeforeAnswer), "{point:?} {write}");
            commands.push(at);
        }
        // Every command that changes something makes one write.
        assert_eq!(commands, WRITING, "{point:?}");
    }
}

/// The same where the journal is written anew behind each command: three writes, of which the first decides.
#[test]
fn at_every_write_of_a_journal_that_is_written_anew() {
    let sweep = Sweep::new();
    for point in [Point::InWrite, Point::BetweenWrites, Point::AfterWrite] {
        let mut commands = Vec::new();
        for write in 1.. {
            let Some((at, done)) = sweep.run(Trigger::Write(write), point, true) else { break };
            assert_eq!(done, write % 3 != 1 || point == Point::AfterWrite, "{point:?} {write}");
            commands.push(at);
        }
        let expected: Vec<usize> = WRITING.iter().flat_map(|at| [*at; 3]).collect();
        assert_eq!(commands, expected, "{point:?}");
    }
}
