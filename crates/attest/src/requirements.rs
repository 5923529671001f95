//! What the operator asks of parts and platforms beyond an endorsement.

use touchmark_identity::assurance::{KeyAssurance, Part, Provenance};

use crate::error::AppraisalError;
use crate::tpm::BootPolicy;

/// Floors. What does not reach them is not refused: its record is lowered to a claim, and the reason is told.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// The lowest firmware of some parts.
    pub floors: Vec<PartFloor>,
    /// Whether a part that no floor names counts. Default: it does.
    pub listed_parts_only: bool,
    /// How the platform has to have started; a quote then has to come along. Default: not asked.
    pub boot: Option<BootPolicy>,
}

/// The lowest firmware of a part that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFloor {
    /// The maker, as records write it.
    pub vendor: String,
    /// The model; without one the floor is for all parts of the maker.
    pub model: Option<String>,
    /// The firmware, numbers with points between them. They are compared one by one, as hexadecimal numbers, which gives
    /// decimal ones the same order.
    pub firmware: String,
}

impl PartFloor {
    fn is_for(&self, part: &Part) -> bool {
        self.vendor == part.vendor && self.model.as_ref().is_none_or(|model| *model == part.model)
    }
}

impl Requirements {
    /// Why a part does not reach the floors; empty when it does.
    pub(crate) fn unmet_by(&self, assurance: &KeyAssurance) -> Vec<AppraisalError> {
        let shown = |part: &Part| format!("{} {}", part.vendor, part.model);
        let mut unmet = Vec::new();
        if let Some(part) = &assurance.part {
            let mut floors = self.floors.iter().filter(|floor| floor.is_for(part)).peekable();
            if floors.peek().is_none() && self.listed_parts_only {
                unmet.push(AppraisalError::PartNotListed { part: shown(part) });
            }
            for floor in floors {
                let found = part.firmware.as_deref();
                if !found.is_some_and(|found| reaches(found, &floor.firmware)) {
                    unmet.push(AppraisalError::PartTooOld {
                        part: shown(part),
                        found: found.unwrap_or("unknown").to_owned(),
                        minimum: floor.firmware.clone(),
                    });
                }
            }
        } else if self.listed_parts_only || !self.floors.is_empty() {
            // Which floor would be its own nobody can say.
            unmet.push(AppraisalError::PartNotListed { part: "unknown".to_owned() });
        }
        unmet
    }
}

/// Why the grade of a proven key stays below that of one that was generated in its part.
pub(crate) fn not_generated(provenance: Provenance) -> Option<AppraisalError> {
    (provenance != Provenance::GeneratedOnChip).then_some(AppraisalError::NotGenerated { provenance })
}

/// Whether a version is at or above a floor. What is no version reaches nothing, and nothing reaches it.
fn reaches(found: &str, floor: &str) -> bool {
    match (numbers(found), numbers(floor)) {
        (Some(found), Some(floor)) => found >= floor,
        _ => false,
    }
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    let mut numbers = version
        .split('.')
        .map(|number| {
            let digits = !number.is_empty() && number.chars().all(|c| c.is_ascii_hexdigit());
            digits.then(|| u64::from_str_radix(number, 16).ok()).flatten()
        })
        .collect::<Option<Vec<u64>>>()?;
    // 7.2 and 7.2.0 are the same.
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use touchmark_identity::assurance::Storage;

    use super::*;

    #[test]
    fn versions_have_an_order_and_what_is_none_reaches_nothing() {
        for (found, floor) in
            [("3.1.1", "3.1.1"), ("3.10", "3.9.9"), ("7.2", "7.2.0"), ("20191023.163636", "7")]
        {
            assert!(reaches(found, floor), "{found} {floor}");
        }
        for (found, floor) in
            [("3.1.0", "3.1.1"), ("7", "7.1"), ("", "1"), ("7.", "1"), ("id:7", "1"), ("7", "x"), ("+7", "1")]
        {
            assert!(!reaches(found, floor), "{found} {floor}");
        }
    }

    #[test]
    fn an_unknown_part_reaches_no_floor() {
        let floor = |model: Option<&str>| PartFloor {
            vendor: "NXP".to_owned(),
            model: model.map(str::to_owned),
            firmware: "3.1".to_owned(),
        };
        let requirements =
            Requirements { floors: vec![floor(None), floor(Some("SE051"))], ..Requirements::default() };
        let with = |part| KeyAssurance { part, ..KeyAssurance::declared(Storage::SecureElement) };
        let part = |vendor: &str, model: &str, firmware: Option<&str>| Part {
            vendor: vendor.to_owned(),
            model: model.to_owned(),
            firmware: firmware.map(str::to_owned),
            crypto_library: None,
        };
        let unmet = |part| requirements.unmet_by(&with(part)).len();
        assert_eq!(unmet(None), 1);
        assert_eq!(unmet(Some(part("NXP", "SE050", None))), 1);
        assert_eq!(unmet(Some(part("NXP", "SE051", Some("3.0")))), 2);
        assert_eq!(unmet(Some(part("NXP", "SE051", Some("3.1")))), 0);
        assert_eq!(unmet(Some(part("IFX", "OPTIGA", None))), 0);
        assert_eq!(Requirements::default().unmet_by(&with(None)).len(), 0);
        let listed = Requirements { listed_parts_only: true, ..requirements.clone() };
        assert_eq!(listed.unmet_by(&with(Some(part("IFX", "OPTIGA", None)))).len(), 1);
    }
}
