//! Which clauses of which framework a fleet can show something for, and what is missing.
//!
//! A [`framework`] is data: for each clause what it asks, where that was read, and which kinds of evidence bear on it. Each
//! [`kind`] of evidence has one adapter ([`adapters`]) that turns [`FleetFacts`] into a statement, or says that
//! nothing in the product keeps such records yet. Nothing here claims compliance with anything.
//!
//! [`affected`] answers the question that a report under Article 14 of the Cyber Resilience Act begins with: which of our
//! products and devices are affected?

pub mod adapters;
pub mod affected;
pub mod artefacts;
pub mod facts;
pub mod framework;
pub mod kind;
pub mod pack;

pub use self::affected::{Cohort, Matched, Query, Seen};
pub use self::artefacts::{Artefact, Artefacts};
pub use self::facts::FleetFacts;
pub use self::framework::{Clause, Framework};
pub use self::kind::Kind;
