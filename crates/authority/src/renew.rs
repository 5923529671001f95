//! Renewal: a certificate is renewed once, so that the certificates of a device form one chain.
//!
//! A copy of a device's key and certificate can renew as well as the device. Whoever comes first gets the successor, and
//! the other is refused from then on, because its certificate has one: two holders cannot both stay on the chain. The
//! one exception is an answer that was lost: while the successor was never used, it is given again for the same key.
//! Enrolling with a token goes on with the chain too, so a device that enrolled anew leaves its former holders behind.
//!
//! Only renewal is refused. A certificate that was renewed stays good for connections.

use touchmark_identity::assurance::Grade;
use touchmark_identity::ids::DeviceId;
use touchmark_identity::timestamp::Timestamp;

use crate::ca::Authority;
use crate::csr::ProvenRequest;
use crate::enrol::{Enrolled, Right, Verdict, unproven};
use crate::error::AuthorityError;
use crate::registry::chain::{self, RefusedRenewal};
use crate::registry::{CertificateRecord, CertificateStatus, DeviceStatus, RegistryError};
use crate::x509::{HeldCertificate, common_name};

/// How a renewal was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A new certificate was issued.
    Renewed,
    /// The certificate that was issued before, and never used since, was given again.
    Repeated,
}

/// A granted renewal.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// The certificate with the record that it carries.
    pub enrolled: Enrolled,
    /// How it was granted.
    pub grant: Grant,
}

impl Authority {
    /// Renews a certificate for the device that authenticated with it (RFC 7030 §4.2.2).
    ///
    /// With the same key the record is inherited, evidence and date with it. A new key without evidence is declared
    /// software, and refused where the present key is proven hardware. A certificate that was renewed before gets its
    /// successor again as long as that was not used and is for the same key, and is refused otherwise.
    ///
    /// # Errors
    /// [`AuthorityError::NotInService`] unless certificate and device are good; [`AuthorityError::Superseded`], which
    /// is journalled; [`AuthorityError::RekeyWithoutEvidence`]; the errors of [`ProvenRequest::from_der`].
    pub fn simple_reenrol(
        &mut self,
        presented: &HeldCertificate,
        request: &ProvenRequest,
        now: Timestamp,
    ) -> Result<Renewal, AuthorityError> {
        let serial = presented.serial();
        let unknown = || AuthorityError::Unknown { what: "certificate", name: hex::encode(&serial) };
        let record = self.registry.certificate(&serial)?.ok_or_else(unknown)?;
        if record.der.as_deref() != Some(presented.der.as_slice()) {
            return Err(unknown());
        }
        let device = record.device.clone().ok_or_else(unknown)?;
        self.note_use(&record, now)?;
        let status = self.known(&device)?.status;
        if record.status != CertificateStatus::Good || status != DeviceStatus::Enrolled {
            let status = format!("{status}, its certificate {}", record.status.as_str());
            return Err(AuthorityError::NotInService { device: device.to_string(), status });
        }
        // RFC 7030 §4.2.2: "The request Subject field and SubjectAltName extension MUST be identical to the
        // corresponding fields in the certificate being renewed/rekeyed."
        let subject = &presented.certificate.tbs_certificate.subject;
        request.must_name(&device)?;
        if common_name(subject).as_deref() != Some(device.as_str()) {
            return Err(AuthorityError::WrongSubject {
                expected: device.to_string(),
                found: common_name(subject).unwrap_or_default(),
            });
        }
        let all = self.registry.certificates("device", Some(&device))?;
        must_be_linked(&all, &record)?;
        if let Some(successor) = chain::successor(&all, &serial) {
            return self.renewed_before(&all, &record, &device, successor, request, now);
        }
        let held = self
            .registry
            .key(&record.spki_sha256)?
            .ok_or_else(|| AuthorityError::Unknown { what: "key", name: record.spki_sha256.to_string() })?;
        let verdict = if request.key().spki_sha256() == held.spki_sha256 {
            Verdict {
                assurance: held.assurance,
                endorser: held.endorser,
                evidence: held.evidence,
                reasons: held.reasons,
            }
        } else if held.assurance.grade() > Grade::Copyable {
            return Err(AuthorityError::RekeyWithoutEvidence {
                device: device.to_string(),
                held: held.assurance.grade(),
            });
        } else {
            unproven(vec!["the key was replaced at renewal, without evidence".to_owned()])
        };
        let right = Right::Renewal { of: serial };
        let enrolled = self.certify(&device, request, held.claimed, verdict, right, now)?;
        Ok(Renewal { enrolled, grant: Grant::Renewed })
    }

    /// Writes down that a device certificate was used, by whoever proved possession of its key. It is written once for
    /// each certificate; from then on its predecessor is renewed no more.
    ///
    /// # Errors
    /// [`AuthorityError::Registry`] when the registry fails.
    pub fn note_use(&mut self, certificate: &CertificateRecord, at: Timestamp) -> Result<(), AuthorityError> {
        if certificate.device.is_some() && certificate.first_used.is_none() {
            self.registry.mark_used(&certificate.serial, at)?;
        }
        Ok(())
    }

    /// What a certificate gets that has a successor.
    fn renewed_before(
        &mut self,
        all: &[CertificateRecord],
        record: &CertificateRecord,
        device: &DeviceId,
        successor: &CertificateRecord,
        request: &ProvenRequest,
        now: Timestamp,
    ) -> Result<Renewal, AuthorityError> {
        let answer_was_lost = successor.status == CertificateStatus::Good
            && successor.spki_sha256 == request.key().spki_sha256()
            && successor.first_used.is_none();
        if answer_was_lost
            && let Some(der) = &successor.der
            && let Some(key) = self.registry.key(&successor.spki_sha256)?
        {
            let enrolled = Enrolled { certificate: HeldCertificate::from_der(der)?, key };
            return Ok(Renewal { enrolled, grant: Grant::Repeated });
        }
        let refused = RefusedRenewal {
            serial: &record.serial,
            device,
            successor: &successor.serial,
            requested: request.key().spki_sha256(),
        };
        self.registry.refuse_renewal(&refused, now)?;
        Err(AuthorityError::Superseded {
            device: device.to_string(),
            renewed: successor.issued.unwrap_or(now),
            successor: hex::encode(&successor.serial),
            first_used: successor.first_used,
            head: chain::head(all, successor).cert_sha256.clone().unwrap_or_default(),
        })
    }
}

/// A row whose link is not that of its content and predecessor was changed by something else than this program.
fn must_be_linked(all: &[CertificateRecord], record: &CertificateRecord) -> Result<(), RegistryError> {
    let before = match &record.predecessor {
        Some(serial) => all.iter().find(|one| one.serial == *serial).and_then(|one| one.link),
        None => None,
    };
    let expected = record
        .der
        .as_deref()
        .filter(|_| record.predecessor.is_none() || before.is_some())
        .map(|der| chain::link(before.as_ref(), der));
    if expected.is_some() && expected == record.link {
        return Ok(());
    }
    Err(RegistryError::Damaged {
        table: "certificate",
        detail: format!(
            "the link of {} is not that of its content and predecessor",
            hex::encode(&record.serial)
        ),
    })
}
