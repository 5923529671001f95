//! Reading and writing the bytes of TPM structures.

/// Why bytes are not the TPM structure that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TpmFormatError {
    /// The bytes end inside a field.
    #[error("{what} ends after {found} bytes where {needed} are needed")]
    TooShort {
        /// The structure.
        what: &'static str,
        /// Bytes that the next field needs.
        needed: usize,
        /// Bytes that are left.
        found: usize,
    },
    /// Bytes are left over after the last field.
    #[error("{what} has {left} bytes after its end")]
    Trailing {
        /// The structure.
        what: &'static str,
        /// Bytes left over.
        left: usize,
    },
    /// A size is over what the structure can hold.
    #[error("{what} of {found} bytes is over the limit of {limit}")]
    TooLong {
        /// The structure or field.
        what: &'static str,
        /// The size found.
        found: usize,
        /// The largest size allowed.
        limit: usize,
    },
    /// An algorithm, type or scheme that is not processed here.
    #[error("{what} {found} is not supported")]
    Unsupported {
        /// The field.
        what: &'static str,
        /// The value found.
        found: String,
    },
    /// A field has a value that the specification does not allow.
    #[error("{what} is {found}, expected {expected}")]
    Value {
        /// The field.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// Takes fields from the front of a byte string. Allocates nothing and never reads past the end.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte; `what` names the structure in errors.
    #[must_use]
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`TpmFormatError::TooShort`] when fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], TpmFormatError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(TpmFormatError::TooShort {
            what: self.what,
            needed: count,
            found: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`TpmFormatError::TooShort`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], TpmFormatError> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    /// `UINT8`.
    ///
    /// # Errors
    /// [`TpmFormatError::TooShort`] at the end.
    pub fn u8(&mut self) -> Result<u8, TpmFormatError> {
        self.array().map(u8::from_be_bytes)
    }

    /// `UINT16`.
    ///
    /// # Errors
    /// [`TpmFormatError::TooShort`] at the end.
    pub fn u16(&mut self) -> Result<u16, TpmFormatError> {
        self.array().map(u16::from_be_bytes)
    }

    /// `UINT32`.
    ///
    /// # Errors
    /// [`TpmFormatError::TooShort`] at the end.
    pub fn u32(&mut self) -> Result<u32, TpmFormatError> {
        self.array().map(u32::from_be_bytes)
    }

    /// `UINT64`.
    ///
    /// # Errors
    /// [`TpmFormatError::TooShort`] at the end.
    pub fn u64(&mut self) -> Result<u64, TpmFormatError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A `TPM2B`: a 16-bit size and as many bytes.
    ///
    /// # Errors
    /// [`TpmFormatError::TooLong`] when the size is over `limit`, [`TpmFormatError::TooShort`] when fewer bytes are
    /// left than the size says.
    pub fn sized(&mut self, limit: usize) -> Result<&'a [u8], TpmFormatError> {
        let size = usize::from(self.u16()?);
        if size > limit {
            return Err(TpmFormatError::TooLong { what: self.what, found: size, limit });
        }
        self.bytes(size)
    }

    /// All bytes that are left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`TpmFormatError::Trailing`] when bytes are left.
    pub fn finish(self) -> Result<(), TpmFormatError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(TpmFormatError::Trailing { what: self.what, left: self.rest.len() })
        }
    }
}

/// Appends fields to a byte string. A `TPM2B` that is too long is reported by [`Writer::finish`].
#[derive(Debug, Clone)]
pub struct Writer {
    what: &'static str,
    bytes: Vec<u8>,
    too_long: Option<usize>,
}

impl Writer {
    /// Starts empty; `what` names the structure in errors.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, bytes: Vec::new(), too_long: None }
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends a `UINT8`.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Appends a `UINT16`.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a `UINT32`.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a `UINT64`.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a `TPM2B`: a 16-bit size and the bytes.
    pub fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        match u16::try_from(bytes.len()) {
            Ok(size) => self.u16(size).bytes(bytes),
            Err(_) => {
                self.too_long = Some(bytes.len());
                self
            }
        }
    }

    /// The bytes written.
    ///
    /// # Errors
    /// [`TpmFormatError::TooLong`] when a `TPM2B` had more than 65,535 bytes.
    pub fn finish(self) -> Result<Vec<u8>, TpmFormatError> {
        match self.too_long {
            None => Ok(self.bytes),
            Some(found) => {
                Err(TpmFormatError::TooLong { what: self.what, found, limit: usize::from(u16::MAX) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn big_endian_and_sized() {
        let mut writer = Writer::new("test");
        writer.u8(1).u16(0x0203).u32(0x0405_0607).u64(0x0809_0a0b_0c0d_0e0f).sized(&[0xaa]);
        let bytes = writer.finish().unwrap();
        assert_eq!(hex::encode(&bytes), "0102030405060708090a0b0c0d0e0f0001aa");
        let mut reader = Reader::new("test", &bytes);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u32(), Ok(0x0405_0607));
        assert_eq!(reader.u64(), Ok(0x0809_0a0b_0c0d_0e0f));
        assert_eq!(reader.sized(1), Ok(&[0xaa][..]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn says_what_is_wrong() {
        let short = Reader::new("thing", &[0, 3, 1]).sized(8).unwrap_err();
        assert_eq!(short.to_string(), "thing ends after 1 bytes where 3 are needed");
        let long = Reader::new("thing", &[0, 9]).sized(8).unwrap_err();
        assert_eq!(long.to_string(), "thing of 9 bytes is over the limit of 8");
        let trailing = Reader::new("thing", &[0]).finish().unwrap_err();
        assert_eq!(trailing.to_string(), "thing has 1 bytes after its end");
        let mut writer = Writer::new("thing");
        writer.sized(&vec![0; 65_536]);
        assert!(matches!(writer.finish(), Err(TpmFormatError::TooLong { found: 65_536, .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new("any", &bytes);
            while reader.sized(16).is_ok() && reader.u8().is_ok() {}
        }
    }
}
