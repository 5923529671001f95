//! What a name in a chip belongs to.

/// Chips number their objects; a name of one kind is another object than the same name of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Key,
    Counter,
    Ratchet,
    Object,
}

impl Kind {
    /// The word in errors, and in front of the name that is hashed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Counter => "counter",
            Self::Ratchet => "ratchet",
            Self::Object => "object",
        }
    }
}
