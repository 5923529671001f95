//! Command and response APDUs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::apdu::se05x::Instruction;
use touchmark_identity::apdu::{Command, Response};

fuzz_target!(|data: &[u8]| {
    if let Some(command) = told(Command::parse(data)) {
        let bytes = command.encode().expect("what was read fits a frame");
        assert_eq!(Command::parse(&bytes).as_ref(), Ok(&command));
        assert!(bytes.len() <= data.len(), "the shortest form is longer than {data:02x?}");
        if let Ok(instruction) = Instruction::find(command.ins, command.p1, command.p2) {
            assert!(!instruction.spec().name.is_empty());
        }
    }
    if let Some(response) = told(Response::parse(data)) {
        assert_eq!(response.encode(), data);
        assert!(!response.sw.meaning().is_empty());
        assert!(response.sw.waiting().is_none_or(|more| (1..=256).contains(&more)));
        std::hint::black_box(response.sw.to_string());
    }
});
