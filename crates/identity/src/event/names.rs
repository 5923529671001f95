//! The names of an identity, each in one form.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::MAX_TEXT_BYTES;
use super::dn::canonical_dn;
use super::error::EventError;
use crate::key::{SpkiHash, sha256};

macro_rules! fingerprint {
    ($(#[$doc:meta])* $type:ident, $bytes:literal, $field:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub [u8; $bytes]);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = EventError;
            fn from_str(text: &str) -> Result<Self, EventError> {
                digits($field, text, $expected).map(Self)
            }
        }
    };
}

fingerprint! {
    /// SHA-256 of a DER certificate; 64 lower-case hex digits as text. Either case and colons are read.
    CertSha256, 32, "cert_sha256", "64 hex digits"
}

fingerprint! {
    /// SHA-1 of a DER certificate, as some terminators name it; 40 lower-case hex digits as text. Either case and
    /// colons are read. It finds a certificate again and proves nothing.
    CertSha1, 20, "cert_sha1", "40 hex digits"
}

/// Hex digits of either case, with or without colons between them, in a fixed number.
fn digits<const N: usize>(
    field: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<[u8; N], EventError> {
    let mut bytes = [0; N];
    let bare = if text.contains(':') { Cow::Owned(text.replace(':', "")) } else { Cow::Borrowed(text) };
    hex::decode_to_slice(bare.as_bytes(), &mut bytes)
        .map_err(|_| EventError::value(field, text, expected))?;
    Ok(bytes)
}

/// A certificate's serial number: lower-case hex digits, no leading zeros, 1 to 64 digits. Either case, colons and
/// leading zeros are read; RFC 5280 §4.1.2.2 allows 20 octets, what is longer in the field is still found again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertSerial(String);

impl CertSerial {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CertSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CertSerial {
    type Err = EventError;
    fn from_str(text: &str) -> Result<Self, EventError> {
        let bare: String = text.chars().filter(|&c| c != ':').map(|c| c.to_ascii_lowercase()).collect();
        let bare = bare.strip_prefix("0x").unwrap_or(&bare);
        let short = bare.trim_start_matches('0');
        if bare.is_empty() || short.len() > 64 || !bare.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(EventError::value("serial", text, "1 to 64 hex digits"));
        }
        Ok(Self(if short.is_empty() { "0".to_owned() } else { short.to_owned() }))
    }
}

/// Whom an event is about: one or more names of one identity.
///
/// JSON: an object with `spki_sha256`, `cert_sha256`, `cert_sha1`, `issuer_dn` and `serial`, `common_name`,
/// `client_id`, each optional, at least one complete name present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "WireIdentity", into = "WireIdentity")]
pub struct IdentityRef {
    /// SHA-256 of the `SubjectPublicKeyInfo`: survives a renewal with the same key.
    pub spki_sha256: Option<SpkiHash>,
    /// SHA-256 of the certificate.
    pub cert_sha256: Option<CertSha256>,
    /// SHA-1 of the certificate.
    pub cert_sha1: Option<CertSha1>,
    /// The issuer, as the source writes it; a name together with `serial`.
    pub issuer_dn: Option<String>,
    /// The certificate's serial number; a name together with `issuer_dn`.
    pub serial: Option<CertSerial>,
    /// The subject's common name.
    pub common_name: Option<String>,
    /// The client id of the application protocol.
    pub client_id: Option<String>,
}

/// Which name of an identity, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// Hash of the public key.
    Spki,
    /// SHA-256 of the certificate.
    CertSha256,
    /// SHA-1 of the certificate.
    CertSha1,
    /// Issuer and serial number.
    IssuerSerial,
    /// Common name of the subject: certified, and often not unique.
    CommonName,
    /// Client id: often not checked by anyone.
    ClientId,
}

impl NameKind {
    /// True for names that one key or one certificate alone can have.
    #[must_use]
    pub fn is_strong(self) -> bool {
        self <= Self::IssuerSerial
    }
}

/// A name in a form fit for look-up: equal keys are equal names, however the source wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameKey {
    /// Which name.
    pub kind: NameKind,
    /// The hash itself, or SHA-256 of the name.
    pub digest: [u8; 32],
}

impl IdentityRef {
    /// An identity known by its public key.
    #[must_use]
    pub fn by_spki(spki: SpkiHash) -> Self {
        Self { spki_sha256: Some(spki), ..Self::default() }
    }

    /// An identity known by its common name.
    #[must_use]
    pub fn by_common_name(name: &str) -> Self {
        Self { common_name: Some(name.to_owned()), ..Self::default() }
    }

    /// The complete names, strongest first. Issuers are compared by [`canonical_dn`].
    pub fn names(&self) -> impl Iterator<Item = NameKey> + '_ {
        let key = |kind, digest| NameKey { kind, digest };
        let spki = self.spki_sha256.map(|hash| key(NameKind::Spki, hash.0));
        let cert = self.cert_sha256.map(|hash| key(NameKind::CertSha256, hash.0));
        let sha1 = self.cert_sha1.map(|hash| {
            let mut digest = [0; 32];
            digest.iter_mut().zip(hash.0).for_each(|(to, from)| *to = from);
            key(NameKind::CertSha1, digest)
        });
        let issuer = || {
            let (issuer, serial) = (self.issuer_dn.as_ref()?, self.serial.as_ref()?);
            let name = format!("{}\n{}", serial.as_str(), canonical_dn(issuer));
            Some(key(NameKind::IssuerSerial, sha256(name.as_bytes())))
        };
        let common =
            || self.common_name.as_ref().map(|name| key(NameKind::CommonName, sha256(name.as_bytes())));
        let client = || self.client_id.as_ref().map(|name| key(NameKind::ClientId, sha256(name.as_bytes())));
        let late: [Option<NameKey>; 3] = [issuer(), common(), client()];
        [spki, cert, sha1].into_iter().chain(late).flatten()
    }

    /// True when there is at least one complete name.
    #[must_use]
    pub fn has_name(&self) -> bool {
        self.spki_sha256.is_some()
            || self.cert_sha256.is_some()
            || self.cert_sha1.is_some()
            || (self.issuer_dn.is_some() && self.serial.is_some())
            || self.common_name.is_some()
            || self.client_id.is_some()
    }

    /// The strongest name in words, for people: `key 3f21…`, `common name meter-000017`. Hashes are cut to 16 digits.
    #[must_use]
    pub fn label(&self) -> String {
        let short = |hash: String| hash.chars().take(16).collect::<String>();
        if let Some(hash) = self.spki_sha256 {
            format!("key {}", short(hash.to_string()))
        } else if let Some(hash) = self.cert_sha256 {
            format!("certificate {}", short(hash.to_string()))
        } else if let Some(hash) = self.cert_sha1 {
            format!("certificate (SHA-1) {}", short(hash.to_string()))
        } else if let (Some(_), Some(serial)) = (&self.issuer_dn, &self.serial) {
            format!("certificate serial {serial}")
        } else if let Some(name) = &self.common_name {
            format!("common name {name}")
        } else {
            format!("client id {}", self.client_id.as_deref().unwrap_or_default())
        }
    }
}

/// The JSON form, before its values are checked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct WireIdentity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spki_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cert_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cert_sha1: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer_dn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    common_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
}

impl TryFrom<WireIdentity> for IdentityRef {
    type Error = EventError;
    fn try_from(wire: WireIdentity) -> Result<Self, EventError> {
        let spki = wire.spki_sha256.map(|text| digits("spki_sha256", &text, "64 hex digits").map(SpkiHash));
        let identity = Self {
            spki_sha256: spki.transpose()?,
            cert_sha256: wire.cert_sha256.map(|text| text.parse()).transpose()?,
            cert_sha1: wire.cert_sha1.map(|text| text.parse()).transpose()?,
            issuer_dn: name("issuer_dn", wire.issuer_dn)?,
            serial: wire.serial.map(|text| text.parse()).transpose()?,
            common_name: name("common_name", wire.common_name)?,
            client_id: name("client_id", wire.client_id)?,
        };
        if identity.has_name() { Ok(identity) } else { Err(EventError::Nameless) }
    }
}

/// A name must say something: an empty one would be shared by everybody who has none.
fn name(field: &'static str, value: Option<String>) -> Result<Option<String>, EventError> {
    match value {
        Some(text) if text.is_empty() || text.len() > MAX_TEXT_BYTES => {
            Err(EventError::value(field, &text, "a text of 1 to 512 bytes"))
        }
        other => Ok(other),
    }
}

impl From<IdentityRef> for WireIdentity {
    fn from(identity: IdentityRef) -> Self {
        Self {
            spki_sha256: identity.spki_sha256.map(|hash| hash.to_string()),
            cert_sha256: identity.cert_sha256.map(|hash| hash.to_string()),
            cert_sha1: identity.cert_sha1.map(|hash| hash.to_string()),
            issuer_dn: identity.issuer_dn,
            serial: identity.serial.map(|serial| serial.0),
            common_name: identity.common_name,
            client_id: identity.client_id,
        }
    }
}
