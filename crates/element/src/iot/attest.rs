//! Attested reads, in the layout of applet 3.x: what was read, with the chip's signature over it.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, SHA384, SHA512};
use touchmark_identity::apdu::se05x::{self, TAG_1, TAG_2, TAG_3, TAG_4, TAG_5, TAG_6, TAG_7, rule};
use touchmark_identity::apdu::tlv::Tlvs;

use super::policy::{allowed, find};
use super::{answer, attributes, object, sign, value};
use crate::card::{Card, Refusal};
use crate::object::{Body, Object};

/// ReadObject with attestation. An object whose value does not leave, or not for this caller, is vouched for without it.
pub(super) fn read(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, object) = object(card, fields)?;
    let attester = attester(card, fields)?;
    let data = match value(card, &object, fields) {
        Err(Refusal::Policy | Refusal::NotSuited) => None,
        data => Some(data?),
    };
    vouch(card, fields, &attester, data.as_deref(), &attributes(card, id, &object)?)
}

/// ReadObjectAttributes with attestation.
pub(super) fn read_attributes(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, object) = object(card, fields)?;
    let attester = attester(card, fields)?;
    vouch(card, fields, &attester, None, &attributes(card, id, &object)?)
}

fn attester(card: &Card, fields: &Tlvs<'_>) -> Result<Arc<Object>, Refusal> {
    let attester = find(card, u32::from_be_bytes(fields.exact(TAG_5)?)).ok_or(Refusal::NoObject)?;
    allowed(card, &attester, rule::ATTEST)?;
    Ok(attester)
}

fn vouch(
    card: &mut Card,
    fields: &Tlvs<'_>,
    attester: &Object,
    data: Option<&[u8]>,
    attributes: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let [algorithm] = fields.exact(TAG_6)?;
    let freshness: [u8; se05x::FRESHNESS_BYTES] = fields.exact(TAG_7)?;
    let stamp = card.stamp();
    let chip_id = card.state().chip_id;
    // "the signature over all concatenated Value fields tags of the response (TAG_1 until and including TAG_5)".
    let signed = [data.unwrap_or(&[]), attributes, &stamp, &freshness, &chip_id].concat();
    let signature = signature(attester, algorithm, &signed)?;
    let rest: [(u8, &[u8]); 5] =
        [(TAG_2, attributes), (TAG_3, &stamp), (TAG_4, &freshness), (TAG_5, &chip_id), (TAG_6, &signature)];
    let all: Vec<(u8, &[u8])> = data.map(|data| (TAG_1, data)).into_iter().chain(rest).collect();
    answer(&all)
}

fn signature(attester: &Object, algorithm: u8, data: &[u8]) -> Result<Vec<u8>, Refusal> {
    let hash = match algorithm {
        se05x::ECDSA_SHA256 => &SHA256,
        se05x::ECDSA_SHA384 => &SHA384,
        se05x::ECDSA_SHA512 => &SHA512,
        se05x::EDDSA => {
            let Body::Ed25519 { pair, .. } = &attester.body else { return Err(Refusal::NotSuited) };
            return sign::turned_halves(pair.sign(data).as_ref());
        }
        _ => return Err(Refusal::Field),
    };
    let (Body::KeyPair(pair) | Body::PrivateKey(pair)) = &attester.body else {
        return Err(Refusal::NotSuited);
    };
    let curve = attester.curve().ok_or(Refusal::Crypto)?;
    let digest = aws_lc_rs::digest::digest(hash, data);
    let digest = sign::digest(curve, algorithm, digest.as_ref())?;
    Ok(pair.sign_digest(&digest).map_err(|_| Refusal::Crypto)?.as_ref().to_vec())
}
