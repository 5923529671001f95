//! Networks, and identities that alternate between them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use touchmark_identity::event::Peer;
use touchmark_identity::finding::Evidence;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::settings::Limits;

/// The network that an address belongs to: its autonomous system where known, else its /24 (IPv4) or /48 (IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Network {
    As(u32),
    V4([u8; 3]),
    V6([u16; 3]),
}

impl Network {
    pub(crate) fn of(peer: &Peer) -> Self {
        match peer.asn {
            Some(asn) => Self::As(asn.0),
            None => Self::of_ip(peer.ip),
        }
    }

    pub(crate) fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
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
    pub(crate) fn comparable(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// In eight bytes; 0 stands for none.
    pub(crate) fn packed(self) -> u64 {
        match self {
            Self::As(number) => 1 << 56 | u64::from(number),
            Self::V4([a, b, c]) => 2 << 56 | u64::from(u32::from_be_bytes([0, a, b, c])),
            Self::V6([a, b, c]) => 3 << 56 | u64::from(a) << 32 | u64::from(b) << 16 | u64::from(c),
        }
    }

    pub(crate) fn unpacked(packed: u64) -> Option<Self> {
        let [kind, _, a1, a0, b1, b0, c1, c0] = packed.to_be_bytes();
        match kind {
            1 => Some(Self::As(u32::from_be_bytes([b1, b0, c1, c0]))),
            2 => Some(Self::V4([b0, c1, c0])),
            3 => Some(Self::V6([[a1, a0], [b1, b0], [c1, c0]].map(u16::from_be_bytes))),
            _ => None,
        }
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

/// The network of a peer as findings name it: the autonomous system where known, else the /24 (IPv4) or /48 (IPv6).
#[must_use]
pub fn network_name(peer: &Peer) -> String {
    Network::of(peer).to_string()
}

/// Networks that are remembered for each identity.
const NETWORKS: usize = 4;
/// Stays that are remembered for each identity.
const STAYS: usize = 3;
/// Stands for no stay.
const NONE: u8 = u8::MAX;

/// The latest networks of an identity, and its latest stays in them: consecutive uses from one, in the order of their
/// time. A fixed record; moments are whole seconds since 1970.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Networks {
    /// The table: networks by place, packed.
    table: [u64; NETWORKS],
    first: [u32; STAYS],
    last: [u32; STAYS],
    /// When the newest connection was opened.
    pub(crate) connected: u32,
    /// Places in the table.
    stays: [u8; STAYS],
    /// Returns to an abandoned network, each within the window of the one before.
    returns: u8,
}

/// Two networks that alternate.
#[derive(Debug)]
pub(crate) struct Alternation {
    /// The network that was left and came back, and the one between.
    pub(crate) pair: [Network; 2],
    /// Their places.
    pub(crate) places: [u8; 2],
    /// First and last use of each, as far as remembered.
    pub(crate) seen: [(i64, i64); 2],
    /// Returns to an abandoned network, each within the window of the one before.
    pub(crate) returns: u8,
}

fn seconds(time: i64) -> u32 {
    u32::try_from(time.clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX)
}

impl Networks {
    pub(crate) const fn new() -> Self {
        Self {
            table: [0; NETWORKS],
            first: [0; STAYS],
            last: [0; STAYS],
            connected: 0,
            stays: [NONE; STAYS],
            returns: 0,
        }
    }

    /// The network in a place.
    pub(crate) fn at(&self, place: u8) -> Option<Network> {
        self.table.get(usize::from(place)).copied().and_then(Network::unpacked)
    }

    /// The networks of a set of places, a bit each.
    pub(crate) fn of(&self, places: u8) -> Vec<Network> {
        (0..4u8).filter(|place| places >> place & 1 == 1).filter_map(|place| self.at(place)).collect()
    }

    /// The place of a network, whether it is new there, and whether what stood there before has to be forgotten.
    pub(crate) fn place(&mut self, network: Network) -> (u8, bool, bool) {
        let packed = network.packed();
        let place = |at: usize| u8::try_from(at).unwrap_or(0);
        if let Some(at) = self.table.iter().position(|known| *known == packed) {
            return (place(at), false, false);
        }
        let free = self.table.iter().position(|known| *known == 0);
        // There are more places than stays, so one of them is in no stay.
        let unused = || (0..NETWORKS).find(|at| !self.stays.contains(&place(*at)));
        let at = free.or_else(unused).unwrap_or(0);
        if let Some(entry) = self.table.get_mut(at) {
            *entry = packed;
        }
        (place(at), true, free.is_none())
    }

    /// The network of the latest stay elsewhere.
    pub(crate) fn left(&self, place: u8) -> Option<u8> {
        self.stays.iter().rev().copied().find(|stay| *stay != place && *stay != NONE)
    }

    fn held(&self) -> usize {
        self.stays.iter().take_while(|place| **place != NONE).count()
    }

    fn stay(&self, at: usize) -> Option<(u8, u32, u32)> {
        Some((*self.stays.get(at)?, *self.first.get(at)?, *self.last.get(at)?))
    }

    /// Adds a use and says whether two networks alternate now. A use that is older than the latest stay can only
    /// lengthen the stay that it falls into.
    pub(crate) fn visit(
        &mut self,
        limits: &Limits,
        place: u8,
        time: i64,
        connected: bool,
    ) -> Option<Alternation> {
        let (held, now) = (self.held(), seconds(time));
        let Some((newest, first, last)) = held.checked_sub(1).and_then(|at| self.stay(at)) else {
            self.push(place, now);
            return None;
        };
        if newest == place {
            if let Some(at) = held.checked_sub(1) {
                self.last.get_mut(at).into_iter().for_each(|last| *last = (*last).max(now));
            }
            return None;
        }
        if now < first {
            for at in (0..held).rev() {
                if let Some((known, first, last)) = self.stay(at)
                    && known == place
                    && first <= now
                {
                    self.last.get_mut(at).into_iter().for_each(|end| *end = last.max(now));
                    break;
                }
            }
            return None;
        }
        let earlier = (0..held).rev().find(|at| self.stays.get(*at) == Some(&place));
        // An old connection that goes on for a moment is a handover, not a return.
        if !connected && earlier.is_some() && i64::from(now) - i64::from(first) < limits.handover_grace {
            return None;
        }
        let network = self.at(place)?;
        let returned = earlier.and_then(|at| {
            let (_, _, left) = self.stay(at)?;
            let between = *self.stays.get(at + 1)?;
            let comparable = self.at(between).is_some_and(|other| other.comparable(network));
            let in_time = i64::from(now) - i64::from(left) <= limits.alternation_window;
            (comparable && in_time).then_some(between)
        });
        match returned {
            Some(_) => self.returns = self.returns.saturating_add(1),
            None if i64::from(now) - i64::from(last) > limits.alternation_window => self.returns = 0,
            None => {}
        }
        self.push(place, now);
        let between = returned?;
        let seen = |place: u8| {
            let of = || (0..STAYS).filter_map(|at| self.stay(at)).filter(move |stay| stay.0 == place);
            let first = of().map(|stay| stay.1).min().unwrap_or(now);
            (i64::from(first), i64::from(of().map(|stay| stay.2).max().unwrap_or(now)))
        };
        Some(Alternation {
            pair: [network, self.at(between)?],
            places: [place, between],
            seen: [seen(place), seen(between)],
            returns: self.returns,
        })
    }

    fn push(&mut self, place: u8, now: u32) {
        let mut at = self.held();
        if at == STAYS {
            self.stays.rotate_left(1);
            self.first.rotate_left(1);
            self.last.rotate_left(1);
            at = STAYS - 1;
        }
        if let (Some(stay), Some(first), Some(last)) =
            (self.stays.get_mut(at), self.first.get_mut(at), self.last.get_mut(at))
        {
            (*stay, *first, *last) = (place, now, now);
        }
    }

    /// Takes over what another record of the same identity holds: its later stays.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let mut stays: Vec<(u32, u32, Network)> = Vec::new();
        for from in [&*self, other] {
            let of = (0..from.held()).filter_map(|at| from.stay(at));
            stays.extend(of.filter_map(|(place, first, last)| Some((first, last, from.at(place)?))));
        }
        stays.sort_by_key(|stay| stay.0);
        let skip = stays.len().saturating_sub(STAYS);
        let returns = self.returns.max(other.returns);
        let mut joined = Self { returns, ..Self::new() };
        for (first, last, network) in stays.into_iter().skip(skip) {
            let (place, ..) = joined.place(network);
            joined.push(place, first);
            if let Some(end) = joined.held().checked_sub(1).and_then(|at| joined.last.get_mut(at)) {
                *end = last;
            }
        }
        *self = joined;
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
    use proptest::prelude::*;
    use touchmark_identity::event::Asn;

    const MINUTE: i64 = 60;

    fn returns(visits: &[(i64, u32, bool)]) -> u8 {
        let limits = Limits::from(&Settings::default());
        let mut networks = Networks::new();
        let visit = |&(minute, asn, connected): &(i64, u32, bool)| {
            let (place, ..) = networks.place(Network::As(asn));
            networks.visit(&limits, place, minute * MINUTE, connected).map_or(0, |found| found.returns)
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
        let mut networks = Networks::new();
        for (second, asn, connected) in [(0, 1, true), (100, 2, true), (101, 1, false), (110, 2, false)] {
            let (place, ..) = networks.place(Network::As(asn));
            assert!(networks.visit(&limits, place, second, connected).is_none());
        }
    }

    proptest! {
        #[test]
        fn packing_keeps_the_network(asn: u32, v4: [u8; 3], v6: [u16; 3]) {
            for network in [Network::As(asn), Network::V4(v4), Network::V6(v6)] {
                prop_assert_eq!(Network::unpacked(network.packed()), Some(network));
            }
        }

        #[test]
        fn any_visits_keep_the_stays_in_order(visits in proptest::collection::vec((0..2_000i64, 0..6u32, any::<bool>()), 0..60)) {
            let limits = Limits::from(&Settings::default());
            let mut networks = Networks::new();
            for (second, asn, connected) in visits {
                let (place, ..) = networks.place(Network::As(asn));
                networks.visit(&limits, place, second, connected);
                prop_assert_eq!(networks.at(place), Some(Network::As(asn)));
                for at in 1..networks.held() {
                    prop_assert!(networks.first[at - 1] <= networks.first[at]);
                }
            }
        }
    }
}
