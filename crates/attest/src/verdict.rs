//! From what a device sent to a record: the one function that callers need, and that never fails.
//!
//! Whatever was sent, there is a verdict. A key counts as attested when every check has passed; anything that is missing,
//! damaged, contradictory or below the [`Requirements`](crate::Requirements) leaves a record that grades no better than a key file, and reasons.

use touchmark_identity::assurance::{Basis, KeyAssurance, Storage};
use touchmark_identity::evidence::{Claims, Envelope, Evidence, Nonce};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::timestamp::Timestamp;

use crate::requirements::not_generated;
use crate::tpm::{self, ActivatedAk, Boot, CounterValue};
use crate::{AppraisalError, Appraised, AttestedKey, Policy, element, pkcs11};

/// What an appraisal needs besides what the device sent.
#[derive(Debug)]
pub struct Appraisal<'a> {
    /// The nonce that was asked for.
    pub nonce: &'a Nonce,
    /// Who may vouch for parts, and what parts have to be.
    pub policy: &'a Policy,
    /// The TPM's attestation key, where one was activated; else why not. Other parts do without.
    pub ak: Result<&'a ActivatedAk, String>,
    /// The moment.
    pub at: Timestamp,
}

/// What follows from what a device sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verdict {
    /// The key of which the evidence speaks; none where nothing was proven. Whoever relies on the record compares it with the
    /// key that he has before him.
    pub key: Option<PublicKey>,
    /// The record. Where nothing was proven it says software, declared.
    pub assurance: KeyAssurance,
    /// The endorser whose root the evidence chains to, where something was proven.
    pub endorser: Option<String>,
    /// How the platform started, where a quote that holds came along.
    pub boot: Option<Boot>,
    /// A counter's value, where a statement about one that holds came along.
    pub counter: Option<CounterValue>,
    /// Why the record is not better.
    pub reasons: Vec<AppraisalError>,
}

impl Verdict {
    fn unproven(reason: AppraisalError) -> Self {
        Self {
            key: None,
            assurance: KeyAssurance::declared(Storage::Software),
            endorser: None,
            boot: None,
            counter: None,
            reasons: vec![reason],
        }
    }

    /// True when the record is the result of an appraisal that passed.
    #[must_use]
    pub fn is_attested(&self) -> bool {
        self.assurance.basis == Basis::Attested
    }
}

/// Appraises the bytes of an envelope, of either version. What is in it has to hold, all of it: a statement that does not
/// casts doubt on the ones beside it. What is not in it and the policy asks for lowers the record.
#[must_use]
pub fn judge(envelope: &[u8], appraisal: &Appraisal<'_>) -> Verdict {
    match weigh(envelope, appraisal) {
        Ok(verdict) => verdict,
        Err(reason) => Verdict::unproven(reason),
    }
}

fn weigh(bytes: &[u8], appraisal: &Appraisal<'_>) -> Result<Verdict, AppraisalError> {
    let Appraisal { nonce, policy, at, .. } = *appraisal;
    let envelope = Envelope::from_cbor(bytes)
        .map_err(|cause| AppraisalError::Malformed { what: "the evidence", detail: cause.to_string() })?;
    if let Some(found) = &envelope.nonce
        && found != nonce
    {
        let (expected, found) = (hex::encode(nonce.bytes()), hex::encode(found.bytes()));
        return Err(AppraisalError::NotFresh { expected, found });
    }
    let ak = || match &appraisal.ak {
        Ok(ak) => Ok(*ak),
        Err(why) => Err(AppraisalError::UnknownAk { why: why.clone() }),
    };
    let appraised = match &envelope.key {
        Evidence::Tpm(evidence) => tpm::appraise(evidence, nonce, ak()?, at)?,
        Evidence::Element(evidence) => element::appraise(evidence, nonce, policy, at)?,
        Evidence::BoundRead(evidence) => element::appraise_bound(evidence, nonce, policy, at)?,
        Evidence::Pkcs11(evidence) => pkcs11::appraise(evidence, nonce, policy, at)?,
    };
    let AttestedKey { key, mut assurance, endorser } = appraised.into_value();
    // The certificate and the registry name everything that was sent.
    assurance.evidence_sha256 = Some(sha256(bytes));

    let computed = Claims::of(&envelope.key, envelope.boot.as_ref());
    if let Some(claim) = envelope.claims.contradicts(&computed) {
        return Err(AppraisalError::WrongValue {
            what: "a claim of the evidence",
            expected: format!("{claim} as the signed statement has it"),
            found: "another one".to_owned(),
        });
    }
    if let Some(creation) = &envelope.creation {
        let created = tpm::appraise_creation(creation, nonce, ak()?)?.into_value();
        if created != key {
            return Err(AppraisalError::KeyMismatch {
                what: "the key whose creation is certified",
                expected: key.spki_sha256().to_string(),
                found: created.spki_sha256().to_string(),
            });
        }
    }
    let counter = match &envelope.counter {
        Some(counter) => Some(tpm::appraise_counter(counter, nonce, ak()?).map(Appraised::into_value)?),
        None => None,
    };
    let stated = match &envelope.boot {
        Some(quote) => Some(tpm::read_quote(quote, nonce, ak()?)?),
        None => None,
    };

    let mut reasons = policy.requirements.unmet_by(&assurance);
    if let Some(boot) = &policy.requirements.boot {
        let held = match &stated {
            Some(stated) => stated.hold_against(boot),
            None => Err(AppraisalError::NotMeasured { what: "how the platform started".to_owned() }),
        };
        reasons.extend(held.err());
    }
    if !reasons.is_empty() {
        // What was proven is not what was asked for. The record keeps where the key is said to be, as a claim.
        assurance = KeyAssurance::declared(assurance.storage);
    } else {
        reasons.extend(not_generated(assurance.provenance));
    }
    Ok(Verdict {
        key: Some(key),
        assurance,
        endorser: Some(endorser),
        boot: stated.map(|stated| stated.boot),
        counter,
        reasons,
    })
}

#[cfg(test)]
mod tests;
