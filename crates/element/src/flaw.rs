//! Named flaws of a class of elements, so that a recall can be rehearsed. An element with a flaw says so: in
//! the version of its applet, in its certificate, and to [`Element::inspect`](crate::Element::inspect).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use serde::{Deserialize, Serialize};

use crate::object::Body;

/// A flaw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// `readable-keys`: ReadObject gives private and secret keys, whatever their policies say.
    ReadableKeys,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: &'static [Self] = &[Self::ReadableKeys];
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadableKeys => f.write_str("readable-keys"),
        }
    }
}

impl FromStr for Flaw {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|flaw| flaw.to_string() == text);
        known.ok_or_else(|| {
            let names: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
            format!("{text:?} is none of {}", names.join(", "))
        })
    }
}

/// What ReadObject gives by the flaw: a private scalar, big-endian and as long as the curve; the seed of an Ed25519
/// key (RFC 8032) and the scalar of an X25519 key (RFC 7748); the bytes of an AES or HMAC key.
pub(crate) fn leak(flaw: Option<Flaw>, body: &Body) -> Option<Vec<u8>> {
    let Flaw::ReadableKeys = flaw?;
    match body {
        Body::KeyPair(pair) | Body::PrivateKey(pair) => {
            let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
            Some(scalar.as_ref().to_vec())
        }
        Body::Ed25519 { seed, .. } => Some(seed.to_vec()),
        Body::X25519 { scalar, .. } => Some(scalar.to_vec()),
        Body::Aes(key) | Body::Hmac(key) => Some(key.to_vec()),
        _ => None,
    }
}
