//! The keys with which every new element starts. They are the published test keys of the GlobalPlatform tools and of
//! NXP's examples: they protect nothing, and are there to be replaced by PUT KEY.

use super::aid::Aid;
use super::keys::{KeySet, Secret};

/// Key bytes 40 41 42 ..., for ENC, MAC and DEK alike.
fn counted(domain: &Aid, version: u8, parameter: u8, bytes: u8) -> KeySet {
    let key = || Secret::new((0x40..0x40 + bytes).collect());
    KeySet::new(domain.clone(), version, parameter, [key(), key(), key()])
}

/// The key sets of the issuer security domain: AES-128, -192 and -256 with all of SCP03; AES-128 without R-MAC, and
/// without pseudo-random challenges; and both lengths with S16.
pub(super) fn issuer(domain: &Aid) -> Vec<KeySet> {
    [
        (0x30, 0x70, 16),
        (0x31, 0x70, 24),
        (0x32, 0x70, 32),
        (0x33, 0x10, 16),
        (0x34, 0x60, 16),
        (0x35, 0x71, 16),
        (0x36, 0x71, 32),
    ]
    .into_iter()
    .map(|(version, parameter, bytes)| counted(domain, version, parameter, bytes))
    .collect()
}

/// The key set of the domain of the IoT applet: the example keys of NXP's host library, version 0B.
pub(super) fn platform(domain: &Aid) -> KeySet {
    let key = |last: u8| {
        let mut key = [0xAB, 0xCD].repeat(7);
        key.extend([0x00, last]);
        Secret::new(key)
    };
    KeySet::new(domain.clone(), 0x0B, 0x00, [key(1), key(2), key(3)])
}
