//! What a model is made of: expressions over inputs, each with its unit.
//!
//! A model is written once, as arithmetic on [`Expr`]. The same expression gives the likely value, a hundred thousand
//! sampled lives ([`crate::plan`]), what moves it most, and the way from each figure back to the inputs it comes from
//! ([`crate::report`]): no figure can be shown whose origin is not known.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Add, Div, Mul, Sub};
use std::rc::Rc;

use crate::unit::{One, Per, Times, Unit};

/// A quantity of the unit `U`, as an expression over inputs.
pub struct Expr<U> {
    node: Rc<Node>,
    unit: PhantomData<U>,
}

impl<U> Clone for Expr<U> {
    fn clone(&self) -> Self {
        Self { node: Rc::clone(&self.node), unit: PhantomData }
    }
}

impl<U> fmt::Debug for Expr<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expr").field("op", &self.node.op.word()).field("name", &self.node.name).finish()
    }
}

/// One step of an expression.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) op: Op,
    pub(crate) unit: &'static str,
    pub(crate) name: Option<Name>,
}

/// What a named step is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The figure's id, such as `cost.components`: lower-case words, digits, `-`, and `.` between parts.
    pub id: String,
    /// What people read.
    pub text: String,
}

/// What a step does.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// An input, by its key.
    Input(String),
    /// A number that holds by definition, and why.
    Defined(f64, &'static str),
    Add(Rc<Node>, Rc<Node>),
    Sub(Rc<Node>, Rc<Node>),
    Mul(Rc<Node>, Rc<Node>),
    Div(Rc<Node>, Rc<Node>),
    Min(Rc<Node>, Rc<Node>),
    Max(Rc<Node>, Rc<Node>),
    /// The next whole number.
    Ceil(Rc<Node>),
    /// The base to the power of the second.
    Power(Rc<Node>, Rc<Node>),
    /// 1 where the first is at least the second, else 0.
    AtLeast(Rc<Node>, Rc<Node>),
}

impl Op {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Input(_) => "input",
            Self::Defined(..) => "defined",
            Self::Add(..) => "+",
            Self::Sub(..) => "−",
            Self::Mul(..) => "×",
            Self::Div(..) => "÷",
            Self::Min(..) => "the smaller of",
            Self::Max(..) => "the larger of",
            Self::Ceil(_) => "rounded up",
            Self::Power(..) => "to the power of",
            Self::AtLeast(..) => "is at least",
        }
    }

    pub(crate) fn operands(&self) -> Vec<&Rc<Node>> {
        match self {
            Self::Input(_) | Self::Defined(..) => Vec::new(),
            Self::Ceil(a) => vec![a],
            Self::Add(a, b)
            | Self::Sub(a, b)
            | Self::Mul(a, b)
            | Self::Div(a, b)
            | Self::Min(a, b)
            | Self::Max(a, b)
            | Self::Power(a, b)
            | Self::AtLeast(a, b) => vec![a, b],
        }
    }
}

impl<U: Unit> Expr<U> {
    fn new(op: Op) -> Self {
        Self { node: Rc::new(Node { op, unit: U::NAME, name: None }), unit: PhantomData }
    }

    /// The input of this key; [`crate::input::Inputs::quantity`] makes sure that it is there and has this unit.
    pub(crate) fn input(key: &str) -> Self {
        Self::new(Op::Input(key.to_owned()))
    }

    /// A number that holds by definition, with the reason, such as "months in a year".
    #[must_use]
    pub fn defined(value: f64, reason: &'static str) -> Self {
        Self::new(Op::Defined(value, reason))
    }

    /// The same quantity as a figure that reports may show.
    #[must_use]
    pub fn named(&self, id: impl Into<String>, text: impl Into<String>) -> Self {
        let name = Name { id: id.into(), text: text.into() };
        let node = Node { op: self.node.op.clone(), unit: self.node.unit, name: Some(name) };
        Self { node: Rc::new(node), unit: PhantomData }
    }

    /// The smaller of two quantities.
    #[must_use]
    pub fn min(&self, other: &Self) -> Self {
        Self::new(Op::Min(self.rc(), other.rc()))
    }

    /// The larger of two quantities.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        Self::new(Op::Max(self.rc(), other.rc()))
    }

    /// The next whole number.
    #[must_use]
    pub fn ceil(&self) -> Self {
        Self::new(Op::Ceil(self.rc()))
    }

    /// How many times the other fits in.
    #[must_use]
    pub fn ratio(&self, other: &Self) -> Expr<One> {
        Expr::new(Op::Div(self.rc(), other.rc()))
    }

    /// The quantity times a factor.
    #[must_use]
    pub fn times(&self, factor: &Expr<One>) -> Self {
        Self::new(Op::Mul(self.rc(), factor.rc()))
    }

    /// The quantity divided by a factor.
    #[must_use]
    pub fn shared_by(&self, by: &Expr<One>) -> Self {
        Self::new(Op::Div(self.rc(), by.rc()))
    }

    /// 1 where this is at least the other, else 0: a condition inside a model.
    #[must_use]
    pub fn at_least(&self, other: &Self) -> Expr<One> {
        Expr::new(Op::AtLeast(self.rc(), other.rc()))
    }

    /// The sum of several; none gives zero.
    #[must_use]
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = all.into_iter().cloned();
        let Some(first) = all.next() else { return Self::defined(0.0, "nothing to add") };
        all.fold(first, |sum, one| sum + one)
    }

    /// The step itself, whatever its unit.
    #[must_use]
    pub fn node(&self) -> &Rc<Node> {
        &self.node
    }

    fn rc(&self) -> Rc<Node> {
        Rc::clone(&self.node)
    }
}

impl Expr<One> {
    /// This factor to a power.
    #[must_use]
    pub fn power(&self, exponent: &Self) -> Self {
        Self::new(Op::Power(self.rc(), exponent.rc()))
    }
}

impl<U: Unit> Add for Expr<U> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(Op::Add(self.node, other.node))
    }
}

impl<U: Unit> Sub for Expr<U> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(Op::Sub(self.node, other.node))
    }
}

impl<U: Unit + Times<V>, V: Unit> Mul<Expr<V>> for Expr<U> {
    type Output = Expr<U::Product>;
    fn mul(self, other: Expr<V>) -> Self::Output {
        Expr::new(Op::Mul(self.node, other.node))
    }
}

impl<U: Unit + Per<V>, V: Unit> Div<Expr<V>> for Expr<U> {
    type Output = Expr<U::Quotient>;
    fn div(self, other: Expr<V>) -> Self::Output {
        Expr::new(Op::Div(self.node, other.node))
    }
}

/// The steps of expressions, each once, operands before what uses them.
pub(crate) fn in_order<'a>(roots: impl IntoIterator<Item = &'a Rc<Node>>) -> Vec<Rc<Node>> {
    fn visit(node: &Rc<Node>, seen: &mut HashSet<*const Node>, order: &mut Vec<Rc<Node>>) {
        if seen.insert(Rc::as_ptr(node)) {
            for operand in node.op.operands() {
                visit(operand, seen, order);
            }
            order.push(Rc::clone(node));
        }
    }
    let (mut seen, mut order) = (HashSet::new(), Vec::new());
    for root in roots {
        visit(root, &mut seen, &mut order);
    }
    order
}
