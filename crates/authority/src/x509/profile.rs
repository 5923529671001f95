//! The certificate profiles: what goes into the certificate of a CA, a device, a server.

use der::asn1::{Ia5String, OctetString};
use der::flagset::FlagSet;
use der::oid::ObjectIdentifier;
use touchmark_identity::assurance::{Grade, KEY_ASSURANCE_OID, KeyAssurance};
use touchmark_identity::ids::DeviceId;
use touchmark_identity::key::PublicKey;
use x509_cert::TbsCertificate;
use x509_cert::certificate::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::certpolicy::PolicyInformation;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints,
    CertificatePolicies, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Validity;

use super::{AD_CA_ISSUERS, AD_OCSP, CLIENT_AUTH, NO_EXPIRY_SECONDS, SERVER_AUTH, encoding, extension, time};
use crate::error::AuthorityError;

const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const AUTHORITY_INFO_ACCESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");

const DAY_S: u64 = 24 * 3_600;
/// The root lives 20 years, the issuing CA 10: a device is expected to live about ten.
const ROOT_S: u64 = 20 * 365 * DAY_S;
const ISSUING_S: u64 = 10 * 365 * DAY_S;
/// The server's own TLS certificate.
const SERVER_S: u64 = 30 * DAY_S;

/// A certificate starts this long before it is made, in seconds, for devices whose clock is behind.
const BACKDATE_S: u64 = 300;

/// The kind of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// The self-signed root.
    Root,
    /// The CA that issues to devices and servers.
    Issuing,
    /// A device: IDevID-style (IEEE 802.1AR-2018 §8), without an expiry date.
    Device {
        /// Which device.
        device: DeviceId,
        /// Where its key lives.
        assurance: Box<KeyAssurance>,
    },
    /// The TLS certificate of a server, for these host names and addresses.
    Server {
        /// Host names and IP addresses.
        hosts: Vec<String>,
    },
}

impl Profile {
    /// The profile's name in the registry.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
            Self::Device { .. } => "device",
            Self::Server { .. } => "server",
        }
    }
}

/// Who signs.
#[derive(Debug, Clone)]
pub struct Issuer<'a> {
    /// Its subject name.
    pub name: &'a Name,
    /// Its subject key identifier.
    pub key_identifier: [u8; 20],
    /// Where its CRL, OCSP responder and certificate are reached; empty for the root itself.
    pub public_url: &'a str,
}

/// The policy identifier of a grade: `id-tm-grade` with the grade's number, so that relying parties that know only
/// standard extensions can ask for one.
#[must_use]
pub fn grade_policy(grade: Grade) -> ObjectIdentifier {
    match grade {
        Grade::Exposed => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.80.2.0"),
        Grade::Copyable => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.80.2.1"),
        Grade::Hardened => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.80.2.2"),
        Grade::HardwareBound => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.80.2.3"),
        Grade::HardwareCertified => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.80.2.4"),
    }
}

/// What will be signed.
///
/// # Errors
/// [`AuthorityError::Encoding`] when a name or address cannot be encoded.
pub fn to_be_signed(
    profile: &Profile,
    subject: Name,
    key: &PublicKey,
    issuer: &Issuer<'_>,
    serial: &[u8],
    now_s: u64,
) -> Result<TbsCertificate, AuthorityError> {
    let not_before = now_s.saturating_sub(BACKDATE_S);
    let not_after = match profile {
        Profile::Root => now_s + ROOT_S,
        Profile::Issuing => now_s + ISSUING_S,
        Profile::Device { .. } => NO_EXPIRY_SECONDS,
        Profile::Server { .. } => now_s + SERVER_S,
    };
    let spki = key.spki_der();
    Ok(TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(serial).map_err(encoding("a serial number"))?,
        signature: super::signature_algorithm(),
        issuer: issuer.name.clone(),
        validity: Validity { not_before: time(not_before)?, not_after: time(not_after)? },
        subject,
        subject_public_key_info: der::Decode::from_der(&spki)
            .map(|s: SubjectPublicKeyInfoOwned| s)
            .map_err(encoding("a public key"))?,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions(profile, key, issuer)?),
    })
}

fn extensions(
    profile: &Profile,
    key: &PublicKey,
    issuer: &Issuer<'_>,
) -> Result<Vec<Extension>, AuthorityError> {
    let octets = |bytes: &[u8]| OctetString::new(bytes).map_err(encoding("a key identifier"));
    let authority = AuthorityKeyIdentifier {
        key_identifier: Some(octets(&issuer.key_identifier)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    let mut all = vec![
        extension(
            SUBJECT_KEY_IDENTIFIER,
            false,
            &SubjectKeyIdentifier(octets(&super::key_identifier(key))?),
        )?,
        extension(AUTHORITY_KEY_IDENTIFIER, false, &authority)?,
    ];
    let usages: FlagSet<KeyUsages> = match profile {
        Profile::Root | Profile::Issuing => {
            KeyUsages::KeyCertSign | KeyUsages::CRLSign | KeyUsages::DigitalSignature
        }
        Profile::Device { .. } | Profile::Server { .. } => KeyUsages::DigitalSignature.into(),
    };
    // RFC 5280 §4.2.1.3: "When present, conforming CAs SHOULD mark this extension as critical."
    all.push(extension(KEY_USAGE, true, &KeyUsage(usages))?);
    match profile {
        Profile::Root | Profile::Issuing => {
            let path_len_constraint = matches!(profile, Profile::Issuing).then_some(0);
            // RFC 5280 §4.2.1.9: "Conforming CAs MUST include this extension in all CA certificates that contain
            // public keys used to validate digital signatures on certificates and MUST mark the extension as critical
            // in such certificates."
            all.push(extension(
                BASIC_CONSTRAINTS,
                true,
                &BasicConstraints { ca: true, path_len_constraint },
            )?);
        }
        Profile::Device { assurance, .. } => {
            all.push(extension(EXTENDED_KEY_USAGE, false, &ExtendedKeyUsage(vec![CLIENT_AUTH]))?);
            let policy = PolicyInformation {
                policy_identifier: grade_policy(assurance.grade()),
                policy_qualifiers: None,
            };
            all.push(extension(CERTIFICATE_POLICIES, false, &CertificatePolicies(vec![policy]))?);
            let record =
                assurance.to_der().map_err(|_| AuthorityError::Encoding { what: "the key assurance" })?;
            all.push(Extension {
                extn_id: KEY_ASSURANCE_OID,
                critical: false,
                extn_value: OctetString::new(record).map_err(encoding("an extension"))?,
            });
        }
        Profile::Server { hosts } => {
            all.push(extension(EXTENDED_KEY_USAGE, false, &ExtendedKeyUsage(vec![SERVER_AUTH]))?);
            let names = hosts.iter().map(|host| general_name(host)).collect::<Result<Vec<_>, _>>()?;
            all.push(extension(SUBJECT_ALT_NAME, false, &SubjectAltName(names))?);
        }
    }
    if !matches!(profile, Profile::Root) && !issuer.public_url.is_empty() {
        all.extend(where_to_ask(profile, issuer.public_url)?);
    }
    Ok(all)
}

fn where_to_ask(profile: &Profile, public_url: &str) -> Result<Vec<Extension>, AuthorityError> {
    // The issuing CA's own status is the root's to say; the root's CRL has a name of its own.
    let (crl, issuer) = match profile {
        Profile::Issuing => ("crl/root.crl", "ca/root.cer"),
        _ => ("crl/issuing.crl", "ca/issuing.cer"),
    };
    let point = DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(vec![uri(&format!("{public_url}/{crl}"))?])),
        reasons: None,
        crl_issuer: None,
    };
    let mut access = vec![AccessDescription {
        access_method: AD_CA_ISSUERS,
        access_location: uri(&format!("{public_url}/{issuer}"))?,
    }];
    if !matches!(profile, Profile::Issuing) {
        access.insert(
            0,
            AccessDescription {
                access_method: AD_OCSP,
                access_location: uri(&format!("{public_url}/ocsp"))?,
            },
        );
    }
    Ok(vec![
        extension(CRL_DISTRIBUTION_POINTS, false, &CrlDistributionPoints(vec![point]))?,
        extension(AUTHORITY_INFO_ACCESS, false, &AuthorityInfoAccessSyntax(access))?,
    ])
}

fn uri(text: &str) -> Result<GeneralName, AuthorityError> {
    Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(text).map_err(encoding("an address"))?))
}

fn general_name(host: &str) -> Result<GeneralName, AuthorityError> {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => {
            let octets = match address {
                std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
                std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            Ok(GeneralName::IpAddress(OctetString::new(octets).map_err(encoding("an address"))?))
        }
        Err(_) => Ok(GeneralName::DnsName(Ia5String::new(host).map_err(encoding("a host name"))?)),
    }
}
