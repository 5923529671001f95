//! Faults that a test arms, to see that a torn write is never visible.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::error::ElementError;

/// Name of the file in the state directory that arms a fault.
const FILE: &str = "fault";

/// A fault for the next write of the state. It strikes once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power fails while the new state is half written: the old state stays.
    PowerCutBeforeCommit,
    /// The power fails when the new state is durable, before the response leaves.
    PowerCutAfterCommit,
}

impl Fault {
    /// Every fault.
    pub const ALL: &'static [Self] = &[Self::PowerCutBeforeCommit, Self::PowerCutAfterCommit];

    /// The word that stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PowerCutBeforeCommit => "power-cut-before-commit",
            Self::PowerCutAfterCommit => "power-cut-after-commit",
        }
    }

    /// Arms the fault for the element in `dir`, by writing the word into the file `fault` there.
    ///
    /// # Errors
    /// [`ElementError::File`] when the file cannot be written.
    pub fn arm(self, dir: &Path) -> Result<(), ElementError> {
        let path = dir.join(FILE);
        fs::write(&path, self.as_str()).map_err(|source| ElementError::File { action: "write", path, source })
    }

    /// The armed fault, which is disarmed by being taken.
    pub(crate) fn take(dir: &Path) -> Result<Option<Self>, ElementError> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ElementError::File { action: "read", path, source }),
        };
        let Some(fault) = Self::ALL.iter().copied().find(|fault| fault.as_str() == text.trim()) else {
            let words: Vec<&str> = Self::ALL.iter().map(|fault| fault.as_str()).collect();
            return Err(ElementError::Corrupt {
                path,
                detail: format!("expected one of {}", words.join(", ")),
            });
        };
        fs::remove_file(&path).map_err(|source| ElementError::File { action: "remove", path, source })?;
        Ok(Some(fault))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
