//! Numbers with names. Each type keeps values that it has no name for, and prints them as numbers.

use std::fmt;

/// `TPM_GENERATED_VALUE` (part 2, §6.2): begins every structure that a TPM made and signed itself.
pub const TPM_GENERATED_VALUE: u32 = 0xff54_4347;

macro_rules! named_number {
    ($(#[$doc:meta])* $type:ident($int:ty) { $($name:ident = $value:literal => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub $int);

        impl $type {
            $(#[doc = concat!("`", $text, "`, ", stringify!($value), ".")] pub const $name: Self = Self($value);)+

            /// The name in the specification, where the value has one here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some($text),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{:#x}", self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

named_number! {
    /// `TPM_ALG_ID` (part 2, §6.3).
    AlgorithmId(u16) {
        RSA = 0x0001 => "TPM_ALG_RSA",
        SHA1 = 0x0004 => "TPM_ALG_SHA1",
        HMAC = 0x0005 => "TPM_ALG_HMAC",
        AES = 0x0006 => "TPM_ALG_AES",
        KEYEDHASH = 0x0008 => "TPM_ALG_KEYEDHASH",
        SHA256 = 0x000b => "TPM_ALG_SHA256",
        SHA384 = 0x000c => "TPM_ALG_SHA384",
        SHA512 = 0x000d => "TPM_ALG_SHA512",
        NULL = 0x0010 => "TPM_ALG_NULL",
        RSASSA = 0x0014 => "TPM_ALG_RSASSA",
        RSAES = 0x0015 => "TPM_ALG_RSAES",
        RSAPSS = 0x0016 => "TPM_ALG_RSAPSS",
        OAEP = 0x0017 => "TPM_ALG_OAEP",
        ECDSA = 0x0018 => "TPM_ALG_ECDSA",
        ECDH = 0x0019 => "TPM_ALG_ECDH",
        ECDAA = 0x001a => "TPM_ALG_ECDAA",
        SM2 = 0x001b => "TPM_ALG_SM2",
        ECSCHNORR = 0x001c => "TPM_ALG_ECSCHNORR",
        KDF1_SP800_56A = 0x0020 => "TPM_ALG_KDF1_SP800_56A",
        KDF1_SP800_108 = 0x0022 => "TPM_ALG_KDF1_SP800_108",
        ECC = 0x0023 => "TPM_ALG_ECC",
        SYMCIPHER = 0x0025 => "TPM_ALG_SYMCIPHER",
        CFB = 0x0043 => "TPM_ALG_CFB",
    }
}

named_number! {
    /// `TPM_ECC_CURVE` (part 2, §6.4).
    CurveId(u16) {
        NIST_P256 = 0x0003 => "TPM_ECC_NIST_P256",
        NIST_P384 = 0x0004 => "TPM_ECC_NIST_P384",
        NIST_P521 = 0x0005 => "TPM_ECC_NIST_P521",
    }
}

impl CurveId {
    /// The size of one coordinate in bytes, for the curves that are used here.
    #[must_use]
    pub fn coordinate_bytes(self) -> Option<usize> {
        match self {
            Self::NIST_P256 => Some(32),
            Self::NIST_P384 => Some(48),
            _ => None,
        }
    }
}

named_number! {
    /// `TPM_CC` (part 2, §6.5.2).
    CommandCode(u32) {
        EVICT_CONTROL = 0x0000_0120 => "TPM2_EvictControl",
        NV_UNDEFINE_SPACE = 0x0000_0122 => "TPM2_NV_UndefineSpace",
        NV_DEFINE_SPACE = 0x0000_012a => "TPM2_NV_DefineSpace",
        CREATE_PRIMARY = 0x0000_0131 => "TPM2_CreatePrimary",
        NV_INCREMENT = 0x0000_0134 => "TPM2_NV_Increment",
        NV_SET_BITS = 0x0000_0135 => "TPM2_NV_SetBits",
        NV_WRITE = 0x0000_0137 => "TPM2_NV_Write",
        STARTUP = 0x0000_0144 => "TPM2_Startup",
        ACTIVATE_CREDENTIAL = 0x0000_0147 => "TPM2_ActivateCredential",
        CERTIFY = 0x0000_0148 => "TPM2_Certify",
        POLICY_NV = 0x0000_0149 => "TPM2_PolicyNV",
        CERTIFY_CREATION = 0x0000_014a => "TPM2_CertifyCreation",
        NV_READ = 0x0000_014e => "TPM2_NV_Read",
        POLICY_SECRET = 0x0000_0151 => "TPM2_PolicySecret",
        CREATE = 0x0000_0153 => "TPM2_Create",
        LOAD = 0x0000_0157 => "TPM2_Load",
        QUOTE = 0x0000_0158 => "TPM2_Quote",
        SIGN = 0x0000_015d => "TPM2_Sign",
        UNSEAL = 0x0000_015e => "TPM2_Unseal",
        FLUSH_CONTEXT = 0x0000_0165 => "TPM2_FlushContext",
        LOAD_EXTERNAL = 0x0000_0167 => "TPM2_LoadExternal",
        NV_READ_PUBLIC = 0x0000_0169 => "TPM2_NV_ReadPublic",
        POLICY_AUTHORIZE = 0x0000_016a => "TPM2_PolicyAuthorize",
        POLICY_AUTH_VALUE = 0x0000_016b => "TPM2_PolicyAuthValue",
        POLICY_COMMAND_CODE = 0x0000_016c => "TPM2_PolicyCommandCode",
        POLICY_OR = 0x0000_0171 => "TPM2_PolicyOR",
        READ_PUBLIC = 0x0000_0173 => "TPM2_ReadPublic",
        START_AUTH_SESSION = 0x0000_0176 => "TPM2_StartAuthSession",
        VERIFY_SIGNATURE = 0x0000_0177 => "TPM2_VerifySignature",
        GET_CAPABILITY = 0x0000_017a => "TPM2_GetCapability",
        GET_RANDOM = 0x0000_017b => "TPM2_GetRandom",
        PCR_READ = 0x0000_017e => "TPM2_PCR_Read",
        POLICY_PCR = 0x0000_017f => "TPM2_PolicyPCR",
        NV_CERTIFY = 0x0000_0184 => "TPM2_NV_Certify",
        POLICY_GET_DIGEST = 0x0000_0189 => "TPM2_PolicyGetDigest",
    }
}

named_number! {
    /// `TPM_ST` (part 2, §6.9).
    StructureTag(u16) {
        RSP_COMMAND = 0x00c4 => "TPM_ST_RSP_COMMAND",
        NO_SESSIONS = 0x8001 => "TPM_ST_NO_SESSIONS",
        SESSIONS = 0x8002 => "TPM_ST_SESSIONS",
        ATTEST_NV = 0x8014 => "TPM_ST_ATTEST_NV",
        ATTEST_CERTIFY = 0x8017 => "TPM_ST_ATTEST_CERTIFY",
        ATTEST_QUOTE = 0x8018 => "TPM_ST_ATTEST_QUOTE",
        ATTEST_TIME = 0x8019 => "TPM_ST_ATTEST_TIME",
        ATTEST_CREATION = 0x801a => "TPM_ST_ATTEST_CREATION",
        CREATION = 0x8021 => "TPM_ST_CREATION",
        VERIFIED = 0x8022 => "TPM_ST_VERIFIED",
        HASHCHECK = 0x8024 => "TPM_ST_HASHCHECK",
    }
}

named_number! {
    /// `TPM_HANDLE` (part 2, §7). The first byte is the type of what it points to.
    Handle(u32) {
        OWNER = 0x4000_0001 => "TPM_RH_OWNER",
        NULL = 0x4000_0007 => "TPM_RH_NULL",
        PASSWORD_SESSION = 0x4000_0009 => "TPM_RS_PW",
        ENDORSEMENT = 0x4000_000b => "TPM_RH_ENDORSEMENT",
        PLATFORM = 0x4000_000c => "TPM_RH_PLATFORM",
    }
}

impl Handle {
    /// True for an object in volatile memory (`TPM_HT_TRANSIENT`), which stays until it is flushed.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self.0 >> 24 == 0x80
    }

    /// True for an object in non-volatile memory (`TPM_HT_PERSISTENT`).
    #[must_use]
    pub fn is_persistent(self) -> bool {
        self.0 >> 24 == 0x81
    }

    /// True for an NV index (`TPM_HT_NV_INDEX`).
    #[must_use]
    pub fn is_nv_index(self) -> bool {
        self.0 >> 24 == 0x01
    }
}

/// `TPM_RC` (part 2, §6.6): what a TPM answers to a command. Prints its name and, where the code tells, which
/// parameter, handle or session it is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResponseCode(pub u32);

/// What a [`ResponseCode`] of format one is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Parameter(u32),
    Handle(u32),
    Session(u32),
    Unsaid,
}

impl ResponseCode {
    /// `TPM_RC_SUCCESS`.
    pub const SUCCESS: Self = Self(0);
    /// `TPM_RC_PCR_CHANGED`: a PCR changed since the policy session looked at it.
    pub const PCR_CHANGED: Self = Self(0x128);
    /// `TPM_RC_INITIALIZE`: after start-up was already done, or before it.
    pub const INITIALIZE: Self = Self(0x100);
    /// `TPM_RC_NV_LOCKED`.
    pub const NV_LOCKED: Self = Self(0x148);
    /// `TPM_RC_NV_UNINITIALIZED`: the index was never written.
    pub const NV_UNINITIALIZED: Self = Self(0x14a);
    /// `TPM_RC_NV_SPACE`: no room in non-volatile memory.
    pub const NV_SPACE: Self = Self(0x14b);
    /// `TPM_RC_NV_DEFINED`: the index or persistent handle is in use.
    pub const NV_DEFINED: Self = Self(0x14c);
    /// `TPM_RC_VALUE` without its subject.
    pub const VALUE: Self = Self(0x084);
    /// `TPM_RC_AUTH_FAIL` without its subject: the HMAC of a session, or a password, is wrong.
    pub const AUTH_FAIL: Self = Self(0x08e);
    /// `TPM_RC_BAD_AUTH` without its subject: the same, for an object that guessing does not lock.
    pub const BAD_AUTH: Self = Self(0x0a2);
    /// `TPM_RC_SIGNATURE` without its subject.
    pub const SIGNATURE: Self = Self(0x09b);
    /// `TPM_RC_POLICY_FAIL` without its subject: the policy session is not the one that the object asks for.
    pub const POLICY_FAIL: Self = Self(0x09d);
    /// `TPM_RC_HANDLE` without its subject.
    pub const HANDLE: Self = Self(0x08b);
    /// `TPM_RC_OBJECT_MEMORY`: no slot for another loaded object.
    pub const OBJECT_MEMORY: Self = Self(0x902);
    /// `TPM_RC_SESSION_MEMORY`: no slot for another loaded session.
    pub const SESSION_MEMORY: Self = Self(0x903);
    /// `TPM_RC_SESSION_HANDLES`: no handle for another session.
    pub const SESSION_HANDLES: Self = Self(0x905);
    /// `TPM_RC_OBJECT_HANDLES`: no handle for another loaded object.
    pub const OBJECT_HANDLES: Self = Self(0x906);
    /// `TPM_RC_REFERENCE_H0`: the first handle refers to nothing that is loaded.
    pub const REFERENCE_H0: Self = Self(0x910);
    /// `TPM_RC_YIELDED`: the TPM gave up the command; send it again.
    pub const YIELDED: Self = Self(0x908);
    /// `TPM_RC_TESTING`: the TPM is testing itself; send the command again.
    pub const TESTING: Self = Self(0x90a);
    /// `TPM_RC_NV_RATE`: non-volatile memory is written too often; send the command again later.
    pub const NV_RATE: Self = Self(0x920);
    /// `TPM_RC_RETRY`: the TPM could not start the command; send it again.
    pub const RETRY: Self = Self(0x922);

    /// True when the same command may succeed later without any change.
    #[must_use]
    pub fn asks_for_retry(self) -> bool {
        matches!(self, Self::YIELDED | Self::TESTING | Self::NV_RATE | Self::RETRY)
    }

    /// True when objects or sessions that somebody left loaded have to be flushed first.
    #[must_use]
    pub fn is_out_of_slots(self) -> bool {
        matches!(
            self,
            Self::OBJECT_MEMORY | Self::SESSION_MEMORY | Self::SESSION_HANDLES | Self::OBJECT_HANDLES
        )
    }

    /// Part 2, §6.6.1: bit 7 (F) is set in a code of format one.
    fn is_format_one(self) -> bool {
        self.0 & 0x80 != 0 && self.0 >> 12 == 0
    }

    /// The code without the number of the parameter, handle or session; equal to the constants above.
    #[must_use]
    pub fn kind(self) -> Self {
        if self.is_format_one() { Self(self.0 & 0x0bf) } else { self }
    }

    fn subject(self) -> Subject {
        let number = (self.0 >> 8) & 0xf;
        if !self.is_format_one() || number == 0 {
            Subject::Unsaid
        } else if self.0 & 0x40 != 0 {
            Subject::Parameter(number)
        } else if number & 0x8 != 0 {
            Subject::Session(number & 0x7)
        } else {
            Subject::Handle(number)
        }
    }

    /// The name in the specification, where the code has one here.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.kind().0 {
            0x000 => "TPM_RC_SUCCESS",
            0x01e => "TPM_RC_BAD_TAG",
            // Format one: about a parameter, handle or session.
            0x081 => "TPM_RC_ASYMMETRIC",
            0x082 => "TPM_RC_ATTRIBUTES",
            0x083 => "TPM_RC_HASH",
            0x084 => "TPM_RC_VALUE",
            0x085 => "TPM_RC_HIERARCHY",
            0x087 => "TPM_RC_KEY_SIZE",
            0x089 => "TPM_RC_MODE",
            0x08a => "TPM_RC_TYPE",
            0x08b => "TPM_RC_HANDLE",
            0x08c => "TPM_RC_KDF",
            0x08d => "TPM_RC_RANGE",
            0x08e => "TPM_RC_AUTH_FAIL",
            0x08f => "TPM_RC_NONCE",
            0x092 => "TPM_RC_SCHEME",
            0x095 => "TPM_RC_SIZE",
            0x096 => "TPM_RC_SYMMETRIC",
            0x097 => "TPM_RC_TAG",
            0x098 => "TPM_RC_SELECTOR",
            0x09a => "TPM_RC_INSUFFICIENT",
            0x09b => "TPM_RC_SIGNATURE",
            0x09c => "TPM_RC_KEY",
            0x09d => "TPM_RC_POLICY_FAIL",
            0x09f => "TPM_RC_INTEGRITY",
            0x0a0 => "TPM_RC_TICKET",
            0x0a1 => "TPM_RC_RESERVED_BITS",
            0x0a2 => "TPM_RC_BAD_AUTH",
            0x0a3 => "TPM_RC_EXPIRED",
            0x0a6 => "TPM_RC_CURVE",
            0x0a7 => "TPM_RC_ECC_POINT",
            // Format zero: errors.
            0x100 => "TPM_RC_INITIALIZE",
            0x101 => "TPM_RC_FAILURE",
            0x103 => "TPM_RC_SEQUENCE",
            0x120 => "TPM_RC_DISABLED",
            0x124 => "TPM_RC_AUTH_TYPE",
            0x125 => "TPM_RC_AUTH_MISSING",
            0x126 => "TPM_RC_POLICY",
            0x127 => "TPM_RC_PCR",
            0x128 => "TPM_RC_PCR_CHANGED",
            0x12f => "TPM_RC_AUTH_UNAVAILABLE",
            0x130 => "TPM_RC_REBOOT",
            0x142 => "TPM_RC_COMMAND_SIZE",
            0x143 => "TPM_RC_COMMAND_CODE",
            0x144 => "TPM_RC_AUTHSIZE",
            0x145 => "TPM_RC_AUTH_CONTEXT",
            0x146 => "TPM_RC_NV_RANGE",
            0x147 => "TPM_RC_NV_SIZE",
            0x148 => "TPM_RC_NV_LOCKED",
            0x149 => "TPM_RC_NV_AUTHORIZATION",
            0x14a => "TPM_RC_NV_UNINITIALIZED",
            0x14b => "TPM_RC_NV_SPACE",
            0x14c => "TPM_RC_NV_DEFINED",
            0x152 => "TPM_RC_PARENT",
            0x153 => "TPM_RC_NEEDS_TEST",
            0x155 => "TPM_RC_SENSITIVE",
            // Format zero: warnings.
            0x902 => "TPM_RC_OBJECT_MEMORY",
            0x903 => "TPM_RC_SESSION_MEMORY",
            0x904 => "TPM_RC_MEMORY",
            0x905 => "TPM_RC_SESSION_HANDLES",
            0x906 => "TPM_RC_OBJECT_HANDLES",
            0x907 => "TPM_RC_LOCALITY",
            0x908 => "TPM_RC_YIELDED",
            0x909 => "TPM_RC_CANCELED",
            0x90a => "TPM_RC_TESTING",
            0x910 => "TPM_RC_REFERENCE_H0",
            0x920 => "TPM_RC_NV_RATE",
            0x921 => "TPM_RC_LOCKOUT",
            0x922 => "TPM_RC_RETRY",
            0x923 => "TPM_RC_NV_UNAVAILABLE",
            _ => return None,
        })
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => return write!(f, "response code {:#x}", self.0),
        }
        match self.subject() {
            Subject::Parameter(number) => write!(f, " (parameter {number})"),
            Subject::Handle(number) => write!(f, " (handle {number})"),
            Subject::Session(number) => write!(f, " (session {number})"),
            Subject::Unsaid => Ok(()),
        }
    }
}

impl fmt::Debug for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_print_what_they_are_about() {
        let shown = |code| ResponseCode(code).to_string();
        assert_eq!(shown(0x000), "TPM_RC_SUCCESS");
        assert_eq!(shown(0x100), "TPM_RC_INITIALIZE");
        assert_eq!(shown(0x902), "TPM_RC_OBJECT_MEMORY");
        assert_eq!(shown(0x1d5), "TPM_RC_SIZE (parameter 1)");
        assert_eq!(shown(0x18b), "TPM_RC_HANDLE (handle 1)");
        assert_eq!(shown(0x98e), "TPM_RC_AUTH_FAIL (session 1)");
        assert_eq!(shown(0x2df), "TPM_RC_INTEGRITY (parameter 2)");
        assert_eq!(shown(0x8_0012), "response code 0x80012");
        assert_eq!(shown(0x7f), "response code 0x7f");
    }

    #[test]
    fn kind_forgets_the_subject() {
        assert_eq!(ResponseCode(0x18b).kind(), ResponseCode::HANDLE);
        assert_eq!(ResponseCode(0x98b).kind(), ResponseCode::HANDLE);
        assert_eq!(ResponseCode(0x922).kind(), ResponseCode::RETRY);
    }

    #[test]
    fn unknown_numbers_are_kept() {
        assert_eq!(AlgorithmId(0x7777).to_string(), "0x7777");
        assert_eq!(CommandCode::CERTIFY.to_string(), "TPM2_Certify");
        assert!(Handle(0x8100_0001).is_persistent());
        assert!(!Handle::OWNER.is_transient());
    }

    proptest! {
        #[test]
        fn every_code_prints(code: u32) {
            prop_assert!(!ResponseCode(code).to_string().is_empty());
        }
    }
}
