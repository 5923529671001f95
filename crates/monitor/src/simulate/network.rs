//! Where a device is connected: cities, carriers, addresses, and how they change.
//!
//! Addresses come from the reserved block 240.0.0.0/4 and the documentation prefix 3fff::/20, AS numbers from the
//! private range above 4 200 000 000: nobody's network is named. The places are real cities.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::rng::{Rng, fraction, mix2, natural};
use super::scenario::NetworkMix;

/// Name of the country, and three cities in it as latitude and longitude; neighbours on the road are neighbours here.
const COUNTRIES: [(&str, [(f64, f64); 3]); 14] = [
    ("PT", [(38.72, -9.14), (41.15, -8.61), (37.02, -7.93)]),
    ("ES", [(37.39, -5.99), (40.42, -3.70), (41.39, 2.17)]),
    ("FR", [(43.30, 5.37), (45.76, 4.84), (48.86, 2.35)]),
    ("BE", [(50.85, 4.35), (51.22, 4.40), (50.63, 5.57)]),
    ("DE", [(50.94, 6.96), (50.11, 8.68), (52.52, 13.41)]),
    ("PL", [(52.41, 16.93), (52.23, 21.01), (50.06, 19.94)]),
    ("CZ", [(49.20, 16.61), (50.08, 14.44), (49.75, 13.38)]),
    ("AT", [(48.21, 16.37), (48.31, 14.29), (47.81, 13.04)]),
    ("IT", [(45.46, 9.19), (44.49, 11.34), (41.90, 12.50)]),
    ("GB", [(51.51, -0.13), (52.49, -1.89), (53.48, -2.24)]),
    ("US", [(40.71, -74.01), (41.88, -87.63), (37.77, -122.42)]),
    ("BR", [(-23.55, -46.63), (-22.91, -43.17), (-15.79, -47.88)]),
    ("IN", [(19.08, 72.88), (28.61, 77.21), (12.97, 77.59)]),
    ("SG", [(1.35, 103.82), (1.30, 103.80), (1.37, 103.75)]),
];
/// Number of cities.
pub(super) const CITIES: u16 = 42;
/// Carriers in each country: three mobile, two fixed, one of VPN egresses and satellite gateways.
const CARRIERS: u16 = 6;

fn country(city: u16) -> &'static (&'static str, [(f64, f64); 3]) {
    COUNTRIES.get(usize::from(city / 3)).unwrap_or(&COUNTRIES[0])
}

fn position(city: u16) -> (f64, f64) {
    country(city).1.get(usize::from(city % 3)).copied().unwrap_or((0.0, 0.0))
}

/// Longitude of a city, from which its local time follows.
pub(super) fn longitude(city: u16) -> f64 {
    position(city).1
}

/// How a device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Home,
    Cgnat,
    Vehicle,
    DualSim,
    Vpn,
    Satellite,
    Mvno,
}

/// The present connection of one instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) kind: Kind,
    v6: bool,
    daily: bool,
    /// On the second uplink.
    second: bool,
    /// The operator among those of its kind in a country.
    operators: [u8; 2],
    /// Where it is.
    pub(super) city: u16,
    /// Where its traffic leaves.
    egress: u16,
    day: u16,
    host: u32,
    privacy: u32,
    port: u16,
}

/// An address and what a network database says of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    pub(super) asn: u32,
    pub(super) country: &'static str,
    pub(super) lat: f64,
    pub(super) lon: f64,
}

fn small(number: u64, below: u64) -> u16 {
    u16::try_from(number.checked_rem(below).unwrap_or(0)).unwrap_or(0)
}

impl Link {
    pub(super) fn new(rng: &mut Rng, mix: &NetworkMix) -> Self {
        let shares = [
            (Kind::Home, mix.home),
            (Kind::Cgnat, mix.cgnat),
            (Kind::Vehicle, mix.vehicle),
            (Kind::DualSim, mix.dual_sim),
            (Kind::Vpn, mix.vpn),
            (Kind::Satellite, mix.satellite),
            (Kind::Mvno, mix.mvno),
        ];
        let mut rest = rng.unit() * shares.iter().map(|(_, share)| share).sum::<f64>();
        let kind = shares
            .iter()
            .find(|(_, share)| {
                rest -= share;
                rest < 0.0
            })
            .map_or(Kind::Home, |(kind, _)| *kind);
        // Ten European countries hold the fleet; attackers come from anywhere.
        let city = small(rng.next(), 30);
        Self::at(rng, mix, kind, city)
    }

    /// A connection of that kind in that city.
    pub(super) fn at(rng: &mut Rng, mix: &NetworkMix, kind: Kind, city: u16) -> Self {
        let first = u8::try_from(rng.below(3)).unwrap_or(0);
        let mut link = Self {
            kind,
            v6: rng.chance(mix.ipv6) && matches!(kind, Kind::Home | Kind::Cgnat),
            daily: rng.chance(mix.renumbered),
            second: false,
            operators: [first, (first + 1) % 3],
            city,
            egress: city,
            day: 0,
            host: 0,
            privacy: 0,
            port: 0,
        };
        link.renumber(rng);
        link.reconnect(rng);
        link
    }

    /// An attacker's own connection in another country.
    pub(super) fn abroad(self, rng: &mut Rng, mix: &NetworkMix) -> Self {
        let away = 3 + small(rng.next(), u64::from(CITIES) - 5);
        let city = (self.city / 3 * 3 + away) % CITIES;
        Self::at(rng, mix, Kind::Home, city)
    }

    /// An attacker's connection at the same carrier in the same city.
    pub(super) fn beside(self, rng: &mut Rng) -> Self {
        let mut link = self;
        link.renumber(rng);
        link.reconnect(rng);
        link
    }

    /// An attacker's connection in the same city at another carrier.
    pub(super) fn rival(self, rng: &mut Rng, mix: &NetworkMix) -> Self {
        let mut link = Self::at(rng, mix, Kind::Cgnat, self.city);
        link.operators = [(self.operators[0] + 1) % 3, self.operators[0]];
        link
    }

    /// The same connection seen through another port: behind the same router.
    pub(super) fn with_port_of(self, rng: &mut Rng) -> Self {
        let port = 1024 + small(rng.next(), 64_000);
        Self { port, ..self }
    }

    /// Takes another address of the same carrier.
    pub(super) fn renumber(&mut self, rng: &mut Rng) {
        self.host = u32::try_from(rng.next() >> 32).unwrap_or(0);
    }

    /// What changes with every connection: the port, and behind carrier NAT the egress.
    pub(super) fn reconnect(&mut self, rng: &mut Rng) {
        // Carrier NAT gives each customer a range of 2048 ports.
        let range = if self.kind == Kind::Home { 16_384 } else { 2048 };
        let base = u64::from(self.host % 24) * 2048 + 1024;
        self.port = small(base + rng.below(range), 65_535).max(1024);
        match self.kind {
            Kind::Cgnat | Kind::Vehicle | Kind::DualSim => {
                let other = if rng.chance(0.3) { small(rng.next(), 3) } else { self.city % 3 };
                self.egress = self.city / 3 * 3 + other;
            }
            // A roaming customer leaves at home; home is told by the operator, so it never changes.
            Kind::Mvno => {
                let home = (u16::from(self.operators[0]) * 5 + 2) % 10 * 3;
                self.egress = if self.second { self.city } else { home };
            }
            Kind::Home | Kind::Vpn | Kind::Satellite => {}
        }
    }

    /// Lets time pass. Returns whether the address has changed, which ends an open connection.
    pub(super) fn pass(&mut self, rng: &mut Rng, mix: &NetworkMix, days: f64, day: u16) -> bool {
        let mut changed = false;
        if day != self.day {
            self.day = day;
            self.privacy = u32::try_from(rng.next() >> 32).unwrap_or(0);
            changed = self.v6;
            if self.daily {
                self.renumber(rng);
                changed = true;
            }
        }
        let mut turns = |rate: f64| rng.chance(rate * days);
        match self.kind {
            Kind::Home => {
                let turn = if self.second { turns(24.0) } else { turns(mix.failover) };
                self.second ^= turn;
                changed |= turn;
            }
            Kind::Cgnat => changed |= turns(2.0),
            Kind::Vehicle => {
                if turns(3.0) {
                    let on = rng.chance(0.5);
                    self.city = if on { self.city + 1 } else { self.city + 29 } % 30;
                    changed = true;
                }
            }
            Kind::DualSim => {
                let turn = turns(mix.flaps);
                self.second ^= turn;
                changed |= turn;
            }
            Kind::Mvno => {
                let turn = if self.second { turns(10.0) } else { turns(1.0) };
                self.second ^= turn;
                changed |= turn;
            }
            Kind::Vpn | Kind::Satellite => {
                if turns(2.0) {
                    let hops = [0_u16, 12, 27];
                    self.egress = (self.city + hops.get(rng.place(3)).copied().unwrap_or(0)) % 30;
                    changed = true;
                }
            }
        }
        if changed {
            self.reconnect(rng);
        }
        changed
    }

    fn mobile(&self) -> bool {
        self.kind != Kind::Home || self.second
    }

    /// The carrier that is used at present.
    pub(super) fn carrier(&self) -> u16 {
        let country = self.egress / 3;
        let [first, second] = self.operators;
        let number = match self.kind {
            Kind::Vpn | Kind::Satellite => 5,
            Kind::Home if !self.second => 3 + u16::from(first % 2),
            Kind::DualSim if self.second => u16::from(second),
            _ => u16::from(first),
        };
        country * CARRIERS + number
    }

    /// The address, and what the network database of that day says of it.
    pub(super) fn seen(&self, mix: &NetworkMix, days: f64) -> Seen {
        let carrier = self.carrier();
        let place = u32::from(self.egress % 3);
        let base = 0xf000_0000 | u32::from(carrier) << 20;
        let v4 = if self.mobile() {
            // Sixty-four shared addresses an egress.
            base | 1 << 19 | place << 8 | (self.host % 64)
        } else {
            base | place << 17 | (self.host % (1 << 17))
        };
        let ip = if self.v6 && !self.second {
            let network = 0x3fff_0000_0000_0000_u64
                | u64::from(carrier) << 36
                | u64::from(place) << 32
                | u64::from(self.host);
            IpAddr::V6(Ipv6Addr::from_bits(
                u128::from(network) << 64 | u128::from(self.privacy) << 16 | u128::from(self.host & 0xffff),
            ))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(v4))
        };
        // The database knows prefixes of 24 bits; the update of the month moves some of them.
        let prefix = u64::from(v4 >> 8);
        let wrong = mix2(prefix, 11);
        let moved = mix2(prefix, 12);
        let mut city = self.egress;
        if fraction(wrong) < mix.geo_errors {
            city = small(wrong, u64::from(CITIES));
        }
        if days >= mix.geo_update_day && fraction(moved) < mix.geo_moves {
            city = small(moved, u64::from(CITIES));
        }
        let (lat, lon) = position(city);
        let shift = |stream| (fraction(mix2(prefix, stream)) - 0.5) * 0.4;
        let rounded = |degrees: f64| (degrees * 1e4).round() / 1e4;
        Seen {
            ip,
            port: self.port,
            asn: 4_200_000_000 + u32::from(carrier),
            country: country(city).0,
            lat: rounded(lat + shift(13)),
            lon: rounded(lon + shift(14)),
        }
    }
}

/// Local hour and day of the week at a place, from microseconds since 1970.
pub(super) fn local(at_us: i64, longitude: f64, summer: bool) -> (f64, u64) {
    let hours = natural((longitude / 15.0).round() + 24.0) + u64::from(summer);
    let seconds = at_us.unsigned_abs() / 1_000_000 + hours * 3600;
    let hour = f64::from(u32::try_from(seconds % 86_400).unwrap_or(0)) / 3600.0;
    // 1970-01-01 was a Thursday, and 24 hours were added above; 0 is Monday.
    (hour, (seconds / 86_400 + 2) % 7)
}
