//! The arithmetic: what `N` devices cost the attacker.

use super::catalogue::Attack;
use crate::error::EconomicsError;
use crate::expr::Expr;
use crate::input::Inputs;
use crate::plan::Plan;
use crate::unit::{Devices, Hours, HoursPerDevice, Unit, Usd, UsdPerDevice, UsdPerHour};

/// Whether one device's secret opens others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Each device has its own.
    PerDevice,
    /// One opens all.
    Shared,
}

impl Sharing {
    /// Both.
    pub const ALL: [Self; 2] = [Self::PerDevice, Self::Shared];

    /// As figures' ids have it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PerDevice => "per-device",
            Self::Shared => "shared",
        }
    }

    /// What people read.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::PerDevice => "a secret of its own in each device",
            Self::Shared => "one secret in all devices",
        }
    }
}

/// What one attack costs: expressions over its inputs.
#[derive(Debug, Clone)]
pub struct Costs {
    id: String,
    /// Once: equipment, and the work until the method stands.
    pub fixed: Expr<Usd>,
    /// For each device: getting hold of it, laboratory time, material.
    pub each: Expr<UsdPerDevice>,
}

impl Costs {
    /// The costs of an attack. Where it needs no device in the hand, getting hold of one costs nothing.
    ///
    /// # Errors
    /// EC-0002 where an input is missing or has another unit.
    pub fn new(attack: &Attack, inputs: &Inputs) -> Result<Self, EconomicsError> {
        let id = &attack.id;
        let equipment = inputs.quantity::<Usd>(&format!("attack.{id}.equipment"))?;
        let method = inputs.quantity::<Hours>(&format!("attack.{id}.method"))?;
        let time = inputs.quantity::<HoursPerDevice>(&format!("attack.{id}.device"))?;
        let sample = inputs.quantity::<UsdPerDevice>(&format!("attack.{id}.sample"))?;
        let rate = inputs.quantity::<UsdPerHour>("attack.rate")?;
        let fixed = equipment + rate.clone() * method;
        let work = rate * time + sample;
        let each = if attack.reach.takes_devices() {
            inputs.quantity::<UsdPerDevice>("attack.acquire")? + work
        } else {
            work
        };
        Ok(Self {
            id: id.clone(),
            fixed: fixed.named(format!("attack-cost.{id}.once"), format!("{}: once", attack.name)),
            each: each.named(format!("attack-cost.{id}.each"), format!("{}: for each device", attack.name)),
        })
    }

    /// The cost of `n` devices: rising with each where every device has its own secret, flat after the first where one is
    /// shared.
    #[must_use]
    pub fn of(&self, n: &Expr<Devices>, sharing: Sharing) -> Expr<Usd> {
        let attacked = match sharing {
            Sharing::PerDevice => n.clone(),
            Sharing::Shared => n.min(&one()),
        };
        self.fixed.clone() + self.each.clone() * attacked
    }

    /// The cost of each of `n` devices.
    #[must_use]
    pub fn each_of(&self, n: &Expr<Devices>, sharing: Sharing) -> Expr<UsdPerDevice> {
        self.of(n, sharing) / n.clone()
    }

    /// How many devices of a fleet a budget opens.
    #[must_use]
    pub fn within(&self, budget: &Expr<Usd>, fleet: &Expr<Devices>, sharing: Sharing) -> Expr<Devices> {
        let all = fleet.times(&budget.at_least(&self.of(&one(), Sharing::Shared)));
        let devices = match sharing {
            Sharing::Shared => all,
            Sharing::PerDevice => {
                let nothing = Expr::<Devices>::defined(0.0, "no device");
                let left = (budget.clone() - self.fixed.clone()) / self.each.clone();
                // Rounded down. Where a device costs nothing, a budget that reaches for the first opens all.
                let down = nothing.clone() - (nothing.clone() - left).ceil();
                let free =
                    Expr::<UsdPerDevice>::defined(0.0, "a device that costs nothing").at_least(&self.each);
                (down.max(&nothing) + all.times(&free)).min(fleet)
            }
        };
        let id = format!("attack-cost.{}.{}.within-budget", self.id, sharing.word());
        devices.named(id, "Devices that the budget opens")
    }

    /// From how many devices on the attack pays, when each clone brings `gain`; `None` where it never does.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn pays_from(
        &self,
        gain: &Expr<UsdPerDevice>,
        sharing: Sharing,
        inputs: &Inputs,
    ) -> Result<Option<Expr<Devices>>, EconomicsError> {
        let (once, margin) = match sharing {
            Sharing::PerDevice => (self.fixed.clone(), gain.clone() - self.each.clone()),
            Sharing::Shared => (self.of(&one(), Sharing::Shared), gain.clone()),
        };
        if likely(&margin, inputs)? <= 0.0 {
            return Ok(None);
        }
        let devices = (once / margin).ceil().max(&one());
        let id = format!("attack-cost.{}.{}.pays-from", self.id, sharing.word());
        Ok(Some(devices.named(id, "Clones from which on the attack pays")))
    }
}

/// One device.
#[must_use]
pub fn one() -> Expr<Devices> {
    Expr::defined(1.0, "one device")
}

/// The value of an expression with every input likely.
///
/// # Errors
/// EC-0002 where an input is missing.
pub fn likely<U: Unit>(expr: &Expr<U>, inputs: &Inputs) -> Result<f64, EconomicsError> {
    Ok(Plan::new(std::slice::from_ref(expr), inputs)?.likely().first().copied().unwrap_or(0.0))
}
