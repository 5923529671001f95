//! The IoT applet: the commands of [`se05x`], each answered from the table's row.

use std::sync::Arc;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, ParsedPublicKey,
};
use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::se05x::{
    self, ALL_TYPES, AppletVersion, Instruction, MAX_BINARY_BYTES, ObjectType, Origin, Policy, TAG_1, TAG_2,
    TAG_3, TAG_4, TAG_5, TAG_6, TAG_7, TAG_POLICY, Unknown, rule,
};
use touchmark_identity::apdu::tlv::{self, TlvError, Tlvs};
use touchmark_identity::key::PublicKey;
use zeroize::Zeroizing;

use crate::card::{Applet, Card, Refusal};
use crate::flaw;
use crate::object::{Body, Object, counter_limit, public_point};

/// The version of the applet: the 3.x interface, with nothing but ECDSA switched on (bit 2 of the features).
pub(crate) const VERSION: AppletVersion =
    AppletVersion { version: [3, 1, 1], features: 0x0002, crypto_library: [1, 0] };

/// The most random bytes in one answer: what an SE05x response carries.
const MAX_RANDOM_BYTES: u16 = 889;
/// Object ids in one answer.
const IDS_IN_ONE_ANSWER: usize = 200;
/// "0x7FFF as response means at least 32768 bytes are available" (`GetFreeMemory` in the Plug & Trust headers).
const MOST_FREE_BYTES: u16 = 0x7FFF;

pub(crate) struct Iot;

impl Applet for Iot {
    fn select(&self, card: &Card) -> Vec<u8> {
        card.version().encode().to_vec()
    }

    fn process(&self, card: &mut Card, command: &Command) -> Result<Vec<u8>, Refusal> {
        let instruction = Instruction::find(command.ins, command.p1, command.p2)?;
        let fields = Tlvs::parse(&command.data)?;
        if !instruction.accepts(&fields) {
            return Err(Refusal::Field);
        }
        match instruction {
            Instruction::GetVersion => answer(&[(TAG_1, &card.version().encode())]),
            Instruction::GetExtVersion => {
                answer(&[(TAG_1, &[&card.version().encode()[..], &[0; 30]].concat())])
            }
            Instruction::GetFreeMemory => free_memory(card, &fields),
            Instruction::GetRandom => random(&fields),
            Instruction::GetTimestamp => answer(&[(TAG_1, &card.stamp())]),
            Instruction::CheckObjectExists => {
                let exists = card.state().objects.contains_key(&object_id(&fields)?);
                answer(&[(TAG_1, &[result(exists)])])
            }
            Instruction::DeleteSecureObject => delete(card, &fields),
            Instruction::WriteEcKeyPair => write_key_pair(card, &fields),
            Instruction::WriteEcPrivateKey => write_private_key(card, &fields),
            Instruction::WriteEcPublicKey => write_public_key(card, &fields),
            Instruction::WriteBinary => write_binary(card, &fields),
            Instruction::WriteCounter => write_counter(card, &fields),
            Instruction::CreateEcCurve | Instruction::SetEcCurveParam => curve(&fields),
            Instruction::ReadObject => {
                let (_, object) = object(card, &fields)?;
                match flaw::leak(card.gp().flaw, &object.body) {
                    Some(leaked) => answer(&[(TAG_1, &leaked)]),
                    None => answer(&[(TAG_1, &value(&object, &fields)?)]),
                }
            }
            Instruction::ReadObjectAttested => read_attested(card, &fields),
            Instruction::ReadSize => {
                let (_, object) = object(card, &fields)?;
                answer(&[(TAG_1, &size(&object)?.to_be_bytes())])
            }
            Instruction::ReadIdList => id_list(card, &fields),
            Instruction::ReadType => {
                let (_, object) = object(card, &fields)?;
                answer(&[(TAG_1, &[object.object_type().0]), (TAG_2, &[se05x::PERSISTENT])])
            }
            Instruction::ReadAttributes => {
                let (id, object) = object(card, &fields)?;
                answer(&[(TAG_2, &attributes(id, &object)?)])
            }
            Instruction::ReadEcCurveList => answer(&[(TAG_1, &curve_list())]),
            Instruction::GetEcCurveId => {
                let (_, object) = object(card, &fields)?;
                match object.body {
                    Body::KeyPair(_) | Body::PrivateKey(_) | Body::PublicKey(_) => {
                        answer(&[(TAG_1, &[se05x::CURVE_NIST_P256])])
                    }
                    Body::Binary(_) | Body::Counter { .. } => Err(Refusal::NotSuited),
                }
            }
            Instruction::EcdsaSign => sign(card, &fields),
            Instruction::EcdsaVerify => verify(card, &fields),
        }
    }
}

impl From<TlvError> for Refusal {
    fn from(_: TlvError) -> Self {
        Self::Field
    }
}

impl From<Unknown> for Refusal {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Instruction => Self::Instruction,
            Unknown::Parameters => Self::Parameters,
        }
    }
}

fn answer(fields: &[(u8, &[u8])]) -> Result<Vec<u8>, Refusal> {
    Ok(tlv::encode(fields)?)
}

fn result(yes: bool) -> u8 {
    if yes { se05x::RESULT_SUCCESS } else { se05x::RESULT_FAILURE }
}

fn object_id(fields: &Tlvs<'_>) -> Result<u32, Refusal> {
    Ok(u32::from_be_bytes(fields.exact(TAG_1)?))
}

fn object(card: &Card, fields: &Tlvs<'_>) -> Result<(u32, Arc<Object>), Refusal> {
    let id = object_id(fields)?;
    card.state().objects.get(&id).map(|object| (id, Arc::clone(object))).ok_or(Refusal::NoObject)
}

fn allowed(object: &Object, wanted: u32) -> Result<(), Refusal> {
    if object.allows(wanted) { Ok(()) } else { Err(Refusal::Policy) }
}

fn attributes(id: u32, object: &Object) -> Result<Vec<u8>, Refusal> {
    object.attributes(id).encode().map_err(|_| Refusal::PolicyForm)
}

/// Only P-256 exists here, and it is always set.
fn check_curve(fields: &Tlvs<'_>, new: bool) -> Result<(), Refusal> {
    match fields.optional(TAG_2)? {
        Some([se05x::CURVE_NIST_P256]) => Ok(()),
        None if !new => Ok(()),
        _ => Err(Refusal::Field),
    }
}

fn curve(fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    match fields.exact(TAG_1)? {
        // It is there with all its parameters; they are not set twice.
        [se05x::CURVE_NIST_P256] => Err(Refusal::NotSuited),
        _ => Err(Refusal::Field),
    }
}

fn curve_list() -> Vec<u8> {
    (1..=se05x::WEIERSTRASS_CURVES)
        .map(|curve| if curve == se05x::CURVE_NIST_P256 { se05x::SET } else { se05x::NOT_SET })
        .collect()
}

fn free_memory(card: &Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let free = match fields.exact(TAG_1)? {
        [se05x::MEMORY_PERSISTENT] => {
            u16::try_from(card.free_bytes()).unwrap_or(u16::MAX).min(MOST_FREE_BYTES)
        }
        // There are no transient objects.
        [se05x::MEMORY_TRANSIENT_RESET | se05x::MEMORY_TRANSIENT_DESELECT] => 0,
        _ => return Err(Refusal::Field),
    };
    answer(&[(TAG_1, &free.to_be_bytes())])
}

fn random(fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let wanted = u16::from_be_bytes(fields.exact(TAG_1)?);
    if !(1..=MAX_RANDOM_BYTES).contains(&wanted) {
        return Err(Refusal::Field);
    }
    let mut bytes = vec![0; usize::from(wanted)];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Refusal::Crypto)?;
    answer(&[(TAG_1, &bytes)])
}

fn id_list(card: &Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let offset = usize::from(u16::from_be_bytes(fields.exact(TAG_1)?));
    let [filter] = fields.exact(TAG_2)?;
    let listed = card
        .state()
        .objects
        .iter()
        .filter(|(_, object)| filter == ALL_TYPES || object.object_type() == ObjectType(filter))
        .map(|(id, _)| *id)
        .skip(offset);
    let mut ids: Vec<u32> = listed.take(IDS_IN_ONE_ANSWER + 1).collect();
    let more = if ids.len() > IDS_IN_ONE_ANSWER { se05x::MORE } else { se05x::NO_MORE };
    ids.truncate(IDS_IN_ONE_ANSWER);
    let ids: Vec<u8> = ids.into_iter().flat_map(u32::to_be_bytes).collect();
    answer(&[(TAG_1, &[more]), (TAG_2, &ids)])
}

/// The value of an object as far as it may leave: never a private key.
fn value(object: &Object, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    allowed(object, rule::READ)?;
    let offset = fields.optional(TAG_2)?.map(u16::from_be_bytes);
    let length = fields.optional(TAG_3)?.map(u16::from_be_bytes);
    let range = match (offset, length) {
        (None, None) => None,
        (Some(offset), Some(length)) => Some((usize::from(offset), usize::from(length))),
        _ => return Err(Refusal::Field),
    };
    match (&object.body, range) {
        (Body::KeyPair(pair), None) => Ok(public_point(pair).to_vec()),
        (Body::PublicKey(key), None) => Ok(key.point().to_vec()),
        (Body::Binary(data), None) => Ok(data.clone()),
        (Body::Binary(data), Some((offset, length))) => {
            let end = offset.checked_add(length).ok_or(Refusal::Field)?;
            data.get(offset..end).map(<[u8]>::to_vec).ok_or(Refusal::Field)
        }
        (Body::Counter { bytes, value }, None) => Ok(counter_bytes(*bytes, *value)),
        (Body::PrivateKey(_), _) => Err(Refusal::NotSuited),
        (_, Some(_)) => Err(Refusal::Field),
    }
}

fn counter_bytes(bytes: u8, value: u64) -> Vec<u8> {
    let all = value.to_be_bytes();
    all.split_at(all.len().saturating_sub(usize::from(bytes))).1.to_vec()
}

fn size(object: &Object) -> Result<u16, Refusal> {
    match &object.body {
        // "For EC keys: the size of the curve is returned", in bytes.
        Body::KeyPair(_) | Body::PrivateKey(_) | Body::PublicKey(_) => Ok(32),
        Body::Binary(data) => u16::try_from(data.len()).map_err(|_| Refusal::NotSuited),
        Body::Counter { bytes, .. } => Ok(u16::from(*bytes)),
    }
}

fn read_attested(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, object) = object(card, fields)?;
    let attester = u32::from_be_bytes(fields.exact(TAG_5)?);
    let attester = Arc::clone(card.state().objects.get(&attester).ok_or(Refusal::NoObject)?);
    if fields.exact(TAG_6)? != [se05x::ECDSA_SHA256] {
        return Err(Refusal::Field);
    }
    let freshness: [u8; se05x::FRESHNESS_BYTES] = fields.exact(TAG_7)?;
    allowed(&attester, rule::ATTEST)?;
    let Body::KeyPair(pair) = &attester.body else { return Err(Refusal::NotSuited) };

    let data = value(&object, fields)?;
    let attributes = attributes(id, &object)?;
    let stamp = card.stamp();
    let chip_id = card.state().chip_id;
    // "the signature over all concatenated Value fields tags of the response (TAG_1 until and including TAG_5)".
    let signed = [&data[..], &attributes, &stamp, &freshness, &chip_id].concat();
    let signature = pair.sign(&SystemRandom::new(), &signed).map_err(|_| Refusal::Crypto)?;
    answer(&[
        (TAG_1, &data),
        (TAG_2, &attributes),
        (TAG_3, &stamp),
        (TAG_4, &freshness),
        (TAG_5, &chip_id),
        (TAG_6, signature.as_ref()),
    ])
}

fn digest(fields: &Tlvs<'_>) -> Result<Digest, Refusal> {
    if fields.exact(TAG_2)? != [se05x::ECDSA_SHA256] {
        return Err(Refusal::Field);
    }
    Digest::import_less_safe(fields.required(TAG_3)?, &SHA256).map_err(|_| Refusal::Field)
}

fn sign(card: &Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (_, object) = object(card, fields)?;
    let digest = digest(fields)?;
    allowed(&object, rule::SIGN)?;
    match &object.body {
        Body::KeyPair(pair) | Body::PrivateKey(pair) => {
            let signature = pair.sign_digest(&digest).map_err(|_| Refusal::Crypto)?;
            answer(&[(TAG_1, signature.as_ref())])
        }
        Body::PublicKey(_) | Body::Binary(_) | Body::Counter { .. } => Err(Refusal::NotSuited),
    }
}

fn verify(card: &Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (_, object) = object(card, fields)?;
    let digest = digest(fields)?;
    allowed(&object, rule::VERIFY)?;
    let point = match &object.body {
        Body::KeyPair(pair) => public_point(pair),
        Body::PublicKey(key) => key.point(),
        Body::PrivateKey(_) | Body::Binary(_) | Body::Counter { .. } => return Err(Refusal::NotSuited),
    };
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| Refusal::Crypto)?;
    let good = key.verify_digest_sig(&digest, fields.required(TAG_5)?).is_ok();
    answer(&[(TAG_1, &[result(good)])])
}

/// The object that a write changes, after the checks that all writes share; `None` when it makes a new one.
fn target(card: &Card, fields: &Tlvs<'_>, wanted: u32) -> Result<(u32, Option<Arc<Object>>), Refusal> {
    let id = object_id(fields)?;
    match card.state().objects.get(&id) {
        // A policy is given once, when the object is made.
        Some(_) if fields.find(TAG_POLICY).is_some() => Err(Refusal::Field),
        Some(object) => {
            allowed(object, wanted)?;
            Ok((id, Some(Arc::clone(object))))
        }
        None if se05x::is_reserved(id) => Err(Refusal::ReservedId),
        None => Ok((id, None)),
    }
}

/// Puts an object into the state, durably. An existing object keeps its policies.
fn put(
    card: &mut Card,
    fields: &Tlvs<'_>,
    id: u32,
    old: Option<&Object>,
    origin: Origin,
    body: Body,
) -> Result<Vec<u8>, Refusal> {
    let policies = match old {
        Some(old) => old.policies.clone(),
        None => {
            let set = fields.find(TAG_POLICY).unwrap_or(&[]);
            Policy::parse_set(set).map_err(|_| Refusal::PolicyForm)?
        }
    };
    let new = Object { origin, policies, body };
    if old.is_some_and(|old| old.object_type() != new.object_type()) {
        return Err(Refusal::NotSuited);
    }
    let freed = old.map_or(0, Object::footprint);
    if new.footprint() > card.state().free_bytes() + freed {
        return Err(Refusal::Memory);
    }
    let mut next = card.state().clone();
    next.objects.insert(id, Arc::new(new));
    card.commit(next)?;
    Ok(Vec::new())
}

fn delete(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, object) = object(card, fields)?;
    allowed(&object, rule::DELETE)?;
    let mut next = card.state().clone();
    next.objects.remove(&id);
    card.commit(next)?;
    Ok(Vec::new())
}

fn write_key_pair(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    // "Private Key Value (TLV[TAG_3]) and Public Key Value (TLV[TAG_4]) must both be present, or both be absent."
    let (wanted, origin, pair) = match (fields.find(TAG_3), fields.find(TAG_4)) {
        (None, None) => {
            let pair =
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| Refusal::Crypto)?;
            (rule::GENERATE, Origin::INTERNAL, pair)
        }
        (Some(private), Some(public)) => {
            let alg = &ECDSA_P256_SHA256_ASN1_SIGNING;
            let pair = EcdsaKeyPair::from_private_key_and_public_key(alg, private, public)
                .map_err(|_| Refusal::Field)?;
            (rule::WRITE, Origin::EXTERNAL, pair)
        }
        _ => return Err(Refusal::Field),
    };
    let (id, old) = target(card, fields, wanted)?;
    check_curve(fields, old.is_none())?;
    put(card, fields, id, old.as_deref(), origin, Body::KeyPair(pair))
}

fn write_private_key(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    check_curve(fields, old.is_none())?;
    let private: Zeroizing<[u8; 32]> = Zeroizing::new(fields.exact(TAG_3)?);
    // ECPrivateKey of RFC 5915 §3: version 1, the key, and the curve P-256 as parameters.
    let mut der = Zeroizing::new(Vec::with_capacity(51));
    der.extend([0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20]);
    der.extend(private.iter());
    der.extend([0xA0, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]);
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der)
        .map_err(|_| Refusal::Field)?;
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, Body::PrivateKey(pair))
}

fn write_public_key(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    check_curve(fields, old.is_none())?;
    let key = PublicKey::from_point(fields.required(TAG_4)?).map_err(|_| Refusal::Field)?;
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, Body::PublicKey(key))
}

fn write_binary(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    let length = fields.optional(TAG_3)?.map(|length| usize::from(u16::from_be_bytes(length)));
    let mut data = match (old.as_deref(), length) {
        (None, Some(length)) if (1..=MAX_BINARY_BYTES).contains(&length) => vec![0; length],
        (None, _) => return Err(Refusal::Field),
        (Some(Object { body: Body::Binary(data), .. }), length) => {
            if length.is_some_and(|length| length != data.len()) {
                return Err(Refusal::Field);
            }
            data.clone()
        }
        (Some(_), _) => return Err(Refusal::NotSuited),
    };
    match fields.find(TAG_4) {
        Some(written) => {
            let offset = usize::from(fields.optional(TAG_2)?.map_or(0, u16::from_be_bytes));
            let end = offset.checked_add(written.len()).ok_or(Refusal::Field)?;
            data.get_mut(offset..end).ok_or(Refusal::Field)?.copy_from_slice(written);
        }
        // "Optional: if not given, TAG_3 must be filled"
        None if length.is_none() => return Err(Refusal::Field),
        None => {}
    }
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, Body::Binary(data))
}

fn write_counter(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let (id, old) = target(card, fields, rule::WRITE)?;
    let size = fields.optional(TAG_2)?.map(u16::from_be_bytes);
    let set = fields.find(TAG_3);
    let (bytes, before) = match old.as_deref() {
        Some(Object { body: Body::Counter { bytes, value }, .. }) => (*bytes, Some(*value)),
        Some(_) => return Err(Refusal::NotSuited),
        None => {
            let given = set.map(|value| u16::try_from(value.len()).unwrap_or(u16::MAX));
            let bytes = size.or(given).and_then(|bytes| u8::try_from(bytes).ok());
            (bytes.filter(|bytes| (1..=8).contains(bytes)).ok_or(Refusal::Field)?, None)
        }
    };
    if size.is_some_and(|size| size != u16::from(bytes)) {
        return Err(Refusal::Field);
    }
    let value = match (before, set) {
        (None, None) => 0,
        (Some(before), None) => {
            let next = before.checked_add(1).filter(|next| *next <= counter_limit(bytes));
            next.ok_or(Refusal::CounterEnd)?
        }
        // "An input value (TAG_3) must always have the same length as the existing counter".
        (_, Some(set)) if set.len() != usize::from(bytes) => return Err(Refusal::Field),
        (_, Some(set)) => set.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
    };
    if before.is_some_and(|before| value < before) {
        return Err(Refusal::CounterEnd);
    }
    put(card, fields, id, old.as_deref(), Origin::EXTERNAL, Body::Counter { bytes, value })
}
