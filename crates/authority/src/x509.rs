//! X.509 in one place: every use of the encoding crates for certificates goes through here.

pub mod profile;

use der::asn1::{
    BitString, GeneralizedTime, ObjectIdentifier, OctetString, PrintableStringRef, SetOfVec, Utf8StringRef,
};
use der::{Any, DateTime, Decode, Encode};
use touchmark_identity::assurance::{KEY_ASSURANCE_OID, KeyAssurance};
use touchmark_identity::ids::DeviceId;
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::timestamp::Timestamp;
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::Extension;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::time::Time;

use crate::error::AuthorityError;

/// `ecdsa-with-SHA256` (RFC 5758 §3.2); its parameters are absent.
pub const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// `id-kp-clientAuth` (RFC 5280 §4.2.1.12).
pub(crate) const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
/// `id-kp-serverAuth` (RFC 5280 §4.2.1.12).
pub(crate) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// `id-ad-ocsp` (RFC 5280 §4.2.2.1).
pub(crate) const AD_OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
/// `id-ad-caIssuers` (RFC 5280 §4.2.2.1).
pub(crate) const AD_CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
const ORGANISATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

/// 9999-12-31T23:59:59Z: "no well-defined expiration date" (RFC 5280 §4.1.2.5; IEEE 802.1AR-2018 §8.7).
pub const NO_EXPIRY_SECONDS: u64 = 253_402_300_799;

pub(crate) fn encoding(what: &'static str) -> impl Fn(der::Error) -> AuthorityError {
    move |_| AuthorityError::Encoding { what }
}

/// The algorithm identifier of every signature that the authority makes.
#[must_use]
pub fn signature_algorithm() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None }
}

/// A moment in a certificate or CRL.
///
/// # Errors
/// [`AuthorityError::Encoding`] after the year 9999.
pub fn time(seconds: u64) -> Result<Time, AuthorityError> {
    let at =
        DateTime::from_unix_duration(std::time::Duration::from_secs(seconds)).map_err(encoding("a time"))?;
    // RFC 5280 §4.1.2.5: "CAs conforming to this profile MUST always encode certificate validity dates through the
    // year 2049 as UTCTime; certificate validity dates in 2050 or later MUST be encoded as GeneralizedTime."
    if at.year() < 2050 {
        let utc = der::asn1::UtcTime::from_date_time(at).map_err(encoding("a time"))?;
        Ok(Time::UtcTime(utc))
    } else {
        Ok(Time::GeneralTime(GeneralizedTime::from_date_time(at)))
    }
}

/// The whole second of a moment.
#[must_use]
pub fn seconds(at: Timestamp) -> u64 {
    at.seconds()
}

fn rdn(oid: ObjectIdentifier, value: Any) -> Result<RelativeDistinguishedName, AuthorityError> {
    let attribute = AttributeTypeAndValue { oid, value };
    let set = SetOfVec::try_from(vec![attribute]).map_err(encoding("a name"))?;
    Ok(RelativeDistinguishedName(set))
}

fn utf8(text: &str) -> Result<Any, AuthorityError> {
    Utf8StringRef::new(text).and_then(|s| Any::encode_from(&s)).map_err(encoding("a name"))
}

/// The name of a CA: organisation and common name.
///
/// # Errors
/// [`AuthorityError::Encoding`] when a text is too long.
pub fn ca_name(organisation: &str, common_name: &str) -> Result<Name, AuthorityError> {
    Ok(RdnSequence(vec![rdn(ORGANISATION, utf8(organisation)?)?, rdn(COMMON_NAME, utf8(common_name)?)?]))
}

/// The name of a device: `serialNumber` and common name, both the device id.
///
/// # Source
/// IEEE 802.1AR-2018 §8.6: the subject of a DevID holds the device's unique serial number as `serialNumber`.
///
/// # Errors
/// [`AuthorityError::Encoding`] when a text is too long.
pub fn device_name(device: &DeviceId) -> Result<Name, AuthorityError> {
    // RFC 5280 appendix A.1: X520SerialNumber ::= PrintableString. '_' is not printable in that sense.
    let serial = match PrintableStringRef::new(device.as_str()) {
        Ok(printable) => Some(Any::encode_from(&printable).map_err(encoding("a name"))?),
        Err(_) => None,
    };
    let mut parts = vec![rdn(COMMON_NAME, utf8(device.as_str())?)?];
    if let Some(serial) = serial {
        parts.insert(0, rdn(SERIAL_NUMBER, serial)?);
    }
    Ok(RdnSequence(parts))
}

/// The first common name in a name.
#[must_use]
pub fn common_name(name: &Name) -> Option<String> {
    name.0.iter().flat_map(|rdn| rdn.0.iter()).find(|a| a.oid == COMMON_NAME).and_then(|attribute| {
        // UTF8String, PrintableString and IA5String hold their text in the same bytes here.
        String::from_utf8(attribute.value.value().to_vec()).ok()
    })
}

pub(crate) fn extension<T: Encode>(
    oid: ObjectIdentifier,
    critical: bool,
    value: &T,
) -> Result<Extension, AuthorityError> {
    let der = value.to_der().map_err(encoding("an extension"))?;
    Ok(Extension {
        extn_id: oid,
        critical,
        extn_value: OctetString::new(der).map_err(encoding("an extension"))?,
    })
}

/// SHA-1 of the public key's bits: the key identifier by RFC 5280 §4.2.1.2 method (1), and the key hash of an OCSP
/// `CertID`. An identifier, not a protection.
#[must_use]
pub fn key_identifier(key: &PublicKey) -> [u8; 20] {
    sha1(key.point())
}

/// SHA-1, for identifiers that standards fix: key identifiers, OCSP `CertID`, certificate fingerprints in logs.
#[must_use]
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    out.copy_from_slice(digest.as_ref());
    out
}

/// Puts a signature under what it was made for.
pub(crate) fn bit_string(signature: &[u8]) -> Result<BitString, AuthorityError> {
    BitString::from_bytes(signature).map_err(encoding("a signature"))
}

/// A certificate that the authority or a peer holds, with what the registry names it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCertificate {
    /// The DER.
    pub der: Vec<u8>,
    /// The parsed form.
    pub certificate: Certificate,
}

impl HeldCertificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`AuthorityError::BadRequest`] when the bytes are no certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, AuthorityError> {
        let certificate = Certificate::from_der(der).map_err(|e| AuthorityError::BadRequest {
            detail: format!("the certificate is not valid DER: {e}"),
        })?;
        Ok(Self { der: der.to_vec(), certificate })
    }

    /// The public key, when it is P-256.
    ///
    /// # Errors
    /// [`AuthorityError::BadRequest`] for any other key.
    pub fn public_key(&self) -> Result<PublicKey, AuthorityError> {
        let spki = &self.certificate.tbs_certificate.subject_public_key_info;
        let der = spki.to_der().map_err(encoding("a public key"))?;
        PublicKey::from_spki_der(&der).map_err(|e| AuthorityError::BadRequest { detail: e.to_string() })
    }

    /// The serial number: big-endian bytes without a sign byte.
    #[must_use]
    pub fn serial(&self) -> Vec<u8> {
        let bytes = self.certificate.tbs_certificate.serial_number.as_bytes();
        bytes.iter().position(|b| *b != 0).and_then(|at| bytes.get(at..)).unwrap_or_default().to_vec()
    }

    /// The key-assurance record in the certificate, if it has one that can be read.
    #[must_use]
    pub fn assurance(&self) -> Option<KeyAssurance> {
        let extensions = self.certificate.tbs_certificate.extensions.as_ref()?;
        let found = extensions.iter().find(|e| e.extn_id == KEY_ASSURANCE_OID)?;
        KeyAssurance::from_der(found.extn_value.as_bytes()).ok()
    }

    /// SHA-256 of the DER.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// PEM (RFC 7468 §5).
    ///
    /// # Errors
    /// [`AuthorityError::Encoding`] when the certificate is too large for PEM.
    pub fn pem(&self) -> Result<String, AuthorityError> {
        pem("CERTIFICATE", &self.der)
    }
}

/// PEM with this label (RFC 7468).
///
/// # Errors
/// [`AuthorityError::Encoding`] when the content is too large for PEM.
pub fn pem(label: &'static str, der: &[u8]) -> Result<String, AuthorityError> {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der)
        .map_err(|_| AuthorityError::Encoding { what: "PEM" })
}
