//! SELECT by name (ISO/IEC 7816-4 §11.2.2; GlobalPlatform Card Specification 2.3.1 §6.4.2).

use touchmark_identity::apdu::{Command, StatusWord};

use super::Reply;
use crate::card::{Card, Refusal};
use crate::gp::registry::{CardState, Instance, Module};
use crate::gp::{self, Aid};

/// SELECT by DF name, in P1.
const BY_NAME: u8 = 0x04;
/// First or only occurrence, in P2; with control information, or without any response data.
const FIRST: u8 = 0x00;
const FIRST_WITHOUT_DATA: u8 = 0x0C;
/// Next occurrence, in P2.
const NEXT: u8 = 0x02;
/// A name is selected by its first bytes, of which the five of the registered provider are the least
/// (ISO/IEC 7816-4 §12.2.3).
const LEAST_AID_BYTES: usize = 5;

impl Card {
    /// What SELECT finds, and how it answers. Without data it is the issuer security domain.
    pub(super) fn select(&self, current: Option<&Aid>, command: &Command) -> Result<(Aid, Reply), Refusal> {
        let gp = self.gp();
        let next = match (command.p1, command.p2) {
            (BY_NAME, FIRST | FIRST_WITHOUT_DATA) => false,
            (BY_NAME, NEXT) => true,
            _ => return Err(Refusal::Parameters),
        };
        let name = command.data.as_slice();
        let found = match name {
            [] => gp.issuer(),
            short if short.len() < LEAST_AID_BYTES => None,
            _ => {
                let after = match current.filter(|_| next) {
                    Some(current) => gp.instances.iter().position(|one| one.aid == *current).map(|at| at + 1),
                    None => None,
                };
                let mut named = gp.instances.iter().skip(after.unwrap_or(0));
                let exact = gp.instances.iter().find(|one| !next && one.aid.bytes() == name);
                let partial = named.find(|one| one.aid.bytes().starts_with(name) && one.is_selectable());
                exact.filter(|one| one.is_selectable()).or(partial)
            }
        };
        let found = found.ok_or(Refusal::NoApplet)?;
        let sw = match gp.card {
            // "the card shall only allow selection of the Application with the Final Application privilege" (§5.1.1.4)
            CardState::Locked if !gp.is_issuer(&found.aid) => return Err(Refusal::Function),
            CardState::Locked => StatusWord::LOCKED,
            _ => StatusWord::SUCCESS,
        };
        let data = if command.p2 == FIRST_WITHOUT_DATA { Vec::new() } else { self.greeting(found) };
        Ok((found.aid.clone(), Reply { data, sw }))
    }

    fn greeting(&self, instance: &Instance) -> Vec<u8> {
        match instance.module {
            Module::Iot => self.version().encode().to_vec(),
            Module::Domain => gp::data::control_information(instance),
            Module::Notes => gp::tlv::encode(0x6F, &gp::tlv::encode(0x84, instance.aid.bytes())),
        }
    }
}
