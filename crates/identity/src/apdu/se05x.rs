//! The SE05x-compatible commands: one table that the host driver, the virtual element and the documentation draw on.
//!
//! Facts follow NXP AN12413 (SE050 APDU specification, applet 3.x) as NXP's published host libraries show them:
//! Plug & Trust mini package 04.07 (`se05x_enums.h`, `se05x_APDU_apis.h`) and nano package 1.5. The names here are
//! ours; the numbers are the interface. To add a command, add one row to the table below: the applet then has to
//! answer it, and the documentation has to show it, or tests fail.

use std::fmt;

use super::Command;
use super::tlv::Tlvs;

/// The application identifier of the IoT applet, 16 bytes.
pub const AID: [u8; 16] =
    [0xA0, 0x00, 0x00, 0x03, 0x96, 0x54, 0x53, 0x00, 0x00, 0x00, 0x01, 0x03, 0x00, 0x00, 0x00, 0x00];
/// The class byte of the applet's commands without secure messaging.
pub const CLA: u8 = 0x80;

/// Bit of the instruction: the new object is an authentication object, which opens sessions.
pub const INS_AUTH: u8 = 0x40;
/// Bit of the instruction: the new object keeps its value in memory that a deselection clears.
pub const INS_TRANSIENT: u8 = 0x80;
/// The instruction of all commands that write objects.
const INS_WRITE: u8 = 0x01;
/// The bits of the instruction that say which command it is.
const INS_MASK: u8 = 0x1F;

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

/// The applet's version, as SELECT and `GetVersion` answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppletVersion {
    /// Major, minor and patch level.
    pub version: [u8; 3],
    /// Bit set of the features that are switched on.
    pub features: u16,
    /// Version of the cryptographic library below the applet ("secure box"), major and minor.
    pub crypto_library: [u8; 2],
}

impl AppletVersion {
    /// Reads the seven bytes; `None` when there are fewer or more.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes {
            &[major, minor, patch, high, low, library_major, library_minor] => Some(Self {
                version: [major, minor, patch],
                features: u16::from_be_bytes([high, low]),
                crypto_library: [library_major, library_minor],
            }),
            _ => None,
        }
    }

    /// The seven bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; VERSION_BYTES] {
        let [major, minor, patch] = self.version;
        let [high, low] = self.features.to_be_bytes();
        let [library_major, library_minor] = self.crypto_library;
        [major, minor, patch, high, low, library_major, library_minor]
    }
}

impl fmt::Display for AppletVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.version;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The type of an object. Values that nobody listed survive unchanged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectType(pub u8);

impl ObjectType {
    /// EC key pair.
    pub const EC_KEY_PAIR: Self = Self(0x01);
    /// EC private key without its public half.
    pub const EC_PRIVATE_KEY: Self = Self(0x02);
    /// EC public key.
    pub const EC_PUBLIC_KEY: Self = Self(0x03);
    /// AES key.
    pub const AES_KEY: Self = Self(0x09);
    /// HMAC key.
    pub const HMAC_KEY: Self = Self(0x11);
    /// User id, a secret that opens a session.
    pub const USER_ID: Self = Self(0x0C);
    /// PCR, a register that is extended.
    pub const PCR: Self = Self(0x0F);
    /// Binary object, "file".
    pub const BINARY: Self = Self(0x0B);
    /// Monotonic counter.
    pub const COUNTER: Self = Self(0x0D);
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EC_KEY_PAIR => f.write_str("EC key pair"),
            Self::EC_PRIVATE_KEY => f.write_str("EC private key"),
            Self::EC_PUBLIC_KEY => f.write_str("EC public key"),
            Self::AES_KEY => f.write_str("AES key"),
            Self::HMAC_KEY => f.write_str("HMAC key"),
            Self::USER_ID => f.write_str("user id"),
            Self::PCR => f.write_str("PCR"),
            Self::BINARY => f.write_str("binary object"),
            Self::COUNTER => f.write_str("counter"),
            Self(other) => write!(f, "object of type {other:#04x}"),
        }
    }
}

impl fmt::Debug for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectType({self})")
    }
}

/// Where an object's value came from. Values that nobody listed survive unchanged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(pub u8);

impl Origin {
    /// Set from outside.
    pub const EXTERNAL: Self = Self(0x01);
    /// Generated inside the part.
    pub const INTERNAL: Self = Self(0x02);
    /// Put in by the maker of the part.
    pub const PROVISIONED: Self = Self(0x03);
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EXTERNAL => f.write_str("external"),
            Self::INTERNAL => f.write_str("internal"),
            Self::PROVISIONED => f.write_str("provisioned"),
            Self(other) => write!(f, "origin {other:#04x}"),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

/// What a policy can allow or ask for, as bits of the access rule.
pub mod rule {
    /// Nothing is allowed.
    pub const FORBID_ALL: u32 = 0x2000_0000;
    /// Sign with the key.
    pub const SIGN: u32 = 0x1000_0000;
    /// Verify with the key.
    pub const VERIFY: u32 = 0x0800_0000;
    /// Agree on a key with the key.
    pub const AGREE: u32 = 0x0400_0000;
    /// Encrypt with the key.
    pub const ENCRYPT: u32 = 0x0200_0000;
    /// Decrypt with the key.
    pub const DECRYPT: u32 = 0x0100_0000;
    /// Derive keys from the key.
    pub const DERIVE: u32 = 0x0080_0000;
    /// Unwrap other keys with the key.
    pub const WRAP: u32 = 0x0040_0000;
    /// Read the object.
    pub const READ: u32 = 0x0020_0000;
    /// Write the object.
    pub const WRITE: u32 = 0x0010_0000;
    /// Generate the key anew inside the part.
    pub const GENERATE: u32 = 0x0008_0000;
    /// Delete the object.
    pub const DELETE: u32 = 0x0004_0000;
    /// Only through secure messaging.
    pub const REQUIRE_SECURE_MESSAGING: u32 = 0x0002_0000;
    /// Only while a PCR object has a value, which follows the rule (4 bytes id, 32 bytes value).
    pub const REQUIRE_PCR: u32 = 0x0001_0000;
    /// Vouch for other objects with the key.
    pub const ATTEST: u32 = 0x0000_8000;
    /// Leave the chip encrypted, and come back to it.
    pub const IMPORT_EXPORT: u32 = 0x0000_1000;
    /// What is derived from the key goes into an object, not to the host.
    pub const FORBID_DERIVED_OUTPUT: u32 = 0x0000_0800;

    /// The names of the bits, as the documentation has them.
    #[must_use]
    pub fn names(rule: u32) -> String {
        let named = [
            (SIGN, "SIGN"),
            (VERIFY, "VERIFY"),
            (AGREE, "KA"),
            (ENCRYPT, "ENC"),
            (DECRYPT, "DEC"),
            (DERIVE, "KDF"),
            (WRAP, "WRAP"),
            (READ, "READ"),
            (WRITE, "WRITE"),
            (GENERATE, "GEN"),
            (DELETE, "DELETE"),
            (IMPORT_EXPORT, "IMPORT_EXPORT"),
        ];
        let set = named.iter().filter(|(bit, _)| rule & bit != 0).map(|(_, name)| *name);
        set.collect::<Vec<_>>().join(", ")
    }
}

/// One policy: what a user of an object may do after which authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The authentication object; 0 means everybody.
    pub authentication: u32,
    /// Bits of [`rule`].
    pub rule: u32,
    /// What follows the rule: 36 bytes with [`rule::REQUIRE_PCR`], else nothing.
    pub extension: Vec<u8>,
}

/// The bytes of an extension: PCR object id and value.
const PCR_EXTENSION_BYTES: usize = 36;

/// Why bytes are not attributes or policies of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttributesError {
    /// Fewer bytes than the fixed fields have.
    #[error("object attributes have at least 15 bytes, found {found}")]
    TooShort {
        /// The number of bytes found.
        found: usize,
    },
    /// The policy set does not end where a policy ends, a policy has a length that its rule does not have, or it is a
    /// second one for the same authentication object.
    #[error(
        "the policy at byte {at} of the policy set is cut short, has the wrong length or is a second one"
    )]
    Policy {
        /// Where the policy begins.
        at: usize,
    },
}

impl Policy {
    /// Reads a policy set: policies one after the other, each a length byte, 4 bytes authentication object id,
    /// 4 bytes access rule, and the extension that the rule asks for.
    ///
    /// # Errors
    /// [`AttributesError::Policy`].
    pub fn parse_set(bytes: &[u8]) -> Result<Vec<Self>, AttributesError> {
        let mut policies: Vec<Self> = Vec::new();
        let mut rest = bytes;
        while let [length, after @ ..] = rest {
            let wrong = AttributesError::Policy { at: bytes.len() - rest.len() };
            let (policy, after) = after.split_at_checked(usize::from(*length)).ok_or(wrong)?;
            let (authentication, policy) = policy.split_first_chunk::<4>().ok_or(wrong)?;
            let (rule, extension) = policy.split_first_chunk::<4>().ok_or(wrong)?;
            let rule = u32::from_be_bytes(*rule);
            let expected = if rule & rule::REQUIRE_PCR == 0 { 0 } else { PCR_EXTENSION_BYTES };
            if extension.len() != expected {
                return Err(wrong);
            }
            let authentication = u32::from_be_bytes(*authentication);
            if policies.iter().any(|policy| policy.authentication == authentication) {
                return Err(wrong);
            }
            policies.push(Self { authentication, rule, extension: extension.to_vec() });
            rest = after;
        }
        Ok(policies)
    }

    /// The bytes of a policy set.
    ///
    /// # Errors
    /// [`AttributesError::Policy`] when an extension has not the length that its rule asks for.
    pub fn encode_set(policies: &[Self]) -> Result<Vec<u8>, AttributesError> {
        let mut out = Vec::new();
        for policy in policies {
            let wrong = AttributesError::Policy { at: out.len() };
            let expected = if policy.rule & rule::REQUIRE_PCR == 0 { 0 } else { PCR_EXTENSION_BYTES };
            if policy.extension.len() != expected {
                return Err(wrong);
            }
            out.push(u8::try_from(8 + expected).map_err(|_| wrong)?);
            out.extend(policy.authentication.to_be_bytes());
            out.extend(policy.rule.to_be_bytes());
            out.extend(&policy.extension);
        }
        Ok(out)
    }
}

/// The policy of a session: a length byte, 2 bytes of rules, and what a rule asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionPolicy {
    /// The most commands, where there is a limit.
    pub most_commands: Option<u16>,
    /// Whether RefreshSession is allowed.
    pub refresh: bool,
    spent: u16,
}

impl SessionPolicy {
    const MAX_APDU: u16 = 0x8000;
    const ALLOW_REFRESH: u16 = 0x2000;

    /// Reads a policy; `None` when it is malformed, or asks for what is not known here.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first()?;
        if usize::from(*length) != rest.len() {
            return None;
        }
        let (rules, rest) = rest.split_first_chunk::<2>()?;
        let rules = u16::from_be_bytes(*rules);
        if rules & !(Self::MAX_APDU | Self::ALLOW_REFRESH) != 0 {
            return None;
        }
        let most_commands = match (rules & Self::MAX_APDU != 0, rest) {
            (true, &[high, low]) => Some(u16::from_be_bytes([high, low])),
            (false, []) => None,
            _ => return None,
        };
        Some(Self { most_commands, refresh: rules & Self::ALLOW_REFRESH != 0, spent: 0 })
    }

    /// Counts a command; `false` when it is one too many.
    #[must_use]
    pub fn spend(&mut self) -> bool {
        self.spent = self.spent.saturating_add(1);
        self.most_commands.is_none_or(|most| self.spent <= most)
    }

    /// The same policy from its beginning.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { spent: 0, ..self }
    }
}

/// The attributes of an object in the layout of applet 3.x: object id (4 bytes), type (1), authentication indicator
/// (1), failed attempts (2), owner (4), maximum attempts (2), policy set (variable), origin (1). All big-endian.
///
/// Later applets append a version byte after the origin; that layout is refused here rather than guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The object's id.
    pub object_id: u32,
    /// The object's type.
    pub object_type: ObjectType,
    /// [`SET`] for an authentication object, else [`NOT_SET`].
    pub authentication: u8,
    /// Failed attempts of an authentication object, else 0.
    pub failed_attempts: u16,
    /// The authentication object of the session in which the object was made; 0 without a session.
    pub owner: u32,
    /// Most attempts of an authentication object, 0 without a limit.
    pub max_attempts: u16,
    /// The policies; none means the applet's default.
    pub policies: Vec<Policy>,
    /// Where the value came from.
    pub origin: Origin,
}

impl Attributes {
    /// Reads the attributes.
    ///
    /// # Errors
    /// [`AttributesError`] when the bytes have another layout.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttributesError> {
        let too_short = AttributesError::TooShort { found: bytes.len() };
        let (fixed, rest) = bytes.split_first_chunk::<14>().ok_or(too_short)?;
        let (origin, policies) = rest.split_last().ok_or(too_short)?;
        let &[i0, i1, i2, i3, object_type, authentication, f0, f1, o0, o1, o2, o3, m0, m1] = fixed;
        Ok(Self {
            object_id: u32::from_be_bytes([i0, i1, i2, i3]),
            object_type: ObjectType(object_type),
            authentication,
            failed_attempts: u16::from_be_bytes([f0, f1]),
            owner: u32::from_be_bytes([o0, o1, o2, o3]),
            max_attempts: u16::from_be_bytes([m0, m1]),
            policies: Policy::parse_set(policies)?,
            origin: Origin(*origin),
        })
    }

    /// The bytes of the attributes.
    ///
    /// # Errors
    /// [`AttributesError::Policy`] as for [`Policy::encode_set`].
    pub fn encode(&self) -> Result<Vec<u8>, AttributesError> {
        let mut out = Vec::with_capacity(24);
        out.extend(self.object_id.to_be_bytes());
        out.extend([self.object_type.0, self.authentication]);
        out.extend(self.failed_attempts.to_be_bytes());
        out.extend(self.owner.to_be_bytes());
        out.extend(self.max_attempts.to_be_bytes());
        out.extend(Policy::encode_set(&self.policies)?);
        out.push(self.origin.0);
        Ok(out)
    }
}

/// One argument or result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The tag.
    pub tag: u8,
    /// What the value means, with its size.
    pub meaning: &'static str,
    /// Whether the field has to be there.
    pub required: bool,
}

/// One row of the command table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandSpec {
    /// The command's name in the application note.
    pub name: &'static str,
    /// Instruction byte, with the bits for attestation (0x20).
    pub ins: u8,
    /// First parameter.
    pub p1: u8,
    /// Second parameter.
    pub p2: u8,
    /// The fields of the command data.
    pub request: &'static [Field],
    /// The fields of the response data; none means that no data comes back.
    pub response: &'static [Field],
    /// Bits of [`rule`] that the policy of the object in [`TAG_1`] has to give; with several, which of them depends on
    /// what is asked for. 0 where no object is used.
    pub policy: u32,
    /// The bits that may be set in the instruction byte beside it: [`INS_AUTH`], [`INS_TRANSIENT`].
    pub flags: u8,
}

/// Why a header is no row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// No row has this instruction.
    Instruction,
    /// Rows have this instruction, none with these parameters.
    Parameters,
}

macro_rules! commands {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $ins:literal $p1:literal $p2:literal,
        [$($tag:ident $need:ident $meaning:literal),* $(,)?] -> [$($rtag:ident $rneed:ident $rmeaning:literal),* $(,)?] $(=> $rule:expr)? $(, flags $flags:expr)?;)+) => {
        /// A command of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Instruction { $($(#[$doc])* $variant),+ }

        impl Instruction {
            /// Every command, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The command's row.
            #[must_use]
            pub const fn spec(self) -> CommandSpec {
                match self {
                    $(Self::$variant => CommandSpec {
                        name: $name, ins: $ins, p1: $p1, p2: $p2,
                        request: &[$(Field { tag: $tag, meaning: $meaning, required: commands!(@ $need) }),*],
                        response: &[$(Field { tag: $rtag, meaning: $rmeaning, required: commands!(@ $rneed) }),*],
                        policy: 0 $(| ($rule))?,
                        flags: 0 $(| ($flags))?,
                    }),+
                }
            }
        }
    };
    (@ needs) => { true };
    (@ maybe) => { false };
}

commands! {
    /// Version of the applet.
    GetVersion = "GetVersion", 0x04 0x00 0x20, [] -> [TAG_1 needs "version information, 7 bytes"];
    /// Version with the extended feature bits.
    GetExtVersion = "GetExtVersion", 0x04 0x00 0x21, []
        -> [TAG_1 needs "version information, 7 bytes, and extended feature bits, 30 bytes"];
    /// Free memory.
    GetFreeMemory = "GetFreeMemory", 0x04 0x00 0x22, [TAG_1 needs "memory type, 1 byte"]
        -> [TAG_1 needs "free bytes, 2 bytes; 7FFF means that many or more"];
    /// Random bytes.
    GetRandom = "GetRandom", 0x04 0x00 0x49, [TAG_1 needs "number of bytes, 2 bytes"] -> [TAG_1 needs "random bytes"];
    /// Time stamp.
    GetTimestamp = "GetTimestamp", 0x04 0x00 0x3D, [] -> [TAG_1 needs "time stamp, 12 bytes"];
    /// Whether an object exists.
    CheckObjectExists = "CheckObjectExists", 0x04 0x00 0x27, [TAG_1 needs "object id, 4 bytes"]
        -> [TAG_1 needs "result, 1 byte: 01 yes, 02 no"];
    /// Deletes an object.
    DeleteSecureObject = "DeleteSecureObject", 0x04 0x00 0x28, [TAG_1 needs "object id, 4 bytes"] -> []
        => rule::DELETE;
    /// Generates or imports an EC key pair.
    WriteEcKeyPair = "WriteECKey (key pair)", 0x01 0x61 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit; for a new authentication object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "curve id, 1 byte; for a new object",
        TAG_3 maybe "private key to import, as long as the curve; absent to generate on the chip",
        TAG_4 maybe "public key to import: 04, x, y; on 25519 curves 32 bytes; absent to generate on the chip",
    ] -> [] => rule::WRITE | rule::GENERATE, flags INS_AUTH | INS_TRANSIENT;
    /// Imports an EC private key.
    WriteEcPrivateKey = "WriteECKey (private key)", 0x01 0x41 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit; for a new authentication object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "curve id, 1 byte; for a new object",
        TAG_3 needs "private key to import, as long as the curve",
    ] -> [] => rule::WRITE, flags INS_AUTH | INS_TRANSIENT;
    /// Imports an EC public key.
    WriteEcPublicKey = "WriteECKey (public key)", 0x01 0x21 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit; for a new authentication object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "curve id, 1 byte; for a new object",
        TAG_4 needs "public key to import: 04, x, y; on 25519 curves 32 bytes",
    ] -> [] => rule::WRITE, flags INS_AUTH | INS_TRANSIENT;
    /// Writes an EC key that is there, of whatever part.
    WriteEcKey = "WriteECKey (existing)", 0x01 0x01 0x00, [
        TAG_MAX_ATTEMPTS maybe "not looked at",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "curve id, 1 byte; the object's",
        TAG_3 maybe "private key, as for the object's part",
        TAG_4 maybe "public key, as for the object's part",
    ] -> [] => rule::WRITE | rule::GENERATE, flags INS_AUTH | INS_TRANSIENT;
    /// Makes a user id, an authentication object.
    WriteUserId = "WriteUserID", 0x41 0x07 0x00, [
        TAG_POLICY maybe "policy set",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 needs "user id, 4 to 16 bytes",
    ] -> [];
    /// Makes, extends or resets a PCR.
    WritePcr = "WritePCR", 0x01 0x09 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "initial value, 32 bytes; for a new object",
        TAG_3 maybe "data that extend it; without, an existing one goes back to its initial value",
    ] -> [] => rule::WRITE | rule::DELETE;
    /// Brings the value of a transient object back.
    ImportObject = "ImportObject", 0x01 0x00 0x18,
        [TAG_1 needs "object id, 4 bytes", TAG_3 needs "what ExportObject gave"] -> [] => rule::IMPORT_EXPORT;
    /// Takes the value of a transient object out, encrypted.
    ExportObject = "ExportObject", 0x02 0x00 0x19, [TAG_1 needs "object id, 4 bytes"]
        -> [TAG_1 needs "encrypted object"] => rule::IMPORT_EXPORT;
    /// Opens a session.
    CreateSession = "CreateSession", 0x04 0x00 0x1B, [TAG_1 needs "authentication object id, 4 bytes"]
        -> [TAG_1 needs "session id, 8 bytes"];
    /// Carries a command in a session.
    ProcessSessionCmd = "ProcessSessionCmd", 0x05 0x00 0x00,
        [TAG_SESSION needs "session id, 8 bytes", TAG_1 needs "command APDU"]
        -> [TAG_1 maybe "the response of that command takes the place of all this"];
    /// Proves a user id.
    VerifySessionUserId = "VerifySessionUserID", 0x04 0x00 0x2C, [TAG_1 needs "user id; in a session"] -> [];
    /// Gives a session its policy.
    ExchangeSessionData = "ExchangeSessionData", 0x04 0x00 0x1F, [TAG_1 needs "session policy; in a session"] -> [];
    /// Renews a session.
    RefreshSession = "RefreshSession", 0x04 0x00 0x1E, [TAG_POLICY maybe "session policy; in a session"] -> [];
    /// Ends a session.
    CloseSession = "CloseSession", 0x04 0x00 0x1C, [] -> [];
    /// Locks or unlocks the applet.
    SetLockState = "SetLockState", 0x04 0x00 0x3E,
        [TAG_1 needs "lock, 1 byte: 01 transient, 02 persistent", TAG_2 needs "state, 1 byte: 01 locked, else unlocked"]
        -> [];
    /// Makes the platform's secure channel a must.
    SetPlatformScpRequest = "SetPlatformSCPRequest", 0x04 0x00 0x52,
        [TAG_1 needs "01 required, 02 not required"] -> [];
    /// Ends the creation of objects.
    DisableObjectCreation = "DisableObjectCreation", 0x04 0x00 0x57,
        [TAG_1 needs "01 no new persistent objects, 02 no new objects"] -> [];
    /// Deletes everything that is not the maker's.
    DeleteAll = "DeleteAll", 0x04 0x00 0x2A, [] -> [];
    /// Makes or writes a binary object.
    WriteBinary = "WriteBinary", 0x01 0x06 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "offset, 2 bytes; 0 when absent",
        TAG_3 maybe "length of the object, 2 bytes; for a new object",
        TAG_4 maybe "data",
    ] -> [] => rule::WRITE;
    /// Makes, increments or sets a counter.
    WriteCounter = "WriteCounter", 0x01 0x08 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "size of the counter, 2 bytes: 1 to 8; for a new object",
        TAG_3 maybe "value, as long as the counter; absent to increment",
    ] -> [] => rule::WRITE;
    /// Makes a curve usable.
    CreateEcCurve = "CreateECCurve", 0x01 0x0B 0x04, [TAG_1 needs "curve id, 1 byte"] -> [];
    /// Sets one parameter of a curve.
    SetEcCurveParam = "SetECCurveParam", 0x01 0x0B 0x40,
        [TAG_1 needs "curve id, 1 byte", TAG_2 needs "parameter, 1 byte", TAG_3 needs "value"] -> [];
    /// Reads an object.
    ReadObject = "ReadObject", 0x02 0x00 0x00, [
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "offset, 2 bytes; binary objects; 0 when absent",
        TAG_3 maybe "length, 2 bytes; binary objects; the rest when absent",
    ] -> [TAG_1 needs "public key, binary data, counter value or PCR"] => rule::READ;
    /// Reads an object and signs what was read.
    ReadObjectAttested = "ReadObject with attestation", 0x22 0x00 0x00, [
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "offset, 2 bytes; binary objects; 0 when absent",
        TAG_3 maybe "length, 2 bytes; binary objects; the rest when absent",
        TAG_5 needs "attestation key id, 4 bytes",
        TAG_6 needs "attestation algorithm, 1 byte: ECDSA with 21 SHA-256, 22 SHA-384, 26 SHA-512; A3 Ed25519",
        TAG_7 needs "freshness, 16 bytes",
    ] -> [
        TAG_1 maybe "public key, binary data, counter value or PCR; not of an object that is not read",
        TAG_2 needs "object attributes",
        TAG_3 needs "time stamp, 12 bytes",
        TAG_4 needs "freshness, 16 bytes",
        TAG_5 needs "chip unique id, 18 bytes",
        TAG_6 needs "signature over the concatenated values of 41 to 45",
    ] => rule::READ;
    /// Reads the size of an object.
    ReadSize = "ReadSize", 0x02 0x00 0x07, [TAG_1 needs "object id, 4 bytes"] -> [TAG_1 needs "size in bytes, 2 bytes"];
    /// Lists object ids.
    ReadIdList = "ReadIDList", 0x02 0x00 0x25,
        [TAG_1 needs "offset into the list, 2 bytes", TAG_2 needs "type filter, 1 byte; FF for all"]
        -> [TAG_1 needs "more indicator, 1 byte: 01 complete, 02 more", TAG_2 needs "object ids, 4 bytes each"];
    /// Reads the type of an object.
    ReadType = "ReadType", 0x02 0x00 0x26, [TAG_1 needs "object id, 4 bytes"]
        -> [TAG_1 needs "object type, 1 byte", TAG_2 needs "transient indicator, 1 byte: 01 persistent, 02 transient"];
    /// Reads the attributes of an object.
    ReadAttributes = "ReadObjectAttributes", 0x02 0x00 0x3B, [TAG_1 needs "object id, 4 bytes"]
        -> [TAG_2 needs "object attributes"];
    /// Reads the attributes of an object and signs them.
    ReadAttributesAttested = "ReadObjectAttributes with attestation", 0x22 0x00 0x3B, [
        TAG_1 needs "object id, 4 bytes",
        TAG_5 needs "attestation key id, 4 bytes",
        TAG_6 needs "attestation algorithm, as for ReadObject",
        TAG_7 needs "freshness, 16 bytes",
    ] -> [
        TAG_2 needs "object attributes",
        TAG_3 needs "time stamp, 12 bytes",
        TAG_4 needs "freshness, 16 bytes",
        TAG_5 needs "chip unique id, 18 bytes",
        TAG_6 needs "signature over the concatenated values of 42 to 45",
    ];
    /// Lists the curves.
    ReadEcCurveList = "ReadECCurveList", 0x02 0x0B 0x25, []
        -> [TAG_1 needs "set indicator of the curves 1 to 17, 1 byte each: 01 not set, 02 set"];
    /// Reads the curve of a key.
    GetEcCurveId = "GetECCurveId", 0x02 0x0B 0x36, [TAG_1 needs "object id, 4 bytes"]
        -> [TAG_1 needs "curve id, 1 byte: 03 P-256, 04 P-384, 05 P-521, 10 secp256k1, 40 Ed25519, 41 X25519"];
    /// Signs a digest, or data with Ed25519.
    EcdsaSign = "ECDSASign, EdDSASign", 0x03 0x0C 0x09, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "algorithm, 1 byte: ECDSA with 11 SHA-1, 25 SHA-224, 21 SHA-256, 22 SHA-384, 26 SHA-512, 09 any digest; A3 Ed25519",
        TAG_3 needs "digest, as long as the algorithm's; data with Ed25519",
    ] -> [TAG_1 needs "signature, DER; 64 bytes with Ed25519"] => rule::SIGN;
    /// Verifies a signature over a digest, or over data with Ed25519.
    EcdsaVerify = "ECDSAVerify, EdDSAVerify", 0x03 0x0C 0x0A, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "algorithm, as for signing",
        TAG_3 needs "digest, as long as the algorithm's; data with Ed25519",
        TAG_5 needs "signature, DER; 64 bytes with Ed25519",
    ] -> [TAG_1 needs "result, 1 byte: 01 good, 02 bad"] => rule::VERIFY;
    /// Agrees on a shared secret.
    Ecdh = "ECDHGenerateSharedSecret", 0x03 0x01 0x0F, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "the other side's public key",
        TAG_7 maybe "AES or HMAC object that takes the secret, 4 bytes",
    ] -> [TAG_1 maybe "shared secret; not with 47"] => rule::AGREE;
    /// Writes an AES key.
    WriteAesKey = "WriteSymmKey (AES)", 0x01 0x03 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit; for a new authentication object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "id of the AES key that unwraps the value (RFC 3394), 4 bytes",
        TAG_3 needs "key, 16, 24 or 32 bytes, or wrapped",
    ] -> [] => rule::WRITE, flags INS_AUTH | INS_TRANSIENT;
    /// Writes an HMAC key.
    WriteHmacKey = "WriteSymmKey (HMAC)", 0x01 0x05 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "id of the AES key that unwraps the value (RFC 3394), 4 bytes",
        TAG_3 needs "key, 1 to 256 bytes, or wrapped",
    ] -> [] => rule::WRITE, flags INS_TRANSIENT;
    /// Encrypts at once.
    EncryptOneShot = "CipherOneShot (encrypt)", 0x03 0x0E 0x37, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "mode, 1 byte: 0E ECB, 0D CBC, 16, 17, 18 CBC with padding ISO 9797-1 M1, M2, PKCS#5, F0 CTR",
        TAG_3 needs "data",
        TAG_4 maybe "initial value, 16 bytes; zero when absent",
    ] -> [TAG_1 needs "encrypted data"] => rule::ENCRYPT;
    /// Decrypts at once.
    DecryptOneShot = "CipherOneShot (decrypt)", 0x03 0x0E 0x38, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "mode, as for encrypting",
        TAG_3 needs "encrypted data",
        TAG_4 maybe "initial value, 16 bytes; zero when absent",
    ] -> [TAG_1 needs "data"] => rule::DECRYPT;
    /// Begins to encrypt.
    EncryptInit = "CipherInit (encrypt)", 0x03 0x0E 0x42, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "crypto object id, 2 bytes",
        TAG_4 maybe "initial value, 16 bytes; zero when absent",
    ] -> [] => rule::ENCRYPT;
    /// Begins to decrypt.
    DecryptInit = "CipherInit (decrypt)", 0x03 0x0E 0x43, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "crypto object id, 2 bytes",
        TAG_4 maybe "initial value, 16 bytes; zero when absent",
    ] -> [] => rule::DECRYPT;
    /// Goes on with a cipher.
    CipherUpdate = "CipherUpdate", 0x03 0x0E 0x0C,
        [TAG_2 needs "crypto object id, 2 bytes", TAG_3 needs "data"] -> [TAG_1 needs "the blocks that are complete"];
    /// Ends a cipher.
    CipherFinal = "CipherFinal", 0x03 0x0E 0x0D,
        [TAG_2 needs "crypto object id, 2 bytes", TAG_3 maybe "data"] -> [TAG_1 needs "the rest"];
    /// Makes a MAC at once.
    MacGenerate = "MACOneShot (generate)", 0x03 0x0D 0x45, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "algorithm, 1 byte: HMAC with 18 SHA-1, 19 SHA-256, 1A SHA-384, 1B SHA-512; 31 CMAC with AES",
        TAG_3 needs "data",
    ] -> [TAG_1 needs "MAC"] => rule::SIGN;
    /// Checks a MAC at once.
    MacValidate = "MACOneShot (validate)", 0x03 0x0D 0x46, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "algorithm, as for generating",
        TAG_3 needs "data",
        TAG_5 needs "MAC",
    ] -> [TAG_1 needs "result, 1 byte: 01 good, 02 bad"] => rule::VERIFY;
    /// Begins a MAC.
    MacGenerateInit = "MACInit (generate)", 0x03 0x0D 0x03,
        [TAG_1 needs "key id, 4 bytes", TAG_2 needs "crypto object id, 2 bytes"] -> [] => rule::SIGN;
    /// Begins to check a MAC.
    MacValidateInit = "MACInit (validate)", 0x03 0x0D 0x44,
        [TAG_1 needs "key id, 4 bytes", TAG_2 needs "crypto object id, 2 bytes"] -> [] => rule::VERIFY;
    /// Goes on with a MAC.
    MacUpdate = "MACUpdate", 0x03 0x0D 0x0C, [TAG_1 needs "data", TAG_2 needs "crypto object id, 2 bytes"] -> [];
    /// Ends a MAC.
    MacFinal = "MACFinal", 0x03 0x0D 0x0D, [
        TAG_1 maybe "data",
        TAG_2 needs "crypto object id, 2 bytes",
        TAG_3 maybe "MAC; has to be there when one is checked",
    ] -> [TAG_1 needs "MAC, or result, 1 byte: 01 good, 02 bad"];
    /// Derives a key with HKDF.
    Hkdf = "HKDF", 0x03 0x00 0x2D, [
        TAG_1 needs "HMAC object id, 4 bytes",
        TAG_2 needs "digest, 1 byte: 01 SHA-1, 04 SHA-256, 05 SHA-384, 06 SHA-512",
        TAG_3 maybe "salt, 0 to 64 bytes",
        TAG_4 maybe "info, 1 to 80 bytes",
        TAG_5 needs "number of bytes, 2 bytes",
        TAG_6 maybe "HMAC object that is the salt, 4 bytes",
        TAG_7 maybe "AES or HMAC object that takes the key, 4 bytes",
    ] -> [TAG_1 maybe "derived key; not with 47"] => rule::DERIVE;
    /// Derives a key with the second half of HKDF.
    HkdfExpand = "HKDF (expand only)", 0x03 0x00 0x2F, [
        TAG_1 needs "HMAC object id, 4 bytes",
        TAG_2 needs "digest, as for HKDF",
        TAG_4 maybe "info, 1 to 80 bytes",
        TAG_5 needs "number of bytes, 2 bytes",
        TAG_7 maybe "AES or HMAC object that takes the key, 4 bytes",
    ] -> [TAG_1 maybe "derived key; not with 47"] => rule::DERIVE;
    /// Derives bytes with PBKDF2.
    Pbkdf2 = "PBKDF2", 0x03 0x00 0x2E, [
        TAG_1 needs "HMAC object id, 4 bytes: the password",
        TAG_2 maybe "salt, 0 to 64 bytes",
        TAG_3 needs "iterations, 2 bytes: 1 to 7FFF",
        TAG_4 needs "number of bytes, 2 bytes: 1 to 512",
    ] -> [TAG_1 needs "derived bytes, with HMAC-SHA-1"] => rule::DERIVE;
    /// Digests at once.
    DigestOneShot = "DigestOneShot", 0x03 0x00 0x0E, [
        TAG_1 needs "digest, 1 byte: 01 SHA-1, 07 SHA-224, 04 SHA-256, 05 SHA-384, 06 SHA-512",
        TAG_2 needs "data",
    ] -> [TAG_1 needs "digest"];
    /// Begins a digest.
    DigestInit = "DigestInit", 0x03 0x00 0x0B, [TAG_2 needs "crypto object id, 2 bytes"] -> [];
    /// Goes on with a digest.
    DigestUpdate = "DigestUpdate", 0x03 0x00 0x0C,
        [TAG_2 needs "crypto object id, 2 bytes", TAG_3 needs "data"] -> [];
    /// Ends a digest.
    DigestFinal = "DigestFinal", 0x03 0x00 0x0D,
        [TAG_2 needs "crypto object id, 2 bytes", TAG_3 maybe "data"] -> [TAG_1 needs "digest"];
    /// Makes a crypto object.
    CreateCryptoObject = "CreateCryptoObject", 0x01 0x10 0x00, [
        TAG_1 needs "crypto object id, 2 bytes",
        TAG_2 needs "context, 1 byte: 01 digest, 02 cipher, 03 MAC",
        TAG_3 needs "digest, cipher mode or MAC algorithm, 1 byte",
    ] -> [];
    /// Lists the crypto objects.
    ReadCryptoObjectList = "ReadCryptoObjectList", 0x02 0x10 0x25, []
        -> [TAG_1 needs "id, 2 bytes, context and algorithm, 1 byte each; for each crypto object"];
    /// Deletes a crypto object.
    DeleteCryptoObject = "DeleteCryptoObject", 0x04 0x10 0x28, [TAG_1 needs "crypto object id, 2 bytes"] -> [];
}

impl Instruction {
    /// The command with this header; [`INS_AUTH`] and [`INS_TRANSIENT`] may be set where the row has them.
    ///
    /// # Errors
    /// [`Unknown`] says which part of the header belongs to no command.
    pub fn find(ins: u8, p1: u8, p2: u8) -> Result<Self, Unknown> {
        let mut unknown = Unknown::Instruction;
        let flags = if ins & INS_MASK == INS_WRITE { ins & (INS_AUTH | INS_TRANSIENT) } else { 0 };
        for instruction in Self::ALL {
            let spec = instruction.spec();
            if spec.ins == ins || (spec.ins == ins & !flags && spec.flags & flags == flags) {
                if (spec.p1, spec.p2) == (p1, p2) {
                    return Ok(*instruction);
                }
                unknown = Unknown::Parameters;
            }
        }
        Err(unknown)
    }

    /// The command with its data, which is a sequence of TLVs. It asks for the longest short response when the
    /// table has one, and for none otherwise.
    #[must_use]
    pub fn command(self, data: Vec<u8>) -> Command {
        let spec = self.spec();
        let le = (!spec.response.is_empty()).then_some(256);
        Command { cla: CLA, ins: spec.ins, p1: spec.p1, p2: spec.p2, data, le }
    }

    /// Whether the fields are those of the table: all that are required, none that is not listed.
    #[must_use]
    pub fn accepts(self, fields: &Tlvs<'_>) -> bool {
        let request = self.spec().request;
        let complete = request.iter().all(|field| !field.required || fields.find(field.tag).is_some());
        let ignored = [TAG_POLICY_CHECK, TAG_VERSION];
        complete
            && fields.tags().all(|tag| ignored.contains(&tag) || request.iter().any(|field| field.tag == tag))
    }
}

/// The table as Markdown, for the documentation: one row for each command.
#[must_use]
pub fn markdown_table() -> String {
    let list = |fields: &[Field]| {
        let words: Vec<String> = fields
            .iter()
            .map(|field| {
                let optional = if field.required { "" } else { " (optional)" };
                format!("`{:02X}` {}{optional}", field.tag, field.meaning)
            })
            .collect();
        if words.is_empty() { "none".to_owned() } else { words.join("<br>") }
    };
    let mut out =
        String::from("| Command | INS P1 P2 | Request | Response | Policy |\n|---|---|---|---|---|\n");
    for instruction in Instruction::ALL {
        let spec = instruction.spec();
        let flags = match (spec.flags & INS_AUTH != 0, spec.flags & INS_TRANSIENT != 0) {
            (false, false) => "",
            (true, false) => " (auth)",
            (false, true) => " (transient)",
            (true, true) => " (auth, transient)",
        };
        out.push_str(&format!(
            "| {} | `{:02X} {:02X} {:02X}`{flags} | {} | {} | {} |\n",
            spec.name,
            spec.ins,
            spec.p1,
            spec.p2,
            list(spec.request),
            list(spec.response),
            if spec.policy == 0 { "none".to_owned() } else { rule::names(spec.policy) }
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy() -> impl Strategy<Value = Policy> {
        (any::<u32>(), any::<u32>(), any::<u8>()).prop_map(|(authentication, rule, filler)| {
            let length = if rule & rule::REQUIRE_PCR == 0 { 0 } else { PCR_EXTENSION_BYTES };
            Policy { authentication, rule, extension: vec![filler; length] }
        })
    }

    prop_compose! {
        fn attributes()(
            object_id: u32, object_type: u8, authentication: u8, failed_attempts: u16, owner: u32, max_attempts: u16,
            policies in proptest::collection::vec(policy(), 0..3), origin: u8,
        ) -> Attributes {
            Attributes {
                object_id, object_type: ObjectType(object_type), authentication, failed_attempts, owner, max_attempts,
                policies, origin: Origin(origin),
            }
        }
    }

    proptest! {
        #[test]
        fn attributes_round_trip(attributes in attributes()) {
            prop_assert_eq!(Attributes::parse(&attributes.encode().unwrap()).unwrap(), attributes);
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Attributes::parse(&bytes);
            let _ = Policy::parse_set(&bytes);
            let _ = AppletVersion::parse(&bytes);
        }
    }

    #[test]
    fn attributes_written_out() {
        let bytes =
            hex::decode("60000001 01 01 0000 60000000 0000 0860000000 10200000 02".replace(' ', "")).unwrap();
        let attributes = Attributes::parse(&bytes).unwrap();
        assert_eq!(attributes.object_type, ObjectType::EC_KEY_PAIR);
        assert_eq!(attributes.owner, 0x6000_0000);
        assert_eq!(
            attributes.policies,
            [Policy { authentication: 0x6000_0000, rule: rule::SIGN | rule::READ, extension: vec![] }]
        );
        assert_eq!(attributes.origin, Origin::INTERNAL);
        // A truncated policy set is refused; without one, the byte before the end is the origin.
        for end in 0..bytes.len() {
            assert_eq!(Attributes::parse(&bytes[..end]).is_ok(), end == 15, "{end}");
        }
    }

    #[test]
    fn headers_are_unique_and_found() {
        for instruction in Instruction::ALL {
            let spec = instruction.spec();
            assert_eq!(Instruction::find(spec.ins, spec.p1, spec.p2), Ok(*instruction), "{}", spec.name);
        }
        assert_eq!(Instruction::find(0x41, 0x61, 0x00), Ok(Instruction::WriteEcKeyPair));
        assert_eq!(Instruction::find(0xC1, 0x03, 0x00), Ok(Instruction::WriteAesKey));
        assert_eq!(
            Instruction::find(0x41, 0x06, 0x00),
            Err(Unknown::Parameters),
            "no binary object authenticates"
        );
        assert_eq!(Instruction::find(0x01, 0x07, 0x00), Err(Unknown::Parameters), "a user id always does");
        assert_eq!(Instruction::find(0x04, 0x00, 0xEE), Err(Unknown::Parameters));
        assert_eq!(Instruction::find(0xEE, 0x00, 0x20), Err(Unknown::Instruction));
    }

    #[test]
    fn requests_are_held_against_the_table() {
        let fields = |bytes: &'static [u8]| Tlvs::parse(bytes).unwrap();
        assert!(Instruction::GetRandom.accepts(&fields(&[0x41, 2, 0, 8])));
        assert!(!Instruction::GetRandom.accepts(&fields(&[])));
        assert!(!Instruction::GetRandom.accepts(&fields(&[0x41, 2, 0, 8, 0x42, 0])));
    }

    #[test]
    fn session_policies_count_commands() {
        let parse = |text: &str| SessionPolicy::parse(&hex::decode(text).unwrap());
        let mut policy = parse("04A0000002").unwrap();
        assert!(policy.refresh);
        assert_eq!([policy.spend(), policy.spend(), policy.spend()], [true, true, false]);
        assert!(policy.renewed().spend());
        assert!(SessionPolicy::default().spend() && !SessionPolicy::default().refresh);
        for wrong in ["", "02", "0380000001", "048000", "0240FF", "022000FF", "024000"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn versions_are_seven_bytes() {
        let version = AppletVersion { version: [3, 1, 1], features: 0x0102, crypto_library: [1, 0] };
        assert_eq!(AppletVersion::parse(&version.encode()), Some(version));
        assert_eq!(AppletVersion::parse(&[3, 1, 1]), None);
        assert_eq!(version.to_string(), "3.1.1");
    }
}
