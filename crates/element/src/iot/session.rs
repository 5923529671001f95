//! Sessions of the applet: a host proves that it holds a user id, an AES key or an EC key, and what it then sends is
//! held against the policies for that authentication object (NXP AN12413 §3.2, as NXP's host libraries show it).

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, KeyPair, ParsedPublicKey};
use touchmark_identity::apdu::class::Class;
use touchmark_identity::apdu::scp03::{
    AesKey, CounterRule, EXTERNAL_AUTHENTICATE, INITIALIZE_UPDATE, KeySet, Level, Parameter, SecureChannel,
    SessionKeys, UpdateResponse,
};
use touchmark_identity::apdu::se05x::{self, Instruction, SessionPolicy, TAG_1, TAG_POLICY, TAG_SESSION};
use touchmark_identity::apdu::tlv::{self, Tlvs};
use touchmark_identity::apdu::{Command, RawCommand, Response};
use touchmark_identity::key::sha256;
use zeroize::Zeroizing;

use super::curve::Curve;
use super::policy::{Caller, find};
use super::{answer, carry_out, instruction_of, object_id};
use crate::card::{Card, Refusal};
use crate::gp::data::diversification;
use crate::object::{Body, Object};
use crate::runtime::Reply;

/// Sessions that are open at the same time.
const MOST: usize = 2;
/// INTERNAL AUTHENTICATE, which opens a session with an EC key.
const INTERNAL_AUTHENTICATE: u8 = 0x88;
/// SCP03 with everything protected, as the control reference of INTERNAL AUTHENTICATE names it; AES, 16 bytes.
const CONTROL: [(u8, &[u8]); 3] = [(0x90, &[0xAB, 0x01, 0x33]), (0x80, &[0x88]), (0x81, &[0x10])];
/// From this version on a counter precedes what the master key is derived from.
const COUNTED_DERIVATION: [u8; 3] = [3, 5, 0];

/// A session.
pub(crate) struct Session {
    id: [u8; se05x::SESSION_ID_BYTES],
    /// The authentication object.
    user: u32,
    step: Step,
    policy: SessionPolicy,
}

/// How far a session is.
enum Step {
    /// The host has not authenticated.
    Created,
    /// The chip has answered INITIALIZE UPDATE.
    Challenged(SessionKeys),
    /// The host has authenticated.
    Open(Option<SecureChannel>),
}

/// Whether a session goes on after a command.
#[derive(PartialEq, Eq)]
enum Fate {
    Open,
    Closed,
}

/// CreateSession: a session for an authentication object that is not blocked.
pub(super) fn create(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let user = object_id(fields)?;
    let object = find(card, user).ok_or(Refusal::NoObject)?;
    if object.auth.is_none() || card.state().is_blocked(user) || card.iot_ref().caller.user != 0 {
        return Err(Refusal::NotSuited);
    }
    if card.iot_ref().sessions.len() >= MOST {
        return Err(Refusal::NotNow);
    }
    let mut id = [0; se05x::SESSION_ID_BYTES];
    SystemRandom::new().fill(&mut id).map_err(|_| Refusal::Crypto)?;
    card.iot().sessions.push(Session { id, user, step: Step::Created, policy: SessionPolicy::default() });
    answer(&[(TAG_1, &id)])
}

/// ProcessSessionCmd: a command in a session, answered as the inner command is.
pub(super) fn process(card: &mut Card, fields: &Tlvs<'_>) -> Result<Reply, Refusal> {
    let id: [u8; se05x::SESSION_ID_BYTES] = fields.exact(TAG_SESSION)?;
    let inner = RawCommand::parse(fields.required(TAG_1)?).map_err(|_| Refusal::Length)?;
    let at = card.iot_ref().sessions.iter().position(|session| session.id == id).ok_or(Refusal::NotNow)?;
    let mut session = card.iot().sessions.swap_remove(at);
    let before = card.iot_ref().caller;
    let reply = session.answer(card, before, &inner);
    card.iot().caller = before;
    match reply {
        Ok((reply, Fate::Closed)) => Ok(reply),
        Ok((reply, Fate::Open)) => {
            card.iot().sessions.push(session);
            Ok(reply)
        }
        // What could not be carried out outside of a session channel leaves the session as it is, but a broken one ends.
        Err((refusal, fate)) => {
            if fate == Fate::Open {
                card.iot().sessions.push(session);
            }
            Err(refusal)
        }
    }
}

/// Whether the inner command of a ProcessSessionCmd closes its session.
pub(super) fn closes(fields: &Tlvs<'_>) -> bool {
    let inner = fields.find(TAG_1).and_then(|inner| RawCommand::parse(inner).ok());
    inner.is_some_and(|inner| instruction_of(&inner.command) == Ok(Instruction::CloseSession))
}

type Outcome<T> = Result<T, (Refusal, Fate)>;

fn stays(refusal: Refusal) -> (Refusal, Fate) {
    (refusal, Fate::Open)
}

fn ends(refusal: Refusal) -> (Refusal, Fate) {
    (refusal, Fate::Closed)
}

impl Session {
    fn answer(&mut self, card: &mut Card, outside: Caller, raw: &RawCommand) -> Outcome<(Reply, Fate)> {
        // The object may have been deleted since, on another channel or by the session itself.
        if !card.state().objects.contains_key(&self.user) {
            return Err(ends(Refusal::NotNow));
        }
        let class = Class::parse(raw.command.cla).filter(|class| class.proprietary && class.channel == 0);
        let class = class.filter(|class| !class.chained).ok_or(stays(Refusal::Class))?;
        let opened = match (raw.command.ins, class.secure) {
            (INITIALIZE_UPDATE, false) => Some(self.initialize_update(card, &raw.command)),
            (EXTERNAL_AUTHENTICATE, true) => Some(self.external_authenticate(card, raw)),
            (INTERNAL_AUTHENTICATE, _) => Some(self.internal_authenticate(card, &raw.command)),
            _ => None,
        };
        if let Some(opened) = opened {
            return opened.map(|data| (data.into(), Fate::Open)).map_err(stays);
        }
        let command = match &mut self.step {
            Step::Open(Some(channel)) => channel.unwrap(raw).map_err(|_| ends(Refusal::Security))?,
            _ if class.secure => return Err(ends(Refusal::Security)),
            _ => raw.command.clone(),
        };
        if !self.policy.spend() {
            return Err(ends(Refusal::Throughput));
        }
        let protected = match &self.step {
            Step::Open(Some(channel)) => {
                let level = channel.level();
                level.command_mac() && level.command_encryption()
            }
            _ => false,
        };
        card.iot().caller = Caller { user: self.user, secure: outside.secure || protected };
        let (result, fate) = self.carry_out(card, &command);
        if !card.is_powered() {
            return Err(ends(Refusal::Commit));
        }
        let response = match result {
            Ok(data) => Response { data, sw: touchmark_identity::apdu::StatusWord::SUCCESS },
            Err(refusal) => Response { data: Vec::new(), sw: refusal.status() },
        };
        // "the response of the DeleteAll command will not be wrapped": the session is gone by then.
        let gone = instruction_of(&command) == Ok(Instruction::DeleteAll) && fate == Fate::Closed;
        let response = match &mut self.step {
            Step::Open(Some(channel)) if !gone => {
                channel.wrap_response(response).map_err(|_| ends(Refusal::Security))?
            }
            _ => response,
        };
        Ok((Reply { data: response.data, sw: response.sw }, fate))
    }

    fn carry_out(&mut self, card: &mut Card, command: &Command) -> (Result<Vec<u8>, Refusal>, Fate) {
        let open = matches!(self.step, Step::Open(_));
        let instruction = match instruction_of(command) {
            Ok(instruction) => instruction,
            Err(refusal) => return (Err(refusal), Fate::Open),
        };
        match instruction {
            Instruction::CloseSession => (Ok(Vec::new()), Fate::Closed),
            Instruction::VerifySessionUserId if !open => (self.verify_user_id(card, command), Fate::Open),
            _ if !open => (Err(Refusal::NotNow), Fate::Open),
            Instruction::ExchangeSessionData => (self.exchange(command), Fate::Open),
            Instruction::RefreshSession => (self.refresh(command), Fate::Open),
            Instruction::CreateSession
            | Instruction::VerifySessionUserId
            | Instruction::ProcessSessionCmd => (Err(Refusal::NotNow), Fate::Open),
            Instruction::DeleteAll => {
                let result = carry_out(card, command);
                let fate = if result.is_ok() { Fate::Closed } else { Fate::Open };
                (result, fate)
            }
            _ => (carry_out(card, command), Fate::Open),
        }
    }

    fn object(&self, card: &Card) -> Result<std::sync::Arc<Object>, Refusal> {
        let object = find(card, self.user).ok_or(Refusal::NoObject)?;
        if card.state().is_blocked(self.user) { Err(Refusal::NotSuited) } else { Ok(object) }
    }

    fn verify_user_id(&mut self, card: &mut Card, command: &Command) -> Result<Vec<u8>, Refusal> {
        let fields = fields_of(Instruction::VerifySessionUserId, command)?;
        let object = self.object(card)?;
        let Body::UserId(secret) = &object.body else { return Err(Refusal::NotSuited) };
        let given = fields.required(TAG_1)?;
        let proves = || verify_slices_are_equal(secret, given).is_ok();
        attempt(card, self.user, Refusal::NotNow, proves)?;
        self.step = Step::Open(None);
        Ok(Vec::new())
    }

    /// ExchangeSessionData: the session's own policy.
    fn exchange(&mut self, command: &Command) -> Result<Vec<u8>, Refusal> {
        let fields = fields_of(Instruction::ExchangeSessionData, command)?;
        self.policy = SessionPolicy::parse(fields.required(TAG_1)?).ok_or(Refusal::NotSuited)?;
        Ok(Vec::new())
    }

    /// RefreshSession: another policy, or the same one from its beginning, where the policy allows that.
    fn refresh(&mut self, command: &Command) -> Result<Vec<u8>, Refusal> {
        let fields = fields_of(Instruction::RefreshSession, command)?;
        if !self.policy.refresh {
            return Err(Refusal::NotNow);
        }
        self.policy = match fields.find(TAG_POLICY) {
            Some(policy) => SessionPolicy::parse(policy).ok_or(Refusal::NotSuited)?,
            None => self.policy.renewed(),
        };
        Ok(Vec::new())
    }

    /// INITIALIZE UPDATE with an AES key: SCP03 with the one key in all three places, 8 bytes of challenge, i = 00.
    fn initialize_update(&mut self, card: &mut Card, command: &Command) -> Result<Vec<u8>, Refusal> {
        self.step = Step::Created;
        let object = self.object(card)?;
        let Body::Aes(key) = &object.body else { return Err(Refusal::NotSuited) };
        let mut challenge = [0; 8];
        if command.data.len() != challenge.len() {
            return Err(Refusal::Length);
        }
        SystemRandom::new().fill(&mut challenge).map_err(|_| Refusal::Crypto)?;
        let key = || AesKey::new(key);
        let set = KeySet { enc: key()?, mac: key()?, dek: key()? };
        let keys = SessionKeys::derive(&set, &command.data, &challenge)?;
        let answer = UpdateResponse {
            diversification: diversification(&card.state().chip_id),
            version: command.p1,
            parameter: Parameter(0x00),
            challenge: challenge.to_vec(),
            cryptogram: keys.card_cryptogram()?,
            sequence: None,
        };
        self.step = Step::Challenged(keys);
        Ok(answer.encode())
    }

    /// EXTERNAL AUTHENTICATE with an AES key, of any security level.
    fn external_authenticate(&mut self, card: &mut Card, raw: &RawCommand) -> Result<Vec<u8>, Refusal> {
        let Step::Challenged(keys) = std::mem::replace(&mut self.step, Step::Created) else {
            return Err(Refusal::NotNow);
        };
        self.object(card)?;
        let level = Level::try_from(raw.command.p1)?;
        let channel = SecureChannel::accept(keys, level, CounterRule::EveryCommand, raw);
        let proved = channel.is_ok();
        attempt(card, self.user, Refusal::Security, || proved)?;
        self.step = Step::Open(Some(channel?));
        Ok(Vec::new())
    }

    /// INTERNAL AUTHENTICATE with an EC key: `A6` what kind of channel, `7F49` the host's ephemeral key, `5F37` its
    /// signature over both by the authentication object's key. Answers `85` 16 random bytes and `86` the receipt.
    fn internal_authenticate(&mut self, card: &mut Card, command: &Command) -> Result<Vec<u8>, Refusal> {
        self.step = Step::Created;
        let object = self.object(card)?;
        let public = match &object.body {
            Body::PublicKey { curve: Curve::P256, point } => point.clone(),
            Body::KeyPair(pair) if object.curve() == Some(Curve::P256) => pair.public_key().as_ref().to_vec(),
            _ => return Err(Refusal::NotSuited),
        };
        let (control, rest) = ber(&[0xA6], &command.data)?;
        let (ephemeral, rest) = ber(&[0x7F, 0x49], rest)?;
        let (signature, rest) = ber(&[0x5F, 0x37], rest)?;
        let signed = command.data.len() - signature.whole.len() - rest.len();
        let signed = command.data.get(..signed).ok_or(Refusal::Field)?;
        let control = Tlvs::parse(control.value)?;
        let known = CONTROL.iter().all(|(tag, value)| control.find(*tag) == Some(value));
        if !known || control.find(0x4F) != Some(&se05x::AID) || !rest.is_empty() {
            return Err(Refusal::Field);
        }
        let ephemeral = Tlvs::parse(ephemeral.value)?;
        let peer = ephemeral.required(0xB0)?;
        if ephemeral.exact(0xF0)? != [se05x::CURVE_NIST_P256] || !Curve::P256.is_public_key(peer) {
            return Err(Refusal::Field);
        }
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &public).map_err(|_| Refusal::Crypto)?;
        let proves = || key.verify_sig(signed, signature.value).is_ok();
        attempt(card, self.user, Refusal::Security, proves)?;

        let mut random = [0; 16];
        SystemRandom::new().fill(&mut random).map_err(|_| Refusal::Crypto)?;
        let master = master_key(card, peer, &random)?;
        let keys = SessionKeys::from_master(&master)?;
        let receipt = keys.receipt(signed)?;
        let level = Level::FULL;
        self.step = Step::Open(Some(SecureChannel::resume(keys, level, CounterRule::EveryCommand)));
        Ok(tlv::encode(&[(0x85, &random), (0x86, &receipt)])?)
    }
}

/// Counts an attempt before it is looked at, durably, and takes the count back when it was good: no cut of power gives an
/// attempt for nothing.
fn attempt(card: &mut Card, user: u32, wrong: Refusal, proves: impl FnOnce() -> bool) -> Result<(), Refusal> {
    let failed = card.state().failed(user).saturating_add(1);
    let mut next = card.state().clone();
    next.failed.insert(user, failed);
    card.commit(next)?;
    if !proves() {
        return Err(wrong);
    }
    let mut next = card.state().clone();
    next.failed.remove(&user);
    card.commit(next)
}

/// The key from which a session with an EC key derives its own.
fn master_key(card: &Card, peer: &[u8], random: &[u8; 16]) -> Result<AesKey, Refusal> {
    let own = find(card, se05x::SESSION_KEY).ok_or(Refusal::NoObject)?;
    let Body::KeyPair(pair) = &own.body else { return Err(Refusal::NotSuited) };
    let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(|_| Refusal::Crypto)?;
    let private = PrivateKey::from_private_key(&agreement::ECDH_P256, scalar.as_ref());
    let private = private.map_err(|_| Refusal::Crypto)?;
    let peer = UnparsedPublicKey::new(&agreement::ECDH_P256, peer);
    let mut input = Zeroizing::new(Vec::with_capacity(64));
    if card.version().version >= COUNTED_DERIVATION {
        input.extend([0, 0, 0, 1]);
    }
    agreement::agree(&private, peer, Refusal::Field, |secret| {
        input.extend_from_slice(secret);
        Ok(())
    })?;
    input.extend_from_slice(random);
    input.extend([0x01, 0x33, 0x88, 0x10]);
    let digest = Zeroizing::new(sha256(&input));
    Ok(AesKey::new(digest.split_at(16).0)?)
}

/// The fields of a command of the table, checked against it.
fn fields_of(instruction: Instruction, command: &Command) -> Result<Tlvs<'_>, Refusal> {
    let fields = Tlvs::parse(&command.data)?;
    if instruction.accepts(&fields) { Ok(fields) } else { Err(Refusal::Field) }
}

/// A data object of BER, whole and its value.
struct Ber<'a> {
    whole: &'a [u8],
    value: &'a [u8],
}

/// Takes the data object of this tag off the beginning; lengths of one byte, and with `81`.
fn ber<'a>(tag: &[u8], data: &'a [u8]) -> Result<(Ber<'a>, &'a [u8]), Refusal> {
    let after = data.strip_prefix(tag).ok_or(Refusal::Field)?;
    let (length, after) = match after {
        [0x81, length, after @ ..] | [length @ 0..=0x7F, after @ ..] => (usize::from(*length), after),
        // NXP's hosts write lengths in one byte, whatever they are.
        [length, after @ ..] => (usize::from(*length), after),
        [] => return Err(Refusal::Field),
    };
    let (value, rest) = after.split_at_checked(length).ok_or(Refusal::Field)?;
    let whole = data.get(..data.len() - rest.len()).ok_or(Refusal::Field)?;
    Ok((Ber { whole, value }, rest))
}
