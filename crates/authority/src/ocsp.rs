//! OCSP answers (RFC 6960), signed on demand by the issuing CA, straight from the registry: a revocation is visible as
//! soon as it is written.

use der::asn1::{GeneralizedTime, ObjectIdentifier, OctetString};
use der::{DateTime, Decode, Encode};
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;
use x509_cert::ext::pkix::CrlReason;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse, ResponderId,
    ResponseData, RevokedInfo, SingleResponse, Version,
};

use crate::ca::{Authority, Signer};
use crate::error::AuthorityError;
use crate::registry::{CertificateStatus, RevocationReason};
use crate::x509::{bit_string, encoding, seconds, sha1, signature_algorithm};

const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// A request that asks for more certificates than this is refused.
const MAX_CERTIFICATES: usize = 16;
/// A request larger than this is not read, in bytes.
pub const MAX_REQUEST_BYTES: usize = 8 * 1024;

impl Authority {
    /// Answers a request. The answer is DER of `OCSPResponse`, also where it says that the request is malformed.
    ///
    /// # Errors
    /// [`AuthorityError::BadOcspRequest`] for bytes that are no request ([`malformed`] is the answer to send);
    /// others when the registry or key store fails.
    pub fn ocsp(&mut self, request: &[u8], now: Timestamp) -> Result<Vec<u8>, AuthorityError> {
        if request.len() > MAX_REQUEST_BYTES {
            return Err(AuthorityError::BadOcspRequest);
        }
        let request = OcspRequest::from_der(request).map_err(|_| AuthorityError::BadOcspRequest)?;
        let asked = request.tbs_request.request_list;
        if asked.is_empty() || asked.len() > MAX_CERTIFICATES {
            return Err(AuthorityError::BadOcspRequest);
        }
        let this_update = generalized(now)?;
        let lifetime_ms =
            i64::try_from(self.settings.ocsp_lifetime_s).unwrap_or(i64::MAX).saturating_mul(1_000);
        let next_update = Some(generalized(now.plus_ms(lifetime_ms))?);
        let mut responses = Vec::with_capacity(asked.len());
        for one in asked {
            let cert_status = self.status(&one.req_cert)?;
            responses.push(SingleResponse {
                cert_id: one.req_cert,
                cert_status,
                this_update,
                next_update,
                single_extensions: None,
            });
        }
        // RFC 9654 §2.1: a responder that supports the nonce echoes it; more than 128 bytes are refused.
        let nonce: Vec<_> = request
            .tbs_request
            .request_extensions
            .into_iter()
            .flatten()
            .filter(|e| e.extn_id == NONCE)
            .collect();
        if nonce.iter().any(|e| e.extn_value.as_bytes().len() > 130) {
            return Err(AuthorityError::BadOcspRequest);
        }
        let key_hash = OctetString::new(self.issuing.key_identifier()).map_err(encoding("an OCSP answer"))?;
        let data = ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByKey(key_hash),
            produced_at: this_update,
            responses,
            response_extensions: (!nonce.is_empty()).then_some(nonce),
        };
        let signed = data.to_der().map_err(encoding("an OCSP answer"))?;
        let signature = self.sign(Signer::Issuing, &signed)?;
        let basic = BasicOcspResponse {
            tbs_response_data: data,
            signature_algorithm: signature_algorithm(),
            signature: bit_string(&signature)?,
            certs: None,
        };
        let response = OcspResponse::successful(basic).map_err(encoding("an OCSP answer"))?;
        response.to_der().map_err(encoding("an OCSP answer"))
    }

    fn status(&mut self, id: &CertId) -> Result<CertStatus, AuthorityError> {
        if !self.is_issuer(id)? {
            return Ok(CertStatus::unknown());
        }
        let serial = id.serial_number.as_bytes();
        let first = serial.iter().position(|b| *b != 0).unwrap_or(0);
        let Some(found) = self.registry.certificate(serial.get(first..).unwrap_or_default())? else {
            return Ok(CertStatus::unknown());
        };
        match (found.status, found.profile.as_str(), found.revoked) {
            (CertificateStatus::Good, "device" | "server", _) => Ok(CertStatus::good()),
            (
                CertificateStatus::Hold | CertificateStatus::Revoked | CertificateStatus::Orphaned,
                _,
                Some(at),
            ) => {
                let revocation_reason = found.reason.map(|reason| match reason {
                    RevocationReason::Unspecified => CrlReason::Unspecified,
                    RevocationReason::KeyCompromise => CrlReason::KeyCompromise,
                    RevocationReason::Superseded => CrlReason::Superseded,
                    RevocationReason::CessationOfOperation => CrlReason::CessationOfOperation,
                    RevocationReason::CertificateHold => CrlReason::CertificateHold,
                });
                let info = RevokedInfo { revocation_time: generalized(at)?, revocation_reason };
                Ok(CertStatus::revoked(info))
            }
            _ => Ok(CertStatus::unknown()),
        }
    }

    /// Whether the issuing CA is meant, by name and key (RFC 6960 §4.1.1). Clients ask with SHA-1 or SHA-256.
    fn is_issuer(&self, id: &CertId) -> Result<bool, AuthorityError> {
        let name = self.issuing.name().to_der().map_err(encoding("a name"))?;
        let key = self.issuing.public.point();
        let (name_hash, key_hash) = match id.hash_algorithm.oid {
            SHA1 => (sha1(&name).to_vec(), sha1(key).to_vec()),
            SHA256 => (sha256(&name).to_vec(), sha256(key).to_vec()),
            _ => return Ok(false),
        };
        Ok(id.issuer_name_hash.as_bytes() == name_hash && id.issuer_key_hash.as_bytes() == key_hash)
    }
}

/// The answer to bytes that are no request (RFC 6960 §4.2.1, `malformedRequest`).
#[must_use]
pub fn malformed() -> Vec<u8> {
    OcspResponse::malformed_request().to_der().unwrap_or_default()
}

fn generalized(at: Timestamp) -> Result<OcspGeneralizedTime, AuthorityError> {
    let date = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds(at)))
        .map_err(encoding("a time"))?;
    Ok(OcspGeneralizedTime(GeneralizedTime::from_date_time(date)))
}
