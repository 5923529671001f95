//! To be written.
use super::Report;
use crate::EconomicsError;
/// To be written.
///
/// # Errors
/// None yet.
pub fn page(_report: &Report) -> Result<String, EconomicsError> {
    Ok(String::new())
}
