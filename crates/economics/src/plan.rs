//! A model made ready to be computed: once, for many sampled lives, or with one input moved.

use std::collections::HashMap;
use std::rc::Rc;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};

use crate::error::EconomicsError;
use crate::expr::{Expr, Node, Op, in_order};
use crate::input::Inputs;
use crate::unit::Unit;

/// Lives that are computed side by side.
const BLOCK: usize = 256;

/// One step over the results of earlier ones.
#[derive(Debug, Clone, Copy)]
enum Step {
    Input(usize),
    Defined(f64),
    Add(usize, usize),
    Sub(usize, usize),
    Mul(usize, usize),
    Div(usize, usize),
    Min(usize, usize),
    Max(usize, usize),
    Ceil(usize),
    Power(usize, usize),
    AtLeast(usize, usize),
}

/// What an input may be, for sampling.
#[derive(Debug, Clone)]
struct Range {
    key: String,
    low: f64,
    likely: f64,
    high: f64,
}

/// A model's steps in order, and what goes in and comes out.
#[derive(Debug, Clone)]
pub struct Plan {
    steps: Vec<Step>,
    inputs: Vec<Range>,
    roots: Vec<usize>,
}

/// What one input does to an outcome, everything else being likely.
#[derive(Debug, Clone, PartialEq)]
pub struct Swing {
    /// The input's key.
    pub key: String,
    /// The outcome at its lowest value.
    pub at_low: f64,
    /// The outcome at its highest value.
    pub at_high: f64,
}

impl Swing {
    /// How far the outcome moves.
    #[must_use]
    pub fn width(&self) -> f64 {
        (self.at_high - self.at_low).abs()
    }
}

/// The outcome of many lives.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    /// The value under which this share of the lives lies: `0.05` for the lowest twentieth. Of none it is 0.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list, from a share between 0 and 1"
        )]
        let at = ((self.sorted.len().saturating_sub(1)) as f64 * share.clamp(0.0, 1.0)).round() as usize;
        self.sorted.get(at).copied().unwrap_or(0.0)
    }

    /// The mean of all lives.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count of lives")]
    pub fn mean(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.sorted.len().max(1) as f64
    }

    /// How many lives.
    #[must_use]
    pub fn lives(&self) -> usize {
        self.sorted.len()
    }

    /// The share of lives in which the outcome is above a value.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count of lives")]
    pub fn share_above(&self, value: f64) -> f64 {
        let below = self.sorted.partition_point(|one| *one <= value);
        (self.sorted.len() - below) as f64 / self.sorted.len().max(1) as f64
    }

    /// The outcomes, ascending.
    #[must_use]
    pub fn sorted(&self) -> &[f64] {
        &self.sorted
    }
}

impl Plan {
    /// The plan for these outcomes.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn new<U: Unit>(roots: &[Expr<U>], inputs: &Inputs) -> Result<Self, EconomicsError> {
        let nodes: Vec<_> = roots.iter().map(|root| Rc::clone(root.node())).collect();
        Self::of_nodes(&nodes, inputs)
    }

    pub(crate) fn of_nodes(roots: &[Rc<Node>], inputs: &Inputs) -> Result<Self, EconomicsError> {
        let order = in_order(roots);
        let mut place: HashMap<*const Node, usize> = HashMap::with_capacity(order.len());
        let mut keys: HashMap<String, usize> = HashMap::new();
        let mut plan = Self { steps: Vec::with_capacity(order.len()), inputs: Vec::new(), roots: Vec::new() };
        for node in &order {
            // Operands come before what uses them, so each has its place.
            let at = |operand: &Rc<Node>| place.get(&Rc::as_ptr(operand)).copied().unwrap_or(0);
            let step = match &node.op {
                Op::Input(key) => {
                    let number = match keys.get(key) {
                        Some(number) => *number,
                        None => {
                            let input = inputs.get(key).ok_or_else(|| EconomicsError::Input {
                                key: key.clone(),
                                wanted: node.unit,
                                found: "and is not there".to_owned(),
                            })?;
                            let (low, likely, high) = (input.low, input.likely, input.high);
                            plan.inputs.push(Range { key: key.clone(), low, likely, high });
                            keys.insert(key.clone(), plan.inputs.len() - 1);
                            plan.inputs.len() - 1
                        }
                    };
                    Step::Input(number)
                }
                Op::Defined(value, _) => Step::Defined(*value),
                Op::Add(a, b) => Step::Add(at(a), at(b)),
                Op::Sub(a, b) => Step::Sub(at(a), at(b)),
                Op::Mul(a, b) => Step::Mul(at(a), at(b)),
                Op::Div(a, b) => Step::Div(at(a), at(b)),
                Op::Min(a, b) => Step::Min(at(a), at(b)),
                Op::Max(a, b) => Step::Max(at(a), at(b)),
                Op::Ceil(a) => Step::Ceil(at(a)),
                Op::Power(a, b) => Step::Power(at(a), at(b)),
                Op::AtLeast(a, b) => Step::AtLeast(at(a), at(b)),
            };
            place.insert(Rc::as_ptr(node), plan.steps.len());
            plan.steps.push(step);
        }
        plan.roots = roots.iter().filter_map(|root| place.get(&Rc::as_ptr(root)).copied()).collect();
        Ok(plan)
    }

    /// The inputs that the outcomes depend on.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|range| range.key.as_str())
    }

    /// The outcomes with every input at its likely value.
    #[must_use]
    pub fn likely(&self) -> Vec<f64> {
        self.at(&self.inputs.iter().map(|range| range.likely).collect::<Vec<_>>())
    }

    /// The outcomes with one input at a value, the others likely. A key that is not an input changes nothing.
    #[must_use]
    pub fn with(&self, key: &str, value: f64) -> Vec<f64> {
        let value = |range: &Range| if range.key == key { value } else { range.likely };
        self.at(&self.inputs.iter().map(value).collect::<Vec<_>>())
    }

    fn at(&self, inputs: &[f64]) -> Vec<f64> {
        let columns: Vec<[f64; 1]> = inputs.iter().map(|value| [*value]).collect();
        let mut results = vec![[0.0; 1]; self.steps.len()];
        self.compute(&columns, &mut results);
        self.roots.iter().filter_map(|root| results.get(*root)).map(|[value]| *value).collect()
    }

    /// What each input does to the outcome of a number, the widest first.
    #[must_use]
    pub fn tornado(&self, outcome: usize) -> Vec<Swing> {
        let one = |key: &str, value: f64| self.with(key, value).get(outcome).copied().unwrap_or(0.0);
        let mut swings: Vec<_> = self
            .inputs
            .iter()
            .filter(|range| range.low < range.high)
            .map(|range| Swing {
                key: range.key.clone(),
                at_low: one(&range.key, range.low),
                at_high: one(&range.key, range.high),
            })
            .filter(|swing| swing.width() > 0.0)
            .collect();
        swings.sort_by(|a, b| b.width().total_cmp(&a.width()).then_with(|| a.key.cmp(&b.key)));
        swings
    }

    /// The value of an input at which an outcome is zero, everything else being likely; `None` where it crosses zero
    /// nowhere between `from` and `to`.
    #[must_use]
    pub fn break_even(&self, outcome: usize, key: &str, (from, to): (f64, f64)) -> Option<f64> {
        let value = |at: f64| self.with(key, at).get(outcome).copied().unwrap_or(0.0);
        let (mut low, mut high) = (from, to);
        let rises = match (value(low), value(high)) {
            (a, b) if a <= 0.0 && b >= 0.0 => true,
            (a, b) if a >= 0.0 && b <= 0.0 => false,
            _ => return None,
        };
        // Each round halves the interval; after 200 it is as narrow as numbers get.
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if (value(middle) >= 0.0) == rises {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(f64::midpoint(low, high))
    }

    /// The outcomes of `lives` sampled lives: each input is drawn from the triangle over its low, likely and high value,
    /// all independently. The same seed gives the same lives on every machine, and an input's draws do not depend on
    /// which other inputs there are.
    #[must_use]
    pub fn sample(&self, lives: usize, seed: u64) -> Vec<Spread> {
        let mut sources: Vec<_> = self.inputs.iter().map(|range| generator(seed, &range.key)).collect();
        let mut columns = vec![[0.0; BLOCK]; self.inputs.len()];
        let mut results = vec![[0.0; BLOCK]; self.steps.len()];
        let mut outcomes: Vec<Vec<f64>> = self.roots.iter().map(|_| Vec::with_capacity(lives)).collect();
        let mut left = lives;
        while left > 0 {
            for ((range, source), column) in self.inputs.iter().zip(&mut sources).zip(&mut columns) {
                for value in column.iter_mut() {
                    *value = range.at(unit_interval(source));
                }
            }
            self.compute(&columns, &mut results);
            let taken = left.min(BLOCK);
            for (root, outcome) in self.roots.iter().zip(&mut outcomes) {
                if let Some(values) = results.get(*root).and_then(|column| column.get(..taken)) {
                    outcome.extend_from_slice(values);
                }
            }
            left -= taken;
        }
        outcomes
            .into_iter()
            .map(|mut sorted| {
                sorted.sort_unstable_by(f64::total_cmp);
                Spread { sorted }
            })
            .collect()
    }

    /// All steps for `N` lives side by side. Both slices have the length that the plan gives them.
    fn compute<const N: usize>(&self, inputs: &[[f64; N]], results: &mut [[f64; N]]) {
        for (at, step) in self.steps.iter().enumerate() {
            let (done, rest) = results.split_at_mut(at);
            let Some(out) = rest.first_mut() else { return };
            let of = |place: usize| done.get(place).unwrap_or(&[0.0; N]);
            match *step {
                Step::Input(number) => *out = inputs.get(number).copied().unwrap_or([0.0; N]),
                Step::Defined(value) => *out = [value; N],
                Step::Add(a, b) => each(out, of(a), of(b), |a, b| a + b),
                Step::Sub(a, b) => each(out, of(a), of(b), |a, b| a - b),
                Step::Mul(a, b) => each(out, of(a), of(b), |a, b| a * b),
                // What is shared among none is nothing: a fleet without devices costs nothing for each.
                Step::Div(a, b) => each(out, of(a), of(b), |a, b| if b == 0.0 { 0.0 } else { a / b }),
                Step::Min(a, b) => each(out, of(a), of(b), f64::min),
                Step::Max(a, b) => each(out, of(a), of(b), f64::max),
                Step::Ceil(a) => each(out, of(a), of(a), |a, _| a.ceil()),
                Step::Power(a, b) => each(out, of(a), of(b), f64::powf),
                Step::AtLeast(a, b) => each(out, of(a), of(b), |a, b| f64::from(u8::from(a >= b))),
            }
        }
    }
}

fn each<const N: usize>(out: &mut [f64; N], a: &[f64; N], b: &[f64; N], f: impl Fn(f64, f64) -> f64) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = f(*a, *b);
    }
}

impl Range {
    /// The value below which the share `u` of a triangular distribution lies.
    fn at(&self, u: f64) -> f64 {
        let (low, likely, high) = (self.low, self.likely, self.high);
        let width = high - low;
        if width <= 0.0 {
            return likely;
        }
        if u < (likely - low) / width {
            low + (u * width * (likely - low)).sqrt()
        } else {
            high - ((1.0 - u) * width * (high - likely)).sqrt()
        }
    }
}

/// The numbers of one input: its own stream of the seed, by its key.
fn generator(seed: u64, key: &str) -> Pcg64Mcg {
    // FNV-1a; it has to be the same everywhere, and no more.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Pcg64Mcg::seed_from_u64(seed ^ hash)
}

/// A number from 0 up to 1, without 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits are what a f64 holds")]
fn unit_interval(source: &mut Pcg64Mcg) -> f64 {
    (source.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests;
