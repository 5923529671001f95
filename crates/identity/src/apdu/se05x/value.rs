//! What one byte of an argument or result means, and the sizes of values.

/// Elliptic curve NIST P-256.
pub const CURVE_NIST_P256: u8 = 0x03;
/// Elliptic curve NIST P-384.
pub const CURVE_NIST_P384: u8 = 0x04;
/// Elliptic curve NIST P-521.
pub const CURVE_NIST_P521: u8 = 0x05;
/// Elliptic curve secp256k1.
pub const CURVE_SECP256K1: u8 = 0x10;
/// Edwards curve Ed25519.
pub const CURVE_ED25519: u8 = 0x40;
/// Montgomery curve X25519.
pub const CURVE_X25519: u8 = 0x41;
/// The number of Weierstrass curves that a curve list speaks of: ids 1 to 17.
pub const WEIERSTRASS_CURVES: u8 = 0x11;
/// ECDSA over a SHA-256 digest that the host has made; also the attestation algorithm.
pub const ECDSA_SHA256: u8 = 0x21;

/// ECDSA over what the host gives as the digest, of any length up to 64 bytes.
pub const ECDSA_PLAIN: u8 = 0x09;
/// ECDSA over a SHA-1 digest that the host has made.
pub const ECDSA_SHA1: u8 = 0x11;
/// ECDSA over a SHA-224 digest that the host has made.
pub const ECDSA_SHA224: u8 = 0x25;
/// ECDSA over a SHA-384 digest that the host has made.
pub const ECDSA_SHA384: u8 = 0x22;
/// ECDSA over a SHA-512 digest that the host has made.
pub const ECDSA_SHA512: u8 = 0x26;
/// Ed25519 over the data themselves.
pub const EDDSA: u8 = 0xA3;

/// Digest SHA-1.
pub const SHA1: u8 = 0x01;
/// Digest SHA-224.
pub const SHA224: u8 = 0x07;
/// Digest SHA-256.
pub const SHA256: u8 = 0x04;
/// Digest SHA-384.
pub const SHA384: u8 = 0x05;
/// Digest SHA-512.
pub const SHA512: u8 = 0x06;
/// HMAC with SHA-1.
pub const HMAC_SHA1: u8 = 0x18;
/// HMAC with SHA-256.
pub const HMAC_SHA256: u8 = 0x19;
/// HMAC with SHA-384.
pub const HMAC_SHA384: u8 = 0x1A;
/// HMAC with SHA-512.
pub const HMAC_SHA512: u8 = 0x1B;
/// CMAC with AES.
pub const CMAC_AES: u8 = 0x31;
/// AES-ECB without padding.
pub const AES_ECB: u8 = 0x0E;
/// AES-CBC without padding.
pub const AES_CBC: u8 = 0x0D;
/// AES-CBC, padded with zeros where the data end inside a block (ISO/IEC 9797-1 method 1).
pub const AES_CBC_ISO9797_M1: u8 = 0x16;
/// AES-CBC, padded with `80 00...` (ISO/IEC 9797-1 method 2).
pub const AES_CBC_ISO9797_M2: u8 = 0x17;
/// AES-CBC, padded as PKCS#5 says.
pub const AES_CBC_PKCS5: u8 = 0x18;
/// AES-CTR.
pub const AES_CTR: u8 = 0xF0;
/// Context of a crypto object: digest.
pub const CONTEXT_DIGEST: u8 = 0x01;
/// Context of a crypto object: cipher.
pub const CONTEXT_CIPHER: u8 = 0x02;
/// Context of a crypto object: message authentication code.
pub const CONTEXT_MAC: u8 = 0x03;

/// Answer to a question: yes.
pub const RESULT_SUCCESS: u8 = 0x01;
/// Answer to a question: no.
pub const RESULT_FAILURE: u8 = 0x02;
/// An indicator that is not set.
pub const NOT_SET: u8 = 0x01;
/// An indicator that is set.
pub const SET: u8 = 0x02;
/// The object survives power loss.
pub const PERSISTENT: u8 = 0x01;
/// The object's value is gone after a deselection.
pub const TRANSIENT: u8 = 0x02;
/// A list is complete.
pub const NO_MORE: u8 = 0x01;
/// A list has a continuation.
pub const MORE: u8 = 0x02;
/// The filter that lets objects of all types through.
pub const ALL_TYPES: u8 = 0xFF;
/// The kind of memory that keeps its content without power.
pub const MEMORY_PERSISTENT: u8 = 0x01;
/// The kind of memory that is cleared at reset.
pub const MEMORY_TRANSIENT_RESET: u8 = 0x02;
/// The kind of memory that is cleared when the applet is deselected.
pub const MEMORY_TRANSIENT_DESELECT: u8 = 0x03;

/// The lock that opens the applet until it is deselected.
pub const LOCK_TRANSIENT: u8 = 0x01;
/// The lock that lasts.
pub const LOCK_PERSISTENT: u8 = 0x02;
/// A lock is locked; every other value unlocks.
pub const LOCKED: u8 = 0x01;
/// Commands come through the platform's secure channel only.
pub const SCP_REQUIRED: u8 = 0x01;
/// Commands may come plain.
pub const SCP_NOT_REQUIRED: u8 = 0x02;
/// No new persistent objects.
pub const RESTRICT_NEW: u8 = 0x01;
/// No new objects at all.
pub const RESTRICT_ALL: u8 = 0x02;

/// The number of bytes of the id of a session.
pub const SESSION_ID_BYTES: usize = 8;
/// The number of bytes of a PCR.
pub const PCR_BYTES: usize = 32;
/// The largest binary object, in bytes.
pub const MAX_BINARY_BYTES: usize = 0x7FFF;
/// The number of bytes of a chip's unique id.
pub const CHIP_ID_BYTES: usize = 18;
/// The number of bytes of the freshness value of an attested read.
pub const FRESHNESS_BYTES: usize = 16;
/// The number of bytes of a time stamp.
pub const TIMESTAMP_BYTES: usize = 12;
/// The number of bytes that SELECT and `GetVersion` answer.
pub const VERSION_BYTES: usize = 7;
