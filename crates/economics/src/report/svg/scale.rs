//! Scales: where an axis begins and ends, and what is written along it.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::report::number::plain;

/// One axis: the values it spans and the ticks on it. Logarithmic ones are drawn as the logarithm to ten.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    logarithmic: bool,
    /// In drawn coordinates.
    pub(super) from: f64,
    /// In drawn coordinates.
    pub(super) to: f64,
    /// In drawn coordinates, with their labels.
    pub(super) ticks: Vec<(f64, String)>,
    /// Lines between the ticks.
    pub(super) fine: Vec<f64>,
}

impl Scale {
    /// A scale for these values with about so many ticks; `zero` says that it begins at zero where nothing is below.
    pub(super) fn new(
        values: impl Iterator<Item = f64>,
        logarithmic: bool,
        ticks: usize,
        zero: bool,
    ) -> Self {
        let values = values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
        let (mut low, mut high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        if logarithmic { Self::decades(low, high, ticks) } else { Self::even(low, high, ticks, zero) }
    }

    /// The same scale, ending where these values end.
    pub(super) fn tight(mut self, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter_map(|value| self.at(value))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at)));
        if low < high {
            (self.from, self.to) = (low, high);
            let room = (high - low) * 1e-9;
            self.ticks.retain(|(at, _)| *at >= low - room && *at <= high + room);
            self.fine.retain(|at| *at >= low && *at <= high);
        }
        self
    }

    /// A scale without ticks, for bars side by side.
    pub(super) fn places(count: usize) -> Self {
        Self { logarithmic: false, from: 0.0, to: count.max(1) as f64, ticks: Vec::new(), fine: Vec::new() }
    }

    fn decades(low: f64, high: f64, ticks: usize) -> Self {
        let from = (low.log10() + 1e-9).floor();
        let to = (high.log10() - 1e-9).ceil().max(from + 1.0);
        let count = to - from;
        let step = (count / ticks.max(1) as f64).ceil().max(1.0);
        let every =
            |step: f64| (0..=1000).map(move |n| from + step * f64::from(n)).take_while(move |at| *at <= to);
        let ticks = every(step).map(|at| (at, label(10_f64.powf(at), 10_f64.powf(at)))).collect();
        let fine = if count <= 6.0 {
            every(1.0)
                .flat_map(|at| (2..=9).map(move |n| at + f64::from(n).log10()))
                .filter(|at| *at < to)
                .collect()
        } else {
            every(1.0).collect()
        };
        Self { logarithmic: true, from, to, ticks, fine }
    }

    fn even(mut low: f64, mut high: f64, ticks: usize, zero: bool) -> Self {
        if zero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if high - low <= f64::EPSILON * high.abs().max(1.0) {
            high += high.abs().max(1.0);
        }
        let rough = (high - low) / ticks.max(1) as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|one| one * power);
        let step = step.into_iter().find(|one| *one >= rough * 0.999).unwrap_or(power * 10.0);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let largest = (first * step).abs().max((last * step).abs());
        let ticks: Vec<_> = (0..=100)
            .map(|n| first + f64::from(n))
            .take_while(|at| *at <= last + 0.5)
            .map(|at| (at * step, label(at * step, largest)))
            .collect();
        Self { logarithmic: false, from: first * step, to: last * step, ticks, fine: Vec::new() }
    }

    /// Where a value is drawn; `None` where a logarithmic scale has no place for it.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let at = if self.logarithmic { value.log10() } else { value };
        at.is_finite().then_some(at)
    }

    /// The widest label.
    pub(super) fn widest(&self, size: f64) -> f64 {
        self.ticks.iter().map(|(_, label)| super::text::width(label, size)).fold(0.0, f64::max)
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.from) / (self.to - self.from);
        #[expect(clippy::cast_possible_truncation, reason = "a place on the drawing, or far beside it")]
        let steps = (f64::from(to - from) * share).clamp(-1e6, 1e6).round() as i32;
        from + steps
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            self.fine.clone()
        } else {
            self.ticks.iter().map(|(at, _)| *at).collect()
        }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

/// A tick's label: `1,000`, `2.5 M`, `1 bn`, by the largest value of the axis.
fn label(value: f64, largest: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let (unit, word) = match largest.abs() {
        size if size < 999_999.0 => (1.0, ""),
        size if size < 999_999_999.0 => (1e6, " M"),
        size if size < 999_999_999_999.0 => (1e9, " bn"),
        _ => (1e12, " tn"),
    };
    format!("{}{word}", plain(value / unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decades_have_readable_labels() {
        let scale = Scale::new([3.0, 2_000_000.0].into_iter(), true, 10, false);
        let labels: Vec<_> = scale.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["1", "10", "100", "1,000", "10,000", "100,000", "1 M", "10 M"]);
    }

    #[test]
    fn an_even_scale_has_even_steps() {
        let scale = Scale::new([0.0, 2_340_000.0].into_iter(), false, 5, true);
        let labels: Vec<_> = scale.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0", "0.5 M", "1 M", "1.5 M", "2 M", "2.5 M"]);
    }

    proptest! {
        #[test]
        fn each_value_lies_on_the_scale(values in proptest::collection::vec(-1e9..1e9_f64, 1..9), ticks in 2..9_usize) {
            for (logarithmic, zero) in [(false, true), (false, false), (true, false)] {
                let scale = Scale::new(values.iter().copied(), logarithmic, ticks, zero);
                prop_assert!(scale.ticks.len() >= 2 && scale.ticks.len() <= 2 * ticks + 3, "{scale:?}");
                for value in values.iter().filter(|value| !logarithmic || **value > 0.0) {
                    let at = scale.at(*value).unwrap();
                    let room = (scale.to - scale.from) * 1e-6;
                    prop_assert!(at >= scale.from - room && at <= scale.to + room, "{value} {scale:?}");
                }
            }
        }
    }
}
