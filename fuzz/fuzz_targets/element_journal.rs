//! The state directory of a virtual element after somebody had it in hands. The first byte chooses: the file as it is, payloads or
//! changes of a journal whose hashes are made to fit, or a body of one of the formats before, with its digest; and how
//! much of the end is missing.
#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use touchmark_element::{Element, ElementError};
use touchmark_fuzz::journal::{journal, old, written};
use touchmark_fuzz::{pieces, told};
use touchmark_identity::apdu::se05x::{AID, Instruction, TAG_1};
use touchmark_identity::apdu::{Command, Response, tlv};

/// Opens the element, inspects it, and asks it for all that it holds.
fn use_it(directory: &Path) -> Option<()> {
    let before = told(Element::inspect(directory));
    let opened = told(Element::open(directory));
    assert_eq!(before.is_some(), opened.is_some(), "it is inspected, but not opened, or the other way");
    let (before, mut element) = (before?, opened?);
    assert_eq!(hex::encode(element.chip_id()), before.chip_id);

    let issuer = [0x80, 0xF2, 0x80, 0x02, 2, 0x4F, 0].to_vec();
    let applications = [0x80, 0xF2, 0x40, 0x02, 2, 0x4F, 0].to_vec();
    let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
    let mut commands = vec![issuer, applications, select.encode().expect("a short command")];
    for object in before.objects.iter().take(20) {
        let id = hex::decode(&object.id).expect("hex");
        for instruction in [
            Instruction::ReadObject,
            Instruction::ReadType,
            Instruction::ReadSize,
            Instruction::DeleteSecureObject,
        ] {
            let fields = tlv::encode(&[(TAG_1, &id)]).expect("a short field");
            commands.push(instruction.command(fields).encode().expect("a short command"));
        }
    }
    for command in commands {
        let answer = element.transmit(&command);
        assert!(element.is_powered(), "the element lost its power at {command:02x?}");
        Response::parse(&answer).expect("a powered element answers");
    }
    drop(element);

    // What it wrote itself is read as what it was.
    let after = Element::inspect(directory).expect("the state of a moment ago");
    assert_eq!((&after.chip_id, after.starts), (&before.chip_id, before.starts.saturating_add(1)));
    drop(Element::open(directory).expect("the state of a moment ago"));
    Some(())
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let mut file = match choice % 5 {
        0 => data.to_vec(),
        1 => journal(pieces(data, 64)),
        2 => journal(written(pieces(data, 256))),
        3 => old(1, data),
        _ => old(2, data),
    };
    file.truncate(file.len().saturating_sub(usize::from(choice / 5)));
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("state"), &file).expect("room for a state");

    // A journal that ends before its last record does holds what was there before that record.
    if let Err(error @ ElementError::Corrupt { .. }) = Element::inspect(directory.path()) {
        let damaged = error.to_string().contains("the record at byte");
        assert!(!damaged || choice % 5 != 2, "a torn record counts as damage: {error}");
    }
    use_it(directory.path());
});
