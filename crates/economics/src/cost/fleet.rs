//! The fleet and its years.

use crate::EconomicsError;
use crate::expr::Expr;
use crate::input::Inputs;
use crate::unit::{DeviceYears, Devices, One, Years};

/// How many devices, and for how long.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The devices.
    pub devices: Expr<Devices>,
    /// How long each is in use.
    pub lifetime: Expr<Years>,
    /// Over how long they are made.
    pub production: Expr<Years>,
    /// The years of the life, each counted less the later it is: what a payment of 1 a year is worth today.
    pub discounted: Expr<Years>,
    /// The same for the years up to each anniversary, the last one being the end of the life.
    pub discounted_to: Vec<Expr<Years>>,
}

impl Fleet {
    /// The fleet of these inputs.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn new(inputs: &Inputs) -> Result<Self, EconomicsError> {
        let lifetime = inputs.quantity::<Years>("fleet.lifetime")?;
        let longest = inputs.get("fleet.lifetime").map_or(0.0, |input| input.high);
        let growth = Expr::<One>::defined(1.0, "one") + inputs.quantity("finance.discount-rate")?;
        let growth = growth.named("finance.growth", "What money grows by in a year");
        let mut factor = Expr::<One>::defined(1.0, "one");
        let mut discounted_to: Vec<Expr<Years>> = Vec::new();
        let mut begin = 0_u32;
        // The end of each year, as far as the longest life goes; bounds of the input keep this short.
        while f64::from(begin) < longest {
            let number = begin + 1;
            factor = factor.shared_by(&growth).named(
                format!("finance.worth.{number}"),
                format!("What is paid in year {number} is worth today"),
            );
            let left = lifetime.clone() - Expr::defined(f64::from(begin), "years before this one");
            let lived = left
                .min(&Expr::defined(1.0, "a year"))
                .max(&Expr::defined(0.0, "the life is over"))
                .times(&factor);
            let all = match discounted_to.last() {
                Some(before) => before.clone() + lived,
                None => lived,
            };
            discounted_to.push(all.named(
                format!("finance.years.{number}"),
                format!("Years up to the end of year {number}, discounted"),
            ));
            begin = number;
        }
        let discounted =
            discounted_to.last().cloned().unwrap_or_else(|| Expr::defined(0.0, "a life without years"));
        Ok(Self {
            devices: inputs.quantity("fleet.devices")?,
            lifetime,
            production: inputs.quantity("fleet.production")?,
            discounted,
            discounted_to,
        })
    }

    /// Devices times the years that they are in use.
    #[must_use]
    pub fn device_years(&self) -> Expr<DeviceYears> {
        let all = self.devices.clone() * self.lifetime.clone();
        all.named("fleet.device-years", "Devices times the years that they are in use")
    }
}
