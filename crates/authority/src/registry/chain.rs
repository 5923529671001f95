//! The certificates of a device as a chain: each is bound to the one that it took the place of by a hash.
//!
//! A certificate has one successor at most, which the database enforces, so a device's chain does not branch. The link
//! of a certificate stands in its row and in its journal entry: neither can be exchanged without the other.

use touchmark_identity::ids::DeviceId;
use touchmark_identity::key::{SpkiHash, sha256};

use super::CertificateRecord;

/// A refused renewal is journalled once in so many microseconds for each certificate: an hour. A device that repeats
/// what it was refused does not fill the journal.
pub(super) const REFUSAL_PERIOD_US: i64 = 3_600_000_000;

/// A renewal that was refused because the presented certificate had been renewed before.
#[derive(Debug)]
pub struct RefusedRenewal<'a> {
    /// The serial number of the presented certificate.
    pub serial: &'a [u8],
    /// The device.
    pub device: &'a DeviceId,
    /// The serial number of the certificate that took its place.
    pub successor: &'a [u8],
    /// The key that was to be certified.
    pub requested: SpkiHash,
}

/// The link of a certificate: SHA-256 over the link of its predecessor (32 bytes) and its own DER; of a device's first
/// certificate, SHA-256 of its DER.
#[must_use]
pub fn link(previous: Option<&[u8; 32]>, der: &[u8]) -> [u8; 32] {
    match previous {
        Some(previous) => sha256(&[previous.as_slice(), der].concat()),
        None => sha256(der),
    }
}

/// The certificate that took the place of this one. `all` are those of its device.
#[must_use]
pub fn successor<'a>(all: &'a [CertificateRecord], serial: &[u8]) -> Option<&'a CertificateRecord> {
    all.iter().find(|one| one.der.is_some() && one.predecessor.as_deref() == Some(serial))
}

/// The end of the chain that this certificate is in; the certificate itself where nothing took its place.
#[must_use]
pub fn head<'a>(all: &'a [CertificateRecord], from: &'a CertificateRecord) -> &'a CertificateRecord {
    let mut at = from;
    // No chain is longer than there are certificates, whatever the rows say.
    for _ in all {
        match successor(all, &at.serial) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// The certificate that the next one of the device takes the place of: the newest without a successor.
pub(crate) fn newest_head(all: &[CertificateRecord]) -> Option<&CertificateRecord> {
    all.iter().find(|one| one.der.is_some() && successor(all, &one.serial).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_depends_on_all_that_came_before() {
        let first = link(None, b"first");
        assert_eq!(first, sha256(b"first"));
        let second = link(Some(&first), b"second");
        assert_ne!(second, link(None, b"second"));
        assert_ne!(link(Some(&second), b"third"), link(Some(&first), b"third"));
        // As Python's hashlib has it.
        assert_eq!(hex::encode(second), "59b60540fa8bc0d64acf80cc8974b49667daae7143387b1babc97519864fe0e9");
    }
}
