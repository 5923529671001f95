//! What a device signs to answer a challenge that the server hands it with a heartbeat's answer.
//!
//! The key also signs TLS handshakes (RFC 8446 §4.4.3) and certification requests, so what is signed here begins with
//! words with which neither of them can begin: a nonce can never be made to pass for one of them.

/// The words that come before the nonce, with the zero byte that ends them.
pub const PREFIX: &[u8] = b"touchmark.challenge/1\0";
/// Length of a challenge's nonce, in bytes.
pub const NONCE_BYTES: usize = 32;

/// The bytes that are signed: [`PREFIX`], then the nonce. ECDSA over their SHA-256.
#[must_use]
pub fn signed_bytes(nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    [PREFIX, nonce].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_neither_a_handshake_nor_a_request() {
        let bytes = signed_bytes(&[0x20; NONCE_BYTES]);
        assert_eq!(bytes.len(), PREFIX.len() + NONCE_BYTES);
        // A TLS 1.3 CertificateVerify begins with 64 spaces, DER with a SEQUENCE.
        assert!(bytes.first() != Some(&0x20) && bytes.first() != Some(&0x30));
        assert!(bytes.starts_with(PREFIX) && PREFIX.ends_with(&[0]));
    }
}
