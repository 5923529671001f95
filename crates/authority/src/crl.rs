//! Certificate revocation lists (RFC 5280 §5): built at each change, on a timer, and after a crash.

use der::asn1::{ObjectIdentifier, OctetString, Uint};
use der::{Encode, Enumerated};
use touchmark_identity::timestamp::Timestamp;
use x509_cert::certificate::Version;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::pkix::AuthorityKeyIdentifier;
use x509_cert::serial_number::SerialNumber;

use crate::ca::{Authority, Signer};
use crate::error::AuthorityError;
use crate::registry::{CrlRecord, RevocationReason, RevokedEntry};
use crate::x509::{bit_string, encoding, extension, seconds, signature_algorithm, time};

const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const CRL_REASON: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");

/// `CRLReason` (RFC 5280 §5.3.1) as far as this authority uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumerated)]
#[repr(u8)]
enum ReasonDer {
    Unspecified = 0,
    KeyCompromise = 1,
    Superseded = 4,
    CessationOfOperation = 5,
    CertificateHold = 6,
}

impl From<RevocationReason> for ReasonDer {
    fn from(reason: RevocationReason) -> Self {
        match reason {
            RevocationReason::Unspecified => Self::Unspecified,
            RevocationReason::KeyCompromise => Self::KeyCompromise,
            RevocationReason::Superseded => Self::Superseded,
            RevocationReason::CessationOfOperation => Self::CessationOfOperation,
            RevocationReason::CertificateHold => Self::CertificateHold,
        }
    }
}

/// The name of a CA in the addresses of its CRL and certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaName {
    /// The root.
    Root,
    /// The CA that issues to devices.
    Issuing,
}

impl CaName {
    fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
        }
    }

    fn signer(self) -> Signer {
        match self {
            Self::Root => Signer::Root,
            Self::Issuing => Signer::Issuing,
        }
    }
}

impl Authority {
    /// The newest CRL, DER.
    ///
    /// # Errors
    /// [`AuthorityError::Unknown`] before the first one was built.
    pub fn crl(&mut self, ca: CaName) -> Result<CrlRecord, AuthorityError> {
        self.registry
            .latest_crl(ca.word())?
            .ok_or_else(|| AuthorityError::Unknown { what: "CRL", name: ca.word().to_owned() })
    }

    /// Builds the issuing CA's CRL anew.
    ///
    /// # Errors
    /// [`AuthorityError`] when the registry or key store fails.
    pub fn publish_crl(&mut self, now: Timestamp) -> Result<(), AuthorityError> {
        let revoked = self.registry.revoked()?;
        self.build(CaName::Issuing, &revoked, now)
    }

    /// Builds the CRLs that are missing, past a third of their life, or older than the last change of a state. Called
    /// at the start and by a timer, so that a CRL never lapses and never lags.
    ///
    /// # Errors
    /// [`AuthorityError`] when the registry or key store fails.
    pub fn refresh_crls(&mut self, now: Timestamp) -> Result<(), AuthorityError> {
        let third_ms =
            i64::try_from(self.settings.crl_lifetime_s).unwrap_or(i64::MAX).saturating_mul(1_000) / 3;
        let changed = self.registry.last_status_change()?;
        for ca in [CaName::Root, CaName::Issuing] {
            let fresh = self.registry.latest_crl(ca.word())?.is_some_and(|crl| {
                let lags = ca == CaName::Issuing && changed.is_some_and(|at| at > crl.this_update);
                !lags && now.ms_since(crl.this_update) < third_ms
            });
            if !fresh {
                let revoked = if ca == CaName::Issuing { self.registry.revoked()? } else { Vec::new() };
                self.build(ca, &revoked, now)?;
            }
        }
        Ok(())
    }

    fn build(&mut self, ca: CaName, revoked: &[RevokedEntry], now: Timestamp) -> Result<(), AuthorityError> {
        let number = self.registry.latest_crl(ca.word())?.map_or(1, |crl| crl.number + 1);
        let lifetime_ms =
            i64::try_from(self.settings.crl_lifetime_s).unwrap_or(i64::MAX).saturating_mul(1_000);
        let next = now.plus_ms(lifetime_ms);
        let issuer = self.ca(ca.signer());
        let authority_key = AuthorityKeyIdentifier {
            key_identifier: Some(OctetString::new(issuer.key_identifier()).map_err(encoding("a CRL"))?),
            authority_cert_issuer: None,
            authority_cert_serial_number: None,
        };
        let number_der = Uint::new(&number.to_be_bytes()).map_err(encoding("a CRL"))?;
        let entries = revoked.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let tbs = TbsCertList {
            version: Version::V2,
            signature: signature_algorithm(),
            issuer: issuer.name().clone(),
            this_update: time(seconds(now))?,
            next_update: Some(time(seconds(next))?),
            // RFC 5280 §5.1.2.6: "When there are no revoked certificates, the revoked certificates list MUST be absent."
            revoked_certificates: (!entries.is_empty()).then_some(entries),
            // RFC 5280 §5.2.1 and §5.2.3: both extensions MUST be in every CRL.
            crl_extensions: Some(vec![
                extension(AUTHORITY_KEY_IDENTIFIER, false, &authority_key)?,
                extension(CRL_NUMBER, false, &number_der)?,
            ]),
        };
        let signed = tbs.to_der().map_err(encoding("a CRL"))?;
        let signature = self.sign(ca.signer(), &signed)?;
        let list = CertificateList {
            tbs_cert_list: tbs,
            signature_algorithm: signature_algorithm(),
            signature: bit_string(&signature)?,
        };
        let der = list.to_der().map_err(encoding("a CRL"))?;
        let record = CrlRecord { number, this_update: now, next_update: next, der };
        Ok(self.registry.add_crl(ca.word(), &record)?)
    }
}

fn entry(revoked: &RevokedEntry) -> Result<RevokedCert, AuthorityError> {
    // RFC 5280 §5.3.1: "the reason code CRL entry extension SHOULD be absent instead of using the unspecified (0)
    // reasonCode value."
    let extensions = match revoked.reason {
        RevocationReason::Unspecified => None,
        reason => Some(vec![extension(CRL_REASON, false, &ReasonDer::from(reason))?]),
    };
    Ok(RevokedCert {
        serial_number: SerialNumber::new(&revoked.serial).map_err(encoding("a CRL"))?,
        revocation_date: time(seconds(revoked.at))?,
        crl_entry_extensions: extensions,
    })
}
