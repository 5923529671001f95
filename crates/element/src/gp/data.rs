//! GET DATA and STORE DATA (GlobalPlatform Card Specification 2.3.1 §11.3, §11.11), and the answer to SELECT.

use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::se05x::CHIP_ID_BYTES;

use super::registry::{Instance, Module};
use super::{Aid, Gp, Volatile, tlv};
use crate::card::{Card, Refusal};
use crate::notes;
use crate::runtime::Reply;

/// Issuer identification number, and card image number: what STORE DATA may give a domain.
const IIN: u16 = 0x0042;
const CIN: u16 = 0x0045;
const CARD_DATA: u16 = 0x0066;
const CARD_CAPABILITIES: u16 = 0x0067;
const SEQUENCE_COUNTER: u16 = 0x00C1;
const DIVERSIFICATION_DATA: u16 = 0x00CF;
const KEY_TEMPLATE: u16 = 0x00E0;
const CPLC: u16 = 0x9F7F;
const EXTENDED_RESOURCES: u16 = 0xFF21;
/// AES, in a key information template (table 11-16).
const KEY_TYPE_AES: u8 = 0x88;

/// P1 of STORE DATA: last block; encryption; the structure of the data.
const LAST: u8 = 0x80;
const STRUCTURE: u8 = 0x18;
const NO_STRUCTURE: u8 = 0x00;
const DGI: u8 = 0x08;
const BER_TLV: u8 = 0x10;
/// Blocks of one STORE DATA sequence, in bytes.
const MOST_BLOCK_BYTES: usize = 8192;
/// IIN and CIN are no longer, in bytes.
const MOST_NUMBER_BYTES: usize = 16;

const OID_CARD: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x01];
/// GlobalPlatform 2.3.1.
const OID_VERSION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x02, 0x02, 0x03, 0x01];
const OID_IDENTIFICATION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x03];
/// A secure channel protocol: its number and i follow.
const OID_PROTOCOL: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x04];
const SCP03: u8 = 0x03;
const TAG_OID: u16 = 0x06;

/// The contents of "security domain management data" and of "card data" (appendix H.2, H.3).
fn recognition(instance: &Instance) -> Vec<u8> {
    let oid = |oid: &[u8]| tlv::encode(TAG_OID, oid);
    let protocol = [OID_PROTOCOL, &[SCP03, instance.parameter]].concat();
    let parts = [
        oid(OID_CARD),
        tlv::encode(0x60, &oid(OID_VERSION)),
        tlv::encode(0x63, &oid(OID_IDENTIFICATION)),
        tlv::encode(0x64, &oid(&protocol)),
    ];
    tlv::encode(0x73, &parts.concat())
}

/// What SELECT of a domain answers (§11.9.3.1): file control information.
pub(crate) fn control_information(instance: &Instance) -> Vec<u8> {
    // Without production life cycle data: there is none to tell, and an example of NXP's has no room for it. The longest
    // data of a command is 255 bytes in short form.
    let proprietary = [recognition(instance), tlv::encode(0x9F65, &[0x01, 0xFF])];
    let value = [tlv::encode(0x84, instance.aid.bytes()), tlv::encode(0xA5, &proprietary.concat())];
    tlv::encode(0x6F, &value.concat())
}

/// The ten bytes of key diversification data: made from the chip's id, so that keys can be derived for each chip.
pub(crate) fn diversification(chip_id: &[u8; CHIP_ID_BYTES]) -> [u8; 10] {
    let mut data = [0; 10];
    data.iter_mut().zip(chip_id).for_each(|(to, from)| *to = *from);
    data
}

/// GET DATA: free for everybody.
pub(super) fn get(card: &Card, domain: &Instance, command: &Command) -> Result<Vec<u8>, Refusal> {
    let gp = card.gp();
    let tag = u16::from_be_bytes([command.p1, command.p2]);
    let is_issuer = gp.is_issuer(&domain.aid);
    let owner = gp.key_owner(&domain.aid);
    let sets = gp.keys.iter().filter(|set| set.domain == owner);
    let value = match tag {
        IIN | CIN => gp.data(&domain.aid, tag).ok_or(Refusal::Unknown)?.to_vec(),
        CARD_DATA => recognition(domain),
        CARD_CAPABILITIES if is_issuer => {
            // SCP03 with its i, keys of all three sizes; what domains, and what applications may be given.
            let protocol = [0x80, 0x01, SCP03, 0x81, 0x01, domain.parameter, 0x82, 0x01, 0x07];
            let parts = [
                tlv::encode(0xA0, &protocol),
                tlv::encode(0x81, &[0x9C, 0x40, 0x00]),
                tlv::encode(0x82, &[0x1C, 0x00, 0x00]),
            ];
            parts.concat()
        }
        SEQUENCE_COUNTER => {
            let [_, counter @ ..] = sets.clone().next().ok_or(Refusal::Unknown)?.sequence.to_be_bytes();
            counter.to_vec()
        }
        DIVERSIFICATION_DATA => diversification(&card.state().chip_id).to_vec(),
        KEY_TEMPLATE => sets
            .flat_map(|set| (1..).zip(&set.keys).map(move |(id, key)| (id, set.version, key.bytes().len())))
            .flat_map(|(id, version, length)| {
                tlv::encode(0xC0, &[id, version, KEY_TYPE_AES, u8::try_from(length).unwrap_or(0)])
            })
            .collect(),
        CPLC if is_issuer => life_cycle_data(&card.state().chip_id),
        EXTENDED_RESOURCES if is_issuer => {
            let applications = gp.instances.iter().filter(|one| !one.is_domain()).count();
            let free = u32::try_from(card.free_bytes()).unwrap_or(u32::MAX);
            let parts = [
                tlv::encode(0x81, &u16::try_from(applications).unwrap_or(u16::MAX).to_be_bytes()),
                tlv::encode(0x82, &free.to_be_bytes()),
                tlv::encode(0x83, &0u32.to_be_bytes()),
            ];
            parts.concat()
        }
        _ => return Err(Refusal::Unknown),
    };
    Ok(tlv::encode(tag, &value))
}

/// Card production life cycle data, 42 bytes: no maker's codes, `TEST` as the serial number, and the chip's id in the
/// fields that are for whoever personalises.
fn life_cycle_data(chip_id: &[u8; CHIP_ID_BYTES]) -> Vec<u8> {
    let mut data = Vec::with_capacity(42);
    // Fabricator, type, operating system, its release date and level, fabrication date.
    data.extend(b"TM");
    data.extend([0x00, 0x01, 0x54, 0x4D, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00]);
    data.extend(b"TEST");
    // Batch, module fabricator and date, manufacturer and date, pre-personaliser, date.
    data.extend([0; 14]);
    data.extend(chip_id.iter().take(4));
    // Personaliser, date, equipment.
    data.extend([0; 4]);
    data.extend(chip_id.iter().skip(4).take(4));
    data
}

/// The blocks of a STORE DATA sequence, as far as they came.
pub(crate) struct Blocks {
    next: u8,
    structure: u8,
    data: Vec<u8>,
}

/// STORE DATA: collects the blocks, and hands all of it over with the last one: to the application that INSTALL [for
/// personalization] named, else to the domain itself.
pub(super) fn store(
    card: &mut Card,
    volatile: &mut Volatile,
    domain: &Instance,
    command: &Command,
) -> Result<Reply, Refusal> {
    let structure = command.p1 & STRUCTURE;
    if command.p1 & !(LAST | STRUCTURE) != 0 || structure == STRUCTURE {
        return Err(Refusal::Parameters);
    }
    let mut blocks = match (volatile.blocks.take(), command.p2) {
        (_, 0) => Blocks { next: 0, structure, data: Vec::new() },
        (Some(blocks), number) if blocks.next == number && blocks.structure == structure => blocks,
        _ => return Err(Refusal::Parameters),
    };
    if blocks.data.len() + command.data.len() > MOST_BLOCK_BYTES {
        return Err(Refusal::Memory);
    }
    blocks.data.extend(&command.data);
    if command.p1 & LAST == 0 {
        blocks.next = command.p2.checked_add(1).ok_or(Refusal::Parameters)?;
        volatile.blocks = Some(blocks);
        return Ok(Vec::new().into());
    }
    let target = volatile.personalising.take().unwrap_or_else(|| domain.aid.clone());
    let mut next = card.gp().clone();
    match (next.instance(&target).map(|one| one.module).ok_or(Refusal::NotNow)?, structure) {
        (Module::Domain, NO_STRUCTURE | BER_TLV) => store_in_domain(&mut next, &target, &blocks.data)?,
        (Module::Notes, NO_STRUCTURE | DGI) => notes::personalise(&mut next, &target, &blocks.data)?,
        // Its objects come by its own commands.
        (Module::Iot, _) => return Err(Refusal::Unknown),
        _ => return Err(Refusal::Field),
    }
    card.commit_gp(next)?;
    Ok(Vec::new().into())
}

fn store_in_domain(gp: &mut Gp, domain: &Aid, data: &[u8]) -> Result<(), Refusal> {
    let objects = tlv::parse(data).filter(|objects| !objects.is_empty()).ok_or(Refusal::Field)?;
    for (tag, value) in objects {
        match tag {
            IIN | CIN if (1..=MOST_NUMBER_BYTES).contains(&value.len()) => gp.set_data(domain, tag, value),
            IIN | CIN => return Err(Refusal::Field),
            _ => return Err(Refusal::Unknown),
        }
    }
    Ok(())
}
