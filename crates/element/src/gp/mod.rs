//! Card content management: GlobalPlatform Card Specification 2.3.1.
//!
//! The card knows its executable load files (native code of this program, see [`registry::ELFS`]), the instances made
//! of them, and security domains with key sets. A domain carries out a command that changes something only behind an
//! authenticated secure channel ([`Level`]).
//!
//! Deliberately absent: loading of foreign code, delegated management, DAP verification, tokens and receipts, CVM.

mod aid;
pub(crate) mod data;
mod delete;
mod install;
mod keys;
mod put_key;
pub(crate) mod registry;
mod status;
mod test_keys;
#[cfg(test)]
mod tests;
pub(crate) mod tlv;

use serde::{Deserialize, Serialize};
use touchmark_identity::apdu::{Command, se05x};

use crate::card::{Card, Refusal};
use crate::flaw::Flaw;
use crate::runtime::Reply;
use crate::store::from_json;
pub(crate) use aid::Aid;
pub(crate) use keys::{KeySet, Secret};
use registry::{
    CardState, DOMAIN_ELF, ELFS, ISSUER_DOMAIN, Instance, Module, PLATFORM_DOMAIN, life, privilege,
};

/// The parameter i of SCP03 of a new domain: pseudo-random challenge, R-MAC, R-ENC, 8-byte MACs.
pub(crate) const PARAMETER: u8 = 0x70;

/// A piece of data that belongs to an instance: of a domain by STORE DATA, of the notes applet a note.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataObject {
    pub(crate) owner: Aid,
    pub(crate) tag: u16,
    #[serde(with = "hex::serde")]
    pub(crate) value: Vec<u8>,
}

/// What the card manager keeps without power.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gp {
    pub(crate) card: CardState,
    /// In the order of their making; the first is the issuer security domain.
    pub(crate) instances: Vec<Instance>,
    pub(crate) keys: Vec<KeySet>,
    pub(crate) data: Vec<DataObject>,
    /// The flaw of the class that the card is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flaw: Option<Flaw>,
}

impl Gp {
    /// The card manager of a new card: `OP_READY`; the issuer's domain, the domain of the IoT applet, the applet; test
    /// keys in both domains. `None` only where a constant is no AID.
    pub(crate) fn new() -> Option<Self> {
        let issuer = Aid::new(ISSUER_DOMAIN)?;
        let platform = Aid::new(PLATFORM_DOMAIN)?;
        let row = |aid: &Aid, module, elf: &[u8], domain: &Aid, life_cycle, privileges| {
            Some(Instance {
                aid: aid.clone(),
                module,
                elf: Aid::new(elf)?,
                domain: domain.clone(),
                life_cycle,
                privileges,
                parameter: PARAMETER,
            })
        };
        let iot_elf = ELFS.iter().find(|elf| elf.modules.iter().any(|(_, module)| *module == Module::Iot))?;
        let instances = vec![
            row(&issuer, Module::Domain, DOMAIN_ELF, &issuer, life::PERSONALIZED, privilege::ISSUER)?,
            row(
                &platform,
                Module::Domain,
                DOMAIN_ELF,
                &issuer,
                life::PERSONALIZED,
                privilege::SECURITY_DOMAIN,
            )?,
            row(&Aid::new(&se05x::AID)?, Module::Iot, iot_elf.aid, &platform, life::SELECTABLE, 0)?,
        ];
        let mut keys = test_keys::issuer(&issuer);
        keys.push(test_keys::platform(&platform));
        Some(Self { card: CardState::OpReady, instances, keys, data: Vec::new(), flaw: None })
    }

    /// Reads the stored form, JSON.
    pub(crate) fn decode(json: &[u8]) -> Result<Self, String> {
        let gp: Self = from_json(json)?;
        let issuer = gp.instances.first().ok_or("the registry is empty")?;
        if !issuer.is_domain() || issuer.domain != issuer.aid {
            return Err("the registry does not begin with the issuer security domain".to_owned());
        }
        for (at, instance) in gp.instances.iter().enumerate() {
            if gp.instances.iter().take(at).any(|other| other.aid == instance.aid) {
                return Err(format!("the instance {:?} occurs twice", instance.aid));
            }
            if !gp.instance(&instance.domain).is_some_and(Instance::is_domain) {
                return Err(format!("the instance {:?} belongs to no domain", instance.aid));
            }
        }
        Ok(gp)
    }

    /// The row of an instance.
    pub(crate) fn instance(&self, aid: &Aid) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.aid == *aid)
    }

    /// The issuer security domain.
    pub(crate) fn issuer(&self) -> Option<&Instance> {
        self.instances.first()
    }

    pub(crate) fn is_issuer(&self, aid: &Aid) -> bool {
        self.issuer().is_some_and(|issuer| issuer.aid == *aid)
    }

    /// The instance that a reset selects on the basic channel (§6.4.1.1): the one with the privilege Card Reset, else
    /// the issuer's domain.
    pub(crate) fn default_selected(&self) -> Option<&Instance> {
        let named = self.instances.iter().find(|one| one.has(privilege::CARD_RESET) && one.is_selectable());
        named.filter(|_| self.card != CardState::Locked).or(self.issuer())
    }

    /// The domain whose key sets count for this one: itself, or the nearest above it that has some.
    pub(crate) fn key_owner(&self, domain: &Aid) -> Aid {
        let mut owner = domain.clone();
        // As many steps as there are rows end at the issuer's domain, or in a loop that nothing can have made.
        for _ in &self.instances {
            if self.keys.iter().any(|set| set.domain == owner) {
                break;
            }
            match self.instance(&owner) {
                Some(row) => owner = row.domain.clone(),
                None => break,
            }
        }
        owner
    }

    /// A data object.
    pub(crate) fn data(&self, owner: &Aid, tag: u16) -> Option<&[u8]> {
        self.data
            .iter()
            .find(|data| data.owner == *owner && data.tag == tag)
            .map(|data| data.value.as_slice())
    }

    /// Whether an instance belongs to a domain, at whatever depth.
    pub(crate) fn is_below(&self, aid: &Aid, domain: &Aid) -> bool {
        let mut at = aid;
        for _ in &self.instances {
            match self.instance(at) {
                Some(row) if row.aid == *domain || row.domain == row.aid => return false,
                Some(row) if row.domain == *domain => return true,
                Some(row) => at = &row.domain,
                None => return false,
            }
        }
        false
    }

    /// The privileges of an instance as the registry shows them: Card Reset is the issuer's while nobody else has it.
    pub(crate) fn privileges(&self, instance: &Instance) -> [u8; 3] {
        let given = self.instances.iter().any(|other| other.has(privilege::CARD_RESET));
        let reset = if self.is_issuer(&instance.aid) && !given { privilege::CARD_RESET } else { 0 };
        let [_, bytes @ ..] = (instance.privileges | reset).to_be_bytes();
        bytes
    }

    /// The room that rows, keys and data take, in bytes.
    pub(crate) fn footprint(&self) -> usize {
        let data: usize = self.data.iter().map(|data| data.value.len() + 8).sum();
        64 * self.instances.len() + 128 * self.keys.len() + data
    }

    /// Sets or replaces a data object.
    pub(crate) fn set_data(&mut self, owner: &Aid, tag: u16, value: &[u8]) {
        self.data.retain(|data| data.owner != *owner || data.tag != tag);
        self.data.push(DataObject { owner: owner.clone(), tag, value: value.to_vec() });
    }
}

/// What a command has proved of its sender: that it holds a key set which speaks for a domain.
///
/// A secure channel protocol makes one when it has authenticated the host, and forgets it when the session ends.
#[derive(Clone)]
pub(crate) struct Level {
    /// The domain for which the host authenticated.
    pub(crate) domain: Aid,
    /// The static data encryption key of the set, for PUT KEY.
    pub(crate) dek: Option<Secret>,
}

/// What the card manager remembers between the commands of one channel.
#[derive(Default)]
pub(crate) struct Volatile {
    /// Where GET STATUS goes on.
    status: Option<status::Cursor>,
    /// The application that takes the next STORE DATA.
    personalising: Option<Aid>,
    /// The blocks of STORE DATA so far.
    blocks: Option<data::Blocks>,
}

const INS_DELETE: u8 = 0xE4;
const INS_GET_DATA: u8 = 0xCA;
const INS_GET_STATUS: u8 = 0xF2;
const INS_INSTALL: u8 = 0xE6;
const INS_LOAD: u8 = 0xE8;
const INS_PUT_KEY: u8 = 0xD8;
const INS_SET_STATUS: u8 = 0xF0;
const INS_STORE_DATA: u8 = 0xE2;

/// Carries out a command that came to a security domain (§11). `elsewhere` are the instances that the session's other
/// channels have selected.
pub(crate) fn process(
    card: &mut Card,
    volatile: &mut Volatile,
    domain: &Instance,
    elsewhere: &[Aid],
    command: &Command,
) -> Result<Reply, Refusal> {
    // Sequences of commands end with the first that is none of theirs.
    let cursor = volatile.status.take();
    if command.ins != INS_STORE_DATA {
        volatile.blocks = None;
        volatile.personalising = None;
    }
    if command.cla != 0x80 && command.ins != INS_GET_DATA {
        return Err(Refusal::Instruction);
    }
    match command.ins {
        INS_GET_DATA => return Ok(data::get(card, domain, command)?.into()),
        // The code of this element is this program; no load file could run here, whoever signs it.
        INS_LOAD => return Err(Refusal::Function),
        INS_INSTALL if command.p1 & install::FOR_LOAD != 0 => return Err(Refusal::Function),
        INS_DELETE | INS_GET_STATUS | INS_INSTALL | INS_PUT_KEY | INS_SET_STATUS | INS_STORE_DATA => {}
        _ => return Err(Refusal::Instruction),
    }
    if card.level().is_none_or(|level| level.domain != domain.aid) {
        return Err(Refusal::Security);
    }
    match command.ins {
        INS_GET_STATUS => status::get(card, volatile, cursor, domain, command),
        INS_SET_STATUS => status::set(card, domain, command),
        // Content is not managed while the card is locked (table 11-1).
        _ if card.gp().card == CardState::Locked => Err(Refusal::NotNow),
        INS_DELETE => delete::process(card, domain, elsewhere, command),
        INS_INSTALL => install::process(card, volatile, domain, command),
        INS_PUT_KEY => put_key::process(card, domain, command),
        _ => data::store(card, volatile, domain, command),
    }
}

/// The answer to a command of content management: no receipt follows (§11.1.6).
fn no_receipt() -> Reply {
    vec![0x00].into()
}
