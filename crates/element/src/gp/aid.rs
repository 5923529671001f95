//! Application identifiers.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An application identifier, 5 to 16 bytes (ISO/IEC 7816-4 §12.2.3).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Aid {
    length: u8,
    /// Zeros behind the identifier.
    padded: [u8; 16],
}

impl Aid {
    /// The bytes as an identifier; `None` when they are fewer than 5 or more than 16.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let length = u8::try_from(bytes.len()).ok().filter(|length| (5..=16).contains(length))?;
        let mut padded = [0; 16];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { length, padded })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.padded.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl std::fmt::Debug for Aid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode_upper(self.bytes()))
    }
}

impl Serialize for Aid {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&hex::encode(self.bytes()))
    }
}

impl<'de> Deserialize<'de> for Aid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes: Vec<u8> = hex::serde::deserialize(from)?;
        Self::new(&bytes).ok_or_else(|| serde::de::Error::custom("an AID has 5 to 16 bytes"))
    }
}
