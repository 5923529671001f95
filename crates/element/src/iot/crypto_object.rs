//! Crypto objects: what digests, ciphers and MACs in several parts go on from.

use touchmark_identity::apdu::se05x::{self, TAG_1, TAG_2, TAG_3};
use touchmark_identity::apdu::tlv::Tlvs;

use super::cipher::{Cipher, Mode};
use super::mac::{self, Mac};
use super::{answer, digest};
use crate::card::{Card, Refusal};

/// The most crypto objects at once.
const MOST: usize = 16;

/// A crypto object.
pub(crate) struct CryptoObject {
    pub(crate) context: u8,
    /// Digest, cipher mode or MAC algorithm, by the context.
    pub(crate) algorithm: u8,
    pub(crate) running: Running,
}

/// What a crypto object is in the middle of.
#[derive(Default)]
pub(crate) enum Running {
    #[default]
    Nothing,
    Digest(aws_lc_rs::digest::Context),
    Cipher(Box<Cipher>),
    Mac {
        mac: Mac,
        checks: bool,
    },
}

pub(super) fn create(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let id = u16::from_be_bytes(fields.exact(TAG_1)?);
    let [context] = fields.exact(TAG_2)?;
    let [algorithm] = fields.exact(TAG_3)?;
    match context {
        se05x::CONTEXT_DIGEST => digest::algorithm(algorithm).map(drop)?,
        se05x::CONTEXT_CIPHER => Mode::of(algorithm).map(drop)?,
        se05x::CONTEXT_MAC if mac::is_known(algorithm) => {}
        _ => return Err(Refusal::Field),
    }
    let objects = &mut card.iot().crypto_objects;
    if objects.contains_key(&id) {
        return Err(Refusal::NotSuited);
    }
    if objects.len() >= MOST {
        return Err(Refusal::Memory);
    }
    objects.insert(id, CryptoObject { context, algorithm, running: Running::Nothing });
    Ok(Vec::new())
}

pub(super) fn list(card: &Card) -> Result<Vec<u8>, Refusal> {
    let entries = card.iot_ref().crypto_objects.iter().flat_map(|(id, object)| {
        let [high, low] = id.to_be_bytes();
        [high, low, object.context, object.algorithm]
    });
    answer(&[(TAG_1, &entries.collect::<Vec<u8>>())])
}

pub(super) fn delete(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let id = u16::from_be_bytes(fields.exact(TAG_1)?);
    let gone = card.iot().crypto_objects.remove(&id);
    gone.map(|_| Vec::new()).ok_or(Refusal::NoObject)
}

/// Works with the crypto object that the second field names, when it is of the context.
pub(super) fn with<T>(
    card: &mut Card,
    fields: &Tlvs<'_>,
    context: u8,
    work: impl FnOnce(&mut CryptoObject) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let id = u16::from_be_bytes(fields.exact(TAG_2)?);
    let object = card.iot().crypto_objects.get_mut(&id).ok_or(Refusal::NoObject)?;
    if object.context == context { work(object) } else { Err(Refusal::NotSuited) }
}
