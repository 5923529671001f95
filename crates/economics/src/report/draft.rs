//! A report while it is written: it collects the figures that are shown, and where each comes from.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::error::EconomicsError;
use crate::expr::{Expr, Node, Op, in_order};
use crate::input::{Inputs, Origin};
use crate::plan::Plan;
use crate::report::{Block, Chart, Figure, FigureOrigin, Report, Span};
use crate::source::{Grade, Source};
use crate::unit::Unit;

/// A report that is being written.
#[derive(Debug)]
pub struct Draft<'a> {
    inputs: &'a Inputs,
    roots: Vec<Rc<Node>>,
    /// Figures that are no expressions: stated by a source, or drawn from many lives.
    others: BTreeMap<String, Figure>,
    blocks: Vec<Block>,
    currency: Option<Currency>,
}

/// Money is shown in this currency.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Currency {
    code: String,
    /// The input that says how much of it one US dollar is.
    rate: String,
}

impl<'a> Draft<'a> {
    /// An empty one over these inputs.
    #[must_use]
    pub fn new(inputs: &'a Inputs) -> Self {
        Self { inputs, roots: Vec::new(), others: BTreeMap::new(), blocks: Vec::new(), currency: None }
    }

    /// Shows money in another currency, by an input that says how much of it one US dollar is.
    pub fn in_currency(&mut self, code: &str, rate: &str) {
        self.currency = Some(Currency { code: code.to_owned(), rate: rate.to_owned() });
    }

    /// The inputs.
    #[must_use]
    pub fn inputs(&self) -> &'a Inputs {
        self.inputs
    }

    /// Shows an expression: an input, or one that is named. One without a name is shown under its own formula.
    pub fn show<U: Unit>(&mut self, expr: &Expr<U>) -> Span {
        self.roots.push(Rc::clone(expr.node()));
        Span::Figure { id: id_of(expr.node()) }
    }

    /// Shows an input by its key.
    ///
    /// # Errors
    /// EC-0002 where there is none.
    pub fn show_input(&mut self, key: &str) -> Result<Span, EconomicsError> {
        let Some(input) = self.inputs.get(key) else {
            return Err(EconomicsError::Input {
                key: key.to_owned(),
                wanted: "any unit",
                found: "and is not there".to_owned(),
            });
        };
        let node = Node { op: Op::Input(key.to_owned()), unit: input.unit, name: None };
        self.roots.push(Rc::new(node));
        Ok(Span::Figure { id: key.to_owned() })
    }

    /// Shows the lowest and the highest value of an input by its key.
    ///
    /// # Errors
    /// EC-0002 where there is none.
    pub fn show_range(&mut self, key: &str) -> Result<Span, EconomicsError> {
        self.show_input(key)?;
        Ok(Span::Range { id: key.to_owned() })
    }

    /// Shows an input by its key, and its range where it has one: `likely (lowest to highest)`.
    ///
    /// # Errors
    /// EC-0002 where there is none.
    pub fn show_with_range(&mut self, key: &str) -> Result<Vec<Span>, EconomicsError> {
        let mut spans = vec![self.show_input(key)?];
        if self.inputs.get(key).is_some_and(|input| input.low < input.high) {
            spans.extend([Span::text(" ("), self.show_range(key)?, Span::text(")")]);
        }
        Ok(spans)
    }

    /// Shows a value that was computed outside of expressions from figures that are named: a quantile of many lives, a
    /// count, a solution.
    pub fn show_value(
        &mut self,
        id: &str,
        text: &str,
        (value, unit): (f64, &str),
        how: &str,
        from: &[&str],
    ) -> Span {
        let from = from.iter().map(|id| (*id).to_owned()).collect();
        let origin = FigureOrigin::Calculated { formula: how.to_owned(), from };
        self.other(id, text, value, unit, origin)
    }

    /// Shows a figure that a source states and no model takes as an input.
    pub fn show_stated(
        &mut self,
        id: &str,
        text: &str,
        (value, unit): (f64, &str),
        source: &str,
        grade: Grade,
    ) -> Span {
        let (date, note) = (String::new(), String::new());
        let origin = FigureOrigin::Source { source: source.to_owned(), grade, date, note };
        self.other(id, text, value, unit, origin)
    }

    /// Shows what the user gave, which is no input of a model: a choice of a profile.
    pub fn show_given(
        &mut self,
        id: &str,
        text: &str,
        (value, unit): (f64, &str),
        file: &str,
        line: usize,
    ) -> Span {
        self.other(id, text, value, unit, FigureOrigin::Given { file: file.to_owned(), line })
    }

    fn other(&mut self, id: &str, text: &str, value: f64, unit: &str, origin: FigureOrigin) -> Span {
        let figure = Figure { text: text.to_owned(), value, range: None, unit: unit.to_owned(), origin };
        self.others.insert(id.to_owned(), figure);
        Span::Figure { id: id.to_owned() }
    }

    /// Adds a heading.
    pub fn heading(&mut self, text: &str) {
        self.blocks.push(Block::Heading { text: text.to_owned() });
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, spans: impl IntoIterator<Item = Span>) {
        self.blocks.push(Block::Paragraph { spans: spans.into_iter().collect() });
    }

    /// Adds a list.
    pub fn list(&mut self, items: Vec<Vec<Span>>) {
        self.blocks.push(Block::List { items });
    }

    /// Adds a table. A row that is shorter than the head is filled up with empty cells.
    pub fn table(&mut self, caption: &str, columns: &[&str], mut rows: Vec<Vec<Vec<Span>>>) {
        for row in &mut rows {
            row.resize(columns.len(), Vec::new());
        }
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        self.blocks.push(Block::Table { caption: caption.to_owned(), columns, rows });
    }

    /// Adds a chart.
    pub fn chart(&mut self, chart: Chart) {
        self.blocks.push(Block::Chart(chart));
    }

    /// Computes the figures, and finds the sources.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn finish(
        self,
        schema: &str,
        title: &str,
        summary: Vec<Span>,
        data: serde_json::Value,
    ) -> Result<Report, EconomicsError> {
        let Self { inputs, mut roots, others, mut blocks, currency } = self;
        if let Some(currency) = &currency
            && let Some(rate) = inputs.get(&currency.rate)
        {
            roots.push(Rc::new(Node { op: Op::Input(currency.rate.clone()), unit: rate.unit, name: None }));
        }
        // What a figure is computed from has to be there as well, where it has a name of its own.
        let shown: Vec<_> = in_order(&roots)
            .into_iter()
            .filter(|node| is_figure(node) || roots.iter().any(|root| Rc::ptr_eq(root, node)))
            .collect();
        let values = Plan::of_nodes(&shown, inputs)?.likely();
        let mut figures = others;
        for (node, value) in shown.iter().zip(values) {
            figures.insert(id_of(node), figure(node, value, inputs));
        }
        // Figures that others or charts name by key, such as the inputs of a quantile.
        let drawn = blocks.iter().flat_map(|block| match block {
            Block::Chart(chart) => chart.from.as_slice(),
            _ => &[],
        });
        let named: Vec<String> = figures.values().flat_map(from_of).chain(drawn).cloned().collect();
        for key in named {
            if let Some(input) = inputs.get(&key)
                && !figures.contains_key(&key)
            {
                let node = Node { op: Op::Input(key.clone()), unit: input.unit, name: None };
                figures.insert(key, figure(&node, input.likely, inputs));
            }
        }
        if let Some(currency) = &currency
            && let Some(rate) = inputs.get(&currency.rate)
        {
            for (id, figure) in &mut figures {
                if *id != currency.rate {
                    convert(figure, currency, rate.likely);
                }
            }
            for block in &mut blocks {
                if let Block::Chart(chart) = block {
                    chart.drawing.convert(&currency.code, rate.likely);
                    chart.from.push(currency.rate.clone());
                }
            }
        }
        let sources = sources(inputs, &summary, &blocks, &figures);
        let (schema, title) = (schema.to_owned(), title.to_owned());
        Ok(Report { schema, title, summary, blocks, figures, sources, data })
    }
}

fn convert(figure: &mut Figure, currency: &Currency, rate: f64) {
    if let Some(rest) = figure.unit.strip_prefix("USD") {
        figure.unit = format!("{}{rest}", currency.code);
        figure.value *= rate;
        if let Some(range) = &mut figure.range {
            *range = range.map(|end| end * rate);
        }
        if let FigureOrigin::Calculated { from, .. } = &mut figure.origin
            && !from.contains(&currency.rate)
        {
            from.push(currency.rate.clone());
        }
    }
}

fn from_of(figure: &Figure) -> &[String] {
    match &figure.origin {
        FigureOrigin::Calculated { from, .. } => from,
        _ => &[],
    }
}

/// Whether a step is shown by itself: it has a name, or is an input or a definition.
fn is_figure(node: &Node) -> bool {
    node.name.is_some() || matches!(node.op, Op::Input(_) | Op::Defined(..))
}

/// The id under which a step is shown.
fn id_of(node: &Node) -> String {
    match (&node.name, &node.op) {
        (Some(name), _) => name.id.clone(),
        (None, Op::Input(key)) => key.clone(),
        (None, Op::Defined(value, reason)) => format!("defined.{}", slug(&format!("{value} {reason}"))),
        (None, _) => formula(node).0,
    }
}

fn slug(text: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(letter).collect()
}

fn figure(node: &Node, value: f64, inputs: &Inputs) -> Figure {
    let text =
        |otherwise: &str| node.name.as_ref().map_or_else(|| otherwise.to_owned(), |name| name.text.clone());
    let unit = node.unit.to_owned();
    match &node.op {
        Op::Input(key) => {
            let Some(input) = inputs.get(key) else {
                // A plan over these nodes was made before: every key is there.
                let origin = FigureOrigin::Defined { reason: String::new() };
                return Figure { text: text(key), value, range: None, unit, origin };
            };
            let origin = match &input.origin {
                Origin::Source { id, grade, date } => FigureOrigin::Source {
                    source: id.clone(),
                    grade: *grade,
                    date: date.clone(),
                    note: input.note.clone(),
                },
                Origin::Given { file, line } => FigureOrigin::Given { file: file.clone(), line: *line },
            };
            let range = (input.low < input.high).then_some([input.low, input.high]);
            Figure { text: text(&input.text), value, range, unit, origin }
        }
        Op::Defined(_, reason) => {
            let origin = FigureOrigin::Defined { reason: (*reason).to_owned() };
            Figure { text: text(reason), value, range: None, unit, origin }
        }
        _ => {
            let (formula, from) = formula(node);
            let origin = FigureOrigin::Calculated { formula: formula.clone(), from };
            Figure { text: text(&formula), value, range: None, unit, origin }
        }
    }
}

/// How a step is computed, down to what has a name; and the ids of that.
fn formula(node: &Node) -> (String, Vec<String>) {
    let mut from = Vec::new();
    let text = written(node, true, &mut from);
    from.sort();
    from.dedup();
    (text, from)
}

fn written(node: &Node, outermost: bool, from: &mut Vec<String>) -> String {
    if !outermost && is_figure(node) {
        let id = id_of(node);
        from.push(id.clone());
        return id;
    }
    let mut part = |node: &Rc<Node>| {
        let text = written(node, false, from);
        let plain = is_figure(node) || matches!(node.op, Op::Min(..) | Op::Max(..) | Op::Ceil(_));
        if plain { text } else { format!("({text})") }
    };
    match &node.op {
        Op::Input(key) => {
            from.push(key.clone());
            key.clone()
        }
        Op::Defined(value, _) => value.to_string(),
        Op::Ceil(a) => format!("rounded up({})", part(a)),
        Op::Min(a, b) => format!("the smaller of({}; {})", part(a), part(b)),
        Op::Max(a, b) => format!("the larger of({}; {})", part(a), part(b)),
        Op::Add(a, b)
        | Op::Sub(a, b)
        | Op::Mul(a, b)
        | Op::Div(a, b)
        | Op::Power(a, b)
        | Op::AtLeast(a, b) => {
            let (a, b) = (part(a), part(b));
            format!("{a} {} {b}", node.op.word())
        }
    }
}

fn sources(
    inputs: &Inputs,
    summary: &[Span],
    blocks: &[Block],
    figures: &BTreeMap<String, Figure>,
) -> BTreeMap<String, Source> {
    let mut ids: Vec<&str> = Vec::new();
    let mut spans: Vec<&Span> = summary.iter().collect();
    for block in blocks {
        match block {
            Block::Heading { .. } | Block::Chart(_) => {}
            Block::Paragraph { spans: more } => spans.extend(more),
            Block::List { items } => spans.extend(items.iter().flatten()),
            Block::Table { rows, .. } => spans.extend(rows.iter().flatten().flatten()),
        }
    }
    ids.extend(spans.into_iter().filter_map(|span| match span {
        Span::Sourced { source, .. } => Some(source.as_str()),
        _ => None,
    }));
    ids.extend(figures.values().filter_map(|figure| match &figure.origin {
        FigureOrigin::Source { source, .. } => Some(source.as_str()),
        _ => None,
    }));
    ids.into_iter().filter_map(|id| Some((id.to_owned(), inputs.sources().get(id)?.clone()))).collect()
}
