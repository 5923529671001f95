//! INITIALIZE UPDATE and its answer (Amendment D §7.1.1).

use super::{INITIALIZE_UPDATE, PROTOCOL, Parameter, Scp03Error, Width};
use crate::apdu::Command;

/// The number of bytes of the key diversification data.
pub const DIVERSIFICATION_BYTES: usize = 10;

/// The command that opens a channel: the key version (0 for the card's default set) and the host's challenge, 8 or 16
/// bytes.
#[must_use]
pub fn initialize_update(version: u8, host_challenge: &[u8]) -> Command {
    let data = host_challenge.to_vec();
    Command { cla: 0x80, ins: INITIALIZE_UPDATE, p1: version, p2: 0x00, data, le: Some(256) }
}

/// What the card answers: 29 bytes (S8) or 45 (S16), and three more with a sequence counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateResponse {
    /// From what the card's keys may be diversified; the chip's own name.
    pub diversification: [u8; DIVERSIFICATION_BYTES],
    /// The key version that the card chose.
    pub version: u8,
    /// The parameter "i".
    pub parameter: Parameter,
    /// The card's challenge.
    pub challenge: Vec<u8>,
    /// The card's cryptogram.
    pub cryptogram: Vec<u8>,
    /// The sequence counter, where the challenge comes from it.
    pub sequence: Option<[u8; 3]>,
}

impl UpdateResponse {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`Scp03Error::UpdateResponse`] when it is of another protocol, or its length is not the one that "i" gives.
    pub fn parse(bytes: &[u8]) -> Result<Self, Scp03Error> {
        let bad = |detail| Scp03Error::UpdateResponse { detail };
        let short = bad("it is too short");
        let (diversification, rest) = bytes.split_first_chunk::<DIVERSIFICATION_BYTES>().ok_or(short)?;
        let (&[version, protocol, i], rest) = rest.split_first_chunk::<3>().ok_or(short)?;
        if protocol != PROTOCOL {
            return Err(bad("the card speaks another secure channel protocol"));
        }
        let parameter = Parameter(i);
        let width = parameter.width().bytes();
        let (challenge, rest) = rest.split_at_checked(width).ok_or(short)?;
        let (cryptogram, rest) = rest.split_at_checked(width).ok_or(short)?;
        let sequence = match (parameter.pseudo_random(), rest) {
            (true, &[a, b, c]) => Some([a, b, c]),
            (false, []) => None,
            _ => return Err(bad("its length is not the one that its parameter i gives")),
        };
        Ok(Self {
            diversification: *diversification,
            version,
            parameter,
            challenge: challenge.to_vec(),
            cryptogram: cryptogram.to_vec(),
            sequence,
        })
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let sequence = self.sequence.as_ref().map_or(&[][..], |sequence| &sequence[..]);
        [
            &self.diversification[..],
            &[self.version, PROTOCOL, self.parameter.0],
            &self.challenge,
            &self.cryptogram,
            sequence,
        ]
        .concat()
    }

    /// The number of bytes of challenge and cryptogram.
    #[must_use]
    pub fn width(&self) -> Width {
        self.parameter.width()
    }
}
