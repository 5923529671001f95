//! `touchmark keystore`.

mod measured;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use touchmark_identity::evidence::{Envelope, Nonce};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::tpm::proof::PcrList;
use touchmark_keystore::pkcs11::{Profiled, TokenMechanism, TokenProfile};
use touchmark_keystore::{StoreError, StoreInfo};

pub(crate) use measured::document;

use crate::failure::Usage;
use crate::input::{Hex, StoreArgs, read};
use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say what a store is and can do.
    Probe {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Generate a P-256 key inside the store; prints its public half.
    Generate {
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Print the public half of a key.
    Public {
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Sign with ECDSA and SHA-256; prints the DER signature in hex.
    Sign {
        #[command(flatten)]
        key: KeyArgs,
        /// What to sign; `-` is stdin.
        #[arg(long = "in", value_name = "FILE", default_value = "-")]
        input: PathBuf,
        /// Write the DER signature to this file instead.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Have the part state where a key lives; prints the evidence envelope (an entity attestation token) in hex.
    Attest {
        #[command(flatten)]
        key: KeyArgs,
        /// The Verifier's nonce, 8 to 64 bytes in hex.
        #[arg(long, value_name = "HEX")]
        nonce: Hex,
        /// Generate the key first; a TPM then certifies that it made the key itself.
        #[arg(long)]
        generate: bool,
        /// Have a TPM quote these PCRs as well, such as sha256:0,2,7.
        #[arg(long, value_name = "PCRS")]
        pcrs: Option<PcrList>,
        /// Take the firmware's event log along, on Linux /sys/kernel/security/tpm0/binary_bios_measurements.
        #[arg(long, value_name = "FILE", requires = "pcrs")]
        event_log: Option<PathBuf>,
        /// Have a TPM certify the value of this counter as well.
        #[arg(long, value_name = "NAME")]
        counter: Option<CounterName>,
        /// Write the envelope (CBOR) to this file instead.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Read a monotonic counter, or add one to it. It bears the name given as key.
    Counter {
        #[command(flatten)]
        key: KeyArgs,
        /// Add one; makes the counter at its first use.
        #[arg(long)]
        increment: bool,
    },
    /// Have a TPM state the values of its PCRs, signed over a nonce.
    Quote(measured::QuoteArgs),
    /// Seal a secret to a TPM, and to the state in which the platform started.
    Seal(measured::SealArgs),
    /// Give back what was sealed, if the platform is in the state for it.
    Unseal(measured::UnsealArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The key's name in the store.
    #[arg(long, value_name = "NAME")]
    key: KeyName,
}

#[derive(Debug, Serialize)]
struct Probed {
    schema: &'static str,
    store: String,
    #[serde(flatten)]
    info: StoreInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<TokenProfile>,
}

fn profile_text(profile: &TokenProfile) -> String {
    let tried = if profile.scp03_tried { "tried" } else { "listed, not tried" };
    let attestations = match profile.attestations {
        0 => "none: the token says of no key that it made it".to_owned(),
        some => format!("{some} keys with a certificate by the token"),
    };
    let mut text = format!(
        "\nmodule        {}, PKCS #11 {}\nSCP03 keys    {} ({tried})\nwraps with    {}\nevidence      {attestations}\nmechanisms",
        profile.module,
        profile.cryptoki,
        profile.scp03.meaning(),
        if profile.wraps.is_empty() { "nothing".to_owned() } else { profile.wraps.join(", ") },
    );
    for TokenMechanism { name, min_key_size, max_key_size, flags, .. } in &profile.mechanisms {
        let sizes =
            if *max_key_size == 0 { String::new() } else { format!("{min_key_size} to {max_key_size}") };
        text.push_str(format!("\n  {name:<32} {sizes:<14} {}", flags.join(" ")).trim_end());
    }
    text
}

#[derive(Debug, Serialize)]
struct KeyData<'a> {
    schema: &'static str,
    key: &'a KeyName,
    spki_sha256: String,
    public_key: String,
}

#[derive(Debug, Serialize)]
struct BytesData<'a> {
    schema: &'static str,
    key: &'a KeyName,
    #[serde(with = "hex::serde")]
    bytes: Vec<u8>,
}

#[derive(Debug, Serialize)]
struct CounterData<'a> {
    schema: &'static str,
    counter: &'a KeyName,
    value: u64,
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    match verb {
        Verb::Quote(args) => measured::quote(&args, printer),
        Verb::Seal(args) => measured::seal(&args, printer),
        Verb::Unseal(args) => measured::unseal(&args, printer),
        Verb::Probe { store } => {
            let mut opened = store.open()?;
            let info = opened.info()?;
            let profile = opened.profiled().map(Profiled::profile).transpose()?;
            let mut text = format!(
                "storage       {} (a claim; evidence proves it)\npart          {} {}, firmware {}\ncapabilities  {}",
                info.storage,
                info.vendor,
                info.model,
                info.firmware,
                if info.capabilities.is_empty() {
                    "keys and signatures".to_owned()
                } else {
                    info.capabilities.join(", ")
                }
            );
            if let Some(profile) = &profile {
                text.push_str(&profile_text(profile));
            }
            let store = store.store.to_string();
            printer.data(&Probed { schema: "touchmark.keystore-probe/1", store, info, profile }, &text)
        }
        Verb::Generate { key } => {
            let public = key.store.open()?.generate(&key.key)?;
            public_key(&key.key, &public, printer)
        }
        Verb::Public { key } => {
            let public = key.store.open()?.public_key(&key.key)?;
            public_key(&key.key, &public, printer)
        }
        Verb::Sign { key, input, out } => {
            let message = read(&input)?;
            let bytes = key.store.open()?.sign_digest(&key.key, &sha256(&message))?;
            bytes_out("touchmark.signature/1", &key.key, bytes, out, printer)
        }
        Verb::Attest { key, nonce, generate, pcrs, event_log, counter, out } => {
            let nonce = Nonce::new(&nonce.0).map_err(|e| Usage(e.to_string()))?;
            let mut store = key.store.open()?;
            let creation = match (generate, store.measured()) {
                (true, Some(measured)) => Some(measured.generate_certified(&key.key, &nonce)?.1),
                (true, None) => {
                    store.generate(&key.key)?;
                    None
                }
                (false, _) => None,
            };
            let attest =
                store.attest().ok_or(StoreError::NoCapability { capability: "vouch for its keys" })?;
            let mut envelope = Envelope::new(&nonce, attest.attest(&key.key, &nonce)?.evidence);
            if let Some(pcrs) = &pcrs {
                envelope =
                    envelope.with_boot(measured::quoted(&mut *store, pcrs, &nonce, event_log.as_deref())?);
            }
            if let Some(counter) = &counter {
                envelope.counter = Some(measured::measured(&mut *store)?.certify_counter(counter, &nonce)?);
            }
            envelope.creation = creation;
            let evidence = envelope.to_cbor();
            bytes_out("touchmark.evidence/1", &key.key, evidence, out, printer)
        }
        Verb::Counter { key, increment } => {
            let name = CounterName::new(key.key.as_str())?;
            let mut store = key.store.open()?;
            let counters = store.counters().ok_or(StoreError::NoCapability { capability: "count" })?;
            let value =
                if increment { counters.increment_counter(&name)? } else { counters.read_counter(&name)? };
            let data = CounterData { schema: "touchmark.counter/1", counter: &key.key, value };
            printer.data(&data, &value.to_string())
        }
    }
}

fn public_key(key: &KeyName, public: &PublicKey, printer: &Printer) -> anyhow::Result<()> {
    let pem = touchmark_authority::x509::pem("PUBLIC KEY", &public.spki_der())?;
    let data = KeyData {
        schema: "touchmark.public-key/1",
        key,
        spki_sha256: public.spki_sha256().to_string(),
        public_key: pem.clone(),
    };
    printer.data(&data, &pem)
}

fn bytes_out(
    schema: &'static str,
    key: &KeyName,
    bytes: Vec<u8>,
    out: Option<PathBuf>,
    printer: &Printer,
) -> anyhow::Result<()> {
    if let Some(path) = out {
        std::fs::write(&path, &bytes).map_err(|e| anyhow::anyhow!("cannot write {}: {e}", path.display()))?;
        return Ok(());
    }
    let text = hex::encode(&bytes);
    printer.data(&BytesData { schema, key, bytes }, &text)
}
