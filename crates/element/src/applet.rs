//! Which applet an element has, and the class of elements to which it belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use touchmark_identity::apdu::se05x::{AppletVersion, ReadLayout};

use crate::flaw::Flaw;

/// ECDSA and ECDH (0002), EdDSA (0004), X25519 (0008), HMAC (0010), AES (0080) and PBKDF2 (0200) are switched on.
const FEATURES: u16 = 0x029E;
/// The last number of the version of an applet that has a flaw: 3.1.99, 7.2.99.
const FLAWED_PATCH: u8 = 99;

/// Which applet an element has. They differ in attested reads, in the attributes of objects, in what the platform's
/// secure channel counts, and in how keys of a session with an EC key are derived; nothing else of applet 7.2 is here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applet {
    /// `3.1`: version 3.1.1, as SE050 parts have it.
    #[default]
    #[serde(rename = "3.1")]
    V3_1,
    /// `7.2`: version 7.2.0, as SE051 and A5000 parts have it.
    #[serde(rename = "7.2")]
    V7_2,
}

impl Applet {
    /// Every applet.
    pub const ALL: &'static [Self] = &[Self::V3_1, Self::V7_2];

    /// The version that the applet answers; one with a flaw says so.
    #[must_use]
    pub fn version(self, flaw: Option<Flaw>) -> AppletVersion {
        let mut version = match self {
            Self::V3_1 => [3, 1, 1],
            Self::V7_2 => [7, 2, 0],
        };
        if flaw.is_some() {
            let [_, _, patch] = &mut version;
            *patch = FLAWED_PATCH;
        }
        AppletVersion { version, features: FEATURES, crypto_library: [1, 0] }
    }

    /// Whether attested reads are bound to their command, and attributes end with a version.
    pub(crate) fn binds_reads(self) -> bool {
        self.version(None).read_layout() == ReadLayout::Bound
    }
}

impl fmt::Display for Applet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V3_1 => f.write_str("3.1"),
            Self::V7_2 => f.write_str("7.2"),
        }
    }
}

impl FromStr for Applet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|applet| applet.to_string() == text);
        known.ok_or_else(|| {
            let names: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
            format!("{text:?} is none of {}", names.join(", "))
        })
    }
}

/// What elements of one production have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Class {
    /// The applet.
    pub applet: Applet,
    /// A flaw, to rehearse a recall.
    pub flaw: Option<Flaw>,
}
