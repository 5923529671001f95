//! What changes the applet as a whole: transport lock, platform channel, creation of objects, deletion of all of them.
//! Each works in a session of the authentication object that stands for it, and nowhere else.

use touchmark_identity::apdu::se05x::{self, Instruction, Origin, TAG_1, TAG_2};
use touchmark_identity::apdu::tlv::Tlvs;

use crate::card::{Card, Refusal};

fn in_session_of(card: &Card, user: u32) -> Result<(), Refusal> {
    if card.iot_ref().caller.user == user { Ok(()) } else { Err(Refusal::NotNow) }
}

/// Whether the transport lock keeps this command off. A locked applet says what it is and what it holds, and opens
/// sessions of the transport key, in which everything works.
pub(super) fn keeps_off(card: &Card, instruction: Instruction, fields: &Tlvs<'_>) -> bool {
    let unlocked = !card.state().settings.locked || card.iot_ref().unlocked;
    if unlocked || card.iot_ref().caller.user == se05x::TRANSPORT {
        return false;
    }
    let id = fields.optional(TAG_1).ok().flatten().map(u32::from_be_bytes);
    match instruction {
        Instruction::GetVersion
        | Instruction::GetExtVersion
        | Instruction::GetRandom
        | Instruction::ReadAttributes
        | Instruction::ReadType
        | Instruction::ReadIdList
        | Instruction::CheckObjectExists => false,
        Instruction::CreateSession => id != Some(se05x::TRANSPORT),
        Instruction::ReadObject => id != Some(se05x::UNIQUE_ID),
        _ => true,
    }
}

/// SetLockState: the durable lock, or the one that opens it until the applet is deselected.
pub(super) fn set_lock(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    in_session_of(card, se05x::TRANSPORT)?;
    let [indicator] = fields.exact(TAG_1)?;
    let [state] = fields.exact(TAG_2)?;
    let locked = state == se05x::LOCKED;
    match indicator {
        se05x::LOCK_TRANSIENT => card.iot().unlocked = !locked,
        se05x::LOCK_PERSISTENT => {
            let mut next = card.state().clone();
            next.settings.locked = locked;
            card.commit(next)?;
        }
        _ => return Err(Refusal::Field),
    }
    Ok(Vec::new())
}

/// SetPlatformSCPRequest.
pub(super) fn set_platform(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    in_session_of(card, se05x::PLATFORM_SCP)?;
    let required = match fields.exact(TAG_1)? {
        [se05x::SCP_REQUIRED] => true,
        [se05x::SCP_NOT_REQUIRED] => false,
        _ => return Err(Refusal::Field),
    };
    let mut next = card.state().clone();
    next.settings.platform_required = required;
    card.commit(next)?;
    Ok(Vec::new())
}

/// DisableObjectCreation: from here on no new objects, durable ones only or all. There is no way back.
pub(super) fn restrict(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    in_session_of(card, se05x::RESTRICT)?;
    let [mode] = fields.exact(TAG_1)?;
    if !matches!(mode, se05x::RESTRICT_NEW | se05x::RESTRICT_ALL) {
        return Err(Refusal::Field);
    }
    let mut next = card.state().clone();
    next.settings.restricted = next.settings.restricted.max(mode);
    card.commit(next)?;
    Ok(Vec::new())
}

/// DeleteAll: every object but those of the maker, all crypto objects, and all sessions.
pub(super) fn delete_all(card: &mut Card) -> Result<Vec<u8>, Refusal> {
    in_session_of(card, se05x::FACTORY_RESET)?;
    let mut next = card.state().clone();
    next.objects.retain(|_, object| object.origin == Origin::PROVISIONED);
    let left = next.objects.clone();
    next.failed.retain(|id, _| left.contains_key(id));
    card.commit(next)?;
    let volatile = card.iot();
    volatile.crypto_objects.clear();
    volatile.values.clear();
    volatile.sessions.clear();
    Ok(Vec::new())
}
