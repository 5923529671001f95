//! The card below the applets: dispatch by ISO/IEC 7816-4, response chaining, and the durable state they share.

use touchmark_identity::apdu::{Command, Response, StatusWord};

use crate::iot::Iot;
use crate::object::State;
use crate::store::StateDir;

/// SELECT by name (ISO/IEC 7816-4 §11.2.2).
const INS_SELECT: u8 = 0xA4;
/// GET RESPONSE (ISO/IEC 7816-4 §11.8.1).
const INS_GET_RESPONSE: u8 = 0xC0;
/// SELECT by DF name, in P1.
const BY_NAME: u8 = 0x04;
/// First or only occurrence, in P2; with control information, or without any response data.
const FIRST_WITH_DATA: u8 = 0x00;
const FIRST_WITHOUT_DATA: u8 = 0x0C;
/// A name is selected by its first bytes, of which the five of the registered provider are the least
/// (ISO/IEC 7816-4 §12.2.3).
const LEAST_AID_BYTES: usize = 5;
/// Ne where the command has no Le: hosts on T=1 and T=1' get their data all the same.
const NE_WITHOUT_LE: u32 = 256;

/// The applets, in the order in which SELECT looks for them. A further applet is one more entry.
const APPLETS: &[&dyn Applet] = &[&Iot];

/// An applet: the commands of one application. It keeps no state of its own; what must survive is in [`State`].
pub(crate) trait Applet: Sync {
    /// The full name.
    fn aid(&self) -> &'static [u8];

    /// The class byte of its commands.
    fn class(&self) -> u8;

    /// Answers SELECT.
    fn select(&self, card: &Card) -> Vec<u8>;

    /// Answers a command of its class. A change that has been committed is durable when this returns.
    fn process(&self, card: &mut Card, command: &Command) -> Result<Vec<u8>, Refusal>;
}

/// Why a command is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The length fields of the APDU are wrong.
    Length,
    /// The class is not known.
    Class,
    /// The class asks for another logical channel.
    Channel,
    /// The class asks for secure messaging.
    SecureMessaging,
    /// The instruction is not known.
    Instruction,
    /// P1-P2 are not known for the instruction.
    Parameters,
    /// A field is missing, unknown, repeated, or has a value out of range.
    Field,
    /// No applet has this name.
    NoApplet,
    /// No applet is selected, or no data waits.
    NotNow,
    /// There is no such object.
    NoObject,
    /// The object is of a type, or in a state, that does not allow this.
    NotSuited,
    /// The id is not for users.
    ReservedId,
    /// The counter stands higher, or at its end.
    CounterEnd,
    /// The object's policy does not allow this.
    Policy,
    /// The policy is not well formed.
    PolicyForm,
    /// Memory is used up.
    Memory,
    /// The cryptographic library failed.
    Crypto,
    /// The state could not be made durable; the element is without power from here on.
    Commit,
}

impl Refusal {
    fn status(self) -> StatusWord {
        match self {
            Self::Length => StatusWord::WRONG_LENGTH,
            Self::Class => StatusWord::CLASS_NOT_SUPPORTED,
            Self::Channel => StatusWord::CHANNEL_NOT_SUPPORTED,
            Self::SecureMessaging => StatusWord::SECURE_MESSAGING_NOT_SUPPORTED,
            Self::Instruction => StatusWord::INSTRUCTION_NOT_SUPPORTED,
            Self::Parameters => StatusWord::INCORRECT_P1_P2,
            Self::Field => StatusWord::WRONG_DATA,
            Self::NoApplet => StatusWord::FILE_NOT_FOUND,
            Self::NotNow | Self::NoObject | Self::NotSuited | Self::ReservedId | Self::CounterEnd => {
                StatusWord::CONDITIONS_NOT_SATISFIED
            }
            Self::Policy => StatusWord::COMMAND_NOT_ALLOWED,
            Self::PolicyForm => StatusWord::DATA_INVALID,
            Self::Memory => StatusWord::NOT_ENOUGH_MEMORY,
            Self::Crypto => StatusWord::NO_DIAGNOSIS,
            Self::Commit => StatusWord::MEMORY_FAILURE,
        }
    }
}

/// What belongs to one connection: which applet is selected, and what GET RESPONSE would give.
#[derive(Default)]
pub struct Session {
    selected: Option<&'static dyn Applet>,
    pending: Vec<u8>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let selected = self.selected.map(|applet| hex::encode(applet.aid()));
        f.debug_struct("Session").field("selected", &selected).field("pending", &self.pending.len()).finish()
    }
}

/// One card: its durable state, shared by all sessions.
pub(crate) struct Card {
    state: State,
    store: StateDir,
    /// Time stamps given since the start.
    stamps: u64,
    powered: bool,
}

impl Card {
    pub(crate) fn new(state: State, store: StateDir) -> Self {
        Self { state, store, stamps: 0, powered: true }
    }

    pub(crate) fn is_powered(&self) -> bool {
        self.powered
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Makes a new state durable and current. When that fails, nobody knows which state is on the disk: the card
    /// stops until it is opened anew, rather than going on from a state that may be the old one.
    pub(crate) fn commit(&mut self, next: State) -> Result<(), Refusal> {
        match self.store.commit(&next) {
            Ok(()) => {
                self.state = next;
                Ok(())
            }
            Err(_) => {
                self.powered = false;
                Err(Refusal::Commit)
            }
        }
    }

    /// A time stamp, 12 bytes: the number of starts (4 bytes, durable), then the number of stamps since the start
    /// (8 bytes). The card has no clock; a later stamp is always greater.
    pub(crate) fn stamp(&mut self) -> [u8; 12] {
        self.stamps = self.stamps.saturating_add(1);
        let mut stamp = [0; 12];
        stamp.split_at_mut(4).0.copy_from_slice(&self.state.boots.to_be_bytes());
        stamp.split_at_mut(4).1.copy_from_slice(&self.stamps.to_be_bytes());
        stamp
    }

    /// Answers one APDU; nothing at all without power.
    pub(crate) fn transmit(&mut self, session: &mut Session, apdu: &[u8]) -> Vec<u8> {
        if !self.powered {
            return Vec::new();
        }
        let answer = Command::parse(apdu).map_err(|_| Refusal::Length).and_then(|command| {
            let waiting = std::mem::take(&mut session.pending);
            let data = self.dispatch(session, &command, waiting)?;
            Ok(chain(session, data, command.le.unwrap_or(NE_WITHOUT_LE)))
        });
        if !self.powered {
            return Vec::new();
        }
        let response = answer.unwrap_or_else(|refusal| Response { data: Vec::new(), sw: refusal.status() });
        response.encode()
    }

    fn dispatch(
        &mut self,
        session: &mut Session,
        command: &Command,
        waiting: Vec<u8>,
    ) -> Result<Vec<u8>, Refusal> {
        match (command.cla, command.ins) {
            (0x00, INS_SELECT) => self.select(session, command),
            (0x00, INS_GET_RESPONSE) if waiting.is_empty() => Err(Refusal::NotNow),
            (0x00, INS_GET_RESPONSE) => Ok(waiting),
            (0x00, _) => Err(Refusal::Instruction),
            (cla, _) => match session.selected {
                Some(applet) if applet.class() == cla => applet.process(self, command),
                None if cla == 0x80 => Err(Refusal::NotNow),
                _ => Err(class_refusal(cla)),
            },
        }
    }

    fn select(&self, session: &mut Session, command: &Command) -> Result<Vec<u8>, Refusal> {
        let wants_data = match (command.p1, command.p2) {
            (BY_NAME, FIRST_WITH_DATA) => true,
            (BY_NAME, FIRST_WITHOUT_DATA) => false,
            _ => return Err(Refusal::Parameters),
        };
        let named = APPLETS.iter().copied().filter(|_| command.data.len() >= LEAST_AID_BYTES);
        let applet = named
            .into_iter()
            .find(|applet| applet.aid().starts_with(&command.data))
            .ok_or(Refusal::NoApplet)?;
        session.selected = Some(applet);
        Ok(if wants_data { applet.select(self) } else { Vec::new() })
    }
}

/// What is wrong with a class that the selected applet does not know (ISO/IEC 7816-4 §5.4.1): bits 3 and 4 ask for
/// secure messaging, bits 1 and 2 name a channel.
fn class_refusal(cla: u8) -> Refusal {
    match cla {
        0x00..=0x0F | 0x80..=0x8F if cla & 0x0C != 0 => Refusal::SecureMessaging,
        0x00..=0x0F | 0x80..=0x8F if cla & 0x03 != 0 => Refusal::Channel,
        _ => Refusal::Class,
    }
}

/// Gives as much as the host makes room for, and keeps the rest for GET RESPONSE.
fn chain(session: &mut Session, mut data: Vec<u8>, ne: u32) -> Response {
    let room = usize::try_from(ne).unwrap_or(usize::MAX);
    if data.len() <= room {
        return Response { data, sw: StatusWord::SUCCESS };
    }
    session.pending = data.split_off(room);
    Response { data, sw: StatusWord::more(session.pending.len()) }
}
