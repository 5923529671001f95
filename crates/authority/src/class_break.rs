//! Recall: a flaw in a part lowers the grade of every key on it, at once, and of every key that enrols later.

use touchmark_identity::assurance::ClassBreak;
use touchmark_identity::timestamp::Timestamp;

use crate::ca::Authority;
use crate::error::AuthorityError;
use crate::registry::KeyRecord;

impl Authority {
    /// The keys that a class break would lower, or has lowered.
    ///
    /// # Errors
    /// [`AuthorityError::Registry`] when the registry fails.
    pub fn cohort(&mut self, entry: &ClassBreak) -> Result<Vec<KeyRecord>, AuthorityError> {
        let keys = self.registry.keys(None)?;
        Ok(keys
            .into_iter()
            .filter(|k| k.assurance.part.as_ref().is_some_and(|part| entry.hits(part)))
            .collect())
    }

    /// Records a class break and lowers the keys that it hits. This cannot be undone: the record of each key says which
    /// break lowered it. Certificates keep what they said when they were issued.
    ///
    /// # Errors
    /// [`AuthorityError::Registry`] with `Exists` when a class break of this id is recorded; nothing is changed then.
    pub fn apply_class_break(
        &mut self,
        entry: &ClassBreak,
        now: Timestamp,
    ) -> Result<Vec<KeyRecord>, AuthorityError> {
        let mut cohort = self.cohort(entry)?;
        for key in &mut cohort {
            key.assurance.class_break = Some(entry.id.to_string());
        }
        self.registry.add_class_break(entry, &cohort, now)?;
        Ok(cohort)
    }
}
