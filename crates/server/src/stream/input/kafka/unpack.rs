//! What producers compress: the records of a batch, as a whole, to a bound.
//!
//! gzip, Snappy, LZ4 and Zstandard, all of them in Rust. Snappy comes as one block (librdkafka) or in the pieces of
//! snappy-java (the Java client).

use std::io::Read;

use super::wire::{Fields, Malformed};

/// A batch has at most so many bytes when it is unpacked. Producers close a batch at a megabyte of what they were given.
pub const LARGEST: usize = 16 << 20;
/// snappy-java's stream: magic, version and the oldest version that can read it.
const SNAPPY_JAVA: &[u8; 8] = b"\x82SNAPPY\0";

/// Why a batch cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The batch names a compression that is not known.
    #[error("it is compressed in the way {0}, which is not known")]
    Unknown(i16),
    /// It is larger than the bound.
    #[error("unpacked it has more than {LARGEST} bytes")]
    TooLarge,
    /// It does not unpack.
    #[error("its {format} cannot be unpacked: {detail}")]
    Damaged {
        /// The compression.
        format: &'static str,
        /// What is wrong.
        detail: String,
    },
}

/// Unpacks what attribute bits 0 to 2 of its batch say is compressed so; `None` where it is not.
///
/// # Errors
/// [`UnpackError`].
pub fn unpack(compression: i16, bytes: &[u8]) -> Result<Option<Vec<u8>>, UnpackError> {
    match compression {
        0 => Ok(None),
        1 => bounded("gzip", flate2::read::MultiGzDecoder::new(bytes)).map(Some),
        2 => snappy(bytes).map(Some),
        3 => bounded("LZ4", lz4_flex::frame::FrameDecoder::new(bytes)).map(Some),
        4 => zstandard(bytes).map(Some),
        other => Err(UnpackError::Unknown(other)),
    }
}

fn bounded(format: &'static str, from: impl Read) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::new();
    from.take(LARGEST as u64 + 1).read_to_end(&mut out).map_err(|error| damaged(format, &error))?;
    if out.len() > LARGEST { Err(UnpackError::TooLarge) } else { Ok(out) }
}

fn damaged(format: &'static str, detail: &dyn std::fmt::Display) -> UnpackError {
    UnpackError::Damaged { format, detail: detail.to_string() }
}

fn zstandard(bytes: &[u8]) -> Result<Vec<u8>, UnpackError> {
    // The window is allocated on the word of the frame.
    let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(bytes, LARGEST as u64);
    bounded("Zstandard", decoder.map_err(|error| damaged("Zstandard", &error))?)
}

fn snappy(bytes: &[u8]) -> Result<Vec<u8>, UnpackError> {
    let cut = |error: Malformed| damaged("Snappy", &error);
    let mut fields = Fields::new(bytes, false);
    let mut out = Vec::new();
    if !bytes.starts_with(SNAPPY_JAVA) {
        block(bytes, &mut out)?;
        return Ok(out);
    }
    fields.bytes(SNAPPY_JAVA.len() + 8).map_err(cut)?;
    while !fields.rest().is_empty() {
        block(fields.blob().map_err(cut)?, &mut out)?;
    }
    Ok(out)
}

fn block(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), UnpackError> {
    let length = snap::raw::decompress_len(bytes).map_err(|error| damaged("Snappy", &error))?;
    if length.saturating_add(out.len()) > LARGEST {
        return Err(UnpackError::TooLarge);
    }
    // A byte of Snappy unpacks to at most 64/3, so a length is not believed beyond that.
    if length > bytes.len().saturating_mul(22) {
        return Err(damaged("Snappy", &"it says that it is longer than it can be"));
    }
    out.extend(snap::raw::Decoder::new().decompress_vec(bytes).map_err(|error| damaged("Snappy", &error))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn snappy_java(text: &[u8]) -> Vec<u8> {
        let mut out = [&SNAPPY_JAVA[..], &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for piece in text.chunks(1_000) {
            let packed = snap::raw::Encoder::new().compress_vec(piece).unwrap();
            out.extend(u32::try_from(packed.len()).unwrap().to_be_bytes());
            out.extend(packed);
        }
        out
    }

    fn lz4(text: &[u8]) -> Vec<u8> {
        let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    fn zstandard(text: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn what_was_packed_comes_back_and_damage_is_an_error_or_other_bytes() {
        let text: Vec<u8> = (0..5_000u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        let packed = [
            (1, gzip(&text)),
            (2, snap::raw::Encoder::new().compress_vec(&text).unwrap()),
            (2, snappy_java(&text)),
            (3, lz4(&text)),
            (4, zstandard(&text)),
        ];
        for (kind, packed) in packed {
            assert_eq!(unpack(kind, &packed).unwrap().as_deref(), Some(&*text), "{kind}");
            for cut in 0..packed.len().min(200) {
                let _either = unpack(kind, &packed[..cut]);
            }
            for at in 0..packed.len().min(500) {
                let mut changed = packed.clone();
                changed[at] ^= 0x5a;
                let _either = unpack(kind, &changed);
            }
        }
        assert_eq!(unpack(0, b"x").unwrap(), None);
        assert!(matches!(unpack(5, b"x"), Err(UnpackError::Unknown(5))));
    }

    #[test]
    fn little_that_becomes_much_is_refused() {
        let much = vec![0; LARGEST + 1];
        for (kind, packed) in [
            (1, gzip(&much)),
            (2, snap::raw::Encoder::new().compress_vec(&much).unwrap()),
            (3, lz4(&much)),
            (4, zstandard(&much)),
        ] {
            assert!(matches!(unpack(kind, &packed), Err(UnpackError::TooLarge)), "{kind}");
        }
        // A length of 4 GiB, and nothing behind it.
        assert!(unpack(2, &[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    }
}
