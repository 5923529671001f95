//! Two units' worth of connections: two networks, each with a beat of its own.
//!
//! For identities of which nothing is known but that they connect. A device that connects about every so many seconds
//! and changes its network keeps its beat: the next connection comes when it is due, wherever from. Where a second
//! device uses the identity, both beat: each network has connections when they are due by its own last one, and they
//! come between those of the other, much too early for one device.
//!
//! What has no beat says nothing here, and neither does a device that used two networks from the beginning: it has to
//! have kept a beat in one network first.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::network::Network;

/// Beats in one network before a second one is compared with them.
pub(crate) const SETTLED_BEATS: u8 = 8;
/// Connections within so many seconds are one use: retries, parallel connections.
const ONE_USE: i64 = 30;
/// A beat that misses its moment by more than this part of the period (one in so many) is out of step.
const IN_STEP: i64 = 7;
/// Two beats of one period are apart by at least this part of it, one in so many.
const APART: i64 = 12;
/// A period that is forgotten when it is longer than this: two days, in seconds.
const LONGEST: i64 = 2 * 86_400;
/// A beat may be left out so many times and is still known, less one.
const LEFT_OUT: i64 = 4;
/// What each pair of beats adds, in decibans.
const PAIR_DECIBANS: u32 = 12;
/// From so many pairs of beats on it is taken for certain.
pub(crate) const CERTAIN_PAIRS: u32 = 5;
/// From so many pairs on it is said.
const SAID_PAIRS: u32 = 4;

/// Whether `gap` is one period, or a small multiple of it, because beats were left out.
fn due(gap: i64, period: i64) -> bool {
    period > 0 && (1..=LEFT_OUT).any(|times| (gap - times * period).abs() <= period / IN_STEP)
}

/// The beat of an identity that stays in one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Beat {
    /// Seconds from one use to the next, smoothed; 0 while unknown.
    pub(crate) period: u16,
    /// Uses in turn that came when they were due, up to 255.
    pub(crate) kept: u8,
}

impl Beat {
    /// One more use, `gap` seconds after the one before.
    pub(crate) fn note(&mut self, gap: i64) {
        if gap < ONE_USE {
            return;
        }
        let period = i64::from(self.period);
        if due(gap, period) {
            self.kept = self.kept.saturating_add(1);
            if (gap - period).abs() <= period / IN_STEP {
                self.period = u16::try_from(period + (gap - period) / 8).unwrap_or(u16::MAX);
            }
            return;
        }
        self.kept = self.kept.saturating_sub(SETTLED_BEATS / 2);
        if self.kept == 0 {
            self.period = u16::try_from(gap).unwrap_or(0);
        }
    }

    fn settled(self) -> Option<i64> {
        (self.kept >= SETTLED_BEATS && self.period != 0).then_some(i64::from(self.period))
    }
}

/// The beats of two networks. Moments and lengths in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Rhythm {
    /// Packed; the habitual network first.
    pub(crate) networks: [u64; 2],
    pub(crate) last: [u32; 2],
    pub(crate) period: [u32; 2],
    /// The beat before the second network showed.
    pub(crate) before: u32,
    /// For later use; 0.
    pub(crate) spare: u32,
    /// When the habitual network was known first, and the other one.
    pub(crate) since: [u32; 2],
    /// Beats of each network that came when due and too early for one device.
    pub(crate) kept: [u32; 2],
}

/// Two networks that each keep a beat of their own.
#[derive(Debug)]
pub(crate) struct TwoBeats {
    pub(crate) networks: [Network; 2],
    pub(crate) periods: [u32; 2],
    pub(crate) seen: [(i64, i64); 2],
    pub(crate) pairs: u32,
    pub(crate) decibans: f64,
}

fn narrow(seconds: i64) -> u32 {
    u32::try_from(seconds.clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX)
}

impl Rhythm {
    /// A second network showed, for an identity whose beat is settled.
    pub(crate) fn begin(beat: Beat, habitual: Network, last: i64, other: Network, now: i64) -> Option<Self> {
        let before = narrow(beat.settled()?);
        habitual.comparable(other).then(|| Self {
            networks: [habitual.packed(), other.packed()],
            last: [narrow(last), narrow(now)],
            period: [before, before],
            before,
            spare: 0,
            kept: [0, 0],
            since: [narrow(last - i64::from(before) * i64::from(beat.kept)), narrow(now)],
        })
    }

    /// A use from a network.
    pub(crate) fn note(&mut self, network: Network, now: i64) -> Option<TwoBeats> {
        let side = self.side(network, now)?;
        let gap = |last: u32| now - i64::from(last);
        let [own, other] = if side == 0 { self.last } else { [self.last[1], self.last[0]] };
        let (own_gap, other_gap) = (gap(own), gap(other));
        if !(ONE_USE..=LONGEST).contains(&own_gap) {
            self.set_last(side, now);
            return None;
        }
        let period = i64::from(if side == 0 { self.period[0] } else { self.period[1] });
        let before = i64::from(self.before);
        let in_turn = other > own;
        let in_step = due(own_gap, period);
        let early = (ONE_USE..before - before / 4).contains(&other_gap) && !due(other_gap, before);
        // Twice in each period of the beat that there was before, at moments that are apart.
        let apart = (before / APART).max(ONE_USE);
        let twice =
            (own_gap - before).abs() <= before / IN_STEP && (apart..=own_gap - apart).contains(&other_gap);
        let early = in_turn && (early || twice);
        let kept = if side == 0 { &mut self.kept[0] } else { &mut self.kept[1] };
        if in_step && early {
            *kept = kept.saturating_add(1);
        } else if in_turn && !in_step {
            *kept = kept.saturating_sub(2);
        }
        let next = match in_step {
            true if (own_gap - period).abs() <= period / IN_STEP => period + (own_gap - period) / 4,
            false if *kept == 0 => own_gap,
            _ => period,
        };
        if side == 0 {
            self.period[0] = narrow(next);
        } else {
            self.period[1] = narrow(next);
        }
        let said = in_step && early;
        let first = self.since;
        self.set_last(side, now);
        let pairs = self.kept[0].min(self.kept[1]);
        if !said || pairs < SAID_PAIRS {
            return None;
        }
        Some(TwoBeats {
            networks: [Network::unpacked(self.networks[0])?, Network::unpacked(self.networks[1])?],
            periods: self.period,
            seen: [0, 1].map(|at: usize| {
                let of = |moments: [u32; 2]| i64::from(if at == 0 { moments[0] } else { moments[1] });
                (of(first), of(self.last))
            }),
            pairs,
            decibans: f64::from(PAIR_DECIBANS.saturating_mul(pairs.min(CERTAIN_PAIRS))),
        })
    }

    fn set_last(&mut self, side: usize, now: i64) {
        if side == 0 {
            self.last[0] = self.last[0].max(narrow(now));
        } else {
            self.last[1] = self.last[1].max(narrow(now));
        }
    }

    /// Whose beat it is. A network that is neither of the two takes the place of the one whose beat is due, if one
    /// alone is. One that is not due either is the second one from then on, if those before kept one beat between them.
    fn side(&mut self, network: Network, now: i64) -> Option<usize> {
        let packed = network.packed();
        if let Some(side) = self.networks.iter().position(|known| *known == packed) {
            return Some(side);
        }
        let due_on = |last: u32, period: u32| due(now - i64::from(last), i64::from(period));
        match (due_on(self.last[0], self.period[0]), due_on(self.last[1], self.period[1])) {
            (true, false) => {
                self.networks[0] = packed;
                Some(0)
            }
            (false, true) => {
                self.networks[1] = packed;
                Some(1)
            }
            (false, false) if self.kept == [0, 0] => {
                let [first, second] = self.last;
                let [one, other] = self.networks;
                let (latest, last) = if second > first { (other, second) } else { (one, first) };
                let since = self.since.iter().copied().min().unwrap_or(last);
                self.networks = [latest, packed];
                (self.last, self.since) = ([last, narrow(now)], [since, narrow(now)]);
                self.period = [self.before; 2];
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    const HOME: Network = Network::As(64_500);
    const AWAY: Network = Network::As(64_501);

    fn settled() -> Beat {
        let mut beat = Beat::default();
        (0..12).for_each(|n| beat.note(HOUR + n % 3 * 20));
        beat
    }

    fn pairs(uses: &[(i64, Network)]) -> u32 {
        let mut rhythm = Rhythm::begin(settled(), HOME, 0, AWAY, uses[0].0).unwrap();
        uses[1..]
            .iter()
            .filter_map(|(now, network)| rhythm.note(*network, *now))
            .map(|two| two.pairs)
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_beat_settles_and_is_lost() {
        assert!(settled().settled().is_some());
        let mut irregular = Beat::default();
        [100, 4_000, 900, 30_000, 77, 12_000, 350, 9_000, 2_000, 700]
            .iter()
            .for_each(|gap| irregular.note(*gap));
        assert_eq!(irregular.settled(), None);
    }

    #[test]
    fn two_beats_are_two_units() {
        let mut uses = Vec::new();
        for n in 0..8 {
            uses.push((n * HOUR + 1_300 + n % 4 * 30, AWAY));
            uses.push(((n + 1) * HOUR + n % 3 * 40, HOME));
        }
        assert!(pairs(&uses) >= CERTAIN_PAIRS);
    }

    #[test]
    fn one_device_with_two_uplinks_keeps_one_beat() {
        let uses: Vec<_> = (1..40).map(|n| (n * HOUR, if n % 2 == 1 { AWAY } else { HOME })).collect();
        assert_eq!(pairs(&uses), 0);
        let uses: Vec<_> =
            (1..60).map(|n| (n * HOUR + n % 5 * 30, if n * n % 7 < 3 { AWAY } else { HOME })).collect();
        assert_eq!(pairs(&uses), 0);
    }

    #[test]
    fn alarms_over_another_uplink_have_no_beat() {
        let mut uses = vec![(500, AWAY)];
        for n in 1..40i64 {
            uses.push((n * HOUR, HOME));
            uses.push((n * HOUR + 200 + n * n * 577 % 2_900, AWAY));
        }
        assert_eq!(pairs(&uses), 0);
    }

    #[test]
    fn a_second_device_ten_minutes_after_the_first_is_found() {
        let uses: Vec<_> = (1..12).flat_map(|n| [(n * HOUR, HOME), (n * HOUR + 600, AWAY)]).collect();
        assert!(pairs(&uses[1..]) >= CERTAIN_PAIRS);
        // Within the jitter of the beat it may be one device over two uplinks.
        let uses: Vec<_> = (1..12).flat_map(|n| [(n * HOUR, HOME), (n * HOUR + 120, AWAY)]).collect();
        assert_eq!(pairs(&uses[1..]), 0);
    }

    #[test]
    fn a_network_of_before_does_not_hide_the_second_device() {
        let third = Network::As(64_502);
        let mut uses = vec![(HOUR, AWAY), (2 * HOUR, HOME), (3 * HOUR, HOME)];
        uses.extend((4..14).flat_map(|n| [(n * HOUR, HOME), (n * HOUR + 1_500, third)]));
        assert!(pairs(&uses) >= CERTAIN_PAIRS);
    }

    #[test]
    fn a_change_of_network_is_followed_by_the_beat() {
        let mut rhythm = Rhythm::begin(settled(), HOME, 0, AWAY, 1_000).unwrap();
        assert!(rhythm.note(Network::As(7), HOUR).is_none());
        assert_eq!(rhythm.networks, [Network::As(7).packed(), AWAY.packed()]);
    }
}
