//! Which country an address is registered in: for people who read a finding, never for a rule.
//!
//! A table of countries is part of the program ([`Countries`]); an operator's database may stand in its place
//! ([`Geography::of`]), and [`Geography::none`] switches it off. The engine takes nothing of it: moves between countries
//! are routine (roaming, carrier gateways, satellite), and a table errs. So the country is looked up when a finding is
//! shown, which costs a replay nothing, and another table changes no finding.
//!
//! ```
//! use touchmark_monitor::geography::Geography;
//!
//! let geography = Geography::built_in();
//! let country = |network: &str| geography.country_of_network(network).map(|country| country.to_string());
//! assert_eq!(country("133.11.0.0/24").as_deref(), Some("JP"));
//! assert_eq!(country("192.168.1.0/24"), None);
//! ```

mod build;
mod table;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

pub use build::{BuildError, build};
pub use table::{Countries, CountriesError};

/// A country: two upper-case letters (ISO 3166-1 alpha-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    fn of_bytes(letters: [u8; 2]) -> Option<Self> {
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.0.map(char::from);
        write!(f, "{first}{second}")
    }
}

/// A text that is no country.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no country; it has two letters, A to Z")]
pub struct UnknownCountry {
    /// What was read, at most 32 characters.
    pub text: String,
}

impl FromStr for Country {
    type Err = UnknownCountry;

    fn from_str(text: &str) -> Result<Self, UnknownCountry> {
        let letters = <[u8; 2]>::try_from(text.as_bytes()).ok().and_then(Self::of_bytes);
        letters.ok_or_else(|| UnknownCountry { text: text.chars().take(32).collect() })
    }
}

type LookUp = dyn Fn(IpAddr) -> Option<Country> + Send + Sync;

/// Says in which country an address is. Clones share what they look it up in.
#[derive(Clone)]
pub struct Geography(Option<Arc<LookUp>>);

impl fmt::Debug for Geography {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Geography(..)" } else { "Geography(none)" })
    }
}

impl Geography {
    /// The table that is part of the program. It is read at the first look-up, in some milliseconds.
    #[must_use]
    pub fn built_in() -> Self {
        Self::of(|ip| Countries::built_in().country(ip))
    }

    /// Knows no country.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Another source, such as an operator's database.
    #[must_use]
    pub fn of(look_up: impl Fn(IpAddr) -> Option<Country> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(look_up)))
    }

    /// The country of an address.
    #[must_use]
    pub fn country(&self, ip: IpAddr) -> Option<Country> {
        self.0.as_ref().and_then(|look_up| look_up(ip))
    }

    /// The country of a network as findings name it, such as `192.0.2.0/24`: where its first and its last address are in
    /// one country, that. An autonomous system (`AS64500`) is in none.
    #[must_use]
    pub fn country_of_network(&self, network: &str) -> Option<Country> {
        let (first, last) = ends(network)?;
        self.country(first).filter(|country| self.country(last) == Some(*country))
    }

    /// The countries of some networks, in alphabetic order, each once.
    #[must_use]
    pub fn countries<'a>(&self, networks: impl IntoIterator<Item = &'a String>) -> Vec<Country> {
        let mut found: Vec<Country> =
            networks.into_iter().filter_map(|network| self.country_of_network(network)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The first and the last address of a prefix.
fn ends(prefix: &str) -> Option<(IpAddr, IpAddr)> {
    let (ip, length) = prefix.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    match ip.parse().ok()? {
        IpAddr::V4(ip) => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            let [first, last] = [u32::from(ip) & !host, u32::from(ip) | host].map(Ipv4Addr::from);
            (length <= 32).then_some((first.into(), last.into()))
        }
        IpAddr::V6(ip) => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            let [first, last] = [u128::from(ip) & !host, u128::from(ip) | host].map(Ipv6Addr::from);
            (length <= 128).then_some((first.into(), last.into()))
        }
    }
}

#[cfg(test)]
mod tests;
