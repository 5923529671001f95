//! CRC-32C (Castagnoli), with which record batches are protected. It finds damage, not intent.

/// The polynomial, bits reversed (RFC 3720 §12.1).
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

#[expect(clippy::indexing_slicing, reason = "the loop ends at the table's length")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut entry = 0;
    let mut byte = 0u32;
    while entry < 256 {
        let mut value = byte;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        table[entry] = value;
        entry += 1;
        byte += 1;
    }
    table
}

/// The checksum of bytes.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut value = u32::MAX;
    for byte in bytes {
        let [low, ..] = value.to_le_bytes();
        let entry = TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default();
        value = (value >> 8) ^ entry;
    }
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_rfc_3720() {
        // Appendix B.4, whose bytes are in the order in which they are sent.
        assert_eq!(crc32c(&[0; 32]), u32::from_le_bytes([0xaa, 0x36, 0x91, 0x8a]));
        assert_eq!(crc32c(&[0xff; 32]), u32::from_le_bytes([0x43, 0xab, 0xa8, 0x62]));
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), u32::from_le_bytes([0x4e, 0x79, 0xdd, 0x46]));
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
