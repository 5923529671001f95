//! The status word, SW1-SW2.

use std::fmt;

/// The two status bytes of a response (ISO/IEC 7816-4 §5.6). Values that nobody listed survive unchanged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusWord(pub u16);

macro_rules! status_words {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $meaning:literal;)+) => {
        impl StatusWord {
            $($(#[$doc])* pub const $name: Self = Self($value);)+

            fn listed(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($meaning),)+
                    _ => None,
                }
            }
        }
    };
}

status_words! {
    /// Done.
    SUCCESS = 0x9000, "success";
    /// The logical channel was not open.
    CHANNEL_ALREADY_CLOSED = 0x6200, "the logical channel is already closed";
    /// The selected application, or the card, is locked.
    LOCKED = 0x6283, "the card is locked";
    /// The cryptogram of the host is wrong.
    AUTHENTICATION_FAILED = 0x6300, "authentication of the host cryptogram failed";
    /// More data follows when the command is repeated as "next".
    MORE_DATA = 0x6310, "more data is available";
    /// The part could not write its memory.
    MEMORY_FAILURE = 0x6581, "memory failure: the state of the part is unknown";
    /// The session's policy gives it no more commands (SE05x).
    THROUGHPUT_EXCEEDED = 0x66A6, "the session has used up its commands";
    /// Lc or Le is not what the command needs.
    WRONG_LENGTH = 0x6700, "wrong length";
    /// Another logical channel than the basic one.
    CHANNEL_NOT_SUPPORTED = 0x6881, "logical channel not supported";
    /// Secure messaging where the part has none.
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882, "secure messaging not supported";
    /// Another command came where the next of a chain was due.
    LAST_OF_CHAIN_EXPECTED = 0x6883, "the last command of the chain is expected";
    /// A chain where the part takes none.
    CHAINING_NOT_SUPPORTED = 0x6884, "command chaining not supported here";
    /// An authentication is missing.
    SECURITY_STATUS_NOT_SATISFIED = 0x6982, "security status not satisfied: authenticate first";
    /// A policy that does not suit the object.
    DATA_INVALID = 0x6984, "data invalid: the policy does not suit the object";
    /// The command does not apply to the object as it is, or there is no such object.
    CONDITIONS_NOT_SATISFIED = 0x6985, "conditions of use not satisfied: the object is missing or does not allow this";
    /// The object's policy forbids it.
    COMMAND_NOT_ALLOWED = 0x6986, "command not allowed by the object's policy";
    /// A tag is missing, unknown or has a wrong value.
    WRONG_DATA = 0x6A80, "wrong data: a field is missing, unknown or out of range";
    /// The part does not do this, or not in its life cycle state.
    FUNCTION_NOT_SUPPORTED = 0x6A81, "function not supported, or not in this life cycle state";
    /// No applet of this name.
    FILE_NOT_FOUND = 0x6A82, "no applet or file of this name";
    /// Memory is used up.
    NOT_ENOUGH_MEMORY = 0x6A84, "not enough memory";
    /// The parameters P1-P2 belong to no command.
    INCORRECT_P1_P2 = 0x6A86, "incorrect parameters P1-P2";
    /// What the command refers to is not there.
    REFERENCED_DATA_NOT_FOUND = 0x6A88, "referenced data not found";
    /// The instruction is not known.
    INSTRUCTION_NOT_SUPPORTED = 0x6D00, "instruction not supported";
    /// The class is not known.
    CLASS_NOT_SUPPORTED = 0x6E00, "class not supported";
    /// A failure without a diagnosis.
    NO_DIAGNOSIS = 0x6F00, "failure without a diagnosis";
}

impl StatusWord {
    /// More data waits for GET RESPONSE: 61xx, where xx is 00 for 256 bytes or more.
    #[must_use]
    pub fn more(left: usize) -> Self {
        Self(0x6100 | u16::from(u8::try_from(left).unwrap_or(0)))
    }

    /// How many bytes GET RESPONSE should ask for (1 to 256), when this is 61xx.
    #[must_use]
    pub fn waiting(self) -> Option<u32> {
        match self.0.to_be_bytes() {
            [0x61, 0] => Some(256),
            [0x61, count] => Some(u32::from(count)),
            _ => None,
        }
    }

    /// What the standard says that the value means.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.listed().unwrap_or(match self.0.to_be_bytes() {
            [0x61, _] => "success, more data waits for GET RESPONSE",
            [0x62, _] => "warning, memory unchanged",
            [0x63, low] if low & 0xf0 == 0xc0 => "verification failed, the low digit counts the tries left",
            [0x63, _] => "warning, memory changed",
            [0x64, _] => "execution error, memory unchanged",
            [0x65, _] => "execution error, memory changed",
            [0x6C, _] => "wrong Le, the low byte says the right one",
            _ => "a value that ISO/IEC 7816-4 does not list",
        })
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X} ({})", self.0, self.meaning())
    }
}

impl fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusWord({:04X})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_values_have_words() {
        assert_eq!(StatusWord(0x9000).to_string(), "9000 (success)");
        assert_eq!(
            StatusWord(0x63C2).to_string(),
            "63C2 (verification failed, the low digit counts the tries left)"
        );
        assert_eq!(StatusWord(0x1234).to_string(), "1234 (a value that ISO/IEC 7816-4 does not list)");
    }

    #[test]
    fn waiting_bytes_are_counted_up_to_256() {
        assert_eq!(StatusWord::more(5).waiting(), Some(5));
        assert_eq!(StatusWord::more(256).waiting(), Some(256));
        assert_eq!(StatusWord::more(70_000).waiting(), Some(256));
        assert_eq!(StatusWord::SUCCESS.waiting(), None);
    }
}
