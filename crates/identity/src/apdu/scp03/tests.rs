use super::*;
use crate::apdu::{Command, RawCommand, Response};
use proptest::prelude::*;
use serde::Deserialize;

/// Made by `vectors.py` with the OpenSSL command line.
const VECTORS: &str = include_str!("vectors.json");

#[derive(Deserialize)]
struct Dialogue {
    #[serde(with = "hex")]
    key: Vec<u8>,
    #[serde(with = "hex")]
    host_challenge: Vec<u8>,
    #[serde(with = "hex")]
    sequence: [u8; 3],
    #[serde(with = "hex")]
    aid: Vec<u8>,
    #[serde(with = "hex")]
    card_challenge: Vec<u8>,
    #[serde(with = "hex")]
    s_enc: Vec<u8>,
    #[serde(with = "hex")]
    s_mac: Vec<u8>,
    #[serde(with = "hex")]
    s_rmac: Vec<u8>,
    #[serde(with = "hex")]
    card_cryptogram: Vec<u8>,
    #[serde(with = "hex")]
    external_authenticate: Vec<u8>,
    exchanges: Vec<Exchange>,
    #[serde(with = "hex")]
    new_key: Vec<u8>,
    #[serde(with = "hex")]
    put_key_block: Vec<u8>,
}

#[derive(Deserialize)]
struct Exchange {
    #[serde(with = "hex")]
    command: Vec<u8>,
    #[serde(with = "hex")]
    secured: Vec<u8>,
    #[serde(with = "hex")]
    answer: Vec<u8>,
    #[serde(with = "hex")]
    secured_answer: Vec<u8>,
}

fn same_keys(bytes: &[u8]) -> KeySet {
    let key = || AesKey::new(bytes).unwrap();
    KeySet { enc: key(), mac: key(), dek: key() }
}

/// Every value of the dialogues, from both sides: three key sizes, S8 and S16; short, empty and extended commands.
#[test]
fn dialogues_made_with_openssl() {
    let dialogues: Vec<Dialogue> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(dialogues.len(), 6);
    for d in dialogues {
        let set = same_keys(&d.key);
        let width = Width::of(d.host_challenge.len()).unwrap();
        assert_eq!(card_challenge(&set.enc, d.sequence, &d.aid, width).unwrap(), d.card_challenge);
        let keys = || SessionKeys::derive(&set, &d.host_challenge, &d.card_challenge).unwrap();
        assert_eq!(keys().enc.as_bytes(), d.s_enc);
        assert_eq!(keys().mac.as_bytes(), d.s_mac);
        assert_eq!(keys().rmac.as_bytes(), d.s_rmac);
        keys().check_card(&d.card_cryptogram).unwrap();

        let (mut host, hello) = SecureChannel::begin(keys(), Level::FULL, CounterRule::EveryCommand).unwrap();
        assert_eq!(hello.encode().unwrap(), d.external_authenticate);
        let hello = RawCommand::parse(&d.external_authenticate).unwrap();
        let mut card = SecureChannel::accept(keys(), Level::FULL, CounterRule::EveryCommand, &hello).unwrap();

        for exchange in d.exchanges {
            let command = Command::parse(&exchange.command).unwrap();
            assert_eq!(
                hex::encode(host.wrap(&command).unwrap().encode().unwrap()),
                hex::encode(&exchange.secured)
            );
            assert_eq!(card.unwrap(&RawCommand::parse(&exchange.secured).unwrap()).unwrap(), command);
            let answer = Response::parse(&exchange.answer).unwrap();
            let secured = card.wrap_response(answer.clone()).unwrap();
            assert_eq!(hex::encode(secured.encode()), hex::encode(&exchange.secured_answer));
            assert_eq!(host.unwrap_response(secured).unwrap(), answer);
        }

        let new = AesKey::new(&d.new_key).unwrap();
        assert_eq!(put_key_block(&set.dek, &new).unwrap(), d.put_key_block);
        let mut rest = d.put_key_block.as_slice();
        assert_eq!(read_key_block(&set.dek, &mut rest).unwrap().as_bytes(), d.new_key);
        assert!(rest.is_empty());
    }
}

/// From another implementation: the known answers of the crate `scll` 1.0.5 (`scp03_kat.rs`).
#[test]
fn known_answers_of_another_implementation() {
    let set = same_keys(&hex::decode("404142434445464748494a4b4c4d4e4f").unwrap());
    let keys = SessionKeys::derive(&set, &[0, 1, 2, 3, 4, 5, 6, 7], &[8, 9, 10, 11, 12, 13, 14, 15]).unwrap();
    assert_eq!(hex::encode(keys.card_cryptogram().unwrap()), "114f6bc5052c5228");
    assert_eq!(hex::encode(keys.host_cryptogram().unwrap()), "fafa93c2ede62463");
}

/// RFC 4493 §4, examples 1 to 3.
#[test]
fn cmac_of_its_standard() {
    let key = AesKey::new(&hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap()).unwrap();
    let message =
        hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411")
            .unwrap();
    for (bytes, expected) in [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
    ] {
        let (first, second) = message[..bytes].split_at(bytes / 3);
        assert_eq!(hex::encode(key.cmac(&[first, second]).unwrap()), expected);
    }
}

fn pair(size: usize, width: Width, level: Level, rule: CounterRule) -> (SecureChannel, SecureChannel) {
    let key = |first: u8| AesKey::new(&vec![first; size]).unwrap();
    let set = KeySet { enc: key(0x40), mac: key(0x41), dek: key(0x42) };
    let keys = || SessionKeys::derive(&set, &vec![0x11; width.bytes()], &vec![0x22; width.bytes()]).unwrap();
    let (host, hello) = SecureChannel::begin(keys(), level, rule).unwrap();
    let hello = RawCommand::parse(&hello.encode().unwrap()).unwrap();
    let card = SecureChannel::accept(keys(), level, rule, &hello).unwrap();
    (host, card)
}

fn raw(command: &Command) -> RawCommand {
    RawCommand::parse(&command.encode().unwrap()).unwrap()
}

fn any_pair() -> impl Strategy<Value = (SecureChannel, SecureChannel)> {
    let size = prop_oneof![Just(16usize), Just(24), Just(32)];
    let width = prop_oneof![Just(Width::S8), Just(Width::S16)];
    let rule = prop_oneof![Just(CounterRule::EveryCommand), Just(CounterRule::WithDataOnly)];
    (size, width, 0..Level::ALL.len(), rule)
        .prop_map(|(size, width, level, rule)| pair(size, width, Level::ALL[level], rule))
}

fn any_command() -> impl Strategy<Value = Command> {
    let data = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(any::<u8>(), 215..260),
        proptest::collection::vec(any::<u8>(), 880..900),
    ];
    let le = proptest::option::of(prop_oneof![Just(256u32), Just(65_536), 1u32..300]);
    let cla = prop_oneof![Just(0x00u8), Just(0x80), Just(0x83), Just(0x45), Just(0xCF)];
    (cla, any::<[u8; 3]>(), data, le).prop_map(|(cla, [ins, p1, p2], data, le)| Command {
        cla,
        ins,
        p1,
        p2,
        data,
        le,
    })
}

fn any_response() -> impl Strategy<Value = Response> {
    let success = proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        (success, prop_oneof![Just(0x9000u16), Just(0x6310), Just(0x6283)])
            .prop_map(|(data, sw)| Response { data, sw: StatusWord(sw) }),
        Just(Response { data: Vec::new(), sw: StatusWord::CONDITIONS_NOT_SATISFIED }),
    ]
}

proptest! {
    #[test]
    fn host_and_card_understand_each_other(
        (mut host, mut card) in any_pair(),
        exchanges in proptest::collection::vec((any_command(), any_response()), 1..6),
    ) {
        for (command, response) in exchanges {
            let secured = host.wrap(&command).unwrap();
            let level = host.level();
            prop_assert_eq!(secured == command, !level.command_mac());
            prop_assert_eq!(card.unwrap(&raw(&secured)).unwrap(), command);
            let answer = card.wrap_response(response.clone()).unwrap();
            prop_assert_eq!(answer == response, !level.response_mac() || !is_secured(response.sw));
            prop_assert_eq!(host.unwrap_response(answer).unwrap(), response);
        }
    }

    /// Le is not covered (Amendment D §6.2.4), the logical channel is not either; every other bit is.
    #[test]
    fn a_changed_bit_of_a_command_ends_the_channel(
        (mut host, mut card) in any_pair(), command in any_command(), at: proptest::sample::Index, bit in 0..8u8,
    ) {
        prop_assume!(host.level().command_mac());
        let good = raw(&host.wrap(&command).unwrap());
        let mut changed = good.clone();
        let header = at.index(4 + good.command.data.len());
        let byte = match header {
            0 => &mut changed.command.cla,
            1 => &mut changed.command.ins,
            2 => &mut changed.command.p1,
            3 => &mut changed.command.p2,
            data => &mut changed.command.data[data - 4],
        };
        *byte ^= 1 << bit;
        let only_channel = crate::apdu::class::Class::parse(changed.command.cla).is_some_and(|class| {
            let was = crate::apdu::class::Class::parse(good.command.cla).unwrap();
            crate::apdu::class::Class { channel: was.channel, ..class } == was
        });
        prop_assume!(header != 0 || !only_channel);
        let error = card.unwrap(&changed).unwrap_err();
        prop_assert!(matches!(error, Scp03Error::Mac { .. } | Scp03Error::Unsecured { .. }), "{error}");
        prop_assert!(card.is_broken());
        prop_assert_eq!(card.unwrap(&good), Err(Scp03Error::Broken));
        let answer = Response { data: Vec::new(), sw: StatusWord::SUCCESS };
        prop_assert_eq!(card.wrap_response(answer), Err(Scp03Error::Broken));
    }

    #[test]
    fn a_changed_bit_of_a_response_ends_the_channel(
        (mut host, mut card) in any_pair(), command in any_command(), response in any_response(),
        at: proptest::sample::Index, bit in 0..8u8,
    ) {
        prop_assume!(host.level().response_mac() && is_secured(response.sw));
        let secured = host.wrap(&command).unwrap();
        card.unwrap(&raw(&secured)).unwrap();
        let good = card.wrap_response(response).unwrap().encode();
        let mut changed = good.clone();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        prop_assert!(host.unwrap_response(Response::parse(&changed).unwrap()).is_err());
        prop_assert!(host.is_broken());
        prop_assert_eq!(host.unwrap_response(Response::parse(&good).unwrap()), Err(Scp03Error::Broken));
        prop_assert_eq!(host.wrap(&command), Err(Scp03Error::Broken));
    }

    #[test]
    fn what_arrives_never_panics(
        (mut host, mut card) in any_pair(), bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = RawCommand::parse(&bytes).map(|command| card.unwrap(&command));
        let _ = Response::parse(&bytes).map(|response| host.unwrap_response(response));
        let _ = UpdateResponse::parse(&bytes).map(|update| assert_eq!(update.encode(), bytes));
        let dek = AesKey::new(&[7; 16]).unwrap();
        let _ = read_put_keys(&dek, &bytes);
    }

    #[test]
    fn keys_come_back_from_put_key(size in prop_oneof![Just(16usize), Just(24), Just(32)], dek_size in prop_oneof![Just(16usize), Just(24), Just(32)], seed: u8) {
        let key = |add: u8| AesKey::new(&vec![seed.wrapping_add(add); size]).unwrap();
        let dek = AesKey::new(&vec![seed; dek_size]).unwrap();
        let set = KeySet { enc: key(1), mac: key(2), dek: key(3) };
        let (data, receipt) = put_keys(&dek, 0x30, &set).unwrap();
        let new = read_put_keys(&dek, &data).unwrap();
        prop_assert_eq!(new.version, 0x30);
        prop_assert_eq!(new.receipt, receipt);
        prop_assert_eq!(new.set.mac.as_bytes(), set.mac.as_bytes());
        for at in 1..data.len() {
            let mut changed = data.clone();
            changed[at] ^= 1;
            // The filling of a key of 24 bytes is nobody's.
            let read = read_put_keys(&dek, &changed);
            if size != 24 {
                prop_assert!(read.is_err(), "{at}");
            }
        }
    }
}

/// A command that is replayed, left out or plain ends the channel.
#[test]
fn order_and_protection_are_kept() {
    let command = Command { cla: 0x80, ins: 1, p1: 2, p2: 3, data: vec![4], le: None };
    for level in Level::ALL.into_iter().filter(|level| level.command_mac()) {
        let new = || pair(16, Width::S8, level, CounterRule::EveryCommand);
        let (mut host, mut card) = new();
        let first = raw(&host.wrap(&command).unwrap());
        card.unwrap(&first).unwrap();
        assert_eq!(card.unwrap(&first), Err(Scp03Error::Mac { what: "command" }));

        let (mut host, mut card) = new();
        host.wrap(&command).unwrap();
        assert_eq!(
            card.unwrap(&raw(&host.wrap(&command).unwrap())),
            Err(Scp03Error::Mac { what: "command" })
        );

        let (_, mut card) = new();
        assert_eq!(card.unwrap(&raw(&command)), Err(Scp03Error::Unsecured { what: "command" }));
        assert_eq!(card.unwrap(&first), Err(Scp03Error::Broken));
    }
}

/// The two rules part at the first command without data, and only there.
#[test]
fn the_counter_rules_differ_after_a_command_without_data() {
    let empty = Command { cla: 0x80, ins: 1, p1: 2, p2: 3, data: vec![], le: None };
    let full = Command { data: vec![4; 5], ..empty.clone() };
    let (mut every, mut card) = pair(16, Width::S8, Level::FULL, CounterRule::EveryCommand);
    let (mut with_data, _) = pair(16, Width::S8, Level::FULL, CounterRule::WithDataOnly);
    assert_eq!(every.wrap(&full), with_data.wrap(&full));
    assert_eq!(every.wrap(&empty), with_data.wrap(&empty));
    assert_ne!(every.wrap(&full), with_data.wrap(&full));

    // The code does not cover the counter: a card with the other rule is found out by the padding of a short answer.
    let (mut with_data, _) = pair(16, Width::S8, Level::FULL, CounterRule::WithDataOnly);
    card.unwrap(&raw(&with_data.wrap(&empty).unwrap())).unwrap();
    let answer = card.wrap_response(Response { data: vec![1; 5], sw: StatusWord::SUCCESS }).unwrap();
    assert_eq!(with_data.unwrap_response(answer), Err(Scp03Error::Padding { what: "response" }));
}

/// SE05x sessions with an EC key: no challenges, a derived chaining value, no EXTERNAL AUTHENTICATE.
#[test]
fn a_session_from_a_master_key() {
    let master = AesKey::new(&[0x5A; 16]).unwrap();
    let keys = || SessionKeys::from_master(&master).unwrap();
    assert_ne!(keys().chaining, [0; 16]);
    assert_eq!(keys().chaining, master.cmac(&[&[0; 11], &[0x08, 0, 0, 0x80, 1]]).unwrap());
    assert_eq!(keys().receipt(b"x").unwrap(), keys().rmac.cmac(&[b"x"]).unwrap());
    let mut host = SecureChannel::resume(keys(), Level::FULL, CounterRule::EveryCommand);
    let mut card = SecureChannel::resume(keys(), Level::FULL, CounterRule::EveryCommand);
    let command = Command { cla: 0x80, ins: 4, p1: 0, p2: 0x20, data: vec![], le: None };
    assert_eq!(card.unwrap(&raw(&host.wrap(&command).unwrap())).unwrap(), command);
}

#[test]
fn wrong_keys_are_told() {
    let set = same_keys(&[0x40; 16]);
    let other = same_keys(&[0x41; 16]);
    let keys = |set| SessionKeys::derive(set, &[1; 8], &[2; 8]).unwrap();
    let wrong = Scp03Error::Cryptogram { whose: "card" };
    assert_eq!(keys(&set).check_card(&keys(&other).card_cryptogram().unwrap()), Err(wrong));
    assert_eq!(keys(&set).check_card(&[]), Err(wrong));

    let rule = CounterRule::EveryCommand;
    let (_, hello) = SecureChannel::begin(keys(&other), Level::FULL, rule).unwrap();
    let error = SecureChannel::accept(keys(&set), Level::FULL, rule, &raw(&hello)).unwrap_err();
    assert_eq!(error, Scp03Error::Cryptogram { whose: "host" });
    let (_, mut hello) = SecureChannel::begin(keys(&set), Level::FULL, rule).unwrap();
    *hello.data.last_mut().unwrap() ^= 1;
    let error = SecureChannel::accept(keys(&set), Level::FULL, rule, &raw(&hello)).unwrap_err();
    assert_eq!(error, Scp03Error::Mac { what: "command" });
    hello.p1 = 0x01;
    let error = SecureChannel::accept(keys(&set), Level::FULL, rule, &raw(&hello)).unwrap_err();
    assert_eq!(error, Scp03Error::Unsecured { what: "command" });

    assert_eq!(AesKey::new(&[0; 17]).unwrap_err(), Scp03Error::KeyLength { found: 17 });
    assert!(SessionKeys::derive(&set, &[1; 8], &[2; 16]).is_err());
    assert!(!format!("{set:?}").contains("64"), "no key bytes in {set:?}");
}

#[test]
fn levels_stay_within_the_parameter() {
    let allowed = |i| Level::ALL.map(|level| Parameter(i).allows(level));
    assert_eq!(allowed(0x00), [true, true, true, false, false, false]);
    assert_eq!(allowed(0x10), [true, true, true, false, false, false]);
    assert_eq!(allowed(0x20), [true, true, true, true, true, false]);
    assert_eq!(allowed(0x60), [true; 6]);
    assert_eq!(allowed(0x70), [true; 6]);
    assert_eq!(allowed(0x71), [true; 6]);
    assert_eq!(Level::try_from(0x30), Err(Scp03Error::Level { found: 0x30 }));
}

/// Of INITIALIZE UPDATE there are four lengths, and "i" says which.
#[test]
fn the_four_lengths_of_the_answer() {
    for (i, length) in [(0x00, 29), (0x60, 29), (0x10, 32), (0x70, 32), (0x61, 45), (0x71, 48)] {
        let width = Parameter(i).width().bytes();
        let update = UpdateResponse {
            diversification: [9; 10],
            version: 0x30,
            parameter: Parameter(i),
            challenge: vec![1; width],
            cryptogram: vec![2; width],
            sequence: Parameter(i).pseudo_random().then_some([0, 0, 7]),
        };
        let bytes = update.encode();
        assert_eq!(bytes.len(), length);
        assert_eq!(UpdateResponse::parse(&bytes), Ok(update));
        for end in 0..length {
            assert!(UpdateResponse::parse(&bytes[..end]).is_err());
        }
        assert!(UpdateResponse::parse(&[&bytes[..], &[0]].concat()).is_err());
    }
    let scp02 = [&[9; 10][..], &[0x20, 0x02], &[0; 16]].concat();
    assert!(
        UpdateResponse::parse(&scp02).unwrap_err().to_string().contains("another secure channel protocol")
    );
}

#[test]
fn a_command_without_room_for_the_code_is_refused_and_the_channel_goes_on() {
    let (mut host, mut card) = pair(16, Width::S16, Level::FULL, CounterRule::EveryCommand);
    let most = host.max_command_data();
    let command = |count| Command { cla: 0x80, ins: 1, p1: 2, p2: 3, data: vec![7; count], le: None };
    assert_eq!(host.wrap(&command(most + 1)), Err(Scp03Error::TooLong { found: most + 1 }));
    let largest = command(most);
    assert_eq!(card.unwrap(&raw(&host.wrap(&largest).unwrap())).unwrap(), largest);
}

/// An error status is not secured; data beside it would be anybody's.
#[test]
fn data_beside_an_error_status_are_refused() {
    let (mut host, _) = pair(16, Width::S8, Level::FULL, CounterRule::EveryCommand);
    let plain = Response { data: vec![1], sw: StatusWord::CONDITIONS_NOT_SATISFIED };
    assert_eq!(host.unwrap_response(plain), Err(Scp03Error::Unsecured { what: "response" }));
}

/// AES-128 keys also come without their clear length.
#[test]
fn a_key_block_without_the_clear_length() {
    let dek = AesKey::new(&hex::decode("404142434445464748494a4b4c4d4e4f").unwrap()).unwrap();
    let block = hex::decode("88103d0fa4b855d2a5aa4954b8b5df582a3a03c35280").unwrap();
    let key = read_key_block(&dek, &mut block.as_slice()).unwrap();
    assert_eq!(hex::encode(key.as_bytes()), "000102030405060708090a0b0c0d0e0f");
}
