//! Numbers that look random and follow from a seed (the splitmix64 generator): for simulation, never for secrets.

/// A generator of eight bytes, so that every instance can have its own and nothing depends on the order of the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rng(u64);

/// Scatters a number over all 64 bits.
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One number from two.
pub(super) fn mix2(a: u64, b: u64) -> u64 {
    mix(mix(a) ^ b)
}

/// A fraction from a number, at least 0 and below 1.
pub(super) fn fraction(number: u64) -> f64 {
    let (high, low) = (number >> 32, (number >> 11) & 0x1f_ffff);
    let high = u32::try_from(high).unwrap_or(0);
    let low = u32::try_from(low).unwrap_or(0);
    (f64::from(high) + f64::from(low) / 2_097_152.0) / 4_294_967_296.0
}

/// The nearest whole number; out of range it is the nearest that can be held.
#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates, which is what is wanted")]
pub(super) fn whole(number: f64) -> i64 {
    number.round() as i64
}

/// As [`whole`], for numbers that are not negative.
pub(super) fn natural(number: f64) -> u64 {
    whole(number).max(0).unsigned_abs()
}

impl Rng {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Self(mix2(seed, stream))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// At least 0 and below 1.
    pub(super) fn unit(&mut self) -> f64 {
        fraction(self.next())
    }

    /// Below `bound`; 0 where the bound is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// A place in a list of that length.
    pub(super) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// Time to the next of events that happen at random, `mean` apart.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Microseconds to the next of events that happen `per_day` times a day; effectively never at 0.
    pub(super) fn wait_us(&mut self, per_day: f64) -> i64 {
        if per_day > 0.0 { whole(self.exponential(86_400e6 / per_day)).max(1) } else { NEVER }
    }
}

/// Later than anything, and far from overflow when added to a time.
pub(super) const NEVER: i64 = i64::MAX / 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_even_and_waits_have_their_mean() {
        let mut rng = Rng::new(7, 1);
        let mean = (0..100_000).map(|_| rng.unit()).sum::<f64>() / 100_000.0;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        let wait = (0..100_000).map(|_| rng.exponential(10.0)).sum::<f64>() / 100_000.0;
        assert!((wait - 10.0).abs() < 0.2, "{wait}");
        assert!((0..1000).all(|_| rng.below(7) < 7));
        assert_eq!(rng.below(0), 0);
    }
}
