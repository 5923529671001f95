//! Application identifiers.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An application identifier, 5 to 16 bytes (ISO/IEC 7816-4 §12.2.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Aid(Vec<u8>);

impl Aid {
    /// The bytes as an identifier; `None` when they are fewer than 5 or more than 16.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        (5..=16).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Aid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode_upper(&self.0))
    }
}

impl Serialize for Aid {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Aid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes: Vec<u8> = hex::serde::deserialize(from)?;
        Self::new(&bytes).ok_or_else(|| serde::de::Error::custom("an AID has 5 to 16 bytes"))
    }
}
