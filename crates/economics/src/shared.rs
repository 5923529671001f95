//! Whether one device's secret opens others: asked before anything about chips.
//!
//! A chip keeps a secret from being read at small cost; it does not change what the secret opens. Where one device's secret
//! opens others, the cost of the whole fleet is that of one device, whatever the chip.

use crate::storage::Profile;
use crate::storage::profile::Secret;
use crate::storage::rules::{Opens, Rules, SecretKind};

/// What the check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared<'a> {
    /// Secrets that open other devices.
    pub offending: Vec<Opener<'a>>,
    /// Secrets that open nothing but the device.
    pub own: Vec<(&'a Secret, &'a SecretKind)>,
    /// Secrets of a kind that the rules do not know: nobody can say what they open, so the check does not pass.
    pub unknown: Vec<&'a Secret>,
    /// Public keys where firmware can replace them.
    pub replaceable: Vec<(&'a Secret, &'a SecretKind)>,
}

/// A secret that opens other devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Opener<'a> {
    /// The secret.
    pub secret: &'a Secret,
    /// Its kind.
    pub kind: &'a SecretKind,
    /// How many devices it opens, the one that it was read from included.
    pub opens: f64,
}

impl Shared<'_> {
    /// Whether no secret opens other devices.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.offending.is_empty() && self.unknown.is_empty()
    }
}

/// Where firmware, and whoever replaces it, can write.
const WRITABLE: [&str; 2] = ["flash", "external-flash"];

/// Looks at every secret of a profile.
#[must_use]
pub fn check<'a>(profile: &'a Profile, rules: &'a Rules) -> Shared<'a> {
    let mut found =
        Shared { offending: Vec::new(), own: Vec::new(), unknown: Vec::new(), replaceable: Vec::new() };
    let volume = profile.amount("volume").unwrap_or(1.0);
    for secret in profile.secrets() {
        let Some(kind) = rules.kind(&secret.kind) else {
            found.unknown.push(secret);
            continue;
        };
        match kind.opens_others {
            Opens::Always => {
                // What is computed from a public number opens every device that computes it.
                let opens = if secret.shared_with > 1.0 { secret.shared_with } else { volume };
                found.offending.push(Opener { secret, kind, opens });
            }
            Opens::WhenShared if secret.shared_with > 1.0 => {
                found.offending.push(Opener { secret, kind, opens: secret.shared_with });
            }
            Opens::Never if WRITABLE.contains(&secret.stored.as_str()) => {
                found.replaceable.push((secret, kind))
            }
            Opens::WhenShared | Opens::Never => found.own.push((secret, kind)),
        }
    }
    found
}
