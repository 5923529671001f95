//! Issuing: write the intent down, sign, write the certificate down, and only then answer.
//!
//! A crash before the first write leaves nothing. A crash between the writes leaves an intent, which counts as revoked
//! from the next start on, for its certificate may have been signed; it was never handed out. One intent is signed at
//! most once: ECDSA is randomised, so a second signature would make a second certificate with the same serial number.

use der::{Decode, Encode};
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::PublicKey;
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::KeyStore;
use x509_cert::name::Name;
use x509_cert::{Certificate, TbsCertificate};

use crate::ca::{Authority, Signer, sign};
use crate::error::AuthorityError;
use crate::registry::{Intent, KeyRecord, Registry};
use crate::x509::profile::{Issuer, Profile, to_be_signed};
use crate::x509::{HeldCertificate, NO_EXPIRY_SECONDS, bit_string, encoding, seconds, signature_algorithm};

/// What a certificate will be about.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) profile: Profile,
    pub(crate) name: Name,
    pub(crate) key: PublicKey,
    /// Written with the intent; `None` leaves the key's record as it is.
    pub(crate) record: Option<KeyRecord>,
    pub(crate) spends_token: bool,
    /// The certificate whose place it takes, and whether it was asked for with that one.
    pub(crate) predecessor: Option<Vec<u8>>,
    pub(crate) renewal: bool,
}

impl Authority {
    pub(crate) fn issue(
        &mut self,
        subject: Subject,
        now: Timestamp,
    ) -> Result<HeldCertificate, AuthorityError> {
        let ca = self.ca(Signer::Issuing).clone();
        let public_url = self.settings.public_url.clone().unwrap_or_default();
        let issuer = Issuer { name: ca.name(), key_identifier: ca.key_identifier(), public_url: &public_url };
        issue(self.registry.as_mut(), self.keys.as_mut(), &issuer, &ca.key_name, &ca.public, subject, now)
    }
}

pub(crate) fn issue(
    registry: &mut dyn Registry,
    keys: &mut dyn KeyStore,
    issuer: &Issuer<'_>,
    signing_key: &KeyName,
    signing_public: &PublicKey,
    subject: Subject,
    now: Timestamp,
) -> Result<HeldCertificate, AuthorityError> {
    let Subject { profile, name, key, record, spends_token, predecessor, renewal } = subject;
    let serial = new_serial()?;
    let tbs = to_be_signed(&profile, name, &key, issuer, &serial, seconds(now))?;
    let not_after_s = tbs.validity.not_after.to_unix_duration().as_secs().min(NO_EXPIRY_SECONDS);
    let tbs_der = tbs.to_der().map_err(encoding("a certificate"))?;
    let device = match &profile {
        Profile::Device { device, .. } => Some(device.clone()),
        _ => None,
    };
    let intent = Intent {
        serial: serial.clone(),
        profile: profile.name(),
        device,
        spki_sha256: key.spki_sha256(),
        tbs: tbs_der.clone(),
        key: record,
        not_after_s,
        spends_token,
        predecessor,
        renewal,
    };
    registry.intend(&intent, now)?;
    let signature = sign(keys, signing_key, signing_public, &tbs_der)?;
    let certificate = Certificate {
        tbs_certificate: TbsCertificate::from_der(&tbs_der).map_err(encoding("a certificate"))?,
        signature_algorithm: signature_algorithm(),
        signature: bit_string(&signature)?,
    };
    let der = certificate.to_der().map_err(encoding("a certificate"))?;
    registry.complete(&serial, &der, now)?;
    Ok(HeldCertificate { der, certificate })
}

/// 158 random bits in 20 bytes, positive and of full length.
///
/// # Source
/// RFC 5280 §4.1.2.2: "Certificate users MUST be able to handle serialNumber values up to 20 octets. Conforming CAs
/// MUST NOT use serialNumber values longer than 20 octets", and serial numbers are positive.
fn new_serial() -> Result<Vec<u8>, AuthorityError> {
    let mut serial = [0; 20];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| AuthorityError::Encoding { what: "a serial number" })?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial.to_vec())
}
