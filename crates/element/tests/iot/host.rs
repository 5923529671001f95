//! A host of an element in a directory of its own.

use touchmark_element::{Class, Element};
use touchmark_identity::apdu::scp03::{
    AesKey, CounterRule, KeySet, Level, SecureChannel, SessionKeys, UpdateResponse, initialize_update,
};
use touchmark_identity::apdu::se05x::{
    AID, INS_AUTH, INS_TRANSIENT, Instruction, Policy, TAG_1, TAG_2, TAG_3, TAG_MAX_ATTEMPTS, TAG_POLICY,
    TAG_SESSION,
};
use touchmark_identity::apdu::tlv::{self, Tlvs};
use touchmark_identity::apdu::{Command, Response};

/// What the applet refuses with: an object is missing or does not suit.
pub(crate) const NOT_SUITED: u16 = 0x6985;
/// The object's policy forbids it.
pub(crate) const POLICY: u16 = 0x6986;
/// An authentication is missing or wrong.
pub(crate) const SECURITY: u16 = 0x6982;
/// A field is missing, unknown or out of range.
pub(crate) const FIELD: u16 = 0x6A80;

pub(crate) type Answer = Result<Vec<u8>, u16>;

pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) element: Element,
}

/// An open session, as its host sees it.
pub(crate) struct Session {
    pub(crate) id: Vec<u8>,
    pub(crate) channel: Option<SecureChannel>,
}

/// The policy set of one policy.
pub(crate) fn policy(user: u32, rule: u32) -> Vec<u8> {
    Policy::encode_set(&[Policy { authentication: user, rule, extension: vec![] }]).unwrap()
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::of(Class::default())
    }

    pub(crate) fn of(class: Class) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = "2026-11-20T00:00:00Z".parse().unwrap();
        let element = Element::create_of_class(dir.path(), now, class).unwrap();
        let mut host = Self { dir, element };
        host.select();
        host
    }

    pub(crate) fn select(&mut self) {
        let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
        assert!(self.element.transmit(&select.encode().unwrap()).ends_with(&[0x90, 0x00]));
    }

    pub(crate) fn send(&mut self, command: &Command) -> Answer {
        let answer = Response::parse(&self.element.transmit(&command.encode().unwrap())).unwrap();
        if answer.sw.0 == 0x9000 { Ok(answer.data) } else { Err(answer.sw.0) }
    }

    /// The answer's data, or the status word.
    pub(crate) fn ask(&mut self, instruction: Instruction, fields: &[(u8, &[u8])]) -> Answer {
        let mut command = instruction.command(tlv::encode(fields).unwrap());
        command.le = Some(0x1_0000);
        self.send(&command)
    }

    /// The same with fields that are put together.
    pub(crate) fn ask_bytes(&mut self, instruction: Instruction, fields: &[u8]) -> Answer {
        let mut command = instruction.command(fields.to_vec());
        command.le = Some(0x1_0000);
        self.send(&command)
    }

    /// The value of the answer's first field, or the status word.
    pub(crate) fn value(&mut self, instruction: Instruction, fields: &[(u8, &[u8])]) -> Answer {
        self.ask(instruction, fields).map(|data| Tlvs::parse(&data).unwrap().find(TAG_1).unwrap().to_vec())
    }

    pub(crate) fn write_aes(&mut self, id: u32, key: &[u8]) -> Answer {
        self.ask(Instruction::WriteAesKey, &[(TAG_1, &id.to_be_bytes()), (TAG_3, key)])
    }

    pub(crate) fn write_hmac(&mut self, id: u32, key: &[u8]) -> Answer {
        self.ask(Instruction::WriteHmacKey, &[(TAG_1, &id.to_be_bytes()), (TAG_3, key)])
    }

    /// Generates a key pair; gives the public half.
    pub(crate) fn generate(&mut self, id: u32, curve: u8) -> Vec<u8> {
        let id = id.to_be_bytes();
        self.ask(Instruction::WriteEcKeyPair, &[(TAG_1, &id), (TAG_2, &[curve])]).unwrap();
        self.value(Instruction::ReadObject, &[(TAG_1, &id)]).unwrap()
    }

    /// A new binary object with this policy set; without one when it is empty.
    pub(crate) fn write_file(&mut self, id: u32, set: &[u8]) -> Answer {
        let id = id.to_be_bytes();
        let fields: Vec<(u8, &[u8])> = vec![(TAG_POLICY, set), (TAG_1, &id), (TAG_3, &[0, 2]), (0x44, b"ab")];
        self.ask(Instruction::WriteBinary, &fields[usize::from(set.is_empty())..])
    }

    pub(crate) fn read(&mut self, id: u32) -> Answer {
        self.value(Instruction::ReadObject, &[(TAG_1, &id.to_be_bytes())])
    }

    pub(crate) fn delete(&mut self, id: u32) -> Answer {
        self.ask(Instruction::DeleteSecureObject, &[(TAG_1, &id.to_be_bytes())])
    }

    pub(crate) fn write_user_id(&mut self, id: u32, most: u16, value: &[u8]) -> Answer {
        let (id, most) = (id.to_be_bytes(), most.to_be_bytes());
        self.ask(Instruction::WriteUserId, &[(TAG_MAX_ATTEMPTS, &most), (TAG_1, &id), (TAG_2, value)])
    }

    /// An instruction with bits of the instruction byte.
    pub(crate) fn flagged(&mut self, flags: u8, instruction: Instruction, fields: &[(u8, &[u8])]) -> Answer {
        let mut command = instruction.command(tlv::encode(fields).unwrap());
        command.ins |= flags;
        self.send(&command)
    }

    pub(crate) fn auth(&mut self, instruction: Instruction, fields: &[(u8, &[u8])]) -> Answer {
        self.flagged(INS_AUTH, instruction, fields)
    }

    pub(crate) fn transient(&mut self, instruction: Instruction, fields: &[(u8, &[u8])]) -> Answer {
        self.flagged(INS_TRANSIENT, instruction, fields)
    }

    /// A session that has not authenticated.
    pub(crate) fn create_session(&mut self, user: u32) -> Result<Session, u16> {
        let id = self.value(Instruction::CreateSession, &[(TAG_1, &user.to_be_bytes())])?;
        Ok(Session { id, channel: None })
    }

    pub(crate) fn user_session(&mut self, user: u32, value: &[u8]) -> Result<Session, u16> {
        let mut session = self.create_session(user)?;
        session.ask(self, Instruction::VerifySessionUserId, &[(TAG_1, value)])?;
        Ok(session)
    }

    pub(crate) fn aes_session(&mut self, user: u32, key: &[u8], level: u8) -> Result<Session, u16> {
        let mut session = self.create_session(user)?;
        let answer = session.raw(self, &initialize_update(0, &[7; 8]))?;
        let answer = UpdateResponse::parse(&answer).unwrap();
        assert_eq!(answer.encode().len(), 29);
        let key = || AesKey::new(key).unwrap();
        let keys =
            SessionKeys::derive(&KeySet { enc: key(), mac: key(), dek: key() }, &[7; 8], &answer.challenge);
        let level = Level::try_from(level).unwrap();
        let begun = SecureChannel::begin(keys.unwrap(), level, CounterRule::EveryCommand);
        let (channel, authenticate) = begun.unwrap();
        session.raw(self, &authenticate)?;
        session.channel = Some(channel);
        Ok(session)
    }

    /// Takes the power away and opens the element anew.
    pub(crate) fn restart(self) -> Self {
        let Self { dir, element } = self;
        drop(element);
        let element = Element::open(dir.path()).unwrap();
        let mut host = Self { dir, element };
        host.select();
        host
    }
}

impl Session {
    /// A command in the session as it is.
    pub(crate) fn raw(&mut self, host: &mut Host, command: &Command) -> Answer {
        let inner = command.encode().unwrap();
        host.ask(Instruction::ProcessSessionCmd, &[(TAG_SESSION, &self.id), (TAG_1, &inner)])
    }

    /// A command in the session, secured where the session is.
    pub(crate) fn send(&mut self, host: &mut Host, mut command: Command) -> Answer {
        command.le = None;
        let Some(channel) = self.channel.as_mut() else { return self.raw(host, &command) };
        let inner = channel.wrap(&command).unwrap().encode().unwrap();
        let mut outer = Instruction::ProcessSessionCmd
            .command(tlv::encode(&[(TAG_SESSION, &self.id), (TAG_1, &inner)]).unwrap());
        outer.le = None;
        let answer = Response::parse(&host.element.transmit(&outer.encode().unwrap())).unwrap();
        let answer = channel.unwrap_response(answer).unwrap();
        if answer.sw.0 == 0x9000 { Ok(answer.data) } else { Err(answer.sw.0) }
    }

    pub(crate) fn ask(
        &mut self,
        host: &mut Host,
        instruction: Instruction,
        fields: &[(u8, &[u8])],
    ) -> Answer {
        self.send(host, instruction.command(tlv::encode(fields).unwrap()))
    }

    pub(crate) fn read(&mut self, host: &mut Host, id: u32) -> Answer {
        let data = self.ask(host, Instruction::ReadObject, &[(TAG_1, &id.to_be_bytes())])?;
        Ok(Tlvs::parse(&data).unwrap().find(TAG_1).unwrap().to_vec())
    }
}
