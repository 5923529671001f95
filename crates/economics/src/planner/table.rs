//! Lifetimes by method and authority.

use serde::Serialize;

use super::service::{Part, Service, over, whole_life};
use super::{Authority, Revocation};
use crate::EconomicsError;
use crate::cost::{Fleet, Values};
use crate::expr::{Expr, Node};
use crate::input::Inputs;
use crate::unit::{Certificates, Days, Usd};

use std::rc::Rc;

/// The lifetimes that are compared, in days, beside that of the inputs and the whole life of a device.
const LIFETIMES: &[(u16, &str)] =
    &[(7, "a week"), (30, "a month"), (90, "a quarter"), (365, "a year"), (1095, "three years")];

/// One lifetime.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is called.
    pub name: &'static str,
    /// The lifetime.
    pub lifetime: Expr<Days>,
    /// Certificates over the life of the fleet.
    pub certificates: Expr<Certificates>,
    /// What each authority and method costs over the life of the fleet.
    pub costs: Vec<(Authority, Revocation, Expr<Usd>)>,
    /// How long a revoked certificate is believed, by method.
    pub exposures: Vec<(Revocation, Expr<Days>)>,
}

/// Lifetimes by method and authority.
#[derive(Debug, Clone)]
pub struct Table {
    /// The rows: that of the inputs first, then the others by lifetime.
    pub rows: Vec<Row>,
}

/// The likely values of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowValues {
    /// What the lifetime is called.
    pub name: &'static str,
    /// The lifetime.
    pub lifetime_days: f64,
    /// Certificates over the life of the fleet.
    pub certificates: f64,
    /// What each authority and method costs over the life of the fleet, in US dollars.
    pub costs: Vec<CostValue>,
    /// How long a revoked certificate is believed, by method.
    pub exposures: Vec<ExposureValue>,
}

/// What one authority and method costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CostValue {
    /// Whose authority.
    pub authority: Authority,
    /// How revocation is told.
    pub revocation: Revocation,
    /// Over the life of the fleet, not discounted.
    pub usd: f64,
}

/// How long a revoked certificate is believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ExposureValue {
    /// How revocation is told.
    pub revocation: Revocation,
    /// The longest time.
    pub days: f64,
}

impl Table {
    /// The table for the fleet of these inputs. Costs are not discounted.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn new(inputs: &Inputs) -> Result<Self, EconomicsError> {
        let fleet = Fleet::new(inputs)?;
        let mut rows = vec![row(
            inputs,
            &fleet,
            ("planner.yours", "the one of the inputs"),
            inputs.quantity("certificate.lifetime")?,
        )?];
        for (days, name) in LIFETIMES {
            let lifetime = Expr::defined(f64::from(*days), "a lifetime to compare");
            rows.push(row(inputs, &fleet, (&format!("planner.days-{days}"), name), lifetime)?);
        }
        let whole = whole_life(&fleet).named("planner.life.days", "The whole life of a device");
        rows.push(row(inputs, &fleet, ("planner.life", "the life of the device"), whole)?);
        Ok(Self { rows })
    }

    /// The likely values.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn likely(&self, inputs: &Inputs) -> Result<Vec<RowValues>, EconomicsError> {
        let mut nodes: Vec<&Rc<Node>> = Vec::new();
        for row in &self.rows {
            nodes.extend([row.lifetime.node(), row.certificates.node()]);
            nodes.extend(row.costs.iter().map(|(_, _, cost)| cost.node()));
            nodes.extend(row.exposures.iter().map(|(_, days)| days.node()));
        }
        let values = Values::new(nodes.into_iter().cloned().collect(), inputs)?;
        let cost = |(authority, revocation, usd): &(_, _, _)| CostValue {
            authority: *authority,
            revocation: *revocation,
            usd: values.of(usd),
        };
        let exposure =
            |(revocation, days): &(_, _)| ExposureValue { revocation: *revocation, days: values.of(days) };
        Ok(self
            .rows
            .iter()
            .map(|row| RowValues {
                name: row.name,
                lifetime_days: values.of(&row.lifetime),
                certificates: values.of(&row.certificates),
                costs: row.costs.iter().map(cost).collect(),
                exposures: row.exposures.iter().map(exposure).collect(),
            })
            .collect())
    }
}

fn row(
    inputs: &Inputs,
    fleet: &Fleet,
    (id, name): (&str, &'static str),
    lifetime: Expr<Days>,
) -> Result<Row, EconomicsError> {
    let (mut costs, mut exposures, mut certificates) = (Vec::new(), Vec::new(), None);
    for authority in Authority::ALL {
        for revocation in Revocation::ALL {
            // The certificates are the same for all; only the words before the dot of a price differ.
            let service = Service::new(inputs, fleet, &lifetime, (*authority, *revocation), id)?;
            let all = Part { once: Some(service.once()), yearly: Some(service.yearly()) };
            let cost = over(&all, &fleet.lifetime).named(
                format!("{id}.{}.{}", authority.word(), revocation.word()),
                format!("Certificates for {name}: {}, {}", authority.title(), revocation.title()),
            );
            costs.push((*authority, *revocation, cost));
            if *authority == Authority::Managed {
                let text =
                    format!("How long a revoked certificate is believed: {name}, {}", revocation.title());
                exposures.push((
                    *revocation,
                    service.exposure.named(format!("{id}.exposure.{}", revocation.word()), text),
                ));
            }
            certificates.get_or_insert(service.certificates);
        }
    }
    let certificates = certificates.unwrap_or_else(|| Expr::defined(0.0, "none"));
    Ok(Row { name, lifetime, certificates, costs, exposures })
}
