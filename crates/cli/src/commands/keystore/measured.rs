//! `touchmark keystore quote`, `seal` and `unseal`: a TPM's word on how the platform started, and secrets bound to it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use touchmark_identity::evidence::Nonce;
use touchmark_identity::key::PublicKey;
use touchmark_identity::tpm::policy::approval;
use touchmark_identity::tpm::proof::{PcrList, PcrValue, Quote};
use touchmark_keystore::tpm::{Measured, Sealed, Terms, state_policy};
use touchmark_keystore::{KeyStore, StoreError};
use zeroize::Zeroizing;

use crate::failure::Usage;
use crate::input::{Hex, StoreArgs, read, secret_from_fd};
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct QuoteArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The PCRs: a bank and numbers, such as sha256:0,2,7.
    #[arg(long, value_name = "PCRS")]
    pcrs: PcrList,
    /// The Verifier's nonce, 8 to 64 bytes in hex.
    #[arg(long, value_name = "HEX")]
    nonce: Hex,
    /// Take the firmware's event log along, on Linux /sys/kernel/security/tpm0/binary_bios_measurements.
    #[arg(long, value_name = "FILE")]
    event_log: Option<PathBuf>,
    /// Write the bytes that an approver signs (ECDSA, SHA-256) so that what is sealed may be unsealed in this state.
    #[arg(long, value_name = "FILE")]
    to_approve: Option<PathBuf>,
    /// The approver's reference, as at the sealing, in hex.
    #[arg(long, value_name = "HEX", requires = "to_approve")]
    reference: Option<Hex>,
    /// Write the quote (JSON) to this file instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SealArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// What to seal, up to 128 bytes; `-` is stdin.
    #[arg(long = "in", value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// The PCRs on which it depends, such as sha256:0,2,7. Without them it is bound to this TPM alone.
    #[arg(long, value_name = "PCRS")]
    pcrs: Option<PcrList>,
    /// Take the PCRs' values from this quote, in place of those of now.
    #[arg(long, value_name = "FILE", requires = "pcrs")]
    values: Option<PathBuf>,
    /// Public key (P-256, PEM) of who approves of states, so that an update of the firmware does not lose the secret.
    #[arg(long, value_name = "FILE", requires = "pcrs", conflicts_with = "values")]
    approver: Option<PathBuf>,
    /// What the approver signs along, up to 32 bytes in hex.
    #[arg(long, value_name = "HEX", requires = "approver")]
    reference: Option<Hex>,
    /// Ask for a value as well, up to 32 bytes, read from this file descriptor.
    #[arg(long, value_name = "N")]
    auth_value_fd: Option<u32>,
    /// Write what is sealed (JSON) to this file instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct UnsealArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// What `seal` wrote.
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// The approver's signature (DER) over the state of now.
    #[arg(long, value_name = "FILE")]
    approval: Option<PathBuf>,
    /// Read the value from this file descriptor.
    #[arg(long, value_name = "N")]
    auth_value_fd: Option<u32>,
    /// Write the secret to this new file, mode 0600, in place of printing it in hex.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Unsealed<'a> {
    schema: &'static str,
    #[serde(with = "hex::serde")]
    secret: &'a [u8],
}

pub(super) fn measured(store: &mut dyn KeyStore) -> Result<&mut dyn Measured, StoreError> {
    store
        .measured()
        .ok_or(StoreError::NoCapability { capability: "measure how the platform started, or seal" })
}

/// A quote with the event log from a file.
pub(super) fn quoted(
    store: &mut dyn KeyStore,
    pcrs: &PcrList,
    nonce: &Nonce,
    event_log: Option<&Path>,
) -> anyhow::Result<Quote> {
    let event_log = event_log.map(read).transpose()?.unwrap_or_default();
    Ok(Quote { event_log, ..measured(store)?.quote(pcrs, nonce)? })
}

/// A JSON document of ours.
pub(crate) fn document<T: DeserializeOwned>(path: &Path, what: &str) -> anyhow::Result<T> {
    Ok(serde_json::from_slice(&read(path)?)
        .map_err(|e| Usage(format!("{} is not {what}: {e}", path.display())))?)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn json_out(value: &impl Serialize, text: &str, out: Option<&Path>, printer: &Printer) -> anyhow::Result<()> {
    match out {
        Some(path) => write(path, format!("{}\n", serde_json::to_string(value)?).as_bytes()),
        None => printer.data(value, text),
    }
}

pub(crate) fn quote(args: &QuoteArgs, printer: &Printer) -> anyhow::Result<()> {
    let nonce = Nonce::new(&args.nonce.0).map_err(|e| Usage(e.to_string()))?;
    let mut store = args.store.open()?;
    let quote = quoted(&mut *store, &args.pcrs, &nonce, args.event_log.as_deref())?;
    if let Some(path) = &args.to_approve {
        let policy = state_policy(&args.pcrs, &quote.pcrs)?;
        let reference = args.reference.as_ref().map_or(&[][..], |reference| &reference.0);
        write(path, &approval(policy.digest(), reference))?;
    }
    let text = values_text(&quote.pcrs);
    json_out(&quote, &text, args.out.as_deref(), printer)
}

fn values_text(values: &[PcrValue]) -> String {
    let lines: Vec<String> = values
        .iter()
        .map(|value| format!("{}:{:<2}  {}", value.bank, value.pcr, hex::encode(&value.value)))
        .collect();
    lines.join("\n")
}

fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    let wrong = |detail: String| Usage(format!("{} is not a public key in PEM: {detail}", path.display()));
    let pem = String::from_utf8(read(path)?).map_err(|e| wrong(e.to_string()))?;
    let (label, spki) = der::Document::from_pem(&pem).map_err(|e| wrong(e.to_string()))?;
    if label != "PUBLIC KEY" {
        return Err(wrong(format!("it is a {label}")).into());
    }
    Ok(PublicKey::from_spki_der(spki.as_bytes()).map_err(|e| wrong(e.to_string()))?)
}

fn auth_value(fd: Option<u32>) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    match fd.map(secret_from_fd).transpose()? {
        Some(value) if value.is_empty() => Err(Usage("the authorisation value is empty".to_owned()).into()),
        value => Ok(value.unwrap_or_default()),
    }
}

pub(crate) fn seal(args: &SealArgs, printer: &Printer) -> anyhow::Result<()> {
    let secret = Zeroizing::new(read(&args.input)?);
    let values = match &args.values {
        Some(path) => document::<Quote>(path, "a quote")?.pcrs,
        None => Vec::new(),
    };
    let approver = args.approver.as_deref().map(public_key).transpose()?;
    let auth_value = auth_value(args.auth_value_fd)?;
    let terms = Terms {
        pcrs: args.pcrs.clone(),
        values: &values,
        approver: approver.as_ref(),
        reference: args.reference.as_ref().map_or(&[], |reference| &reference.0),
        auth_value: &auth_value,
    };
    let mut store = args.store.open()?;
    let sealed = measured(&mut *store)?.seal(&secret, &terms)?;
    let text = serde_json::to_string(&sealed)?;
    json_out(&sealed, &text, args.out.as_deref(), printer)
}

pub(crate) fn unseal(args: &UnsealArgs, printer: &Printer) -> anyhow::Result<()> {
    let sealed: Sealed = document(&args.input, "a sealed secret")?;
    if sealed.schema != Sealed::SCHEMA {
        return Err(Usage(format!(
            "{} has the schema {:?}, not {}",
            args.input.display(),
            sealed.schema,
            Sealed::SCHEMA
        ))
        .into());
    }
    let approval = args.approval.as_deref().map(read).transpose()?;
    let auth_value = auth_value(args.auth_value_fd)?;
    let mut store = args.store.open()?;
    let secret = measured(&mut *store)?.unseal(&sealed, &auth_value, approval.as_deref())?;
    match &args.out {
        Some(path) => OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(&secret))
            .with_context(|| format!("cannot write {}", path.display())),
        None => {
            let text = Zeroizing::new(hex::encode(&*secret));
            printer.data(&Unsealed { schema: "touchmark.unsealed/1", secret: &secret }, &text)
        }
    }
}
