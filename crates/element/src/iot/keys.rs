//! Writing keys: EC keys of all curves, AES and HMAC keys.

use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use touchmark_identity::apdu::se05x::{ObjectType, Origin, TAG_1, TAG_2, TAG_3, TAG_4, rule};
use touchmark_identity::apdu::tlv::Tlvs;
use zeroize::Zeroizing;

use super::curve::Curve;
use super::policy::{allowed, find};
use super::{Request, put, target};
use crate::card::{Card, Refusal};
use crate::object::{Body, Object};

/// The longest HMAC key, in bytes.
const MAX_HMAC_BYTES: usize = 256;

/// Bytes as the curve's standard orders them, from the order on the wire, or back.
pub(super) fn turned(curve: Curve, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(bytes.to_vec());
    if curve.turned() {
        bytes.reverse();
    }
    bytes
}

/// The curve of the command or, where it names none, of the object that is there.
fn curve(fields: &Tlvs<'_>, old: Option<&Object>) -> Result<Curve, Refusal> {
    let named = fields.optional(TAG_2)?.map(|[id]: [u8; 1]| Curve::from_id(id).ok_or(Refusal::Field));
    let named = named.transpose()?;
    match (named, old) {
        (Some(named), None) => Ok(named),
        (None, None) => Err(Refusal::Field),
        (named, Some(old)) => {
            let curve = old.curve().ok_or(Refusal::NotSuited)?;
            if named.is_some_and(|named| named != curve) { Err(Refusal::Field) } else { Ok(curve) }
        }
    }
}

pub(super) fn write_pair(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let generates = fields.find(TAG_3).is_none() && fields.find(TAG_4).is_none();
    let (wanted, origin) =
        if generates { (rule::GENERATE, Origin::INTERNAL) } else { (rule::WRITE, Origin::EXTERNAL) };
    let (id, old) = target(card, fields, wanted)?;
    // "Private Key Value (TLV[TAG_3]) and Public Key Value (TLV[TAG_4]) must both be present, or both be absent."
    let given = match (fields.find(TAG_3), fields.find(TAG_4)) {
        (None, None) => None,
        (Some(private), Some(public)) => Some((private, public)),
        _ => return Err(Refusal::Field),
    };
    let curve = curve(fields, old.as_deref())?;
    let body = match (curve.signing(), given) {
        (Some(algorithm), None) => {
            Body::KeyPair(EcdsaKeyPair::generate(algorithm).map_err(|_| Refusal::Crypto)?)
        }
        (Some(algorithm), Some((private, public))) => {
            let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public);
            Body::KeyPair(pair.map_err(|_| Refusal::Field)?)
        }
        (None, None) => {
            let mut secret = Zeroizing::new([0; 32]);
            SystemRandom::new().fill(secret.as_mut_slice()).map_err(|_| Refusal::Crypto)?;
            short_key(curve, secret, true)?
        }
        (None, Some((private, public))) => {
            let body = imported_short_key(curve, private, true)?;
            if public_key(&body)? != public {
                return Err(Refusal::Field);
            }
            body
        }
    };
    put(card, fields, id, old.as_deref(), origin, body)
}

/// WriteECKey without a key part, as hosts write objects that are there: the part is the object's.
pub(super) fn rewrite(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let id = u32::from_be_bytes(fields.exact(TAG_1)?);
    let old = find(card, id).ok_or(Refusal::NoObject)?;
    match old.object_type() {
        ObjectType::EC_KEY_PAIR => write_pair(card, fields),
        ObjectType::EC_PRIVATE_KEY => write_private(card, fields),
        ObjectType::EC_PUBLIC_KEY => write_public(card, fields),
        _ => Err(Refusal::NotSuited),
    }
}

pub(super) fn write_private(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    let curve = curve(fields, old.as_deref())?;
    let private = fields.required(TAG_3)?;
    let body = match (curve.signing(), curve.oid()) {
        (Some(algorithm), Some(oid)) => {
            let der = ec_private_key(curve, oid, private)?;
            let pair = EcdsaKeyPair::from_private_key_der(algorithm, &der).map_err(|_| Refusal::Field)?;
            Body::PrivateKey(pair)
        }
        _ => imported_short_key(curve, private, false)?,
    };
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, body)
}

/// `ECPrivateKey` of RFC 5915 §3: version 1, the key, and the curve as parameters. No part is over 127 bytes.
fn ec_private_key(curve: Curve, oid: &[u8], private: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    if private.len() != usize::from(curve.bytes()) {
        return Err(Refusal::Field);
    }
    let length = |length: usize| u8::try_from(length).map_err(|_| Refusal::Crypto);
    let mut der = Zeroizing::new(Vec::with_capacity(9 + private.len() + oid.len()));
    der.extend([0x30, length(7 + private.len() + oid.len())?, 0x02, 0x01, 0x01]);
    der.extend([0x04, curve.bytes()]);
    der.extend(private);
    der.extend([0xA0, length(oid.len())?]);
    der.extend(oid);
    Ok(der)
}

fn imported_short_key(curve: Curve, private: &[u8], gives_public: bool) -> Result<Body, Refusal> {
    let secret = <[u8; 32]>::try_from(turned(curve, private).as_slice());
    short_key(curve, Zeroizing::new(secret.map_err(|_| Refusal::Field)?), gives_public)
}

/// A key of one of the 25519 curves.
fn short_key(curve: Curve, secret: Zeroizing<[u8; 32]>, gives_public: bool) -> Result<Body, Refusal> {
    if curve == Curve::X25519 {
        return Ok(Body::X25519 { scalar: secret, gives_public });
    }
    let pair = Ed25519KeyPair::from_seed_unchecked(secret.as_slice()).map_err(|_| Refusal::Crypto)?;
    Ok(Body::Ed25519 { pair, seed: secret, gives_public })
}

pub(super) fn write_public(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    let curve = curve(fields, old.as_deref())?;
    let point = turned(curve, fields.required(TAG_4)?).to_vec();
    if !curve.is_public_key(&point) {
        return Err(Refusal::Field);
    }
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, Body::PublicKey { curve, point })
}

/// The public half of a key that gives one, in the order of bytes on the wire.
pub(super) fn public_key(body: &Body) -> Result<Vec<u8>, Refusal> {
    match body {
        Body::KeyPair(pair) => Ok(pair.public_key().as_ref().to_vec()),
        Body::PublicKey { curve, point } => Ok(turned(*curve, point).to_vec()),
        Body::Ed25519 { pair, gives_public: true, .. } => {
            Ok(turned(Curve::Ed25519, pair.public_key().as_ref()).to_vec())
        }
        Body::X25519 { scalar, gives_public: true } => {
            let private = super::agree::x25519(scalar)?;
            let public = private.compute_public_key().map_err(|_| Refusal::Crypto)?;
            Ok(turned(Curve::X25519, public.as_ref()).to_vec())
        }
        _ => Err(Refusal::NotSuited),
    }
}

/// The value of a symmetric key, unwrapped where the command names a key for that.
fn symmetric(card: &Card, fields: &Tlvs<'_>) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let value = fields.required(TAG_3)?;
    let Some(kek) = fields.optional(TAG_2)?.map(u32::from_be_bytes) else {
        return Ok(Zeroizing::new(value.to_vec()));
    };
    let kek = find(card, kek).filter(|kek| kek.auth.is_none()).ok_or(Refusal::NoObject)?;
    allowed(card, &kek, rule::WRAP)?;
    let Body::Aes(kek) = &kek.body else { return Err(Refusal::NotSuited) };
    let algorithm = match kek.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return Err(Refusal::NotSuited),
    };
    let kek = AesKek::new(algorithm, kek).map_err(|_| Refusal::Crypto)?;
    let mut room = Zeroizing::new(vec![0; value.len()]);
    let key = kek.unwrap(value, &mut room).map_err(|_| Refusal::Field)?;
    Ok(Zeroizing::new(key.to_vec()))
}

pub(super) fn write_aes(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    let key = symmetric(card, fields)?;
    if !matches!(key.len(), 16 | 24 | 32) {
        return Err(Refusal::Field);
    }
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, Body::Aes(key))
}

pub(super) fn write_hmac(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    let key = symmetric(card, fields)?;
    if !(1..=MAX_HMAC_BYTES).contains(&key.len()) {
        return Err(Refusal::Field);
    }
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, Body::Hmac(key))
}
