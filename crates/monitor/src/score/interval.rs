//! Intervals and quantiles.

use serde::{Deserialize, Serialize};

use super::Delay;

/// The two ends of a 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The 0.975 quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's score interval for `of` out of `all`; the whole of 0 to 1 where `all` is 0.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub fn wilson(of: u64, all: u64) -> Interval {
    if all == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let n = all as f64;
    let share = of.min(all) as f64 / n;
    let denominator = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / denominator;
    let half = Z / denominator * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At the ends rounding must not leave out the share itself.
    Interval { low: (centre - half).clamp(0.0, share), high: (centre + half).clamp(share, 1.0) }
}

/// A rate of rare events per `unit` of exposure, with its 95 % interval: the rule of three at zero, otherwise the
/// Wilson-Hilferty approximation of the exact Poisson interval (within 1 % from one event on).
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn rate(count: u64, exposure: f64, unit: f64) -> (f64, Interval) {
    if exposure <= 0.0 {
        return (0.0, Interval { low: 0.0, high: f64::MAX });
    }
    let scale = unit / exposure;
    if count == 0 {
        return (0.0, Interval { low: 0.0, high: 3.0 * scale });
    }
    let n = count as f64;
    let low = n * (1.0 - 1.0 / (9.0 * n) - Z / (3.0 * n.sqrt())).max(0.0).powi(3);
    let m = n + 1.0;
    let high = m * (1.0 - 1.0 / (9.0 * m) + Z / (3.0 * m.sqrt())).powi(3);
    (n * scale, Interval { low: low * scale, high: high * scale })
}

/// Median and ninth tenth by nearest rank.
pub(super) fn delay(mut values: Vec<f64>) -> Delay {
    values.sort_by(f64::total_cmp);
    let rank = |tenths: usize| values.get((values.len() * tenths).div_ceil(10).saturating_sub(1)).copied();
    Delay { median: rank(5), p90: rank(9) }
}
