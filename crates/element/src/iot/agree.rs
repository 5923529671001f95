//! Key agreement: ECDH on the NIST curves (NIST SP 800-56A §5.7.1.2, the x coordinate) and X25519 (RFC 7748).

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use touchmark_identity::apdu::se05x::TAG_2;
use touchmark_identity::apdu::tlv::Tlvs;
use zeroize::Zeroizing;

use super::curve::Curve;
use super::{derive, key, keys};
use crate::card::{Card, Refusal};
use crate::object::Body;

pub(super) fn x25519(scalar: &[u8; 32]) -> Result<PrivateKey, Refusal> {
    PrivateKey::from_private_key(&agreement::X25519, scalar).map_err(|_| Refusal::Crypto)
}

pub(super) fn ecdh(card: &mut Card, fields: &Tlvs<'_>, policy: u32) -> Result<Vec<u8>, Refusal> {
    let object = key(card, fields, policy)?;
    let curve = object.curve().ok_or(Refusal::NotSuited)?;
    let algorithm = curve.agreement().ok_or(Refusal::NotSuited)?;
    let private = match &object.body {
        Body::KeyPair(pair) | Body::PrivateKey(pair) => {
            let scalar: EcPrivateKeyBin<'_> =
                pair.private_key().as_be_bytes().map_err(|_| Refusal::Crypto)?;
            PrivateKey::from_private_key(algorithm, scalar.as_ref()).map_err(|_| Refusal::Crypto)?
        }
        Body::X25519 { scalar, .. } => x25519(scalar)?,
        _ => return Err(Refusal::NotSuited),
    };
    let peer = keys::turned(curve, fields.required(TAG_2)?);
    if !curve.is_public_key(&peer) {
        return Err(Refusal::Field);
    }
    let peer = UnparsedPublicKey::new(algorithm, peer.as_slice());
    let secret =
        agreement::agree(&private, peer, Refusal::Field, |secret| Ok(Zeroizing::new(secret.to_vec())))?;
    let secret = if curve == Curve::X25519 { keys::turned(curve, &secret) } else { secret };
    derive::deliver(card, fields, &object, secret)
}
