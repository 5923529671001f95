//! The IoT applet: the commands of [`se05x`], each answered from the table's row.

mod agree;
mod cipher;
pub(crate) mod crypto_object;
pub(crate) mod curve;
mod derive;
mod digest;
mod keys;
mod mac;
mod sign;
mod volatile;

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::scp03::Level;
use touchmark_identity::apdu::se05x::{
    self, ALL_TYPES, AppletVersion, Instruction, MAX_BINARY_BYTES, ObjectType, Origin, Policy, TAG_1, TAG_2,
    TAG_3, TAG_4, TAG_5, TAG_6, TAG_7, TAG_POLICY, Unknown, rule,
};
use touchmark_identity::apdu::tlv::{self, TlvError, Tlvs};

use crate::card::{Card, Refusal};
use crate::flaw;
use crate::object::{Body, Object, counter_limit};
use crate::runtime::Reply;
use curve::Curve;
pub(crate) use volatile::Volatile;

/// The version of the applet: the 3.x interface, with ECDSA and ECDH
/// (0002), EdDSA (0004), X25519 (0008), HMAC (0010) and AES (0080) switched on.
pub(crate) const VERSION: AppletVersion =
    AppletVersion { version: [3, 1, 1], features: 0x009E, crypto_library: [1, 0] };

/// The most random bytes in one answer: what an SE05x response carries.
const MAX_RANDOM_BYTES: u16 = 889;
/// Object ids in one answer.
const IDS_IN_ONE_ANSWER: usize = 200;
/// "0x7FFF as response means at least 32768 bytes are available" (`GetFreeMemory` in the Plug & Trust headers).
const MOST_FREE_BYTES: u16 = 0x7FFF;

/// Answers a command. A change that has been committed is durable when this returns.
pub(crate) fn process(
    card: &mut Card,
    _protection: Option<Level>,
    command: &Command,
) -> Result<Reply, Refusal> {
    carry_out(card, command).map(Reply::from)
}

fn carry_out(card: &mut Card, command: &Command) -> Result<Vec<u8>, Refusal> {
    let instruction = Instruction::find(command.ins, command.p1, command.p2)?;
    let fields = Tlvs::parse(&command.data)?;
    if !instruction.accepts(&fields) {
        return Err(Refusal::Field);
    }
    let policy = instruction.spec().policy;
    match instruction {
        Instruction::GetVersion => answer(&[(TAG_1, &card.version().encode())]),
        Instruction::GetExtVersion => answer(&[(TAG_1, &[&card.version().encode()[..], &[0; 30]].concat())]),
        Instruction::GetFreeMemory => free_memory(card, &fields),
        Instruction::GetRandom => random(&fields),
        Instruction::GetTimestamp => answer(&[(TAG_1, &card.stamp())]),
        Instruction::CheckObjectExists => {
            let exists = card.state().objects.contains_key(&object_id(&fields)?);
            answer(&[(TAG_1, &[result(exists)])])
        }
        Instruction::DeleteSecureObject => delete(card, &fields),
        Instruction::WriteEcKeyPair => keys::write_pair(card, &fields),
        Instruction::WriteEcPrivateKey => keys::write_private(card, &fields),
        Instruction::WriteEcPublicKey => keys::write_public(card, &fields),
        Instruction::WriteBinary => write_binary(card, &fields),
        Instruction::WriteCounter => write_counter(card, &fields),
        Instruction::CreateEcCurve | Instruction::SetEcCurveParam => curve(&fields),
        Instruction::ReadObject => {
            let (_, object) = object(card, &fields)?;
            match flaw::leak(card.gp().flaw, &object.body) {
                Some(leaked) => answer(&[(TAG_1, &leaked)]),
                None => answer(&[(TAG_1, &value(card, &object, &fields)?)]),
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
            let curve = object.curve().ok_or(Refusal::NotSuited)?;
            answer(&[(TAG_1, &[curve.id()])])
        }
        Instruction::EcdsaSign => sign::sign(card, &fields, policy),
        Instruction::EcdsaVerify => sign::verify(card, &fields, policy),
        Instruction::Ecdh => agree::ecdh(card, &fields, policy),
        Instruction::WriteAesKey => keys::write_aes(card, &fields),
        Instruction::WriteHmacKey => keys::write_hmac(card, &fields),
        Instruction::EncryptOneShot => cipher::one_shot(card, &fields, policy, true),
        Instruction::DecryptOneShot => cipher::one_shot(card, &fields, policy, false),
        Instruction::EncryptInit => cipher::init(card, &fields, policy, true),
        Instruction::DecryptInit => cipher::init(card, &fields, policy, false),
        Instruction::CipherUpdate => cipher::update(card, &fields),
        Instruction::CipherFinal => cipher::finish(card, &fields),
        Instruction::MacGenerate | Instruction::MacValidate => mac::one_shot(card, &fields, policy),
        Instruction::MacGenerateInit => mac::init(card, &fields, policy, false),
        Instruction::MacValidateInit => mac::init(card, &fields, policy, true),
        Instruction::MacUpdate => mac::update(card, &fields),
        Instruction::MacFinal => mac::finish(card, &fields),
        Instruction::Hkdf => derive::hkdf(card, &fields, policy, true),
        Instruction::HkdfExpand => derive::hkdf(card, &fields, policy, false),
        Instruction::DigestOneShot => digest::one_shot(&fields),
        Instruction::DigestInit => digest::init(card, &fields),
        Instruction::DigestUpdate => digest::update(card, &fields),
        Instruction::DigestFinal => digest::finish(card, &fields),
        Instruction::CreateCryptoObject => crypto_object::create(card, &fields),
        Instruction::ReadCryptoObjectList => crypto_object::list(card),
        Instruction::DeleteCryptoObject => crypto_object::delete(card, &fields),
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

/// The key that a command of the table uses, when its policy gives what the command's row wants.
fn key(card: &Card, fields: &Tlvs<'_>, policy: u32) -> Result<Arc<Object>, Refusal> {
    let (_, object) = object(card, fields)?;
    allowed(card, &object, policy)?;
    Ok(object)
}

fn allowed(_card: &Card, object: &Object, wanted: u32) -> Result<(), Refusal> {
    if object.allows(wanted) { Ok(()) } else { Err(Refusal::Policy) }
}

fn attributes(id: u32, object: &Object) -> Result<Vec<u8>, Refusal> {
    object.attributes(id).encode().map_err(|_| Refusal::PolicyForm)
}

fn curve(fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    match fields.exact(TAG_1)? {
        // It is there with all its parameters; they are not set twice.
        [id] if Curve::from_id(id).is_some() => Err(Refusal::NotSuited),
        _ => Err(Refusal::Field),
    }
}

fn curve_list() -> Vec<u8> {
    (1..=se05x::WEIERSTRASS_CURVES)
        .map(|curve| if Curve::from_id(curve).is_some() { se05x::SET } else { se05x::NOT_SET })
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
fn value(card: &Card, object: &Object, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    allowed(card, object, rule::READ)?;
    let offset = fields.optional(TAG_2)?.map(u16::from_be_bytes);
    let length = fields.optional(TAG_3)?.map(u16::from_be_bytes);
    let range = match (offset, length) {
        (None, None) => None,
        (Some(offset), Some(length)) => Some((usize::from(offset), usize::from(length))),
        _ => return Err(Refusal::Field),
    };
    match (&object.body, range) {
        (Body::Binary(data), None) => Ok(data.clone()),
        (Body::Binary(data), Some((offset, length))) => {
            let end = offset.checked_add(length).ok_or(Refusal::Field)?;
            data.get(offset..end).map(<[u8]>::to_vec).ok_or(Refusal::Field)
        }
        (Body::Counter { bytes, value }, None) => Ok(counter_bytes(*bytes, *value)),
        (_, Some(_)) => Err(Refusal::Field),
        (body, None) => keys::public_key(body),
    }
}

fn counter_bytes(bytes: u8, value: u64) -> Vec<u8> {
    let all = value.to_be_bytes();
    all.split_at(all.len().saturating_sub(usize::from(bytes))).1.to_vec()
}

fn size(object: &Object) -> Result<u16, Refusal> {
    match &object.body {
        // "For EC keys: the size of the curve is returned", in bytes.
        Body::KeyPair(_)
        | Body::PrivateKey(_)
        | Body::PublicKey { .. }
        | Body::Ed25519 { .. }
        | Body::X25519 { .. } => {
            object.curve().map(|curve| u16::from(curve.bytes())).ok_or(Refusal::NotSuited)
        }
        Body::Aes(key) | Body::Hmac(key) => u16::try_from(key.len()).map_err(|_| Refusal::NotSuited),
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
    allowed(card, &attester, rule::ATTEST)?;
    let pair = match &attester.body {
        Body::KeyPair(pair) if attester.curve() == Some(Curve::P256) => pair,
        _ => return Err(Refusal::NotSuited),
    };

    let data = value(card, &object, fields)?;
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

/// The object that a write changes, after the checks that all writes share; `None` when it makes a new one.
fn target(card: &Card, fields: &Tlvs<'_>, wanted: u32) -> Result<(u32, Option<Arc<Object>>), Refusal> {
    let id = object_id(fields)?;
    match card.state().objects.get(&id) {
        // A policy is given once, when the object is made.
        Some(_) if fields.find(TAG_POLICY).is_some() => Err(Refusal::Field),
        Some(object) => {
            allowed(card, object, wanted)?;
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
    if let Some(old) = old {
        return replace(card, id, old, origin, body);
    }
    let set = fields.find(TAG_POLICY).unwrap_or(&[]);
    let policies = Policy::parse_set(set).map_err(|_| Refusal::PolicyForm)?;
    let new = Object { origin, policies, body };
    store(card, id, 0, new)
}

/// Gives an object another value of the same type, durably.
fn replace(card: &mut Card, id: u32, old: &Object, origin: Origin, body: Body) -> Result<Vec<u8>, Refusal> {
    let policies = old.policies.clone();
    let new = Object { origin, policies, body };
    if old.object_type() != new.object_type() {
        return Err(Refusal::NotSuited);
    }
    store(card, id, old.footprint(), new)
}

fn store(card: &mut Card, id: u32, freed: usize, new: Object) -> Result<Vec<u8>, Refusal> {
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
    allowed(card, &object, rule::DELETE)?;
    let mut next = card.state().clone();
    next.objects.remove(&id);
    card.commit(next)?;
    Ok(Vec::new())
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
