//! Quotes, certified counters and creations, and secrets that are sealed to the state of the platform.
//!
//! Three ways to seal: to this TPM alone, to PCR values, or to whatever an approver signs. With the third a secret
//! outlives an update of the firmware: who makes the update signs the policy digest of the new values
//! (`TPM2_PolicyAuthorize`, part 3, §23.16), and neither the secret nor the device is touched. Each of them may also ask
//! for an authorisation value.

use serde::{Deserialize, Serialize};
use touchmark_identity::evidence::Nonce;
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::tpm::policy::{Policy, approval, pcr_digest};
use touchmark_identity::tpm::proof::{CertifiedCounter, CertifiedCreation, PcrList, PcrValue, Quote};
use touchmark_identity::tpm::{
    AlgorithmId, Attest, Attested, CurveId, Handle, KeyParameters, Name, ObjectAttributes, PublicArea,
    ResponseCode, TpmFormatError, TpmSignature,
};
use zeroize::Zeroizing;

use super::command::{self, Authorisation, PART};
use super::connection::Connection;
use super::names::Place;
use super::session::Kind as SessionKind;
use super::store::{self, TpmStore};
use super::template;
use crate::StoreError;
use crate::kind::Kind;

/// The most bytes that can be sealed (`MAX_SYM_DATA`, part 2, §11.1.15).
pub const MAX_SEALED_BYTES: usize = 128;
/// The longest authorisation value, in bytes: a digest of the sealed object's hash algorithm.
const MAX_AUTH_VALUE_BYTES: usize = 32;
/// The longest reference of an approver, in bytes (`TPM2B_NONCE`).
const MAX_REFERENCE_BYTES: usize = 32;
/// How often PCRs are quoted anew when they change between the quote and the reading.
const QUOTE_TRIES: usize = 3;

/// Measurements of the platform's start, and secrets that depend on them.
pub trait Measured {
    /// The values of PCRs, signed by the attestation key over a nonce of the Verifier's. Its event log is empty: the log
    /// is the host's, not the TPM's.
    ///
    /// # Errors
    /// [`StoreError`] when the part cannot be asked.
    fn quote(&mut self, pcrs: &PcrList, nonce: &Nonce) -> Result<Quote, StoreError>;

    /// `TPM2_NV_Certify` of a counter: its value, signed by the attestation key over a nonce of the Verifier's.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] before the first increment.
    fn certify_counter(
        &mut self,
        counter: &CounterName,
        nonce: &Nonce,
    ) -> Result<CertifiedCounter, StoreError>;

    /// Generates a key as [`crate::KeyStore::generate`] does, with the TPM's word that it made the key itself
    /// (`TPM2_CertifyCreation`). Only the moment of the creation can give it.
    ///
    /// # Errors
    /// As for [`crate::KeyStore::generate`].
    fn generate_certified(
        &mut self,
        key: &KeyName,
        nonce: &Nonce,
    ) -> Result<(PublicKey, CertifiedCreation), StoreError>;

    /// Seals up to 128 bytes.
    ///
    /// # Errors
    /// [`StoreError::Exhausted`] for more bytes than can be sealed.
    fn seal(&mut self, secret: &[u8], terms: &Terms<'_>) -> Result<Sealed, StoreError>;

    /// Gives back what was sealed. `approval` is the approver's signature over the state of now, DER.
    ///
    /// # Errors
    /// [`StoreError::NotInState`] when the platform is not in the state that the terms ask for, and nobody approved of
    /// the one it is in; [`StoreError::WrongSecret`] for another authorisation value.
    fn unseal(
        &mut self,
        sealed: &Sealed,
        auth_value: &[u8],
        approval: Option<&[u8]>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError>;
}

/// On which terms a secret is given back.
#[derive(Debug, Clone, Default)]
pub struct Terms<'a> {
    /// The PCRs that count; without them the secret is bound to this TPM alone.
    pub pcrs: Option<PcrList>,
    /// The values that they must have; empty for those that they have now.
    pub values: &'a [PcrValue],
    /// Whose signature may approve of further values. Then the ones of now need an approval as well.
    pub approver: Option<&'a PublicKey>,
    /// What the approver signs along, up to 32 bytes: so that one key can approve for several purposes.
    pub reference: &'a [u8],
    /// A value that has to be known as well, up to 32 bytes; it is never sent in the clear. Empty for none.
    pub auth_value: &'a [u8],
}

/// A sealed secret. Of use in the TPM that made it alone; not secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// `touchmark.sealed/1`.
    pub schema: String,
    /// `TPMT_PUBLIC`.
    #[serde(with = "hex::serde")]
    pub public: Vec<u8>,
    /// `TPM2B_PRIVATE` without its size.
    #[serde(with = "hex::serde")]
    pub private: Vec<u8>,
    /// The PCRs that count.
    pub pcrs: Option<PcrList>,
    /// `TPMT_PUBLIC` of the approver's key; empty where nobody approves.
    #[serde(with = "hex::serde")]
    pub approver: Vec<u8>,
    /// The approver's reference.
    #[serde(with = "hex::serde")]
    pub reference: Vec<u8>,
    /// Whether an authorisation value is needed.
    pub auth_value: bool,
}

impl Sealed {
    /// The name of this form.
    pub const SCHEMA: &'static str = "touchmark.sealed/1";
}

/// The policy digest for PCR values: what an approver signs, in front of his reference, with ECDSA and SHA-256.
///
/// # Errors
/// [`TpmFormatError::Value`] when a value is missing or of another length than its bank's digests.
pub fn state_policy(pcrs: &PcrList, values: &[PcrValue]) -> Result<Policy, TpmFormatError> {
    let digest_bytes = touchmark_identity::tpm::hash(pcrs.bank.algorithm(), &[])?.len();
    let mut selected = Vec::new();
    for register in pcrs.registers() {
        let value = values.iter().find(|value| value.bank == pcrs.bank && value.pcr == *register);
        match value {
            Some(value) if value.value.len() == digest_bytes => selected.push(value.value.as_slice()),
            _ => {
                return Err(TpmFormatError::Value {
                    what: "PCR value",
                    expected: format!("{digest_bytes} bytes for PCR {register} of {}", pcrs.bank),
                    found: value.map_or_else(|| "none".to_owned(), |value| value.value.len().to_string()),
                });
            }
        }
    }
    let digest = pcr_digest(AlgorithmId::SHA256, selected)?;
    Policy::new(AlgorithmId::SHA256)?.pcr(&[pcrs.selection()], &digest)
}

/// An approver's key as the TPM loads it: a public key that signs.
pub(super) fn approver_public(key: &PublicKey) -> PublicArea {
    let (x, y) = key.point().split_at(33);
    PublicArea {
        name_alg: AlgorithmId::SHA256,
        attributes: ObjectAttributes::USER_WITH_AUTH | ObjectAttributes::SIGN | ObjectAttributes::DECRYPT,
        auth_policy: Vec::new(),
        key: KeyParameters::Ecc {
            symmetric: None,
            scheme: None,
            curve: CurveId::NIST_P256,
            kdf: None,
            x: x.iter().skip(1).copied().collect(),
            y: y.to_vec(),
        },
    }
}

fn unwritable(cause: &TpmFormatError) -> StoreError {
    command::unsendable(command::CREATE, cause)
}

fn limited(what: &'static str, bytes: &[u8], limit: usize) -> Result<(), StoreError> {
    if bytes.len() <= limit {
        return Ok(());
    }
    Err(StoreError::Exhausted {
        what,
        detail: format!("{} bytes are over the limit of {limit}", bytes.len()),
    })
}

/// The values of PCRs as they are now. Nothing proves them.
fn read_values(tpm: &mut Connection, pcrs: &PcrList) -> Result<Vec<PcrValue>, StoreError> {
    let values = tpm.pcr_read(&pcrs.selection())?;
    Ok(values.into_iter().map(|(pcr, value)| PcrValue { bank: pcrs.bank, pcr, value }).collect())
}

impl Measured for TpmStore {
    fn certify_counter(
        &mut self,
        counter: &CounterName,
        nonce: &Nonce,
    ) -> Result<CertifiedCounter, StoreError> {
        let place = Place::of(Kind::Counter, counter.as_str());
        let mut tpm = self.connect()?;
        let public = store::find_index(&mut tpm, &place)?.ok_or_else(|| place.not_found())?;
        let (ak, ak_public) = store::attestation_key(&mut tpm)?;
        let (statement, signature) =
            tpm.nv_certify(ak, &public, nonce.bytes())?.ok_or_else(|| place.not_found())?;
        Ok(CertifiedCounter {
            ak_public: store::public_bytes(&ak_public)?,
            nv_public: public
                .to_bytes()
                .map_err(|cause| command::malformed(command::NV_READ_PUBLIC, &cause))?,
            statement,
            signature,
        })
    }

    fn generate_certified(
        &mut self,
        key: &KeyName,
        nonce: &Nonce,
    ) -> Result<(PublicKey, CertifiedCreation), StoreError> {
        let place = Place::of(Kind::Key, key.as_str());
        let mut tpm = self.connect()?;
        let (object, created, public) = store::create_key(&mut tpm, &place)?;
        let (ak, ak_public) = store::attestation_key(&mut tpm)?;
        let (statement, signature) =
            tpm.certify_creation(ak, object, nonce.bytes(), &created.creation_hash, &created.ticket)?;
        tpm.flush(ak)?;
        let public_key = store::p256(command::CREATE, &public)?;
        let proof = CertifiedCreation {
            ak_public: store::public_bytes(&ak_public)?,
            key_public: created.public,
            creation_data: created.creation_data,
            statement,
            signature,
        };
        store::keep_key(&mut tpm, object, &place)?;
        Ok((public_key, proof))
    }

    fn quote(&mut self, pcrs: &PcrList, nonce: &Nonce) -> Result<Quote, StoreError> {
        let spec = command::QUOTE;
        let mut tpm = self.connect()?;
        let (ak, ak_public) = store::attestation_key(&mut tpm)?;
        for _ in 0..QUOTE_TRIES {
            let (statement, signature) = tpm.quote(ak, nonce.bytes(), &pcrs.selection())?;
            let values = read_values(&mut tpm, pcrs)?;
            let malformed = |cause: TpmFormatError| command::malformed(spec, &cause);
            let Attested::Quote { selection, pcr_digest: quoted } =
                Attest::from_bytes(&statement).map_err(malformed)?.attested
            else {
                continue;
            };
            let hash = TpmSignature::from_bytes(&signature).map_err(malformed)?.hash();
            let read =
                pcr_digest(hash, values.iter().map(|value| value.value.as_slice())).map_err(malformed)?;
            if quoted == read && selection == [pcrs.selection()] {
                let ak_public = store::public_bytes(&ak_public)?;
                let schema = Quote::SCHEMA.to_owned();
                return Ok(Quote {
                    schema,
                    ak_public,
                    statement,
                    signature,
                    pcrs: values,
                    event_log: Vec::new(),
                });
            }
        }
        Err(StoreError::Malformed {
            part: PART,
            command: spec.name,
            detail: format!("the values read of {pcrs} are not those quoted, {QUOTE_TRIES} times"),
        })
    }

    fn seal(&mut self, secret: &[u8], terms: &Terms<'_>) -> Result<Sealed, StoreError> {
        limited("room for a sealed secret", secret, MAX_SEALED_BYTES)?;
        limited("room for an authorisation value", terms.auth_value, MAX_AUTH_VALUE_BYTES)?;
        limited("room for an approver's reference", terms.reference, MAX_REFERENCE_BYTES)?;
        let mut tpm = self.connect()?;
        let approver = terms.approver.map(approver_public);
        let mut policy = Policy::new(AlgorithmId::SHA256).map_err(|cause| unwritable(&cause))?;
        match (&terms.pcrs, &approver) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(StoreError::NotInState {
                    detail: "an approver approves of PCR values; say which PCRs count".to_owned(),
                });
            }
            (Some(_), Some(approver)) => {
                let name = approver.name().map_err(|cause| unwritable(&cause))?;
                policy = policy.authorize(&name, terms.reference).map_err(|cause| unwritable(&cause))?;
            }
            (Some(pcrs), None) => {
                let now = if terms.values.is_empty() { read_values(&mut tpm, pcrs)? } else { Vec::new() };
                let values = if terms.values.is_empty() { &now } else { terms.values };
                policy = state_policy(pcrs, values).map_err(|cause| unwritable(&cause))?;
            }
        }
        let by_policy = terms.pcrs.is_some();
        if by_policy && !terms.auth_value.is_empty() {
            policy = policy.auth_value().map_err(|cause| unwritable(&cause))?;
        }
        let digest = if by_policy { policy.digest().to_vec() } else { Vec::new() };
        let template = template::sealed(digest, terms.auth_value.is_empty());
        let (parent, _) = tpm.create_primary(Handle::OWNER, &template::storage_primary())?;
        let created = tpm.create(parent, &template, terms.auth_value, secret)?;
        let approver = match approver {
            Some(approver) => approver.to_bytes().map_err(|cause| unwritable(&cause))?,
            None => Vec::new(),
        };
        Ok(Sealed {
            schema: Sealed::SCHEMA.to_owned(),
            public: created.public,
            private: created.private,
            pcrs: terms.pcrs.clone(),
            approver,
            reference: terms.reference.to_vec(),
            auth_value: !terms.auth_value.is_empty(),
        })
    }

    fn unseal(
        &mut self,
        sealed: &Sealed,
        auth_value: &[u8],
        approval: Option<&[u8]>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        if sealed.auth_value == auth_value.is_empty() {
            return Err(StoreError::WrongSecret { store: "the sealed object".to_owned() });
        }
        let mut tpm = self.connect()?;
        let (parent, _) = tpm.create_primary(Handle::OWNER, &template::storage_primary())?;
        let object = tpm.load(parent, &sealed.private, &sealed.public)?;
        tpm.flush(parent)?;
        let authorisation = match &sealed.pcrs {
            None if auth_value.is_empty() => tpm.secured()?,
            None => {
                // Bound: the value enters the key of the session.
                let bound = Some((object, auth_value));
                let session = tpm.start_session(SessionKind::Hmac, AlgorithmId::SHA256, bound)?;
                Authorisation::Session { session, auth_value }
            }
            Some(pcrs) => {
                let session = present_state(&mut tpm, sealed, pcrs, approval)?;
                Authorisation::Session { session, auth_value }
            }
        };
        tpm.unseal(object, authorisation).map_err(|refused| match refused {
            StoreError::Refused { code, .. }
                if matches!(
                    ResponseCode(code).kind(),
                    ResponseCode::POLICY_FAIL | ResponseCode::PCR_CHANGED
                ) =>
            {
                StoreError::NotInState { detail: "the PCRs are not those that it was sealed to".to_owned() }
            }
            other => other,
        })
    }
}

/// A policy session that went the way of the sealed object's policy, as far as the platform's state allows.
fn present_state(
    tpm: &mut Connection,
    sealed: &Sealed,
    pcrs: &PcrList,
    approved: Option<&[u8]>,
) -> Result<Handle, StoreError> {
    let kind = SessionKind::Policy { auth_value: false };
    let session = tpm.start_session(kind, AlgorithmId::SHA256, None)?;
    tpm.policy_pcr(session, &pcrs.selection())?;
    if !sealed.approver.is_empty() {
        let approver = PublicArea::from_bytes(&sealed.approver)
            .map_err(|cause| command::malformed(command::LOAD_EXTERNAL, &cause))?;
        let digest = tpm.policy_digest(session)?;
        let Some(signature) = approved else {
            return Err(StoreError::NotInState {
                detail: format!(
                    "its approver has to sign the state of now, with the policy digest {}",
                    hex::encode(&digest)
                ),
            });
        };
        let signature = TpmSignature::from_ecdsa_der(AlgorithmId::SHA256, signature)
            .map_err(|cause| command::unsendable(command::VERIFY_SIGNATURE, &cause))?;
        let signed = sha256(&self::approval(&digest, &sealed.reference));
        let (key, name): (Handle, Name) = tpm.load_external(&approver)?;
        let ticket = tpm.verify_signature(key, &signed, &signature).map_err(|refused| match refused {
            StoreError::Refused { code, .. } if ResponseCode(code).kind() == ResponseCode::SIGNATURE => {
                StoreError::NotInState {
                    detail: format!(
                        "the approval given is for another state, or not by its approver; the policy digest of now is {}",
                        hex::encode(&digest)
                    ),
                }
            }
            other => other,
        })?;
        tpm.flush(key)?;
        tpm.policy_authorize(session, &digest, &sealed.reference, &name, &ticket)?;
    }
    if sealed.auth_value {
        tpm.policy_auth_value(session)?;
    }
    Ok(session)
}
