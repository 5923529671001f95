//! `touchmark attest`.

mod quote;

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use touchmark_attest::{AttestedKey, tpm};
use touchmark_identity::assurance::{Grade, KeyAssurance};
use touchmark_identity::evidence::{Evidence, Nonce};
use touchmark_server::config::Attestation;
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
        /// Accept the TEST root of virtual elements, whose private key is public. For trials alone.
        #[arg(long)]
        dangerously_accept_test_endorsers: bool,
    },
    /// Appraise a TPM's quote of its PCRs against a policy. Ends with 1 when the platform started with something else.
    Quote(quote::QuoteArgs),
}

#[derive(Debug, Serialize)]
struct Verified {
    schema: &'static str,
    spki_sha256: String,
    assurance: KeyAssurance,
    grade: Grade,
    endorser: String,
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    let (evidence, nonce, endorsers, ak_name, dangerously_accept_test_endorsers) = match verb {
        Verb::Quote(args) => return quote::run(&args, printer),
        Verb::Verify { evidence, nonce, endorsers, ak_name, dangerously_accept_test_endorsers } => {
            (evidence, nonce, endorsers, ak_name, dangerously_accept_test_endorsers)
        }
    };
    let bytes = read(&evidence)?;
    let bytes = match std::str::from_utf8(&bytes).ok().and_then(|text| hex::decode(text.trim()).ok()) {
        Some(decoded) => decoded,
        None => bytes,
    };
    let nonce = Nonce::new(&nonce.0).map_err(|e| Usage(e.to_string()))?;
    let attestation = Attestation { endorsers_dir: endorsers, dangerously_accept_test_endorsers };
    let policy = verifier_policy(&attestation, touchmark_element::TEST_ROOT_CERTIFICATE_PEM)?;
    let evidence = Evidence::from_cbor(&bytes).map_err(|e| NotSo(e.to_string()))?;
    let now = crate::now();
    let appraised = match &evidence {
        Evidence::Element(e) => touchmark_attest::element::appraise(e, &nonce, &policy, now)?,
        Evidence::Tpm(e) => {
            let name = ak_name.ok_or_else(|| {
                NotSo(
                    "nothing shows that the attestation key lives in the TPM of the EK certificate; enrol the device, \
                     or pin the key's name with --ak-name"
                        .to_owned(),
                )
            })?;
            tpm::appraise(e, &nonce, &tpm::trust_ak_name(&name.0), now)?
        }
    };
    let AttestedKey { key, assurance, endorser } = appraised.into_value();
    let grade = assurance.grade();
    let test = if assurance.test_endorser { " (a TEST endorser: forgeable by anybody)" } else { "" };
    let text = format!(
        "key       {}\nassurance {}, {}\ngrade     {grade}: {}\nendorser  {endorser}{test}",
        key.spki_sha256(),
        assurance.summary(),
        assurance.provenance,
        grade.meaning()
    );
    let spki_sha256 = key.spki_sha256().to_string();
    printer.data(
        &Verified { schema: "touchmark.attestation-result/1", spki_sha256, assurance, grade, endorser },
        &text,
    )
}
