//! What a fleet costs over its life, by where its keys are.
//!
//! ```
//! use touchmark_economics::cost::{Choices, Model, Storage};
//! use touchmark_economics::input::Inputs;
//!
//! # fn main() -> Result<(), touchmark_economics::EconomicsError> {
//! let inputs = Inputs::own()?.given("--set", "fleet.devices", "40000 device")?;
//! let model = Model::new(&inputs, Choices::default())?;
//! let likely = model.likely()?;
//! let chip = likely.versus(Storage::SecureElement).ok_or("a secure element is compared").expect("it is");
//! println!("a chip pays up to {:.2} USD", chip.break_even_price);
//! let lives = model.lives(2_000, 1)?;
//! println!("it is cheaper in {:.0} % of lives", lives.cheaper(Storage::SecureElement) * 100.0);
//! # Ok(())
//! # }
//! ```
//!
//! Nobody publishes how many alerts a fleet raises under either regime, nor how often it suffers an incident because of its
//! keys. The first are assumptions of this project, with wide ranges and labelled so; the second is the user's to give, and
//! none until then.

mod charts;
mod fleet;
mod model;
mod outcome;
mod report;
mod storage_cost;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::fleet::Fleet;
pub use self::model::{Model, Versus};
pub use self::outcome::{Likely, LineValue, Lives, StorageValue, Values, VersusValue};
pub use self::report::report;
pub(crate) use self::storage_cost::alert;
pub use self::storage_cost::{Item, Line, StorageCost};
use crate::EconomicsError;
use crate::planner::{Authority, Revocation, words};

/// Where the keys of the fleet are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// A chip of its own.
    #[default]
    SecureElement,
    /// A TPM.
    Tpm,
    /// A protected part of the microcontroller.
    Enclave,
    /// Bytes in flash.
    Software,
}

words! { Storage: "storage of keys",
    SecureElement = "secure-element", "Secure element";
    Tpm = "tpm", "TPM";
    Enclave = "enclave", "Enclave";
    Software = "software", "Software";
}

impl Storage {
    /// How a fleet with such keys is watched; the same as the monitor does by key assurance.
    #[must_use]
    pub fn regime(self) -> Regime {
        match self {
            Self::SecureElement | Self::Tpm => Regime::Behaviour,
            Self::Enclave | Self::Software => Regime::Duplicates,
        }
    }

    /// The storages that cost a part.
    #[must_use]
    pub fn hardware() -> &'static [Self] {
        &[Self::SecureElement, Self::Tpm, Self::Enclave]
    }
}

/// What a fleet is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regime {
    /// Odd use.
    Behaviour,
    /// Two devices with one key.
    Duplicates,
}

impl Regime {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Behaviour => "behaviour",
            Self::Duplicates => "duplicates",
        }
    }
}

/// What is chosen, rather than known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Choices {
    /// Whose authority issues the certificates.
    pub authority: Authority,
    /// How relying parties learn of revocation.
    pub revocation: Revocation,
    /// Whether later years count less, by `finance.discount-rate`.
    pub discounted: bool,
}

/// What a report is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What is chosen, rather than known.
    pub choices: Choices,
    /// The storage that charts hold against software.
    pub storage: Storage,
    /// Which part of the report.
    pub only: Only,
    /// Three capital letters; money is shown in it by the input `currency.rate`. US dollars without.
    pub currency: Option<String>,
    /// Lives that are sampled.
    pub lives: usize,
    /// The seed that they are sampled from.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            choices: Choices::default(),
            storage: Storage::SecureElement,
            only: Only::All,
            currency: None,
            lives: 10_000,
            seed: 1,
        }
    }
}

/// Which part of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    /// All of it.
    #[default]
    All,
    /// The cost of the fleet.
    Cost,
    /// Revocation methods and certificate lifetimes.
    Planner,
}

words! { Only: "part of the report",
    All = "all", "all";
    Cost = "cost", "cost";
    Planner = "planner", "planner";
}

impl Options {
    /// What cannot be computed is refused before anything is.
    fn check(&self, inputs: &crate::input::Inputs) -> Result<(), EconomicsError> {
        let wrong =
            |what: String, remedy: &str| Err(EconomicsError::Argument { what, remedy: remedy.to_owned() });
        if self.lives < 100 || self.lives > 1_000_000 {
            return wrong(format!("{} lives were asked for", self.lives), "take between 100 and 1,000,000");
        }
        if self.storage == Storage::Software {
            return wrong(
                "software is held against itself".to_owned(),
                "take secure-element, tpm or enclave",
            );
        }
        if let Some(code) = &self.currency {
            if code.len() != 3 || !code.bytes().all(|letter| letter.is_ascii_uppercase()) {
                return wrong(format!("`{code}` is no currency"), "write three capital letters, as EUR");
            }
            let given = inputs
                .get("currency.rate")
                .is_some_and(|rate| matches!(rate.origin, crate::input::Origin::Given { .. }));
            if !given && code != "USD" {
                return wrong(
                    format!("how much {code} one US dollar is was not given"),
                    "give it: --rate \"0.92 1\", or `currency.rate` in a file of yours",
                );
            }
        }
        Ok(())
    }
}
