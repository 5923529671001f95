//! The model: every storage's cost, and hardware against software.

use std::rc::Rc;

use super::outcome::{Likely, Lives, Values, likely, lives};
use super::{Choices, Fleet, Line, Storage, StorageCost};
use crate::EconomicsError;
use crate::expr::{Expr, Node};
use crate::input::Inputs;
use crate::plan::{Plan, Swing};
use crate::planner::Service;
use crate::unit::{Incidents, Usd, UsdPerDevice, UsdPerIncident, UsdPerYear, Years};

/// The life-cycle cost of one fleet for each storage.
#[derive(Debug, Clone)]
pub struct Model<'a> {
    /// The inputs that it was made for.
    pub inputs: &'a Inputs,
    /// What was chosen.
    pub choices: Choices,
    /// The fleet.
    pub fleet: Fleet,
    /// The certificates.
    pub service: Service,
    /// Each storage.
    pub costs: Vec<StorageCost>,
    /// Each hardware against software.
    pub versus: Vec<Versus>,
}

/// One hardware against software.
#[derive(Debug, Clone)]
pub struct Versus {
    /// The hardware.
    pub storage: Storage,
    /// What software saves: parts and board.
    pub saved: Expr<Usd>,
    /// What software costs more in everything else.
    pub gross: Expr<Usd>,
    /// What software costs more on the whole; below zero it costs less.
    pub net: Expr<Usd>,
    /// The price of the part at which both cost the same; below zero hardware is dearer at any price.
    pub break_even_price: Expr<UsdPerDevice>,
    /// What hardware costs more at the beginning.
    pub ahead: Expr<Usd>,
    /// What hardware saves each year.
    pub saving: Expr<UsdPerYear>,
    /// The first divided by the second: after so many years hardware has paid for itself, where it saves anything.
    pub payback: Expr<Years>,
    /// So many incidents that do not happen pay for what hardware costs more at the beginning.
    pub incidents: Expr<Incidents>,
}

impl<'a> Model<'a> {
    /// The model of these inputs.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn new(inputs: &'a Inputs, choices: Choices) -> Result<Self, EconomicsError> {
        let fleet = Fleet::new(inputs)?;
        let lifetime = inputs.quantity("certificate.lifetime")?;
        let how = (choices.authority, choices.revocation);
        let service = Service::new(inputs, &fleet, &lifetime, how, "certificate")?;
        let mut costs = Vec::new();
        for storage in Storage::ALL {
            costs.push(StorageCost::new(inputs, &fleet, &service, (*storage, choices))?);
        }
        let mut versus = Vec::new();
        if let Some(software) = costs.iter().find(|cost| cost.storage == Storage::Software) {
            for hardware in costs.iter().filter(|cost| cost.storage != Storage::Software) {
                versus.push(Versus::new(inputs, &fleet, hardware, software)?);
            }
        }
        Ok(Self { inputs, choices, fleet, service, costs, versus })
    }

    /// The cost of one storage.
    #[must_use]
    pub fn cost(&self, storage: Storage) -> Option<&StorageCost> {
        self.costs.iter().find(|cost| cost.storage == storage)
    }

    /// One hardware against software.
    #[must_use]
    pub fn against(&self, storage: Storage) -> Option<&Versus> {
        self.versus.iter().find(|versus| versus.storage == storage)
    }

    /// Everything with each input at its likely value.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn likely(&self) -> Result<Likely, EconomicsError> {
        let mut nodes: Vec<Rc<Node>> = Vec::new();
        nodes.push(Rc::clone(self.fleet.devices.node()));
        nodes.push(Rc::clone(self.fleet.lifetime.node()));
        nodes.push(Rc::clone(self.service.certificates.node()));
        nodes.extend(self.fleet.discounted_to.iter().map(|years| Rc::clone(years.node())));
        for cost in &self.costs {
            for item in &cost.items {
                nodes.extend(item.part.once.iter().map(|once| Rc::clone(once.node())));
                nodes.extend(item.part.yearly.iter().map(|yearly| Rc::clone(yearly.node())));
                nodes.push(Rc::clone(item.total.node()));
            }
            nodes.extend(
                [&cost.once, &cost.total, &cost.plain, &cost.present].map(|one| Rc::clone(one.node())),
            );
            nodes.extend([Rc::clone(cost.yearly.node()), Rc::clone(cost.alerts.node())]);
            nodes.extend([Rc::clone(cost.per_device.node()), Rc::clone(cost.per_device_year.node())]);
        }
        for one in &self.versus {
            nodes.extend([&one.saved, &one.gross, &one.net, &one.ahead].map(|one| Rc::clone(one.node())));
            nodes.extend([Rc::clone(one.saving.node()), Rc::clone(one.payback.node())]);
            nodes.extend([Rc::clone(one.break_even_price.node()), Rc::clone(one.incidents.node())]);
        }
        Ok(likely(self, &Values::new(nodes, self.inputs)?))
    }

    /// So many sampled lives of every storage; the same for the same seed.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn lives(&self, lives_wanted: usize, seed: u64) -> Result<Lives, EconomicsError> {
        let totals = self.costs.iter().map(|cost| cost.total.clone());
        let nets = self.versus.iter().map(|one| one.net.clone());
        let plan = Plan::new(&totals.chain(nets).collect::<Vec<_>>(), self.inputs)?;
        Ok(lives(self, plan.sample(lives_wanted, seed)))
    }

    /// What moves the difference between software and one hardware, the widest first.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn tornado(&self, storage: Storage) -> Result<Vec<Swing>, EconomicsError> {
        let nets: Vec<_> = self.against(storage).map(|one| one.net.clone()).into_iter().collect();
        Ok(Plan::new(&nets, self.inputs)?.tornado(0))
    }
}

impl Versus {
    fn new(
        inputs: &Inputs,
        fleet: &Fleet,
        hardware: &StorageCost,
        software: &StorageCost,
    ) -> Result<Self, EconomicsError> {
        let storage = hardware.storage;
        let (id, title) = (storage.word(), storage.title());
        let parts = [Line::Components, Line::Board];
        let parts = parts.iter().filter_map(|line| hardware.item(*line)).map(|item| &item.total);
        let saved = Expr::sum(parts)
            .named(format!("versus.{id}.saved"), format!("{title}: parts and board that software saves"));
        let net = (software.total.clone() - hardware.total.clone())
            .named(format!("versus.{id}.net"), format!("What software costs more than: {title}"));
        let gross = (net.clone() + saved.clone()).named(
            format!("versus.{id}.gross"),
            format!("What software costs more beside parts than: {title}"),
        );
        let price = inputs.quantity::<UsdPerDevice>(&format!("part.{id}.price"))?;
        let break_even_price = (price + net.clone() / fleet.devices.clone())
            .named(format!("versus.{id}.break-even"), format!("{title}: price at which both cost the same"));
        let ahead = (hardware.once.clone() - software.once.clone())
            .named(format!("versus.{id}.ahead"), format!("{title}: what it costs more at the beginning"));
        let saving = (software.yearly.clone() - hardware.yearly.clone())
            .named(format!("versus.{id}.saving"), format!("{title}: what it saves each year"));
        let payback = (ahead.clone() / saving.clone()).named(
            format!("versus.{id}.payback"),
            format!("{title}: years after which it has paid for itself"),
        );
        let incidents = (ahead.clone() / inputs.quantity::<UsdPerIncident>("incidents.cost")?)
            .named(format!("versus.{id}.incidents"), format!("{title}: incidents avoided that pay for it"));
        Ok(Self { storage, saved, gross, net, break_even_price, ahead, saving, payback, incidents })
    }
}
