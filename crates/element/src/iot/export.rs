//! Values of transient objects outside of the chip: encrypted and authenticated with keys that no command gives, for the
//! object that they came from and no other.
//!
//! `01 ‖ object id (4) ‖ type (1) ‖ AES-256-CBC(the object, padded with 80 00...) ‖ AES-CMAC over all before (16)`. NXP says
//! what protects an exported object, not how it is laid out: this layout is ours.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use touchmark_identity::apdu::scp03::AesKey;
use touchmark_identity::apdu::se05x::{ObjectType, TAG_1, TAG_3};
use touchmark_identity::apdu::tlv::Tlvs;
use zeroize::Zeroizing;

use super::policy::allowed;
use super::{answer, object, replace};
use crate::card::{Card, Refusal};
use crate::object::{Body, Object, decode_object, encode_object};

const FORMAT: u8 = 0x01;
const BLOCK_BYTES: usize = 16;
const ENCRYPTION_KEY_BYTES: usize = 32;

/// The keys of this chip, made when they are needed first.
fn keys(card: &mut Card) -> Result<(AesKey, AesKey), Refusal> {
    let keys = match &card.state().export_keys {
        Some(keys) => Arc::clone(keys),
        None => {
            let mut new = Zeroizing::new(vec![0; ENCRYPTION_KEY_BYTES + BLOCK_BYTES]);
            SystemRandom::new().fill(&mut new).map_err(|_| Refusal::Crypto)?;
            let new = Arc::new(new);
            let mut next = card.state().clone();
            next.export_keys = Some(Arc::clone(&new));
            card.commit(next)?;
            new
        }
    };
    let (encryption, code) = keys.split_at_checked(ENCRYPTION_KEY_BYTES).ok_or(Refusal::Crypto)?;
    Ok((AesKey::new(encryption)?, AesKey::new(code)?))
}

/// The object of the command, when it may leave or come back: transient, a key of EC or AES, and allowed.
fn movable(card: &Card, fields: &Tlvs<'_>, policy: u32) -> Result<(u32, Arc<Object>), Refusal> {
    let (id, object) = object(card, fields)?;
    allowed(card, &object, policy)?;
    let kind = object.object_type();
    let is_key =
        [ObjectType::EC_KEY_PAIR, ObjectType::EC_PRIVATE_KEY, ObjectType::EC_PUBLIC_KEY, ObjectType::AES_KEY];
    if object.transient && is_key.contains(&kind) { Ok((id, object)) } else { Err(Refusal::NotSuited) }
}

fn metadata(id: u32, object: &Object) -> Vec<u8> {
    [&[FORMAT][..], &id.to_be_bytes(), &[object.object_type().0]].concat()
}

pub(super) fn export(card: &mut Card, fields: &Tlvs<'_>, policy: u32) -> Result<Vec<u8>, Refusal> {
    let (id, object) = movable(card, fields, policy)?;
    if matches!(object.body, Body::Absent { .. }) {
        return Err(Refusal::NotSuited);
    }
    let (encryption, code) = keys(card)?;
    let mut cipher = encode_object(id, &object).map_err(|_| Refusal::Crypto)?;
    cipher.push(0x80);
    let padded = cipher.len().next_multiple_of(BLOCK_BYTES);
    cipher.resize(padded, 0);
    encryption.cbc_encrypt([0; BLOCK_BYTES], &mut cipher)?;
    let mut out = metadata(id, &object);
    out.extend_from_slice(&cipher);
    out.extend(code.cmac(&[&out])?);
    answer(&[(TAG_1, &out)])
}

pub(super) fn import(card: &mut Card, fields: &Tlvs<'_>, policy: u32) -> Result<Vec<u8>, Refusal> {
    let (id, object) = movable(card, fields, policy)?;
    let given = fields.required(TAG_3)?;
    let (encryption, code) = keys(card)?;
    let (signed, mac) = given.split_last_chunk::<BLOCK_BYTES>().ok_or(Refusal::Field)?;
    verify_slices_are_equal(&code.cmac(&[signed])?, mac).map_err(|_| Refusal::NotSuited)?;
    let cipher = signed.strip_prefix(metadata(id, &object).as_slice()).ok_or(Refusal::NotSuited)?;
    let mut clear = Zeroizing::new(cipher.to_vec());
    encryption.cbc_decrypt([0; BLOCK_BYTES], &mut clear)?;
    let end = clear.iter().rposition(|byte| *byte != 0x00).ok_or(Refusal::Field)?;
    let json = clear.get(..end).filter(|_| clear.get(end) == Some(&0x80)).ok_or(Refusal::Field)?;
    let (named, came) = decode_object(json).map_err(|_| Refusal::Field)?;
    // A value does not come back under other rules than it left with.
    let same = named == id && came.policies == object.policies && came.owner == object.owner;
    if !same || came.curve() != object.curve() || came.object_type() != object.object_type() {
        return Err(Refusal::NotSuited);
    }
    replace(card, id, &object, came.origin, came.body)
}
