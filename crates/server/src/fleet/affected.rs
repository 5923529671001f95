//! Which devices have a given part, library or firmware: one pass, one device at a time.

use std::path::Path;

use serde::Serialize;
use touchmark_authority::AuthorityError;
use touchmark_authority::registry::CertificateStatus;
use touchmark_authority::registry::survey::{Survey, Surveyed};
use touchmark_economics::evidence::affected::SeenKey;
use touchmark_economics::evidence::{Cohort, Matched, Query, Seen};
use touchmark_identity::assurance::{Part, Storage};
use touchmark_identity::timestamp::Timestamp;

use super::Trouble;
use super::reported::Reported;
use crate::error::ServerError;

/// A device that is affected, or may be: a line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AffectedDevice {
    /// `touchmark.affected-device/1`.
    pub schema: &'static str,
    /// The device.
    pub device: String,
    /// Its kind: the product.
    pub device_type: String,
    /// `affected` or `possibly`.
    pub matched: Matched,
    /// Where it stands.
    pub status: String,
    /// The grade of its newest key.
    pub grade: Option<&'static str>,
    /// Where its newest key lives.
    pub storage: Option<&'static str>,
    /// How that is known.
    pub basis: Option<&'static str>,
    /// The part that holds it.
    pub part: Option<Part>,
    /// The firmware that the device reported last, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Its newest certificate.
    pub certificate: Option<LastCertificate>,
}

/// A device's newest certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastCertificate {
    /// Serial number in hex.
    pub serial: String,
    /// `good`, `hold`, `revoked`, `intended` or `orphaned`.
    pub status: &'static str,
    /// When it was issued.
    pub issued: Option<Timestamp>,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// Answers a question about a fleet, and hands over each device that is affected or may be.
///
/// # Errors
/// [`ServerError::Authority`] when there is no registry or it cannot be read; [`ServerError::EventLog`] for the log; what `each`
/// returns.
pub fn affected(
    data: &Path,
    query: &Query,
    mut each: impl FnMut(AffectedDevice) -> Result<(), ServerError>,
) -> Result<Cohort, ServerError> {
    let survey = Survey::open(data).map_err(AuthorityError::from)?;
    let reported = if query.asks_for_firmware() { Reported::open(data)? } else { None };
    let mut cohort = Cohort::default();
    survey.devices(|surveyed| {
        let firmware = match &reported {
            Some(reported) => reported.firmware(surveyed.device.id.as_str())?,
            None => None,
        };
        let seen = seen(&surveyed, firmware);
        let matched = query.matched(&seen);
        cohort.take(&seen, matched);
        if matched > Matched::No {
            each(line(surveyed, seen.firmware, matched))?;
        }
        Ok::<(), Trouble>(())
    })?;
    Ok(cohort)
}

/// The keys that count: the newest, and those with a certificate that is good or on hold.
fn seen(surveyed: &Surveyed, firmware: Option<String>) -> Seen {
    let newest = surveyed.keys.last();
    let in_use = |spki| {
        surveyed.certificates.iter().any(|certificate| {
            certificate.spki_sha256 == spki
                && matches!(certificate.status, CertificateStatus::Good | CertificateStatus::Hold)
        })
    };
    let counting = surveyed.keys.iter().filter(|key| {
        newest.is_some_and(|newest| newest.spki_sha256 == key.spki_sha256) || in_use(key.spki_sha256)
    });
    let keys = counting.map(|key| {
        let part = key.assurance.part.as_ref();
        SeenKey {
            software: key.assurance.storage == Storage::Software,
            part: part.map(|part| (part.vendor.clone(), part.model.clone())),
            revision: part.and_then(|part| part.firmware.clone()),
            library: part.and_then(|part| part.crypto_library.clone()),
        }
    });
    Seen {
        device_type: surveyed.device.device_type.to_string(),
        status: surveyed.device.status.to_string(),
        storage: newest.map(|key| key.assurance.storage.to_string()).unwrap_or_default(),
        grade: newest.map(|key| key.assurance.grade().to_string()).unwrap_or_default(),
        keys: keys.collect(),
        firmware,
    }
}

fn line(surveyed: Surveyed, firmware: Option<String>, matched: Matched) -> AffectedDevice {
    let newest = surveyed.keys.into_iter().next_back().map(|key| key.assurance);
    let certificate = surveyed.certificates.into_iter().next().map(|certificate| LastCertificate {
        serial: hex::encode(&certificate.serial),
        status: certificate.status.as_str(),
        issued: certificate.issued,
        not_after: Timestamp::from_micros(
            i64::try_from(certificate.not_after_s).unwrap_or(i64::MAX).saturating_mul(1_000_000),
        ),
    });
    AffectedDevice {
        schema: "touchmark.affected-device/1",
        device: surveyed.device.id.to_string(),
        device_type: surveyed.device.device_type.to_string(),
        matched,
        status: surveyed.device.status.to_string(),
        grade: newest.as_ref().map(|newest| newest.grade().as_str()),
        storage: newest.as_ref().map(|newest| newest.storage.as_str()),
        basis: newest.as_ref().map(|newest| newest.basis.as_str()),
        part: newest.and_then(|newest| newest.part),
        firmware,
        certificate,
    }
}
