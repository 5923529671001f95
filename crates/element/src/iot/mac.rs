//! HMAC (RFC 2104) and CMAC (RFC 4493, NIST SP 800-38B), at once and in parts.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{cmac, hmac};
use touchmark_identity::apdu::se05x::{self, TAG_1, TAG_2, TAG_3, TAG_5};
use touchmark_identity::apdu::tlv::Tlvs;

use super::crypto_object::{self, Running};
use super::{answer, key, result};
use crate::card::{Card, Refusal};
use crate::object::{Body, Object};

/// A MAC under way.
pub(crate) enum Mac {
    Hmac(Box<hmac::Context>),
    Cmac(cmac::Context),
}

/// Whether there is such an algorithm.
pub(super) fn is_known(algorithm: u8) -> bool {
    algorithm == se05x::CMAC_AES || hmac_algorithm(algorithm).is_some()
}

fn hmac_algorithm(algorithm: u8) -> Option<hmac::Algorithm> {
    match algorithm {
        se05x::HMAC_SHA1 => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        se05x::HMAC_SHA256 => Some(hmac::HMAC_SHA256),
        se05x::HMAC_SHA384 => Some(hmac::HMAC_SHA384),
        se05x::HMAC_SHA512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

impl Mac {
    fn new(object: &Object, algorithm: u8) -> Result<Self, Refusal> {
        match (&object.body, hmac_algorithm(algorithm)) {
            (Body::Hmac(key), Some(hmac)) => {
                Ok(Self::Hmac(Box::new(hmac::Context::with_key(&hmac::Key::new(hmac, key)))))
            }
            (Body::Aes(key), None) if algorithm == se05x::CMAC_AES => {
                let cmac = match key.len() {
                    16 => cmac::AES_128,
                    24 => cmac::AES_192,
                    _ => cmac::AES_256,
                };
                let key = cmac::Key::new(cmac, key).map_err(|_| Refusal::Crypto)?;
                Ok(Self::Cmac(cmac::Context::with_key(&key)))
            }
            _ if is_known(algorithm) => Err(Refusal::NotSuited),
            _ => Err(Refusal::Field),
        }
    }

    fn update(&mut self, data: &[u8]) -> Result<(), Refusal> {
        match self {
            Self::Hmac(context) => {
                context.update(data);
                Ok(())
            }
            Self::Cmac(context) => context.update(data).map_err(|_| Refusal::Crypto),
        }
    }

    fn finish(mut self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.update(data)?;
        match self {
            Self::Hmac(context) => Ok(context.sign().as_ref().to_vec()),
            Self::Cmac(context) => Ok(context.sign().map_err(|_| Refusal::Crypto)?.as_ref().to_vec()),
        }
    }
}

fn compared(mac: &[u8], given: &[u8]) -> Result<Vec<u8>, Refusal> {
    answer(&[(TAG_1, &[result(verify_slices_are_equal(mac, given).is_ok())])])
}

pub(super) fn one_shot(card: &Card, fields: &Tlvs<'_>, policy: u32) -> Result<Vec<u8>, Refusal> {
    let object = key(card, fields, policy)?;
    let [algorithm] = fields.exact(TAG_2)?;
    let mac = Mac::new(&object, algorithm)?.finish(fields.required(TAG_3)?)?;
    match fields.find(TAG_5) {
        Some(given) => compared(&mac, given),
        None => answer(&[(TAG_1, &mac)]),
    }
}

pub(super) fn init(
    card: &mut Card,
    fields: &Tlvs<'_>,
    policy: u32,
    checks: bool,
) -> Result<Vec<u8>, Refusal> {
    let object = key(card, fields, policy)?;
    crypto_object::with(card, fields, se05x::CONTEXT_MAC, |running| {
        running.running = Running::Mac { mac: Mac::new(&object, running.algorithm)?, checks };
        Ok(Vec::new())
    })
}

pub(super) fn update(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let data = fields.required(TAG_1)?;
    crypto_object::with(card, fields, se05x::CONTEXT_MAC, |object| match &mut object.running {
        Running::Mac { mac, .. } => mac.update(data).map(|()| Vec::new()),
        _ => Err(Refusal::NotSuited),
    })
}

pub(super) fn finish(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let data = fields.find(TAG_1).unwrap_or(&[]);
    let given = fields.find(TAG_3);
    crypto_object::with(card, fields, se05x::CONTEXT_MAC, |object| {
        match (std::mem::take(&mut object.running), given) {
            (Running::Mac { mac, checks: true }, Some(given)) => compared(&mac.finish(data)?, given),
            (Running::Mac { mac, checks: false }, None) => answer(&[(TAG_1, &mac.finish(data)?)]),
            (Running::Mac { .. }, _) => Err(Refusal::Field),
            _ => Err(Refusal::NotSuited),
        }
    })
}
