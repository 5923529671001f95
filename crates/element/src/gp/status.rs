//! GET STATUS and SET STATUS (GlobalPlatform Card Specification 2.3.1 §11.4, §11.10).

use touchmark_identity::apdu::{Command, StatusWord};

use super::registry::{CardState, ELFS, Instance, life, privilege};
use super::{Aid, Gp, Volatile, tlv};
use crate::card::{Card, Refusal};
use crate::runtime::Reply;

/// P1 of both: what is asked about, or set.
const ISSUER: u8 = 0x80;
const APPLICATIONS: u8 = 0x40;
const ELFS_ALONE: u8 = 0x20;
const ELFS_WITH_MODULES: u8 = 0x10;
/// P1 of SET STATUS: a domain with what belongs to it.
const DOMAIN_AND_APPLICATIONS: u8 = 0x60;
/// P2 of GET STATUS: the next page, and answers in TLV.
const NEXT: u8 = 0x01;
const TAGGED: u8 = 0x02;
/// Bytes in one answer: with the padding and the MAC of a secure channel still a short response.
const PAGE_BYTES: usize = 223;

const TAG_ENTRY: u16 = 0xE3;
const TAG_AID: u16 = 0x4F;
const TAG_TAG_LIST: u16 = 0x5C;
const TAG_LIFE_CYCLE: u16 = 0x9F70;
const TAG_PRIVILEGES: u16 = 0xC5;
const TAG_ELF: u16 = 0xC4;
const TAG_DOMAIN: u16 = 0xCC;
const TAG_MODULE: u16 = 0x84;

/// Where the answer to a GET STATUS goes on.
pub(crate) struct Cursor {
    p1: u8,
    tagged: bool,
    data: Vec<u8>,
    next: usize,
}

pub(super) fn get(
    card: &Card,
    volatile: &mut Volatile,
    cursor: Option<Cursor>,
    domain: &Instance,
    command: &Command,
) -> Result<Reply, Refusal> {
    if command.p2 & !(NEXT | TAGGED) != 0 {
        return Err(Refusal::Parameters);
    }
    let tagged = command.p2 & TAGGED != 0;
    let objects = tlv::parse(&command.data).ok_or(Refusal::Field)?;
    let (name, wanted) = match objects.as_slice() {
        [(TAG_AID, name)] => (*name, None),
        [(TAG_AID, name), (TAG_TAG_LIST, list)] => (*name, Some(tlv::tags(list).ok_or(Refusal::Field)?)),
        _ => return Err(Refusal::Field),
    };
    let first = match cursor {
        _ if command.p2 & NEXT == 0 => 0,
        Some(Cursor { p1, tagged: before, data, next })
            if p1 == command.p1 && before == tagged && data == command.data =>
        {
            next
        }
        _ => return Err(Refusal::NotNow),
    };
    let entries = entries(card.gp(), domain, command.p1, name)?;
    let mut answer = Vec::new();
    for (next, entry) in entries.iter().enumerate().skip(first) {
        let bytes = if tagged { entry.tagged(wanted.as_deref()) } else { entry.plain() };
        if !answer.is_empty() && answer.len() + bytes.len() > PAGE_BYTES {
            let data = command.data.clone();
            volatile.status = Some(Cursor { p1: command.p1, tagged, data, next });
            return Ok(Reply { data: answer, sw: StatusWord::MORE_DATA });
        }
        answer.extend(bytes);
    }
    if answer.is_empty() { Err(Refusal::Unknown) } else { Ok(answer.into()) }
}

/// One entry of an answer.
struct Entry {
    aid: Vec<u8>,
    life_cycle: u8,
    privileges: [u8; 3],
    elf: Option<Vec<u8>>,
    domain: Option<Vec<u8>>,
    modules: Vec<&'static [u8]>,
    /// Whether the old form counts the modules.
    counts: bool,
}

impl Entry {
    /// The data object of table 11-36, with the tags of the list where there is one.
    fn tagged(&self, wanted: Option<&[u16]>) -> Vec<u8> {
        let mut value = tlv::encode(TAG_AID, &self.aid);
        let mut add = |tag: u16, field: &[u8]| {
            if wanted.is_none_or(|wanted| wanted.contains(&tag)) {
                value.extend(tlv::encode(tag, field));
            }
        };
        add(TAG_LIFE_CYCLE, &[self.life_cycle]);
        if self.elf.is_some() || self.domain.is_none() {
            add(TAG_PRIVILEGES, &self.privileges);
        }
        if let Some(elf) = &self.elf {
            add(TAG_ELF, elf);
        }
        if let Some(domain) = &self.domain {
            add(TAG_DOMAIN, domain);
        }
        for module in &self.modules {
            add(TAG_MODULE, module);
        }
        tlv::encode(TAG_ENTRY, &value)
    }

    /// The form of older cards: name behind its length, state, first byte of the privileges, modules.
    fn plain(&self) -> Vec<u8> {
        let short = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap_or(0)][..], bytes].concat();
        let [privileges, ..] = self.privileges;
        let mut out = short(&self.aid);
        out.extend([self.life_cycle, privileges]);
        if self.counts {
            out.push(u8::try_from(self.modules.len()).unwrap_or(0));
            out.extend(self.modules.iter().flat_map(|module| short(module)));
        }
        out
    }
}

/// The entries that a domain sees: its own and what belongs to it, or all with Global Registry.
fn entries(gp: &Gp, domain: &Instance, p1: u8, name: &[u8]) -> Result<Vec<Entry>, Refusal> {
    let global = domain.has(privilege::GLOBAL_REGISTRY);
    let issuer = gp.issuer().map(|issuer| issuer.aid.bytes().to_vec());
    let row = |one: &Instance| {
        let is_issuer = gp.is_issuer(&one.aid);
        Entry {
            aid: one.aid.bytes().to_vec(),
            life_cycle: if is_issuer { gp.card.byte() } else { one.life_cycle },
            privileges: gp.privileges(one),
            elf: (!is_issuer).then(|| one.elf.bytes().to_vec()),
            domain: (!is_issuer).then(|| one.domain.bytes().to_vec()),
            modules: Vec::new(),
            counts: false,
        }
    };
    let visible = |one: &&Instance| global || one.aid == domain.aid || gp.is_below(&one.aid, &domain.aid);
    let entries: Vec<Entry> = match p1 {
        ISSUER => gp.instances.iter().take(1).filter(visible).map(row).collect(),
        APPLICATIONS => gp.instances.iter().skip(1).filter(visible).map(row).collect(),
        ELFS_ALONE | ELFS_WITH_MODULES => {
            let with_modules = p1 == ELFS_WITH_MODULES;
            let modules = |elf: &super::registry::Elf| {
                let all = elf.modules.iter().filter(|_| with_modules);
                all.map(|(aid, _)| *aid).collect()
            };
            let elfs = ELFS.iter().filter(|_| global).map(|elf| Entry {
                aid: elf.aid.to_vec(),
                life_cycle: life::LOADED,
                privileges: [0; 3],
                elf: None,
                domain: issuer.clone(),
                modules: modules(elf),
                counts: with_modules,
            });
            elfs.collect()
        }
        _ => return Err(Refusal::Parameters),
    };
    Ok(entries.into_iter().filter(|entry| entry.aid.starts_with(name)).collect())
}

pub(super) fn set(card: &mut Card, domain: &Instance, command: &Command) -> Result<Reply, Refusal> {
    let next = match command.p1 {
        ISSUER => set_card(card.gp(), domain, command)?,
        APPLICATIONS => set_instance(card.gp(), domain, command)?,
        DOMAIN_AND_APPLICATIONS => set_tree(card.gp(), domain, command)?,
        _ => return Err(Refusal::Parameters),
    };
    card.commit_gp(next)?;
    Ok(Vec::new().into())
}

fn set_card(gp: &Gp, domain: &Instance, command: &Command) -> Result<Gp, Refusal> {
    let state = CardState::find(command.p2).ok_or(Refusal::Parameters)?;
    let issuer = gp.issuer().is_some_and(|issuer| issuer.aid.bytes() == command.data);
    if !command.data.is_empty() && !issuer {
        return Err(Refusal::Field);
    }
    let needed = match state {
        CardState::Terminated => privilege::CARD_TERMINATE,
        CardState::Locked => privilege::CARD_LOCK,
        CardState::Secured if gp.card == CardState::Locked => privilege::CARD_LOCK,
        _ => privilege::FINAL_APPLICATION,
    };
    if !domain.has(needed) || !gp.card.may_become(state) {
        return Err(Refusal::NotSuited);
    }
    let mut next = gp.clone();
    next.card = state;
    Ok(next)
}

/// The instance that the data names, when the domain may lock it.
fn target<'a>(gp: &'a Gp, domain: &Instance, command: &Command) -> Result<&'a Instance, Refusal> {
    let aid = Aid::new(&command.data).ok_or(Refusal::Field)?;
    let instance = gp.instance(&aid).ok_or(Refusal::Unknown)?;
    let own = instance.aid == domain.aid || gp.is_below(&aid, &domain.aid);
    if gp.is_issuer(&aid) || gp.card == CardState::Locked || !(own || domain.has(privilege::GLOBAL_LOCK)) {
        return Err(Refusal::NotSuited);
    }
    Ok(instance)
}

fn set_instance(gp: &Gp, domain: &Instance, command: &Command) -> Result<Gp, Refusal> {
    let instance = target(gp, domain, command)?;
    let locked = instance.life_cycle & life::LOCKED != 0;
    let life_cycle = match command.p2 {
        lock if lock & life::LOCKED != 0 && !locked => instance.life_cycle | life::LOCKED,
        // "returns to the state from which it was locked" (§5.3.1.4), whatever else P2 says.
        unlock if unlock & life::LOCKED == 0 && locked => instance.life_cycle & !life::LOCKED,
        life::PERSONALIZED if instance.is_domain() && instance.life_cycle == life::SELECTABLE => {
            life::PERSONALIZED
        }
        _ => return Err(Refusal::NotSuited),
    };
    let aid = instance.aid.clone();
    let mut next = gp.clone();
    for one in next.instances.iter_mut().filter(|one| one.aid == aid) {
        one.life_cycle = life_cycle;
    }
    Ok(next)
}

/// Locks or unlocks a domain and all that belongs to it, whatever state each is in.
fn set_tree(gp: &Gp, domain: &Instance, command: &Command) -> Result<Gp, Refusal> {
    let top = target(gp, domain, command)?;
    if !top.is_domain() {
        return Err(Refusal::NotSuited);
    }
    let lock = command.p2 & life::LOCKED;
    if top.life_cycle & life::LOCKED == lock {
        return Err(Refusal::NotSuited);
    }
    let mut next = gp.clone();
    for one in next.instances.iter_mut().filter(|one| one.aid == top.aid || gp.is_below(&one.aid, &top.aid)) {
        one.life_cycle = one.life_cycle & !life::LOCKED | lock;
    }
    Ok(next)
}
