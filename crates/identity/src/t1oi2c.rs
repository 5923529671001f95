//! T=1 over I²C, as SE05x parts speak it (NXP UM11225): frames, and the two ends of a link as state machines.
//!
//! A frame is `NAD PCB LEN INF CRC`: who speaks ([`TO_ELEMENT`] or [`TO_HOST`]), what it is, how many bytes follow (at most
//! [`MAX_INFORMATION_BYTES`]), the bytes, and CRC-16/X-25 over all of that, low byte first. The blocks are those of T=1
//! (ISO/IEC 7816-3 §11): information, receive-ready, supervisory.
//!
//! The form of GlobalPlatform's APDU Transport over SPI/I²C, with two bytes of length and the CRC's high byte first, is not
//! spoken.

mod card;
mod host;
#[cfg(test)]
mod tests;

pub use card::{Card, Step};
pub use host::{Host, Link, LinkError};

/// The part's address on the bus.
pub const ADDRESS: u16 = 0x48;
/// NAD of frames from the host.
pub const TO_ELEMENT: u8 = 0x5A;
/// NAD of frames from the part.
pub const TO_HOST: u8 = 0xA5;
/// The most bytes of information in one frame.
pub const MAX_INFORMATION_BYTES: usize = 0xFE;
/// NAD, PCB and LEN.
pub const HEADER_BYTES: usize = 3;
/// The checksum.
pub const CRC_BYTES: usize = 2;

/// What a supervisory block asks for, or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervision {
    /// Both ends forget their sequence numbers.
    Resynchronise,
    /// The host's buffer has another size.
    InformationFieldSize,
    /// A chain ends early.
    Abort,
    /// The part needs more time, so many times as the one byte says.
    MoreTime,
    /// The host has no more commands; the part may sleep.
    EndOfSession,
    /// The part resets itself.
    ChipReset,
    /// The answer to reset.
    AnswerToReset,
    /// The link begins anew; the answer carries the answer to reset.
    InterfaceReset,
    /// The part goes into deep sleep.
    PowerDown,
}

impl Supervision {
    const ALL: [(u8, Self); 9] = [
        (0x00, Self::Resynchronise),
        (0x01, Self::InformationFieldSize),
        (0x02, Self::Abort),
        (0x03, Self::MoreTime),
        (0x05, Self::EndOfSession),
        (0x06, Self::ChipReset),
        (0x07, Self::AnswerToReset),
        (0x0F, Self::InterfaceReset),
        (0x1F, Self::PowerDown),
    ];

    fn code(self) -> u8 {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or(0, |(code, _)| *code)
    }

    fn parse(code: u8) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == code).map(|(_, kind)| *kind)
    }
}

/// What a receive-ready block says of the frame before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// It is well.
    Good,
    /// Its checksum is wrong.
    BadChecksum,
    /// It is wrong otherwise.
    Bad,
}

/// A block of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A piece of an APDU.
    Information {
        /// N(S): alternates.
        sequence: bool,
        /// Whether further pieces follow.
        more: bool,
        /// The piece, at most [`MAX_INFORMATION_BYTES`].
        data: Vec<u8>,
    },
    /// A receive-ready block.
    Receive {
        /// N(R): the sequence number that is expected next.
        expected: bool,
        /// How the frame before it arrived.
        reception: Reception,
    },
    /// A supervisory block.
    Supervisory {
        /// What for.
        kind: Supervision,
        /// Whether it answers one.
        answer: bool,
        /// What belongs to it, at most [`MAX_INFORMATION_BYTES`].
        data: Vec<u8>,
    },
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It ends early, is too long, or LEN says something else.
    #[error("the frame's length is wrong")]
    Length,
    /// The checksum does not fit.
    #[error("the frame's checksum is {found:04x}, calculated {calculated:04x}")]
    Checksum {
        /// What stands in the frame.
        found: u16,
        /// What would be right.
        calculated: u16,
    },
    /// It is for the other end.
    #[error("the frame's address byte is {found:02x}")]
    Address {
        /// What stands in the frame.
        found: u8,
    },
    /// The control byte means nothing.
    #[error("the frame's control byte is {found:02x}")]
    Control {
        /// What stands in the frame.
        found: u8,
    },
}

impl Block {
    /// The frame, from its address byte to its checksum. Data beyond [`MAX_INFORMATION_BYTES`] are not sent.
    #[must_use]
    pub fn encode(&self, address: u8) -> Vec<u8> {
        let none: &[u8] = &[];
        let (control, data) = match self {
            Self::Information { sequence, more, data } => {
                (u8::from(*sequence) << 6 | u8::from(*more) << 5, data.as_slice())
            }
            Self::Receive { expected, reception } => {
                let error = match reception {
                    Reception::Good => 0,
                    Reception::BadChecksum => 1,
                    Reception::Bad => 2,
                };
                (0x80 | u8::from(*expected) << 4 | error, none)
            }
            Self::Supervisory { kind, answer, data } => {
                (0xC0 | u8::from(*answer) << 5 | kind.code(), data.as_slice())
            }
        };
        let data = data.get(..MAX_INFORMATION_BYTES).unwrap_or(data);
        let length = u8::try_from(data.len()).unwrap_or(0);
        let mut frame = Vec::with_capacity(HEADER_BYTES + data.len() + CRC_BYTES);
        frame.extend([address, control, length]);
        frame.extend(data);
        let check = crc(&frame);
        frame.extend(check.to_le_bytes());
        frame
    }

    /// Reads a frame that has to be there whole, with this address byte.
    ///
    /// # Errors
    /// [`FrameError`] says what is wrong with it; a wrong checksum comes before anything that it covers but the length.
    pub fn parse(address: u8, frame: &[u8]) -> Result<Self, FrameError> {
        let (covered, check) = frame.split_last_chunk::<CRC_BYTES>().ok_or(FrameError::Length)?;
        let (header, data) = covered.split_first_chunk::<HEADER_BYTES>().ok_or(FrameError::Length)?;
        let [nad, control, length] = *header;
        if usize::from(length) != data.len() || data.len() > MAX_INFORMATION_BYTES {
            return Err(FrameError::Length);
        }
        let (found, calculated) = (u16::from_le_bytes(*check), crc(covered));
        if found != calculated {
            return Err(FrameError::Checksum { found, calculated });
        }
        if nad != address {
            return Err(FrameError::Address { found: nad });
        }
        let wrong = FrameError::Control { found: control };
        match control {
            0x00..=0x7F if control & 0x1F == 0 => Ok(Self::Information {
                sequence: control & 0x40 != 0,
                more: control & 0x20 != 0,
                data: data.to_vec(),
            }),
            0x80..=0xBF if control & 0x2C == 0 && data.is_empty() => {
                let reception = match control & 0x03 {
                    0 => Reception::Good,
                    1 => Reception::BadChecksum,
                    _ => Reception::Bad,
                };
                Ok(Self::Receive { expected: control & 0x10 != 0, reception })
            }
            0xC0..=0xFF => {
                let kind = Supervision::parse(control & 0x1F).ok_or(wrong)?;
                Ok(Self::Supervisory { kind, answer: control & 0x20 != 0, data: data.to_vec() })
            }
            _ => Err(wrong),
        }
    }
}

/// CRC-16/X-25: polynomial 1021 reflected, from FFFF, inverted at the end.
fn crc(bytes: &[u8]) -> u16 {
    let mut crc = 0xFFFF_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0x8408 };
        }
    }
    !crc
}

/// What a part says of itself (NXP UM11225, answer to reset): protocol version, vendor, parameters of the link layer and
/// of the bus, historical bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atr {
    /// The vendor's registered id.
    pub vendor: [u8; 5],
    /// How long one answer may take, in milliseconds.
    pub waiting_time: u16,
    /// The most bytes of information that it takes in one frame.
    pub information_bytes: u16,
    /// How long the bus rests between frames at least, in microseconds.
    pub guard_time: u16,
    /// Whatever else it says.
    pub historical: Vec<u8>,
}

impl Atr {
    /// Protocol version 0; link-layer parameters of 4 bytes; physical layer 2 (I²C) with 11 bytes: clock of 1,000 kHz,
    /// configuration 8, polling time 1 ms, reserved, guard time, wake-up time.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0x00];
        bytes.extend(self.vendor);
        bytes.push(4);
        bytes.extend(self.waiting_time.to_be_bytes());
        bytes.extend(self.information_bytes.to_be_bytes());
        bytes.extend([0x02, 11, 0x03, 0xE8, 0x08, 0x01, 0, 0, 0]);
        bytes.extend(self.guard_time.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.push(u8::try_from(self.historical.len()).unwrap_or(u8::MAX));
        bytes.extend(self.historical.get(..255).unwrap_or(&self.historical));
        bytes
    }

    /// Reads what [`encode`](Self::encode) writes, and longer parameters, whose further bytes are passed over.
    /// `None` when it is something else.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (_version, rest) = bytes.split_first()?;
        let (vendor, rest) = rest.split_first_chunk::<5>()?;
        let (link, rest) = counted(rest)?;
        let (waiting_time, link) = link.split_first_chunk::<2>()?;
        let (information_bytes, _) = link.split_first_chunk::<2>()?;
        let (_layer, rest) = rest.split_first()?;
        let (physical, rest) = counted(rest)?;
        let guard_time = physical.get(7..9)?;
        let (historical, _) = counted(rest)?;
        Some(Self {
            vendor: *vendor,
            waiting_time: u16::from_be_bytes(*waiting_time),
            information_bytes: u16::from_be_bytes(*information_bytes),
            guard_time: u16::from_be_bytes(guard_time.try_into().ok()?),
            historical: historical.to_vec(),
        })
    }
}

/// A field behind its length in one byte, and what follows it.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}
