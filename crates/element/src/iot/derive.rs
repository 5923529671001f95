//! Key derivation with HKDF (RFC 5869), and where derived bytes go.

use std::num::NonZeroU32;

use aws_lc_rs::{hkdf, pbkdf2};
use touchmark_identity::apdu::se05x::{self, Origin, TAG_1, TAG_2, TAG_3, TAG_4, TAG_5, TAG_6, TAG_7, rule};
use touchmark_identity::apdu::tlv::Tlvs;
use zeroize::Zeroizing;

use super::policy::{allowed, find};
use super::{answer, key, replace};
use crate::card::{Card, Refusal};
use crate::object::{Body, Object};

/// The longest salt and info in a command, and the most bytes that are derived.
const MAX_SALT_BYTES: usize = 64;
const MAX_INFO_BYTES: usize = 80;
const MAX_DERIVED_BYTES: usize = 512;
/// The most rounds of PBKDF2.
const MOST_ITERATIONS: u16 = 0x7FFF;

/// The number of bytes that are derived, as the library wants it said.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn hmac_key(object: &Object) -> Result<&[u8], Refusal> {
    if let Body::Hmac(key) = &object.body { Ok(key) } else { Err(Refusal::NotSuited) }
}

pub(super) fn hkdf(
    card: &mut Card,
    fields: &Tlvs<'_>,
    policy: u32,
    extracts: bool,
) -> Result<Vec<u8>, Refusal> {
    let object = key(card, fields, policy)?;
    let secret = hmac_key(&object)?;
    let algorithm = match fields.exact(TAG_2)? {
        [se05x::SHA1] => hkdf::HKDF_SHA1_FOR_LEGACY_USE_ONLY,
        [se05x::SHA256] => hkdf::HKDF_SHA256,
        [se05x::SHA384] => hkdf::HKDF_SHA384,
        [se05x::SHA512] => hkdf::HKDF_SHA512,
        _ => return Err(Refusal::Field),
    };
    let info = fields.find(TAG_4).unwrap_or(&[]);
    let length = usize::from(u16::from_be_bytes(fields.exact(TAG_5)?));
    if info.len() > MAX_INFO_BYTES || !(1..=MAX_DERIVED_BYTES).contains(&length) {
        return Err(Refusal::Field);
    }
    let salted = match (fields.find(TAG_3), fields.optional(TAG_6)?.map(u32::from_be_bytes)) {
        (Some(_), Some(_)) => return Err(Refusal::Field),
        (None, Some(id)) => {
            let salt = find(card, id).ok_or(Refusal::NoObject)?;
            allowed(card, &salt, rule::DERIVE)?;
            Some(salt)
        }
        _ => None,
    };
    let salt = match &salted {
        Some(object) => hmac_key(object)?,
        None => fields.find(TAG_3).unwrap_or(&[]),
    };
    if salted.is_none() && salt.len() > MAX_SALT_BYTES {
        return Err(Refusal::Field);
    }
    let prk = if extracts {
        hkdf::Salt::new(algorithm, salt).extract(secret)
    } else {
        hkdf::Prk::new_less_safe(algorithm, secret)
    };
    let mut derived = Zeroizing::new(vec![0; length]);
    let infos = [info];
    // More than 255 digests' worth cannot be derived (RFC 5869 §2.3).
    let okm = prk.expand(&infos, Length(length)).map_err(|_| Refusal::Field)?;
    okm.fill(&mut derived).map_err(|_| Refusal::Crypto)?;
    if fields.find(TAG_7).is_none() && salted.is_some_and(|salt| salt.keeps_derived()) {
        return Err(Refusal::Policy);
    }
    deliver(card, fields, &object, derived)
}

/// PBKDF2 with HMAC-SHA-1 (RFC 8018 §5.2).
pub(super) fn pbkdf2(card: &mut Card, fields: &Tlvs<'_>, policy: u32) -> Result<Vec<u8>, Refusal> {
    let object = key(card, fields, policy)?;
    let password = hmac_key(&object)?;
    let salt = fields.find(TAG_2).unwrap_or(&[]);
    let count = u16::from_be_bytes(fields.exact(TAG_3)?);
    let length = usize::from(u16::from_be_bytes(fields.exact(TAG_4)?));
    let in_range = (1..=MOST_ITERATIONS).contains(&count) && (1..=MAX_DERIVED_BYTES).contains(&length);
    let count = NonZeroU32::new(u32::from(count)).filter(|_| in_range).ok_or(Refusal::Field)?;
    if salt.len() > MAX_SALT_BYTES {
        return Err(Refusal::Field);
    }
    let mut derived = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, count, salt, password, &mut derived);
    deliver(card, fields, &object, derived)
}

/// Gives what was derived from `object` to the host, or puts it into the object that the command names.
pub(super) fn deliver(
    card: &mut Card,
    fields: &Tlvs<'_>,
    object: &Object,
    derived: Zeroizing<Vec<u8>>,
) -> Result<Vec<u8>, Refusal> {
    let Some(target) = fields.optional(TAG_7)?.map(u32::from_be_bytes) else {
        if object.keeps_derived() {
            return Err(Refusal::Policy);
        }
        return answer(&[(TAG_1, &derived)]);
    };
    let old = find(card, target).filter(|old| old.auth.is_none()).ok_or(Refusal::NoObject)?;
    allowed(card, &old, rule::WRITE)?;
    let body = match &old.body {
        Body::Hmac(_) => Body::Hmac(derived),
        Body::Aes(_) if matches!(derived.len(), 16 | 24 | 32) => Body::Aes(derived),
        _ => return Err(Refusal::NotSuited),
    };
    replace(card, target, &old, Origin::INTERNAL, body)
}
