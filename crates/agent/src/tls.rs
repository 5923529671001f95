//! TLS with a client key that stays in its store.
//!
//! The server is believed when its certificate leads to one of the pinned roots, and nothing else is believed. The
//! device signs with ecdsa_secp256r1_sha256 (RFC 8446 §4.2.3) and refuses any other scheme. Sessions are not resumed:
//! each connection proves anew that the key is here, and meets the telemetry gate's current list of revocations.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use der::{Decode, Encode};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ClientConfig, RootCertStore, SignatureAlgorithm, SignatureScheme};
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::{PublicKey, sha256};
use x509_cert::Certificate;

use crate::clock::{Clock, TlsTime};
use crate::device::SharedStore;
use crate::error::AgentError;

/// No file of trust anchors is larger than this, in bytes.
const MAX_ANCHOR_BYTES: u64 = 256 * 1024;
/// No chain is longer than this.
const MAX_CHAIN: usize = 8;

/// The roots of a PEM file.
///
/// # Errors
/// [`AgentError::File`] when it cannot be read, [`AgentError::NoTrustAnchor`] when it holds no certificate or one that
/// cannot be a trust anchor.
pub fn trust_anchors(path: &Path) -> Result<RootCertStore, AgentError> {
    let failed = AgentError::file("read", path);
    let none = |detail: String| AgentError::NoTrustAnchor { path: path.display().to_string(), detail };
    let mut pem = Vec::new();
    File::open(path).map_err(&failed)?.take(MAX_ANCHOR_BYTES + 1).read_to_end(&mut pem).map_err(&failed)?;
    if pem.len() as u64 > MAX_ANCHOR_BYTES {
        return Err(none(format!("it is larger than {MAX_ANCHOR_BYTES} bytes")));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| none(e.to_string()))?;
        roots.add(certificate).map_err(|e| none(e.to_string()))?;
    }
    if roots.is_empty() { Err(none("no certificate in PEM".to_owned())) } else { Ok(roots) }
}

/// A configuration that authenticates the server alone, for the enrolment.
///
/// # Errors
/// [`AgentError::Internal`] when the cryptographic library offers no TLS version that is wanted here.
pub fn server_only(roots: RootCertStore, clock: &Arc<dyn Clock>) -> Result<ClientConfig, AgentError> {
    let mut config = versions(clock)?.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A configuration that authenticates both sides: the device with `identity`.
///
/// # Errors
/// As for [`server_only`].
pub fn mutual(
    roots: RootCertStore,
    identity: DeviceIdentity,
    clock: &Arc<dyn Clock>,
) -> Result<ClientConfig, AgentError> {
    let mut config =
        versions(clock)?.with_root_certificates(roots).with_client_cert_resolver(Arc::new(identity));
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn versions(
    clock: &Arc<dyn Clock>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, AgentError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_details(provider, Arc::new(TlsTime(Arc::clone(clock))))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| AgentError::Internal { operation: "setting up TLS", detail: e.to_string() })
}

/// A device's certificate with the key that it is for, checked to belong together.
#[derive(Debug)]
pub struct DeviceIdentity(Arc<CertifiedKey>);

impl DeviceIdentity {
    /// Takes the certificates of a PEM text, the device's own first, and the key of that name in the store. `place` is
    /// for messages.
    ///
    /// # Errors
    /// [`AgentError::Corrupt`] when the text holds no chain of 1 to 8 certificates; [`AgentError::Drift`] when the
    /// first is for another key than the store's.
    pub fn new(pem: &[u8], place: &str, store: &SharedStore, key: &KeyName) -> Result<Self, AgentError> {
        let chain = Chain::read(pem, place)?;
        let held = store.with("tell the public key", |store| store.public_key(key))?;
        chain.must_be_for(&held, key)?;
        let signing = DeviceKey { store: store.clone(), key: key.clone(), spki: held.spki_der() };
        Ok(Self(Arc::new(CertifiedKey::new(chain.to_present(), Arc::new(signing)))))
    }
}

impl ResolvesClientCert for DeviceIdentity {
    fn resolve(&self, _roots: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        schemes.contains(&SignatureScheme::ECDSA_NISTP256_SHA256).then(|| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

struct DeviceKey {
    store: SharedStore,
    key: KeyName,
    spki: Vec<u8>,
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.key)
    }
}

impl SigningKey for DeviceKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256).then(|| {
            Box::new(DeviceSigner { store: self.store.clone(), key: self.key.clone() }) as Box<dyn Signer>
        })
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.spki.as_slice()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

#[derive(Debug)]
struct DeviceSigner {
    store: SharedStore,
    key: KeyName,
}

impl Signer for DeviceSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let digest = sha256(message);
        self.store
            .with("sign a TLS handshake", |store| store.sign_digest(&self.key, &digest))
            .map_err(|error| rustls::Error::General(error.chain()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// A device's certificate and its issuers.
pub(crate) struct Chain {
    certificates: Vec<Certificate>,
    public: PublicKey,
}

impl Chain {
    pub(crate) fn read(pem: &[u8], place: &str) -> Result<Self, AgentError> {
        let corrupt = |detail: String| AgentError::Corrupt { place: place.to_owned(), detail };
        let mut certificates = Vec::new();
        for der in CertificateDer::pem_slice_iter(pem).take(MAX_CHAIN + 1) {
            let der = der.map_err(|e| corrupt(e.to_string()))?;
            certificates.push(Certificate::from_der(&der).map_err(|e| corrupt(e.to_string()))?);
        }
        if certificates.len() > MAX_CHAIN {
            return Err(corrupt(format!("a chain has at most {MAX_CHAIN} certificates")));
        }
        let first =
            certificates.first().ok_or_else(|| corrupt("it holds no certificate in PEM".to_owned()))?;
        let spki =
            first.tbs_certificate.subject_public_key_info.to_der().map_err(|e| corrupt(e.to_string()))?;
        let public = PublicKey::from_spki_der(&spki).map_err(|e| corrupt(e.to_string()))?;
        Ok(Self { certificates, public })
    }

    pub(crate) fn must_be_for(&self, held: &PublicKey, key: &KeyName) -> Result<(), AgentError> {
        if self.public == *held {
            Ok(())
        } else {
            Err(AgentError::Drift {
                key: key.clone(),
                certified: self.public.spki_sha256(),
                held: held.spki_sha256(),
            })
        }
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn device(&self) -> Option<&Certificate> {
        self.certificates.first()
    }

    /// What the handshake carries: everything but a self-issued root, which the other side has or does not believe
    /// (RFC 8446 §4.4.2 lets it be left out).
    fn to_present(&self) -> Vec<CertificateDer<'static>> {
        let presented = self.certificates.iter().enumerate().filter(|(place, certificate)| {
            *place == 0 || certificate.tbs_certificate.issuer != certificate.tbs_certificate.subject
        });
        presented.filter_map(|(_, certificate)| certificate.to_der().ok().map(CertificateDer::from)).collect()
    }
}

#[cfg(test)]
mod tests;
