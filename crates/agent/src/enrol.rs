//! Enrolment: from nothing to a certificate whose assurance the authority has graded.
//!
//! 1. The key: generated in the store, or the one that is there from an earlier try.
//! 2. `begin`: what the store claims, and a TPM's endorsement; the authority answers with a nonce and, for an accepted
//!    endorsement, a challenge that only that TPM can open (TCG TPM 2.0 Library part 1, §24).
//! 3. Evidence about the key over the nonce, where the store can give it. A store that claims hardware and cannot
//!    attest goes on without evidence: it is for the authority to grade a claim as a claim.
//! 4. `complete`: certification request, evidence, opened challenge. The authority consumes the one-time token.
//! 5. The certificate is checked to be for this key and this device, and kept.
//!
//! Power may fail at any point. The request of step 4 is kept before it is sent and repeated as it was, since ECDSA
//! signatures differ from one another and the authority recognises a repetition by its bytes.

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use touchmark_identity::assurance::{Grade, KEY_ASSURANCE_OID, KeyAssurance, Storage};
use touchmark_identity::evidence::{Envelope, Nonce};
use touchmark_identity::ids::{DeviceId, DeviceType};
use touchmark_identity::key::{PublicKey, SpkiHash};
use touchmark_keystore::{CredentialChallenge, EndorsementIdentity, StoreError};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::config::AgentConfig;
use crate::csr;
use crate::device::{Device, Record};
use crate::error::{AgentError, quoted};
use crate::http::{Client, Response};
use crate::secret::{self, Private};
use crate::tls::{self, Chain};

const BEGIN: &str = "/touchmark/v1/enrol/begin";
const COMPLETE: &str = "/touchmark/v1/enrol/complete";
const BEGIN_SCHEMA: &str = "touchmark.enrol-begin/1";
const ENROLLED_SCHEMA: &str = "touchmark.enrolled/1";
const ERROR_SCHEMA: &str = "touchmark.error/1";

/// What an enrolment came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Enrolment {
    /// `touchmark.enrolment/1`.
    pub schema: &'static str,
    /// The device.
    pub device: DeviceId,
    /// SHA-256 of the key's `SubjectPublicKeyInfo`.
    pub key: SpkiHash,
    /// True when the device had a certificate for its key, and nothing was done.
    pub already: bool,
    /// What the authority has graded; absent when the certificate does not say so.
    pub assurance: Option<KeyAssurance>,
    /// The grade, as the authority worded it or, for an older certificate, as the record in it gives it.
    pub grade: Option<Grade>,
    /// Why a claim was not proven: the authority's reasons, and what this side could not give.
    pub reasons: Vec<String>,
}

#[derive(Serialize)]
struct Begin<'a> {
    claims: Storage,
    device_type: &'a DeviceType,
    endorsement: Option<Endorsement>,
}

#[derive(Serialize)]
struct Endorsement {
    ek_certificate: String,
    ek_chain: Vec<String>,
    ek_public: String,
    ak_public: String,
}

impl From<EndorsementIdentity> for Endorsement {
    fn from(identity: EndorsementIdentity) -> Self {
        Self {
            ek_certificate: hex::encode(identity.ek_certificate),
            ek_chain: identity.ek_chain.iter().map(hex::encode).collect(),
            ek_public: hex::encode(identity.ek_public),
            ak_public: hex::encode(identity.ak_public),
        }
    }
}

#[derive(Deserialize)]
struct Begun {
    schema: String,
    session: String,
    #[serde(with = "hex::serde")]
    nonce: Vec<u8>,
    #[serde(default)]
    challenge: Option<CredentialChallenge>,
    #[serde(default)]
    refusal: Option<String>,
}

/// The body of `complete`, and the record that outlives a power loss.
#[derive(Serialize, Deserialize)]
struct Complete {
    session: String,
    csr: String,
    evidence: Option<String>,
    #[serde(serialize_with = "Private::write", deserialize_with = "Private::read")]
    activated_secret: Option<Private>,
}

#[derive(Deserialize)]
struct Enrolled {
    schema: String,
    certificate: String,
    chain: String,
    assurance: KeyAssurance,
    grade: Grade,
    #[serde(default)]
    reasons: Vec<String>,
}

#[derive(Deserialize)]
struct ServerError {
    schema: String,
    code: String,
    message: String,
    #[serde(default)]
    hint: Option<String>,
}

/// Enrols a device, or finishes an enrolment that was interrupted. A device that has a certificate for its key is left
/// as it is.
///
/// # Errors
/// [`AgentError::Refused`] with the server's own code when the authority refuses; [`AgentError::Drift`] when there is a
/// certificate for another key than the store's, in which case nothing is changed; [`AgentError::Protocol`] when the
/// authority's answer is not for this key and device; and the errors of key store, files and transport.
pub async fn enrol(
    config: &AgentConfig,
    device: &mut Device,
    clock: &Arc<dyn Clock>,
) -> Result<Enrolment, AgentError> {
    let key = own_key(config, device)?;
    if let Some(pem) = device.read(Record::Certificate)? {
        let chain = Chain::read(&pem, &device.place_of(Record::Certificate))?;
        chain.must_be_for(&key, &config.key)?;
        return Ok(existing(config, &key, &chain));
    }
    let roots = tls::trust_anchors(&config.trust_anchors)?;
    let client = Client::new(config.server.clone(), tls::server_only(roots, clock)?, config.bind_address);
    let authorization = authorization(config)?;
    let kept = kept_request(config, device, &key)?;
    let mut csr = None;
    if let Some(kept) = kept {
        let answer = client.post_json(COMPLETE, Some(&authorization), &to_json(&kept)?).await?;
        // A session ends with its time or with the server; the certification request stays good for another one.
        if !StatusCode::from_u16(answer.status).is_ok_and(|status| status.is_client_error()) {
            return finish(config, device, &client, &key, &answer, Vec::new());
        }
        csr = Some(kept.csr);
    }
    let mut notes = Vec::new();
    let claims = match config.claims {
        Some(claims) => claims,
        None => device.store().with("say what it is", |store| store.info())?.storage,
    };
    let begin = Begin {
        claims,
        device_type: &config.device_type,
        endorsement: endorsement(claims, device, &mut notes)?,
    };
    let answer = client.post_json(BEGIN, Some(&authorization), &to_json(&begin)?).await?;
    let begun: Begun = accepted(&client, "enrol/begin", &answer)?;
    let complete = attested(config, device, &client, &key, begun, csr, &mut notes)?;
    let body = to_json(&complete)?;
    device.write(Record::Enrolment, &body)?;
    let answer = client.post_json(COMPLETE, Some(&authorization), &body).await?;
    finish(config, device, &client, &key, &answer, notes)
}

fn own_key(config: &AgentConfig, device: &Device) -> Result<PublicKey, AgentError> {
    device.store().with("make the key", |store| match store.public_key(&config.key) {
        Err(StoreError::NotFound { .. }) => store.generate(&config.key),
        found => found,
    })
}

fn existing(config: &AgentConfig, key: &PublicKey, chain: &Chain) -> Enrolment {
    let extensions = chain.device().and_then(|certificate| certificate.tbs_certificate.extensions.as_deref());
    let assurance = extensions
        .unwrap_or_default()
        .iter()
        .find(|extension| extension.extn_id == KEY_ASSURANCE_OID)
        .and_then(|extension| KeyAssurance::from_der(extension.extn_value.as_bytes()).ok());
    Enrolment {
        schema: "touchmark.enrolment/1",
        device: config.device.clone(),
        key: key.spki_sha256(),
        already: true,
        grade: assurance.as_ref().map(KeyAssurance::grade),
        assurance,
        reasons: Vec::new(),
    }
}

/// RFC 7617 §2: user-id and password, parted by a colon, in Base64. A device id holds no colon.
fn authorization(config: &AgentConfig) -> Result<Private, AgentError> {
    let Some(path) = &config.enrol_token_file else {
        return Err(AgentError::Config {
            path: format!("of device {}", config.device),
            detail: "enrolling needs enrol_token_file, a file that holds the one-time token".to_owned(),
        });
    };
    let token = secret::read_file(path)?;
    let mut pair = Zeroizing::new(Vec::with_capacity(config.device.as_str().len() + 1 + token.len()));
    pair.extend_from_slice(config.device.as_str().as_bytes());
    pair.push(b':');
    pair.extend_from_slice(&token);
    let encoded = Zeroizing::new(Base64::encode_string(&pair));
    Ok(Private::new(["Basic ", &encoded].concat()))
}

/// The request of an earlier try, when it is for the key and the device of today.
fn kept_request(
    config: &AgentConfig,
    device: &mut Device,
    key: &PublicKey,
) -> Result<Option<Complete>, AgentError> {
    let Some(bytes) = device.read(Record::Enrolment)?.map(Zeroizing::new) else { return Ok(None) };
    let kept: Complete = serde_json::from_slice(&bytes).map_err(|error| AgentError::Corrupt {
        place: device.place_of(Record::Enrolment),
        detail: error.to_string(),
    })?;
    let same = hex::decode(&kept.csr).is_ok_and(|csr| csr::speaks_of(&csr, &config.device, key));
    Ok(same.then_some(kept))
}

fn endorsement(
    claims: Storage,
    device: &Device,
    notes: &mut Vec<String>,
) -> Result<Option<Endorsement>, AgentError> {
    if claims != Storage::Tpm {
        return Ok(None);
    }
    let found = device.store().with("tell its endorsement", |store| {
        let Some(tpm) = store.activate_credential() else {
            return Ok(Err("this store is no TPM".to_owned()));
        };
        match tpm.endorsement_identity() {
            Ok(identity) => Ok(Ok(identity)),
            Err(error @ StoreError::NotFound { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    })?;
    match found {
        Ok(identity) => Ok(Some(identity.into())),
        Err(why) => {
            notes.push(format!("the device sent no endorsement: {why}"));
            Ok(None)
        }
    }
}

fn attested(
    config: &AgentConfig,
    device: &Device,
    client: &Client,
    key: &PublicKey,
    begun: Begun,
    csr: Option<String>,
    notes: &mut Vec<String>,
) -> Result<Complete, AgentError> {
    let malformed =
        |detail: String| AgentError::Protocol { address: client.address(), what: "enrol/begin", detail };
    must_be(&begun.schema, BEGIN_SCHEMA).map_err(malformed)?;
    let nonce = Nonce::new(&begun.nonce).map_err(|error| malformed(error.to_string()))?;
    if let Some(refusal) = &begun.refusal {
        notes.push(format!("the authority did not accept the endorsement: {}", quoted(refusal)));
    }
    let activated_secret = match &begun.challenge {
        None => None,
        Some(challenge) => {
            let opened = device.store().with("open the authority's challenge", |store| {
                store
                    .activate_credential()
                    .ok_or(StoreError::NoCapability { capability: "activate a credential" })?
                    .activate(challenge)
            })?;
            Some(Private::new(hex::encode(&*opened)))
        }
    };
    let attested = device.store().with("attest the key", |store| {
        match store.attest().map(|attest| attest.attest(&config.key, &nonce)).transpose() {
            // The store can attest, and has nothing to say of this key.
            Err(StoreError::NoCapability { .. }) => Ok(None),
            attested => attested,
        }
    })?;
    let evidence = match attested {
        None => {
            notes.push("the key store cannot attest its keys, so the device sent no evidence".to_owned());
            None
        }
        Some(attested) if attested.key == *key => {
            Some(hex::encode(Envelope::new(&nonce, attested.evidence).to_cbor()))
        }
        Some(attested) => {
            return Err(AgentError::Store {
                action: "attest the key",
                source: StoreError::Malformed {
                    part: "the key store",
                    command: "attest",
                    detail: format!(
                        "evidence is for key {}, the key is {}",
                        attested.key.spki_sha256(),
                        key.spki_sha256()
                    ),
                },
            });
        }
    };
    let csr = match csr {
        Some(csr) => csr,
        None => hex::encode(csr::certification_request(&config.device, device.store(), &config.key)?),
    };
    Ok(Complete { session: begun.session, csr, evidence, activated_secret })
}

fn finish(
    config: &AgentConfig,
    device: &mut Device,
    client: &Client,
    key: &PublicKey,
    answer: &Response,
    notes: Vec<String>,
) -> Result<Enrolment, AgentError> {
    let malformed =
        |detail: String| AgentError::Protocol { address: client.address(), what: "enrol/complete", detail };
    let enrolled: Enrolled = accepted(client, "enrol/complete", answer)?;
    must_be(&enrolled.schema, ENROLLED_SCHEMA).map_err(malformed)?;
    let pem = format!("{}\n{}", enrolled.certificate.trim(), enrolled.chain.trim_start());
    let chain =
        Chain::read(pem.as_bytes(), "the certificate").map_err(|error| malformed(error.to_string()))?;
    if chain.public() != key {
        return Err(malformed(format!(
            "the certificate is for key {}, the request was for {}",
            chain.public().spki_sha256(),
            key.spki_sha256()
        )));
    }
    let named = chain.device().map(common_names).unwrap_or_default();
    if named != [config.device.as_str()] {
        return Err(malformed(format!("the certificate names {named:?}, the device is {}", config.device)));
    }
    device.write(Record::Certificate, pem.as_bytes())?;
    device.write(Record::Enrolment, b"")?;
    Ok(Enrolment {
        schema: "touchmark.enrolment/1",
        device: config.device.clone(),
        key: key.spki_sha256(),
        already: false,
        assurance: Some(enrolled.assurance),
        grade: Some(enrolled.grade),
        reasons: enrolled.reasons.iter().take(20).map(|reason| quoted(reason)).chain(notes).collect(),
    })
}

/// Every common name in the subject, as text.
fn common_names(certificate: &x509_cert::Certificate) -> Vec<String> {
    let parts = certificate.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
    parts
        .filter(|part| part.oid == der::oid::db::rfc4519::COMMON_NAME)
        .map(|part| String::from_utf8_lossy(part.value.value()).into_owned())
        .collect()
}

/// The content of a 200 answer; any other status is the server's refusal.
pub(crate) fn accepted<'a, T: Deserialize<'a>>(
    client: &Client,
    what: &'static str,
    answer: &'a Response,
) -> Result<T, AgentError> {
    if answer.status == 200 {
        return serde_json::from_slice(&answer.body).map_err(|error| AgentError::Protocol {
            address: client.address(),
            what,
            detail: error.to_string(),
        });
    }
    let told =
        serde_json::from_slice::<ServerError>(&answer.body).ok().filter(|told| told.schema == ERROR_SCHEMA);
    let (server_code, said) = match told {
        Some(told) => {
            let hint = told.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            (Some(quoted(&told.code)), quoted(&format!("{} {}{hint}", told.code, told.message)))
        }
        // nginx explains itself in HTML.
        None => (None, quoted(&without_tags(&String::from_utf8_lossy(&answer.body)))),
    };
    Err(AgentError::Refused { address: client.address(), what, status: answer.status, server_code, said })
}

fn without_tags(html: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for c in html.chars().take(4096) {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            c if !inside => text.push(if c.is_whitespace() { ' ' } else { c }),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(crate) fn must_be(found: &str, schema: &str) -> Result<(), String> {
    if found == schema { Ok(()) } else { Err(format!("schema is {:?}, not {schema:?}", quoted(found))) }
}

fn to_json<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, AgentError> {
    serde_json::to_vec(value)
        .map(Zeroizing::new)
        .map_err(|error| AgentError::Internal { operation: "writing JSON", detail: error.to_string() })
}

#[cfg(test)]
mod tests;
