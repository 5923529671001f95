//! To be written.
use super::Report;
/// To be written.
#[must_use]
pub fn written(_report: &Report) -> String {
    String::new()
}
