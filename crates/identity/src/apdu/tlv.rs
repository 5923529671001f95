//! Tag, length, value as SE05x commands use it: tags of one byte, lengths in the BER forms of one, two or three bytes
//! (ITU-T X.690 §8.1.3: `00`-`7F`, `81 xx`, `82 xx xx`), no nesting, no tag twice.

/// Why bytes are not a sequence of such TLVs, or a value has no TLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// The bytes end inside a TLV.
    #[error("the TLV at byte {at} is cut short")]
    Truncated {
        /// Where the TLV begins.
        at: usize,
    },
    /// A length form other than the three.
    #[error("the TLV at byte {at} has the length form {form:#04x}, which is not used here")]
    LengthForm {
        /// Where the TLV begins.
        at: usize,
        /// The first length byte.
        form: u8,
    },
    /// A tag occurs twice.
    #[error("the tag {tag:#04x} occurs twice")]
    Repeated {
        /// The tag.
        tag: u8,
    },
    /// A tag that has to be there is not.
    #[error("the tag {tag:#04x} is missing")]
    Missing {
        /// The tag.
        tag: u8,
    },
    /// A value of another length than its meaning has.
    #[error("the value of tag {tag:#04x} has {found} bytes, expected {expected}")]
    ValueLength {
        /// The tag.
        tag: u8,
        /// The number of bytes that the meaning has.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A value longer than the length forms can say.
    #[error("a value of {found} bytes does not fit a TLV, which holds 65535")]
    TooLong {
        /// The number of bytes.
        found: usize,
    },
}

/// A parsed sequence of TLVs, borrowed from its bytes, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlvs<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Tlvs<'a> {
    /// Reads all of the bytes. As no tag may occur twice, there are at most 256 entries.
    ///
    /// # Errors
    /// [`TlvError`] when the bytes are not a sequence of TLVs.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TlvError> {
        let mut entries: Vec<(u8, &'a [u8])> = Vec::new();
        let mut rest = bytes;
        while let [tag, after @ ..] = rest {
            let at = bytes.len() - rest.len();
            let (length, after) = match after {
                [short @ 0..=0x7f, after @ ..] => (usize::from(*short), after),
                [0x81, length, after @ ..] => (usize::from(*length), after),
                [0x82, high, low, after @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), after),
                [] | [0x81 | 0x82, ..] => return Err(TlvError::Truncated { at }),
                [form, ..] => return Err(TlvError::LengthForm { at, form: *form }),
            };
            let (value, after) = after.split_at_checked(length).ok_or(TlvError::Truncated { at })?;
            if entries.iter().any(|(seen, _)| seen == tag) {
                return Err(TlvError::Repeated { tag: *tag });
            }
            entries.push((*tag, value));
            rest = after;
        }
        Ok(Self(entries))
    }

    /// The value of a tag, where the tag is there.
    #[must_use]
    pub fn find(&self, tag: u8) -> Option<&'a [u8]> {
        self.0.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value)
    }

    /// The value of a tag that has to be there.
    ///
    /// # Errors
    /// [`TlvError::Missing`].
    pub fn required(&self, tag: u8) -> Result<&'a [u8], TlvError> {
        self.find(tag).ok_or(TlvError::Missing { tag })
    }

    /// The value of a tag that has to be there and to have exactly `N` bytes.
    ///
    /// # Errors
    /// [`TlvError::Missing`] or [`TlvError::ValueLength`].
    pub fn exact<const N: usize>(&self, tag: u8) -> Result<[u8; N], TlvError> {
        let value = self.required(tag)?;
        value.try_into().map_err(|_| TlvError::ValueLength { tag, expected: N, found: value.len() })
    }

    /// The value of a tag that may be missing; where it is there, it has exactly `N` bytes.
    ///
    /// # Errors
    /// [`TlvError::ValueLength`].
    pub fn optional<const N: usize>(&self, tag: u8) -> Result<Option<[u8; N]>, TlvError> {
        self.find(tag).map(|_| self.exact(tag)).transpose()
    }

    /// The tags, in their order.
    pub fn tags(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().map(|(tag, _)| *tag)
    }
}

/// Appends one TLV, with the shortest length form.
///
/// # Errors
/// [`TlvError::TooLong`] above 65,535 bytes.
pub fn push(out: &mut Vec<u8>, tag: u8, value: &[u8]) -> Result<(), TlvError> {
    let length = u16::try_from(value.len()).map_err(|_| TlvError::TooLong { found: value.len() })?;
    out.push(tag);
    match length.to_be_bytes() {
        [0, low @ 0..=0x7f] => out.push(low),
        [0, low] => out.extend([0x81, low]),
        [high, low] => out.extend([0x82, high, low]),
    }
    out.extend(value);
    Ok(())
}

/// The bytes of a sequence of TLVs.
///
/// # Errors
/// [`TlvError::TooLong`] when a value has more than 65,535 bytes.
pub fn encode(entries: &[(u8, &[u8])]) -> Result<Vec<u8>, TlvError> {
    let mut out = Vec::with_capacity(entries.iter().map(|(_, value)| value.len() + 4).sum());
    for (tag, value) in entries {
        push(&mut out, *tag, value)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entries() -> impl Strategy<Value = BTreeMap<u8, Vec<u8>>> {
        let value = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..10),
            proptest::collection::vec(any::<u8>(), 120..135),
            proptest::collection::vec(any::<u8>(), 250..262),
        ];
        proptest::collection::btree_map(any::<u8>(), value, 0..5)
    }

    proptest! {
        #[test]
        fn round_trip(entries in entries()) {
            let list: Vec<(u8, &[u8])> = entries.iter().map(|(tag, value)| (*tag, value.as_slice())).collect();
            let bytes = encode(&list).unwrap();
            prop_assert_eq!(Tlvs::parse(&bytes).unwrap(), Tlvs(list));
        }

        #[test]
        fn every_truncation_is_refused(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = encode(&[(0x41, &value)]).unwrap();
            for end in 1..bytes.len() {
                prop_assert_eq!(Tlvs::parse(&bytes[..end]), Err(TlvError::Truncated { at: 0 }));
            }
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Tlvs::parse(&bytes);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(Tlvs::parse(&[0x41, 0x83, 0, 0, 1, 7]), Err(TlvError::LengthForm { at: 0, form: 0x83 }));
        assert_eq!(Tlvs::parse(&[0x41, 0, 0x41, 0]), Err(TlvError::Repeated { tag: 0x41 }));
        let some = Tlvs::parse(&[0x41, 2, 1, 2]).unwrap();
        assert_eq!(some.exact::<4>(0x41), Err(TlvError::ValueLength { tag: 0x41, expected: 4, found: 2 }));
        assert_eq!(some.required(0x42), Err(TlvError::Missing { tag: 0x42 }));
        assert_eq!(some.optional::<4>(0x42), Ok(None));
        assert_eq!(push(&mut Vec::new(), 1, &vec![0; 65_536]), Err(TlvError::TooLong { found: 65_536 }));
    }
}
