//! The journal: what was done, chained by hashes so that an entry cannot be changed or taken out unnoticed.

use serde::Serialize;
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;

/// One entry. Its hash is SHA-256 over the predecessor's hash (32 zero bytes before the first), the entry's number,
/// its moment in microseconds (both 8 bytes, big-endian), and kind, subject and body, each preceded by its length in
/// bytes (4 bytes, big-endian).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalEntry {
    /// Counted from 1 without gaps.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What was done, such as `certificate.intended`.
    pub kind: String,
    /// To what: a device id or a serial number in hex.
    pub subject: String,
    /// Details in JSON.
    pub body: String,
    /// The entry's hash.
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
}

/// What precedes the first entry.
pub const GENESIS: [u8; 32] = [0; 32];

/// The hash of an entry after the one with hash `previous`.
#[must_use]
pub fn link(
    previous: &[u8; 32],
    number: u64,
    at: Timestamp,
    kind: &str,
    subject: &str,
    body: &str,
) -> [u8; 32] {
    let mut bytes = previous.to_vec();
    bytes.extend(number.to_be_bytes());
    bytes.extend(at.micros().to_be_bytes());
    for text in [kind, subject, body] {
        bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn moving_text_between_fields_changes_the_hash(text in "[a-z]{2,20}", cut in 1usize..20) {
            let cut = cut.min(text.len() - 1);
            let at = Timestamp::from_micros(1);
            let (left, right) = text.split_at(cut);
            prop_assert_ne!(link(&GENESIS, 1, at, left, right, ""), link(&GENESIS, 1, at, &text, "", ""));
        }
    }
}
