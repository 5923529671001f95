//! BER-TLV as GlobalPlatform uses it: tags of one or two bytes, definite lengths up to 65,535.

/// One data object.
pub(crate) fn encode(tag: u16, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 5);
    let [high, low] = tag.to_be_bytes();
    if high != 0 {
        out.push(high);
    }
    out.push(low);
    let [.., high, low] = value.len().to_be_bytes();
    match value.len() {
        0..=0x7F => out.push(low),
        0x80..=0xFF => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend(value);
    out
}

/// The data objects one after another; `None` when the bytes are not that.
pub(crate) fn parse(mut bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut objects = Vec::new();
    while let Some((tag, rest)) = tag(bytes) {
        let (length, rest) = match rest {
            [length @ 0..=0x7F, rest @ ..] => (usize::from(*length), rest),
            [0x81, length, rest @ ..] => (usize::from(*length), rest),
            [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        objects.push((tag, value));
        bytes = rest;
    }
    bytes.is_empty().then_some(objects)
}

/// The first tag: two bytes when its low five bits are set.
fn tag(bytes: &[u8]) -> Option<(u16, &[u8])> {
    match bytes {
        [first, second, rest @ ..] if first & 0x1F == 0x1F => {
            Some((u16::from_be_bytes([*first, *second]), rest))
        }
        [first, rest @ ..] if first & 0x1F != 0x1F => Some((u16::from(*first), rest)),
        _ => None,
    }
}

/// The tags of a tag list (5C).
pub(crate) fn tags(mut bytes: &[u8]) -> Option<Vec<u16>> {
    let mut tags = Vec::new();
    while let Some((found, rest)) = tag(bytes) {
        tags.push(found);
        bytes = rest;
    }
    bytes.is_empty().then_some(tags)
}

/// The fields of an INSTALL command: each behind its length in one byte, or in three (80 to FF are 81 xx, 82 xx xx).
pub(crate) fn fields(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = match bytes {
            [length @ 0..=0x7F, rest @ ..] => (usize::from(*length), rest),
            [0x81, length, rest @ ..] => (usize::from(*length), rest),
            [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        fields.push(value);
        bytes = rest;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(tag in prop_oneof![Just(0x4Fu16), Just(0x9F70), Just(0xE3)], value in proptest::collection::vec(any::<u8>(), 0..400)) {
            let bytes = encode(tag, &value);
            prop_assert_eq!(parse(&bytes), Some(vec![(tag, value.as_slice())]));
            prop_assert_eq!(parse(bytes.split_last().unwrap().1), None);
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (parse(&bytes), tags(&bytes), fields(&bytes));
        }
    }

    #[test]
    fn tag_lists_and_fields() {
        assert_eq!(tags(&[0x4F, 0x9F, 0x70, 0xC5]), Some(vec![0x4F, 0x9F70, 0xC5]));
        assert_eq!(tags(&[0x9F]), None);
        assert_eq!(fields(&[1, 7, 0, 2, 8, 9]), Some(vec![&[7][..], &[], &[8, 9]]));
        assert_eq!(fields(&[3, 1]), None);
    }
}
