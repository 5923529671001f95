//! The host side against a small card side made from the shared codec, in front of the virtual element.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use touchmark_element::Element;
use touchmark_identity::apdu::RawCommand;
use touchmark_identity::apdu::scp03::{
    AesKey, EXTERNAL_AUTHENTICATE, INITIALIZE_UPDATE, KeySet, Level, card_challenge,
};
use touchmark_identity::apdu::se05x::AID;
use touchmark_identity::ids::KeyName;

use super::*;
use crate::conformance;
use crate::element::ElementStore;
use crate::store::KeyStore;

/// What the card holds.
#[derive(Clone, Copy)]
struct Profile {
    key: &'static [u8],
    version: u8,
    parameter: u8,
    rule: CounterRule,
}

const AES128: Profile =
    Profile { key: &[0x40; 16], version: 0x30, parameter: 0x70, rule: CounterRule::EveryCommand };
const AES192: Profile = Profile { key: &[0x41; 24], version: 0x31, ..AES128 };
const AES256_S16: Profile = Profile { key: &[0x42; 32], version: 0x36, parameter: 0x71, ..AES128 };
/// As SE05x parts before applet 4.3.
const SE05X: Profile =
    Profile { key: &[0x43; 16], version: 0x0B, parameter: 0x00, rule: CounterRule::WithDataOnly };

fn set(key: &[u8]) -> KeySet {
    let key = || AesKey::new(key).unwrap();
    KeySet { enc: key(), mac: key(), dek: key() }
}

/// The card: only what comes through a channel gets to the element, but for SELECT and GET RESPONSE.
struct Card {
    element: Element,
    profile: Profile,
    sequence: u32,
    pending: Option<SessionKeys>,
    channel: Option<SecureChannel>,
    waiting: VecDeque<u8>,
    /// Every command that arrived.
    seen: Vec<Vec<u8>>,
    /// Changes the next secured answer.
    tamper: bool,
    /// Loses the next answer, and with it the session.
    lose: bool,
}

impl Card {
    fn new(directory: &Path, profile: Profile) -> Self {
        let now = "2026-11-20T00:00:00Z".parse().unwrap();
        let opened = Element::open(directory);
        let element = opened.or_else(|_| Element::create(directory, now)).unwrap();
        Self {
            element,
            profile,
            sequence: 0x2A,
            pending: None,
            channel: None,
            waiting: VecDeque::new(),
            seen: Vec::new(),
            tamper: false,
            lose: false,
        }
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.seen.push(apdu.to_vec());
        let raw = RawCommand::parse(apdu).unwrap();
        let command = &raw.command;
        if (command.cla, command.ins) == (0x00, 0xC0) {
            return self.piece(StatusWord::SUCCESS);
        }
        let response = match (command.cla, command.ins) {
            (0x00, 0xA4) => {
                self.channel = None;
                Response::parse(&self.element.transmit(apdu)).unwrap()
            }
            (0x80, INITIALIZE_UPDATE) => self.initialize(command),
            (0x84, EXTERNAL_AUTHENTICATE) => self.authenticate(&raw),
            _ => self.secured(&raw),
        };
        if std::mem::take(&mut self.lose) {
            self.channel = None;
            return Vec::new();
        }
        self.waiting = response.data.into();
        self.piece(response.sw)
    }

    /// At most 256 bytes of what waits.
    fn piece(&mut self, sw: StatusWord) -> Vec<u8> {
        let count = self.waiting.len().min(256);
        let data = self.waiting.drain(..count).collect();
        let left = self.waiting.len();
        Response { data, sw: if left == 0 { sw } else { StatusWord::more(left) } }.encode()
    }

    fn initialize(&mut self, command: &Command) -> Response {
        let parameter = Parameter(self.profile.parameter);
        let width = parameter.width();
        if command.data.len() != width.bytes() {
            return error(StatusWord::WRONG_LENGTH);
        }
        if ![0, self.profile.version].contains(&command.p1) {
            return error(StatusWord(0x6A88));
        }
        self.sequence += 1;
        let [_, a, b, c] = self.sequence.to_be_bytes();
        let set = set(self.profile.key);
        let challenge = card_challenge(&set.enc, [a, b, c], &AID, width).unwrap();
        let keys = SessionKeys::derive(&set, &command.data, &challenge).unwrap();
        let update = UpdateResponse {
            diversification: [0; 10],
            version: self.profile.version,
            parameter,
            challenge,
            cryptogram: keys.card_cryptogram().unwrap(),
            sequence: parameter.pseudo_random().then_some([a, b, c]),
        };
        self.pending = Some(keys);
        Response { data: update.encode(), sw: StatusWord::SUCCESS }
    }

    fn authenticate(&mut self, raw: &RawCommand) -> Response {
        let Some(keys) = self.pending.take() else {
            return error(StatusWord::CONDITIONS_NOT_SATISFIED);
        };
        let level = Level::try_from(raw.command.p1).unwrap();
        match SecureChannel::accept(keys, level, self.profile.rule, raw) {
            Ok(channel) => self.channel = Some(channel),
            Err(_) => return error(StatusWord(0x6300)),
        }
        Response { data: Vec::new(), sw: StatusWord::SUCCESS }
    }

    fn secured(&mut self, raw: &RawCommand) -> Response {
        let refused = error(StatusWord::SECURITY_STATUS_NOT_SATISFIED);
        let Some(channel) = &mut self.channel else { return refused };
        let Ok(command) = channel.unwrap(raw) else { return refused };
        // The element's short answers are put together here, as the applet behind a channel has no pieces.
        let wide = Command { le: Some(65_536), ..command };
        let answer = Response::parse(&self.element.transmit(&wide.encode().unwrap())).unwrap();
        let mut response = channel.wrap_response(answer).unwrap();
        if std::mem::take(&mut self.tamper) {
            response.data[0] ^= 0x01;
        }
        response
    }
}

fn error(sw: StatusWord) -> Response {
    Response { data: Vec::new(), sw }
}

fn shared(directory: &Path, profile: Profile) -> (Arc<Mutex<Card>>, Box<dyn Transport + Send>) {
    let card = Arc::new(Mutex::new(Card::new(directory, profile)));
    let inside = Arc::clone(&card);
    (card, Box::new(move |apdu: &[u8]| inside.lock().unwrap().transmit(apdu)))
}

fn host_keys(key: &[u8], version: u8) -> ChannelKeys {
    ChannelKeys { set: set(key), version, level: Level::FULL, counter: None }
}

fn device() -> KeyName {
    KeyName::new("device").unwrap()
}

/// What may go over in plain: SELECT, the opening of a channel, and the fetching of an answer's rest.
fn all_secured(seen: &[Vec<u8>]) {
    for apdu in seen {
        let allowed = matches!(
            apdu[..],
            [0x00, 0xA4, 0x04, ..] | [0x80, INITIALIZE_UPDATE, ..] | [0x84, ..] | [0x00, 0xC0, ..]
        );
        assert!(allowed, "{} went over in plain", hex::encode(apdu));
    }
}

#[test]
fn a_channel_with_each_kind_of_keys_keeps_the_promises() {
    for profile in [AES128, AES192, AES256_S16, SE05X] {
        let directory = tempfile::tempdir().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        conformance::promises(&mut || {
            let mut card = Card::new(directory.path(), profile);
            let seen = Arc::clone(&seen);
            let transport = move |apdu: &[u8]| {
                seen.lock().unwrap().push(apdu.to_vec());
                card.transmit(apdu)
            };
            let keys = host_keys(profile.key, profile.version);
            Box::new(ElementStore::secured(Box::new(transport), keys).unwrap())
        });
        let seen = seen.lock().unwrap();
        assert!(seen.len() > 100, "{} commands", seen.len());
        all_secured(&seen);
    }
}

#[test]
fn lower_levels_when_they_are_asked_for() {
    for level in Level::ALL.into_iter().filter(|level| level.command_mac()) {
        let directory = tempfile::tempdir().unwrap();
        let (card, transport) = shared(directory.path(), AES128);
        let keys = ChannelKeys { level, ..host_keys(AES128.key, 0) };
        let mut store = ElementStore::secured(transport, keys).unwrap();
        store.generate(&device()).unwrap();
        store.sign_digest(&device(), &[7; 32]).unwrap();
        all_secured(&card.lock().unwrap().seen);
    }
}

#[test]
fn wrong_keys_open_nothing_and_nothing_goes_over_in_plain() {
    let directory = tempfile::tempdir().unwrap();
    for (key, version, says) in
        [(&[0x99; 16][..], 0x30, "card cryptogram is wrong"), (AES128.key, 0x31, "6A88")]
    {
        let (card, transport) = shared(directory.path(), AES128);
        let refused = ElementStore::secured(transport, host_keys(key, version)).unwrap_err();
        assert!(matches!(refused, StoreError::ChannelRefused { .. }), "{refused:?}");
        assert_eq!(refused.code(), "KS-0020");
        assert!(refused.to_string().contains(says), "{refused}");
        let seen = &card.lock().unwrap().seen;
        assert_eq!(seen.len(), 2, "SELECT and INITIALIZE UPDATE: {seen:02x?}");
        all_secured(seen);
    }
}

/// A part without SCP03, or somebody between who takes it away.
#[test]
fn a_part_without_secure_channels_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut element = Element::create(directory.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let inside = Arc::clone(&seen);
    let transport = move |apdu: &[u8]| {
        inside.lock().unwrap().push(apdu.to_vec());
        if apdu[1] == INITIALIZE_UPDATE { vec![0x6D, 0x00] } else { element.transmit(apdu) }
    };
    let mut secured = Secured::new(transport, host_keys(AES128.key, 0));
    let version = [0x80, 0x04, 0x00, 0x20, 0x00];
    assert!(matches!(secured.transmit(&version), Err(StoreError::ChannelBroken { .. })), "before SELECT");
    let select = [&[0x00, 0xA4, 0x04, 0x00, 0x10][..], &AID, &[0x00]].concat();
    let refused = secured.transmit(&select).unwrap_err();
    assert!(refused.to_string().contains("6D00"), "{refused}");
    let refused = secured.transmit(&version).unwrap_err();
    assert_eq!(refused.code(), "KS-0021");
    assert!(refused.to_string().contains("nothing is sent without it"), "{refused}");
    assert_eq!(seen.lock().unwrap().len(), 2, "SELECT and INITIALIZE UPDATE only");
}

#[test]
fn a_card_that_offers_less_is_refused() {
    for (parameter, level, ok) in
        [(0x10, 0x33, false), (0x10, 0x03, true), (0x20, 0x33, false), (0x20, 0x13, true), (0x60, 0x33, true)]
    {
        let directory = tempfile::tempdir().unwrap();
        let (_, transport) = shared(directory.path(), Profile { parameter, ..AES128 });
        let keys = ChannelKeys { level: Level::try_from(level).unwrap(), ..host_keys(AES128.key, 0x30) };
        match ElementStore::secured(transport, keys) {
            Ok(_) => assert!(ok, "{parameter:02x} {level:02x}"),
            Err(error) => {
                assert!(!ok, "{error}");
                assert!(error.to_string().contains("does not offer level"), "{error}");
            }
        }
    }
}

/// A changed answer fails the command; the next one opens a new channel.
#[test]
fn a_broken_channel_says_so_and_is_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let (card, transport) = shared(directory.path(), AES128);
    let mut store = ElementStore::secured(transport, host_keys(AES128.key, 0x30)).unwrap();
    store.generate(&device()).unwrap();
    card.lock().unwrap().tamper = true;
    let broken = store.sign_digest(&device(), &[7; 32]).unwrap_err();
    assert!(matches!(broken, StoreError::ChannelBroken { .. }), "{broken:?}");
    assert!(broken.to_string().contains("response carries no valid message authentication code"), "{broken}");

    let opened = |card: &Mutex<Card>| {
        card.lock().unwrap().seen.iter().filter(|apdu| apdu[1] == INITIALIZE_UPDATE).count()
    };
    let before = opened(&card);
    store.sign_digest(&device(), &[7; 32]).unwrap();
    assert_eq!(opened(&card), before + 1);

    // The card ends its side: it no longer understands, and the host hears it.
    card.lock().unwrap().channel = None;
    let broken = store.sign_digest(&device(), &[7; 32]).unwrap_err();
    assert!(broken.to_string().contains("has ended the channel"), "{broken}");
    store.sign_digest(&device(), &[7; 32]).unwrap();

    // A lost answer: a read is repeated through a new channel, by the driver's rule.
    card.lock().unwrap().lose = true;
    store.sign_digest(&device(), &[7; 32]).unwrap();
    assert_eq!(opened(&card), before + 3);
    all_secured(&card.lock().unwrap().seen);
}

#[test]
fn the_counter_rule_follows_key_version_and_applet() {
    let applet = |major, minor| [major, minor, 0, 0, 0, 1, 0];
    assert_eq!(rule_of(0x0B, &applet(3, 1)), CounterRule::WithDataOnly);
    assert_eq!(rule_of(0x0B, &applet(4, 2)), CounterRule::WithDataOnly);
    assert_eq!(rule_of(0x0B, &applet(4, 3)), CounterRule::EveryCommand);
    assert_eq!(rule_of(0x0B, &applet(7, 2)), CounterRule::EveryCommand);
    assert_eq!(rule_of(0x30, &applet(3, 1)), CounterRule::EveryCommand);
}

fn written(directory: &Path, text: &str, mode: u32) -> PathBuf {
    let path = directory.join("scp03.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn keys_are_read_from_a_file_of_ones_own() {
    let directory = tempfile::tempdir().unwrap();
    let key = "404142434445464748494a4b4c4d4e4f";
    let text = format!("enc = \"{key}\"\nmac = \"{key}\"\ndek = \"{key}\"\n");
    let keys = ChannelKeys::read(&written(directory.path(), &text, 0o600), 0x0B).unwrap();
    assert_eq!((keys.set.mac.as_bytes().len(), keys.version, keys.level), (16, 0x0B, Level::FULL));
    assert_eq!(keys.counter, None);
    let more = format!("{text}level = \"13\"\ncounter = \"commands-with-data\"\n");
    let keys = ChannelKeys::read(&written(directory.path(), &more, 0o400), 0).unwrap();
    assert_eq!((keys.level.byte(), keys.counter), (0x13, Some(CounterRule::WithDataOnly)));

    let longer = text.replacen(key, &"00".repeat(24), 1);
    for (text, mode, says) in [
        (text.clone(), 0o640, "set its mode to 0600"),
        (text.clone(), 0o604, "set its mode to 0600"),
        (text.replace("dek", "kek"), 0o600, "the texts enc, mac and dek"),
        (text.replace('"', ""), 0o600, "the texts enc, mac and dek"),
        (text.replace("4f\"", "4\""), 0o600, "16, 24 or 32 bytes in hex"),
        (longer, 0o600, "different lengths"),
        (format!("{text}level = \"30\""), 0o600, "none of 00, 01, 03, 11, 13, 33"),
        (format!("{text}{}", "#".repeat(5000)), 0o600, "too large"),
    ] {
        let error = ChannelKeys::read(&written(directory.path(), &text, mode), 0).unwrap_err();
        assert_eq!(error.code(), "KS-0022");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.to_string().contains("4041"), "a key in {error}");
    }
    let missing = ChannelKeys::read(&directory.path().join("none"), 0).unwrap_err();
    assert!(matches!(missing, StoreError::File { .. }), "{missing:?}");
}
