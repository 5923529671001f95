//! Sessions of user ids, AES keys and EC keys, and what only a session of a certain object may do.

use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use touchmark_identity::apdu::scp03::{
    AesKey, CounterRule, KeySet, Level, SecureChannel, SessionKeys, UpdateResponse, initialize_update,
};
use touchmark_identity::apdu::se05x::{
    AID, CURVE_NIST_P256, FACTORY_RESET, Instruction, PLATFORM_SCP, RESTRICT, SESSION_KEY, TAG_1, TAG_2,
    TAG_3, TAG_4, TAG_MAX_ATTEMPTS, TAG_POLICY, TRANSPORT, UNIQUE_ID, rule,
};
use touchmark_identity::apdu::tlv::{self, Tlvs};
use touchmark_identity::apdu::{Command, Response};
use touchmark_identity::key::sha256;

use crate::host::{FIELD, Host, NOT_SUITED, POLICY, SECURITY, Session, policy};

const USER: u32 = 0x3000_0001;
const FILE: u32 = 0x3000_0002;
const AES: [u8; 16] = *b"an AES test key!";

/// Failed and most attempts, out of the attributes.
fn attempts(host: &mut Host, id: u32) -> (u16, u16) {
    let answer = host.ask(Instruction::ReadAttributes, &[(TAG_1, &id.to_be_bytes())]).unwrap();
    let attributes = Tlvs::parse(&answer).unwrap().find(TAG_2).unwrap().to_vec();
    (u16::from_be_bytes([attributes[6], attributes[7]]), u16::from_be_bytes([attributes[12], attributes[13]]))
}

fn aes_user(host: &mut Host, most: u16) {
    let fields = [(TAG_MAX_ATTEMPTS, &most.to_be_bytes()[..]), (TAG_1, &USER.to_be_bytes()), (TAG_3, &AES)];
    host.auth(Instruction::WriteAesKey, &fields).unwrap();
}

#[test]
fn a_user_id_opens_a_session_in_which_its_policy_counts() {
    let mut host = Host::new();
    host.write_user_id(USER, 5, b"NEEDSCP").unwrap();
    host.write_file(FILE, &policy(USER, rule::READ)).unwrap();
    assert_eq!(host.read(FILE), Err(POLICY));
    let mut session = host.create_session(USER).unwrap();
    assert_eq!(session.id.len(), 8);
    assert_eq!(session.read(&mut host, FILE), Err(NOT_SUITED), "it has not authenticated");
    let wrong = session.ask(&mut host, Instruction::VerifySessionUserId, &[(TAG_1, b"NEEDSCq")]);
    assert_eq!(wrong, Err(NOT_SUITED));
    let short = session.ask(&mut host, Instruction::VerifySessionUserId, &[(TAG_1, b"NEEDSC")]);
    assert_eq!(short, Err(NOT_SUITED));
    assert_eq!(attempts(&mut host, USER), (2, 5));
    assert_eq!(session.read(&mut host, FILE), Err(NOT_SUITED));
    session.ask(&mut host, Instruction::VerifySessionUserId, &[(TAG_1, b"NEEDSCP")]).unwrap();
    assert_eq!(attempts(&mut host, USER), (0, 5));
    assert_eq!(session.read(&mut host, FILE).unwrap(), b"ab");
    assert_eq!(host.read(FILE), Err(POLICY), "outside of the session nothing has changed");
    // What is made in the session belongs to its user.
    let made = [(TAG_1, &[0x30, 0, 0, 3][..]), (TAG_3, &[0, 1])];
    session.ask(&mut host, Instruction::WriteBinary, &made).unwrap();
    let attributes = host.ask(Instruction::ReadAttributes, &[(TAG_1, &[0x30, 0, 0, 3])]).unwrap();
    assert_eq!(attributes[2 + 8..2 + 12], USER.to_be_bytes());
    session.ask(&mut host, Instruction::CloseSession, &[]).unwrap();
    assert_eq!(session.read(&mut host, FILE), Err(NOT_SUITED));
    // A session's command outside of a session, and a session in a session.
    assert_eq!(host.ask(Instruction::CloseSession, &[]), Err(NOT_SUITED));
    let mut session = host.user_session(USER, b"NEEDSCP").unwrap();
    let nested = session.ask(&mut host, Instruction::CreateSession, &[(TAG_1, &USER.to_be_bytes())]);
    assert_eq!(nested, Err(NOT_SUITED));
}

#[test]
fn user_ids_are_made_once_and_never_read() {
    let mut host = Host::new();
    assert_eq!(host.write_user_id(USER, 0, b"abc"), Err(FIELD));
    assert_eq!(host.write_user_id(USER, 0, &[1; 17]), Err(FIELD));
    host.write_user_id(USER, 0, b"abcd").unwrap();
    assert_eq!(host.write_user_id(USER, 0, b"abce"), Err(NOT_SUITED));
    assert_eq!(host.read(USER), Err(POLICY));
    // One byte of attempts is taken too.
    let short = [(TAG_MAX_ATTEMPTS, &[7][..]), (TAG_1, &[0x30, 0, 0, 9]), (TAG_2, b"abcd")];
    host.ask(Instruction::WriteUserId, &short).unwrap();
    assert_eq!(attempts(&mut host, 0x3000_0009), (0, 7));
    // Only an authentication object opens a session, and it does nothing else.
    host.write_file(FILE, &[]).unwrap();
    assert_eq!(host.create_session(FILE).err(), Some(NOT_SUITED));
    assert_eq!(host.create_session(0x3000_0099).err(), Some(NOT_SUITED));
    host.auth(Instruction::WriteAesKey, &[(TAG_1, &[0x30, 0, 0, 8]), (TAG_3, &AES)]).unwrap();
    let cipher = [(TAG_1, &[0x30, 0, 0, 8][..]), (TAG_2, &[0x0E]), (TAG_3, &[0; 16])];
    assert_eq!(host.ask(Instruction::EncryptOneShot, &cipher), Err(NOT_SUITED));
    // Attempts belong to authentication objects.
    let plain = [(TAG_MAX_ATTEMPTS, &[0, 3][..]), (TAG_1, &[0x30, 0, 0, 7]), (TAG_3, &AES)];
    assert_eq!(host.ask(Instruction::WriteAesKey, &plain), Err(FIELD));
}

#[test]
fn after_the_last_attempt_a_user_id_is_blocked_for_good() {
    let mut host = Host::new();
    host.write_user_id(USER, 3, b"secret").unwrap();
    for _ in 0..2 {
        assert_eq!(host.user_session(USER, b"guess!").err(), Some(NOT_SUITED));
        host.select();
    }
    host.user_session(USER, b"secret").unwrap();
    host.select();
    let mut session = host.create_session(USER).unwrap();
    for _ in 0..3 {
        let wrong = session.ask(&mut host, Instruction::VerifySessionUserId, &[(TAG_1, b"guess!")]);
        assert_eq!(wrong, Err(NOT_SUITED));
    }
    let right = session.ask(&mut host, Instruction::VerifySessionUserId, &[(TAG_1, b"secret")]);
    assert_eq!(right, Err(NOT_SUITED), "the right one comes too late");
    assert_eq!(host.create_session(USER).err(), Some(NOT_SUITED));
    let mut host = host.restart();
    assert_eq!(attempts(&mut host, USER), (3, 3));
    assert_eq!(host.create_session(USER).err(), Some(NOT_SUITED));
}

#[test]
fn a_cut_of_power_gives_no_attempt_for_nothing() {
    for (value, fault) in
        [(b"secret", "before"), (b"guess!", "before"), (b"secret", "after"), (b"guess!", "after")]
    {
        let mut host = Host::new();
        host.write_user_id(USER, 3, b"secret").unwrap();
        let mut session = host.create_session(USER).unwrap();
        std::fs::write(host.dir.path().join("fault"), format!("power-cut-{fault}-commit")).unwrap();
        let verify = Instruction::VerifySessionUserId.command(tlv::encode(&[(TAG_1, value)]).unwrap());
        let inner = verify.encode().unwrap();
        let outer = tlv::encode(&[(0x10, &session.id), (TAG_1, &inner)]).unwrap();
        let answer = host.element.transmit(&Instruction::ProcessSessionCmd.command(outer).encode().unwrap());
        assert!(answer.is_empty(), "right and wrong look the same");
        let mut host = host.restart();
        let counted = u16::from(fault == "after");
        assert_eq!(attempts(&mut host, USER), (counted, 3), "{fault}");
        assert_eq!(session.read(&mut host, FILE), Err(NOT_SUITED), "the session is gone");
    }
}

#[test]
fn an_aes_key_opens_a_session_with_its_own_channel() {
    let mut host = Host::new();
    aes_user(&mut host, 4);
    host.write_file(FILE, &policy(USER, rule::READ | rule::REQUIRE_SECURE_MESSAGING)).unwrap();
    for (level, good) in
        [(0x33, true), (0x03, true), (0x13, true), (0x01, false), (0x11, false), (0x00, false)]
    {
        let mut session = host.aes_session(USER, &AES, level).unwrap();
        let read = session.read(&mut host, FILE);
        assert_eq!(read, if good { Ok(b"ab".to_vec()) } else { Err(POLICY) }, "{level:02x}");
        // The counter goes on after an error, and with a command without data.
        let absent = session.read(&mut host, 0x3000_0077);
        assert_eq!(absent, Err(NOT_SUITED));
        assert!(session.ask(&mut host, Instruction::GetVersion, &[]).unwrap().starts_with(&[0x41, 7]));
        assert_eq!(session.read(&mut host, FILE).is_ok(), good);
        session.ask(&mut host, Instruction::CloseSession, &[]).unwrap();
    }
    assert_eq!(attempts(&mut host, USER), (0, 4));
    assert_eq!(host.aes_session(USER, b"another AES key!", 0x33).err(), Some(SECURITY));
    assert_eq!(attempts(&mut host, USER), (1, 4));
    host.select();
    // A plain command in a secured session ends it.
    let mut session = host.aes_session(USER, &AES, 0x33).unwrap();
    let read = Instruction::ReadObject.command(tlv::encode(&[(TAG_1, &FILE.to_be_bytes())]).unwrap());
    assert_eq!(session.raw(&mut host, &read), Err(SECURITY));
    assert_eq!(session.raw(&mut host, &read), Err(NOT_SUITED));
    // So does a changed one.
    let mut session = host.aes_session(USER, &AES, 0x33).unwrap();
    let mut wrapped = session.channel.as_mut().unwrap().wrap(&read).unwrap();
    wrapped.data[0] ^= 1;
    assert_eq!(session.raw(&mut host, &wrapped), Err(SECURITY));
    assert_eq!(session.raw(&mut host, &wrapped), Err(NOT_SUITED));
    // A challenge of another length, and an answer without a challenge.
    let mut session = host.create_session(USER).unwrap();
    assert_eq!(session.raw(&mut host, &initialize_update(0, &[7; 16])), Err(0x6700));
    let answer = Command { cla: 0x84, ins: 0x82, p1: 0, p2: 0, data: vec![0; 16], le: None };
    assert_eq!(session.raw(&mut host, &answer), Err(NOT_SUITED));
}

/// What NXP's hosts send to open a session with an EC key, and what they derive from the answer.
struct EcHost {
    pair: EcdsaKeyPair,
}

impl EcHost {
    fn new(host: &mut Host) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        let fields = [
            (TAG_MAX_ATTEMPTS, &[0, 2][..]),
            (TAG_1, &USER.to_be_bytes()),
            (TAG_2, &[CURVE_NIST_P256]),
            (TAG_4, &point),
        ];
        host.auth(Instruction::WriteEcPublicKey, &fields).unwrap();
        Self { pair }
    }

    fn open(&self, host: &mut Host, spoil: Option<usize>) -> Result<Session, u16> {
        let chip = host.read(SESSION_KEY).unwrap();
        let random = SystemRandom::new();
        let own = EphemeralPrivateKey::generate(&agreement::ECDH_P256, &random).unwrap();
        let point = own.compute_public_key().unwrap();
        let control =
            tlv::encode(&[(0x4F, &AID[..]), (0x90, &[0xAB, 0x01, 0x33]), (0x80, &[0x88]), (0x81, &[0x10])])
                .unwrap();
        let ephemeral = tlv::encode(&[(0xB0, point.as_ref()), (0xF0, &[0x03])]).unwrap();
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let signed =
            [&[0xA6, length(&control)][..], &control, &[0x7F, 0x49, length(&ephemeral)], &ephemeral].concat();
        let signature = self.pair.sign(&random, &signed).unwrap();
        let mut data = [&signed[..], &[0x5F, 0x37, length(signature.as_ref())], signature.as_ref()].concat();
        if let Some(at) = spoil {
            data[at] ^= 1;
        }
        let mut session = host.create_session(USER)?;
        let command = Command { cla: 0x84, ins: 0x88, p1: 0, p2: 0, data, le: None };
        let answer = session.raw(host, &command)?;
        let answer = Tlvs::parse(&answer).unwrap();
        let chip_random: [u8; 16] = answer.exact(0x85).unwrap();
        let receipt: [u8; 16] = answer.exact(0x86).unwrap();
        let peer = UnparsedPublicKey::new(&agreement::ECDH_P256, chip);
        let secret = agreement::agree_ephemeral(own, peer, (), |secret| Ok(secret.to_vec())).unwrap();
        // Applet 3.1: no counter before the secret.
        let input = [&secret[..], &chip_random, &[0x01, 0x33, 0x88, 0x10]].concat();
        let keys = SessionKeys::from_master(&AesKey::new(&sha256(&input)[..16]).unwrap()).unwrap();
        assert_eq!(keys.receipt(&signed).unwrap(), receipt);
        session.channel = Some(SecureChannel::resume(keys, Level::FULL, CounterRule::EveryCommand));
        Ok(session)
    }
}

#[test]
fn an_ec_key_opens_a_session_with_its_own_channel() {
    let mut host = Host::new();
    let user = EcHost::new(&mut host);
    host.write_file(FILE, &policy(USER, rule::READ | rule::REQUIRE_SECURE_MESSAGING)).unwrap();
    let mut session = user.open(&mut host, None).unwrap();
    for _ in 0..3 {
        assert_eq!(session.read(&mut host, FILE).unwrap(), b"ab");
        assert!(session.ask(&mut host, Instruction::GetVersion, &[]).unwrap().starts_with(&[0x41, 7]));
        assert_eq!(session.read(&mut host, 0x3000_0077), Err(NOT_SUITED));
    }
    session.ask(&mut host, Instruction::CloseSession, &[]).unwrap();
    // Another kind of channel, another key, another signature; two wrong signatures block the key.
    assert_eq!(user.open(&mut host, Some(23)).err(), Some(FIELD), "SCP03 parameters");
    assert_eq!(attempts(&mut host, USER), (0, 2));
    host.select();
    let other = EcHost { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap() };
    assert_eq!(other.open(&mut host, None).err(), Some(SECURITY));
    assert_eq!(attempts(&mut host, USER), (1, 2));
    host.select();
    assert!(user.open(&mut host, None).is_ok());
    for _ in 0..2 {
        host.select();
        assert_eq!(other.open(&mut host, None).err(), Some(SECURITY));
    }
    assert_eq!(user.open(&mut host, None).err(), Some(NOT_SUITED));
}

#[test]
fn two_sessions_at_most_and_none_after_select() {
    let mut host = Host::new();
    host.write_user_id(USER, 0, b"secret").unwrap();
    host.write_file(FILE, &policy(USER, rule::READ)).unwrap();
    let mut one = host.user_session(USER, b"secret").unwrap();
    let mut two = host.user_session(USER, b"secret").unwrap();
    assert_ne!(one.id, two.id);
    assert_eq!(host.create_session(USER).err(), Some(NOT_SUITED));
    assert_eq!(two.read(&mut host, FILE).unwrap(), b"ab");
    assert_eq!(one.read(&mut host, FILE).unwrap(), b"ab");
    host.select();
    assert_eq!(one.read(&mut host, FILE), Err(NOT_SUITED));
    host.user_session(USER, b"secret").unwrap();
}

#[test]
fn a_session_ends_with_its_authentication_object() {
    let mut host = Host::new();
    host.write_user_id(USER, 0, b"secret").unwrap();
    host.write_file(FILE, &policy(USER, rule::READ)).unwrap();
    let mut session = host.user_session(USER, b"secret").unwrap();
    session.read(&mut host, FILE).unwrap();
    host.delete(USER).unwrap();
    assert_eq!(session.read(&mut host, FILE), Err(NOT_SUITED));
    host.write_user_id(USER, 0, b"another").unwrap();
    assert_eq!(session.read(&mut host, FILE), Err(NOT_SUITED), "it does not come back with another object");
}

#[test]
fn a_session_has_as_many_commands_as_its_policy_says() {
    let mut host = Host::new();
    host.write_user_id(USER, 0, b"secret").unwrap();
    host.write_file(FILE, &[]).unwrap();
    let mut session = host.user_session(USER, b"secret").unwrap();
    assert_eq!(
        session.ask(&mut host, Instruction::RefreshSession, &[]),
        Err(NOT_SUITED),
        "it is not allowed"
    );
    let bad = session.ask(&mut host, Instruction::ExchangeSessionData, &[(TAG_1, &[2, 0x40, 0])]);
    assert_eq!(bad, Err(NOT_SUITED));
    let two = [4, 0xA0, 0x00, 0x00, 0x02];
    session.ask(&mut host, Instruction::ExchangeSessionData, &[(TAG_1, &two)]).unwrap();
    session.read(&mut host, FILE).unwrap();
    session.ask(&mut host, Instruction::RefreshSession, &[]).unwrap();
    session.read(&mut host, FILE).unwrap();
    session.read(&mut host, FILE).unwrap();
    assert_eq!(session.read(&mut host, FILE), Err(0x66A6));
    assert_eq!(session.read(&mut host, FILE), Err(NOT_SUITED), "it has ended");
    let mut session = host.user_session(USER, b"secret").unwrap();
    session.ask(&mut host, Instruction::ExchangeSessionData, &[(TAG_1, &two)]).unwrap();
    session.ask(&mut host, Instruction::RefreshSession, &[(TAG_POLICY, &[2, 0, 0])]).unwrap();
    for _ in 0..5 {
        session.read(&mut host, FILE).unwrap();
    }
}

#[test]
fn the_transport_lock_keeps_everybody_off_but_its_own_session() {
    let mut host = Host::new();
    host.write_file(FILE, &[]).unwrap();
    host.write_user_id(TRANSPORT, 0, b"transport").unwrap();
    host.write_user_id(USER, 0, b"secret").unwrap();
    let set = |indicator: u8, state: u8| [(TAG_1, vec![indicator]), (TAG_2, vec![state])];
    let lock = |session: Option<&mut Session>, host: &mut Host, indicator, state| {
        let fields = set(indicator, state);
        let fields: Vec<(u8, &[u8])> = fields.iter().map(|(tag, value)| (*tag, value.as_slice())).collect();
        match session {
            Some(session) => session.ask(host, Instruction::SetLockState, &fields),
            None => host.ask(Instruction::SetLockState, &fields),
        }
    };
    assert_eq!(lock(None, &mut host, 2, 1), Err(NOT_SUITED));
    let mut other = host.user_session(USER, b"secret").unwrap();
    assert_eq!(lock(Some(&mut other), &mut host, 2, 1), Err(NOT_SUITED));
    let mut session = host.user_session(TRANSPORT, b"transport").unwrap();
    assert_eq!(lock(Some(&mut session), &mut host, 3, 1), Err(FIELD));
    lock(Some(&mut session), &mut host, 2, 1).unwrap();
    assert_eq!(host.read(FILE), Err(NOT_SUITED));
    assert_eq!(other.read(&mut host, FILE), Err(NOT_SUITED));
    assert_eq!(session.read(&mut host, FILE).unwrap(), b"ab");
    assert!(host.ask(Instruction::GetVersion, &[]).is_ok());
    assert!(host.read(UNIQUE_ID).is_ok());
    assert_eq!(host.create_session(USER).err(), Some(NOT_SUITED));
    // The transient lock opens until the applet is deselected.
    lock(Some(&mut session), &mut host, 1, 2).unwrap();
    assert_eq!(host.read(FILE).unwrap(), b"ab");
    host.select();
    assert_eq!(host.read(FILE), Err(NOT_SUITED));
    let mut host = host.restart();
    assert_eq!(host.read(FILE), Err(NOT_SUITED), "the persistent lock lasts");
    let mut session = host.user_session(TRANSPORT, b"transport").unwrap();
    lock(Some(&mut session), &mut host, 2, 2).unwrap();
    assert_eq!(host.read(FILE).unwrap(), b"ab");
}

/// A platform channel with the key set 0B.
fn platform(host: &mut Host, level: u8) -> SecureChannel {
    let answer = host.send(&initialize_update(0x0B, &[5; 8])).unwrap();
    let answer = UpdateResponse::parse(&answer).unwrap();
    let key = |last: u8| AesKey::new(&[[0xAB, 0xCD].repeat(7), vec![0x00, last]].concat()).unwrap();
    let set = KeySet { enc: key(1), mac: key(2), dek: key(3) };
    let keys = SessionKeys::derive(&set, &[5; 8], &answer.challenge).unwrap();
    keys.check_card(&answer.cryptogram).unwrap();
    let level = Level::try_from(level).unwrap();
    let (channel, authenticate) = SecureChannel::begin(keys, level, CounterRule::WithDataOnly).unwrap();
    host.send(&authenticate).unwrap();
    channel
}

fn through(channel: &mut SecureChannel, host: &mut Host, command: &Command) -> Result<Vec<u8>, u16> {
    let command = channel.wrap(&Command { le: None, ..command.clone() }).unwrap();
    let answer = Response::parse(&host.element.transmit(&command.encode().unwrap())).unwrap();
    let answer = channel.unwrap_response(answer).unwrap();
    if answer.sw.0 == 0x9000 { Ok(answer.data) } else { Err(answer.sw.0) }
}

#[test]
fn the_platform_channel_can_be_made_a_must() {
    let mut host = Host::new();
    host.write_file(FILE, &policy(0, rule::READ | rule::REQUIRE_SECURE_MESSAGING)).unwrap();
    assert_eq!(host.ask(Instruction::SetPlatformScpRequest, &[(TAG_1, &[1])]), Err(NOT_SUITED));
    host.write_user_id(PLATFORM_SCP, 0, b"NEEDSCP").unwrap();
    let mut session = host.user_session(PLATFORM_SCP, b"NEEDSCP").unwrap();
    session.ask(&mut host, Instruction::SetPlatformScpRequest, &[(TAG_1, &[1])]).unwrap();
    assert_eq!(host.read(FILE), Err(SECURITY));
    assert_eq!(session.read(&mut host, FILE), Err(SECURITY));
    session.ask(&mut host, Instruction::CloseSession, &[]).unwrap();
    let mut host = host.restart();
    assert_eq!(host.ask(Instruction::GetVersion, &[]), Err(SECURITY), "it lasts");

    let read = Instruction::ReadObject.command(tlv::encode(&[(TAG_1, &FILE.to_be_bytes())]).unwrap());
    let mut channel = platform(&mut host, 0x33);
    assert_eq!(through(&mut channel, &mut host, &read).unwrap(), [&[0x41, 2][..], b"ab"].concat());
    host.select();
    // "Any other level is not sufficient and will not be accepted."
    let mut channel = platform(&mut host, 0x03);
    assert_eq!(through(&mut channel, &mut host, &read), Err(SECURITY));
    host.select();
    // A session inside of the channel takes it back.
    let mut channel = platform(&mut host, 0x33);
    let create =
        Instruction::CreateSession.command(tlv::encode(&[(TAG_1, &PLATFORM_SCP.to_be_bytes())]).unwrap());
    let id = through(&mut channel, &mut host, &create).unwrap()[2..].to_vec();
    for (instruction, value) in
        [(Instruction::VerifySessionUserId, &b"NEEDSCP"[..]), (Instruction::SetPlatformScpRequest, &[2])]
    {
        let inner = instruction.command(tlv::encode(&[(TAG_1, value)]).unwrap()).encode().unwrap();
        let outer =
            Instruction::ProcessSessionCmd.command(tlv::encode(&[(0x10, &id), (TAG_1, &inner)]).unwrap());
        assert_eq!(through(&mut channel, &mut host, &outer).unwrap(), Vec::<u8>::new());
    }
    host.select();
    assert_eq!(host.read(FILE), Err(POLICY), "plain, so that secure messaging is missing");
}

#[test]
fn delete_all_leaves_what_the_maker_put_in() {
    let mut host = Host::new();
    host.write_file(FILE, &policy(0, rule::READ)).unwrap();
    host.write_aes(0x3000_0004, &AES).unwrap();
    host.write_user_id(FACTORY_RESET, 0, b"reset").unwrap();
    aes_user(&mut host, 0);
    assert_eq!(host.ask(Instruction::DeleteAll, &[]), Err(NOT_SUITED));
    let mut other = host.aes_session(USER, &AES, 0x33).unwrap();
    assert_eq!(other.ask(&mut host, Instruction::DeleteAll, &[]), Err(NOT_SUITED));
    let mut session = host.user_session(FACTORY_RESET, b"reset").unwrap();
    session.ask(&mut host, Instruction::DeleteAll, &[]).unwrap();
    assert_eq!(session.read(&mut host, UNIQUE_ID), Err(NOT_SUITED), "all sessions are gone");
    let list = host.ask(Instruction::ReadIdList, &[(TAG_1, &[0, 0]), (TAG_2, &[0xFF])]).unwrap();
    let left: Vec<u8> = [0x7FFF_0201_u32, 0x7FFF_0206, 0xF000_0012, 0xF000_0013]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect();
    assert!(list.ends_with(&left) && list.len() == 5 + left.len(), "{}", hex::encode(&list));
}

#[test]
fn creation_of_objects_ends_for_good() {
    let mut host = Host::new();
    host.write_user_id(RESTRICT, 0, b"restrict").unwrap();
    host.write_file(FILE, &[]).unwrap();
    let mut session = host.user_session(RESTRICT, b"restrict").unwrap();
    assert_eq!(session.ask(&mut host, Instruction::DisableObjectCreation, &[(TAG_1, &[3])]), Err(FIELD));
    session.ask(&mut host, Instruction::DisableObjectCreation, &[(TAG_1, &[1])]).unwrap();
    assert_eq!(host.write_aes(0x3000_0004, &AES), Err(NOT_SUITED));
    let id = [0x30, 0, 0, 5];
    host.transient(Instruction::WriteAesKey, &[(TAG_1, &id), (TAG_3, &AES)]).unwrap();
    session.ask(&mut host, Instruction::DisableObjectCreation, &[(TAG_1, &[2])]).unwrap();
    session.ask(&mut host, Instruction::DisableObjectCreation, &[(TAG_1, &[1])]).unwrap();
    let mut host = host.restart();
    let more = host.transient(Instruction::WriteAesKey, &[(TAG_1, &[0x30, 0, 0, 6]), (TAG_3, &AES)]);
    assert_eq!(more, Err(NOT_SUITED));
    // What is there can still be written.
    let write = [(TAG_1, &FILE.to_be_bytes()[..]), (TAG_4, b"cd")];
    host.ask(Instruction::WriteBinary, &write).unwrap();
    assert_eq!(host.read(FILE).unwrap(), b"cd");
}

#[test]
fn the_applets_own_ids_are_for_authentication_objects_alone() {
    let mut host = Host::new();
    assert_eq!(host.write_file(TRANSPORT, &[]), Err(NOT_SUITED));
    assert_eq!(host.write_aes(PLATFORM_SCP, &AES), Err(NOT_SUITED));
    assert_eq!(host.write_user_id(0x7FFF_0300, 0, b"secret"), Err(NOT_SUITED));
    assert_eq!(host.write_user_id(0, 0, b"secret"), Err(NOT_SUITED));
    let fields = [(TAG_1, &PLATFORM_SCP.to_be_bytes()[..]), (TAG_3, &AES)];
    host.auth(Instruction::WriteAesKey, &fields).unwrap();
    let mut session = host.aes_session(PLATFORM_SCP, &AES, 0x33).unwrap();
    session.ask(&mut host, Instruction::SetPlatformScpRequest, &[(TAG_1, &[2])]).unwrap();
}
