//! DELETE (GlobalPlatform Card Specification 2.3.1 §11.2): instances, domains, and key sets.

use touchmark_identity::apdu::Command;

use super::registry::{ELFS, Instance, Module, privilege};
use super::{Aid, Gp, no_receipt, tlv};
use crate::card::{Card, Refusal};
use crate::runtime::Reply;

/// P2: the object alone, or with what belongs to it.
const ALONE: u8 = 0x00;
const WITH_RELATED: u8 = 0x80;
const TAG_AID: u16 = 0x4F;
const TAG_KEY_ID: u16 = 0xD0;
const TAG_KEY_VERSION: u16 = 0xD2;

pub(super) fn process(
    card: &mut Card,
    domain: &Instance,
    elsewhere: &[Aid],
    command: &Command,
) -> Result<Reply, Refusal> {
    let related = match (command.p1, command.p2) {
        (0, ALONE) => false,
        (0, WITH_RELATED) => true,
        _ => return Err(Refusal::Parameters),
    };
    let objects = tlv::parse(&command.data).ok_or(Refusal::Field)?;
    let next = match objects.as_slice() {
        [(TAG_AID, name)] => instance(card.gp(), domain, elsewhere, name, related)?,
        [(TAG_KEY_VERSION, [version])] => key_set(card.gp(), domain, *version)?,
        // Keys are kept in sets of three, and a set is deleted as a whole.
        [(TAG_KEY_ID, _)] | [(TAG_KEY_ID, _), (TAG_KEY_VERSION, _)] => return Err(Refusal::NotSuited),
        _ => return Err(Refusal::Field),
    };
    card.commit_gp(next)?;
    Ok(no_receipt())
}

fn instance(
    gp: &Gp,
    domain: &Instance,
    elsewhere: &[Aid],
    name: &[u8],
    related: bool,
) -> Result<Gp, Refusal> {
    // What is part of this program stays.
    if ELFS.iter().any(|elf| elf.aid == name) {
        return Err(Refusal::NotSuited);
    }
    let aid = Aid::new(name).ok_or(Refusal::Field)?;
    let found = gp.instance(&aid).ok_or(Refusal::Unknown)?;
    let rightful = domain.has(privilege::GLOBAL_DELETE)
        || (domain.has(privilege::AUTHORIZED_MANAGEMENT) && gp.is_below(&aid, &domain.aid));
    if !rightful || gp.is_issuer(&aid) || found.aid == domain.aid {
        return Err(Refusal::NotSuited);
    }
    let goes = |one: &Instance| one.aid == aid || gp.is_below(&one.aid, &aid);
    let going = gp.instances.iter().filter(|one| goes(one));
    if !related && going.clone().count() > 1 {
        return Err(Refusal::NotSuited);
    }
    if going.clone().any(|one| one.module == Module::Iot || elsewhere.contains(&one.aid)) {
        return Err(Refusal::NotSuited);
    }
    let mut next = gp.clone();
    next.instances.retain(|one| !goes(one));
    next.keys = gp.keys.iter().filter(|set| next.instance(&set.domain).is_some()).cloned().collect();
    next.data = gp.data.iter().filter(|data| next.instance(&data.owner).is_some()).cloned().collect();
    Ok(next)
}

fn key_set(gp: &Gp, domain: &Instance, version: u8) -> Result<Gp, Refusal> {
    let own = |set: &&super::KeySet| set.domain == domain.aid;
    if !gp.keys.iter().filter(own).any(|set| set.version == version) {
        return Err(Refusal::Unknown);
    }
    // Without a key set nobody would ever reach the card again.
    if gp.is_issuer(&domain.aid) && gp.keys.iter().filter(own).count() == 1 {
        return Err(Refusal::NotSuited);
    }
    let mut next = gp.clone();
    next.keys.retain(|set| set.domain != domain.aid || set.version != version);
    Ok(next)
}
