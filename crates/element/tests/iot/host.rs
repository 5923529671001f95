//! A host of an element in a directory of its own.

use touchmark_element::Element;
use touchmark_identity::apdu::se05x::{AID, Instruction, TAG_1, TAG_2, TAG_3};
use touchmark_identity::apdu::tlv::{self, Tlvs};
use touchmark_identity::apdu::{Command, Response};

/// What the applet refuses with: an object is missing or does not suit.
pub(crate) const NOT_SUITED: u16 = 0x6985;
/// A field is missing, unknown or out of range.
pub(crate) const FIELD: u16 = 0x6A80;

pub(crate) type Answer = Result<Vec<u8>, u16>;

pub(crate) struct Host {
    _dir: tempfile::TempDir,
    element: Element,
}

impl Host {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let element = Element::create(dir.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
        let mut host = Self { _dir: dir, element };
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
}
