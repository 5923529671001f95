//! Walking an X.509 path from a part's certificate to a pinned root: the subset of RFC 5280 §6 that parts use.
//!
//! Names are compared as DER bytes, which is stricter than RFC 5280 §7.1. Critical name constraints and policy
//! constraints are refused as extensions that are not processed; certificate policies are accepted, because no
//! policy is asked for (RFC 5280 §6.1.1 (c) with any-policy).

#[cfg(test)]
pub(crate) mod tests;

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use der::asn1::{PrintableStringRef, Utf8StringRef};
use der::oid::ObjectIdentifier;
use der::{AnyRef, Decode, Reader, SliceReader};
use touchmark_identity::timestamp::Timestamp;
use x509_cert::Certificate;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::endorsers::{Endorser, Endorsers, is_test};
use crate::error::AppraisalError;
use crate::requirements::Requirements;

/// The most certificates in a path, root included.
const MAX_DEPTH: usize = 5;
/// The most intermediate certificates that a part may send.
const MAX_SENT: usize = 8;
/// The largest certificate that is read, in bytes.
const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
/// The most signatures that are checked for one path.
const MAX_SIGNATURES: usize = 32;
/// The most characters of a name in a message.
const MAX_SHOWN: usize = 120;

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// `tcg-kp-EKCertificate` (TCG EK Credential Profile 2.4, §3).
const EK_CERTIFICATE_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.1");

/// Names in RFC 8017 appendix A.2.4 and RFC 5758 §3.2.
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// Names in RFC 5480 §2.1.1.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// Name in RFC 8017 appendix A.1.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// What the end-entity certificate of a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainPurpose {
    /// A TPM's endorsement key (TCG EK Credential Profile): the key decrypts, it does not sign.
    TpmEndorsement,
    /// A secure element's attestation key: the key signs.
    ElementAttestation,
    /// A device key that a token made itself: the key signs, and its issuer is the token's attestation key.
    TokenKey,
}

impl ChainPurpose {
    fn words(self) -> &'static str {
        match self {
            Self::TpmEndorsement => "a TPM's endorsement key",
            Self::ElementAttestation => "a secure element's attestation key",
            Self::TokenKey => "a key that a token made",
        }
    }
}

/// Who may vouch for parts.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The pinned roots. Empty: nobody.
    pub endorsers: Endorsers,
    /// Accepts TEST roots, whose private keys are public. For trials alone.
    pub dangerously_accept_test_endorsers: bool,
    /// What parts and platforms have to be beyond endorsed.
    pub requirements: Requirements,
}

/// A path that ended at a pinned root. Only [`Policy::verify_chain`] makes one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VerifiedChain {
    /// The end-entity certificate.
    pub leaf: Certificate,
    /// Name of the pinned root.
    pub endorser: String,
    /// True when the root, or a certificate on the way to it, is a TEST one.
    pub test: bool,
}

impl Policy {
    /// Walks from `leaf_der` over `intermediates` (DER, in any order, at most 8) to a pinned root. At most 5
    /// certificates long, root included; at most 32 signatures are checked.
    ///
    /// # Errors
    /// [`AppraisalError::NoEndorsers`] when nothing is pinned, [`AppraisalError::UnknownEndorser`] when no path ends
    /// at a pinned root, [`AppraisalError::TestEndorser`] when it ends at a TEST root that the policy does not accept,
    /// otherwise the rule that the most promising path breaks.
    pub fn verify_chain(
        &self,
        leaf_der: &[u8],
        intermediates: &[Vec<u8>],
        at: Timestamp,
        purpose: ChainPurpose,
    ) -> Result<VerifiedChain, AppraisalError> {
        if self.endorsers.roots.is_empty() {
            return Err(AppraisalError::NoEndorsers);
        }
        if intermediates.len() > MAX_SENT {
            let what = "intermediate certificates";
            return Err(AppraisalError::TooMuch { what, found: intermediates.len(), limit: MAX_SENT });
        }
        let leaf = Link::parse("the part's certificate", leaf_der)?;
        let sent: Vec<Link> = intermediates
            .iter()
            .map(|der| Link::parse("an intermediate certificate", der))
            .collect::<Result<_, _>>()?;
        leaf.check_valid_at(at)?;
        leaf.check_critical(&[SUBJECT_ALT_NAME])?;
        leaf.check_purpose(purpose)?;

        let candidates: Vec<&Link> = sent.iter().chain(&self.endorsers.intermediates).collect();
        let mut search = Search {
            roots: &self.endorsers.roots,
            candidates: &candidates,
            at,
            signatures_left: MAX_SIGNATURES,
            refused: None,
        };
        let Some((endorser, test_on_the_way)) = search.climb(&mut vec![&leaf])? else {
            return Err(match search.refused {
                Some((_, refused)) => refused,
                None => leaf.unknown_endorser(),
            });
        };
        let test = endorser.test || test_on_the_way;
        if test && !self.dangerously_accept_test_endorsers {
            return Err(AppraisalError::TestEndorser { endorser: endorser.name.clone() });
        }
        Ok(VerifiedChain { endorser: endorser.name.clone(), test, leaf: leaf.certificate })
    }
}

/// A depth-first search for a path, with bounded work.
struct Search<'a> {
    roots: &'a [Endorser],
    candidates: &'a [&'a Link],
    at: Timestamp,
    signatures_left: usize,
    /// The first refusal at the greatest depth: that of the most promising path.
    refused: Option<(usize, AppraisalError)>,
}

impl<'a> Search<'a> {
    /// Extends `path` (leaf first) to a root. The second value says whether a TEST certificate lies on the way.
    fn climb(&mut self, path: &mut Vec<&'a Link>) -> Result<Option<(&'a Endorser, bool)>, AppraisalError> {
        let Some(&lowest) = path.last() else { return Ok(None) };
        let mut issuer_known = false;
        for root in self.roots {
            if !root.link.may_have_issued(lowest) {
                continue;
            }
            issuer_known = true;
            match self.check(&root.link, path)? {
                Ok(()) => {
                    let test = path.iter().skip(1).any(|link| is_test(&link.certificate));
                    return Ok(Some((root, test)));
                }
                Err(refused) => self.note(path.len(), refused),
            }
        }
        if path.len() + 2 <= MAX_DEPTH {
            for &candidate in self.candidates {
                let used = path.iter().any(|link| link.der == candidate.der);
                if used || !candidate.may_have_issued(lowest) {
                    continue;
                }
                issuer_known = true;
                match self.check(candidate, path)? {
                    Ok(()) => {
                        path.push(candidate);
                        let found = self.climb(path)?;
                        path.pop();
                        if found.is_some() {
                            return Ok(found);
                        }
                    }
                    Err(refused) => self.note(path.len(), refused),
                }
            }
        }
        if !issuer_known {
            self.note(path.len(), lowest.unknown_endorser());
        }
        Ok(None)
    }

    /// Everything that `issuer` must be to have issued the end of `path`. The outer error ends the whole search.
    fn check(&mut self, issuer: &Link, path: &[&Link]) -> Result<Result<(), AppraisalError>, AppraisalError> {
        let Some(lowest) = path.last() else { return Ok(Ok(())) };
        self.signatures_left = self.signatures_left.checked_sub(1).ok_or(AppraisalError::TooMuch {
            what: "signature checks",
            found: MAX_SIGNATURES + 1,
            limit: MAX_SIGNATURES,
        })?;
        // RFC 5280 §6.1.4 (l): the length counts the intermediate certificates below that are not self-issued.
        let below = path.iter().skip(1).filter(|link| !link.is_self_issued()).count();
        Ok(lowest
            .verify_issued_by(issuer)
            .and_then(|()| issuer.check_valid_at(self.at))
            .and_then(|()| issuer.check_critical(&[]))
            .and_then(|()| issuer.check_may_issue(below)))
    }

    fn note(&mut self, depth: usize, refused: AppraisalError) {
        if self.refused.as_ref().is_none_or(|(deepest, _)| depth > *deepest) {
            self.refused = Some((depth, refused));
        }
    }
}

/// One certificate of a path, with the bytes that its signature covers.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    certificate: Certificate,
    der: Vec<u8>,
    tbs: Vec<u8>,
    basic: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended: Option<ExtendedKeyUsage>,
    subject_key: Option<Vec<u8>>,
    authority_key: Option<Vec<u8>>,
}

impl Link {
    pub(crate) fn parse(what: &'static str, der: &[u8]) -> Result<Self, AppraisalError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            let what = "bytes in one certificate";
            return Err(AppraisalError::TooMuch { what, found: der.len(), limit: MAX_CERTIFICATE_BYTES });
        }
        let malformed = |detail: String| AppraisalError::Malformed { what, detail };
        let wrong_der = |cause: der::Error| malformed(cause.to_string());
        let certificate = Certificate::from_der(der).map_err(wrong_der)?;
        let tbs = signed_bytes(der).map_err(wrong_der)?;
        let inner = &certificate.tbs_certificate;

        // RFC 5280 §4.1.1.2: "This field MUST contain the same algorithm identifier as the signature field in the
        // sequence tbsCertificate".
        if inner.signature != certificate.signature_algorithm {
            let (signed, outer) = (inner.signature.oid, certificate.signature_algorithm.oid);
            return Err(malformed(format!("it is signed with {outer} and says {signed} inside")));
        }
        let extensions = inner.extensions.as_deref().unwrap_or_default();
        for (place, extension) in extensions.iter().enumerate() {
            // RFC 5280 §4.2: "A certificate MUST NOT include more than one instance of a particular extension."
            if extensions.iter().skip(place + 1).any(|later| later.extn_id == extension.extn_id) {
                return Err(malformed(format!("the extension {} is there twice", extension.extn_id)));
            }
        }
        // RFC 5280 §4.1.2.1: "When extensions are used, as expected in this profile, version MUST be 3".
        if !extensions.is_empty() && inner.version != x509_cert::Version::V3 {
            return Err(malformed("it has extensions and is not of version 3".to_owned()));
        }
        let find = |oid: ObjectIdentifier| {
            extensions.iter().find(|extension| extension.extn_id == oid).map(|e| e.extn_value.as_bytes())
        };
        let basic = find(BASIC_CONSTRAINTS).map(BasicConstraints::from_der).transpose().map_err(wrong_der)?;
        let key_usage = find(KEY_USAGE).map(KeyUsage::from_der).transpose().map_err(wrong_der)?;
        let extended =
            find(EXTENDED_KEY_USAGE).map(ExtendedKeyUsage::from_der).transpose().map_err(wrong_der)?;
        let subject_key = find(SUBJECT_KEY_IDENTIFIER)
            .map(SubjectKeyIdentifier::from_der)
            .transpose()
            .map_err(wrong_der)?
            .map(|id| id.0.into_bytes());
        let authority_key = find(AUTHORITY_KEY_IDENTIFIER)
            .map(AuthorityKeyIdentifier::from_der)
            .transpose()
            .map_err(wrong_der)?
            .and_then(|id| id.key_identifier)
            .map(der::asn1::OctetString::into_bytes);
        Ok(Self {
            der: der.to_vec(),
            tbs,
            basic,
            key_usage,
            extended,
            subject_key,
            authority_key,
            certificate,
        })
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    fn subject(&self) -> String {
        shown(&self.certificate.tbs_certificate.subject)
    }

    fn unknown_endorser(&self) -> AppraisalError {
        let issuer = shown(&self.certificate.tbs_certificate.issuer);
        AppraisalError::UnknownEndorser { subject: self.subject(), issuer }
    }

    /// RFC 5280 §3.2: "Self-issued certificates are CA certificates in which the issuer and subject are the same
    /// entity."
    pub(crate) fn is_self_issued(&self) -> bool {
        self.certificate.tbs_certificate.issuer == self.certificate.tbs_certificate.subject
    }

    /// RFC 5280 §6.1.3 (a) (4): "The certificate issuer name is the working_issuer_name." Key identifiers, where both
    /// have one, tell issuers of the same name apart (§4.2.1.1).
    fn may_have_issued(&self, below: &Self) -> bool {
        let keys_agree = match (&self.subject_key, &below.authority_key) {
            (Some(subject), Some(authority)) => subject == authority,
            _ => true,
        };
        keys_agree && self.certificate.tbs_certificate.subject == below.certificate.tbs_certificate.issuer
    }

    /// RFC 5280 §6.1.3 (a) (1): "The signature on the certificate can be verified using working_public_key_algorithm,
    /// the working_public_key, and the working_public_key_parameters."
    pub(crate) fn verify_issued_by(&self, issuer: &Self) -> Result<(), AppraisalError> {
        let spki = &issuer.certificate.tbs_certificate.subject_public_key_info;
        let unsupported = |found: String| AppraisalError::UnsupportedAlgorithm {
            what: format!("the certificate of {:?}", self.subject()),
            found,
            accepted: "ECDSA on P-256 or P-384, and RSA PKCS#1 v1.5 from 2048 bits, with SHA-256 or SHA-384",
        };
        let algorithm = verification(self.certificate.signature_algorithm.oid, spki).map_err(unsupported)?;
        let bad = || AppraisalError::BadSignature {
            what: format!("the certificate of {:?}", self.subject()),
            by: format!("{:?}", issuer.subject()),
        };
        let key = spki.subject_public_key.as_bytes().ok_or_else(bad)?;
        let signature = self.certificate.signature.as_bytes().ok_or_else(bad)?;
        UnparsedPublicKey::new(algorithm, key).verify(&self.tbs, signature).map_err(|_| bad())
    }

    /// RFC 5280 §6.1.3 (a) (2): "The certificate validity period includes the current time."
    fn check_valid_at(&self, at: Timestamp) -> Result<(), AppraisalError> {
        let validity = &self.certificate.tbs_certificate.validity;
        let moment = |time: x509_cert::time::Time| {
            Timestamp::from_micros(i64::try_from(time.to_unix_duration().as_micros()).unwrap_or(i64::MAX))
        };
        let (from, until) = (moment(validity.not_before), moment(validity.not_after));
        if from.seconds() <= at.seconds() && at.seconds() <= until.seconds() {
            Ok(())
        } else {
            Err(AppraisalError::NotValid { subject: self.subject(), from, until, at })
        }
    }

    /// RFC 5280 §4.2: "A certificate-using system MUST reject the certificate if it encounters a critical extension it
    /// does not recognize or a critical extension that contains information that it cannot process."
    fn check_critical(&self, also: &[ObjectIdentifier]) -> Result<(), AppraisalError> {
        const PROCESSED: [ObjectIdentifier; 6] = [
            BASIC_CONSTRAINTS,
            KEY_USAGE,
            EXTENDED_KEY_USAGE,
            SUBJECT_KEY_IDENTIFIER,
            AUTHORITY_KEY_IDENTIFIER,
            CERTIFICATE_POLICIES,
        ];
        let extensions = self.certificate.tbs_certificate.extensions.as_deref().unwrap_or_default();
        let unknown = extensions
            .iter()
            .filter(|extension| extension.critical)
            .find(|extension| !PROCESSED.contains(&extension.extn_id) && !also.contains(&extension.extn_id));
        match unknown {
            Some(extension) => {
                let oid = extension.extn_id.to_string();
                Err(AppraisalError::CriticalExtension { subject: self.subject(), oid })
            }
            None => Ok(()),
        }
    }

    fn check_may_issue(&self, below: usize) -> Result<(), AppraisalError> {
        let refused = |reason: String| Err(AppraisalError::NotAnIssuer { subject: self.subject(), reason });
        // RFC 5280 §6.1.4 (k): "If certificate i is a version 3 certificate, verify that the basicConstraints
        // extension is present and that cA is set to TRUE." Older versions cannot say it and are refused.
        let Some(basic) = self.basic.as_ref().filter(|basic| basic.ca) else {
            return refused("its basic constraints do not make it a CA".to_owned());
        };
        // RFC 5280 §6.1.4 (l): "verify that max_path_length is greater than zero and decrement max_path_length by 1".
        if let Some(allowed) = basic.path_len_constraint
            && below > usize::from(allowed)
        {
            return refused(format!(
                "{below} CA certificates lie below it, its path length allows {allowed}"
            ));
        }
        // RFC 5280 §6.1.4 (n): "If a key usage extension is present, verify that the keyCertSign bit is set."
        if self.key_usage.as_ref().is_some_and(|usage| !usage.key_cert_sign()) {
            return refused("its key usage lacks keyCertSign".to_owned());
        }
        Ok(())
    }

    fn check_purpose(&self, purpose: ChainPurpose) -> Result<(), AppraisalError> {
        let refused = |detail: String| {
            Err(AppraisalError::WrongPurpose { subject: self.subject(), purpose: purpose.words(), detail })
        };
        if self.basic.as_ref().is_some_and(|basic| basic.ca) {
            return refused("it is a CA certificate".to_owned());
        }
        // RFC 5280 §4.2.1.3: "The key usage extension defines the purpose (e.g., encipherment, signature, certificate
        // signing) of the key contained in the certificate."
        // TCG EK Credential Profile 2.4, §3: keyEncipherment for RSA keys, keyAgreement for ECC keys.
        let usage = self.key_usage.as_ref();
        match purpose {
            ChainPurpose::TpmEndorsement => {
                if usage.is_some_and(|usage| !usage.key_encipherment() && !usage.key_agreement()) {
                    return refused("its key usage has neither keyEncipherment nor keyAgreement".to_owned());
                }
                // RFC 5280 §4.2.1.12: "If the extension is present, then the certificate MUST only be used for one of
                // the purposes indicated."
                if let Some(extended) = &self.extended
                    && !extended.0.contains(&EK_CERTIFICATE_PURPOSE)
                {
                    return refused(format!("its extended key usage lacks {EK_CERTIFICATE_PURPOSE}"));
                }
            }
            ChainPurpose::ElementAttestation | ChainPurpose::TokenKey => {
                if usage.is_some_and(|usage| !usage.digital_signature()) {
                    return refused("its key usage lacks digitalSignature".to_owned());
                }
            }
        }
        Ok(())
    }
}

/// The bytes of `tbsCertificate` exactly as they were signed: the first element inside the outer SEQUENCE.
fn signed_bytes(der: &[u8]) -> Result<Vec<u8>, der::Error> {
    let body = AnyRef::from_der(der)?;
    let mut reader = SliceReader::new(body.value())?;
    Ok(reader.tlv_bytes()?.to_vec())
}

/// The verification algorithm for a signature by this key; the error says what was found.
fn verification(
    signature_oid: ObjectIdentifier,
    spki: &SubjectPublicKeyInfoOwned,
) -> Result<&'static dyn VerificationAlgorithm, String> {
    let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    let found = || match curve {
        Some(curve) => format!("signature algorithm {signature_oid} with a key on curve {curve}"),
        None => format!("signature algorithm {signature_oid} with a key of algorithm {}", spki.algorithm.oid),
    };
    Ok(match (signature_oid, spki.algorithm.oid, curve) {
        (ECDSA_WITH_SHA256, EC_PUBLIC_KEY, Some(SECP256R1)) => &signature::ECDSA_P256_SHA256_ASN1,
        (ECDSA_WITH_SHA384, EC_PUBLIC_KEY, Some(SECP256R1)) => &signature::ECDSA_P256_SHA384_ASN1,
        (ECDSA_WITH_SHA256, EC_PUBLIC_KEY, Some(SECP384R1)) => &signature::ECDSA_P384_SHA256_ASN1,
        (ECDSA_WITH_SHA384, EC_PUBLIC_KEY, Some(SECP384R1)) => &signature::ECDSA_P384_SHA384_ASN1,
        (SHA256_WITH_RSA, RSA_ENCRYPTION, _) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (SHA384_WITH_RSA, RSA_ENCRYPTION, _) => &signature::RSA_PKCS1_2048_8192_SHA384,
        _ => return Err(found()),
    })
}

/// A name for messages: at most 120 characters, none of them a control character.
pub(crate) fn shown(name: &Name) -> String {
    clean(&name.to_string())
}

pub(crate) fn clean(text: &str) -> String {
    text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The text of an attribute value of a string type that names use (RFC 5280 §4.1.2.4).
pub(crate) fn attribute_text(value: &der::Any) -> Option<String> {
    let text = match value.decode_as::<Utf8StringRef<'_>>() {
        Ok(text) => text.as_str().to_owned(),
        Err(_) => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str().to_owned(),
    };
    Some(clean(&text))
}

/// The first common name in a name.
pub(crate) fn common_name(name: &Name) -> Option<String> {
    let attributes = name.0.iter().flat_map(|rdn| rdn.0.iter());
    attributes.filter(|attribute| attribute.oid == COMMON_NAME).find_map(|cn| attribute_text(&cn.value))
}
