//! The card below the applets: what they share, and why a command is refused.

use std::sync::Arc;
use std::time::Duration;

use touchmark_identity::apdu::StatusWord;
use touchmark_identity::apdu::se05x::{ATTESTATION_CERTIFICATE, ATTESTATION_KEY, AppletVersion, Origin};
use touchmark_identity::key::PublicKey;

use crate::certificate;
use crate::error::ElementError;
use crate::flaw::Flaw;
use crate::gp::{Gp, Level};
use crate::iot;
use crate::object::{Body, Object, State, public_point};
use crate::store::StateDir;

pub use crate::runtime::Session;

/// Why a command is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The length fields of the APDU are wrong.
    Length,
    /// The class is not known.
    Class,
    /// The class names a logical channel that is not open.
    Channel,
    /// The class asks for secure messaging of another kind than GlobalPlatform's.
    SecureMessaging,
    /// Another command came where the next of a chain was due.
    ChainBroken,
    /// A chain behind secure messaging.
    Chaining,
    /// The sender has not authenticated, or not for this.
    Security,
    /// The card does not do this, or not in its life cycle state.
    Function,
    /// What the command names is not there.
    Unknown,
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
    /// The session has no commands left.
    Throughput,
    /// Memory is used up.
    Memory,
    /// The cryptographic library failed.
    Crypto,
    /// The state could not be made durable; the element is without power from here on.
    Commit,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusWord {
        match self {
            Self::Length => StatusWord::WRONG_LENGTH,
            Self::Class => StatusWord::CLASS_NOT_SUPPORTED,
            Self::Channel => StatusWord::CHANNEL_NOT_SUPPORTED,
            Self::SecureMessaging => StatusWord::SECURE_MESSAGING_NOT_SUPPORTED,
            Self::ChainBroken => StatusWord::LAST_OF_CHAIN_EXPECTED,
            Self::Chaining => StatusWord::CHAINING_NOT_SUPPORTED,
            Self::Security => StatusWord::SECURITY_STATUS_NOT_SATISFIED,
            Self::Function => StatusWord::FUNCTION_NOT_SUPPORTED,
            Self::Unknown => StatusWord::REFERENCED_DATA_NOT_FOUND,
            Self::Instruction => StatusWord::INSTRUCTION_NOT_SUPPORTED,
            Self::Parameters => StatusWord::INCORRECT_P1_P2,
            Self::Field => StatusWord::WRONG_DATA,
            Self::NoApplet => StatusWord::FILE_NOT_FOUND,
            Self::NotNow | Self::NoObject | Self::NotSuited | Self::ReservedId | Self::CounterEnd => {
                StatusWord::CONDITIONS_NOT_SATISFIED
            }
            Self::Policy => StatusWord::COMMAND_NOT_ALLOWED,
            Self::PolicyForm => StatusWord::DATA_INVALID,
            Self::Throughput => StatusWord::THROUGHPUT_EXCEEDED,
            Self::Memory => StatusWord::NOT_ENOUGH_MEMORY,
            Self::Crypto => StatusWord::NO_DIAGNOSIS,
            Self::Commit => StatusWord::MEMORY_FAILURE,
        }
    }
}

/// One card: its durable state, shared by all sessions.
pub(crate) struct Card {
    state: State,
    gp: Arc<Gp>,
    store: StateDir,
    /// Time stamps given since the start.
    stamps: u64,
    powered: bool,
    /// How the command that is being carried out is protected.
    level: Option<Level>,
    /// What the command that is being carried out takes, beyond the time of the computation.
    delay: Duration,
    /// What the IoT applet remembers on the channel on which the command came.
    iot: iot::Volatile,
}

impl Card {
    pub(crate) fn new(state: State, gp: Arc<Gp>, store: StateDir) -> Self {
        let (delay, iot) = (Duration::ZERO, iot::Volatile::default());
        Self { state, gp, store, stamps: 0, powered: true, level: None, delay, iot }
    }

    pub(crate) fn is_powered(&self) -> bool {
        self.powered
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn gp(&self) -> &Gp {
        &self.gp
    }

    /// What the secure channel session proved of the sender of the command that is being carried out; `None` outside of
    /// a session.
    pub(crate) fn level(&self) -> Option<&Level> {
        self.level.as_ref()
    }

    pub(crate) fn set_level(&mut self, level: Option<Level>) {
        self.level = level;
    }

    /// The version that the applet answers.
    pub(crate) fn version(&self) -> AppletVersion {
        self.state.applet.version(self.gp.flaw)
    }

    /// Free bytes for objects.
    pub(crate) fn free_bytes(&self) -> usize {
        if self.store.faults.memory_is_full() { 0 } else { self.state.free_bytes() }
    }

    /// Lets the journal be written anew after each commit.
    #[cfg(test)]
    pub(crate) fn compact_always(&mut self) {
        self.store.compact_always();
    }

    /// Lets the command take longer.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.delay = self.delay.saturating_add(time);
    }

    /// What the command took, which is over.
    pub(crate) fn take_delay(&mut self) -> Duration {
        std::mem::take(&mut self.delay)
    }

    /// What the IoT applet remembers on the channel on which the command came.
    pub(crate) fn iot(&mut self) -> &mut iot::Volatile {
        &mut self.iot
    }

    pub(crate) fn iot_ref(&self) -> &iot::Volatile {
        &self.iot
    }

    /// Makes a new state durable and current. When that fails, nobody knows which state is on the disk: the card
    /// stops until it is opened anew, rather than going on from a state that may be the old one.
    pub(crate) fn commit(&mut self, next: State) -> Result<(), Refusal> {
        if self.store.faults.memory_is_full() && next.free_bytes() < self.state.free_bytes() {
            return Err(Refusal::Memory);
        }
        for (id, object) in next.objects.iter() {
            match self.state.objects.get(id).cloned() {
                Some(old) if Arc::ptr_eq(&old, object) => {}
                old => self.admit(*id, old.as_deref(), object)?,
            }
        }
        let saved = self.store.commit(&next, &self.gp);
        self.saved(saved)?;
        self.state = next;
        Ok(())
    }

    /// The same with what the card manager keeps.
    pub(crate) fn commit_gp(&mut self, next: Gp) -> Result<(), Refusal> {
        if self.store.faults.memory_is_full() && next.footprint() > self.gp.footprint() {
            return Err(Refusal::Memory);
        }
        let next = Arc::new(next);
        let saved = self.store.commit(&self.state, &next);
        self.saved(saved)?;
        self.gp = next;
        Ok(())
    }

    /// What armed faults say of an object that is new or changed.
    fn admit(&mut self, id: u32, old: Option<&Object>, new: &Object) -> Result<(), Refusal> {
        let value = |object: &Object| match object.body {
            Body::Counter { value, .. } => Some(value),
            _ => None,
        };
        let counts = old.and_then(value).zip(value(new)).is_some_and(|(old, new)| old != new);
        if counts && self.store.faults.is_exhausted(id) {
            return Err(Refusal::CounterEnd);
        }
        if new.origin == Origin::INTERNAL && !matches!(new.body, Body::Binary(_) | Body::Counter { .. }) {
            self.delay = self.delay.saturating_add(self.store.faults.key_generation());
        }
        Ok(())
    }

    fn saved(&mut self, saved: Result<(), ElementError>) -> Result<(), Refusal> {
        saved.map_err(|_| {
            self.powered = false;
            Refusal::Commit
        })
    }

    /// What armed faults do before a command with this instruction byte.
    pub(crate) fn before_command(&mut self, instruction: Option<u8>) {
        let flaw = match self.store.faults.on_apdu(instruction) {
            Ok(None) => self.store.faults.class_break(),
            Ok(Some(_)) => {
                self.powered = false;
                return;
            }
            Err(error) => Err(error),
        };
        let broken = match flaw {
            Ok(None) => Ok(()),
            Ok(Some(flaw)) => self.break_class(flaw),
            Err(error) => Err(error),
        };
        self.powered &= broken.is_ok();
    }

    /// What armed faults do before an answer leaves: whether it is lost.
    pub(crate) fn before_answer(&mut self) -> bool {
        match self.store.faults.on_answer() {
            Ok(None) => false,
            Ok(Some(fault)) if fault.what == crate::Effect::LoseResponse => true,
            Ok(Some(_)) | Err(_) => {
                self.powered = false;
                false
            }
        }
    }

    /// Gives the card a flaw, for good: with a certificate that names the version which has it.
    fn break_class(&mut self, flaw: Flaw) -> Result<(), ElementError> {
        let gp = Arc::new(Gp { flaw: Some(flaw), ..Gp::clone(&self.gp) });
        let mut state = self.state.clone();
        let key = state.objects.get(&ATTESTATION_KEY).and_then(|object| match &object.body {
            Body::KeyPair(pair) => PublicKey::from_point(public_point(pair)).ok(),
            _ => None,
        });
        if let (Some(key), Some(old)) = (key, state.objects.get(&ATTESTATION_CERTIFICATE).cloned())
            && let Body::Binary(der) = &old.body
        {
            let now = certificate::not_before(der)?;
            let der = certificate::issue(&state.chip_id, &state.applet.version(gp.flaw), &key, now)?;
            let new = Object { policies: old.policies.clone(), body: Body::Binary(der), ..*old };
            state.objects.insert(ATTESTATION_CERTIFICATE, Arc::new(new));
        }
        self.store.commit(&state, &gp)?;
        self.state = state;
        self.gp = gp;
        Ok(())
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
}
