//! The record as an X.509 extension, in DER. The ASN.1 module is `docs/key-assurance.asn1`.

use der::asn1::{GeneralizedTime, OctetString};
use der::oid::ObjectIdentifier;
use der::{DateTime, Decode, Encode, Sequence};

use super::{
    Basis, Certification, CounterBudget, Grade, HostBinding, KeyAssurance, Part, Provenance, Storage,
};
use crate::timestamp::Timestamp;

/// `id-tm-keyAssurance`, under the enterprise number that IANA keeps for examples (RFC 5612 §2); the decision record
/// on object identifiers says why, and what will replace it.
pub const KEY_ASSURANCE_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.80.1");

/// The one version of the extension that exists.
const VERSION: u8 = 1;

/// Why bytes are not a key-assurance extension.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssuranceDerError {
    /// Not DER, or DER of another shape.
    #[error("the key-assurance extension is not valid DER: {0}")]
    Der(der::Error),
    /// A version that this program does not know.
    #[error("the key-assurance extension has version {found}, this program reads version {VERSION}")]
    Version {
        /// The version found.
        found: u8,
    },
    /// The grade written does not follow from the other fields.
    #[error("the key-assurance extension says grade {written}, its fields give {derived}")]
    Grade {
        /// The grade in the extension.
        written: Grade,
        /// The grade that follows from the fields.
        derived: Grade,
    },
    /// The evidence digest is not 32 bytes long.
    #[error("the evidence digest has {found} bytes, a SHA-256 has 32")]
    Digest {
        /// The number of bytes found.
        found: usize,
    },
    /// Bytes that belong to no field, which the DER reader passes over.
    #[error("the key-assurance extension has {found} bytes, its fields take {read}")]
    Surplus {
        /// The number of bytes found.
        found: usize,
        /// The number of bytes that its fields take.
        read: usize,
    },
}

impl From<der::Error> for AssuranceDerError {
    fn from(error: der::Error) -> Self {
        Self::Der(error)
    }
}

#[derive(Sequence)]
struct RecordDer {
    version: u8,
    storage: Storage,
    basis: Basis,
    provenance: Provenance,
    host_binding: HostBinding,
    grade: Grade,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    part: Option<PartDer>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    certification: Option<CertificationDer>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    counter_budget: Option<CounterBudgetDer>,
    #[asn1(context_specific = "3", tag_mode = "IMPLICIT", optional = "true")]
    evidence_sha256: Option<OctetString>,
    #[asn1(context_specific = "4", tag_mode = "IMPLICIT", optional = "true")]
    appraised: Option<GeneralizedTime>,
    #[asn1(context_specific = "5", tag_mode = "IMPLICIT", default = "no")]
    test_endorser: bool,
    #[asn1(context_specific = "6", tag_mode = "IMPLICIT", optional = "true")]
    class_break: Option<String>,
}

#[derive(Sequence)]
struct PartDer {
    vendor: String,
    model: String,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    firmware: Option<String>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    crypto_library: Option<String>,
}

#[derive(Sequence)]
struct CertificationDer {
    scheme: String,
    level: String,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    ava_van: Option<u8>,
    reference: String,
}

#[derive(Sequence)]
struct CounterBudgetDer {
    left: u64,
    used_per_day: u64,
}

fn no() -> bool {
    false
}

impl KeyAssurance {
    /// The extension's value: DER of `KeyAssurance` in `docs/key-assurance.asn1`. The moment of appraisal is cut to
    /// whole seconds, which is what `GeneralizedTime` holds in a certificate (RFC 5280 §4.1.2.5.2).
    ///
    /// # Errors
    /// [`AssuranceDerError::Der`] when a text is too long for DER's length field.
    pub fn to_der(&self) -> Result<Vec<u8>, AssuranceDerError> {
        let appraised = match self.appraised {
            Some(at) => Some(GeneralizedTime::from_date_time(DateTime::from_unix_duration(
                std::time::Duration::from_secs(at.seconds()),
            )?)),
            None => None,
        };
        let record = RecordDer {
            version: VERSION,
            storage: self.storage,
            basis: self.basis,
            provenance: self.provenance,
            host_binding: self.host_binding,
            grade: self.grade(),
            part: self.part.clone().map(|p| PartDer {
                vendor: p.vendor,
                model: p.model,
                firmware: p.firmware,
                crypto_library: p.crypto_library,
            }),
            certification: self.certification.clone().map(|c| CertificationDer {
                scheme: c.scheme,
                level: c.level,
                ava_van: c.ava_van,
                reference: c.reference,
            }),
            counter_budget: self
                .counter_budget
                .map(|b| CounterBudgetDer { left: b.left, used_per_day: b.used_per_day }),
            evidence_sha256: self.evidence_sha256.map(OctetString::new).transpose()?,
            appraised,
            test_endorser: self.test_endorser,
            class_break: self.class_break.clone(),
        };
        Ok(record.to_der()?)
    }

    /// Reads the extension's value.
    ///
    /// # Errors
    /// [`AssuranceDerError`] for anything that this version does not write, a grade that does not follow from the
    /// fields among it.
    pub fn from_der(bytes: &[u8]) -> Result<Self, AssuranceDerError> {
        let record = RecordDer::from_der(bytes)?;
        if record.version != VERSION {
            return Err(AssuranceDerError::Version { found: record.version });
        }
        // The reader skips context-specific fields that it does not know; in a record under a signature, what nobody
        // reads has no place.
        let read = record.to_der()?;
        if read != bytes {
            return Err(AssuranceDerError::Surplus { found: bytes.len(), read: read.len() });
        }
        let evidence_sha256 = match record.evidence_sha256 {
            Some(digest) => Some(
                <[u8; 32]>::try_from(digest.as_bytes())
                    .map_err(|_| AssuranceDerError::Digest { found: digest.as_bytes().len() })?,
            ),
            None => None,
        };
        let assurance = Self {
            storage: record.storage,
            basis: record.basis,
            provenance: record.provenance,
            host_binding: record.host_binding,
            part: record.part.map(|p| Part {
                vendor: p.vendor,
                model: p.model,
                firmware: p.firmware,
                crypto_library: p.crypto_library,
            }),
            certification: record.certification.map(|c| Certification {
                scheme: c.scheme,
                level: c.level,
                ava_van: c.ava_van,
                reference: c.reference,
            }),
            counter_budget: record
                .counter_budget
                .map(|b| CounterBudget { left: b.left, used_per_day: b.used_per_day }),
            evidence_sha256,
            appraised: record.appraised.map(|at| {
                let seconds = at.to_unix_duration().as_secs();
                Timestamp::from_micros(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
            }),
            test_endorser: record.test_endorser,
            class_break: record.class_break,
        };
        if assurance.grade() == record.grade {
            Ok(assurance)
        } else {
            Err(AssuranceDerError::Grade { written: record.grade, derived: assurance.grade() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn der_round_trip(record in record()) {
            prop_assert_eq!(KeyAssurance::from_der(&record.to_der().unwrap()).unwrap(), record);
        }

        #[test]
        fn every_truncation_is_refused(record in record()) {
            let whole = record.to_der().unwrap();
            for end in 0..whole.len() {
                prop_assert!(KeyAssurance::from_der(&whole[..end]).is_err());
            }
        }

        #[test]
        fn a_changed_byte_is_refused_or_read_as_another_record(record in record(), at: prop::sample::Index, flip in 1u8..) {
            let mut changed = record.to_der().unwrap();
            let place = at.index(changed.len());
            changed[place] ^= flip;
            if let Ok(other) = KeyAssurance::from_der(&changed) {
                prop_assert_ne!(other, record);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = KeyAssurance::from_der(&bytes);
        }
    }

    #[test]
    fn a_field_that_nobody_reads_is_refused() {
        let record = KeyAssurance { evidence_sha256: Some([1; 32]), ..KeyAssurance::declared(Storage::Tpm) };
        let mut der = record.to_der().unwrap();
        let read = der.len();
        der[1] += 2;
        der.extend([0x80, 0]);
        assert_eq!(KeyAssurance::from_der(&der), Err(AssuranceDerError::Surplus { found: read + 2, read }));
    }

    #[test]
    fn a_grade_that_does_not_follow_is_refused() {
        let mut der = KeyAssurance::declared(Storage::Tpm).to_der().unwrap();
        // SEQUENCE header (2 bytes), then version, storage, basis, provenance, host binding: 3 bytes each; then the
        // grade's tag and length.
        der[2 + 5 * 3 + 2] = Grade::HardwareBound as u8;
        assert_eq!(
            KeyAssurance::from_der(&der),
            Err(AssuranceDerError::Grade { written: Grade::HardwareBound, derived: Grade::Copyable })
        );
    }
}
