//! Answering a challenge: a signature over the server's nonce, and the part's own statement where it can give one.
//!
//! Nothing is remembered: as long as the server has no answer it asks with each heartbeat, and the first answer counts
//! there. A challenge that cannot be answered is reported, and the device goes on.

use serde::{Deserialize, Serialize};
use touchmark_identity::challenge::signed_bytes;
use touchmark_identity::evidence::{Envelope, Nonce};
use touchmark_identity::key::sha256;
use touchmark_keystore::StoreError;

use super::AgentEvent;
use crate::config::AgentConfig;
use crate::device::Device;
use crate::enrol::{accepted, must_be};
use crate::error::{AgentError, quoted};
use crate::heartbeat::Challenge;
use crate::http::{Client, Response};

const CHALLENGE: &str = "/v1/challenge";
const VERDICT_SCHEMA: &str = "touchmark.challenge-verdict/1";

#[derive(Serialize)]
struct Answer {
    nonce: String,
    signature: String,
    evidence: Option<String>,
}

#[derive(Deserialize)]
struct Verdict {
    schema: String,
    verdict: String,
    says: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    challenge: Option<Challenge>,
}

/// The challenge in a refusal, if there is one.
pub(super) fn in_refusal(answer: &Response) -> Option<Challenge> {
    let refusal = (answer.status == 403).then(|| serde_json::from_slice::<Refusal>(&answer.body).ok())?;
    refusal?.challenge
}

/// Answers a challenge, and says what came of it.
pub(super) async fn answer(
    config: &AgentConfig,
    device: &Device,
    client: &Client,
    challenge: &Challenge,
) -> AgentEvent {
    let event = |sent, verdict, says| AgentEvent::Challenged {
        evidence_asked: challenge.evidence,
        evidence_sent: sent,
        verdict,
        says,
    };
    match prepare(config, device, challenge) {
        Err(error) => event(false, None, error.chain()),
        Ok(body) => {
            let sent = body.evidence.is_some();
            match send(client, &body).await {
                Ok(verdict) => event(sent, Some(quoted(&verdict.verdict)), quoted(&verdict.says)),
                Err(error) => event(sent, None, error.chain()),
            }
        }
    }
}

fn prepare(config: &AgentConfig, device: &Device, challenge: &Challenge) -> Result<Answer, AgentError> {
    let digest = sha256(&signed_bytes(&challenge.nonce));
    let signature =
        device.store().with("sign a challenge", |store| store.sign_digest(&config.key, &digest))?;
    let evidence = if challenge.evidence {
        let nonce = Nonce::new(&challenge.nonce).map_err(|error| AgentError::Internal {
            operation: "reading a challenge",
            detail: error.to_string(),
        })?;
        let attested = device.store().with("attest the key", |store| {
            let attested = store.attest().map(|attest| attest.attest(&config.key, &nonce)).transpose();
            match attested {
                // A store that has nothing to say of this key is no reason not to sign.
                Err(StoreError::NoCapability { .. }) => Ok(None),
                attested => attested,
            }
        })?;
        attested.map(|attested| hex::encode(Envelope::new(&nonce, attested.evidence).to_cbor()))
    } else {
        None
    };
    Ok(Answer { nonce: hex::encode(challenge.nonce), signature: hex::encode(signature), evidence })
}

async fn send(client: &Client, answer: &Answer) -> Result<Verdict, AgentError> {
    let what = "challenge";
    let body = serde_json::to_vec(answer)
        .map_err(|error| AgentError::Internal { operation: "writing JSON", detail: error.to_string() })?;
    let answer = client.post_json(CHALLENGE, None, &body).await?;
    let verdict: Verdict = accepted(client, what, &answer)?;
    let address = client.address();
    must_be(&verdict.schema, VERDICT_SCHEMA).map_err(|detail| AgentError::Protocol {
        address,
        what,
        detail,
    })?;
    Ok(verdict)
}
