//! One module for each stage.

pub(crate) mod agent;
pub(crate) mod attest;
pub(crate) mod authority;
pub(crate) mod decide;
pub(crate) mod element;
pub(crate) mod keystore;
pub(crate) mod lab;
pub(crate) mod monitor;
pub(crate) mod server;
