//! Secure Channel Protocol '03' (GlobalPlatform Card Specification, Amendment D, version 1.2), for host and card alike.
//!
//! A host sends INITIALIZE UPDATE with a challenge; the card answers with its own and a cryptogram
//! ([`UpdateResponse`]); both derive [`SessionKeys`] from a [`KeySet`]; EXTERNAL AUTHENTICATE carries the host's cryptogram
//! and sets the [`Level`]. From then on a [`SecureChannel`] wraps on one side what it unwraps on the other:
//!
//! | Part of an APDU | Protection |
//! |---|---|
//! | command data | AES-CBC under S-ENC, from level 03 |
//! | command | AES-CMAC under S-MAC, chained from command to command, from level 01 |
//! | response data | AES-CBC under S-ENC, level 33 |
//! | response data and status | AES-CMAC under S-RMAC, from level 11; not where the status is an error |
//!
//! A channel on which anything was not as it has to be stays broken: every later call is [`Scp03Error::Broken`].
//!
//! Deliberately absent: randomness (challenges come from outside), sequence counters, counting of failures.
//!
//! ```
//! use touchmark_identity::apdu::scp03::{AesKey, CounterRule, KeySet, Level, SecureChannel, SessionKeys};
//! use touchmark_identity::apdu::{Command, RawCommand, Response, StatusWord};
//!
//! let key = || AesKey::new(&[0x40; 16]);
//! let set = KeySet { enc: key()?, mac: key()?, dek: key()? };
//! let keys = || SessionKeys::derive(&set, &[1; 8], &[2; 8]);
//! let level = Level::try_from(0x33)?;
//! let (mut host, hello) = SecureChannel::begin(keys()?, level, CounterRule::EveryCommand)?;
//! let hello = RawCommand::parse(&hello.encode()?)?;
//! let mut card = SecureChannel::accept(keys()?, level, CounterRule::EveryCommand, &hello)?;
//!
//! let command = Command { cla: 0x80, ins: 0xF2, p1: 0x80, p2: 0x02, data: vec![0x4F, 0x00], le: Some(256) };
//! let wrapped = RawCommand::parse(&host.wrap(&command)?.encode()?)?;
//! assert_eq!(card.unwrap(&wrapped)?, command);
//! let answer = card.wrap_response(Response { data: vec![0xE3, 0], sw: StatusWord::SUCCESS })?;
//! assert_eq!(host.unwrap_response(answer)?.data, [0xE3, 0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod aes;
mod channel;
mod keys;
#[cfg(test)]
mod tests;
mod update;

pub use aes::{AesKey, BLOCK_BYTES, derive};
pub use channel::{CounterRule, SecureChannel};
pub use keys::{
    KeySet, NewKeys, SessionKeys, Width, card_challenge, put_key_block, put_keys, read_key_block,
    read_put_keys,
};
pub use update::{DIVERSIFICATION_BYTES, UpdateResponse, initialize_update};

use super::StatusWord;

/// Instruction byte of INITIALIZE UPDATE.
pub const INITIALIZE_UPDATE: u8 = 0x50;
/// Instruction byte of EXTERNAL AUTHENTICATE.
pub const EXTERNAL_AUTHENTICATE: u8 = 0x82;
/// The protocol's number, as INITIALIZE UPDATE answers it.
pub const PROTOCOL: u8 = 0x03;

/// Why a secure channel is not opened, or is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Scp03Error {
    /// An AES key has 16, 24 or 32 bytes.
    #[error("an AES key has 16, 24 or 32 bytes, not {found}")]
    KeyLength {
        /// The number found.
        found: usize,
    },
    /// A security level that Amendment D §7.1.2.1 does not list.
    #[error("the security level {found:#04x} is none of 00, 01, 03, 11, 13, 33")]
    Level {
        /// The value found.
        found: u8,
    },
    /// A challenge of another length than 8 or 16 bytes, or two challenges of different lengths.
    #[error("a challenge has 8 or 16 bytes like the other side's, not {found}")]
    Challenge {
        /// The number found.
        found: usize,
    },
    /// The answer to INITIALIZE UPDATE has another form.
    #[error("the answer to INITIALIZE UPDATE is not one of SCP03: {detail}")]
    UpdateResponse {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The other side does not know the keys.
    #[error("the {whose} cryptogram is wrong: the two sides do not hold the same keys")]
    Cryptogram {
        /// `host` or `card`.
        whose: &'static str,
    },
    /// The message authentication code is missing or wrong.
    #[error("the {what} carries no valid message authentication code")]
    Mac {
        /// `command` or `response`.
        what: &'static str,
    },
    /// Plain where secured is due, or the other way round.
    #[error("the {what} is not secured as the security level of the channel wants it")]
    Unsecured {
        /// `command` or `response`.
        what: &'static str,
    },
    /// What was decrypted has no padding.
    #[error("the {what} data are not what the encryption makes: whole blocks with padding")]
    Padding {
        /// `command` or `response`.
        what: &'static str,
    },
    /// The command leaves no room for what the channel adds.
    #[error("the command has {found} data bytes, too many for a secured APDU")]
    TooLong {
        /// The number found.
        found: usize,
    },
    /// A PUT KEY data field that is none, or a key whose check value is another.
    #[error("the PUT KEY data are wrong: {detail}")]
    KeyBlock {
        /// What is wrong.
        detail: &'static str,
    },
    /// An earlier failure ended the channel.
    #[error("the secure channel was broken by an earlier failure; open a new one")]
    Broken,
    /// The cryptographic library failed without a cause.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl From<aws_lc_rs::error::Unspecified> for Scp03Error {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}

/// The security level of a channel, P1 of EXTERNAL AUTHENTICATE (Amendment D §7.1.2.1): one of `00`, `01`, `03`, `11`,
/// `13`, `33`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level(u8);

impl Level {
    /// No secure messaging.
    pub const NONE: Self = Self(0x00);
    /// Everything: both directions encrypted and authenticated.
    pub const FULL: Self = Self(0x33);
    /// All levels, in ascending order.
    pub const ALL: [Self; 6] = [Self::NONE, Self(0x01), Self(0x03), Self(0x11), Self(0x13), Self::FULL];

    /// The byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        self.0
    }

    /// C-MAC: commands are authenticated.
    #[must_use]
    pub fn command_mac(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// C-DECRYPTION: command data are encrypted.
    #[must_use]
    pub fn command_encryption(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// R-MAC: responses are authenticated.
    #[must_use]
    pub fn response_mac(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// R-ENCRYPTION: response data are encrypted.
    #[must_use]
    pub fn response_encryption(self) -> bool {
        self.0 & 0x20 != 0
    }
}

impl TryFrom<u8> for Level {
    type Error = Scp03Error;

    fn try_from(byte: u8) -> Result<Self, Scp03Error> {
        let level = Self(byte);
        if Self::ALL.contains(&level) { Ok(level) } else { Err(Scp03Error::Level { found: byte }) }
    }
}

/// The parameter "i" of the protocol (Amendment D §5.1, table 5-1): a set of options. Values that nobody listed survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter(pub u8);

impl Parameter {
    /// S16: challenges, cryptograms and codes have 16 bytes instead of 8.
    #[must_use]
    pub fn s16(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// The card's challenge follows from a sequence counter instead of being random.
    #[must_use]
    pub fn pseudo_random(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// R-MAC is supported.
    #[must_use]
    pub fn r_mac(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// R-ENCRYPTION is supported, which takes R-MAC too.
    #[must_use]
    pub fn r_enc(self) -> bool {
        self.0 & 0x60 == 0x60
    }

    /// Whether a level stays within the options.
    #[must_use]
    pub fn allows(self, level: Level) -> bool {
        (!level.response_mac() || self.r_mac()) && (!level.response_encryption() || self.r_enc())
    }

    /// The number of bytes of challenges, cryptograms and codes.
    #[must_use]
    pub fn width(self) -> Width {
        if self.s16() { Width::S16 } else { Width::S8 }
    }
}

/// Whether a response with this status is secured: success and warnings (Amendment D §6.2.5: `9000`, `62xx`, `63xx`).
fn is_secured(sw: StatusWord) -> bool {
    sw == StatusWord::SUCCESS || matches!(sw.0 >> 8, 0x62 | 0x63)
}
