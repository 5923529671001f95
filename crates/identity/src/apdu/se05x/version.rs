//! The applet's version.

use std::fmt;

use super::VERSION_BYTES;

/// The first applet whose attributes end with the object's version.
const VERSIONED_SINCE: [u8; 3] = [4, 4, 0];
/// The first applet that binds an attested read to its command (nano package 1.5, `ex_se05x_crypto.c`: `0x7020000`).
const BOUND_SINCE: [u8; 3] = [7, 2, 0];

/// How an applet lays an attested read out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadLayout {
    /// Before applet 4.4: the signature is over the values of the answer, one after the other.
    Values,
    /// Applet 4.4 to 7.1: the same, and the attributes end with a version that the host chooses. Nothing here reads it.
    ValuesWithVersion,
    /// From applet 7.2: the signature is over a digest of the command and the TLVs of the answer
    /// ([`bound`](super::bound)).
    Bound,
}

impl fmt::Display for ReadLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Values => "that of applets before 4.4",
            Self::ValuesWithVersion => "that of applets 4.4 to 7.1",
            Self::Bound => "that of applets from 7.2 on",
        })
    }
}

/// The applet's version, as SELECT and `GetVersion` answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppletVersion {
    /// Major, minor and patch level.
    pub version: [u8; 3],
    /// Bit set of the features that are switched on.
    pub features: u16,
    /// Version of the cryptographic library below the applet ("secure box"), major and minor.
    pub crypto_library: [u8; 2],
}

impl AppletVersion {
    /// Reads the seven bytes; `None` when there are fewer or more.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes {
            &[major, minor, patch, high, low, library_major, library_minor] => Some(Self {
                version: [major, minor, patch],
                features: u16::from_be_bytes([high, low]),
                crypto_library: [library_major, library_minor],
            }),
            _ => None,
        }
    }

    /// How this applet lays attested reads out.
    #[must_use]
    pub fn read_layout(&self) -> ReadLayout {
        match self.version {
            version if version >= BOUND_SINCE => ReadLayout::Bound,
            version if version >= VERSIONED_SINCE => ReadLayout::ValuesWithVersion,
            _ => ReadLayout::Values,
        }
    }

    /// The seven bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; VERSION_BYTES] {
        let [major, minor, patch] = self.version;
        let [high, low] = self.features.to_be_bytes();
        let [library_major, library_minor] = self.crypto_library;
        [major, minor, patch, high, low, library_major, library_minor]
    }
}

impl fmt::Display for AppletVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.version;
        write!(f, "{major}.{minor}.{patch}")
    }
}
