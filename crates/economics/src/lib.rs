//! The models behind `touchmark decide`: where to keep a key, what an attack costs, what the life of a fleet costs, how
//! ready an organisation is, and what an auditor can be shown.
//!
//! Everything here is a pure function of inputs that are ranges with unit, source and grade of evidence ([`input`]). A model
//! is written as arithmetic on expressions with units ([`expr`], [`mod@unit`]) and computed by a [`plan`]; a [`report`] shows its
//! figures, each with the way back to sources and to the user's inputs.

pub mod attack;
pub mod cost;
pub mod error;
pub mod evidence;
pub mod expr;
pub mod input;
pub mod listing;
pub mod plan;
pub mod planner;
pub mod posture;
pub mod report;
pub mod reproduce;
pub mod shared;
pub mod source;
pub mod storage;
pub mod unit;

pub use error::EconomicsError;
