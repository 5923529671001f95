//! From names to handles.

use touchmark_identity::key::sha256;
use touchmark_identity::tpm::Handle;

use crate::kind::Kind;

/// The first handle of a kind. Persistent handles up to 0x817fffff and NV indexes from 0x01800000 to 0x01bfffff belong to
/// the owner (TCG Registry of Reserved TPM 2.0 Handles and Localities).
fn first_handle(kind: Kind) -> u32 {
    match kind {
        Kind::Key => 0x8170_0000,
        Kind::Counter => 0x0180_0000,
        Kind::Ratchet => 0x0190_0000,
        Kind::Object => 0x01a0_0000,
    }
}

/// Where a name lives, and the label that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) handle: Handle,
    /// Stands as authorisation policy in the public area of the key or index.
    pub(super) label: [u8; 32],
}

impl Place {
    pub(super) fn of(kind: Kind, name: &str) -> Self {
        let label = sha256(&[b"touchmark ", kind.word().as_bytes(), &[0], name.as_bytes()].concat());
        let [a, b, c, ..] = label;
        let offset = u32::from_be_bytes([0, a, b, c]) >> 4;
        Self { kind, name: name.to_owned(), handle: Handle(first_handle(kind) + offset), label }
    }

    /// The second place of an object, from which it goes back to the first when it is replaced again. No name holds a `/`.
    pub(super) fn second_of_object(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::of(Kind::Object, &format!("{name}/2")) }
    }

    pub(super) fn not_found(&self) -> crate::StoreError {
        crate::StoreError::NotFound { what: self.kind.word(), name: self.name.clone() }
    }

    pub(super) fn exists(&self) -> crate::StoreError {
        crate::StoreError::Exists { what: self.kind.word(), name: self.name.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A changed rule would lose every key that was made under the old one.
    #[test]
    fn the_rule_does_not_change() {
        assert_eq!(Place::of(Kind::Key, "device").handle, Handle(0x817b_7578));
        assert_eq!(Place::of(Kind::Counter, "device").handle, Handle(0x0183_ca22));
        assert_eq!(Place::second_of_object("device").handle, Handle(0x01a9_f28e));
    }

    proptest! {
        #[test]
        fn handles_stay_in_their_ranges(name in "[A-Za-z0-9._-]{1,64}") {
            for (kind, first) in [(Kind::Key, 0x8170_0000u32), (Kind::Counter, 0x0180_0000), (Kind::Ratchet, 0x0190_0000), (Kind::Object, 0x01a0_0000)] {
                let place = Place::of(kind, &name);
                prop_assert!((first..=first + 0xf_ffff).contains(&place.handle.0));
                prop_assert_eq!(place.handle.is_persistent(), kind == Kind::Key);
            }
        }
    }
}
