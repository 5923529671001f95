//! `touchmark attest`.

mod quote;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use touchmark_attest::{Appraisal, judge, tpm};
use touchmark_identity::assurance::{Grade, KeyAssurance};
use touchmark_identity::evidence::{Envelope, Nonce};
use touchmark_identity::tpm::proof::PcrValue;
use touchmark_server::config::{Attestation, PartMinimum};
use touchmark_server::keys::verifier_policy;

use crate::failure::{NotSo, Usage};
use crate::input::{Hex, read};
use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Appraise evidence. Ends with 1 when it proves nothing.
    Verify {
        /// The evidence envelope: CBOR, or the same in hex.
        #[arg(long, value_name = "FILE")]
        evidence: PathBuf,
        /// The nonce that the evidence must be bound to, in hex.
        #[arg(long, value_name = "HEX")]
        nonce: Hex,
        /// Directory of pinned endorser roots, *.pem.
        #[arg(long, value_name = "DIR")]
        endorsers: Option<PathBuf>,
        /// The name of a TPM's attestation key that you trust. A TPM's evidence read from a file proves nothing without
        /// it: that the attestation key lives in the TPM of the EK certificate takes a dialogue with that TPM.
        #[arg(long, value_name = "HEX")]
        ak_name: Option<Hex>,
        /// What part and platform have to be (TOML, docs/keys.md): `[[minimum]]` firmware, `[boot]`.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Accept the TEST root of virtual elements, whose private key is public. For trials alone.
        #[arg(long)]
        dangerously_accept_test_endorsers: bool,
    },
    /// Appraise a TPM's quote of its PCRs against a policy. Ends with 1 when the platform started with something else.
    Quote(quote::QuoteArgs),
}

/// The policy file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    minimum: Vec<PartMinimum>,
    #[serde(default)]
    listed_parts_only: bool,
    boot: Option<quote::PolicyFile>,
}

#[derive(Debug, Serialize)]
struct Verified {
    schema: &'static str,
    version: u8,
    spki_sha256: String,
    assurance: KeyAssurance,
    grade: Grade,
    endorser: String,
    pcrs: Vec<PcrValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counter: Option<u64>,
    reasons: Vec<String>,
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    let (evidence, nonce, endorsers, ak_name, policy, accept_test) = match verb {
        Verb::Quote(args) => return quote::run(&args, printer),
        Verb::Verify { evidence, nonce, endorsers, ak_name, policy, dangerously_accept_test_endorsers } => {
            (evidence, nonce, endorsers, ak_name, policy, dangerously_accept_test_endorsers)
        }
    };
    let bytes = read(&evidence)?;
    let bytes = match std::str::from_utf8(&bytes).ok().and_then(|text| hex::decode(text.trim()).ok()) {
        Some(decoded) => decoded,
        None => bytes,
    };
    let nonce = Nonce::new(&nonce.0).map_err(|e| Usage(e.to_string()))?;
    let (file, path) = match &policy {
        Some(path) => (quote::policy_file::<PolicyFile>(path)?, path.as_path()),
        None => (PolicyFile { minimum: Vec::new(), listed_parts_only: false, boot: None }, Path::new("")),
    };
    let attestation = Attestation {
        endorsers_dir: endorsers,
        dangerously_accept_test_endorsers: accept_test,
        minimum: file.minimum,
        listed_parts_only: file.listed_parts_only,
    };
    let mut policy = verifier_policy(&attestation, touchmark_element::TEST_ROOT_CERTIFICATE_PEM)?;
    policy.requirements.boot = file
        .boot
        .map(quote::PolicyFile::policy)
        .transpose()
        .map_err(|detail| quote::not_a_policy(path, &detail))?;
    let ak = ak_name.map(|name| tpm::trust_ak_name(&name.0));
    let ak = ak.as_ref().ok_or_else(|| {
        "evidence from a file cannot show it; enrol the device, or pin the key's name with --ak-name"
            .to_owned()
    });
    let appraisal = Appraisal { nonce: &nonce, policy: &policy, ak, at: crate::now() };
    let verdict = judge(&bytes, &appraisal);
    let proven = verdict.is_attested();
    let mut reasons = verdict.reasons.into_iter();
    if !proven {
        let first = reasons
            .next()
            .map_or_else(|| NotSo("the evidence proves nothing".to_owned()).into(), anyhow::Error::from);
        return Err(reasons.fold(first, |error, other| error.context(other)));
    }
    let (Some(key), Some(endorser)) = (verdict.key, verdict.endorser) else {
        return Err(NotSo("the evidence speaks of no key".to_owned()).into());
    };
    let reasons: Vec<String> = reasons.map(|reason| reason.to_string()).collect();
    let assurance = verdict.assurance;
    let grade = assurance.grade();
    let test = if assurance.test_endorser { " (a TEST endorser: forgeable by anybody)" } else { "" };
    let mut text = format!(
        "key       {}\nassurance {}, {}\ngrade     {grade}: {}\nendorser  {endorser}{test}",
        key.spki_sha256(),
        assurance.summary(),
        assurance.provenance,
        grade.meaning()
    );
    let pcrs = verdict.boot.map(|boot| boot.registers).unwrap_or_default();
    for value in &pcrs {
        text.push_str(&format!("\nPCR       {}:{} {}", value.bank, value.pcr, hex::encode(&value.value)));
    }
    let counter = verdict.counter.map(|counter| counter.value);
    if let Some(value) = counter {
        text.push_str(&format!("\ncounter   {value}"));
    }
    for reason in &reasons {
        text.push_str(&format!("\nbecause   {reason}"));
    }
    let verified = Verified {
        schema: "touchmark.attestation-result/1",
        version: Envelope::from_cbor(&bytes).map_or(1, |envelope| envelope.version()),
        spki_sha256: key.spki_sha256().to_string(),
        assurance,
        grade,
        endorser,
        pcrs,
        counter,
        reasons,
    };
    printer.data(&verified, &text)
}
