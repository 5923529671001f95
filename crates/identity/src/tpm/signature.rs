//! `TPMT_SIGNATURE` (part 2, §11.3.4).

use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};

use super::constants::AlgorithmId;
use super::wire::{Reader, TpmFormatError, Writer};

/// The largest coordinate of an ECDSA signature, in bytes (P-521).
const MAX_ECC_BYTES: usize = 66;
/// The size of r and s on P-256, in bytes.
const P256_BYTES: usize = 32;
/// The largest RSA signature, in bytes (4096 bits).
const MAX_RSA_BYTES: usize = 512;

/// A signature as a TPM gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TpmSignature {
    /// `TPM_ALG_ECDSA`.
    Ecdsa {
        /// The hash algorithm of the message.
        hash: AlgorithmId,
        /// r, big-endian.
        r: Vec<u8>,
        /// s, big-endian.
        s: Vec<u8>,
    },
    /// `TPM_ALG_RSASSA` (PKCS#1 v1.5).
    Rsassa {
        /// The hash algorithm of the message.
        hash: AlgorithmId,
        /// The signature, big-endian.
        signature: Vec<u8>,
    },
}

/// RFC 3279 §2.2.3.
#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

impl TpmSignature {
    /// Reads a `TPMT_SIGNATURE` that fills `bytes`.
    ///
    /// # Errors
    /// [`TpmFormatError::Unsupported`] for another algorithm, other [`TpmFormatError`]s for another form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TpmFormatError> {
        let mut reader = Reader::new("TPMT_SIGNATURE", bytes);
        let signature = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(signature)
    }

    /// Reads a `TPMT_SIGNATURE` from the front of a longer byte string.
    ///
    /// # Errors
    /// As for [`TpmSignature::from_bytes`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, TpmFormatError> {
        match AlgorithmId(reader.u16()?) {
            AlgorithmId::ECDSA => Ok(Self::Ecdsa {
                hash: AlgorithmId(reader.u16()?),
                r: reader.sized(MAX_ECC_BYTES)?.to_vec(),
                s: reader.sized(MAX_ECC_BYTES)?.to_vec(),
            }),
            AlgorithmId::RSASSA => Ok(Self::Rsassa {
                hash: AlgorithmId(reader.u16()?),
                signature: reader.sized(MAX_RSA_BYTES)?.to_vec(),
            }),
            other => {
                Err(TpmFormatError::Unsupported { what: "signature algorithm", found: other.to_string() })
            }
        }
    }

    /// An ECDSA signature from a DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3), for a key on P-256: both numbers get 32 bytes.
    ///
    /// # Errors
    /// [`TpmFormatError::Value`] for other bytes and for numbers that are longer.
    pub fn from_ecdsa_der(hash: AlgorithmId, der: &[u8]) -> Result<Self, TpmFormatError> {
        let wrong = || TpmFormatError::Value {
            what: "ECDSA signature",
            expected: "the DER of two positive integers of up to 32 bytes".to_owned(),
            found: format!("{} bytes", der.len()),
        };
        let value = EcdsaSigValue::from_der(der).map_err(|_| wrong())?;
        let padded = |number: UintRef<'_>| {
            let missing = P256_BYTES.checked_sub(number.as_bytes().len()).ok_or_else(wrong)?;
            Ok([&vec![0; missing][..], number.as_bytes()].concat())
        };
        Ok(Self::Ecdsa { hash, r: padded(value.r)?, s: padded(value.s)? })
    }

    /// The bytes of the `TPMT_SIGNATURE`.
    ///
    /// # Errors
    /// [`TpmFormatError::TooLong`] when a field cannot be written with a 16-bit size.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TpmFormatError> {
        let mut writer = Writer::new("TPMT_SIGNATURE");
        match self {
            Self::Ecdsa { hash, r, s } => writer.u16(AlgorithmId::ECDSA.0).u16(hash.0).sized(r).sized(s),
            Self::Rsassa { hash, signature } => {
                writer.u16(AlgorithmId::RSASSA.0).u16(hash.0).sized(signature)
            }
        };
        writer.finish()
    }

    /// The hash algorithm of the signed message.
    #[must_use]
    pub fn hash(&self) -> AlgorithmId {
        match self {
            Self::Ecdsa { hash, .. } | Self::Rsassa { hash, .. } => *hash,
        }
    }

    /// The signature as other software writes it: a DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3), or the RSA bytes.
    ///
    /// # Errors
    /// [`TpmFormatError::Value`] when r or s has no bytes.
    pub fn to_der(&self) -> Result<Vec<u8>, TpmFormatError> {
        match self {
            Self::Ecdsa { r, s, .. } => {
                let wrong = |_| TpmFormatError::Value {
                    what: "ECDSA signature",
                    expected: "two positive integers".to_owned(),
                    found: format!("{} and {} bytes", r.len(), s.len()),
                };
                if r.is_empty() || s.is_empty() {
                    return Err(wrong(der::ErrorKind::Failed.into()));
                }
                let value =
                    EcdsaSigValue { r: UintRef::new(r).map_err(wrong)?, s: UintRef::new(s).map_err(wrong)? };
                value.to_der().map_err(wrong)
            }
            Self::Rsassa { signature, .. } => Ok(signature.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn signature() -> impl Strategy<Value = TpmSignature> {
        let ecdsa = (any::<u16>(), vec(any::<u8>(), 0..=MAX_ECC_BYTES), vec(any::<u8>(), 0..=MAX_ECC_BYTES))
            .prop_map(|(hash, r, s)| TpmSignature::Ecdsa { hash: AlgorithmId(hash), r, s });
        let rsassa = (any::<u16>(), vec(any::<u8>(), 0..=MAX_RSA_BYTES))
            .prop_map(|(hash, signature)| TpmSignature::Rsassa { hash: AlgorithmId(hash), signature });
        prop_oneof![ecdsa, rsassa]
    }

    #[test]
    fn der_integers_are_positive_and_shortest() {
        let der = |r: &[u8], s: &[u8]| {
            TpmSignature::Ecdsa { hash: AlgorithmId::SHA256, r: r.to_vec(), s: s.to_vec() }.to_der()
        };
        assert_eq!(der(&[0, 0, 0x81], &[0x7f]).unwrap(), [0x30, 7, 2, 2, 0, 0x81, 2, 1, 0x7f]);
        assert!(der(&[], &[1]).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(signature in signature()) {
            prop_assert_eq!(TpmSignature::from_bytes(&signature.to_bytes().unwrap()).unwrap(), signature);
        }

        #[test]
        fn every_truncation_is_refused(signature in signature()) {
            let bytes = signature.to_bytes().unwrap();
            for end in 0..bytes.len() {
                prop_assert!(TpmSignature::from_bytes(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..80)) {
            if let Ok(signature) = TpmSignature::from_bytes(&bytes) {
                let _ = signature.to_der();
            }
        }
    }
}
