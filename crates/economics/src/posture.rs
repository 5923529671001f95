//! How ready an organisation is to run the PKI of a fleet: a short assessment, its scores, and the next steps.
//!
//! Modules and categories are those of the PKI Consortium's maturity model; the questions are ours ([`model`]). Each answer is
//! a level from the lowest to the highest, and one above the cap needs an artefact: without one it counts as the cap
//! ([`score`]). Where the fleet runs on Touchmark, [`from_facts()`] answers what the registry knows in place of an opinion.
//! Scoring is a pure function of the answers: [`Answers::give`], then [`score::scores`], as often as a slider moves.

pub mod answers;
pub mod from_facts;
pub mod model;
pub mod pages;
pub mod score;

pub use self::answers::{Answer, Answers, Place};
pub use self::from_facts::from_facts;
pub use self::model::Model;
pub use self::pages::report;
pub use self::score::{Scores, scores};
