//! Certificates by which a token says that it made a key itself, where they lie among its objects.
//!
//! PKCS #11 has no function for that. Yubico's PIV application shows, through its own module, a certificate object for each
//! generated key, signed by the device's attestation key, whose certificate lies there as well.

use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass};
use touchmark_identity::evidence::{Evidence, Nonce, Pkcs11Evidence, yubico_firmware};
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::{PublicKey, sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::{Pkcs11Store, refused};
use crate::store::{Attest, Attested, KeyStore, StoreError};

/// The most certificates towards the maker's root.
const MAX_CHAIN: usize = 4;

struct Held {
    der: Vec<u8>,
    certificate: Certificate,
}

impl Pkcs11Store {
    /// The X.509 certificates among the token's objects; what cannot be read as one is somebody else's.
    fn certificates(&self) -> Result<Vec<Held>, StoreError> {
        let template =
            [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::CertificateType(CertificateType::X_509)];
        let mut held = Vec::new();
        for object in self.session.find_objects(&template).map_err(refused("C_FindObjects"))? {
            let values = self
                .session
                .get_attributes(object, &[AttributeType::Value])
                .map_err(refused("C_GetAttributeValue"))?;
            let Some(Attribute::Value(der)) = values.into_iter().next() else { continue };
            if let Ok(certificate) = Certificate::from_der(&der) {
                held.push(Held { der, certificate });
            }
        }
        Ok(held)
    }

    /// The keys for which the token has a certificate of its own making.
    pub(super) fn attestation_certificates(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let attestation = |held: &Held| yubico_firmware(&held.certificate).is_some();
        Ok(self.certificates()?.into_iter().filter(attestation).map(|held| held.der).collect())
    }
}

fn is_for(certificate: &Certificate, key: &PublicKey) -> bool {
    let spki = certificate.tbs_certificate.subject_public_key_info.to_der();
    spki.is_ok_and(|spki| PublicKey::from_spki_der(&spki).is_ok_and(|found| found == *key))
}

/// The issuers of a certificate, as far as they lie in the token; a root by itself proves nothing and stays out.
fn chain(held: &[Held], leaf: &Held) -> Vec<Vec<u8>> {
    let mut chain = Vec::new();
    let mut lowest = &leaf.certificate;
    while chain.len() < MAX_CHAIN {
        let wanted = &lowest.tbs_certificate.issuer;
        let issuer = held.iter().find(|held| {
            let found = &held.certificate.tbs_certificate;
            found.subject == *wanted && found.issuer != found.subject && held.der != leaf.der
        });
        let Some(issuer) = issuer else { break };
        if chain.contains(&issuer.der) {
            break;
        }
        chain.push(issuer.der.clone());
        lowest = &issuer.certificate;
    }
    chain
}

impl Attest for Pkcs11Store {
    fn attest(&mut self, key: &KeyName, nonce: &Nonce) -> Result<Attested, StoreError> {
        let public = self.public_key(key)?;
        let held = self.certificates()?;
        let leaf = held
            .iter()
            .find(|held| is_for(&held.certificate, &public) && yubico_firmware(&held.certificate).is_some());
        let Some(leaf) = leaf else {
            return Err(StoreError::NoCapability {
                capability: "vouch for this key: it has no certificate by the token",
            });
        };
        let signature = self.sign_digest(key, &sha256(&nonce.possession_bytes()))?;
        let evidence = Pkcs11Evidence { certificate: leaf.der.clone(), chain: chain(&held, leaf), signature };
        Ok(Attested { key: public, evidence: Evidence::Pkcs11(evidence) })
    }
}
