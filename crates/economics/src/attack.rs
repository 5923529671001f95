//! What an attack on many devices costs the attacker.
//!
//! `C(N) = F + N × (a + m)` where each device has to be attacked by itself: `F` is equipment and the work until the method
//! stands, `a` getting hold of a device, `m` laboratory time and material. Where the devices share a secret, one attack opens
//! all: `C(N) = F + (a + m)` for every `N`. Where public data or the network are enough, `a` is nothing.
//!
//! The figures come from published attacks ([`catalogue`], `data/economics/attacks.toml`), where these state any; everything
//! else is assumed, and says so.

pub mod catalogue;
pub mod model;
mod report;

pub use self::catalogue::{Attack, Catalogue};
pub use self::model::{Costs, Sharing};
pub use self::report::report;

#[cfg(test)]
mod tests;
