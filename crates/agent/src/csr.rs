//! The certification request: PKCS#10 (RFC 2986) over a key that stays in its store.

use std::str::FromStr;

use der::asn1::BitString;
use der::oid::ObjectIdentifier;
use der::{Decode, Encode};
use touchmark_identity::ids::{DeviceId, KeyName};
use touchmark_identity::key::{PublicKey, sha256};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::device::SharedStore;
use crate::error::AgentError;

/// ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Makes the request for `device`: subject `CN=<device>`, no attributes, signed by the key named `key` with ECDSA over
/// the SHA-256 of the `CertificationRequestInfo` (RFC 2986 §4.2). Returns DER.
///
/// # Errors
/// [`AgentError::Store`] when there is no such key or the store does not sign.
pub fn certification_request(
    device: &DeviceId,
    store: &SharedStore,
    key: &KeyName,
) -> Result<Vec<u8>, AgentError> {
    let public = store.with("tell the public key", |store| store.public_key(key))?;
    let encoding = |error: der::Error| AgentError::Internal {
        operation: "encoding a certification request",
        detail: error.to_string(),
    };
    let info = CertReqInfo {
        version: Version::V1,
        // A device id holds no character that RFC 4514 §2.4 would have escaped.
        subject: Name::from_str(&format!("CN={device}")).map_err(encoding)?,
        public_key: SubjectPublicKeyInfoOwned::from_der(&public.spki_der()).map_err(encoding)?,
        attributes: der::asn1::SetOfVec::new(),
    };
    let digest = sha256(&info.to_der().map_err(encoding)?);
    let signature = store.with("sign a certification request", |store| store.sign_digest(key, &digest))?;
    let request = CertReq {
        info,
        // RFC 5758 §3.2: "the encoding MUST omit the parameters field".
        algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
        signature: BitString::from_bytes(&signature).map_err(encoding)?,
    };
    request.to_der().map_err(encoding)
}

/// Whether a request kept from an earlier try still speaks of this device and key.
pub(crate) fn speaks_of(request: &[u8], device: &DeviceId, key: &PublicKey) -> bool {
    let Ok(request) = CertReq::from_der(request) else { return false };
    let named = Name::from_str(&format!("CN={device}")).is_ok_and(|name| name == request.info.subject);
    named && request.info.public_key.to_der().is_ok_and(|der| der == key.spki_der())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testpki::{TestPki, run, software};

    #[test]
    fn openssl_verifies_the_request() {
        let pki = TestPki::new();
        let (store, key) = software(pki.dir());
        let device = DeviceId::new("meter-0001").unwrap();
        let der = certification_request(&device, &store, &key).unwrap();
        let path = pki.dir().join("request.der");
        std::fs::write(&path, &der).unwrap();
        let read = |path: &std::path::Path| {
            run(
                "openssl",
                &["req", "-inform", "DER", "-verify", "-noout", "-subject", "-in", path.to_str().unwrap()],
            )
        };
        let (done, said) = read(&path);
        assert!(done && said.contains("verify OK") && said.contains("CN = meter-0001"), "{said}");

        // One bit of the signature, and the peer refuses: the check above can fail.
        let mut broken = der.clone();
        *broken.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &broken).unwrap();
        let (done, said) = read(&path);
        assert!(!done || said.contains("failure"), "{said}");
    }

    #[test]
    fn a_request_of_another_device_or_key_is_told_apart() {
        let pki = TestPki::new();
        let (store, key) = software(pki.dir());
        let device = DeviceId::new("meter-0001").unwrap();
        let der = certification_request(&device, &store, &key).unwrap();
        let public = store.with("tell", |s| s.public_key(&key)).unwrap();
        let other = store.with("make", |s| s.generate(&KeyName::new("other").unwrap())).unwrap();
        assert!(speaks_of(&der, &device, &public));
        assert!(!speaks_of(&der, &DeviceId::new("meter-0002").unwrap(), &public));
        assert!(!speaks_of(&der, &device, &other));
        for end in 0..der.len() {
            assert!(!speaks_of(&der[..end], &device, &public));
        }
    }
}
