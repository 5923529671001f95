//! The bits of instructions and the tags of fields.

/// Bit of the instruction: the new object is an authentication object, which opens sessions.
pub const INS_AUTH: u8 = 0x40;
/// Bit of the instruction: the new object keeps its value in memory that a deselection clears.
pub const INS_TRANSIENT: u8 = 0x80;
/// The instruction of all commands that write objects.
pub(super) const INS_WRITE: u8 = 0x01;
/// The bits of the instruction that say which command it is.
pub(super) const INS_MASK: u8 = 0x1F;

/// Tag of an object's policy set.
pub const TAG_POLICY: u8 = 0x11;
/// Tag of the id of the session in which a command is carried out.
pub const TAG_SESSION: u8 = 0x10;
/// Tag of the number of attempts of an authentication object.
pub const TAG_MAX_ATTEMPTS: u8 = 0x12;
/// Tag of a policy that the host wants checked; not looked at.
pub const TAG_POLICY_CHECK: u8 = 0x15;
/// Tag of an object's version, which applets from 7.2 on keep; not looked at.
pub const TAG_VERSION: u8 = 0x4B;
/// First argument, `TAG_1`.
pub const TAG_1: u8 = 0x41;
/// Second argument, `TAG_2`.
pub const TAG_2: u8 = 0x42;
/// Third argument, `TAG_3`.
pub const TAG_3: u8 = 0x43;
/// Fourth argument, `TAG_4`.
pub const TAG_4: u8 = 0x44;
/// Fifth argument, `TAG_5`.
pub const TAG_5: u8 = 0x45;
/// Sixth argument, `TAG_6`.
pub const TAG_6: u8 = 0x46;
/// Seventh argument, `TAG_7`.
pub const TAG_7: u8 = 0x47;
/// Tag of the time stamp in an attested read of applet 7.2 and later.
pub const TAG_TIMESTAMP: u8 = 0x4F;
/// Tag of the signature of an attested read of applet 7.2 and later.
pub const TAG_SIGNATURE: u8 = 0x52;
