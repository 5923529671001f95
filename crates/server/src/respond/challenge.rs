//! Judging an instance's answer to a challenge.

use serde::{Deserialize, Serialize};
use touchmark_attest::tpm::{ActivatedAk, trust_ak_name};
use touchmark_attest::{Appraisal, judge as judge_evidence};
use touchmark_authority::AuthorityError;
use touchmark_authority::registry::KeyRecord;
use touchmark_identity::assurance::Basis;
use touchmark_identity::challenge::{NONCE_BYTES, signed_bytes};
use touchmark_identity::evidence::{Envelope, Evidence, Nonce};
use touchmark_identity::key::PublicKey;
use touchmark_identity::text::printable;
use touchmark_identity::timestamp::Timestamp;
use touchmark_identity::tpm::PublicArea;
use touchmark_monitor::respond::Verdict;

use super::orders::Question;
use crate::app::App;
use crate::error::ServerError;

/// A challenge in an answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeBody {
    /// What to sign, 64 hex digits.
    pub nonce: String,
    /// Whether evidence over the nonce is asked for, where the key store can give it.
    pub evidence: bool,
}

impl From<Question> for ChallengeBody {
    fn from(question: Question) -> Self {
        Self { nonce: hex::encode(question.nonce), evidence: question.evidence }
    }
}

/// What an instance sends for it.
#[derive(Debug, Deserialize)]
pub struct AnswerBody {
    /// The nonce.
    #[serde(with = "hex::serde")]
    pub nonce: [u8; NONCE_BYTES],
    /// ECDSA over [`signed_bytes`], DER, in hex.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
    /// Evidence over the nonce in its CBOR envelope, in hex.
    #[serde(default)]
    pub evidence: Option<String>,
}

/// Judges an answer by the key of the certificate with which it came. Returns the verdict, and why.
///
/// # Errors
/// [`ServerError::Authority`] when the registry refuses.
pub fn judge(
    app: &App,
    key: &PublicKey,
    answer: &AnswerBody,
    now: Timestamp,
) -> Result<(Verdict, String), ServerError> {
    if key.verify(&signed_bytes(&answer.nonce), &answer.signature).is_err() {
        return Ok((Verdict::Failed, "the signature is not by the certificate's key".to_owned()));
    }
    let Some(evidence) = &answer.evidence else {
        return Ok((Verdict::SignatureOnly, "it came without evidence".to_owned()));
    };
    let (evidence, nonce) = match read(evidence).and_then(|evidence| Ok((evidence, nonce(&answer.nonce)?))) {
        Ok(both) => both,
        Err(why) => return Ok((Verdict::Failed, printable(&why, 500))),
    };
    let judged = {
        let mut authority = app.authority();
        let record = authority.registry().key(&key.spki_sha256()).map_err(AuthorityError::from)?;
        let ak = enrolled_ak(record.as_ref());
        let ak = ak.as_ref().map_err(Clone::clone);
        judge_evidence(&evidence, &Appraisal { nonce: &nonce, policy: authority.verifier(), ak, at: now })
    };
    Ok(match &judged.key {
        Some(attested) if attested != key => {
            let (found, expected) = (attested.spki_sha256(), key.spki_sha256());
            (Verdict::Failed, format!("the evidence speaks of key {found}, the certificate of {expected}"))
        }
        Some(_) if judged.is_attested() => {
            let digest = judged.assurance.evidence_sha256.map(hex::encode).unwrap_or_default();
            let endorser = judged.endorser.unwrap_or_default();
            let summary = judged.assurance.summary();
            (Verdict::Attested, format!("{summary}, endorsed by {endorser}; evidence {digest}"))
        }
        _ => {
            let reasons: Vec<String> = judged.reasons.iter().map(|reason| explain(reason)).collect();
            (Verdict::Failed, printable(&reasons.join("; "), 500))
        }
    })
}

fn read(evidence: &str) -> Result<Vec<u8>, String> {
    hex::decode(evidence).map_err(|error| format!("the evidence is not written in hex: {error}"))
}

fn nonce(bytes: &[u8]) -> Result<Nonce, String> {
    Nonce::new(bytes).map_err(|error| error.to_string())
}

/// A TPM's attestation key was activated when the device enrolled, and the evidence of that day names it: the same one
/// speaks for the same TPM, so that no second dialogue is needed.
fn enrolled_ak(record: Option<&KeyRecord>) -> Result<ActivatedAk, String> {
    let proven = record.filter(|record| record.assurance.basis == Basis::Attested);
    let enrolled = proven.and_then(|record| Envelope::from_cbor(record.evidence.as_deref()?).ok());
    let Some(Evidence::Tpm(enrolled)) = enrolled.map(|envelope| envelope.key) else {
        return Err("the device enrolled without a TPM's evidence, so no attestation key is known".to_owned());
    };
    let name = PublicArea::from_bytes(&enrolled.ak_public)
        .and_then(|public| public.name())
        .map_err(|error| error.to_string())?;
    Ok(trust_ak_name(&name.0))
}

/// An error with its causes, in one line.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
