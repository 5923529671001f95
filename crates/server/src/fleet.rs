//! What a data directory says of its fleet, for `touchmark decide`: counts for posture and evidence, and the answer to
//! which devices are affected.
//!
//! Both read the registry and the event log beside the server that may be running on them, without their locks and
//! without the authority's keys.

mod affected;
mod reported;
#[cfg(test)]
mod tests;

use std::path::Path;

use touchmark_authority::AuthorityError;
use touchmark_authority::registry::survey::{Survey, Surveyed, SurveyedCertificate};
use touchmark_authority::registry::{CertificateStatus, RegistryError};
use touchmark_economics::evidence::facts::{CertificateFacts, Counts, FleetFacts, KeyFacts, RegistryFacts};
use touchmark_identity::assurance::Part;
use touchmark_identity::timestamp::Timestamp;

pub use self::affected::{AffectedDevice, LastCertificate, affected};
use self::reported::Reported;
use crate::error::ServerError;

/// More different words than this are counted together: what devices say of themselves has no bound otherwise.
const MAX_WORDS: usize = 1_000;
/// The word for those.
const OTHERS: &str = "others";

/// Counts for posture and evidence. A certificate that ends within `expiring_days` of `now` expires soon.
///
/// # Errors
/// [`ServerError::Authority`] when there is no registry or it cannot be read; [`ServerError::EventLog`] for the log.
pub fn facts(data: &Path, now: Timestamp, expiring_days: f64) -> Result<FleetFacts, ServerError> {
    let survey = Survey::open(data).map_err(AuthorityError::from)?;
    let reported = Reported::open(data)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "days of an input, 0 to 36,500"
    )]
    let soon = now.seconds().saturating_add((expiring_days * 86_400.0) as u64);
    let mut registry = RegistryFacts::default();
    let (mut firmware, mut firmware_devices) = (Counts::new(), 0);
    survey.devices(|surveyed| {
        take(&mut registry, &surveyed, now.seconds(), soon);
        if let Some(reported) = &reported
            && let Some(version) = reported.firmware(surveyed.device.id.as_str())?
        {
            firmware_devices += 1;
            add(&mut firmware, &version);
        }
        Ok::<(), Trouble>(())
    })?;
    let failed = |error: RegistryError| ServerError::from(AuthorityError::from(error));
    registry.class_breaks =
        survey.class_breaks().map_err(failed)?.iter().map(|entry| entry.id.to_string()).collect();
    (registry.journal_entries, registry.journal_whole) = survey.journal().map_err(failed)?;
    if let Some(crl) = survey.latest_crl().map_err(failed)? {
        (registry.crl_number, registry.crl_current) = (crl.number, crl.next_update > now);
    }
    let events = match &reported {
        Some(reported) => Some(reported.facts(firmware, firmware_devices)?),
        None => None,
    };
    Ok(FleetFacts {
        place: data.display().to_string(),
        as_of: now.to_string(),
        example: false,
        registry: Some(registry),
        events,
    })
}

/// Either side of a survey may fail.
#[derive(Debug)]
struct Trouble(ServerError);

impl From<RegistryError> for Trouble {
    fn from(error: RegistryError) -> Self {
        Self(AuthorityError::from(error).into())
    }
}

impl From<ServerError> for Trouble {
    fn from(error: ServerError) -> Self {
        Self(error)
    }
}

impl From<Trouble> for ServerError {
    fn from(trouble: Trouble) -> Self {
        trouble.0
    }
}

/// Counts a word.
fn add(counts: &mut Counts, word: &str) {
    let word = if counts.len() < MAX_WORDS || counts.contains_key(word) { word } else { OTHERS };
    *counts.entry(word.to_owned()).or_default() += 1;
}

fn take(registry: &mut RegistryFacts, surveyed: &Surveyed, now: u64, soon: u64) {
    registry.devices += 1;
    add(&mut registry.by_type, surveyed.device.device_type.as_str());
    add(&mut registry.by_status, surveyed.device.status.as_str());
    if let Some(newest) = surveyed.keys.last() {
        if surveyed.certificates.iter().any(|c| c.spki_sha256 == newest.spki_sha256 && c.issued.is_some()) {
            registry.complete += 1;
        }
        take_key(&mut registry.keys, &newest.assurance);
    }
    for certificate in &surveyed.certificates {
        take_certificate(&mut registry.certificates, certificate, &surveyed.certificates, (now, soon));
    }
}

fn take_key(keys: &mut KeyFacts, assurance: &touchmark_identity::assurance::KeyAssurance) {
    keys.devices += 1;
    add(&mut keys.by_storage, assurance.storage.as_str());
    add(&mut keys.by_basis, assurance.basis.as_str());
    add(&mut keys.by_grade, assurance.grade().as_str());
    add(&mut keys.by_provenance, assurance.provenance.as_str());
    add(&mut keys.by_host_binding, assurance.host_binding.as_str());
    if let Some(part) = &assurance.part {
        keys.with_part += 1;
        add(&mut keys.by_part, &part_name(part));
        keys.with_library += u64::from(part.crypto_library.is_some());
    }
    keys.with_certification += u64::from(assurance.certification.is_some());
    keys.test_endorsed += u64::from(assurance.test_endorser);
    keys.class_broken += u64::from(assurance.class_break.is_some());
}

fn part_name(part: &Part) -> String {
    match &part.firmware {
        Some(firmware) => format!("{}/{}@{firmware}", part.vendor, part.model),
        None => format!("{}/{}", part.vendor, part.model),
    }
}

fn take_certificate(
    counts: &mut CertificateFacts,
    certificate: &SurveyedCertificate,
    all: &[SurveyedCertificate],
    (now, soon): (u64, u64),
) {
    if certificate.issued.is_none() {
        return;
    }
    counts.issued += 1;
    if certificate.predecessor.is_some() {
        counts.replacing += 1;
        counts.renewed += u64::from(certificate.renewal);
    }
    match certificate.status {
        CertificateStatus::Hold => counts.on_hold += 1,
        CertificateStatus::Revoked => counts.revoked += 1,
        CertificateStatus::Good => {
            let replaced = all.iter().any(|other| {
                other.issued.is_some() && other.predecessor.as_ref() == Some(&certificate.serial)
            });
            if replaced {
                return;
            }
            if certificate.not_after_s <= now {
                counts.expired += 1;
            } else {
                counts.in_use += 1;
                counts.expiring += u64::from(certificate.not_after_s <= soon);
            }
        }
        CertificateStatus::Intended | CertificateStatus::Orphaned => {}
    }
}
