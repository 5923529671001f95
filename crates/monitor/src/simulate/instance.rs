//! One machine that uses an identity: a device, or a copy of what a device keeps in its storage.

use super::network::{Kind, Link};
use super::rng::{NEVER, Rng, mix2, natural, whole};
use super::scenario::{DeviceType, NetworkMix, Scenario};

/// A second in microseconds.
pub(super) const SECOND: i64 = 1_000_000;
/// A day in microseconds.
pub(super) const DAY: i64 = 86_400 * SECOND;

/// What the storage holds; a copy takes it, and a rollback brings an older one back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flash {
    pub(super) counter: u64,
    /// 0: none.
    pub(super) token: u64,
    pub(super) boots: u64,
    pub(super) firmware: u16,
    /// Seed of the key's digest.
    pub(super) key: u64,
    /// Seed of the certificate's digest.
    pub(super) certificate: u64,
}

/// Traits that do not change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traits {
    pub(super) flaky: bool,
    pub(super) forgetful: bool,
    pub(super) resets_counter: bool,
    pub(super) rtc_reset: bool,
    pub(super) gateway: bool,
    /// The key can be copied, whatever the registry says.
    pub(super) copyable: bool,
    pub(super) registered: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Instance {
    pub(super) rng: Rng,
    /// When it acts next; a heap entry with another time is stale.
    pub(super) next: i64,
    pub(super) last: i64,
    pub(super) device: u32,
    pub(super) kind: u16,
    /// 0 is the device itself.
    pub(super) copy: u8,
    pub(super) traits: Traits,
    pub(super) flash: Flash,
    pub(super) older: Flash,
    pub(super) booted: i64,
    /// Its oscillator's error, as a factor on elapsed time.
    pub(super) skew: f64,
    pub(super) clock_error: i64,
    pub(super) next_reboot: i64,
    pub(super) reset_day: u16,
    pub(super) offline_until: i64,
    pub(super) kept: u32,
    pub(super) link: Link,
    pub(super) source: u32,
    /// 0: none is open.
    pub(super) session: u64,
    pub(super) session_began: i64,
    pub(super) session_until: i64,
    /// The firmware that it gets, and when.
    pub(super) update: (u16, i64),
    /// The attack it takes part in: its place in the list of truths, plus one.
    pub(super) truth: u32,
    pub(super) ends: i64,
    /// The message that a replayer has recorded: counter, uptime, token.
    pub(super) recorded: Option<(u64, u64, u64)>,
    /// The token that it presented last.
    pub(super) presented: u64,
    /// Size of messages against the type's mean.
    pub(super) size: f64,
}

impl Instance {
    pub(super) fn new(scenario: &Scenario, kinds: &[DeviceType], seed: u64, start: i64, device: u32) -> Self {
        let mut rng = Rng::new(seed, u64::from(device));
        let mut rest = rng.unit() * kinds.iter().map(|kind| kind.share).sum::<f64>();
        let place = kinds
            .iter()
            .position(|kind| {
                rest -= kind.share;
                rest < 0.0
            })
            .unwrap_or(0);
        let fallback = DeviceType::default();
        let kind = kinds.get(place).unwrap_or(&fallback);
        let (life, noise) = (&scenario.life, &scenario.noise);
        let chip = kind.storage != touchmark_identity::assurance::Storage::Software;
        let traits = Traits {
            flaky: rng.chance(life.flaky),
            forgetful: rng.chance(life.forgetful),
            resets_counter: rng.chance(life.counter_resets),
            rtc_reset: rng.chance(noise.rtc_reset),
            gateway: rng.chance(noise.gateway),
            copyable: !chip || rng.chance(kind.wrong_claims),
            registered: rng.chance(kind.registered),
        };
        let mix = kind.networks.as_ref().unwrap_or(&scenario.networks);
        let link = Link::new(&mut rng, mix);
        let rate = if traits.flaky { life.flaky_reboots } else { kind.reboots };
        let up = if rate > 0.0 { rng.exponential(1.0 / rate) } else { life.uptime_days };
        let flash = Flash {
            counter: rng.below(life.past_counts),
            token: if kind.tokens { rng.next() | 1 } else { 0 },
            boots: rng.below(400) + 1,
            firmware: 40,
            key: mix2(seed ^ 0x6b65, u64::from(device)),
            certificate: mix2(seed ^ 0x6365, u64::from(device)),
        };
        let first = start + whole(rng.unit() * kind.period_s * 1e6);
        let mut instance = Self {
            rng,
            next: first,
            last: start,
            device,
            kind: u16::try_from(place).unwrap_or(0),
            copy: 0,
            traits,
            flash,
            older: flash,
            booted: start - whole(up.min(life.uptime_days) * 86_400e6),
            skew: 0.0,
            clock_error: 0,
            next_reboot: NEVER,
            reset_day: 0,
            offline_until: 0,
            kept: 0,
            link,
            source: 0,
            session: 0,
            session_began: 0,
            session_until: 0,
            update: (0, NEVER),
            truth: 0,
            ends: NEVER,
            recorded: None,
            presented: flash.token,
            size: 1.0,
        };
        instance.skew = instance.rng.between(-1.0, 1.0) * noise.ppm * 1e-6;
        instance.clock_error = whole(instance.rng.between(-5e6, 5e6));
        instance.next_reboot = start + instance.rng.wait_us(rate);
        instance.source =
            u32::try_from(instance.rng.below(u64::from(scenario.sources.count.max(1)))).unwrap_or(0);
        instance
    }

    /// Milliseconds since its boot by its own oscillator.
    pub(super) fn uptime_ms(&self, kind: &DeviceType, at: i64) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "centuries of microseconds are exact in a float")]
        let elapsed = (at - self.booted).max(0) as f64 * (1.0 + self.skew) / 1000.0;
        let ms = natural(elapsed);
        if kind.uptime_wraps { ms & 0xffff_ffff } else { ms }
    }

    /// Boots at that moment.
    pub(super) fn reboot(&mut self, scenario: &Scenario, kind: &DeviceType, at: i64) {
        let life = &scenario.life;
        self.booted = at;
        self.flash.boots += 1;
        self.session = 0;
        if self.traits.forgetful {
            let lost = self.rng.below(life.lost_counts + 1);
            self.flash.counter = self.flash.counter.saturating_sub(lost);
        }
        let rate = if self.traits.flaky { life.flaky_reboots } else { kind.reboots };
        self.next_reboot = at + self.rng.wait_us(rate);
    }

    /// A copy of its storage that runs elsewhere: its own boot, clock and connection.
    pub(super) fn copied(&self, seed: u64, number: u8, at: i64, link: Link) -> Self {
        let mut rng = Rng::new(seed ^ 0x636f_7079, u64::from(self.device) << 8 | u64::from(number));
        let skew = rng.between(-1.0, 1.0) * 5e-5;
        let mut flash = self.flash;
        flash.boots += 1;
        Self {
            rng,
            next: at,
            last: at,
            copy: number,
            traits: Traits { copyable: self.traits.copyable, ..Traits::default() },
            flash,
            older: flash,
            booted: at - whole(rng.between(20e6, 300e6)),
            skew,
            next_reboot: at + rng.wait_us(0.1),
            offline_until: 0,
            link,
            session: 0,
            update: (0, NEVER),
            recorded: None,
            ..*self
        }
    }
}

/// What a type's own networks are, or those of the scenario.
pub(super) fn mix_of<'a>(scenario: &'a Scenario, kind: &'a DeviceType) -> &'a NetworkMix {
    kind.networks.as_ref().unwrap_or(&scenario.networks)
}

/// An attacker's network for a whole fleet of copies.
pub(super) fn fleet_link(rng: &mut Rng, mix: &NetworkMix) -> Link {
    let mut link = Link::at(rng, mix, Kind::Home, 37);
    link.renumber(rng);
    link
}
