//! Test PKI, foreign peers and a browser; a dev-dependency only.

pub mod browser;
pub mod swtpm;
