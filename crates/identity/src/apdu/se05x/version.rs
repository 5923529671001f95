//! The applet's version.

use std::fmt;

use super::VERSION_BYTES;

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
