//! Key extraction: does the private key of a known public key lie in these bytes?
//!
//! Tried as a scalar are, in the image and in everything that decodes from it:
//! - every window of 32 bytes, big-endian and little-endian, which covers raw keys, PKCS#8 and SEC 1 in DER (both hold
//!   the scalar big-endian: RFC 5915 §3), and memory dumps of multi-precision integers;
//! - `ECPrivateKey` whose octet string was cut of its leading zeros;
//! - PEM blocks, also with `\n` written out as in JSON; runs of hexadecimal digits, also with `:` or spaces between
//!   them; runs of Base64, standard and URL-safe, at each of the four alignments; and such text inside such text.
//!
//! A candidate counts as found when the point that *derives* from it is the given public key. Nothing is concluded from
//! labels or patterns.
//!
//! Not tried: keys that are encrypted, split, masked, compressed, or derived from something else in the image.

mod text;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use serde::Serialize;
use touchmark_identity::key::PublicKey;
use zeroize::Zeroizing;

/// Bytes of a scalar of P-256.
const SCALAR_BYTES: usize = 32;
/// A window with fewer distinct byte values than this is blank: erased, padded or a repeated pattern. A random scalar
/// is so with probability below C(256,7) * (7/256)^32, less than 10^-36.
const LEAST_DISTINCT: usize = 8;
/// Windows that a worker takes at once.
const CHUNK: usize = 512;
/// Text inside text is followed this deep.
const MAX_DEPTH: usize = 2;
/// The order n of P-256, big-endian (NIST SP 800-186 §3.2.1.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// What precedes the scalar in an `ECPrivateKey`: version 1 and the tag of the octet string (RFC 5915 §3).
const EC_PRIVATE_KEY: [u8; 4] = [0x02, 0x01, 0x01, 0x04];

/// How the key was written where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// 32 bytes, most significant first.
    BigEndian,
    /// 32 bytes, least significant first.
    LittleEndian,
    /// `ECPrivateKey` in DER, by itself (SEC 1) or inside PKCS#8.
    Der,
    /// A PEM block.
    Pem,
    /// Hexadecimal digits.
    Hex,
    /// Base64 without a PEM frame.
    Base64,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BigEndian => "32 raw bytes, big-endian",
            Self::LittleEndian => "32 raw bytes, little-endian",
            Self::Der => "an ECPrivateKey in DER",
            Self::Pem => "a PEM block",
            Self::Hex => "hexadecimal digits",
            Self::Base64 => "Base64 text",
        })
    }
}

/// A private key that was found, proven to belong to the public key.
pub struct Found {
    /// Where: of the scalar's first byte for bytes, of the text's first character for text, from the image's start.
    pub offset: usize,
    /// How it was written there.
    pub encoding: Encoding,
    /// The key as PKCS#8 (RFC 5958) in DER.
    pub pkcs8: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Found({} at {:#x})", self.encoding, self.offset)
    }
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct Search {
    /// Each place at which the key was found, in the order of offsets.
    pub found: Vec<Found>,
    /// Bytes of the image.
    pub bytes_searched: usize,
    /// Texts in the image that were decoded and searched too.
    pub texts_decoded: usize,
    /// Candidates from which a point was derived.
    pub candidates_tried: u64,
    /// Windows left out as blank: fewer than 8 distinct byte values in 32.
    pub windows_skipped_blank: u64,
    /// Candidates left out because they are no scalar: zero, or not below the order of the curve.
    pub candidates_out_of_range: u64,
}

/// Bytes to search: the image, or what a text in it decodes to.
struct Layer {
    bytes: Zeroizing<Vec<u8>>,
    /// Of the text in the image; `None` for the image itself.
    text: Option<(usize, Encoding)>,
}

/// What a worker found in a chunk.
#[derive(Default)]
struct Tally {
    windows: usize,
    found: Vec<Found>,
    tried: u64,
    blank: u64,
    out_of_range: u64,
}

/// Searches on one worker thread. `progress` is called with windows done and windows to do, now and then, on the
/// calling thread.
pub fn search(image: &[u8], target: &PublicKey, progress: &mut dyn FnMut(u64, u64)) -> Search {
    search_parallel(image, target, NonZeroUsize::MIN, progress)
}

/// As [`search`], on several worker threads. The result is the same. Memory: at most some 20 times the image.
pub fn search_parallel(
    image: &[u8],
    target: &PublicKey,
    threads: NonZeroUsize,
    progress: &mut dyn FnMut(u64, u64),
) -> Search {
    let layers = layers(image);
    let chunks: Vec<(&Layer, usize)> = layers
        .iter()
        .flat_map(|layer| (0..layer.windows()).step_by(CHUNK).map(move |start| (layer, start)))
        .collect();
    let total = layers.iter().map(Layer::windows).sum::<usize>();
    let mut search = Search {
        bytes_searched: image.len(),
        texts_decoded: layers.len().saturating_sub(1),
        ..Search::default()
    };
    let next = AtomicUsize::new(0);
    let mut done = 0;
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads.get().min(chunks.len()) {
            let (sender, next, chunks) = (sender.clone(), &next, &chunks);
            scope.spawn(move || {
                while let Some((layer, start)) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send(layer.search(*start, target)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for tally in receiver {
            done += tally.windows;
            search.found.extend(tally.found);
            search.candidates_tried += tally.tried;
            search.windows_skipped_blank += tally.blank;
            search.candidates_out_of_range += tally.out_of_range;
            progress(done as u64, total as u64);
        }
    });
    // A key of text is met at more than one alignment, or at more than one depth: one place is one finding.
    search.found.sort_by_key(|found| (found.offset, found.encoding));
    search.found.dedup_by_key(|found| (found.offset, found.encoding));
    search
}

fn layers(image: &[u8]) -> Vec<Layer> {
    let mut layers = vec![Layer { bytes: Zeroizing::new(image.to_vec()), text: None }];
    let mut from = 0;
    for _ in 0..MAX_DEPTH {
        let until = layers.len();
        let deeper: Vec<Layer> = layers
            .get(from..until)
            .unwrap_or_default()
            .iter()
            .flat_map(|layer| {
                text::decode(&layer.bytes).into_iter().map(|decoded| Layer {
                    bytes: decoded.bytes,
                    // The outermost text is the one that lies in the image.
                    text: Some(layer.text.unwrap_or((decoded.offset, decoded.encoding))),
                })
            })
            .collect();
        layers.extend(deeper);
        from = until;
    }
    layers
}

impl Layer {
    fn windows(&self) -> usize {
        self.bytes.len().saturating_sub(SCALAR_BYTES - 1)
    }

    fn search(&self, start: usize, target: &PublicKey) -> Tally {
        let end = (start + CHUNK).min(self.windows());
        let mut tally = Tally { windows: end - start, ..Tally::default() };
        let span = self.bytes.get(start..end + SCALAR_BYTES - 1).unwrap_or_default();
        let mut distinct = Distinct::default();
        for &byte in span.iter().take(SCALAR_BYTES - 1) {
            distinct.add(byte);
        }
        for (place, window) in (start..).zip(span.windows(SCALAR_BYTES)) {
            let Ok(window) = <[u8; SCALAR_BYTES]>::try_from(window) else { continue };
            let window = Zeroizing::new(window);
            let [first, .., last] = *window;
            distinct.add(last);
            if distinct.number < LEAST_DISTINCT {
                tally.blank += 1;
            } else {
                self.attempt(&mut tally, target, place, Encoding::BigEndian, &window);
                let mut reversed = window.clone();
                reversed.reverse();
                self.attempt(&mut tally, target, place, Encoding::LittleEndian, &reversed);
            }
            if let Some(short) = self.bytes.get(place..).and_then(short_scalar) {
                self.attempt(&mut tally, target, place + EC_PRIVATE_KEY.len() + 1, Encoding::Der, &short);
            }
            distinct.remove(first);
        }
        tally
    }

    fn attempt(
        &self,
        tally: &mut Tally,
        target: &PublicKey,
        place: usize,
        encoding: Encoding,
        scalar: &[u8; SCALAR_BYTES],
    ) {
        if *scalar >= ORDER || *scalar == [0; SCALAR_BYTES] {
            tally.out_of_range += 1;
            return;
        }
        tally.tried += 1;
        if let Some(pkcs8) = key_of(scalar, target) {
            let (offset, encoding) = match self.text {
                Some(text) => text,
                None if encoding == Encoding::BigEndian && self.is_der_scalar(place) => {
                    (place, Encoding::Der)
                }
                None => (place, encoding),
            };
            tally.found.push(Found { offset, encoding, pkcs8 });
        }
    }

    /// Whether the scalar at `place` stands in an `ECPrivateKey`.
    fn is_der_scalar(&self, place: usize) -> bool {
        let before =
            place.checked_sub(EC_PRIVATE_KEY.len() + 1).and_then(|start| self.bytes.get(start..place));
        before.is_some_and(|before| before.starts_with(&EC_PRIVATE_KEY) && before.ends_with(&[0x20]))
    }
}

/// The scalar of an `ECPrivateKey` that begins here and is shorter than 32 bytes: some encoders cut leading zeros,
/// against RFC 5915 §3.
fn short_scalar(bytes: &[u8]) -> Option<Zeroizing<[u8; SCALAR_BYTES]>> {
    let (length, rest) = bytes.strip_prefix(&EC_PRIVATE_KEY)?.split_first()?;
    let short = rest.get(..usize::from(*length)).filter(|short| (1..SCALAR_BYTES).contains(&short.len()))?;
    let mut scalar = Zeroizing::new([0; SCALAR_BYTES]);
    scalar.get_mut(SCALAR_BYTES - short.len()..)?.copy_from_slice(short);
    Some(scalar)
}

/// The key as PKCS#8, when the point derived from the scalar is the target's.
fn key_of(scalar: &[u8; SCALAR_BYTES], target: &PublicKey) -> Option<Zeroizing<Vec<u8>>> {
    let derived = PrivateKey::from_private_key(&ECDH_P256, scalar).ok()?.compute_public_key().ok()?;
    if derived.as_ref() != target.point() {
        return None;
    }
    let pair = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        scalar,
        target.point(),
    );
    Some(Zeroizing::new(pair.ok()?.to_pkcs8v1().ok()?.as_ref().to_vec()))
}

/// How many byte values a sliding window holds.
struct Distinct {
    counts: [u8; 256],
    number: usize,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { counts: [0; 256], number: 0 }
    }
}

impl Distinct {
    fn add(&mut self, byte: u8) {
        if let Some(count) = self.counts.get_mut(usize::from(byte)) {
            self.number += usize::from(*count == 0);
            *count += 1;
        }
    }

    fn remove(&mut self, byte: u8) {
        if let Some(count) = self.counts.get_mut(usize::from(byte)) {
            *count -= 1;
            self.number -= usize::from(*count == 0);
        }
    }
}

#[cfg(test)]
mod tests;
