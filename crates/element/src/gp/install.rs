//! INSTALL (GlobalPlatform Card Specification 2.3.1 §11.5).

use touchmark_identity::apdu::Command;

use super::registry::{DOMAIN_ELF, ELFS, Instance, Module, life, privilege};
use super::{Aid, Gp, PARAMETER, Volatile, no_receipt, tlv};
use crate::card::{Card, Refusal};
use crate::runtime::Reply;

/// P1 of INSTALL, table 11-41.
pub(super) const FOR_LOAD: u8 = 0x02;
const FOR_INSTALL: u8 = 0x04;
const FOR_MAKE_SELECTABLE: u8 = 0x08;
const FOR_INSTALL_AND_MAKE_SELECTABLE: u8 = 0x0C;
const FOR_EXTRADITION: u8 = 0x10;
const FOR_PERSONALIZATION: u8 = 0x20;

/// Rows of the registry, the issuer's domain included.
const MOST_INSTANCES: usize = 48;
/// Security domains among them.
const MOST_DOMAINS: usize = 8;
/// What an application may be given; a domain also manages content. Delegated management, DAP verification and CVM
/// are not here, and nobody but the issuer reaches beyond its own instances.
const FOR_APPLICATIONS: u32 = privilege::CARD_LOCK | privilege::CARD_TERMINATE | privilege::CARD_RESET;
const FOR_DOMAINS: u32 = FOR_APPLICATIONS | privilege::SECURITY_DOMAIN | privilege::AUTHORIZED_MANAGEMENT;
/// Application specific parameters, and system specific parameters (table 11-49).
const TAG_APPLICATION: u16 = 0xC9;
const TAG_SYSTEM: u16 = 0xEF;
/// In a domain's parameters: the secure channel protocol and its i (Amendment D §7.2).
const TAG_PROTOCOL: u16 = 0x81;
const SCP03: u8 = 0x03;

pub(super) fn process(
    card: &mut Card,
    volatile: &mut Volatile,
    domain: &Instance,
    command: &Command,
) -> Result<Reply, Refusal> {
    if command.p2 != 0 {
        return Err(Refusal::Parameters);
    }
    let mut fields = tlv::fields(&command.data).ok_or(Refusal::Field)?;
    // Some hosts leave out the token, which is empty here in any case: there is no delegated management.
    if fields.len() == 5 {
        fields.push(&[]);
    }
    let [first, second, third, fourth, fifth, []] = fields.as_slice() else {
        return Err(Refusal::Field);
    };
    let fields = [*first, *second, *third, *fourth, *fifth];
    match command.p1 {
        FOR_INSTALL | FOR_INSTALL_AND_MAKE_SELECTABLE => {
            let selectable = command.p1 == FOR_INSTALL_AND_MAKE_SELECTABLE;
            let next = install(card.gp(), domain, fields, selectable)?;
            card.commit_gp(next)?;
        }
        FOR_MAKE_SELECTABLE => {
            let next = make_selectable(card.gp(), domain, fields)?;
            card.commit_gp(next)?;
        }
        FOR_EXTRADITION => {
            let next = extradite(card.gp(), domain, fields)?;
            card.commit_gp(next)?;
        }
        FOR_PERSONALIZATION => volatile.personalising = Some(personalise(card.gp(), domain, fields)?),
        _ => return Err(Refusal::Parameters),
    }
    Ok(no_receipt())
}

/// The fields are the load file, the module, the instance, privileges, parameters.
fn install(gp: &Gp, domain: &Instance, fields: [&[u8]; 5], selectable: bool) -> Result<Gp, Refusal> {
    let [elf, module, name, privileges, parameters] = fields;
    if !domain.has(privilege::AUTHORIZED_MANAGEMENT) {
        return Err(Refusal::NotNow);
    }
    let elf = ELFS.iter().find(|one| one.aid == elf).ok_or(Refusal::Unknown)?;
    let (_, code) = elf.modules.iter().find(|(aid, _)| *aid == module).ok_or(Refusal::Unknown)?;
    let aid = Aid::new(if name.is_empty() { module } else { name }).ok_or(Refusal::Field)?;
    if gp.instance(&aid).is_some() || ELFS.iter().any(|elf| elf.aid == aid.bytes()) {
        return Err(Refusal::Field);
    }
    let privileges = self::privileges(privileges)?;
    let (allowed, needed) = match code {
        Module::Domain => (FOR_DOMAINS, privilege::SECURITY_DOMAIN),
        Module::Iot | Module::Notes => (FOR_APPLICATIONS, 0),
    };
    if privileges & !allowed != 0 || privileges & needed != needed || reset_is_taken(gp, privileges) {
        return Err(Refusal::Field);
    }
    let parameter = self::parameter(*code, parameters)?;
    // The applet's objects, and its attestation key, are of the chip: there is one of it.
    if *code == Module::Iot {
        return Err(Refusal::NotSuited);
    }
    let domains = gp.instances.iter().filter(|one| one.is_domain()).count();
    if gp.instances.len() >= MOST_INSTANCES || (*code == Module::Domain && domains >= MOST_DOMAINS) {
        return Err(Refusal::Memory);
    }
    let elf = Aid::new(elf.aid).or_else(|| Aid::new(DOMAIN_ELF)).ok_or(Refusal::Field)?;
    let mut next = gp.clone();
    next.instances.push(Instance {
        aid,
        module: *code,
        elf,
        domain: domain.aid.clone(),
        life_cycle: if selectable { life::SELECTABLE } else { life::INSTALLED },
        privileges,
        parameter,
    });
    Ok(next)
}

/// One byte or three; the others of one are zero.
fn privileges(bytes: &[u8]) -> Result<u32, Refusal> {
    match bytes {
        [] => Ok(0),
        [first] => Ok(u32::from_be_bytes([0, *first, 0, 0])),
        [first, second, third] => Ok(u32::from_be_bytes([0, *first, *second, *third])),
        _ => Err(Refusal::Field),
    }
}

/// One instance at most has Card Reset beside the issuer's domain.
fn reset_is_taken(gp: &Gp, privileges: u32) -> bool {
    privileges & privilege::CARD_RESET != 0 && gp.instances.iter().any(|one| one.has(privilege::CARD_RESET))
}

/// Checks the parameters, and takes i from those of a domain.
fn parameter(code: Module, parameters: &[u8]) -> Result<u8, Refusal> {
    let mut parameter = PARAMETER;
    for (tag, value) in tlv::parse(parameters).ok_or(Refusal::Field)? {
        match tag {
            TAG_APPLICATION if code == Module::Domain => {
                for (tag, value) in tlv::parse(value).ok_or(Refusal::Field)? {
                    match (tag, value) {
                        // i says pseudo-random challenges (10), R-MAC (20), with it R-ENCRYPTION (40), S16 (01).
                        (TAG_PROTOCOL, [SCP03, i]) if i & !0x71 == 0 && i & 0x60 != 0x40 => parameter = *i,
                        (TAG_PROTOCOL, _) => return Err(Refusal::Field),
                        _ => {}
                    }
                }
            }
            TAG_APPLICATION | TAG_SYSTEM => {}
            _ => return Err(Refusal::Field),
        }
    }
    Ok(parameter)
}

/// The fields are two empty ones, the instance, privileges, parameters.
fn make_selectable(gp: &Gp, domain: &Instance, fields: [&[u8]; 5]) -> Result<Gp, Refusal> {
    let [_, _, name, privileges, _] = fields;
    if !domain.has(privilege::AUTHORIZED_MANAGEMENT) {
        return Err(Refusal::NotNow);
    }
    let aid = Aid::new(name).ok_or(Refusal::Field)?;
    let instance = gp.instance(&aid).ok_or(Refusal::Unknown)?;
    if instance.life_cycle != life::INSTALLED || !gp.is_below(&aid, &domain.aid) {
        return Err(Refusal::NotSuited);
    }
    // Card Reset may be given now; the rest was given at installation.
    let given = self::privileges(privileges)?;
    let new = given & !instance.privileges;
    if new & !privilege::CARD_RESET != 0 || reset_is_taken(gp, new) {
        return Err(Refusal::Field);
    }
    let mut next = gp.clone();
    for instance in next.instances.iter_mut().filter(|one| one.aid == aid) {
        instance.life_cycle = life::SELECTABLE;
        instance.privileges |= new;
    }
    Ok(next)
}

/// The fields are the new domain, an empty one, the instance, and two empty ones.
fn extradite(gp: &Gp, domain: &Instance, fields: [&[u8]; 5]) -> Result<Gp, Refusal> {
    let [to, [], name, [], _] = fields else {
        return Err(Refusal::Field);
    };
    let (to, aid) = (Aid::new(to).ok_or(Refusal::Field)?, Aid::new(name).ok_or(Refusal::Field)?);
    let target = gp.instance(&to).ok_or(Refusal::Unknown)?;
    let instance = gp.instance(&aid).ok_or(Refusal::Unknown)?;
    let rightful = domain.has(privilege::AUTHORIZED_MANAGEMENT)
        && (instance.domain == domain.aid || gp.is_issuer(&domain.aid));
    let circle = to == aid || gp.is_below(&to, &aid);
    if !rightful || gp.is_issuer(&aid) || circle || !target.is_domain() || !target.is_selectable() {
        return Err(Refusal::NotSuited);
    }
    let mut next = gp.clone();
    for instance in next.instances.iter_mut().filter(|one| one.aid == aid) {
        instance.domain = to.clone();
    }
    Ok(next)
}

/// The fields are empty but for the instance, the third.
fn personalise(gp: &Gp, domain: &Instance, fields: [&[u8]; 5]) -> Result<Aid, Refusal> {
    let [[], [], name, [], []] = fields else {
        return Err(Refusal::Field);
    };
    let aid = Aid::new(name).ok_or(Refusal::Field)?;
    let instance = gp.instance(&aid).ok_or(Refusal::Unknown)?;
    if instance.domain != domain.aid || instance.aid == domain.aid || !instance.is_selectable() {
        return Err(Refusal::NotSuited);
    }
    Ok(aid)
}
