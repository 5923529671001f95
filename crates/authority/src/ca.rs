//! The authority itself: its keys, its two certificates, and the one place where it signs.

use touchmark_attest::Policy;
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::{KeyStore, StoreError};
use x509_cert::name::Name;

use crate::enrol::Sessions;
use crate::error::AuthorityError;
use crate::issue::Subject;
use crate::registry::{CertificateStatus, Registry};
use crate::settings::Settings;
use crate::x509::profile::{Issuer, Profile};
use crate::x509::{HeldCertificate, ca_name, key_identifier};

/// A CA: its key's name in the key store, its public key, its certificate.
#[derive(Debug, Clone)]
pub struct Ca {
    pub(crate) key_name: KeyName,
    pub(crate) public: PublicKey,
    pub(crate) held: HeldCertificate,
}

impl Ca {
    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &HeldCertificate {
        &self.held
    }

    pub(crate) fn name(&self) -> &Name {
        &self.held.certificate.tbs_certificate.subject
    }

    pub(crate) fn key_identifier(&self) -> [u8; 20] {
        key_identifier(&self.public)
    }
}

/// Which of the two CAs signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signer {
    Root,
    Issuing,
}

/// The certification authority over one registry and one key store.
pub struct Authority {
    pub(crate) registry: Box<dyn Registry>,
    pub(crate) keys: Box<dyn KeyStore>,
    pub(crate) root: Ca,
    pub(crate) issuing: Ca,
    pub(crate) settings: Settings,
    pub(crate) verifier: Policy,
    pub(crate) sessions: Sessions,
    orphans: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.settings.organisation)
    }
}

/// Key store and registry before the CA certificates are known.
struct Founding<'a> {
    registry: &'a mut dyn Registry,
    keys: &'a mut dyn KeyStore,
    settings: &'a Settings,
}

impl Authority {
    /// Opens the authority, or founds it when the registry holds no CA certificate: makes the two keys that are
    /// missing, and the two certificates.
    ///
    /// Closes intents that a crash left open: their serial numbers count as revoked from now on
    /// ([`Authority::orphans`] lists them), and builds CRLs that are missing or behind.
    ///
    /// # Errors
    /// [`AuthorityError::WrongCaKey`] when the key store holds other keys than the certificates were made for: nothing
    /// is made anew then.
    pub fn open(
        mut registry: Box<dyn Registry>,
        mut keys: Box<dyn KeyStore>,
        settings: Settings,
        verifier: Policy,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let orphans = registry.close_intents(now)?;
        let mut founding = Founding { registry: registry.as_mut(), keys: keys.as_mut(), settings: &settings };
        let root = founding.ca(Signer::Root, None, now)?;
        let issuing = founding.ca(Signer::Issuing, Some(&root), now)?;
        let sessions = Sessions::default();
        let mut authority = Self { registry, keys, root, issuing, settings, verifier, sessions, orphans };
        authority.refresh_crls(now)?;
        Ok(authority)
    }

    /// Serial numbers of certificates that may have been signed and were never handed out.
    #[must_use]
    pub fn orphans(&self) -> &[Vec<u8>] {
        &self.orphans
    }

    /// The root CA.
    #[must_use]
    pub fn root(&self) -> &Ca {
        &self.root
    }

    /// The CA that issues to devices.
    #[must_use]
    pub fn issuing(&self) -> &Ca {
        &self.issuing
    }

    /// The registry, for reading.
    pub fn registry(&mut self) -> &mut dyn Registry {
        self.registry.as_mut()
    }

    /// What the authority's key store says of itself.
    ///
    /// # Errors
    /// [`AuthorityError::Store`] when it cannot be asked.
    pub fn key_store_info(&mut self) -> Result<touchmark_keystore::StoreInfo, AuthorityError> {
        Ok(self.keys.info()?)
    }

    /// The Verifier's policy.
    #[must_use]
    pub fn verifier(&self) -> &Policy {
        &self.verifier
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn ca(&self, signer: Signer) -> &Ca {
        match signer {
            Signer::Root => &self.root,
            Signer::Issuing => &self.issuing,
        }
    }

    /// Signs with a CA's key and checks the signature before it is used.
    pub(crate) fn sign(&mut self, signer: Signer, message: &[u8]) -> Result<Vec<u8>, AuthorityError> {
        let ca = self.ca(signer);
        let (name, public) = (ca.key_name.clone(), ca.public.clone());
        sign(self.keys.as_mut(), &name, &public, message)
    }

    /// Issues the TLS certificate of this server for a key that it holds itself.
    ///
    /// # Errors
    /// [`AuthorityError`] when the registry or key store fails.
    pub fn issue_server(
        &mut self,
        hosts: &[String],
        key: &PublicKey,
        now: Timestamp,
    ) -> Result<HeldCertificate, AuthorityError> {
        let first = hosts.first().map_or("localhost", String::as_str);
        let subject = Subject {
            profile: Profile::Server { hosts: hosts.to_vec() },
            name: ca_name(&self.settings.organisation, first)?,
            key: key.clone(),
            record: None,
            spends_token: false,
            predecessor: None,
            renewal: false,
        };
        self.issue(subject, now)
    }
}

pub(crate) fn sign(
    keys: &mut dyn KeyStore,
    name: &KeyName,
    public: &PublicKey,
    message: &[u8],
) -> Result<Vec<u8>, AuthorityError> {
    let signature = keys.sign_digest(name, &sha256(message))?;
    public.verify(message, &signature).map_err(|_| AuthorityError::WrongCaKey {
        name: name.to_string(),
        expected: public.spki_sha256().to_string(),
        found: "another key, for its signature does not verify".to_owned(),
    })?;
    Ok(signature)
}

impl Founding<'_> {
    fn ca(&mut self, signer: Signer, root: Option<&Ca>, now: Timestamp) -> Result<Ca, AuthorityError> {
        let (profile, label, key) = match signer {
            Signer::Root => (Profile::Root, "Root CA", "root-ca"),
            Signer::Issuing => (Profile::Issuing, "Issuing CA", "issuing-ca"),
        };
        let key_name = KeyName::new(key).map_err(|_| AuthorityError::Encoding { what: "a key name" })?;
        let issued = self.registry.certificates(profile.name(), None)?;
        let held = issued.into_iter().find(|c| c.status == CertificateStatus::Good).and_then(|c| c.der);
        if let Some(der) = held {
            let held = HeldCertificate::from_der(&der)?;
            let expected = held.public_key()?;
            let public = self.keys.public_key(&key_name)?;
            if public != expected {
                return Err(AuthorityError::WrongCaKey {
                    name: key_name.to_string(),
                    expected: expected.spki_sha256().to_string(),
                    found: public.spki_sha256().to_string(),
                });
            }
            return Ok(Ca { key_name, public, held });
        }
        // A key without a certificate is what a crash between the two leaves behind: it is used.
        let public = match self.keys.public_key(&key_name) {
            Err(StoreError::NotFound { .. }) => self.keys.generate(&key_name)?,
            other => other?,
        };
        let name = ca_name(&self.settings.organisation, &format!("{} {label}", self.settings.organisation))?;
        let issuer_name = root.map_or(&name, Ca::name).clone();
        let (signing_key, signing_public) =
            root.map_or((&key_name, &public), |root| (&root.key_name, &root.public));
        let issuer = Issuer {
            name: &issuer_name,
            key_identifier: key_identifier(signing_public),
            public_url: self.settings.public_url.as_deref().unwrap_or_default(),
        };
        let subject = Subject {
            profile,
            name,
            key: public.clone(),
            record: None,
            spends_token: false,
            predecessor: None,
            renewal: false,
        };
        let held = crate::issue::issue(
            self.registry,
            self.keys,
            &issuer,
            signing_key,
            signing_public,
            subject,
            now,
        )?;
        Ok(Ca { key_name, public, held })
    }
}
