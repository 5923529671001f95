//! What an operator may choose of the authority.

use serde::{Deserialize, Serialize};
use touchmark_identity::assurance::Grade;

/// The `[authority]` table of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Organisation in the subject of the CA certificates, 1 to 64 characters. Default `Touchmark`.
    pub organisation: String,
    /// URL under which the revocation endpoints are reached from outside, without a slash at its end. It is written
    /// into every certificate. Default: the address of the `public` listener.
    pub public_url: Option<String>,
    /// The lowest grade for which a certificate is issued. Default `copyable`: any key that is its device's own.
    pub minimum_grade: Grade,
    /// How long a CRL is valid, in seconds, 60 to 2,592,000. It is built anew at each revocation and at a third of
    /// this time. Default 3,600.
    pub crl_lifetime_s: u64,
    /// How long an OCSP answer is valid, in seconds, 1 to 604,800. Default 60.
    pub ocsp_lifetime_s: u64,
    /// How long an enrolment token is valid, in seconds. Default 604,800 (7 days).
    pub enrol_token_lifetime_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            organisation: "Touchmark".to_owned(),
            public_url: None,
            minimum_grade: Grade::Copyable,
            crl_lifetime_s: 3_600,
            ocsp_lifetime_s: 60,
            enrol_token_lifetime_s: 7 * 24 * 3_600,
        }
    }
}
