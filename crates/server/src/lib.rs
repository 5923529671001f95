//! Authority, monitor and dashboard in one process.
