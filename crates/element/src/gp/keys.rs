//! Key sets: what a security domain authenticates its owners with.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::aid::Aid;

/// A key, in hex in the stored form, wiped from memory after use.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&Zeroizing::new(hex::encode(self.bytes())))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let bytes = hex::decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        match bytes.len() {
            16 | 24 | 32 => Ok(Self::new(bytes)),
            length => {
                Err(serde::de::Error::custom(format!("an AES key has 16, 24 or 32 bytes, not {length}")))
            }
        }
    }
}

/// A key set of a security domain: the keys 1 (ENC), 2 (MAC) and 3 (DEK) of one version.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySet {
    pub(crate) domain: Aid,
    /// Key version number, 1 to 7F.
    pub(crate) version: u8,
    /// The SCP03 parameter i (Amendment D §5.1).
    pub(crate) parameter: u8,
    /// ENC, MAC, DEK.
    pub(crate) keys: [Secret; 3],
    /// The sequence counter of SCP03, three bytes: the next session takes this value.
    pub(crate) sequence: u32,
    /// Wrong cryptograms one after another.
    pub(crate) failures: u32,
}

impl KeySet {
    pub(crate) fn new(domain: Aid, version: u8, parameter: u8, keys: [Secret; 3]) -> Self {
        Self { domain, version, parameter, keys, sequence: 0, failures: 0 }
    }
}
