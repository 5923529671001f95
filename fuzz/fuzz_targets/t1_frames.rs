//! T=1 over I²C: frames and answers to reset, a part that hears anything, and a host to which a part says anything.
#![no_main]

use std::io::{self, ErrorKind};

use libfuzzer_sys::fuzz_target;
use touchmark_element::t1::{Request, Slave};
use touchmark_fuzz::{pieces, told};
use touchmark_identity::t1oi2c::{Atr, Block, CRC_BYTES, HEADER_BYTES, Host, Link, TO_ELEMENT, TO_HOST};

/// A bus on which the input is what can be read; each piece of it is a frame.
struct Bus<'a> {
    frames: Vec<&'a [u8]>,
    frame: &'a [u8],
}

impl Link for Bus<'_> {
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        assert!(told(Block::parse(TO_ELEMENT, frame)).is_some(), "the host sent no frame");
        self.frame = self.frames.pop().unwrap_or_default();
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], _wait: u16) -> io::Result<()> {
        let (now, later) = self.frame.split_at_checked(bytes.len()).ok_or(ErrorKind::TimedOut)?;
        bytes.copy_from_slice(now);
        self.frame = later;
        Ok(())
    }
}

/// The frame of a piece: as it is, or with length and checksum as they must be.
fn framed(piece: &[u8], address: u8) -> Vec<u8> {
    match piece.split_first_chunk::<2>() {
        Some(([0x00, control], data)) => {
            let block = Block::Information {
                sequence: control & 1 != 0,
                more: control & 2 != 0,
                data: data.to_vec(),
            };
            block.encode(address)
        }
        _ => piece.to_vec(),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    for address in [TO_ELEMENT, TO_HOST] {
        if let Some(block) = told(Block::parse(address, data)) {
            assert_eq!(Block::parse(address, &block.encode(address)), Ok(block));
        }
    }
    if let Some(atr) = Atr::parse(data) {
        assert_eq!(Atr::parse(&atr.encode()), Some(atr));
    }

    let mut slave = Slave::new(choice % 3);
    for piece in pieces(data, 256) {
        slave.write(&framed(piece, TO_ELEMENT), &mut |request| match request {
            Request::Command(apdu) => Some([apdu, &[0x90, 0x00]].concat()),
            Request::Reset => None,
        });
        let mut frame = vec![0; HEADER_BYTES];
        if slave.read(&mut frame) {
            let mut rest = vec![0; usize::from(frame[2]) + CRC_BYTES];
            assert!(slave.read(&mut rest), "a frame has an end");
            frame.extend(rest);
            assert!(Block::parse(TO_HOST, &frame).is_ok(), "the part sent no frame");
        }
    }

    let answers: Vec<Vec<u8>> = pieces(data, 256).map(|piece| framed(piece, TO_HOST)).collect();
    let bus = Bus { frames: answers.iter().rev().map(Vec::as_slice).collect(), frame: &[] };
    if let Some((mut host, _)) = told(Host::open(bus)) {
        for length in [4, 600] {
            told(host.transceive(&vec![0; length]));
        }
    }
});
