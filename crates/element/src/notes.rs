//! The applet that keeps notes: small native code that can be installed, personalised and deleted, so that a factory's
//! steps have something to act on.
//!
//! Notes come with STORE DATA through the security domain, as data groupings: identifier, 2 bytes; length, 1 byte, or
//! FF and 2 bytes; value. An empty value removes the note. Whoever selects the applet may read them: `80 B0 ID ID`
//! gives one, `80 B2 00 00` the identifiers of all. Nothing else changes them.

use touchmark_identity::apdu::Command;

use crate::card::{Card, Refusal};
use crate::gp::registry::life;
use crate::gp::{Aid, Gp};

/// The executable load file: of the class of names that nobody registers (F), `TMNOTE`.
pub(crate) const ELF: &[u8] = b"\xF0TMNOTE";
/// The module, and the name of an instance that was given none.
pub(crate) const MODULE: &[u8] = b"\xF0TMNOTE\x01";
/// Room of one instance, in bytes: the values, and two for each identifier.
const MEMORY_BYTES: usize = 4096;

const INS_READ: u8 = 0xB0;
const INS_LIST: u8 = 0xB2;

/// Answers a command of the class 80 in one instance.
pub(crate) fn process(card: &Card, aid: &Aid, command: &Command) -> Result<Vec<u8>, Refusal> {
    let gp = card.gp();
    match (command.ins, command.p1, command.p2) {
        (INS_READ | INS_LIST, _, _) if !command.data.is_empty() => Err(Refusal::Length),
        (INS_READ, high, low) => {
            gp.data(aid, u16::from_be_bytes([high, low])).map(<[u8]>::to_vec).ok_or(Refusal::Unknown)
        }
        (INS_LIST, 0, 0) => {
            let own = gp.data.iter().filter(|note| note.owner == *aid);
            Ok(own.flat_map(|note| note.tag.to_be_bytes()).collect())
        }
        (INS_LIST, _, _) => Err(Refusal::Parameters),
        _ => Err(Refusal::Instruction),
    }
}

/// Takes the data groupings of a personalisation: all of them or none.
pub(crate) fn personalise(gp: &mut Gp, aid: &Aid, mut groupings: &[u8]) -> Result<(), Refusal> {
    while let [high, low, rest @ ..] = groupings {
        let (length, rest) = match rest {
            [0xFF, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            [length, rest @ ..] if *length != 0xFF => (usize::from(*length), rest),
            _ => return Err(Refusal::Field),
        };
        let (value, rest) = rest.split_at_checked(length).ok_or(Refusal::Field)?;
        let id = u16::from_be_bytes([*high, *low]);
        gp.set_data(aid, id, value);
        groupings = rest;
    }
    if !groupings.is_empty() {
        return Err(Refusal::Field);
    }
    gp.data.retain(|note| note.owner != *aid || !note.value.is_empty());
    let own = gp.data.iter().filter(|note| note.owner == *aid);
    if own.map(|note| note.value.len() + 2).sum::<usize>() > MEMORY_BYTES {
        return Err(Refusal::Memory);
    }
    if let Some(instance) = gp.instances.iter_mut().find(|instance| instance.aid == *aid) {
        instance.life_cycle = life::PERSONALIZED;
    }
    Ok(())
}
