//! Secure elements with SE05x-compatible commands ([`touchmark_identity::apdu::se05x`]).
//!
//! Place in the life of a credential: on the device, between the agent and the chip on its board (or a virtual one).
//! [`ElementStore`] is the driver, a [`Transport`] carries its APDUs.
//!
//! # Names and object ids
//!
//! A secure element knows objects by a 32-bit id, a key store by name. The id is
//! `0x4000_0000 | (first 27 bits of SHA-256(kind, 0x00, name)) << 2`, where the kind is `key`, `counter`, `ratchet` or
//! `object`: the driver lives in `0x4000_0000` to `0x5FFF_FFFF`, inside the range of users. Of the four ids that belong to
//! a name, the first holds the object, the second a *label* with the name in full, the third the second copy of an object
//! that is replaced. Where a label carries another name, two names clash: that is refused, never shared.
//!
//! A label is written before what it labels, and removed after it. So a loss of power between the two leaves a label
//! without its object, which the next attempt takes over. An object such as a certificate is replaced as a whole: the new
//! copy is written beside the old one, and one write to the label turns from the old to the new.
//!
//! # What a broken connection means
//!
//! A read or a signature is repeated once over a fresh connection. A command that changes something is not: whether it
//! was carried out is not known, and the caller gets [`StoreError::Unreachable`].
//!
//! Where a command or its class is unknown to whoever answers, somebody else has selected another applet on the same card,
//! or the card was reset. Nothing was carried out, so the applet is selected anew and the command sent once more.
//!
//! # Attested reads
//!
//! Their layout follows the applet's version in SELECT's answer: from 7.2 on a read is bound to its command, which is then
//! sent with lengths of three bytes, as the chip's maker does; before, it is not.
//!
//! # Secure channel
//!
//! Where keys are set, every APDU but SELECT goes through SCP03 ([`Secured`]). A broken channel fails the command at hand;
//! the next one selects the applet and opens a channel anew. Nothing is ever sent in plain instead.
//!
//! Deliberately absent, so far: sessions with authentication.

mod attest;
mod channel;
mod framed;
mod i2c;
mod labels;
mod pcsc;
#[cfg(test)]
mod tests;
mod transport;

use touchmark_identity::apdu::se05x::{
    AID, AppletVersion, CURVE_NIST_P256, ECDSA_SHA256, Instruction, RESULT_FAILURE, RESULT_SUCCESS, TAG_1,
    TAG_2, TAG_3, TAG_4,
};
use touchmark_identity::apdu::tlv::{self, Tlvs};
use touchmark_identity::apdu::{Command, Response, StatusWord};
use touchmark_identity::assurance::Storage;
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::PublicKey;

use crate::kind::Kind;
use crate::store::{ActivateCredential, Attest, Counters, KeyStore, Objects, Ratchet, StoreError, StoreInfo};
pub use channel::{ChannelKeys, Secured};
pub use framed::FramedTcp;
pub use i2c::I2cTransport;
use labels::{Slot, Slots};
pub use pcsc::PcscTransport;
pub use transport::{TcpTransport, Transport};

/// What the errors call the part.
const PART: &str = "the secure element";
/// Data bytes in one read or write of a binary object. An SE05x takes 889 bytes of command data.
const CHUNK_BYTES: u16 = 512;
/// No object is read that is larger, in bytes: what a binary object can have.
const MAX_OBJECT_BYTES: u16 = 0x7FFF;
/// GET RESPONSE is asked no more often for one command: the largest object, one short response at a time.
const MAX_CONTINUATIONS: usize = 256;
/// A counter has four bytes, as the finite counters of common parts have.
const COUNTER_BYTES: usize = 4;
/// A ratchet has eight bytes, all that [`Ratchet`] can ask for.
const RATCHET_BYTES: usize = 8;

/// A key store in a secure element.
pub struct ElementStore {
    transport: Box<dyn Transport + Send>,
    /// What SELECT answered; absent while the applet has to be selected (again).
    selected: Option<[u8; 7]>,
    labels: labels::Known,
}

impl std::fmt::Debug for ElementStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ElementStore")
            .field("selected", &self.selected.map(hex::encode))
            .finish_non_exhaustive()
    }
}

/// Whether a command may be sent a second time when the first answer is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It changes nothing: it may.
    Reads,
    /// It changes something: it must not.
    Changes,
}

impl ElementStore {
    /// Drives the element behind a transport, and selects its applet.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] when nothing answers, [`StoreError::Refused`] when there is no such applet.
    pub fn new(transport: Box<dyn Transport + Send>) -> Result<Self, StoreError> {
        let mut store = Self { transport, selected: None, labels: labels::Known::default() };
        store.select()?;
        Ok(store)
    }

    /// Drives the element behind a transport through a secure channel, and selects its applet.
    ///
    /// # Errors
    /// As for [`ElementStore::new`]; [`StoreError::ChannelRefused`] when the part does not open a channel with these keys.
    pub fn secured(transport: Box<dyn Transport + Send>, keys: ChannelKeys) -> Result<Self, StoreError> {
        Self::new(Box::new(Secured::new(transport, keys)))
    }

    /// Drives the element behind a TCP socket, `host:port`: each APDU, both ways, behind its length in two bytes,
    /// big-endian.
    ///
    /// # Errors
    /// As for [`ElementStore::new`].
    pub fn tcp(address: &str) -> Result<Self, StoreError> {
        Self::new(Box::new(TcpTransport::new(address)))
    }

    fn select(&mut self) -> Result<[u8; 7], StoreError> {
        if let Some(version) = self.selected {
            return Ok(version);
        }
        let command = Command { cla: 0x00, ins: 0xA4, p1: 0x04, p2: 0x00, data: AID.to_vec(), le: Some(256) };
        let response = self.exchange("SELECT", &command)?;
        done("SELECT", response.sw)?;
        let version = response.data.as_slice().try_into().map_err(|_| {
            malformed("SELECT", format!("expected 7 bytes of version, found {}", response.data.len()))
        })?;
        self.selected = Some(version);
        Ok(version)
    }

    /// Sends one command as it is, collecting a chained response. After a transport error the applet counts as
    /// deselected: a fresh connection is a fresh session, and a broken channel ends one.
    fn exchange(&mut self, name: &'static str, command: &Command) -> Result<Response, StoreError> {
        let answer = self.exchange_chained(name, command);
        if matches!(answer, Err(StoreError::Unreachable { .. } | StoreError::ChannelBroken { .. })) {
            self.selected = None;
        }
        answer
    }

    fn exchange_chained(&mut self, name: &'static str, command: &Command) -> Result<Response, StoreError> {
        let mut response = self.exchange_once(name, command)?;
        for _ in 0..MAX_CONTINUATIONS {
            let Some(waiting) = response.sw.waiting() else { return Ok(response) };
            let more = Command { cla: 0, ins: 0xC0, p1: 0, p2: 0, data: Vec::new(), le: Some(waiting) };
            let next = self.exchange_once("GET RESPONSE", &more)?;
            response.data.extend(next.data);
            response.sw = next.sw;
        }
        Err(malformed(name, format!("more than {MAX_CONTINUATIONS} continuations")))
    }

    fn exchange_once(&mut self, name: &'static str, command: &Command) -> Result<Response, StoreError> {
        let apdu = command.encode().map_err(|error| malformed(name, error.to_string()))?;
        let answer = self.transport.transmit(&apdu)?;
        Response::parse(&answer).map_err(|error| malformed(name, error.to_string()))
    }

    /// Sends a command of the table; the applet is selected first where it is not.
    fn send(
        &mut self,
        instruction: Instruction,
        fields: &[(u8, &[u8])],
        effect: Effect,
    ) -> Result<Response, StoreError> {
        let name = instruction.spec().name;
        let data = tlv::encode(fields).map_err(|error| malformed(name, error.to_string()))?;
        self.send_command(name, &instruction.command(data), effect)
    }

    fn send_command(
        &mut self,
        name: &'static str,
        command: &Command,
        effect: Effect,
    ) -> Result<Response, StoreError> {
        let first = self.select().and_then(|_| self.exchange(name, command));
        let again = match &first {
            Err(StoreError::Unreachable { .. }) => effect == Effect::Reads,
            Ok(Response { sw, .. }) => {
                let elsewhere =
                    matches!(*sw, StatusWord::INSTRUCTION_NOT_SUPPORTED | StatusWord::CLASS_NOT_SUPPORTED);
                if elsewhere {
                    self.selected = None;
                }
                elsewhere
            }
            Err(_) => false,
        };
        if !again {
            return first;
        }
        self.select()?;
        self.exchange(name, command)
    }

    /// Sends a command of the table that has to succeed, and gives its response data.
    fn ask(
        &mut self,
        instruction: Instruction,
        fields: &[(u8, &[u8])],
        effect: Effect,
    ) -> Result<Vec<u8>, StoreError> {
        let response = self.send(instruction, fields, effect)?;
        done(instruction.spec().name, response.sw)?;
        Ok(response.data)
    }

    fn exists(&mut self, id: u32) -> Result<bool, StoreError> {
        let what = Instruction::CheckObjectExists;
        let data = self.ask(what, &[(TAG_1, &id.to_be_bytes())], Effect::Reads)?;
        match Tlvs::parse(&data).and_then(|fields| fields.exact(TAG_1)) {
            Ok([RESULT_SUCCESS]) => Ok(true),
            Ok([RESULT_FAILURE]) => Ok(false),
            other => Err(malformed(what.spec().name, format!("expected a result, found {other:?}"))),
        }
    }

    /// The value of an object without offsets: a public key or a counter.
    fn read_value(&mut self, id: u32) -> Result<Vec<u8>, StoreError> {
        let what = Instruction::ReadObject;
        let data = self.ask(what, &[(TAG_1, &id.to_be_bytes())], Effect::Reads)?;
        value(what, &data, TAG_1)
    }

    fn read_key(&mut self, id: u32) -> Result<PublicKey, StoreError> {
        let point = self.read_value(id)?;
        let name = Instruction::ReadObject.spec().name;
        PublicKey::from_point(&point).map_err(|error| malformed(name, error.to_string()))
    }

    fn read_binary(&mut self, id: u32) -> Result<Vec<u8>, StoreError> {
        let what = Instruction::ReadSize;
        let data = self.ask(what, &[(TAG_1, &id.to_be_bytes())], Effect::Reads)?;
        let size = Tlvs::parse(&data).and_then(|fields| fields.exact(TAG_1)).map(u16::from_be_bytes);
        let size = size.map_err(|error| malformed(what.spec().name, error.to_string()))?;
        if size > MAX_OBJECT_BYTES {
            return Err(malformed(what.spec().name, format!("a binary object of {size} bytes")));
        }
        let mut bytes = Vec::with_capacity(usize::from(size));
        let mut offset = 0;
        while offset < size {
            let length = CHUNK_BYTES.min(size - offset);
            let what = Instruction::ReadObject;
            let fields: [(u8, &[u8]); 3] =
                [(TAG_1, &id.to_be_bytes()), (TAG_2, &offset.to_be_bytes()), (TAG_3, &length.to_be_bytes())];
            let data = self.ask(what, &fields, Effect::Reads)?;
            let chunk = value(what, &data, TAG_1)?;
            if chunk.len() != usize::from(length) {
                let detail = format!("expected {length} bytes at offset {offset}, found {}", chunk.len());
                return Err(malformed(what.spec().name, detail));
            }
            bytes.extend(chunk);
            offset += length;
        }
        Ok(bytes)
    }

    /// Makes a binary object that is not there yet, and writes all of it.
    fn write_binary(&mut self, id: u32, bytes: &[u8]) -> Result<(), StoreError> {
        let size = u16::try_from(bytes.len()).ok().filter(|size| (1..=MAX_OBJECT_BYTES).contains(size));
        let size = size.ok_or_else(|| StoreError::Exhausted {
            what: "room for an object",
            detail: format!("it has {} bytes, a binary object holds 1 to {MAX_OBJECT_BYTES}", bytes.len()),
        })?;
        let mut offset: u16 = 0;
        for chunk in bytes.chunks(usize::from(CHUNK_BYTES)) {
            let (id, size, at) = (id.to_be_bytes(), size.to_be_bytes(), offset.to_be_bytes());
            let fields: [(u8, &[u8]); 4] = [(TAG_1, &id), (TAG_2, &at), (TAG_3, &size), (TAG_4, chunk)];
            // The length is given once, with the first chunk, which makes the object.
            let later: [(u8, &[u8]); 3] = [(TAG_1, &id), (TAG_2, &at), (TAG_4, chunk)];
            let fields: &[(u8, &[u8])] = if offset == 0 { &fields } else { &later };
            self.ask(Instruction::WriteBinary, fields, Effect::Changes)?;
            offset = offset.saturating_add(CHUNK_BYTES);
        }
        Ok(())
    }

    /// Deletes an object where there is one.
    fn remove(&mut self, id: u32) -> Result<(), StoreError> {
        if self.exists(id)? {
            self.ask(Instruction::DeleteSecureObject, &[(TAG_1, &id.to_be_bytes())], Effect::Changes)?;
        }
        Ok(())
    }

    /// The ids of a name whose object is there and labelled with this name.
    fn existing(&mut self, kind: Kind, name: &str) -> Result<Option<Slots>, StoreError> {
        let slots = Slots::of(kind, name);
        if !self.exists(slots.first)? {
            return Ok(None);
        }
        self.check_label(kind, name, slots)?;
        Ok(Some(slots))
    }

    /// The ids of a key that has to be there.
    fn key(&mut self, key: &KeyName) -> Result<Slots, StoreError> {
        self.existing(Kind::Key, key.as_str())?.ok_or_else(|| not_found(Kind::Key, key.as_str()))
    }

    /// The value of a counter or ratchet, where it is there.
    fn count(&mut self, kind: Kind, name: &str) -> Result<Option<(Slots, u64)>, StoreError> {
        let Some(slots) = self.existing(kind, name)? else { return Ok(None) };
        let bytes = self.read_value(slots.first)?;
        if !(1..=8).contains(&bytes.len()) {
            let detail = format!("expected a counter of 1 to 8 bytes, found {}", bytes.len());
            return Err(malformed(Instruction::ReadObject.spec().name, detail));
        }
        let value = bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        Ok(Some((slots, value)))
    }

    /// Makes a counter or sets it higher.
    fn set_count(&mut self, slots: Slots, bytes: usize, value: u64) -> Result<(), StoreError> {
        let all = value.to_be_bytes();
        let (_, value) = all.split_at(all.len().saturating_sub(bytes));
        let fields: [(u8, &[u8]); 2] = [(TAG_1, &slots.first.to_be_bytes()), (TAG_3, value)];
        self.ask(Instruction::WriteCounter, &fields, Effect::Changes).map(drop)
    }
}

impl KeyStore for ElementStore {
    fn info(&mut self) -> Result<StoreInfo, StoreError> {
        let version = self.select()?;
        let firmware = AppletVersion::parse(&version).map_or_else(String::new, |version| version.to_string());
        Ok(StoreInfo {
            storage: Storage::SecureElement,
            vendor: "unknown".to_owned(),
            model: "secure element with SE05x-compatible commands".to_owned(),
            firmware,
            capabilities: vec!["attest", "counters", "objects", "ratchet"],
        })
    }

    fn generate(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        if self.existing(Kind::Key, key.as_str())?.is_some() {
            return Err(StoreError::Exists { what: Kind::Key.word(), name: key.as_str().to_owned() });
        }
        let slots = self.label(Kind::Key, key.as_str())?;
        let fields: [(u8, &[u8]); 2] = [(TAG_1, &slots.first.to_be_bytes()), (TAG_2, &[CURVE_NIST_P256])];
        self.ask(Instruction::WriteEcKeyPair, &fields, Effect::Changes)?;
        self.read_key(slots.first)
    }

    fn public_key(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        let slots = self.key(key)?;
        self.read_key(slots.first)
    }

    fn sign_digest(&mut self, key: &KeyName, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        let slots = self.key(key)?;
        let what = Instruction::EcdsaSign;
        let fields: [(u8, &[u8]); 3] =
            [(TAG_1, &slots.first.to_be_bytes()), (TAG_2, &[ECDSA_SHA256]), (TAG_3, digest)];
        let data = self.ask(what, &fields, Effect::Reads)?;
        value(what, &data, TAG_1)
    }

    fn delete(&mut self, key: &KeyName) -> Result<(), StoreError> {
        let slots = self.key(key)?;
        self.remove(slots.first)?;
        self.unlabel(slots)
    }

    fn attest(&mut self) -> Option<&mut dyn Attest> {
        Some(self)
    }

    fn activate_credential(&mut self) -> Option<&mut dyn ActivateCredential> {
        None
    }

    fn counters(&mut self) -> Option<&mut dyn Counters> {
        Some(self)
    }

    fn ratchet(&mut self) -> Option<&mut dyn Ratchet> {
        Some(self)
    }

    fn objects(&mut self) -> Option<&mut dyn Objects> {
        Some(self)
    }
}

impl Counters for ElementStore {
    fn read_counter(&mut self, counter: &CounterName) -> Result<u64, StoreError> {
        let found = self.count(Kind::Counter, counter.as_str())?;
        found.map(|(_, value)| value).ok_or_else(|| not_found(Kind::Counter, counter.as_str()))
    }

    fn increment_counter(&mut self, counter: &CounterName) -> Result<u64, StoreError> {
        let Some((slots, before)) = self.count(Kind::Counter, counter.as_str())? else {
            let slots = self.label(Kind::Counter, counter.as_str())?;
            self.set_count(slots, COUNTER_BYTES, 1)?;
            return Ok(1);
        };
        if before >= u64::from(u32::MAX) {
            return Err(at_its_end(counter, before));
        }
        let fields: [(u8, &[u8]); 1] = [(TAG_1, &slots.first.to_be_bytes())];
        let what = Instruction::WriteCounter;
        match self.send(what, &fields, Effect::Changes)?.sw {
            // The counter is there and is one: what it lacks is room to count.
            StatusWord::CONDITIONS_NOT_SATISFIED => return Err(at_its_end(counter, before)),
            sw => done(what.spec().name, sw)?,
        }
        // Read anew: what stands in the chip counts, not what it should be.
        self.read_counter(counter)
    }
}

impl Ratchet for ElementStore {
    fn floor(&mut self, name: &CounterName) -> Result<u64, StoreError> {
        Ok(self.count(Kind::Ratchet, name.as_str())?.map_or(0, |(_, value)| value))
    }

    fn raise_floor(&mut self, name: &CounterName, to: u64) -> Result<(), StoreError> {
        let (slots, current) = match self.count(Kind::Ratchet, name.as_str())? {
            Some((slots, current)) => (Some(slots), current),
            None => (None, 0),
        };
        if to < current {
            return Err(StoreError::WouldGoBack { name: name.as_str().to_owned(), current, asked: to });
        }
        if to == current {
            return Ok(());
        }
        let slots = match slots {
            Some(slots) => slots,
            None => self.label(Kind::Ratchet, name.as_str())?,
        };
        self.set_count(slots, RATCHET_BYTES, to)
    }
}

impl Objects for ElementStore {
    fn read_object(&mut self, name: &KeyName) -> Result<Vec<u8>, StoreError> {
        let slots = Slots::of(Kind::Object, name.as_str());
        match self.active_copy(name.as_str(), slots)? {
            Some(slot) => self.read_binary(slots.copy(slot)),
            None => Err(not_found(Kind::Object, name.as_str())),
        }
    }

    fn write_object(&mut self, name: &KeyName, bytes: &[u8]) -> Result<(), StoreError> {
        let slots = Slots::of(Kind::Object, name.as_str());
        let active = self.active_copy(name.as_str(), slots)?;
        let next = match active {
            Some(Slot::First) => Slot::Second,
            Some(Slot::Second) | None => Slot::First,
        };
        // What a loss of power left behind of an earlier attempt.
        self.remove(slots.copy(next))?;
        if active.is_none() {
            self.label(Kind::Object, name.as_str())?;
        }
        self.write_binary(slots.copy(next), bytes)?;
        self.turn_label(slots, next)?;
        match active {
            Some(old) => self.remove(slots.copy(old)),
            None => Ok(()),
        }
    }
}

/// The id of a counter in the element.
#[cfg(any(test, feature = "conformance"))]
pub(crate) fn counter_id(counter: &CounterName) -> u32 {
    Slots::of(Kind::Counter, counter.as_str()).first
}

fn at_its_end(counter: &CounterName, value: u64) -> StoreError {
    StoreError::Exhausted {
        what: "counts",
        detail: format!("the counter {:?} stands at its end, {value}", counter.as_str()),
    }
}

fn not_found(kind: Kind, name: &str) -> StoreError {
    StoreError::NotFound { what: kind.word(), name: name.to_owned() }
}

fn malformed(command: &'static str, detail: String) -> StoreError {
    StoreError::Malformed { part: PART, command, detail }
}

/// One field of a response.
fn value(instruction: Instruction, data: &[u8], tag: u8) -> Result<Vec<u8>, StoreError> {
    let field = Tlvs::parse(data).and_then(|fields| fields.required(tag).map(<[u8]>::to_vec));
    field.map_err(|error| malformed(instruction.spec().name, error.to_string()))
}

/// Turns a status word other than success into the error that it means.
fn done(command: &'static str, sw: StatusWord) -> Result<(), StoreError> {
    match sw {
        StatusWord::SUCCESS => Ok(()),
        StatusWord::NOT_ENOUGH_MEMORY => Err(StoreError::Exhausted {
            what: "memory",
            detail: format!("{PART} answered {command} with {sw}; delete what is not needed"),
        }),
        sw => Err(StoreError::Refused {
            part: PART,
            command,
            code: u32::from(sw.0),
            meaning: sw.meaning().to_owned(),
        }),
    }
}
