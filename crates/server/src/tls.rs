//! The TLS side of the enrolment listener: the server's certificate from its own authority, client certificates from
//! the same, offered and not required. And TLS to the servers of others.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsConnector;
use touchmark_identity::key::PublicKey;

use crate::app::App;
use crate::error::ServerError;

/// The server's present certificate, replaced while it runs.
#[derive(Debug)]
pub struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn failed(error: impl std::fmt::Display) -> ServerError {
    ServerError::Tls { detail: error.to_string() }
}

/// Makes a key that lives in this process alone, and a certificate for it.
fn certified_key(app: &App) -> Result<CertifiedKey, ServerError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let public = PublicKey::from_point(pair.public_key().as_ref()).map_err(failed)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(failed)?;
    let mut hosts = app.config.listen.hosts.clone();
    if hosts.is_empty() {
        hosts = vec!["localhost".to_owned(), app.config.listen.enrol.ip().to_string()];
    }
    let mut authority = app.authority();
    let leaf = authority.issue_server(&hosts, &public, app.now())?;
    let issuing = authority.issuing().certificate().der.clone();
    drop(authority);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec()));
    let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key).map_err(failed)?;
    Ok(CertifiedKey::new(vec![CertificateDer::from(leaf.der), CertificateDer::from(issuing)], key))
}

impl CurrentCertificate {
    /// Issues the first certificate.
    ///
    /// # Errors
    /// [`ServerError`] when the authority or TLS library fails.
    pub fn new(app: &App) -> Result<Arc<Self>, ServerError> {
        Ok(Arc::new(Self(RwLock::new(Arc::new(certified_key(app)?)))))
    }

    /// Replaces the certificate by a new one.
    ///
    /// # Errors
    /// As [`CurrentCertificate::new`]; the old certificate stays then.
    pub fn renew(&self, app: &App) -> Result<(), ServerError> {
        let fresh = Arc::new(certified_key(app)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

/// The configuration of the enrolment listener. A client certificate that is sent must chain to this authority's
/// CAs; whether it is still good is the registry's to say, for each request.
///
/// # Errors
/// [`ServerError::Tls`] when the library refuses.
pub fn server_config(app: &App, current: Arc<CurrentCertificate>) -> Result<Arc<ServerConfig>, ServerError> {
    let mut roots = RootCertStore::empty();
    // The issuing CA is an anchor of its own: an EST client holds the certificate that it got, and `simpleenroll` gives
    // it that one alone (RFC 7030 §4.2.3), so many present no chain.
    let authority = app.authority();
    for ca in [authority.root(), authority.issuing()] {
        roots.add(CertificateDer::from(ca.certificate().der.clone())).map_err(failed)?;
    }
    drop(authority);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(failed)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(current);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A bounded word for why a handshake failed.
#[must_use]
pub fn cause(error: &std::io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            rustls::CertificateError::UnknownIssuer => "unknown-ca",
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => "expired",
            _ => "bad-client-certificate",
        },
        Some(rustls::Error::AlertReceived(_)) => "alert-from-client",
        Some(rustls::Error::PeerIncompatible(_)) => "peer-incompatible",
        Some(rustls::Error::PeerMisbehaved(_) | rustls::Error::InvalidMessage(_)) => "not-tls",
        Some(_) => "other",
        None => "connection-lost",
    }
}

/// TLS to servers of others whose certificates chain to the roots in this PEM file.
///
/// # Errors
/// What is wrong with the file.
pub fn connector(path: &Path) -> Result<TlsConnector, String> {
    let failed =
        |error: String| format!("the roots in {} cannot be used: {error}; set ca_file", path.display());
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut store = RootCertStore::empty();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok).collect();
    let (added, _unusable) = store.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(failed("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
