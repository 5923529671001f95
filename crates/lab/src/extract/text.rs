//! Texts in an image that may hold a key, and what they decode to. Decoding is generous: a text that is no key decodes
//! to bytes that derive no matching point, and nothing is lost but time.

use std::ops::Range;

use base64ct::{Base64Unpadded, Encoding as _};
use zeroize::Zeroizing;

use super::{Encoding, SCALAR_BYTES};

const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"-----END ";
const PEM_DASHES: &[u8] = b"-----";
/// No PEM block of a key is longer than this, in bytes; a block without an end is cut here.
const MAX_PEM_BYTES: usize = 16 * 1024;
/// Hexadecimal digits of a scalar.
const HEX_DIGITS: usize = 2 * SCALAR_BYTES;
/// Base64 characters of a scalar, without padding.
const BASE64_CHARACTERS: usize = 43;

/// A text, decoded.
pub(super) struct Decoded {
    /// Where the text begins.
    pub(super) offset: usize,
    pub(super) encoding: Encoding,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

pub(super) fn decode(bytes: &[u8]) -> Vec<Decoded> {
    let (mut decoded, framed) = pem_blocks(bytes);
    let mut start = 0;
    // What lies in a PEM frame is decoded once, as PEM.
    for frame in framed.iter().cloned().chain(std::iter::once(bytes.len()..bytes.len())) {
        let free = bytes.get(start..frame.start).unwrap_or_default();
        hex_runs(free, start, &mut decoded);
        base64_runs(free, start, &mut decoded);
        start = frame.end;
    }
    decoded
}

/// RFC 7468, as generously as its §2 allows and beyond: line breaks anywhere, also written out as `\n` or `\r\n`.
fn pem_blocks(bytes: &[u8]) -> (Vec<Decoded>, Vec<Range<usize>>) {
    let (mut decoded, mut framed) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(offset) = find(bytes, PEM_BEGIN, at) {
        at = offset + PEM_BEGIN.len();
        let Some(label_end) = find(bytes, PEM_DASHES, at) else { break };
        let body_start = label_end + PEM_DASHES.len();
        let most = (body_start + MAX_PEM_BYTES).min(bytes.len());
        let body = bytes.get(body_start..most).unwrap_or_default();
        let body_end = find(body, PEM_END, 0).unwrap_or(body.len());
        let mut characters = Zeroizing::new(Vec::with_capacity(body_end + 4));
        let mut rest = body.get(..body_end).unwrap_or_default();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte == b'\\' {
                rest = after.get(1..).unwrap_or_default();
            } else if is_base64(byte) {
                characters.push(byte);
            }
        }
        decoded.push(Decoded { offset, encoding: Encoding::Pem, bytes: from_base64(&characters) });
        framed.push(offset..body_start + body_end);
        at = body_start + body_end;
    }
    (decoded, framed)
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(what.len()).position(|window| window == what).map(|place| from + place)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Decodes characters of either alphabet (RFC 4648 §4, §5). The last group is filled up with zero bits, which may add
/// up to two zero bytes.
fn from_base64(characters: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(String::with_capacity(characters.len() + 3));
    for &byte in characters {
        text.push(match byte {
            b'-' => '+',
            b'_' => '/',
            byte => char::from(byte),
        });
    }
    while !text.len().is_multiple_of(4) {
        text.push('A');
    }
    Zeroizing::new(Base64Unpadded::decode_vec(&text).unwrap_or_default())
}

/// Runs of 64 hexadecimal digits or more. Between digits may stand `:`, `,`, white space and `0x`. Both alignments are
/// decoded, for the run may begin with a digit that belongs to something else.
fn hex_runs(bytes: &[u8], base: usize, decoded: &mut Vec<Decoded>) {
    let mut digits = Zeroizing::new(Vec::new());
    let mut offset = 0;
    let mut at = 0;
    loop {
        let byte = bytes.get(at).copied();
        match byte {
            Some(b'0') if matches!(bytes.get(at + 1), Some(b'x' | b'X')) => at += 1,
            Some(byte) if byte.is_ascii_hexdigit() => {
                if digits.is_empty() {
                    offset = at;
                }
                digits.push(byte);
            }
            Some(b':' | b',' | b' ' | b'\t' | b'\r' | b'\n') => {}
            _ => {
                for (skipped, run) in (0..2).filter_map(|skipped| Some((skipped, digits.get(skipped..)?))) {
                    let even = run.get(..run.len() & !1).unwrap_or_default();
                    if even.len() >= HEX_DIGITS
                        && let Ok(bytes) = hex::decode(even)
                    {
                        let offset = base + offset + skipped;
                        decoded.push(Decoded {
                            offset,
                            encoding: Encoding::Hex,
                            bytes: Zeroizing::new(bytes),
                        });
                    }
                }
                digits = Zeroizing::new(Vec::new());
            }
        }
        if byte.is_none() {
            return;
        }
        at += 1;
    }
}

/// Runs of 43 Base64 characters or more, over line breaks and the white space that follows them. All four alignments
/// are decoded. A run of hexadecimal digits alone is left to [`hex_runs`].
fn base64_runs(bytes: &[u8], base: usize, decoded: &mut Vec<Decoded>) {
    let mut run = Zeroizing::new(Vec::new());
    let mut offset = 0;
    let mut at_line_start = false;
    for at in 0..=bytes.len() {
        match bytes.get(at).copied() {
            Some(byte) if is_base64(byte) => {
                if run.is_empty() {
                    offset = at;
                }
                run.push(byte);
                at_line_start = false;
            }
            Some(b'\r' | b'\n') if !run.is_empty() => at_line_start = true,
            Some(b' ' | b'\t') if at_line_start => {}
            _ => {
                if !run.iter().all(u8::is_ascii_hexdigit) {
                    for skipped in 0..4 {
                        if let Some(characters) = run.get(skipped..).filter(|c| c.len() >= BASE64_CHARACTERS)
                        {
                            let offset = base + offset;
                            let bytes = from_base64(characters);
                            decoded.push(Decoded { offset, encoding: Encoding::Base64, bytes });
                        }
                    }
                }
                run = Zeroizing::new(Vec::new());
                at_line_start = false;
            }
        }
    }
}
