//! The numbers of pcsc-lite's `pcsclite.h` and `reader.h`.

use std::ffi::{CStr, c_long, c_ulong};

/// What a function returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(u32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub(crate) const $name: Self = Self($value);)*

            /// What it means, for people.
            fn known(self) -> Option<(&'static str, &'static CStr)> {
                match self.0 {
                    $($value => Some((stringify!($name), $text)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Done.
    SUCCESS = 0x0000_0000, c"Command successful.";
    /// This library failed.
    INTERNAL_ERROR = 0x8010_0001, c"Internal error.";
    /// Another thread cancelled the wait.
    CANCELLED = 0x8010_0002, c"Command cancelled.";
    /// No such context or connection.
    INVALID_HANDLE = 0x8010_0003, c"Invalid handle.";
    /// A pointer is null that must not be, or a value is out of range.
    INVALID_PARAMETER = 0x8010_0004, c"Invalid parameter given.";
    /// The buffer is too short; the length says how long it has to be.
    INSUFFICIENT_BUFFER = 0x8010_0008, c"Insufficient buffer.";
    /// No reader has this name.
    UNKNOWN_READER = 0x8010_0009, c"Unknown reader specified.";
    /// Nothing changed in time.
    TIMEOUT = 0x8010_000A, c"Command timeout.";
    /// Somebody else has the card.
    SHARING_VIOLATION = 0x8010_000B, c"Sharing violation.";
    /// The reader is empty.
    NO_SMARTCARD = 0x8010_000C, c"No smart card inserted.";
    /// The card speaks T=1 alone.
    PROTO_MISMATCH = 0x8010_000F, c"Card protocol mismatch.";
    /// A value is out of range.
    INVALID_VALUE = 0x8010_0011, c"Invalid value given.";
    /// The answer was lost, or no transaction is there to end.
    NOT_TRANSACTED = 0x8010_0016, c"Transaction failed.";
    /// The environment names no element.
    NO_SERVICE = 0x8010_001D, c"Service not available.";
    /// The reader has no such attribute or control.
    UNSUPPORTED_FEATURE = 0x8010_001F, c"Feature not supported.";
    /// The card does not answer, because its state cannot be opened.
    UNRESPONSIVE_CARD = 0x8010_0066, c"Card is unresponsive.";
    /// The card lost its power; reconnect.
    UNPOWERED_CARD = 0x8010_0067, c"Card is unpowered.";
    /// Another connection reset the card; reconnect.
    RESET_CARD = 0x8010_0068, c"Card was reset.";
}

impl Code {
    /// As C sees it: the bits of an unsigned number in a `long`.
    pub(crate) fn long(self) -> c_long {
        c_ulong::from(self.0).cast_signed()
    }

    /// What a `long` of C means, for people.
    pub(crate) fn text(code: c_long) -> &'static CStr {
        let code = u32::try_from(code.cast_unsigned()).ok().map(Self);
        code.and_then(Self::known).map_or(c"Unknown error.", |(_, text)| text)
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.known() {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{:08X}", self.0),
        }
    }
}

/// Protocols, in the order of their bits.
pub(crate) mod protocol {
    /// T=0.
    pub(crate) const T0: u32 = 1;
    /// T=1.
    pub(crate) const T1: u32 = 2;
    /// None.
    pub(crate) const RAW: u32 = 4;
}

/// States of a reader, as SCardGetStatusChange has them.
pub(crate) mod reader_state {
    /// The caller knows nothing.
    pub(crate) const UNAWARE: u32 = 0x00;
    /// The caller does not care.
    pub(crate) const IGNORE: u32 = 0x01;
    /// It differs from what the caller knew.
    pub(crate) const CHANGED: u32 = 0x02;
    /// There is no such reader.
    pub(crate) const UNKNOWN: u32 = 0x04;
    /// No card.
    pub(crate) const EMPTY: u32 = 0x10;
    /// A card.
    pub(crate) const PRESENT: u32 = 0x20;
    /// One connection has it for itself.
    pub(crate) const EXCLUSIVE: u32 = 0x80;
    /// Somebody is connected.
    pub(crate) const IN_USE: u32 = 0x100;
}

/// States of a card, as SCardStatus has them.
pub(crate) mod card_state {
    /// Not there.
    pub(crate) const ABSENT: u32 = 0x02;
    /// There.
    pub(crate) const PRESENT: u32 = 0x04;
    /// It has power.
    pub(crate) const POWERED: u32 = 0x10;
    /// Power, and no protocol yet.
    pub(crate) const NEGOTIABLE: u32 = 0x20;
    /// A protocol is chosen.
    pub(crate) const SPECIFIC: u32 = 0x40;
}
