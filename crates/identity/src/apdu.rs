//! Application protocol data units: what a host and a secure element say to each other (ISO/IEC 7816-4:2020).
//!
//! [`Command`] and [`Response`] are the frame, short and extended; [`StatusWord`] is the card's answer in two bytes;
//! [`tlv`] is the content; [`class`](mod@class) reads the class byte, [`scp03`] secures both directions; [`se05x`] is the
//! one table of commands that the host driver, the virtual element and the documentation draw on.
//!
//! Deliberately absent: I/O.
//!
//! ```
//! use touchmark_identity::apdu::{Command, Response, StatusWord, se05x};
//!
//! let command = se05x::Instruction::GetVersion.command(Vec::new());
//! assert_eq!(command.encode()?, [0x80, 0x04, 0x00, 0x20, 0x00]);
//! let response = Response::parse(&[0x69, 0x85])?;
//! assert_eq!(response.sw, StatusWord::CONDITIONS_NOT_SATISFIED);
//! # Ok::<(), touchmark_identity::apdu::ApduError>(())
//! ```

pub mod class;
pub mod scp03;
pub mod se05x;
mod status;
pub mod tlv;

pub use status::StatusWord;

/// The largest Nc, data bytes of a command (ISO/IEC 7816-4 §5.2: extended Lc is two bytes, not zero).
pub const MAX_COMMAND_DATA: usize = 65_535;
/// The largest Ne, data bytes expected in a response (ISO/IEC 7816-4 §5.2: extended Le of zero means 65,536).
pub const MAX_RESPONSE_DATA: u32 = 65_536;

/// Why bytes are not an APDU, or an APDU has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApduError {
    /// A command has a header of four bytes, a response a trailer of two.
    #[error("{found} bytes are too few for a {what}, which has at least {least}")]
    TooShort {
        /// `command` or `response`.
        what: &'static str,
        /// The smallest number of bytes.
        least: usize,
        /// The number found.
        found: usize,
    },
    /// The length fields and the number of bytes disagree.
    #[error("the body of {found} bytes does not fit its length field, which says {said} data bytes")]
    Length {
        /// What Lc says.
        said: usize,
        /// The number of bytes after the header.
        found: usize,
    },
    /// More data than a frame can hold, or an Ne outside 1 to 65,536.
    #[error("{what} of {found} is outside what an APDU can say, 1 to {most}")]
    Range {
        /// `Nc` or `Ne`.
        what: &'static str,
        /// The largest value.
        most: u32,
        /// The value found.
        found: usize,
    },
}

/// A command APDU, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Class byte.
    pub cla: u8,
    /// Instruction byte.
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// Command data, 0 to 65,535 bytes.
    pub data: Vec<u8>,
    /// Ne, the number of response bytes that the host makes room for: 1 to 65,536; absent when it expects none.
    pub le: Option<u32>,
}

impl Command {
    /// Reads a command: cases 1 to 4, short and extended (ISO/IEC 7816-4 §5.2, table 2).
    ///
    /// # Errors
    /// [`ApduError`] when the bytes are no command of these cases.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApduError> {
        let Some((&[cla, ins, p1, p2], body)) = bytes.split_first_chunk::<4>() else {
            return Err(ApduError::TooShort { what: "command", least: 4, found: bytes.len() });
        };
        let (data, le) = match body {
            [] => (&[][..], None),
            [le] => (&[][..], Some(short_ne(*le))),
            [0, high, low] => (&[][..], Some(extended_ne([*high, *low]))),
            [0, high, low, rest @ ..] => {
                let nc = usize::from(u16::from_be_bytes([*high, *low]));
                let said = ApduError::Length { said: nc, found: body.len() };
                match rest.split_at_checked(nc) {
                    _ if nc == 0 => return Err(said),
                    Some((data, [])) => (data, None),
                    Some((data, [high, low])) => (data, Some(extended_ne([*high, *low]))),
                    _ => return Err(said),
                }
            }
            [nc, rest @ ..] => {
                let nc = usize::from(*nc);
                let said = ApduError::Length { said: nc, found: body.len() };
                match rest.split_at_checked(nc) {
                    _ if nc == 0 => return Err(said),
                    Some((data, [])) => (data, None),
                    Some((data, [le])) => (data, Some(short_ne(*le))),
                    _ => return Err(said),
                }
            }
        };
        Ok(Self { cla, ins, p1, p2, data: data.to_vec(), le })
    }

    /// The bytes on the wire: short form where data and Ne fit it, else extended form.
    ///
    /// # Errors
    /// [`ApduError::Range`] when data or Ne fit no form.
    pub fn encode(&self) -> Result<Vec<u8>, ApduError> {
        let too_long = ApduError::Range { what: "Nc", most: MAX_RESPONSE_DATA - 1, found: self.data.len() };
        let nc = u16::try_from(self.data.len()).map_err(|_| too_long)?;
        if let Some(ne) = self.le.filter(|ne| !(1..=MAX_RESPONSE_DATA).contains(ne)) {
            let found = usize::try_from(ne).unwrap_or(usize::MAX);
            return Err(ApduError::Range { what: "Ne", most: MAX_RESPONSE_DATA, found });
        }
        let mut out = Vec::with_capacity(9 + self.data.len());
        out.extend([self.cla, self.ins, self.p1, self.p2]);
        // The low bytes of Ne are what Le holds: 256 and 65,536 become zero, as the standard wants.
        let ne = self.le.map(u32::to_be_bytes);
        match u8::try_from(nc) {
            Ok(nc) if self.le.unwrap_or(1) <= 256 => {
                if nc != 0 {
                    out.push(nc);
                    out.extend(&self.data);
                }
                out.extend(ne.map(|[_, _, _, low]| low));
            }
            _ => {
                out.push(0);
                if nc != 0 {
                    out.extend(nc.to_be_bytes());
                    out.extend(&self.data);
                }
                out.extend(ne.into_iter().flat_map(|[_, _, high, low]| [high, low]));
            }
        }
        Ok(out)
    }
}

/// A command APDU and the form of its length fields, which a message authentication code covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawCommand {
    /// The command.
    pub command: Command,
    /// Lc and Le came in the extended form.
    pub extended: bool,
}

impl RawCommand {
    /// Reads a command like [`Command::parse`].
    ///
    /// # Errors
    /// [`ApduError`] when the bytes are no command.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApduError> {
        let extended = matches!(bytes, [_, _, _, _, 0, _, _, ..]);
        Ok(Self { command: Command::parse(bytes)?, extended })
    }
}

fn short_ne(le: u8) -> u32 {
    if le == 0 { 256 } else { u32::from(le) }
}

fn extended_ne(le: [u8; 2]) -> u32 {
    match u16::from_be_bytes(le) {
        0 => MAX_RESPONSE_DATA,
        ne => u32::from(ne),
    }
}

/// A response APDU, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Response data, may be empty.
    pub data: Vec<u8>,
    /// The status word.
    pub sw: StatusWord,
}

impl Response {
    /// Reads a response: data and two status bytes (ISO/IEC 7816-4 §5.3).
    ///
    /// # Errors
    /// [`ApduError::TooShort`] below two bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApduError> {
        match bytes.split_last_chunk::<2>() {
            Some((data, sw)) => Ok(Self { data: data.to_vec(), sw: StatusWord(u16::from_be_bytes(*sw)) }),
            None => Err(ApduError::TooShort { what: "response", least: 2, found: bytes.len() }),
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.data.as_slice(), &self.sw.0.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn command() -> impl Strategy<Value = Command> {
        let data = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..20),
            proptest::collection::vec(any::<u8>(), 250..260),
        ];
        let le = proptest::option::of(prop_oneof![1u32..=300, 65_530u32..=65_536]);
        (any::<[u8; 4]>(), data, le).prop_map(|([cla, ins, p1, p2], data, le)| Command {
            cla,
            ins,
            p1,
            p2,
            data,
            le,
        })
    }

    proptest! {
        #[test]
        fn command_round_trip(command in command()) {
            prop_assert_eq!(Command::parse(&command.encode().unwrap()).unwrap(), command);
        }

        #[test]
        fn response_round_trip(data in proptest::collection::vec(any::<u8>(), 0..300), sw: u16) {
            let response = Response { data, sw: StatusWord(sw) };
            prop_assert_eq!(Response::parse(&response.encode()).unwrap(), response);
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Command::parse(&bytes);
            let _ = Response::parse(&bytes);
        }
    }

    /// The seven forms of ISO/IEC 7816-4 table 2, written out.
    #[test]
    fn the_cases_of_the_standard() {
        let with = |data: &[u8], le| Command { cla: 0, ins: 1, p1: 2, p2: 3, data: data.to_vec(), le };
        let long = vec![7; 256];
        let cases: [(&str, Command); 9] = [
            ("00010203", with(&[], None)),
            ("0001020305", with(&[], Some(5))),
            ("0001020300", with(&[], Some(256))),
            ("0001020302aabb", with(&[0xaa, 0xbb], None)),
            ("0001020302aabb00", with(&[0xaa, 0xbb], Some(256))),
            ("00010203000101", with(&[], Some(257))),
            ("00010203000000", with(&[], Some(65_536))),
            (&format!("00010203000100{}", "07".repeat(256)), with(&long, None)),
            (&format!("00010203000100{}0000", "07".repeat(256)), with(&long, Some(65_536))),
        ];
        for (text, command) in cases {
            assert_eq!(hex::encode(command.encode().unwrap()), text);
            assert_eq!(Command::parse(&hex::decode(text).unwrap()).unwrap(), command);
        }
    }

    #[test]
    fn lengths_that_disagree_are_refused() {
        for text in [
            "",
            "000102",
            "0001020302aa",
            "0001020302aabb0000",
            "000102030000",
            "0001020300000001",
            "000102030000020000ff",
        ] {
            assert!(Command::parse(&hex::decode(text).unwrap()).is_err(), "{text}");
        }
        assert!(Response::parse(&[0x90]).is_err());
    }

    #[test]
    fn what_fits_no_frame_is_refused() {
        let command = Command { cla: 0, ins: 0, p1: 0, p2: 0, data: vec![0; 65_536], le: None };
        assert_eq!(command.encode(), Err(ApduError::Range { what: "Nc", most: 65_535, found: 65_536 }));
        let command = Command { data: vec![], le: Some(0), ..command };
        assert_eq!(command.encode(), Err(ApduError::Range { what: "Ne", most: 65_536, found: 0 }));
    }
}
