//! What came of a renewal that was asked for over a connection.

use serde::{Deserialize, Serialize};

use super::error::EventError;
use super::names::CertSha256;

/// A device asked for a new certificate with the one that it has (RFC 7030 §4.2.2).
///
/// JSON: `{"presented":"<hex>","issued":"<hex>","outcome":"renewed"}`; digests as [`CertSha256`] reads and writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireRenewal", into = "WireRenewal")]
pub struct Renewal {
    /// The certificate that the connection authenticated with.
    pub presented: CertSha256,
    /// What came of it.
    pub outcome: RenewalOutcome,
    /// The certificate that was given; none where the renewal was refused.
    pub issued: Option<CertSha256>,
    /// For a refused one, the newest certificate of the chain that the presented one is in.
    pub head: Option<CertSha256>,
}

/// What came of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RenewalOutcome {
    /// `renewed`: a new certificate was issued.
    Renewed,
    /// `repeated`: the certificate that was issued before, and never used since, was given again.
    Repeated,
    /// `superseded`: it was refused, because the presented certificate had been renewed before.
    Superseded,
}

#[derive(Debug, Serialize, Deserialize)]
struct WireRenewal {
    presented: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    outcome: RenewalOutcome,
}

impl TryFrom<WireRenewal> for Renewal {
    type Error = EventError;
    fn try_from(wire: WireRenewal) -> Result<Self, EventError> {
        Ok(Self {
            presented: wire.presented.parse()?,
            outcome: wire.outcome,
            issued: wire.issued.map(|text| text.parse()).transpose()?,
            head: wire.head.map(|text| text.parse()).transpose()?,
        })
    }
}

impl From<Renewal> for WireRenewal {
    fn from(renewal: Renewal) -> Self {
        Self {
            presented: renewal.presented.to_string(),
            issued: renewal.issued.map(|digest| digest.to_string()),
            head: renewal.head.map(|digest| digest.to_string()),
            outcome: renewal.outcome,
        }
    }
}
