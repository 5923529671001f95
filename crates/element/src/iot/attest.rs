//! Attested reads: what was read, with the chip's signature over it, in the layout of the element's applet.

use std::sync::Arc;

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use touchmark_identity::apdu::se05x::bound::{self, BoundRead};
use touchmark_identity::apdu::se05x::{
    self, Instruction, TAG_1, TAG_2, TAG_3, TAG_4, TAG_5, TAG_6, TAG_7, rule,
};
use touchmark_identity::apdu::tlv::Tlvs;

use super::policy::{allowed, find};
use super::{Request, answer, attributes, object, sign, value};
use crate::card::{Card, Refusal};
use crate::object::{Body, Object};

/// ReadObject with attestation. An object whose value does not leave, or not for this caller, is vouched for without it.
pub(super) fn read(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, object) = object(card, fields)?;
    let attester = attester(card, fields)?;
    let data = match value(card, &object, fields) {
        Err(Refusal::Policy | Refusal::NotSuited) => None,
        data => Some(data?),
    };
    vouch(card, (Instruction::ReadObjectAttested, fields), &attester, (id, &object), data.as_deref())
}

/// ReadObjectAttributes with attestation.
pub(super) fn read_attributes(card: &mut Card, fields: &Request<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, object) = object(card, fields)?;
    let attester = attester(card, fields)?;
    vouch(card, (Instruction::ReadAttributesAttested, fields), &attester, (id, &object), None)
}

fn attester(card: &Card, fields: &Tlvs<'_>) -> Result<Arc<Object>, Refusal> {
    let attester = find(card, u32::from_be_bytes(fields.exact(TAG_5)?)).ok_or(Refusal::NoObject)?;
    allowed(card, &attester, rule::ATTEST)?;
    Ok(attester)
}

fn vouch(
    card: &mut Card,
    (instruction, fields): (Instruction, &Request<'_>),
    attester: &Object,
    (id, object): (u32, &Object),
    data: Option<&[u8]>,
) -> Result<Vec<u8>, Refusal> {
    let [algorithm] = fields.exact(TAG_6)?;
    let freshness: [u8; se05x::FRESHNESS_BYTES] = fields.exact(TAG_7)?;
    let attributes = attributes(card, id, object)?;
    let timestamp = card.stamp();
    let chip_id = card.state().chip_id;
    if card.state().applet.binds_reads() {
        let size = object.size().unwrap_or(0);
        let read = BoundRead { data, chip_id, attributes: &attributes, size, timestamp };
        let read = read.encode()?;
        let command = bound::command_bytes(instruction, fields.data).map_err(|_| Refusal::Length)?;
        let hashed = digest(hash(algorithm)?, &command);
        let signed = bound::statement(hashed.as_ref(), &read);
        return Ok(bound::join(&read, &signature(attester, algorithm, &signed)?)?);
    }
    // "the signature over all concatenated Value fields tags of the response (TAG_1 until and including TAG_5)".
    let signed = [data.unwrap_or(&[]), &attributes, &timestamp, &freshness, &chip_id].concat();
    let signature = signature(attester, algorithm, &signed)?;
    let rest: [(u8, &[u8]); 5] = [
        (TAG_2, &attributes),
        (TAG_3, &timestamp),
        (TAG_4, &freshness),
        (TAG_5, &chip_id),
        (TAG_6, &signature),
    ];
    let all: Vec<(u8, &[u8])> = data.map(|data| (TAG_1, data)).into_iter().chain(rest).collect();
    answer(&all)
}

/// The digest of an attestation algorithm; in Ed25519 it is SHA-512 (RFC 8032 §5.1).
fn hash(algorithm: u8) -> Result<&'static Algorithm, Refusal> {
    match algorithm {
        se05x::ECDSA_SHA256 => Ok(&SHA256),
        se05x::ECDSA_SHA384 => Ok(&SHA384),
        se05x::ECDSA_SHA512 | se05x::EDDSA => Ok(&SHA512),
        _ => Err(Refusal::Field),
    }
}

fn signature(attester: &Object, algorithm: u8, data: &[u8]) -> Result<Vec<u8>, Refusal> {
    let hash = hash(algorithm)?;
    if algorithm == se05x::EDDSA {
        let Body::Ed25519 { pair, .. } = &attester.body else { return Err(Refusal::NotSuited) };
        return sign::turned_halves(pair.sign(data).as_ref());
    }
    let (Body::KeyPair(pair) | Body::PrivateKey(pair)) = &attester.body else {
        return Err(Refusal::NotSuited);
    };
    let curve = attester.curve().ok_or(Refusal::Crypto)?;
    let digest = sign::digest(curve, algorithm, digest(hash, data).as_ref())?;
    Ok(pair.sign_digest(&digest).map_err(|_| Refusal::Crypto)?.as_ref().to_vec())
}
