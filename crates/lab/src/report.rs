//! What fell and what held, and on what evidence.

use serde::Serialize;
use touchmark_identity::assurance::Storage;

use crate::error::LabError;
use crate::extract::Search;
use crate::rewind::Rewound;

/// How an attack ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The attack succeeded.
    Fell {
        /// By what.
        how: String,
    },
    /// This attempt did not succeed. Another one may.
    Held {
        /// Because of what.
        why: String,
    },
}

/// One attack on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attack {
    /// The attack, such as `key extraction`.
    pub name: String,
    /// What kind of storage was attacked.
    pub storage: Storage,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The figures and observations behind it, one sentence each.
    pub evidence: Vec<String>,
}

impl Attack {
    /// Reports an attack that was carried out elsewhere, such as a clone that tried to speak for its victim.
    #[must_use]
    pub fn new(name: &str, storage: Storage, outcome: Outcome, evidence: Vec<String>) -> Self {
        Self { name: name.to_owned(), storage, outcome, evidence }
    }

    /// Reports a search for the key.
    ///
    /// # Errors
    /// [`LabError::Nothing`] when not a single candidate was tried: nothing can have held.
    pub fn extraction(storage: Storage, search: &Search) -> Result<Self, LabError> {
        if search.candidates_tried == 0 {
            return Err(LabError::Nothing {
                attack: "key extraction",
                detail: format!("{} bytes held no candidate for a key", search.bytes_searched),
            });
        }
        let outcome = match search.found.first() {
            Some(found) => Outcome::Fell {
                how: format!("the private key lies at offset {:#x} as {}", found.offset, found.encoding),
            },
            None => {
                Outcome::Held { why: "no candidate in the image derives the device's public key".to_owned() }
            }
        };
        let evidence = vec![
            format!(
                "{} bytes searched, {} texts in them decoded",
                search.bytes_searched, search.texts_decoded
            ),
            format!(
                "{} candidates tried, {} blank windows and {} values out of range left out",
                search.candidates_tried, search.windows_skipped_blank, search.candidates_out_of_range
            ),
            format!("the key was found at {} places", search.found.len()),
        ];
        Ok(Self::new("key extraction", storage, outcome, evidence))
    }

    /// Reports a rewind of the anti-rollback floor.
    ///
    /// # Errors
    /// [`LabError::Nothing`] when the floor lies on flash and stood no higher than it was to go: nothing was tried.
    pub fn rewind(storage: Storage, rewound: &Rewound) -> Result<Self, LabError> {
        let outcome = match (rewound.lowered, rewound.floor_on_flash) {
            (Some(lowered), _) => Outcome::Fell {
                how: format!("the anti-rollback floor on flash went from {} to {}", lowered.from, lowered.to),
            },
            (None, None) => Outcome::Held { why: "the anti-rollback floor does not lie on flash".to_owned() },
            (None, Some(floor)) => {
                return Err(LabError::Nothing {
                    attack: "rollback",
                    detail: format!("the floor on flash stands at {floor} already"),
                });
            }
        };
        Ok(Self::new("rollback", storage, outcome, rewound.found.clone()))
    }

    /// Whether the attack succeeded.
    #[must_use]
    pub fn fell(&self) -> bool {
        matches!(self.outcome, Outcome::Fell { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewind::Lowered;

    #[test]
    fn nothing_tried_is_nothing_held() {
        assert_eq!(Attack::extraction(Storage::Tpm, &Search::default()).unwrap_err().code(), "LB-0004");
    }

    #[test]
    fn reports_read_like_sentences_and_are_json() {
        let search = Search { candidates_tried: 7, bytes_searched: 100, ..Search::default() };
        let held = Attack::extraction(Storage::Tpm, &search).unwrap();
        let json = serde_json::to_value(&held).unwrap();
        assert_eq!(json["outcome"], "held");
        assert_eq!(json["storage"], "tpm");
        assert_eq!(json["evidence"][0], "100 bytes searched, 0 texts in them decoded");
        assert!(!held.fell());

        let rewound = Rewound {
            floor_on_flash: Some(3),
            lowered: Some(Lowered { from: 3, to: 1 }),
            state_restored: false,
            found: vec![],
        };
        let fell = Attack::rewind(Storage::Software, &rewound).unwrap();
        assert_eq!(
            fell.outcome,
            Outcome::Fell { how: "the anti-rollback floor on flash went from 3 to 1".to_owned() }
        );
        let absent = Rewound { floor_on_flash: None, lowered: None, ..rewound.clone() };
        assert!(!Attack::rewind(Storage::Tpm, &absent).unwrap().fell());
        let untouched = Rewound { floor_on_flash: Some(1), lowered: None, ..rewound };
        assert_eq!(Attack::rewind(Storage::Software, &untouched).unwrap_err().code(), "LB-0004");
    }
}
