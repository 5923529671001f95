//! Labels: which name an object id stands for, and which copy of an object counts.
//!
//! A label is a binary object: format (1 byte, 1), kind (1 byte), active copy (1 byte: 0 none, 1 or 2), the length of
//! the name (1 byte), the name.

use std::collections::BTreeSet;

use touchmark_identity::apdu::se05x::{Instruction, TAG_1, TAG_2, TAG_4};
use touchmark_identity::key::sha256;

use super::{Effect, ElementStore};
use crate::kind::Kind;
use crate::store::StoreError;

/// Version of the label format.
const FORMAT: u8 = 1;
/// Where the active copy stands in a label.
const ACTIVE_AT: u16 = 2;

/// The kind's number in a label.
fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Key => 1,
        Kind::Counter => 2,
        Kind::Ratchet => 3,
        Kind::Object => 4,
    }
}

/// One of the two copies of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    First,
    Second,
}

/// The ids that belong to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slots {
    /// The object itself, or its first copy.
    pub(super) first: u32,
}

impl Slots {
    pub(super) fn of(kind: Kind, name: &str) -> Self {
        let hash = sha256(&[kind.word().as_bytes(), &[0], name.as_bytes()].concat());
        let [a, b, c, d, ..] = hash;
        // 27 bits of hash, two bits for the ids that belong together.
        Self { first: 0x4000_0000 | u32::from_be_bytes([a, b, c, d]) >> 5 << 2 }
    }

    pub(super) fn copy(self, slot: Slot) -> u32 {
        match slot {
            Slot::First => self.first,
            Slot::Second => self.first | 2,
        }
    }

    fn label(self) -> u32 {
        self.first | 1
    }
}

/// Labels that were read and found right, by the id of what they label: they do not change behind a name.
pub(super) type Known = BTreeSet<u32>;

fn encode(kind: Kind, name: &str) -> Vec<u8> {
    // Names have at most 64 characters, all of them ASCII.
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[FORMAT, kind_number(kind), 0, length], name.as_bytes()].concat()
}

impl ElementStore {
    /// The active copy that a label tells of, after its name has been compared.
    fn read_label(&mut self, kind: Kind, name: &str, slots: Slots) -> Result<Option<Slot>, StoreError> {
        let label = self.read_binary(slots.label())?;
        let expected = encode(kind, name);
        let same = match (label.as_slice(), expected.as_slice()) {
            ([format, number, active, rest @ ..], [f, n, _, r @ ..])
                if (format, number, rest) == (f, n, r) =>
            {
                Some(*active)
            }
            _ => None,
        };
        match same {
            Some(0) => Ok(None),
            Some(1) => Ok(Some(Slot::First)),
            Some(2) => Ok(Some(Slot::Second)),
            _ => Err(StoreError::Corrupt {
                path: format!("object {:#010x} of the secure element", slots.first),
                detail: format!(
                    "its label does not say that it is the {} {name:?} but {:?}; choose another name",
                    kind.word(),
                    String::from_utf8_lossy(label.get(4..).unwrap_or(&[]))
                ),
            }),
        }
    }

    /// Refuses an object that is not labelled with this name.
    pub(super) fn check_label(&mut self, kind: Kind, name: &str, slots: Slots) -> Result<(), StoreError> {
        if self.labels.contains(&slots.first) {
            return Ok(());
        }
        if !self.exists(slots.label())? {
            return Err(StoreError::Corrupt {
                path: format!("object {:#010x} of the secure element", slots.first),
                detail: format!(
                    "it has no label, so it is not the {} {name:?}; choose another name",
                    kind.word()
                ),
            });
        }
        self.read_label(kind, name, slots)?;
        self.labels.insert(slots.first);
        Ok(())
    }

    /// Labels ids for a name, before the object is made. A label that is there has to be right.
    pub(super) fn label(&mut self, kind: Kind, name: &str) -> Result<Slots, StoreError> {
        let slots = Slots::of(kind, name);
        if self.exists(slots.label())? {
            self.read_label(kind, name, slots)?;
        } else {
            self.write_binary(slots.label(), &encode(kind, name))?;
        }
        self.labels.insert(slots.first);
        Ok(slots)
    }

    /// Removes the label, after its object is gone.
    pub(super) fn unlabel(&mut self, slots: Slots) -> Result<(), StoreError> {
        self.labels.remove(&slots.first);
        self.remove(slots.label())
    }

    /// The active copy of an object; `None` when there is no object of this name.
    pub(super) fn active_copy(&mut self, name: &str, slots: Slots) -> Result<Option<Slot>, StoreError> {
        if self.exists(slots.label())? { self.read_label(Kind::Object, name, slots) } else { Ok(None) }
    }

    /// Makes a copy the active one: one byte in one write, so it happens or it does not.
    pub(super) fn turn_label(&mut self, slots: Slots, to: Slot) -> Result<(), StoreError> {
        let active = match to {
            Slot::First => 1,
            Slot::Second => 2,
        };
        let fields: [(u8, &[u8]); 3] =
            [(TAG_1, &slots.label().to_be_bytes()), (TAG_2, &ACTIVE_AT.to_be_bytes()), (TAG_4, &[active])];
        self.ask(Instruction::WriteBinary, &fields, Effect::Changes).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_stay_in_their_range(name in "[a-z0-9._-]{1,64}") {
            for kind in [Kind::Key, Kind::Counter, Kind::Ratchet, Kind::Object] {
                let slots = Slots::of(kind, &name);
                prop_assert!((0x4000_0000..=0x5FFF_FFFC).contains(&slots.first));
                prop_assert_eq!(slots.first % 4, 0);
            }
        }
    }

    /// Object ids are in chips in the field: they must never change.
    #[test]
    fn ids_are_what_they_were() {
        assert_eq!(Slots::of(Kind::Key, "device").first, 0x462A_75C8);
        assert_eq!(Slots::of(Kind::Object, "device").first, 0x48AC_9574);
    }
}
