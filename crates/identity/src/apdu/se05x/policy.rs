//! What may be done with an object, and in a session.

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
pub(super) const PCR_EXTENSION_BYTES: usize = 36;

/// Why bytes are not attributes or policies of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttributesError {
    /// Fewer bytes than the fixed fields have.
    #[error("object attributes have at least {least} bytes, found {found}")]
    TooShort {
        /// The smallest number of bytes.
        least: usize,
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
