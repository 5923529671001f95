//! Revocation methods and certificate lifetimes, and what each costs with one's own and with a managed authority.
//!
//! With a managed authority both can move more money than the chip: issuing is nearly free above some thousands of
//! certificates a month, asking for their status is not, nor are certificates of a few days. [`Service`] is one such choice
//! over the life of a fleet, as expressions; [`Table`] compares lifetimes, methods and authorities.

mod section;
mod service;
mod table;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub(crate) use self::section::section;
pub use self::service::{Part, Service};
pub use self::table::{CostValue, ExposureValue, Row, RowValues, Table};
use crate::EconomicsError;

/// Whose authority issues the certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authority {
    /// A managed one, by its price list.
    #[default]
    Managed,
    /// One's own, with its people and its HSMs.
    Own,
}

/// How relying parties learn that a certificate is not to be believed any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// From a list.
    #[default]
    Crl,
    /// By asking for each certificate.
    Ocsp,
    /// Not at all: the certificate ends soon.
    None,
}

macro_rules! words {
    ($type:ident: $what:literal, $($choice:ident = $word:literal, $title:literal;)*) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$choice),*];

            /// The word that arguments, forms and ids use.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$choice => $word),* }
            }

            /// The words that reports use.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$choice => $title),* }
            }
        }

        impl std::str::FromStr for $type {
            type Err = EconomicsError;

            fn from_str(word: &str) -> Result<Self, EconomicsError> {
                Self::ALL.iter().copied().find(|one| one.word() == word).ok_or_else(|| EconomicsError::Argument {
                    what: format!(concat!("`{}` is no ", $what), word),
                    remedy: format!("take one of: {}", Self::ALL.iter().map(|one| one.word()).collect::<Vec<_>>().join(", ")),
                })
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(crate) use words;

words! { Authority: "kind of authority",
    Managed = "managed", "a managed authority";
    Own = "own", "one's own authority";
}

words! { Revocation: "method of revocation",
    Crl = "crl", "revocation lists";
    Ocsp = "ocsp", "OCSP";
    None = "none", "no revocation";
}
