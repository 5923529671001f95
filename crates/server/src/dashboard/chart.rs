//! What the drawings share: one axis of time, its ticks, and words for lengths of time.

use maud::{Markup, html};
use touchmark_identity::timestamp::Timestamp;

/// Width of a drawing in its own units.
pub(super) const WIDTH: f64 = 960.0;
/// Where the time begins: names stand left of it.
pub(super) const LEFT: f64 = 132.0;
/// Where the time ends.
pub(super) const RIGHT: f64 = 944.0;
/// No axis has more ticks than this.
const MOST_TICKS: i64 = 8;
const SECOND: i64 = 1_000_000;
/// Steps that people read easily, in seconds.
const STEPS: [i64; 20] = [
    1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800,
    2_592_000, 31_536_000,
];

/// A stretch of time laid out from [`LEFT`] to [`RIGHT`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    from: i64,
    length: i64,
}

impl Axis {
    pub(super) fn new((from, to): (Timestamp, Timestamp)) -> Self {
        let from = from.micros();
        Self { from, length: to.micros().saturating_sub(from).max(SECOND) }
    }

    /// Where a moment is drawn; what lies outside is drawn at the edge.
    #[expect(clippy::cast_precision_loss, reason = "a place on a drawing needs no more than three digits")]
    pub(super) fn x(self, at: Timestamp) -> f64 {
        let share = at.micros().saturating_sub(self.from) as f64 / self.length as f64;
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// The moments that get a tick.
    fn ticks(self) -> (i64, Vec<Timestamp>) {
        let fits = |step: &i64| self.length / (step * SECOND) <= MOST_TICKS;
        let step = STEPS.into_iter().find(fits).unwrap_or(self.length / SECOND / MOST_TICKS) * SECOND;
        let first = self.from.div_euclid(step) + 1;
        let end = self.from.saturating_add(self.length);
        let moments = (first..).map(|number| number * step).take_while(|at| *at <= end).take(16);
        (step, moments.map(Timestamp::from_micros).collect())
    }

    /// Ticks from `top` to `bottom` with their labels below.
    pub(super) fn drawn(self, top: f64, bottom: f64) -> Markup {
        let (step, ticks) = self.ticks();
        html! {
            g.axis-time {
                @for at in ticks {
                    @let x = figure(self.x(at));
                    @let text = label(at, step);
                    line x1=(x) y1=(figure(top)) x2=(x) y2=(figure(bottom)) {}
                    text x=(x) y=(figure(bottom + 16.0)) text-anchor="middle" { (text) }
                }
                line.base x1=(figure(LEFT)) y1=(figure(bottom)) x2=(figure(RIGHT)) y2=(figure(bottom)) {}
            }
        }
    }
}

/// A tick's label: the date where the step is a day or longer or at midnight, else the time.
fn label(at: Timestamp, step: i64) -> String {
    let exact = at.to_string();
    let midnight = at.micros() % (86_400 * SECOND) == 0;
    let part = if midnight || step >= 86_400 * SECOND {
        exact.get(5..10)
    } else if step < 60 * SECOND {
        exact.get(11..19)
    } else {
        exact.get(11..16)
    };
    part.unwrap_or(&exact).to_owned()
}

/// A number in a drawing, to a tenth of a unit.
pub(super) fn figure(value: f64) -> String {
    format!("{value:.1}")
}

/// A length of time in one or two units.
pub(super) fn duration(ms: i64) -> String {
    let sign = if ms < 0 { "−" } else { "" };
    let seconds = ms.unsigned_abs() / 1_000;
    let text = match seconds {
        0 if ms.unsigned_abs() > 0 => format!("{} ms", ms.unsigned_abs()),
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    format!("{sign}{text}")
}

/// The time of day of a moment, to the second.
pub(super) fn clock(at: Timestamp) -> String {
    let exact = at.to_string();
    exact.get(11..19).unwrap_or(&exact).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_read_well() {
        assert_eq!(duration(0), "0 s");
        assert_eq!(duration(450), "450 ms");
        assert_eq!(duration(-90_000), "−90 s");
        assert_eq!(duration(900_000), "15 min");
        assert_eq!(duration(i64::MAX), "106751991167 d");
    }

    proptest! {
        #[test]
        fn every_moment_lands_on_the_drawing(from: i64, length: i64, at: i64) {
            let from = Timestamp::from_micros(from);
            let to = Timestamp::from_micros(from.micros().saturating_add(length));
            let axis = Axis::new((from, to));
            let x = axis.x(Timestamp::from_micros(at));
            prop_assert!((LEFT..=RIGHT).contains(&x));
            prop_assert!(axis.ticks().1.len() <= 16);
        }

        #[test]
        fn ticks_are_few_and_inside(length in 1i64..100_000_000) {
            let from = Timestamp::from_micros(1_795_213_800_000_000);
            let axis = Axis::new((from, Timestamp::from_micros(from.micros() + length * SECOND)));
            let (_, ticks) = axis.ticks();
            prop_assert!(ticks.len() <= 9, "{}", ticks.len());
            prop_assert!(ticks.iter().all(|at| *at > from));
        }
    }
}
