//! Certification requests (PKCS#10, RFC 2986): read, and believed only when signed by the key they name.

use der::{Decode, Encode};
use touchmark_identity::ids::DeviceId;
use touchmark_identity::key::PublicKey;
use x509_cert::request::CertReq;

use crate::error::AuthorityError;
use crate::x509::{ECDSA_WITH_SHA256, common_name};

/// A request larger than this is not read, in bytes.
pub const MAX_CSR_BYTES: usize = 16 * 1024;

/// A request whose sender holds the private key: made by [`ProvenRequest::from_der`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRequest {
    key: PublicKey,
    common_name: String,
    der: Vec<u8>,
}

impl ProvenRequest {
    /// Reads a request and checks that the key it names signed it.
    ///
    /// # Errors
    /// [`AuthorityError::BadRequest`] when it is no request, or its key is not P-256 or its signature not ECDSA with
    /// SHA-256; [`AuthorityError::NoProofOfPossession`] when the signature does not verify.
    pub fn from_der(der: &[u8]) -> Result<Self, AuthorityError> {
        let bad = |detail: String| AuthorityError::BadRequest { detail };
        if der.len() > MAX_CSR_BYTES {
            return Err(bad(format!("it has {} bytes, the limit is {MAX_CSR_BYTES}", der.len())));
        }
        let request =
            CertReq::from_der(der).map_err(|e| bad(format!("it is not DER of RFC 2986 §4 ({e})")))?;
        if request.algorithm.oid != ECDSA_WITH_SHA256 {
            return Err(bad(format!(
                "its signature algorithm is {}, only ecdsa-with-SHA256 ({ECDSA_WITH_SHA256}) is accepted",
                request.algorithm.oid
            )));
        }
        let spki = request.info.public_key.to_der().map_err(|e| bad(e.to_string()))?;
        let key = PublicKey::from_spki_der(&spki).map_err(|e| bad(e.to_string()))?;
        let signed = request.info.to_der().map_err(|e| bad(e.to_string()))?;
        let signature =
            request.signature.as_bytes().ok_or_else(|| bad("its signature has unused bits".to_owned()))?;
        // RFC 7030 §3.4: "the EST server ... MUST verify the signature" of the request as proof of possession.
        key.verify(&signed, signature).map_err(|_| AuthorityError::NoProofOfPossession)?;
        let common_name = common_name(&request.info.subject).unwrap_or_default();
        Ok(Self { key, common_name, der: der.to_vec() })
    }

    /// Reads a request in PEM, in base64 with any white space, or in DER: EST clients send the second, many people
    /// the first.
    ///
    /// # Errors
    /// As [`ProvenRequest::from_der`].
    pub fn from_any(bytes: &[u8]) -> Result<Self, AuthorityError> {
        Self::from_der(
            &crate::est::decode_body(bytes).map_err(|detail| AuthorityError::BadRequest { detail })?,
        )
    }

    /// The key that the sender holds.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The request's DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Holds the request's name against the device that asks. A request without a common name is taken as the
    /// device's own: constrained clients leave the name to the CA (RFC 7030 §4.2.1).
    ///
    /// # Errors
    /// [`AuthorityError::WrongSubject`] when it names another.
    pub fn must_name(&self, device: &DeviceId) -> Result<(), AuthorityError> {
        if self.common_name.is_empty() || self.common_name == device.as_str() {
            Ok(())
        } else {
            Err(AuthorityError::WrongSubject {
                expected: device.to_string(),
                found: self.common_name.clone(),
            })
        }
    }
}
