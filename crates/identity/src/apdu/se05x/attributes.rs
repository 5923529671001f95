//! What the applet says of an object.

use std::fmt;

use super::{AttributesError, Policy};

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

/// The attributes of an object: object id (4 bytes), type (1), authentication indicator (1), failed attempts (2), owner
/// (4), maximum attempts (2), policy set (variable), origin (1), and from applet 7.2 on the object's version (4). All
/// big-endian. With a version, the failed attempts of what is no authentication object are its least AEAD tag length.
///
/// The tables in NXP's headers give the version one byte; NXP's programs that read it (`se05x_ReadWithAttestation.c` of
/// Plug & Trust, `sss_pkcs11_pal_helpers.c` of its PKCS#11 module) take four, as here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The object's id.
    pub object_id: u32,
    /// The object's type.
    pub object_type: ObjectType,
    /// [`SET`](super::SET) for an authentication object, else [`NOT_SET`](super::NOT_SET).
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
    /// The object's version, where the applet gives one.
    pub version: Option<u32>,
}

impl Attributes {
    /// Reads the attributes as applets before 4.4 give them, without a version.
    ///
    /// # Errors
    /// [`AttributesError`] when the bytes have another layout.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttributesError> {
        let (origin, rest) = bytes.split_last().ok_or(AttributesError::TooShort { least: 15, found: 0 })?;
        Self::read(rest, *origin, None, AttributesError::TooShort { least: 15, found: bytes.len() })
    }

    /// Reads the attributes as applets from 7.2 on give them, with a version at the end.
    ///
    /// # Errors
    /// [`AttributesError`] when the bytes have another layout.
    pub fn parse_with_version(bytes: &[u8]) -> Result<Self, AttributesError> {
        let too_short = AttributesError::TooShort { least: 19, found: bytes.len() };
        let (rest, version) = bytes.split_last_chunk::<4>().ok_or(too_short)?;
        let (origin, rest) = rest.split_last().ok_or(too_short)?;
        Self::read(rest, *origin, Some(u32::from_be_bytes(*version)), too_short)
    }

    fn read(
        bytes: &[u8],
        origin: u8,
        version: Option<u32>,
        too_short: AttributesError,
    ) -> Result<Self, AttributesError> {
        let (fixed, policies) = bytes.split_first_chunk::<14>().ok_or(too_short)?;
        let &[i0, i1, i2, i3, object_type, authentication, f0, f1, o0, o1, o2, o3, m0, m1] = fixed;
        Ok(Self {
            object_id: u32::from_be_bytes([i0, i1, i2, i3]),
            object_type: ObjectType(object_type),
            authentication,
            failed_attempts: u16::from_be_bytes([f0, f1]),
            owner: u32::from_be_bytes([o0, o1, o2, o3]),
            max_attempts: u16::from_be_bytes([m0, m1]),
            policies: Policy::parse_set(policies)?,
            origin: Origin(origin),
            version,
        })
    }

    /// The bytes of the attributes.
    ///
    /// # Errors
    /// [`AttributesError::Policy`] as for [`Policy::encode_set`].
    pub fn encode(&self) -> Result<Vec<u8>, AttributesError> {
        let mut out = Vec::with_capacity(28);
        out.extend(self.object_id.to_be_bytes());
        out.extend([self.object_type.0, self.authentication]);
        out.extend(self.failed_attempts.to_be_bytes());
        out.extend(self.owner.to_be_bytes());
        out.extend(self.max_attempts.to_be_bytes());
        out.extend(Policy::encode_set(&self.policies)?);
        out.push(self.origin.0);
        out.extend(self.version.into_iter().flat_map(u32::to_be_bytes));
        Ok(out)
    }
}
