//! Names that are more than strings: what may stand in one is checked where it is made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing at all, or more than the format allows.
    #[error("{what} must have 1 to {max} characters, this one has {found}")]
    Length {
        /// Which name was read.
        what: &'static str,
        /// The largest number of characters allowed.
        max: usize,
        /// The number found.
        found: usize,
    },
    /// A character outside the allowed set.
    #[error(
        "{what} may hold letters, digits, '.', '_' and '-', and starts with a letter or digit; found {found:?}"
    )]
    Character {
        /// Which name was read.
        what: &'static str,
        /// The first offending character.
        found: char,
    },
}

fn checked(what: &'static str, max: usize, text: &str) -> Result<String, IdError> {
    let found = text.chars().count();
    if found == 0 || found > max {
        return Err(IdError::Length { what, max, found });
    }
    let allowed =
        |(place, c): (usize, char)| c.is_ascii_alphanumeric() || (place > 0 && matches!(c, '.' | '_' | '-'));
    match text.chars().enumerate().find(|&at| !allowed(at)) {
        Some((_, found)) => Err(IdError::Character { what, found }),
        None => Ok(text.to_owned()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Reads a name.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, too long, or holds a character that is not allowed.
            pub fn new(text: &str) -> Result<Self, IdError> {
                checked($what, $max, text).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
    };
}

name! {
    /// A device, as its operator calls it: 1 to 64 characters. It becomes the certificate's common name, whose
    /// upper bound is 64 (RFC 5280 appendix A.1, `ub-common-name`).
    DeviceId, "a device id", 64
}

name! {
    /// The kind of a device (`meter`, `charger`), on which baselines and rules depend: 1 to 32 characters.
    DeviceType, "a device type", 32
}

name! {
    /// A key's name inside its key store: 1 to 64 characters.
    KeyName, "a key name", 64
}

name! {
    /// A monotonic counter's name inside its key store: 1 to 64 characters.
    CounterName, "a counter name", 64
}

name! {
    /// A class break's name, such as `CVE-2017-15361`: 1 to 64 characters.
    ClassBreakId, "a class break's id", 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(DeviceId::new(""), Err(IdError::Length { what: "a device id", max: 64, found: 0 }));
        assert_eq!(DeviceId::new("-x"), Err(IdError::Character { what: "a device id", found: '-' }));
        assert_eq!(DeviceId::new("a/b"), Err(IdError::Character { what: "a device id", found: '/' }));
        assert!(DeviceType::new(&"x".repeat(33)).is_err());
    }

    proptest! {
        #[test]
        fn text_that_is_accepted_comes_back_unchanged(text in "\\PC{0,80}") {
            if let Ok(name) = DeviceId::new(&text) {
                prop_assert_eq!(name.as_str(), &text);
                let json = serde_json::to_string(&name).unwrap();
                prop_assert_eq!(serde_json::from_str::<DeviceId>(&json).unwrap(), name);
            }
        }

        #[test]
        fn the_allowed_alphabet_is_accepted(text in "[A-Za-z0-9][A-Za-z0-9._-]{0,63}") {
            prop_assert!(DeviceId::new(&text).is_ok());
        }
    }
}
