//! The element as a part on an I²C bus that speaks T=1 ([`touchmark_identity::t1oi2c`]): the bus in memory, and over TCP.
//!
//! Over TCP, a host says what it does on the bus, and is answered each time:
//!
//! | Message | Answer |
//! |---|---|
//! | `00`, length in two bytes, bytes: a write | `0000` |
//! | `01`, length in two bytes: a read of so many | the length in two bytes and the bytes, or `FFFF` when the part does not acknowledge, as it has nothing ready |
//!
//! Lengths are big-endian. A read beyond the end of a frame gives FF there.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;

use touchmark_identity::t1oi2c::{self, Atr, MAX_INFORMATION_BYTES, Step};

use crate::card::Session;
use crate::error::ElementError;
use crate::frames::{self, FRAME_POLLS};
use crate::served::Served;
use crate::tcp::accept;

/// A write to the bus.
const WRITE: u8 = 0x00;
/// A read from it.
const READ: u8 = 0x01;
/// The answer to a read that the part does not acknowledge.
const NOT_ACKNOWLEDGED: [u8; 2] = [0xFF, 0xFF];
/// No read asks for more.
const MAX_READ_BYTES: usize = 4_096;

/// What the link asks of the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// A response to this command APDU.
    Command(&'a [u8]),
    /// A reset: what was selected is not any more. The response is passed over.
    Reset,
}

/// What the element says of itself on this link.
#[must_use]
pub fn atr() -> Atr {
    Atr {
        vendor: *b"\xF0TEST",
        waiting_time: 1_000,
        information_bytes: u16::try_from(MAX_INFORMATION_BYTES).unwrap_or(0xFE),
        guard_time: 0,
        historical: b"TM TEST".to_vec(),
    }
}

/// The part on the bus.
#[derive(Debug)]
pub struct Slave {
    protocol: t1oi2c::Card,
    ready: Vec<u8>,
    read: usize,
    extensions: u8,
    left: u8,
    due: Vec<u8>,
}

impl Slave {
    /// A part that asks so many times for more time before each response, as a slow chip does.
    #[must_use]
    pub fn new(extensions: u8) -> Self {
        let protocol = t1oi2c::Card::new(&atr());
        Self { protocol, ready: Vec::new(), read: 0, extensions, left: 0, due: Vec::new() }
    }

    /// The host writes a frame. `element` gives the response; without one, the part is silent, as it has no power.
    pub fn write(&mut self, frame: &[u8], element: &mut dyn FnMut(Request<'_>) -> Option<Vec<u8>>) {
        self.read = 0;
        self.ready = match self.protocol.receive(frame) {
            Step::Send(frame) => frame,
            Step::Reset(frame) => {
                let _passed_over = element(Request::Reset);
                frame
            }
            Step::Command(command) => match element(Request::Command(&command)) {
                Some(response) => {
                    (self.due, self.left) = (response, self.extensions);
                    self.respond()
                }
                None => Vec::new(),
            },
            Step::Granted => self.respond(),
        };
    }

    fn respond(&mut self) -> Vec<u8> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                t1oi2c::Card::ask_for_time(1)
            }
            None => self.protocol.answer(&std::mem::take(&mut self.due)),
        }
    }

    /// The host reads; `false` when the part does not acknowledge, as it has nothing ready. A frame may be read in several
    /// pieces.
    pub fn read(&mut self, bytes: &mut [u8]) -> bool {
        let rest = self.ready.get(self.read..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = rest.get(index).copied().unwrap_or(0xFF);
        }
        self.read = self.read.saturating_add(bytes.len());
        true
    }
}

/// Serves the part until `stop` is set. Each connection is a bus with the part on it.
///
/// # Errors
/// As for [`crate::tcp::serve`].
pub fn serve(listener: &TcpListener, served: &Served, stop: &AtomicBool) -> Result<(), ElementError> {
    accept(listener, served, stop, &converse)
}

fn converse(mut stream: TcpStream, served: &Served, over: &dyn Fn() -> bool) -> io::Result<()> {
    frames::prepare(&stream)?;
    let mut session = Session::default();
    let mut slave = Slave::new(0);
    let mut header = [0; 3];
    while fill(&mut stream, &mut header, over)? {
        let [what, high, low] = header;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        let answer = match what {
            WRITE => {
                if !fill(&mut stream, &mut bytes, over)? {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                slave.write(&bytes, &mut |request| match request {
                    Request::Command(apdu) => served.answer(&mut session, apdu),
                    Request::Reset => {
                        served.reset(&mut session);
                        None
                    }
                });
                vec![0, 0]
            }
            READ if bytes.len() <= MAX_READ_BYTES => {
                if slave.read(&mut bytes) {
                    [&[high, low], bytes.as_slice()].concat()
                } else {
                    NOT_ACKNOWLEDGED.to_vec()
                }
            }
            _ => return Err(ErrorKind::InvalidData.into()),
        };
        stream.write_all(&answer)?;
    }
    Ok(())
}

/// Fills the buffer; `false` when the peer is gone before its first byte, or the server stops.
fn fill(stream: &mut TcpStream, buffer: &mut [u8], over: &dyn Fn() -> bool) -> io::Result<bool> {
    let (mut filled, mut polls) = (0, 0);
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if over() {
                    return Ok(false);
                }
                polls += u32::from(filled > 0);
                if polls > FRAME_POLLS {
                    return Err(error);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
