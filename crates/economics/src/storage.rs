//! Where to keep a device's key: options ranked, each with the rules and sources behind it.
//!
//! A [`profile`] says what is known of a device; [`rules`] are data (`data/economics/rules.toml`), each with a source and a
//! [`condition`] on the profile. [`decision`] ranks the options by what the rules say, and finds out what would change the
//! first place by asking again with each field changed. Before any of that, [`crate::shared`] looks for secrets that open
//! other devices: no chip makes up for them.

pub mod condition;
pub mod decision;
pub mod field;
pub mod profile;
mod report;
pub mod rules;

pub use self::decision::{Decision, decide};
pub use self::profile::Profile;
pub use self::report::report;
pub use self::rules::Rules;
use crate::error::Text;

/// The worked example: the profile that is taken where none is given.
pub const EXAMPLE: Text<'static> = Text {
    file: "data/economics/profiles/charger.toml",
    text: include_str!("../../../data/economics/profiles/charger.toml"),
};

#[cfg(test)]
mod tests;
