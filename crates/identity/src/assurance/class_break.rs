//! Class breaks: a flaw that hits every part of a model, firmware or library version at once.

use serde::{Deserialize, Serialize};

use super::Part;
use crate::ids::ClassBreakId;

/// Which parts are hit, and since which public record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassBreak {
    /// Its name, such as `CVE-2017-15361`.
    pub id: ClassBreakId,
    /// Maker of the part.
    pub vendor: String,
    /// Model of the part.
    pub model: String,
    /// The firmware that is hit; absent means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The version of the part's cryptographic library that is hit; absent means any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crypto_library: Option<String>,
    /// What is broken, and where that is written down, in a sentence.
    pub says: String,
}

impl ClassBreak {
    /// Whether a part is hit. Maker and model are compared without regard to case. A part of which the firmware or
    /// library version is not known counts as hit: nothing says that it is not.
    #[must_use]
    pub fn hits(&self, part: &Part) -> bool {
        let may_be = |wanted: &Option<String>, known: &Option<String>| match (wanted, known) {
            (Some(wanted), Some(known)) => wanted == known,
            _ => true,
        };
        self.vendor.eq_ignore_ascii_case(&part.vendor)
            && self.model.eq_ignore_ascii_case(&part.model)
            && may_be(&self.firmware, &part.firmware)
            && may_be(&self.crypto_library, &part.crypto_library)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(model: &str, firmware: Option<&str>) -> Part {
        Part {
            vendor: "Maker".to_owned(),
            model: model.to_owned(),
            firmware: firmware.map(str::to_owned),
            crypto_library: None,
        }
    }

    #[test]
    fn the_unknown_counts_as_hit() {
        let entry = ClassBreak {
            id: ClassBreakId::new("CB-1").unwrap(),
            vendor: "maker".to_owned(),
            model: "A1".to_owned(),
            firmware: Some("1.2".to_owned()),
            crypto_library: None,
            says: String::new(),
        };
        assert!(entry.hits(&part("a1", Some("1.2"))));
        assert!(entry.hits(&part("A1", None)));
        assert!(!entry.hits(&part("A1", Some("1.3"))));
        assert!(!entry.hits(&part("A2", Some("1.2"))));
        assert!(ClassBreak { firmware: None, ..entry }.hits(&part("A1", Some("1.3"))));
    }
}
