//! Signatures: ECDSA over digests of the host's (FIPS 186-5 §6), Ed25519 over data (RFC 8032).

use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{KeyPair, ParsedPublicKey};
use touchmark_identity::apdu::se05x::{self, TAG_1, TAG_2, TAG_3, TAG_5};
use touchmark_identity::apdu::tlv::Tlvs;

use super::curve::Curve;
use super::{answer, key, result};
use crate::card::{Card, Refusal};
use crate::object::Body;

/// The digest as the cryptographic library takes it for the curve. The standard reads the leftmost bits of a digest, as
/// many as the curve's order has, as an integer: so a longer digest is cut and a shorter one filled with zeros on the left.
pub(super) fn digest(curve: Curve, algorithm: u8, given: &[u8]) -> Result<Digest, Refusal> {
    let expected = match algorithm {
        se05x::ECDSA_SHA1 => 20,
        se05x::ECDSA_SHA224 => 28,
        se05x::ECDSA_SHA256 => 32,
        se05x::ECDSA_SHA384 => 48,
        se05x::ECDSA_SHA512 => 64,
        se05x::ECDSA_PLAIN if (1..=64).contains(&given.len()) => given.len(),
        se05x::ECDSA_PLAIN => return Err(Refusal::NotSuited),
        _ => return Err(Refusal::Field),
    };
    if given.len() != expected {
        return Err(Refusal::NotSuited);
    }
    let (native, length) = match curve {
        Curve::P256 | Curve::Secp256k1 => (&aws_lc_rs::digest::SHA256, 32),
        Curve::P384 => (&aws_lc_rs::digest::SHA384, 48),
        Curve::P521 => (&aws_lc_rs::digest::SHA512, 64),
        Curve::Ed25519 | Curve::X25519 => return Err(Refusal::NotSuited),
    };
    let (leftmost, _) = given.split_at(given.len().min(length));
    let mut filled = vec![0; length - leftmost.len()];
    filled.extend(leftmost);
    Digest::import_less_safe(&filled, native).map_err(|_| Refusal::Crypto)
}

/// Turns both halves of a signature of Ed25519, R and S, as NXP's hosts do.
pub(super) fn turned_halves(signature: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (r, s) = signature.split_first_chunk::<32>().ok_or(Refusal::NotSuited)?;
    Ok(r.iter().rev().chain(s.iter().rev()).copied().collect())
}

pub(super) fn sign(card: &Card, fields: &Tlvs<'_>, policy: u32) -> Result<Vec<u8>, Refusal> {
    let object = key(card, fields, policy)?;
    let [algorithm] = fields.exact(TAG_2)?;
    let data = fields.required(TAG_3)?;
    match (&object.body, algorithm) {
        (Body::Ed25519 { pair, .. }, se05x::EDDSA) => {
            answer(&[(TAG_1, &turned_halves(pair.sign(data).as_ref())?)])
        }
        (Body::KeyPair(pair) | Body::PrivateKey(pair), _) => {
            let curve = Curve::of(pair).ok_or(Refusal::Crypto)?;
            let digest = digest(curve, algorithm, data)?;
            let signature = pair.sign_digest(&digest).map_err(|_| Refusal::Crypto)?;
            answer(&[(TAG_1, signature.as_ref())])
        }
        _ => Err(Refusal::NotSuited),
    }
}

pub(super) fn verify(card: &Card, fields: &Tlvs<'_>, policy: u32) -> Result<Vec<u8>, Refusal> {
    let object = key(card, fields, policy)?;
    let [algorithm] = fields.exact(TAG_2)?;
    let data = fields.required(TAG_3)?;
    let signature = fields.required(TAG_5)?;
    let curve = object.curve().ok_or(Refusal::NotSuited)?;
    let point = match &object.body {
        Body::KeyPair(pair) => pair.public_key().as_ref(),
        Body::Ed25519 { pair, gives_public: true, .. } => pair.public_key().as_ref(),
        Body::PublicKey { point, .. } => point,
        _ => return Err(Refusal::NotSuited),
    };
    let verifying = curve.verifying().ok_or(Refusal::NotSuited)?;
    let key = ParsedPublicKey::new(verifying, point).map_err(|_| Refusal::Crypto)?;
    let good = if curve == Curve::Ed25519 {
        if algorithm != se05x::EDDSA {
            return Err(Refusal::NotSuited);
        }
        turned_halves(signature).is_ok_and(|signature| key.verify_sig(data, &signature).is_ok())
    } else {
        key.verify_digest_sig(&digest(curve, algorithm, data)?, signature).is_ok()
    };
    answer(&[(TAG_1, &[result(good)])])
}
