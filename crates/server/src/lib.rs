//! Authority, monitor and dashboard in one process.

pub mod dashboard;
