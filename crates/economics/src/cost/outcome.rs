//! The model in numbers, for programs: what `data` of the report holds, and what a form shows.

use std::collections::HashMap;
use std::rc::Rc;

use serde::Serialize;

use super::{Choices, Line, Model, Storage};
use crate::EconomicsError;
use crate::expr::{Expr, Node};
use crate::input::Inputs;
use crate::plan::{Plan, Spread};
use crate::unit::Unit;

/// The likely values of expressions.
#[derive(Debug, Clone)]
pub struct Values {
    /// By the address of the step, which `nodes` keeps alive.
    values: HashMap<*const Node, f64>,
    #[expect(dead_code, reason = "keeps the addresses alive")]
    nodes: Vec<Rc<Node>>,
}

impl Values {
    /// Computes these steps.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn new(nodes: Vec<Rc<Node>>, inputs: &Inputs) -> Result<Self, EconomicsError> {
        let values = Plan::of_nodes(&nodes, inputs)?.likely();
        Ok(Self { values: nodes.iter().map(Rc::as_ptr).zip(values).collect(), nodes })
    }

    /// The value of one of them; 0 of any other.
    #[must_use]
    pub fn of<U: Unit>(&self, expr: &Expr<U>) -> f64 {
        self.values.get(&Rc::as_ptr(expr.node())).copied().unwrap_or(0.0)
    }
}

/// Everything with each input at its likely value. Money is in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Likely {
    /// What was chosen.
    pub choices: Choices,
    /// Devices of the fleet.
    pub devices: f64,
    /// Years that each is in use.
    pub lifetime_years: f64,
    /// Certificates over the life of the fleet.
    pub certificates: f64,
    /// Each storage.
    pub storages: Vec<StorageValue>,
    /// Each hardware against software.
    pub versus: Vec<VersusValue>,
}

/// One storage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StorageValue {
    /// Which.
    pub storage: Storage,
    /// Its lines.
    pub lines: Vec<LineValue>,
    /// Alerts a year.
    pub alerts_per_year: f64,
    /// Paid once.
    pub once_usd: f64,
    /// Paid each year.
    pub yearly_usd: f64,
    /// Over the life, discounted where that was chosen.
    pub total_usd: f64,
    /// Over the life, not discounted.
    pub plain_usd: f64,
    /// Over the life, discounted.
    pub present_usd: f64,
    /// The total for one device.
    pub per_device_usd: f64,
    /// The total for one device and year.
    pub per_device_year_usd: f64,
    /// Years from the beginning, and what was paid by then: at the beginning, at the end of each year, at the end.
    pub cumulative_usd: Vec<(f64, f64)>,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LineValue {
    /// Which.
    pub line: Line,
    /// Paid once.
    pub once_usd: f64,
    /// Paid each year.
    pub yearly_usd: f64,
    /// Over the life, discounted where that was chosen.
    pub total_usd: f64,
}

/// One hardware against software.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct VersusValue {
    /// The hardware.
    pub storage: Storage,
    /// Parts and board that software saves.
    pub saved_usd: f64,
    /// What software costs more in everything else.
    pub gross_usd: f64,
    /// What software costs more on the whole; below zero it costs less.
    pub net_usd: f64,
    /// The price of the part at which both cost the same; below zero there is none.
    #[serde(rename = "break_even_price_usd_per_device")]
    pub break_even_price: f64,
    /// What hardware costs more at the beginning.
    pub ahead_usd: f64,
    /// What hardware saves each year.
    pub saving_usd_per_year: f64,
    /// Years after which hardware has paid for itself: 0 where it is cheaper from the beginning and stays so, none where
    /// it never does. It may be longer than the life.
    pub payback_years: Option<f64>,
    /// So many incidents that do not happen pay for what hardware costs more at the beginning.
    pub incidents_that_pay: f64,
}

impl Likely {
    /// One storage.
    #[must_use]
    pub fn storage(&self, storage: Storage) -> Option<&StorageValue> {
        self.storages.iter().find(|one| one.storage == storage)
    }

    /// One hardware against software.
    #[must_use]
    pub fn versus(&self, storage: Storage) -> Option<&VersusValue> {
        self.versus.iter().find(|one| one.storage == storage)
    }
}

/// Sampled lives: each storage's total, and what software costs more than each hardware, in the same lives.
#[derive(Debug, Clone, PartialEq)]
pub struct Lives {
    /// The total of each storage.
    pub totals: Vec<(Storage, Spread)>,
    /// What software costs more than each hardware.
    pub nets: Vec<(Storage, Spread)>,
}

impl Lives {
    /// The totals of one storage.
    #[must_use]
    pub fn total(&self, storage: Storage) -> Option<&Spread> {
        self.totals.iter().find(|(one, _)| *one == storage).map(|(_, spread)| spread)
    }

    /// What software costs more than one hardware.
    #[must_use]
    pub fn net(&self, storage: Storage) -> Option<&Spread> {
        self.nets.iter().find(|(one, _)| *one == storage).map(|(_, spread)| spread)
    }

    /// The share of lives in which one hardware is cheaper than software.
    #[must_use]
    pub fn cheaper(&self, storage: Storage) -> f64 {
        self.net(storage).map_or(0.0, |net| net.share_above(0.0))
    }
}

pub(super) fn likely(model: &Model<'_>, values: &Values) -> Likely {
    let lifetime_years = values.of(&model.fleet.lifetime);
    let mut years = vec![(0.0, 0.0)];
    for (number, discounted) in (1_u32..).zip(&model.fleet.discounted_to) {
        let at = f64::from(number).min(lifetime_years);
        let counted = if model.choices.discounted { values.of(discounted) } else { at };
        if years.last().is_none_or(|(before, _)| *before < at) {
            years.push((at, counted));
        }
    }
    let storages = model.costs.iter().map(|cost| {
        let (once_usd, yearly_usd) = (values.of(&cost.once), values.of(&cost.yearly));
        StorageValue {
            storage: cost.storage,
            lines: cost
                .items
                .iter()
                .map(|item| LineValue {
                    line: item.line,
                    once_usd: item.part.once.as_ref().map_or(0.0, |once| values.of(once)),
                    yearly_usd: item.part.yearly.as_ref().map_or(0.0, |yearly| values.of(yearly)),
                    total_usd: values.of(&item.total),
                })
                .collect(),
            alerts_per_year: values.of(&cost.alerts),
            once_usd,
            yearly_usd,
            total_usd: values.of(&cost.total),
            plain_usd: values.of(&cost.plain),
            present_usd: values.of(&cost.present),
            per_device_usd: values.of(&cost.per_device),
            per_device_year_usd: values.of(&cost.per_device_year),
            cumulative_usd: years
                .iter()
                .map(|(at, counted)| (*at, once_usd + yearly_usd * counted))
                .collect(),
        }
    });
    let versus = model.versus.iter().map(|one| {
        let (ahead_usd, saving) = (values.of(&one.ahead), values.of(&one.saving));
        VersusValue {
            storage: one.storage,
            saved_usd: values.of(&one.saved),
            gross_usd: values.of(&one.gross),
            net_usd: values.of(&one.net),
            break_even_price: values.of(&one.break_even_price),
            ahead_usd,
            saving_usd_per_year: saving,
            payback_years: match (ahead_usd <= 0.0, saving > 0.0) {
                (true, _) if saving >= 0.0 => Some(0.0),
                (false, true) => Some(values.of(&one.payback)),
                _ => None,
            },
            incidents_that_pay: values.of(&one.incidents),
        }
    });
    Likely {
        choices: model.choices,
        devices: values.of(&model.fleet.devices),
        lifetime_years,
        certificates: values.of(&model.service.certificates),
        storages: storages.collect(),
        versus: versus.collect(),
    }
}

pub(super) fn lives(model: &Model<'_>, spreads: Vec<Spread>) -> Lives {
    let mut spreads = spreads.into_iter();
    let totals = model.costs.iter().map(|cost| cost.storage).zip(&mut spreads).collect();
    let nets = model.versus.iter().map(|one| one.storage).zip(&mut spreads).collect();
    Lives { totals, nets }
}
