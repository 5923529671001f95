//! Secure messaging of SCP03, from both sides: bytes as they arrive, bytes behind a good code (so that decryption and
//! padding are reached), answers to INITIALIZE UPDATE and data of PUT KEY.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::{pieces, told};
use touchmark_identity::apdu::scp03::{
    AesKey, CounterRule, Level, Scp03Error, SecureChannel, SessionKeys, UpdateResponse, put_keys,
    read_put_keys,
};
use touchmark_identity::apdu::{Command, RawCommand, Response, StatusWord};

fn channel(level: u8, rule: CounterRule) -> SecureChannel {
    let master = AesKey::new(&[0x5A; 16]).expect("a key");
    let keys = SessionKeys::from_master(&master).expect("session keys");
    SecureChannel::resume(keys, Level::try_from(level).expect("a level"), rule)
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let level = Level::ALL[usize::from(choice) % Level::ALL.len()].byte();
    let rule = if choice & 0x80 == 0 { CounterRule::EveryCommand } else { CounterRule::WithDataOnly };

    if let Some(update) = told(UpdateResponse::parse(data)) {
        assert_eq!(update.encode(), data);
    }
    let dek = AesKey::new(&[0x5A; 16]).expect("a key");
    if let Some(new) = told(read_put_keys(&dek, data)) {
        let (again, receipt) = put_keys(&dek, new.version, &new.set).expect("keys");
        assert_eq!(receipt, new.receipt);
        assert!(told(read_put_keys(&dek, &again)).is_some());
    }

    // What nobody has authenticated.
    let (mut host, mut card) = (channel(level, rule), channel(level, rule));
    for piece in pieces(data, 256) {
        if let Ok(raw) = RawCommand::parse(piece) {
            let broken = card.is_broken();
            let opened = told(card.unwrap(&raw));
            assert!(opened.is_none() || !broken);
            assert_eq!(opened.is_none(), card.is_broken());
        }
        if let Ok(response) = Response::parse(piece) {
            let opened = told(host.unwrap_response(response));
            assert_eq!(opened.is_none(), host.is_broken());
        }
    }

    // Behind a good code: one side only authenticates, the other also decrypts.
    let (mut host, mut card) = (channel(0x01, rule), channel(0x33, rule));
    let (mut card_answers, mut host_reads) = (channel(0x11, rule), channel(0x33, rule));
    for piece in pieces(data, 256) {
        let command = Command { cla: 0x80, ins: 0x04, p1: 0, p2: 0, data: piece.to_vec(), le: None };
        let wrapped = host.wrap(&command).expect("room for a code");
        let raw = RawCommand::parse(&wrapped.encode().expect("a frame")).expect("a command");
        match card.unwrap(&raw) {
            Ok(opened) => assert!(opened.data.len() < piece.len().max(1)),
            Err(error) => {
                assert!(matches!(error, Scp03Error::Padding { .. } | Scp03Error::Broken), "{error}")
            }
        }
        let response = Response { data: piece.to_vec(), sw: StatusWord::SUCCESS };
        let secured = card_answers.wrap_response(response).expect("an open channel");
        match host_reads.unwrap_response(secured) {
            Ok(opened) => assert!(opened.data.len() < piece.len().max(1)),
            Err(error) => {
                assert!(matches!(error, Scp03Error::Padding { .. } | Scp03Error::Broken), "{error}")
            }
        }
    }
});
