//! `touchmark attest quote`: a TPM's quote against a policy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use touchmark_attest::tpm::{self, BootPolicy};
use touchmark_identity::evidence::Nonce;
use touchmark_identity::tpm::ClockInfo;
use touchmark_identity::tpm::proof::{PcrBank, PcrList, PcrValue, Quote};

use crate::commands::keystore::document;
use crate::failure::Usage;
use crate::input::{Hex, read};
use crate::output::Printer;

#[derive(Debug, Args)]
pub(crate) struct QuoteArgs {
    /// What `keystore quote` wrote.
    #[arg(long, value_name = "FILE")]
    quote: PathBuf,
    /// The nonce that the quote must be bound to, in hex.
    #[arg(long, value_name = "HEX")]
    nonce: Hex,
    /// The name of the TPM's attestation key that you trust.
    #[arg(long, value_name = "HEX")]
    ak_name: Hex,
    /// What the platform may have started with (TOML, docs/keys.md).
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
}

/// The policy file, and the `[boot]` table of the one of `attest verify`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    /// `"sha256:7" = ["hex", …]`.
    registers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    event_log: bool,
    #[serde(default)]
    forbidden: Vec<String>,
    /// Two hexadecimal numbers with a point between them, as `keystore probe` shows them.
    minimum_firmware: Option<String>,
    last_clock: Option<Clock>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    reset_count: u32,
    restart_count: u32,
    clock_ms: u64,
}

#[derive(Debug, Serialize)]
struct Appraised {
    schema: &'static str,
    pcrs: Vec<PcrValue>,
    events: usize,
    clock: Clock,
    firmware: Option<String>,
}

impl PolicyFile {
    pub(super) fn policy(self) -> Result<BootPolicy, String> {
        let digest =
            |text: &String| hex::decode(text).map_err(|_| format!("{text:?} is not a digest in hex"));
        let mut registers: BTreeMap<(PcrBank, u8), Vec<Vec<u8>>> = BTreeMap::new();
        for (place, values) in &self.registers {
            let list: PcrList =
                place.parse().map_err(|e: touchmark_identity::tpm::proof::PcrListError| e.to_string())?;
            let [register] = list.registers() else {
                return Err(format!("{place:?} names several PCRs; give each its values"));
            };
            registers.insert((list.bank, *register), values.iter().map(digest).collect::<Result<_, _>>()?);
        }
        let firmware = |text: &String| {
            let (high, low) = text.split_once('.')?;
            let part = |text: &str| u32::from_str_radix(text, 16).ok();
            Some((u64::from(part(high)?) << 32) | u64::from(part(low)?))
        };
        let minimum_firmware = match &self.minimum_firmware {
            Some(text) => Some(firmware(text).ok_or_else(|| {
                format!("minimum_firmware is {text:?}; write it as `keystore probe` shows it, such as 7.55")
            })?),
            None => None,
        };
        Ok(BootPolicy {
            registers,
            event_log: self.event_log,
            forbidden: self.forbidden.iter().map(digest).collect::<Result<_, _>>()?,
            minimum_firmware,
            last_clock: self.last_clock.map(|Clock { reset_count, restart_count, clock_ms }| ClockInfo {
                clock_ms,
                reset_count,
                restart_count,
                safe: true,
            }),
        })
    }
}

pub(super) fn not_a_policy(path: &Path, detail: &str) -> Usage {
    Usage(format!("{} is not a policy: {detail}", path.display()))
}

pub(super) fn policy_file<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = String::from_utf8(read(path)?).map_err(|e| not_a_policy(path, &e.to_string()))?;
    Ok(toml::from_str(&text).map_err(|e| not_a_policy(path, &e.to_string()))?)
}

pub(crate) fn run(args: &QuoteArgs, printer: &Printer) -> anyhow::Result<()> {
    let nonce = Nonce::new(&args.nonce.0).map_err(|e| Usage(e.to_string()))?;
    let quote: Quote = document(&args.quote, "a quote")?;
    let policy: PolicyFile = policy_file(&args.policy)?;
    let policy = policy.policy().map_err(|detail| not_a_policy(&args.policy, &detail))?;
    let ak = tpm::trust_ak_name(&args.ak_name.0);
    let boot = tpm::appraise_quote(&quote, &nonce, &ak, &policy)?.into_value();
    let clock = Clock {
        reset_count: boot.clock.reset_count,
        restart_count: boot.clock.restart_count,
        clock_ms: boot.clock.clock_ms,
    };
    let firmware = boot.firmware.map(|version| format!("{:x}.{:x}", version >> 32, version & 0xffff_ffff));
    let text = format!(
        "started as the policy says\nPCRs      {}\nevents    {}\nfirmware  {}\nclock     reset {}, restart {}, {} ms",
        boot.registers.len(),
        boot.events.len(),
        firmware.as_deref().unwrap_or("obscured"),
        clock.reset_count,
        clock.restart_count,
        clock.clock_ms
    );
    let schema = "touchmark.boot/1";
    printer
        .data(&Appraised { schema, pcrs: boot.registers, events: boot.events.len(), clock, firmware }, &text)
}
