//! Digests (FIPS 180-4), at once and in parts.

use aws_lc_rs::digest::{self, Algorithm, Context};
use touchmark_identity::apdu::se05x::{self, TAG_1, TAG_2, TAG_3};
use touchmark_identity::apdu::tlv::Tlvs;

use super::answer;
use super::crypto_object::{self, Running};
use crate::card::{Card, Refusal};

pub(crate) fn algorithm(mode: u8) -> Result<&'static Algorithm, Refusal> {
    match mode {
        se05x::SHA1 => Ok(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        se05x::SHA224 => Ok(&digest::SHA224),
        se05x::SHA256 => Ok(&digest::SHA256),
        se05x::SHA384 => Ok(&digest::SHA384),
        se05x::SHA512 => Ok(&digest::SHA512),
        _ => Err(Refusal::Field),
    }
}

pub(super) fn one_shot(fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let [mode] = fields.exact(TAG_1)?;
    let digest = digest::digest(algorithm(mode)?, fields.required(TAG_2)?);
    answer(&[(TAG_1, digest.as_ref())])
}

pub(super) fn init(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    crypto_object::with(card, fields, se05x::CONTEXT_DIGEST, |object| {
        object.running = Running::Digest(Context::new(algorithm(object.algorithm)?));
        Ok(Vec::new())
    })
}

pub(super) fn update(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let data = fields.required(TAG_3)?;
    crypto_object::with(card, fields, se05x::CONTEXT_DIGEST, |object| match &mut object.running {
        Running::Digest(context) => {
            context.update(data);
            Ok(Vec::new())
        }
        _ => Err(Refusal::NotSuited),
    })
}

pub(super) fn finish(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let data = fields.find(TAG_3).unwrap_or(&[]);
    crypto_object::with(card, fields, se05x::CONTEXT_DIGEST, |object| {
        match std::mem::take(&mut object.running) {
            Running::Digest(mut context) => {
                context.update(data);
                answer(&[(TAG_1, context.finish().as_ref())])
            }
            _ => Err(Refusal::NotSuited),
        }
    })
}
