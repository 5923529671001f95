//! Networks, and identities that alternate between them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use touchmark_identity::event::Peer;
use touchmark_identity::finding::{EventRef, Evidence};

use crate::settings::Limits;

/// The network that an address belongs to: its autonomous system where known, else its /24 (IPv4) or /48 (IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Network {
    As(u32),
    V4([u8; 3]),
    V6([u16; 3]),
}

impl Network {
    pub(crate) fn of(peer: &Peer) -> Self {
        if let Some(asn) = peer.asn {
            return Self::As(asn.0);
        }
        match peer.ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                Self::V6([a, b, c])
            }
        }
    }

    /// Whether a difference between the two says anything: a device with IPv4 and IPv6 uses both from one place, and a
    /// look-up that fails now and then gives a system number or not.
    fn comparable(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::As(number) => write!(f, "AS{number}"),
            Self::V4([a, b, c]) => write!(f, "{}/24", Ipv4Addr::new(a, b, c, 0)),
            Self::V6([a, b, c]) => write!(f, "{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)),
        }
    }
}

/// Stays that are remembered for each identity.
pub(crate) const STAYS: usize = 8;

/// A stay in one network: consecutive uses from there.
#[derive(Debug, Clone)]
pub(crate) struct Stay {
    pub(crate) network: Network,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) began: EventRef,
}

/// The latest stays of an identity, in the order of their event time.
#[derive(Debug, Default)]
pub(crate) struct Stays(Vec<Stay>);

/// Two networks that alternate.
#[derive(Debug)]
pub(crate) struct Alternation {
    /// The network that was in use before, and the one that broke in.
    pub(crate) pair: [Network; 2],
    /// First and last use of each in the window.
    pub(crate) seen: [(i64, i64); 2],
    /// Returns to an abandoned network within the window.
    pub(crate) returns: u32,
    /// The event with which the other network appeared.
    pub(crate) began: (i64, EventRef),
}

impl Stays {
    /// Adds a use and says whether two networks alternate now.
    pub(crate) fn visit(
        &mut self,
        limits: &Limits,
        network: Network,
        time: i64,
        connected: bool,
        began: impl FnOnce() -> EventRef,
    ) -> Option<Alternation> {
        let place = self.0.iter().rposition(|stay| stay.first <= time).map_or(0, |at| at + 1);
        if let Some(stay) = place.checked_sub(1).and_then(|at| self.0.get_mut(at)) {
            if stay.network == network {
                stay.last = stay.last.max(time);
                return None;
            }
            // An old connection that goes on for a moment is a handover, not a return.
            let held = self.0.iter().any(|stay| stay.network == network);
            let newest = self.0.get(place.saturating_sub(1)).map_or(0, |stay| stay.first);
            if !connected && held && time - newest < limits.handover_grace {
                return None;
            }
        }
        if let Some(next) = self.0.get_mut(place).filter(|next| next.network == network) {
            next.first = time;
            return None;
        }
        self.0.insert(place, Stay { network, first: time, last: time, began: began() });
        if self.0.len() > STAYS {
            self.0.remove(0);
        }
        self.alternation(limits, network)
    }

    /// Returns are counted within one window before the newest stay.
    fn alternation(&self, limits: &Limits, network: Network) -> Option<Alternation> {
        let newest = self.0.last()?.first;
        let stays: Vec<&Stay> = self.0.iter().filter(|stay| stay.network.comparable(network)).collect();
        let mut returns = 0;
        let mut began: Option<(&Stay, &Stay)> = None;
        for (at, stay) in stays.iter().enumerate() {
            let before = stays.iter().take(at);
            let Some(earlier) = before.clone().rposition(|other| other.network == stay.network) else {
                continue;
            };
            let Some(left) = stays.get(earlier) else { continue };
            let Some(between) = stays.get(earlier + 1).filter(|_| earlier + 1 < at) else { continue };
            if stay.first - left.last <= limits.alternation_window
                && newest - stay.first <= limits.alternation_window
            {
                returns += 1;
                began.get_or_insert((left, between));
            }
        }
        let (home, other) = began?;
        let seen = |network| {
            let of = || stays.iter().filter(move |stay| stay.network == network);
            (of().map(|s| s.first).min().unwrap_or(newest), of().map(|s| s.last).max().unwrap_or(newest))
        };
        Some(Alternation {
            pair: [home.network, other.network],
            seen: [seen(home.network), seen(other.network)],
            returns,
            began: (other.first, other.began.clone()),
        })
    }

    /// Takes over what another record of the same identity holds.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_by_key(|stay| stay.first);
        let excess = self.0.len().saturating_sub(STAYS);
        self.0.drain(..excess);
    }
}

impl Alternation {
    /// How much the alternation says: two returns weigh as much as the prior, more add little, because one cause (a
    /// second uplink) explains many as well as two.
    pub(crate) fn evidence(&self) -> Evidence {
        let [a, b] = self.pair;
        let decibans = match self.returns {
            0 => 0.0,
            1 => 20.0,
            more => (40.0 + 4.0 * f64::from(more - 2)).min(52.0),
        };
        Evidence {
            sign: "network.alternation".to_owned(),
            decibans,
            group: "network".to_owned(),
            says: format!(
                "it came back to a network that it had left, {} times, between {a} and {b}",
                self.returns
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use touchmark_identity::event::{Asn, RawDigest};

    const MINUTE: i64 = 60_000;

    fn returns(visits: &[(i64, u32, bool)]) -> u32 {
        let limits = Limits::from(&Settings::default());
        let mut stays = Stays::default();
        let began = || EventRef { source: "s".to_owned(), event_id: None, sha256: RawDigest([0; 32]) };
        let visit = |&(minute, asn, connected): &(i64, u32, bool)| {
            stays
                .visit(&limits, Network::As(asn), minute * MINUTE, connected, began)
                .map_or(0, |found| found.returns)
        };
        visits.iter().map(visit).max().unwrap_or(0)
    }

    #[test]
    fn networks_in_words() {
        let peer = |ip: &str| Peer::at(ip.parse().unwrap());
        assert_eq!(Network::of(&peer("192.0.2.7")).to_string(), "192.0.2.0/24");
        assert_eq!(Network::of(&peer("::ffff:192.0.2.7")).to_string(), "192.0.2.0/24");
        assert_eq!(Network::of(&peer("2001:db8:1:2::7")).to_string(), "2001:db8:1::/48");
        assert_eq!(Network::of(&Peer { asn: Some(Asn(64500)), ..peer("192.0.2.7") }).to_string(), "AS64500");
    }

    #[test]
    fn interleaved_uses_return_and_moves_do_not() {
        assert_eq!(returns(&[(0, 1, true), (5, 2, true), (10, 1, true), (15, 2, true)]), 2);
        assert_eq!(returns(&[(0, 1, true), (5, 2, true), (10, 2, true), (15, 2, true)]), 0, "a move");
        assert_eq!(
            returns(&[(0, 1, true), (180, 2, true), (400, 1, true), (700, 2, true)]),
            0,
            "slow roaming"
        );
        assert_eq!(
            returns(&[
                (0, 1, true),
                (5, 2, true),
                (9, 1, true),
                (600, 1, true),
                (700, 2, true),
                (705, 1, true)
            ]),
            1
        );
    }

    #[test]
    fn a_handover_is_not_a_return() {
        let limits = Limits::from(&Settings::default());
        let mut stays = Stays::default();
        let began = || EventRef { source: "s".to_owned(), event_id: None, sha256: RawDigest([0; 32]) };
        for (second, asn, connected) in [(0, 1, true), (100, 2, true), (101, 1, false), (110, 2, false)] {
            assert!(stays.visit(&limits, Network::As(asn), second * 1_000, connected, began).is_none());
        }
    }
}
