//! The card's side of SCP03, spoken to by the host's side.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::time::Duration;

use touchmark_element::{Applet, Class, Element, Session};
use touchmark_identity::apdu::scp03::{
    AesKey, CounterRule, KeySet, Level, SecureChannel, SessionKeys, UpdateResponse, initialize_update,
    put_keys,
};
use touchmark_identity::apdu::se05x::{AID, Instruction, TAG_1};
use touchmark_identity::apdu::{Command, Response, StatusWord, tlv};

const ISSUER: [u8; 8] = [0xA0, 0, 0, 1, 0x51, 0, 0, 0];
const PLATFORM: [u8; 11] = [0xD2, 0x76, 0, 0, 0x85, 0x30, 0x4A, 0x43, 0x4F, 0x90, 0x03];

struct Card {
    dir: tempfile::TempDir,
    element: Element,
    session: Session,
}

fn fresh() -> Card {
    let dir = tempfile::tempdir().unwrap();
    let element = Element::create(dir.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
    Card { dir, element, session: Session::default() }
}

fn counted(bytes: u8) -> KeySet {
    let key = || AesKey::new(&(0x40..0x40 + bytes).collect::<Vec<u8>>()).unwrap();
    KeySet { enc: key(), mac: key(), dek: key() }
}

fn platform() -> KeySet {
    let key = |last| AesKey::new(&[&[0xAB, 0xCD].repeat(7)[..], &[0, last]].concat()).unwrap();
    KeySet { enc: key(1), mac: key(2), dek: key(3) }
}

fn command(cla: u8, ins: u8, p1: u8, p2: u8, data: &[u8]) -> Command {
    Command { cla, ins, p1, p2, data: data.to_vec(), le: Some(256) }
}

impl Card {
    fn send(&mut self, command: &Command) -> Response {
        let answer = self.element.answer(&mut self.session, &command.encode().unwrap());
        Response::parse(&answer.bytes).unwrap()
    }

    fn sw(&mut self, command: &Command) -> u16 {
        self.send(command).sw.0
    }

    fn select(&mut self, aid: &[u8]) {
        assert_eq!(self.sw(&command(0, 0xA4, 4, 0, aid)), 0x9000);
    }

    fn begin(
        &mut self,
        set: &KeySet,
        version: u8,
        width: usize,
        rule: CounterRule,
        level: u8,
    ) -> (SecureChannel, Command) {
        let challenge = vec![0x5A; width];
        let response = self.send(&initialize_update(version, &challenge));
        assert_eq!(response.sw, StatusWord::SUCCESS);
        let update = UpdateResponse::parse(&response.data).unwrap();
        let keys = SessionKeys::derive(set, &challenge, &update.challenge).unwrap();
        keys.check_card(&update.cryptogram).unwrap();
        SecureChannel::begin(keys, Level::try_from(level).unwrap(), rule).unwrap()
    }

    fn open(&mut self, set: &KeySet, version: u8, width: usize, level: u8) -> SecureChannel {
        let (channel, hello) = self.begin(set, version, width, CounterRule::EveryCommand, level);
        assert_eq!(self.sw(&hello), 0x9000, "version {version:02X}, level {level:02X}");
        channel
    }

    fn through(&mut self, channel: &mut SecureChannel, command: &Command) -> Response {
        let response = self.send(&channel.wrap(command).unwrap());
        channel.unwrap_response(response).unwrap()
    }
}

#[test]
fn every_key_set_at_every_level() {
    let mut card = fresh();
    for (version, bytes, width, parameter) in [
        (0x30, 16, 8, 0x70),
        (0x31, 24, 8, 0x70),
        (0x32, 32, 8, 0x70),
        (0x33, 16, 8, 0x10),
        (0x34, 16, 8, 0x60),
        (0x35, 16, 16, 0x71),
        (0x36, 32, 16, 0x71),
    ] {
        for level in Level::ALL {
            let allowed = (level.byte() & 0x10 == 0 || parameter & 0x20 != 0)
                && (level.byte() & 0x20 == 0 || parameter & 0x60 == 0x60);
            let (mut channel, hello) =
                card.begin(&counted(bytes), version, width, CounterRule::EveryCommand, level.byte());
            assert_eq!(card.sw(&hello), if allowed { 0x9000 } else { 0x6985 }, "{version:02X} {level:?}");
            if !allowed {
                continue;
            }
            // With data and without, an answer and an error, and again.
            for _ in 0..2 {
                let status = card.through(&mut channel, &command(0x80, 0xF2, 0x80, 0x02, &[0x4F, 0]));
                assert_eq!((status.sw.0, status.data[..4].to_vec()), (0x9000, vec![0xE3, 0x13, 0x4F, 8]));
                let data = card.through(&mut channel, &command(0x80, 0xCA, 0x00, 0x66, &[]));
                assert_eq!((data.sw.0, data.data[0]), (0x9000, 0x66));
                let missing = card.through(&mut channel, &command(0x80, 0xE4, 0, 0, &[0xD2, 1, 0x7E]));
                assert_eq!(missing.sw.0, 0x6A88);
            }
        }
    }
}

#[test]
fn what_is_not_secured_ends_the_session() {
    let mut card = fresh();
    let status = command(0x80, 0xF2, 0x80, 0x02, &[0x4F, 0]);
    for level in [0x01, 0x33] {
        // A plain command.
        let mut channel = card.open(&counted(16), 0x30, 8, level);
        assert_eq!(card.sw(&status), 0x6982);
        assert_eq!(card.sw(&channel.wrap(&status).unwrap()), 0x6982, "the session is gone");
        // Each byte of a command changed.
        let length = channel.wrap(&status).unwrap().data.len();
        for at in 0..length {
            let mut channel = card.open(&counted(16), 0, 8, level);
            let mut wrapped = channel.wrap(&status).unwrap();
            wrapped.data[at] ^= 1;
            assert_eq!(card.sw(&wrapped), 0x6982);
            wrapped.data[at] ^= 1;
            assert_eq!(card.sw(&wrapped), 0x6982, "the session is gone");
        }
        // A command that comes twice.
        let mut channel = card.open(&counted(16), 0x30, 8, level);
        let wrapped = channel.wrap(&status).unwrap();
        assert_eq!(card.sw(&wrapped), 0x9000);
        assert_eq!(card.sw(&wrapped), 0x6982);
        // A selection, plain or not, and a new beginning.
        let mut channel = card.open(&counted(16), 0x30, 8, level);
        card.select(&ISSUER);
        assert_eq!(card.sw(&channel.wrap(&status).unwrap()), 0x6982);
        let mut channel = card.open(&counted(16), 0x30, 8, level);
        assert_eq!(card.sw(&initialize_update(0x30, &[0; 8])), 0x9000);
        assert_eq!(card.sw(&channel.wrap(&status).unwrap()), 0x6982);
        // A reset.
        let mut channel = card.open(&counted(16), 0x30, 8, level);
        card.session.reset();
        assert_eq!(card.sw(&channel.wrap(&status).unwrap()), 0x6982);
    }
    // Another channel is another session.
    let mut channel = card.open(&counted(16), 0x30, 8, 0x33);
    assert_eq!(card.send(&command(0x00, 0x70, 0, 0, &[])).data, [1], "for the card, so it may come plain");
    assert_eq!(card.sw(&command(0x81, 0xF2, 0x80, 0x02, &[0x4F, 0])), 0x6982);
    assert_eq!(card.through(&mut channel, &status).sw.0, 0x9000);
}

#[test]
fn what_a_handshake_refuses() {
    let mut card = fresh();
    assert_eq!(card.sw(&initialize_update(0x7E, &[0; 8])), 0x6A88, "no such version");
    assert_eq!(card.sw(&initialize_update(0x30, &[0; 16])), 0x6700, "a challenge for S16");
    assert_eq!(card.sw(&initialize_update(0x35, &[0; 8])), 0x6700, "a challenge for S8");
    assert_eq!(card.sw(&command(0x80, 0x50, 0x30, 0x04, &[0; 8])), 0x6A86);
    assert_eq!(card.sw(&command(0x84, 0x82, 0x01, 0x00, &[0; 16])), 0x6985, "not begun");
    let again = |change: fn(&mut Command)| {
        let mut card = fresh();
        let (_, mut hello) = card.begin(&counted(16), 0x30, 8, CounterRule::EveryCommand, 0x01);
        let good = hello.clone();
        change(&mut hello);
        let sw = card.sw(&hello);
        assert_eq!(card.sw(&good), 0x6985, "one try for one challenge");
        sw
    };
    assert_eq!(again(|hello| hello.p1 = 0x02), 0x6A86, "no such level");
    assert_eq!(again(|hello| hello.p2 = 0x01), 0x6A86);
    assert_eq!(again(|hello| hello.data.truncate(15)), 0x6700);
    assert_eq!(again(|hello| hello.data[0] ^= 1), 0x6300, "another cryptogram");
    assert_eq!(again(|hello| hello.data[8] ^= 1), 0x6982, "another code");
    assert_eq!(again(|hello| hello.p1 = 0x33), 0x6982, "another level than the code covers");
    assert_eq!(again(|hello| hello.cla = 0x80), 0x6D00, "no secure messaging");
}

/// The sequence counter goes up before each answer, and a restart does not take it back.
#[test]
fn challenges_never_come_twice() {
    let mut card = fresh();
    let mut seen = Vec::new();
    for round in 0..6u8 {
        if round == 3 {
            drop(card.element);
            card.element = Element::open(card.dir.path()).unwrap();
            card.session.reset();
        }
        let response = card.send(&initialize_update(0x30, &[0; 8]));
        let update = UpdateResponse::parse(&response.data).unwrap();
        assert_eq!(update.sequence, Some([0, 0, round]));
        assert_eq!(update.diversification, card.element.chip_id()[..10]);
        assert!(!seen.contains(&update.challenge));
        seen.push(update.challenge);
        assert_eq!(card.send(&command(0x80, 0xCA, 0, 0xC1, &[])).data, [0xC1, 3, 0, 0, round + 1]);
    }
}

#[test]
fn wrong_keys_cost_time_and_right_ones_end_it() {
    let mut card = fresh();
    let mut delays = Vec::new();
    let update = initialize_update(0x31, &[7; 8]).encode().unwrap();
    for _ in 0..12 {
        let answer = card.element.answer(&mut card.session, &update);
        delays.push(answer.delay.as_millis());
        assert_eq!(card.sw(&command(0x84, 0x82, 0, 0, &[0; 16])), 0x6300);
    }
    assert_eq!(delays, [0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3200, 3200]);
    // The count survives a restart, and is of one key set.
    drop(card.element);
    card.element = Element::open(card.dir.path()).unwrap();
    card.session.reset();
    assert_eq!(card.element.answer(&mut card.session, &update).delay, Duration::from_millis(3200));
    card.open(&counted(16), 0x30, 8, 0x33);
    card.open(&counted(24), 0x31, 8, 0x33);
    assert_eq!(card.element.answer(&mut card.session, &update).delay, Duration::ZERO);
}

#[test]
fn new_keys_replace_old_ones_at_once_for_the_next_session() {
    let mut card = fresh();
    let key = |first: u8, bytes: u8| AesKey::new(&(first..first + bytes).collect::<Vec<u8>>()).unwrap();
    let new = |bytes| KeySet { enc: key(1, bytes), mac: key(2, bytes), dek: key(3, bytes) };
    let put = |p1, version, set: &KeySet| {
        let (data, receipt) = put_keys(&counted(16).dek, version, set).unwrap();
        (command(0x80, 0xD8, p1, 0x81, &data), receipt)
    };
    let (plain, _) = put(0x00, 0x40, &new(16));
    assert_eq!(card.sw(&plain), 0x6982, "without a session");
    let mut channel = card.open(&counted(16), 0x30, 8, 0x33);
    for (version, bytes) in [(0x40, 16), (0x41, 24), (0x42, 32)] {
        let (add, receipt) = put(0x00, version, &new(bytes));
        assert_eq!(card.through(&mut channel, &add).data, receipt);
        assert_eq!(card.through(&mut channel, &add).sw.0, 0x6A80, "it is there already");
    }
    let (replace, _) = put(0x50, 0x50, &new(16));
    assert_eq!(card.through(&mut channel, &replace).sw.0, 0x6A88, "there is no such set to replace");
    let (other, _) = put(0x30, 0x40, &new(16));
    assert_eq!(card.through(&mut channel, &other).sw.0, 0x6A80, "the new version is another set's");
    let (mut damaged, _) = put(0x30, 0x30, &new(16));
    *damaged.data.last_mut().unwrap() ^= 1;
    assert_eq!(card.through(&mut channel, &damaged).sw.0, 0x6A80, "a check value of another key");
    let (zero, _) = put(0x30, 0x00, &new(16));
    assert_eq!(card.through(&mut channel, &zero).sw.0, 0x6A80);
    let (mut single, _) = put(0x30, 0x30, &new(16));
    single.p2 = 0x01;
    assert_eq!(card.through(&mut channel, &single).sw.0, 0x6A86, "sets are put as a whole");
    // In place, and a second time in the same session: the DEK is the one with which it began.
    for set in [new(32), new(16)] {
        let (replace, receipt) = put(0x30, 0x30, &set);
        assert_eq!(card.through(&mut channel, &replace).data, receipt);
    }
    for (version, bytes) in [(0x30, 16), (0x40, 16), (0x41, 24), (0x42, 32)] {
        card.open(&new(bytes), version, 8, 0x33);
    }
    // The old keys are wrong now, as the host sees by the card's cryptogram.
    let response = card.send(&initialize_update(0x30, &[1; 8]));
    let update = UpdateResponse::parse(&response.data).unwrap();
    assert_eq!(update.sequence, Some([0, 0, 1]), "the counter of new keys began anew");
    let keys = SessionKeys::derive(&counted(16), &[1; 8], &update.challenge).unwrap();
    assert!(keys.check_card(&update.cryptogram).is_err());
}

/// A domain has its parent's keys until it gets its own.
#[test]
fn a_domain_of_its_own() {
    let mut card = fresh();
    let aid = [0xF0, 1, 2, 3, 4, 5];
    let mut channel = card.open(&counted(16), 0x30, 8, 0x33);
    let fields: [&[u8]; 6] = [
        &[0xA0, 0, 0, 1, 0x51, 0x53, 0x50],
        &[0xA0, 0, 0, 1, 0x51, 0x53, 0x50, 0x41],
        &aid,
        &[0x80],
        &[],
        &[],
    ];
    let data: Vec<u8> =
        fields.iter().flat_map(|field| [&[u8::try_from(field.len()).unwrap()], *field].concat()).collect();
    assert_eq!(card.through(&mut channel, &command(0x80, 0xE6, 0x0C, 0, &data)).sw.0, 0x9000);

    card.select(&aid);
    let mut channel = card.open(&counted(16), 0x30, 8, 0x13);
    let key = || AesKey::new(&[9; 32]).unwrap();
    let new = || KeySet { enc: key(), mac: key(), dek: key() };
    let (data, receipt) = put_keys(&counted(16).dek, 1, &new()).unwrap();
    assert_eq!(card.through(&mut channel, &command(0x80, 0xD8, 0, 0x81, &data)).data, receipt);
    assert_eq!(card.sw(&initialize_update(0x30, &[0; 8])), 0x6A88, "the parent's keys are over");
    let mut channel = card.open(&new(), 1, 8, 0x33);
    let own = card.through(&mut channel, &command(0x80, 0xF2, 0x40, 0x02, &[0x4F, 0, 0x5C, 2, 0x9F, 0x70]));
    assert_eq!(own.data, [&[0xE3, 12, 0x4F, 6][..], &aid, &[0x9F, 0x70, 1, 0x0F]].concat(), "PERSONALIZED");
    // Its last keys may go: then the parent's count again.
    assert_eq!(card.through(&mut channel, &command(0x80, 0xE4, 0, 0, &[0xD2, 1, 1])).sw.0, 0x9000);
    card.open(&counted(16), 0x30, 8, 0x33);
    card.select(&ISSUER);
    card.open(&counted(16), 0x30, 8, 0x33);
}

/// From applet 4.3 on, commands without data count as well.
#[test]
fn the_platform_keys_of_a_later_applet() {
    let dir = tempfile::tempdir().unwrap();
    let class = Class { applet: Applet::V7_2, ..Class::default() };
    let now = "2026-11-20T00:00:00Z".parse().unwrap();
    let element = Element::create_of_class(dir.path(), now, class).unwrap();
    let mut card = Card { dir, element, session: Session::default() };
    card.select(&AID);
    let (mut channel, hello) = card.begin(&platform(), 0x0B, 8, CounterRule::EveryCommand, 0x33);
    assert_eq!(card.sw(&hello), 0x9000);
    for _ in 0..3 {
        let version = card.through(&mut channel, &Instruction::GetVersion.command(vec![]));
        assert_eq!(version.data[..5], [0x41, 7, 7, 2, 0]);
    }
}

/// As NXP's hosts do it: with the applet selected, or its domain; level 33 though i says nothing of it; commands without
/// data are not counted.
#[test]
fn the_platform_keys_of_the_applet() {
    let mut card = fresh();
    for aid in [&AID[..], &PLATFORM] {
        card.select(aid);
        let (mut channel, hello) = card.begin(&platform(), 0x0B, 8, CounterRule::WithDataOnly, 0x33);
        assert_eq!(card.sw(&hello), 0x9000);
        if aid == AID {
            let version = card.through(&mut channel, &Instruction::GetVersion.command(vec![]));
            assert_eq!(version.data[..4], [0x41, 7, 3, 1]);
            let random = Instruction::GetRandom.command(tlv::encode(&[(TAG_1, &[0, 16])]).unwrap());
            for _ in 0..2 {
                assert_eq!(card.through(&mut channel, &random).data.len(), 18);
            }
            assert_eq!(
                card.through(&mut channel, &Instruction::GetVersion.command(vec![])).data,
                version.data
            );
        } else {
            let status = command(0x80, 0xF2, 0x40, 0x02, &[0x4F, 0]);
            assert_eq!(card.through(&mut channel, &status).data[0], 0xE3);
        }
    }
    // The issuer's domain has other keys.
    card.select(&ISSUER);
    assert_eq!(card.sw(&initialize_update(0x0B, &[0; 8])), 0x6A88);
}

/// Secured responses that are longer than Le, in pieces; and behind the further channels' class bytes.
#[test]
fn long_answers_and_other_channels() {
    let mut card = fresh();
    let mut open = Vec::new();
    for _ in 0..5 {
        open.extend(card.send(&command(0x00, 0x70, 0, 0, &[])).data);
    }
    assert_eq!(open, [1, 2, 3, 4, 5]);
    let challenge = [3; 8];
    // Channel 5 has the class bytes 41, C1, and with secure messaging E1.
    let update = Command { cla: 0xC1, ..initialize_update(0x30, &challenge) };
    let update = UpdateResponse::parse(&card.send(&update).data).unwrap();
    let keys = SessionKeys::derive(&counted(16), &challenge, &update.challenge).unwrap();
    let (mut channel, hello) = SecureChannel::begin(keys, Level::FULL, CounterRule::EveryCommand).unwrap();
    assert_eq!(card.sw(&Command { cla: 0xE1, ..hello }), 0x9000);
    let data = Command { le: Some(16), ..command(0xC1, 0xCA, 0x00, 0x66, &[]) };
    let first = card.send(&channel.wrap(&data).unwrap());
    assert_eq!((first.sw, first.data.len()), (StatusWord::more(56), 16));
    let rest = card.send(&command(0x41, 0xC0, 0, 0, &[]));
    let whole = Response { data: [first.data, rest.data].concat(), sw: rest.sw };
    assert_eq!(channel.unwrap_response(whole).unwrap().data[..2], [0x66, 0x31]);
}
