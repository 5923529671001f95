//! The objects that are the applet's own.

/// Authentication object whose session sets the transport lock.
pub const TRANSPORT: u32 = 0x7FFF_0200;
/// The chip's key pair for sessions with EC keys.
pub const SESSION_KEY: u32 = 0x7FFF_0201;
/// Authentication object whose session sets features.
pub const FEATURE: u32 = 0x7FFF_0204;
/// Authentication object whose session deletes everything.
pub const FACTORY_RESET: u32 = 0x7FFF_0205;
/// Binary object with the chip's unique id.
pub const UNIQUE_ID: u32 = 0x7FFF_0206;
/// Authentication object whose session makes the platform's secure channel a must.
pub const PLATFORM_SCP: u32 = 0x7FFF_0207;
/// Authentication object whose session ends the creation of objects.
pub const RESTRICT: u32 = 0x7FFF_020A;
/// The chip's attestation key pair.
pub const ATTESTATION_KEY: u32 = 0xF000_0012;
/// Binary object with the attestation key's certificate, DER.
pub const ATTESTATION_CERTIFICATE: u32 = 0xF000_0013;
/// Whether an id belongs to the applet and its maker (`0x7FFF0000` to `0x7FFFFFFF`), to provisioned objects (from
/// `0xF0000000`), or to nobody (0).
#[must_use]
pub fn is_reserved(object_id: u32) -> bool {
    matches!(object_id, 0 | 0x7FFF_0000..=0x7FFF_FFFF | 0xF000_0000..)
}

/// Whether the host may make an authentication object with this id, although it is the applet's.
#[must_use]
pub fn is_reserved_for_authentication(object_id: u32) -> bool {
    matches!(object_id, TRANSPORT | FEATURE | FACTORY_RESET | PLATFORM_SCP | RESTRICT)
}
