//! Appraising attested reads of secure elements with SE05x-compatible commands (NXP AN12413 for applet 3.x, AN12543 for
//! applet 7.2).
//!
//! The chip signs, with a key whose certificate its maker issued, what it read: the object's value, its attributes, a time
//! stamp, the Verifier's freshness value, and the chip's id. From that follows where the key lives and where it came from;
//! nothing else that the evidence says is believed, unless the certificate says it too.
//!
//! There are two layouts. Each is appraised by its own rules ([`appraise`], [`appraise_bound`]), and the version of the applet
//! that the evidence names has to be one that has this layout.
//!
//! # Applets before 4.4: why the lengths are checked first
//!
//! The signature is over values without their lengths. Two statements with the same concatenation are the same to it,
//! so each value but the attributes must have its one length, and the attributes are what is left. That alone does not
//! stop a holder of the chip from writing a *binary object* whose content is a public key followed by made-up
//! attributes: a read of it could be cut elsewhere and shown as a read of a key. What he cannot choose is the last
//! byte of the attributes, the origin, which is *external* for everything that was written from outside. So attributes
//! with a policy set, the one part of variable length, are believed only where the origin is not external.
//!
//! # Applets from 7.2 on
//!
//! The signature is over a digest of the command and the answer's TLVs with their tags and lengths, so nothing can be cut
//! elsewhere. A read in one layout is none in the other: in the older one the signed bytes end with the chip's id, in the
//! newer one with an object's size (2 bytes), `4F82000C` and a time stamp (12 bytes), so that a maker would have to give a
//! chip an id with these four bytes in its midst; and the newer one begins with a digest, where the older one has a point.
//!
//! # Applets 4.4 to 7.1
//!
//! They are refused. They sign bare values as the older ones do, but their attributes end with a version that the host
//! chooses, so that the last byte proves nothing. It would not help to read that version only where the evidence names such
//! an applet: that name is not signed, and the attributes of an older chip, read with a version behind them, have a byte of
//! the host's own where the origin should be. For the same reason a holder of a *genuine* chip with such an applet can pass
//! one of its reads off as an older chip's: pin issuers of chips with these applets only where that is no danger, or where
//! the certificates name the applet.

mod bound;

use der::Encode;
use der::oid::ObjectIdentifier;
use touchmark_identity::apdu::se05x::{
    AppletVersion, Attributes, AttributesError, CHIP_ID_BYTES, FRESHNESS_BYTES, NOT_SET, ObjectType, Origin,
    ReadLayout, TIMESTAMP_BYTES, VERSION_BYTES, rule,
};
use touchmark_identity::assurance::{Basis, HostBinding, KeyAssurance, Part, Provenance, Storage};
use touchmark_identity::evidence::{ElementEvidence, Evidence, Nonce};
use touchmark_identity::key::PublicKey;
use touchmark_identity::timestamp::Timestamp;
use x509_cert::Certificate;

use crate::chain::{VerifiedChain, attribute_text, clean};
use crate::{AppraisalError, Appraised, AttestedKey, ChainPurpose, Policy};
pub use bound::appraise_bound;

/// Names in RFC 5280 appendix A.1 and X.520 §6.2.9.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");

/// An uncompressed P-256 point.
const POINT_BYTES: usize = 65;
/// What the errors call the object.
const ATTESTED_OBJECT: &str = "the attested object";
/// Before the 14 hex digits of the applet's version, in the organizational unit of a chip's certificate.
const APPLET_UNIT: &str = "applet ";
/// The most characters of vendor and model in a [`Part`].
const MAX_PART_CHARACTERS: usize = 64;

/// Appraises an attested read of an applet before 4.4: that a chip of a pinned maker holds the private half of the key, and where it came from.
///
/// A key that was generated on the chip gets the provenance `generated-on-chip`, one that its maker put there
/// `pre-provisioned`, one that was imported `injected-wrapped`: it also exists, or existed, elsewhere.
///
/// # Errors
/// [`AppraisalError`] for evidence that is not, in every field, what such a chip says to this nonce.
pub fn appraise(
    evidence: &ElementEvidence,
    nonce: &Nonce,
    policy: &Policy,
    at: Timestamp,
) -> Result<Appraised<AttestedKey>, AppraisalError> {
    let purpose = ChainPurpose::ElementAttestation;
    let chain = policy.verify_chain(&evidence.chip_certificate, &evidence.chip_chain, at, purpose)?;
    let chip = ChipIdentity::read(&chain.leaf)?;

    expect_length(ATTESTED_OBJECT, &evidence.data, POINT_BYTES)?;
    expect_length("the time stamp of the chip", &evidence.timestamp, TIMESTAMP_BYTES)?;
    expect_length("the freshness value", &evidence.freshness, FRESHNESS_BYTES)?;
    expect_length("the id of the chip", &evidence.chip_id, CHIP_ID_BYTES)?;

    let signed = [
        &evidence.data[..],
        &evidence.attributes,
        &evidence.timestamp,
        &evidence.freshness,
        &evidence.chip_id,
    ]
    .concat();
    chip.verify(&signed, &evidence.signature)?;
    expect_fresh(&evidence.freshness, nonce)?;
    chip.expect_id(&evidence.chip_id)?;
    let version = chip.applet_version(&evidence.applet_version, ReadLayout::Values)?;

    let attributes = Attributes::parse(&evidence.attributes).map_err(malformed_attributes)?;
    let provenance = provenance(&attributes)?;
    if attributes.origin == Origin::EXTERNAL && !attributes.policies.is_empty() {
        return Err(AppraisalError::ForbiddenAttribute {
            object: "the imported key",
            attribute: "policy set",
            meaning: "its statement could be cut out of a binary object that the host wrote",
        });
    }
    let evidence_sha256 = Evidence::Element(evidence.clone()).sha256();
    conclude(&chip, chain, &evidence.data, version, provenance, evidence_sha256, at)
}

/// What follows from a read that holds.
fn conclude(
    chip: &ChipIdentity,
    chain: VerifiedChain,
    point: &[u8],
    version: Option<AppletVersion>,
    provenance: Provenance,
    evidence_sha256: [u8; 32],
    at: Timestamp,
) -> Result<Appraised<AttestedKey>, AppraisalError> {
    let key = PublicKey::from_point(point)
        .map_err(|error| AppraisalError::Malformed { what: ATTESTED_OBJECT, detail: error.to_string() })?;
    let assurance = KeyAssurance {
        storage: Storage::SecureElement,
        basis: Basis::Attested,
        provenance,
        host_binding: HostBinding::Unknown,
        part: Some(Part {
            vendor: cut(chip.vendor.as_ref().unwrap_or(&chain.endorser)),
            model: cut(&chip.model),
            firmware: version.map(|version| version.to_string()),
            crypto_library: version
                .map(|AppletVersion { crypto_library: [major, minor], .. }| format!("{major}.{minor}")),
        }),
        certification: None,
        counter_budget: None,
        evidence_sha256: Some(evidence_sha256),
        appraised: Some(at),
        test_endorser: chain.test,
        class_break: None,
    };
    Ok(Appraised::new(AttestedKey { key, assurance, endorser: chain.endorser }))
}

fn expect_length(what: &'static str, bytes: &[u8], expected: usize) -> Result<(), AppraisalError> {
    if bytes.len() == expected {
        return Ok(());
    }
    let detail = format!("expected {expected} bytes, found {}", bytes.len());
    Err(AppraisalError::Malformed { what, detail })
}

fn expect_fresh(found: &[u8], nonce: &Nonce) -> Result<(), AppraisalError> {
    let expected = nonce.freshness16();
    if found == expected {
        return Ok(());
    }
    Err(AppraisalError::NotFresh { expected: hex::encode(expected), found: hex::encode(found) })
}

fn malformed_attributes(error: AttributesError) -> AppraisalError {
    AppraisalError::Malformed { what: "the attributes of the attested object", detail: error.to_string() }
}

/// What the attributes say of the key's origin, after they have been found to be those of a key pair.
fn provenance(attributes: &Attributes) -> Result<Provenance, AppraisalError> {
    let wrong = |what, expected: &dyn ToString, found: &dyn ToString| {
        Err(AppraisalError::WrongValue { what, expected: expected.to_string(), found: found.to_string() })
    };
    if attributes.object_type != ObjectType::EC_KEY_PAIR {
        return wrong(ATTESTED_OBJECT, &ObjectType::EC_KEY_PAIR, &attributes.object_type);
    }
    if attributes.authentication != NOT_SET {
        return wrong("the authentication indicator of the key", &NOT_SET, &attributes.authentication);
    }
    if attributes.policies.iter().any(|policy| policy.rule & rule::IMPORT_EXPORT != 0) {
        return Err(AppraisalError::ForbiddenAttribute {
            object: "the key",
            attribute: "ALLOW_IMPORT_EXPORT",
            meaning: "it may leave the chip",
        });
    }
    match attributes.origin {
        Origin::INTERNAL => Ok(Provenance::GeneratedOnChip),
        Origin::PROVISIONED => Ok(Provenance::PreProvisioned),
        Origin::EXTERNAL => Ok(Provenance::InjectedWrapped),
        other => wrong("the origin of the key", &"external, internal or provisioned", &other),
    }
}

/// What the maker says of the chip, in the certificate of its attestation key.
struct ChipIdentity {
    key: PublicKey,
    /// 36 hex digits.
    id: String,
    vendor: Option<String>,
    model: String,
    /// 14 hex digits, where the certificate names them.
    applet: Option<String>,
}

impl ChipIdentity {
    fn read(certificate: &Certificate) -> Result<Self, AppraisalError> {
        let subject = |oid| subject_attribute(certificate, oid);
        let malformed =
            |detail: String| AppraisalError::Malformed { what: "the certificate of the chip", detail };
        let spki = certificate.tbs_certificate.subject_public_key_info.to_der();
        let spki = spki.map_err(|error| malformed(error.to_string()))?;
        let key = PublicKey::from_spki_der(&spki).map_err(|error| AppraisalError::UnsupportedAlgorithm {
            what: "the attestation key of the chip".to_owned(),
            found: error.to_string(),
            accepted: "ECDSA on P-256 with SHA-256",
        })?;
        let id = subject(SERIAL_NUMBER)?
            .ok_or_else(|| malformed("the subject has no serialNumber with the id of the chip".to_owned()))?;
        let model =
            subject(COMMON_NAME)?.ok_or_else(|| malformed("the subject has no common name".to_owned()))?;
        let unit = subject(ORGANIZATIONAL_UNIT)?;
        let applet = unit.and_then(|unit| unit.strip_prefix(APPLET_UNIT).map(str::to_owned));
        Ok(Self { key, id: id.to_ascii_lowercase(), vendor: subject(ORGANIZATION)?, model, applet })
    }

    fn verify(&self, signed: &[u8], signature: &[u8]) -> Result<(), AppraisalError> {
        self.key.verify(signed, signature).map_err(|_| AppraisalError::BadSignature {
            what: "the attested read".to_owned(),
            by: format!("the chip {}", self.id),
        })
    }

    fn expect_id(&self, id: &[u8]) -> Result<(), AppraisalError> {
        let found = hex::encode(id);
        if found == self.id {
            return Ok(());
        }
        Err(AppraisalError::WrongValue { what: "the id of the chip", expected: self.id.clone(), found })
    }

    /// The version that SELECT answered is not signed. It has to be one whose reads have the layout at hand. Where the
    /// certificate names the version, the two must agree; where it does not, the version is a claim, and no part of the
    /// record.
    fn applet_version(
        &self,
        claimed: &[u8],
        layout: ReadLayout,
    ) -> Result<Option<AppletVersion>, AppraisalError> {
        expect_length("the version of the applet", claimed, VERSION_BYTES)?;
        let version = AppletVersion::parse(claimed);
        if let Some(named) = version.map(|version| version.read_layout()).filter(|named| *named != layout) {
            return Err(AppraisalError::WrongValue {
                what: "the layout of the attested read",
                expected: format!("{named}, as its version says"),
                found: layout.to_string(),
            });
        }
        let Some(expected) = &self.applet else { return Ok(None) };
        let found = hex::encode(claimed);
        if found == *expected {
            Ok(version)
        } else {
            let what = "the version of the applet";
            Err(AppraisalError::WrongValue { what, expected: clean(expected), found })
        }
    }
}

/// An attribute of the subject that occurs at most once.
fn subject_attribute(
    certificate: &Certificate,
    oid: ObjectIdentifier,
) -> Result<Option<String>, AppraisalError> {
    let names = certificate.tbs_certificate.subject.0.iter().flat_map(|rdn| rdn.0.iter());
    let mut values = names.filter(|attribute| attribute.oid == oid);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(attribute), None) => attribute_text(&attribute.value).map(Some).ok_or_else(|| {
            let detail = format!("the attribute {oid} of the subject is no text");
            AppraisalError::Malformed { what: "the certificate of the chip", detail }
        }),
        (Some(_), Some(_)) => {
            let detail = format!("the attribute {oid} occurs twice in the subject");
            Err(AppraisalError::Malformed { what: "the certificate of the chip", detail })
        }
    }
}

fn cut(text: &str) -> String {
    clean(text).chars().take(MAX_PART_CHARACTERS).collect()
}

#[cfg(test)]
pub(crate) mod tests;
