//! A row of the table, and what can be asked of it.

use super::tag::{INS_MASK, INS_WRITE};
use super::{CLA, INS_AUTH, INS_TRANSIENT, Instruction, TAG_POLICY_CHECK, TAG_VERSION, rule};
use crate::apdu::Command;
use crate::apdu::tlv::Tlvs;

/// One argument or result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The tag.
    pub tag: u8,
    /// What the value means, with its size.
    pub meaning: &'static str,
    /// Whether the field has to be there.
    pub required: bool,
}

/// One row of the command table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandSpec {
    /// The command's name in the application note.
    pub name: &'static str,
    /// Instruction byte, with the bits for attestation (0x20).
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// The fields of the command data.
    pub request: &'static [Field],
    /// The fields of the response data; none means that no data comes back.
    pub response: &'static [Field],
    /// Bits of [`rule`] that the policy of the object in [`TAG_1`](super::TAG_1) has to give; with several, which of them depends on
    /// what is asked for. 0 where no object is used.
    pub policy: u32,
    /// The bits that may be set in the instruction byte beside it: [`INS_AUTH`], [`INS_TRANSIENT`].
    pub flags: u8,
}

/// Why a header is no row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// No row has this instruction.
    Instruction,
    /// Rows have this instruction, none with these parameters.
    Parameters,
}

impl Instruction {
    /// The command with this header; [`INS_AUTH`] and [`INS_TRANSIENT`] may be set where the row has them.
    ///
    /// # Errors
    /// [`Unknown`] says which part of the header belongs to no command.
    pub fn find(ins: u8, p1: u8, p2: u8) -> Result<Self, Unknown> {
        let mut unknown = Unknown::Instruction;
        let flags = if ins & INS_MASK == INS_WRITE { ins & (INS_AUTH | INS_TRANSIENT) } else { 0 };
        for instruction in Self::ALL {
            let spec = instruction.spec();
            if spec.ins == ins || (spec.ins == ins & !flags && spec.flags & flags == flags) {
                if (spec.p1, spec.p2) == (p1, p2) {
                    return Ok(*instruction);
                }
                unknown = Unknown::Parameters;
            }
        }
        Err(unknown)
    }

    /// The command with its data, which is a sequence of TLVs. It asks for the longest short response when the
    /// table has one, and for none otherwise.
    #[must_use]
    pub fn command(self, data: Vec<u8>) -> Command {
        let spec = self.spec();
        let le = (!spec.response.is_empty()).then_some(256);
        Command { cla: CLA, ins: spec.ins, p1: spec.p1, p2: spec.p2, data, le }
    }

    /// Whether the fields are those of the table: all that are required, none that is not listed.
    #[must_use]
    pub fn accepts(self, fields: &Tlvs<'_>) -> bool {
        let request = self.spec().request;
        let complete = request.iter().all(|field| !field.required || fields.find(field.tag).is_some());
        let ignored = [TAG_POLICY_CHECK, TAG_VERSION];
        complete
            && fields.tags().all(|tag| ignored.contains(&tag) || request.iter().any(|field| field.tag == tag))
    }
}

/// The table as Markdown, for the documentation: one row for each command.
#[must_use]
pub fn markdown_table() -> String {
    let list = |fields: &[Field]| {
        let words: Vec<String> = fields
            .iter()
            .map(|field| {
                let optional = if field.required { "" } else { " (optional)" };
                format!("`{:02X}` {}{optional}", field.tag, field.meaning)
            })
            .collect();
        if words.is_empty() { "none".to_owned() } else { words.join("<br>") }
    };
    let mut out =
        String::from("| Command | INS P1 P2 | Request | Response | Policy |\n|---|---|---|---|---|\n");
    for instruction in Instruction::ALL {
        let spec = instruction.spec();
        let flags = match (spec.flags & INS_AUTH != 0, spec.flags & INS_TRANSIENT != 0) {
            (false, false) => "",
            (true, false) => " (auth)",
            (false, true) => " (transient)",
            (true, true) => " (auth, transient)",
        };
        out.push_str(&format!(
            "| {} | `{:02X} {:02X} {:02X}`{flags} | {} | {} | {} |\n",
            spec.name,
            spec.ins,
            spec.p1,
            spec.p2,
            list(spec.request),
            list(spec.response),
            if spec.policy == 0 { "none".to_owned() } else { rule::names(spec.policy) }
        ));
    }
    out
}
