//! To be written.
use super::Report;
/// The figures and digits of a report that lead nowhere.
#[must_use]
pub fn orphans(_report: &Report) -> Vec<String> {
    Vec::new()
}
