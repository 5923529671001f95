//! The IoT applet: the commands of [`se05x`], each answered from the table's row.

mod agree;
mod attest;
mod cipher;
pub(crate) mod crypto_object;
pub(crate) mod curve;
mod derive;
mod digest;
mod export;
mod files;
mod keys;
mod lock;
mod mac;
mod policy;
mod session;
mod sign;
mod volatile;

use std::ops::Deref;
use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::scp03::Level;
use touchmark_identity::apdu::se05x::{
    self, ALL_TYPES, Instruction, ObjectType, Origin, Policy, TAG_1, TAG_2, TAG_3, TAG_MAX_ATTEMPTS,
    TAG_POLICY, Unknown, rule,
};
use touchmark_identity::apdu::tlv::{self, TlvError, Tlvs};

use crate::card::{Card, Refusal};
use crate::flaw;
use crate::object::{Body, Object};
use crate::runtime::Reply;
use curve::Curve;
use policy::{Caller, allowed, find};
pub(crate) use volatile::Volatile;

/// The most random bytes in one answer: what an SE05x response carries.
const MAX_RANDOM_BYTES: u16 = 889;
/// Object ids in one answer.
const IDS_IN_ONE_ANSWER: usize = 200;
/// Room for the values of transient objects, on each logical channel.
const TRANSIENT_BYTES: usize = 4096;
/// "0x7FFF as response means at least 32768 bytes are available" (`GetFreeMemory` in the Plug & Trust headers).
const MOST_FREE_BYTES: u16 = 0x7FFF;

/// Answers a command that came with this protection of the platform's secure channel. A change that has been committed is
/// durable when this returns.
pub(crate) fn process(
    card: &mut Card,
    protection: Option<Level>,
    command: &Command,
) -> Result<Reply, Refusal> {
    let session = Instruction::ProcessSessionCmd.spec();
    let in_session = (command.ins, command.p1, command.p2) == (session.ins, session.p1, session.p2);
    // "Enabled means full encryption and MAC, both on C-APDU and R-APDU." A session that is open may still end.
    let full = protection.is_some_and(|level| level.byte() == Level::FULL.byte());
    let shut = card.state().settings.platform_required && !full;
    let secure = protection.is_some_and(|level| level.command_mac() && level.command_encryption());
    card.iot().caller = Caller { user: 0, secure };
    if !in_session {
        return if shut { Err(Refusal::Security) } else { carry_out(card, command).map(Reply::from) };
    }
    let fields = Tlvs::parse(&command.data)?;
    if shut && !session::closes(&fields) {
        return Err(Refusal::Security);
    }
    if !Instruction::ProcessSessionCmd.accepts(&fields) {
        return Err(Refusal::Field);
    }
    session::process(card, &fields)
}

/// The row of the table.
fn instruction_of(command: &Command) -> Result<Instruction, Refusal> {
    Ok(Instruction::find(command.ins, command.p1, command.p2)?)
}

/// Carries a command out for the caller that [`Volatile`] names.
fn carry_out(card: &mut Card, command: &Command) -> Result<Vec<u8>, Refusal> {
    let instruction = instruction_of(command)?;
    let flags = command.ins & (se05x::INS_AUTH | se05x::INS_TRANSIENT);
    let fields = Request { fields: Tlvs::parse(&command.data)?, flags, data: &command.data };
    if lock::keeps_off(card, instruction, &fields) {
        return Err(Refusal::NotNow);
    }
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
        Instruction::DeleteSecureObject => delete(card, &fields, policy),
        Instruction::WriteEcKeyPair => keys::write_pair(card, &fields),
        Instruction::WriteEcKey => keys::rewrite(card, &fields),
        Instruction::WriteEcPrivateKey => keys::write_private(card, &fields),
        Instruction::WriteEcPublicKey => keys::write_public(card, &fields),
        Instruction::WriteBinary => files::write_binary(card, &fields),
        Instruction::WriteCounter => files::write_counter(card, &fields),
        Instruction::CreateEcCurve | Instruction::SetEcCurveParam => curve(&fields),
        Instruction::ReadObject => {
            let (_, object) = object(card, &fields)?;
            match flaw::leak(card.gp().flaw, &object.body) {
                Some(leaked) => answer(&[(TAG_1, &leaked)]),
                None => answer(&[(TAG_1, &value(card, &object, &fields)?)]),
            }
        }
        Instruction::WritePcr => files::write_pcr(card, &fields),
        Instruction::WriteUserId => files::write_user_id(card, &fields),
        Instruction::ImportObject => export::import(card, &fields, policy),
        Instruction::ExportObject => export::export(card, &fields, policy),
        Instruction::CreateSession => session::create(card, &fields),
        // These belong into a session.
        Instruction::ProcessSessionCmd
        | Instruction::VerifySessionUserId
        | Instruction::ExchangeSessionData
        | Instruction::RefreshSession
        | Instruction::CloseSession => Err(Refusal::NotNow),
        Instruction::SetLockState => lock::set_lock(card, &fields),
        Instruction::SetPlatformScpRequest => lock::set_platform(card, &fields),
        Instruction::DisableObjectCreation => lock::restrict(card, &fields),
        Instruction::DeleteAll => lock::delete_all(card),
        Instruction::Pbkdf2 => derive::pbkdf2(card, &fields, policy),
        Instruction::ReadAttributesAttested => attest::read_attributes(card, &fields),
        Instruction::ReadObjectAttested => attest::read(card, &fields),
        Instruction::ReadSize => {
            let (_, object) = object(card, &fields)?;
            answer(&[(TAG_1, &object.size().ok_or(Refusal::NotSuited)?.to_be_bytes())])
        }
        Instruction::ReadIdList => id_list(card, &fields),
        Instruction::ReadType => {
            let (_, object) = object(card, &fields)?;
            answer(&[
                (TAG_1, &[object.object_type().0]),
                (TAG_2, &[if object.transient { se05x::TRANSIENT } else { se05x::PERSISTENT }]),
            ])
        }
        Instruction::ReadAttributes => {
            let (id, object) = object(card, &fields)?;
            let tag = if card.state().applet.binds_reads() { TAG_3 } else { TAG_2 };
            answer(&[(tag, &attributes(card, id, &object)?)])
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
    find(card, id).map(|object| (id, object)).ok_or(Refusal::NoObject)
}

/// The key that a command of the table uses, when its policy gives what the command's row wants.
fn key(card: &Card, fields: &Tlvs<'_>, policy: u32) -> Result<Arc<Object>, Refusal> {
    let (_, object) = object(card, fields)?;
    allowed(card, &object, policy)?;
    // What opens sessions does nothing else.
    if object.auth.is_some() { Err(Refusal::NotSuited) } else { Ok(object) }
}

fn attributes(card: &Card, id: u32, object: &Object) -> Result<Vec<u8>, Refusal> {
    let state = card.state();
    object.attributes(id, state.failed(id), state.applet).encode().map_err(|_| Refusal::PolicyForm)
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
        // One memory for both: what a reset clears, a deselection does.
        [se05x::MEMORY_TRANSIENT_RESET | se05x::MEMORY_TRANSIENT_DESELECT] => {
            u16::try_from(free_transient_bytes(card)).unwrap_or(u16::MAX)
        }
        _ => return Err(Refusal::Field),
    };
    answer(&[(TAG_1, &free.to_be_bytes())])
}

/// Free bytes for the values of transient objects, on this channel.
fn free_transient_bytes(card: &Card) -> usize {
    let used: usize = card.iot_ref().values.values().map(|object| object.footprint()).sum();
    TRANSIENT_BYTES.saturating_sub(used)
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
    // Hosts leave out an offset of 0, and a length where they want the rest.
    let offset = fields.optional(TAG_2)?.map(u16::from_be_bytes);
    let length = fields.optional(TAG_3)?.map(u16::from_be_bytes);
    let range = (offset.is_some() || length.is_some())
        .then(|| (usize::from(offset.unwrap_or(0)), length.map(usize::from)));
    match (&object.body, range) {
        (Body::Binary(data), None) => Ok(data.clone()),
        (Body::Binary(data), Some((offset, length))) => {
            let end = length.map_or(Some(data.len()), |length| offset.checked_add(length));
            data.get(offset..end.ok_or(Refusal::Field)?).map(<[u8]>::to_vec).ok_or(Refusal::Field)
        }
        (Body::Counter { bytes, value, .. }, None) => Ok(counter_bytes(*bytes, *value)),
        (Body::Pcr { value, .. }, None) => Ok(value.to_vec()),
        (_, Some(_)) => Err(Refusal::Field),
        (body, None) => keys::public_key(body),
    }
}

fn counter_bytes(bytes: u8, value: u64) -> Vec<u8> {
    let all = value.to_be_bytes();
    all.split_at(all.len().saturating_sub(usize::from(bytes))).1.to_vec()
}

/// The object that a write changes, after the checks that all writes share; `None` when it makes a new one.
fn target(card: &Card, fields: &Request<'_>, wanted: u32) -> Result<(u32, Option<Arc<Object>>), Refusal> {
    let id = object_id(fields)?;
    match find(card, id) {
        // A policy is given once, when the object is made.
        Some(_) if fields.find(TAG_POLICY).is_some() => Err(Refusal::Field),
        Some(object) => {
            allowed(card, &object, wanted)?;
            Ok((id, Some(object)))
        }
        None if fields.is_auth() && se05x::is_reserved_for_authentication(id) => Ok((id, None)),
        None if se05x::is_reserved(id) => Err(Refusal::ReservedId),
        None => Ok((id, None)),
    }
}

/// Puts an object into the state, durably. An existing object keeps its policies, and what kind of object it is.
fn put(
    card: &mut Card,
    fields: &Request<'_>,
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
    let attempts = match fields.find(TAG_MAX_ATTEMPTS) {
        None => 0,
        Some(&[low]) => u16::from(low),
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        Some(_) => return Err(Refusal::Field),
    };
    let (auth, transient) = (fields.is_auth(), fields.is_transient());
    // Whoever may open sessions does not depend on what a channel forgets.
    if (auth && transient) || (!auth && attempts != 0) {
        return Err(Refusal::Field);
    }
    let restricted = card.state().settings.restricted;
    if restricted == se05x::RESTRICT_ALL || (restricted == se05x::RESTRICT_NEW && !transient) {
        return Err(Refusal::NotNow);
    }
    let owner = card.iot_ref().caller.user;
    let new = Object { origin, policies, owner, auth: auth.then_some(attempts), transient, body };
    store(card, id, 0, new)
}

/// Gives an object another value of the same type, durably unless it is transient.
fn replace(card: &mut Card, id: u32, old: &Object, origin: Origin, body: Body) -> Result<Vec<u8>, Refusal> {
    let Object { owner, auth, transient, .. } = *old;
    let new = Object { origin, policies: old.policies.clone(), owner, auth, transient, body };
    if old.object_type() != new.object_type() {
        return Err(Refusal::NotSuited);
    }
    store(card, id, old.footprint(), new)
}

fn store(card: &mut Card, id: u32, freed: usize, new: Object) -> Result<Vec<u8>, Refusal> {
    if new.transient {
        let kept = new.without_value();
        let freed = if card.iot_ref().values.contains_key(&id) { freed } else { 0 };
        if new.footprint() > free_transient_bytes(card) + freed {
            return Err(Refusal::Memory);
        }
        if !card.state().objects.contains_key(&id) {
            commit_object(card, id, 0, kept)?;
        }
        card.iot().values.insert(id, Arc::new(new));
        return Ok(Vec::new());
    }
    commit_object(card, id, freed, new)?;
    Ok(Vec::new())
}

fn commit_object(card: &mut Card, id: u32, freed: usize, new: Object) -> Result<(), Refusal> {
    if new.footprint() > card.state().free_bytes() + freed {
        return Err(Refusal::Memory);
    }
    let mut next = card.state().clone();
    next.objects.insert(id, Arc::new(new));
    card.commit(next)
}

fn delete(card: &mut Card, fields: &Tlvs<'_>, policy: u32) -> Result<Vec<u8>, Refusal> {
    let (id, object) = object(card, fields)?;
    allowed(card, &object, policy)?;
    let mut next = card.state().clone();
    next.objects.remove(&id);
    next.failed.remove(&id);
    card.commit(next)?;
    card.iot().values.remove(&id);
    Ok(Vec::new())
}

/// The fields of a command, with what its instruction byte says beside them.
struct Request<'a> {
    fields: Tlvs<'a>,
    flags: u8,
    /// The fields as they came.
    data: &'a [u8],
}

impl Request<'_> {
    fn is_auth(&self) -> bool {
        self.flags & se05x::INS_AUTH != 0
    }

    fn is_transient(&self) -> bool {
        self.flags & se05x::INS_TRANSIENT != 0
    }
}

impl<'a> Deref for Request<'a> {
    type Target = Tlvs<'a>;

    fn deref(&self) -> &Self::Target {
        &self.fields
    }
}
