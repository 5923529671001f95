//! Where events come from.

pub mod file;
pub mod http;
pub mod intake;
pub mod kafka;
pub mod lines;
pub mod mqtt;
