//! The primitive types of Kafka's protocol: big-endian numbers, texts and lists with a length before them.
//!
//! Newer versions of a message write lengths as variable-length numbers and end every structure with tagged fields
//! ("flexible", KIP-482). A reader and a writer are told which of the two they have before them; the fields are named the
//! same way in both. Nothing is allocated on the word of a length: a list cannot have more elements than bytes follow.
//!
//! # Source
//! Apache Kafka 4.0, "Protocol Guide", Protocol Primitive Types.

/// An answer that is not what the protocol says: where it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be read")]
pub struct Malformed(pub &'static str);

/// Reads fields from the beginning of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Fields<'a> {
    /// The fields in these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { rest: bytes, flexible }
    }

    /// What was not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// So many bytes as they are.
    ///
    /// # Errors
    /// [`Malformed`] when there are fewer.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed("a field"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed("a number"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A number of one byte.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the bytes, here and below.
    pub fn int8(&mut self) -> Result<i8, Malformed> {
        self.array().map(i8::from_be_bytes)
    }

    /// A number of two bytes.
    ///
    /// # Errors
    /// As for [`Self::int8`].
    pub fn int16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// As for [`Self::int8`].
    pub fn int32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// A number of four bytes without a sign.
    ///
    /// # Errors
    /// As for [`Self::int8`].
    pub fn uint32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A number of eight bytes.
    ///
    /// # Errors
    /// As for [`Self::int8`].
    pub fn int64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// An identifier of sixteen bytes.
    ///
    /// # Errors
    /// As for [`Self::int8`].
    pub fn uuid(&mut self) -> Result<[u8; 16], Malformed> {
        self.array()
    }

    /// A number of one to ten bytes without a sign.
    ///
    /// # Errors
    /// [`Malformed`] when it does not end, or is larger than 64 bits.
    pub fn uvarint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>()?;
            let low = u64::from(byte & 0x7f);
            // The tenth byte has one bit to give.
            if shift == 63 && low > 1 {
                break;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number of variable length"))
    }

    /// A number of one to ten bytes whose lowest bit is the sign.
    ///
    /// # Errors
    /// As for [`Self::uvarint`].
    pub fn varint(&mut self) -> Result<i64, Malformed> {
        let value = self.uvarint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A length, before a list or text; `None` where there is neither.
    fn length(&mut self, short: bool) -> Result<Option<usize>, Malformed> {
        const WRONG: Malformed = Malformed("a length");
        let length = match (self.flexible, short) {
            (true, _) => self.uvarint()?.checked_sub(1),
            (false, true) => u64::try_from(self.int16()?).ok(),
            (false, false) => u64::try_from(self.int32()?).ok(),
        };
        let Some(length) = length else { return Ok(None) };
        // An element has a byte at least.
        usize::try_from(length).ok().filter(|length| *length <= self.rest.len()).map(Some).ok_or(WRONG)
    }

    /// The number of a list's elements; no list counts as an empty one.
    ///
    /// # Errors
    /// [`Malformed`] when there are fewer bytes than elements.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        Ok(self.length(false)?.unwrap_or(0))
    }

    /// A list of numbers of four bytes, which nobody wants.
    ///
    /// # Errors
    /// As for [`Self::count`].
    pub fn skip_int32s(&mut self) -> Result<(), Malformed> {
        let count = self.count()?;
        self.bytes(count.saturating_mul(4)).map(|_| ())
    }

    /// A text, or `None`.
    ///
    /// # Errors
    /// [`Malformed`] when it is longer than what is there, or not UTF-8.
    pub fn text(&mut self) -> Result<Option<&'a str>, Malformed> {
        let Some(length) = self.length(true)? else { return Ok(None) };
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| Malformed("a text"))
    }

    /// Bytes with their length; none count as empty.
    ///
    /// # Errors
    /// [`Malformed`] when there are fewer.
    pub fn blob(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length(false)?.unwrap_or(0);
        self.bytes(length)
    }

    /// The end of a structure: tagged fields, of which none is known here.
    ///
    /// # Errors
    /// [`Malformed`] when they do not end.
    pub fn end(&mut self) -> Result<(), Malformed> {
        if self.flexible {
            for _ in 0..self.uvarint()? {
                self.uvarint()?;
                let length = usize::try_from(self.uvarint()?).map_err(|_| Malformed("a tagged field"))?;
                self.bytes(length)?;
            }
        }
        Ok(())
    }
}

/// Writes the fields of a request.
#[derive(Debug, Clone)]
pub struct Body {
    bytes: Vec<u8>,
    flexible: bool,
}

impl Body {
    /// An empty one.
    #[must_use]
    pub fn new(flexible: bool) -> Self {
        Self { bytes: Vec::new(), flexible }
    }

    /// Whether its lengths are variable and its structures end with tagged fields.
    #[must_use]
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// What was written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes as they are: numbers in big-endian form, truth as 1 and 0.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A number of one byte.
    #[must_use]
    pub fn int8(self, value: i8) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// A number of two bytes.
    #[must_use]
    pub fn int16(self, value: i16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// A number of four bytes.
    #[must_use]
    pub fn int32(self, value: i32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// A number of eight bytes.
    #[must_use]
    pub fn int64(self, value: i64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    fn length(self, length: usize, short: bool) -> Self {
        if self.flexible {
            let mut rest = length + 1;
            let mut bytes = Vec::new();
            loop {
                let low = u8::try_from(rest & 0x7f).unwrap_or_default();
                rest >>= 7;
                bytes.push(if rest == 0 { low } else { low | 0x80 });
                if rest == 0 {
                    return self.raw(&bytes);
                }
            }
        }
        if short {
            return self.int16(i16::try_from(length).unwrap_or(i16::MAX));
        }
        self.int32(i32::try_from(length).unwrap_or(i32::MAX))
    }

    /// The number of a list's elements, which follow.
    #[must_use]
    pub fn count(self, elements: usize) -> Self {
        self.length(elements, false)
    }

    /// A text of at most 32,767 bytes.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.length(text.len(), true).raw(text.as_bytes())
    }

    /// Bytes with their length.
    #[must_use]
    pub fn blob(self, bytes: &[u8]) -> Self {
        self.length(bytes.len(), false).raw(bytes)
    }

    /// The end of a structure.
    #[must_use]
    pub fn end(self) -> Self {
        if self.flexible { self.raw(&[0]) } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_in_both_forms() {
        for flexible in [false, true] {
            let long = "x".repeat(300);
            let body = Body::new(flexible)
                .int8(-1)
                .int16(-2)
                .int32(-3)
                .int64(-4)
                .text(&long)
                .blob(b"ab")
                .count(2)
                .int32(7)
                .int32(8)
                .end();
            let mut fields = Fields::new(body.bytes(), flexible);
            assert_eq!((fields.int8(), fields.int16()), (Ok(-1), Ok(-2)));
            assert_eq!((fields.int32(), fields.int64()), (Ok(-3), Ok(-4)));
            assert_eq!(fields.text(), Ok(Some(long.as_str())));
            assert_eq!(fields.blob(), Ok(&b"ab"[..]));
            fields.skip_int32s().unwrap();
            fields.end().unwrap();
            assert_eq!(fields.rest(), b"");
        }
    }

    #[test]
    fn numbers_of_variable_length_are_those_of_the_specification() {
        // Protocol Buffers "Encoding", to which the guide refers: 150, and zig-zag.
        assert_eq!(Fields::new(&[0x96, 0x01], true).uvarint(), Ok(150));
        for (bytes, value) in
            [(&[0u8][..], 0), (&[1], -1), (&[2], 1), (&[0xff, 0xff, 0xff, 0xff, 0x0f], i64::from(i32::MIN))]
        {
            assert_eq!(Fields::new(bytes, true).varint(), Ok(value));
        }
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Fields::new(&largest, true).varint(), Ok(i64::MIN));
        assert!(Fields::new(&[0xff; 10], true).uvarint().is_err(), "more than 64 bits");
        assert!(Fields::new(&[0x80; 3], true).uvarint().is_err(), "no end");
    }

    #[test]
    fn a_length_is_not_believed() {
        for bytes in [&[0x7f, 0xff, 0xff, 0xff, 0][..], &[0, 0, 0, 3, 1, 2]] {
            assert_eq!(Fields::new(bytes, false).count(), Err(Malformed("a length")));
        }
        assert_eq!(Fields::new(&[0xff, 0xff], false).text(), Ok(None));
        assert_eq!(Fields::new(&[0], true).text(), Ok(None));
        assert_eq!(Fields::new(&[0, 1, 0xff], false).text(), Err(Malformed("a text")));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_an_error_or_a_value(bytes in prop::collection::vec(any::<u8>(), 0..40), flexible: bool) {
            let fields = Fields::new(&bytes, flexible);
            for read in [
                |mut fields: Fields<'_>| fields.text().map(|_| ()),
                |mut fields: Fields<'_>| fields.blob().map(|_| ()),
                |mut fields: Fields<'_>| fields.skip_int32s(),
                |mut fields: Fields<'_>| fields.end(),
                |mut fields: Fields<'_>| fields.varint().map(|_| ()),
            ] {
                let _either = read(fields);
            }
        }
    }
}
