//! The one error of the lab.

use touchmark_keystore::StoreError;

/// Why an attack could not be carried out. An attack that was carried out and failed is no error: see
/// [`crate::report::Outcome::Held`].
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// LB-0001, environment: a file cannot be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// `write`, ...
        action: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// LB-0002, environment: a flash image or a key file refuses.
    #[error("the attack could not {action}")]
    Store {
        /// The verb.
        action: &'static str,
        /// What the key store said, with its own code.
        #[source]
        source: StoreError,
    },
    /// LB-0003, environment: the key file in the image has another form than the one that is attacked here.
    #[error("{document} in the image is not a key file that this attack knows: {detail}")]
    Document {
        /// The file in the image.
        document: String,
        /// What was expected and found.
        detail: String,
    },
    /// LB-0004, caller: nothing was attacked, so nothing can have held.
    #[error("the attack {attack} had nothing to work on: {detail}; give it the image of a device")]
    Nothing {
        /// The attack.
        attack: &'static str,
        /// What was missing.
        detail: String,
    },
}

impl LabError {
    /// The stable code, as `docs/errors.md` lists it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "LB-0001",
            Self::Store { .. } => "LB-0002",
            Self::Document { .. } => "LB-0003",
            Self::Nothing { .. } => "LB-0004",
        }
    }

    pub(crate) fn store(action: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store { action, source }
    }
}
