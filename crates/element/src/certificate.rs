//! The chip certificate, issued under the TEST root whose private key is public.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use der::asn1::{
    Any, BitString, ObjectIdentifier, OctetString, PrintableStringRef, SetOfVec, UtcTime, Utf8StringRef,
};
use der::{Decode, DecodePem, Encode, SecretDocument};
use touchmark_identity::apdu::se05x::{AppletVersion, CHIP_ID_BYTES};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::timestamp::Timestamp;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{AsExtension, Extension};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, TbsCertificate, Version};

use crate::error::ElementError;

/// Certificate of the TEST root of all virtual elements, PEM. Its private key is in the repository, so it proves
/// nothing; verifiers refuse it unless they are told to accept TEST endorsers.
pub const TEST_ROOT_CERTIFICATE_PEM: &str = include_str!("../test-root/test-element-root.pem");
const TEST_ROOT_KEY_PEM: &str = include_str!("../test-root/test-element-root.key.pem");

/// The model that a chip certificate names.
const MODEL: &str = "TEST Touchmark virtual secure element";

/// Names in RFC 5280 appendix A.1.
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
/// Name in RFC 5758 §3.2.
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Issues the certificate of a chip's attestation key, DER. The subject names the model (CN), the applet's version
/// (OU, `applet` and 14 hex digits) and the chip id (serialNumber, 36 hex digits; with the model they are too long
/// for one CN, whose bound is 64 characters, RFC 5280 appendix A.1 `ub-common-name`). Valid from `now` until the
/// root ends.
pub(crate) fn issue(
    chip_id: &[u8; CHIP_ID_BYTES],
    version: &AppletVersion,
    key: &PublicKey,
    now: Timestamp,
) -> Result<Vec<u8>, ElementError> {
    let root = Certificate::from_pem(TEST_ROOT_CERTIFICATE_PEM.as_bytes()).map_err(der("the TEST root"))?;
    let (_, root_key) =
        SecretDocument::from_pem(TEST_ROOT_KEY_PEM).map_err(der("the key of the TEST root"))?;
    let crypto = |operation| move |_| ElementError::Crypto { operation };
    let root_key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, root_key.as_bytes())
        .map_err(|_| ElementError::Crypto { operation: "reading the key of the TEST root" })?;

    let tbs = tbs_certificate(&root.tbs_certificate, chip_id, version, key, now)
        .map_err(der("the chip certificate"))?;
    let signed = tbs.to_der().map_err(der("the chip certificate"))?;
    let signature = root_key
        .sign(&aws_lc_rs::rand::SystemRandom::new(), &signed)
        .map_err(crypto("signing the chip certificate"))?;
    let certificate = Certificate {
        signature_algorithm: tbs.signature.clone(),
        tbs_certificate: tbs,
        signature: BitString::from_bytes(signature.as_ref()).map_err(der("the chip certificate"))?,
    };
    certificate.to_der().map_err(der("the chip certificate"))
}

/// From when on a chip certificate is valid.
pub(crate) fn not_before(certificate: &[u8]) -> Result<Timestamp, ElementError> {
    let certificate = Certificate::from_der(certificate).map_err(der("the chip certificate"))?;
    let since = certificate.tbs_certificate.validity.not_before.to_unix_duration();
    Ok(Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
}

fn der(what: &'static str) -> impl Fn(der::Error) -> ElementError {
    move |source| ElementError::Der { what, source }
}

fn tbs_certificate(
    root: &TbsCertificate,
    chip_id: &[u8; CHIP_ID_BYTES],
    version: &AppletVersion,
    key: &PublicKey,
    now: Timestamp,
) -> der::Result<TbsCertificate> {
    let unit = format!("applet {}", hex::encode(version.encode()));
    let serial = hex::encode(chip_id);
    let subject: Name = RdnSequence(vec![
        rdn(ORGANIZATION, Utf8StringRef::new("TEST Touchmark")?.into())?,
        rdn(ORGANIZATIONAL_UNIT, Utf8StringRef::new(&unit)?.into())?,
        rdn(COMMON_NAME, Utf8StringRef::new(MODEL)?.into())?,
        rdn(SERIAL_NUMBER, PrintableStringRef::new(&serial)?.into())?,
    ]);

    let hash = key.spki_sha256().0;
    let (key_id, _) = hash.split_at(20);
    let root_key_id = root.get::<SubjectKeyIdentifier>()?.map(|(_, SubjectKeyIdentifier(id))| id);
    let authority = AuthorityKeyIdentifier {
        key_identifier: root_key_id,
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    let constraints = BasicConstraints { ca: false, path_len_constraint: None };
    // RFC 7093 §2 method 1: the leftmost 160 bits of the SHA-256.
    let subject_key_id = SubjectKeyIdentifier(OctetString::new(key_id)?);
    let extensions = vec![
        extension(&constraints, &subject)?,
        extension(&KeyUsage(KeyUsages::DigitalSignature.into()), &subject)?,
        extension(&subject_key_id, &subject)?,
        extension(&authority, &subject)?,
    ];

    // A serial number of 16 bytes without the sign bit, unique as key and version are (RFC 5280 §4.1.2.2).
    let mut number = [0; 16];
    number.copy_from_slice(sha256(&[&hash[..], &chip_id[..], &version.encode()].concat()).split_at(16).0);
    number[0] = number[0] & 0x7f | 0x40;
    let not_before = Duration::from_secs(now.seconds());
    // RFC 5280 §4.1.2.5: "MUST always encode certificate validity dates through the year 2049 as UTCTime".
    let not_before = match UtcTime::from_unix_duration(not_before) {
        Ok(utc) => Time::UtcTime(utc),
        Err(_) => Time::GeneralTime(der::asn1::GeneralizedTime::from_unix_duration(not_before)?),
    };
    Ok(TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&number)?,
        signature: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
        issuer: root.subject.clone(),
        validity: Validity { not_before, not_after: root.validity.not_after },
        subject,
        subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(&key.spki_der())?,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    })
}

fn rdn(oid: ObjectIdentifier, value: Any) -> der::Result<RelativeDistinguishedName> {
    Ok(RelativeDistinguishedName(SetOfVec::try_from(vec![AttributeTypeAndValue { oid, value }])?))
}

fn extension<E: AsExtension>(value: &E, subject: &Name) -> der::Result<Extension> {
    value.to_extension(subject, &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::public_point;

    #[test]
    fn the_certificate_verifies_under_the_root() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let key = PublicKey::from_point(public_point(&pair)).unwrap();
        let version = AppletVersion { version: [3, 1, 1], features: 2, crypto_library: [1, 0] };
        let now: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let certificate = Certificate::from_der(&issue(&[7; 18], &version, &key, now).unwrap()).unwrap();
        let root = Certificate::from_pem(TEST_ROOT_CERTIFICATE_PEM.as_bytes()).unwrap();
        let root_key =
            PublicKey::from_spki_der(&root.tbs_certificate.subject_public_key_info.to_der().unwrap())
                .unwrap();
        let tbs = certificate.tbs_certificate.to_der().unwrap();
        root_key.verify(&tbs, certificate.signature.raw_bytes()).unwrap();
        assert_eq!(
            certificate.tbs_certificate.subject.to_string(),
            format!("SERIALNUMBER={},CN={MODEL},OU=applet 03010100020100,O=TEST Touchmark", "07".repeat(18))
        );
    }
}
