//! `touchmark authority`.

use clap::{Args, Subcommand};
use serde::Serialize;
use touchmark_authority::registry::RevocationReason;
use touchmark_identity::assurance::ClassBreak;
use touchmark_identity::finding::FindingId;
use touchmark_identity::ids::{ClassBreakId, DeviceId, DeviceType};
use touchmark_server::control::{Act, InventoryEntry, Outcome};
use touchmark_server::respond::{CaseDecision, CaseView};
use touchmark_server::run::open_authority;

use crate::control_client::perform;
use crate::input::DataArgs;
use crate::output::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Found the authority: make its keys and certificates, where they are missing.
    Init {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Register a device; prints the one-time token with which it enrols.
    Enrol {
        #[command(flatten)]
        data: DataArgs,
        /// The device's name.
        #[arg(long, value_name = "ID")]
        device: DeviceId,
        /// The kind of device.
        #[arg(long = "type", value_name = "TYPE", default_value = "device")]
        device_type: DeviceType,
        /// Give a device that is registered a new token; its old one opens nothing then.
        #[arg(long)]
        again: bool,
    },
    /// Put a device's certificates on hold.
    Quarantine {
        #[command(flatten)]
        why: DeviceArgs,
    },
    /// Take a device's certificates off hold.
    Release {
        #[command(flatten)]
        why: DeviceArgs,
    },
    /// Revoke a device's certificates. This cannot be undone.
    Revoke {
        #[command(flatten)]
        why: DeviceArgs,
        /// The reason in the CRL: unspecified, key-compromise, superseded, cessation-of-operation.
        #[arg(long, value_name = "REASON", default_value = "key-compromise")]
        crl_reason: RevocationReason,
        /// The device's name once more.
        #[arg(long, value_name = "ID")]
        confirm: Option<String>,
        /// Say what would be revoked, and revoke nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Record a flaw of a part: lowers the grade of every key on it, and says which devices those are. This cannot be
    /// undone.
    ClassBreak {
        #[command(flatten)]
        data: DataArgs,
        /// Its name, such as CVE-2017-15361.
        #[arg(long, value_name = "ID")]
        id: ClassBreakId,
        /// Maker of the part.
        #[arg(long, value_name = "TEXT")]
        vendor: String,
        /// Model of the part.
        #[arg(long, value_name = "TEXT")]
        model: String,
        /// The firmware that is hit; without it, any.
        #[arg(long, value_name = "TEXT")]
        firmware: Option<String>,
        /// The version of the cryptographic library that is hit; without it, any.
        #[arg(long, value_name = "TEXT")]
        crypto_library: Option<String>,
        /// What is broken, and where that is written down.
        #[arg(long, value_name = "TEXT", default_value = "by the operator")]
        says: String,
        /// The class break's name once more.
        #[arg(long, value_name = "ID")]
        confirm: Option<String>,
        /// Say which devices would be hit, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// List devices with their keys, grades and certificates.
    Inventory {
        #[command(flatten)]
        data: DataArgs,
        /// Only this device.
        #[arg(long, value_name = "ID")]
        device: Option<DeviceId>,
    },
    /// Check the journal's chain of hashes and print its newest entries.
    Journal {
        #[command(flatten)]
        data: DataArgs,
        /// How many entries.
        #[arg(long, value_name = "N", default_value_t = 20)]
        newest: u32,
    },
    /// List the cases of findings: where they stand, what was done, what they wait for. Needs the running server.
    Cases {
        #[command(flatten)]
        data: DataArgs,
        /// Only this device's.
        #[arg(long, value_name = "ID")]
        device: Option<DeviceId>,
    },
    /// Decide about a case: proceed, hold, resume, release, or revoke. Needs the running server.
    Decide {
        #[command(flatten)]
        data: DataArgs,
        /// The finding, 32 hex digits.
        #[arg(long, value_name = "ID", value_parser = finding_id)]
        finding: FindingId,
        /// What is decided; all but revoke can be undone.
        #[arg(value_name = "DECISION")]
        decision: CaseDecision,
        /// For revoke: the device's name once more.
        #[arg(long, value_name = "ID")]
        confirm: Option<String>,
    },
}

fn finding_id(text: &str) -> Result<FindingId, String> {
    FindingId::try_from(text.to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The device's name.
    #[arg(long, value_name = "ID")]
    device: DeviceId,
    /// Why, in a sentence; it goes into the journal.
    #[arg(long, value_name = "TEXT", default_value = "by the operator")]
    reason: String,
}

#[derive(Debug, Serialize)]
struct Founded {
    schema: &'static str,
    root: String,
    issuing: String,
    keys: String,
}

pub(crate) fn run(verb: Verb, printer: &Printer) -> anyhow::Result<()> {
    let (data, act) = match verb {
        Verb::Init { data } => return init(&data, printer),
        Verb::Enrol { data, device, device_type, again } => {
            (data, Act::Register { device, device_type, again })
        }
        Verb::Quarantine { why: DeviceArgs { data, device, reason } } => {
            (data, Act::Quarantine { device, reason })
        }
        Verb::Release { why: DeviceArgs { data, device, reason } } => (data, Act::Release { device, reason }),
        Verb::Revoke { why: DeviceArgs { data, device, reason }, crl_reason, confirm, dry_run } => {
            (data, Act::Revoke { device, why: crl_reason, reason, confirm, dry_run })
        }
        Verb::ClassBreak { data, id, vendor, model, firmware, crypto_library, says, confirm, dry_run } => {
            let entry = ClassBreak { id, vendor, model, firmware, crypto_library, says };
            (data, Act::ClassBreak { entry, confirm, dry_run })
        }
        Verb::Inventory { data, device } => (data, Act::Inventory { device }),
        Verb::Journal { data, newest } => (data, Act::Journal { newest }),
        Verb::Cases { data, device } => (data, Act::Cases { device }),
        Verb::Decide { data, finding, decision, confirm } => {
            (data, Act::Decide { finding, decision, confirm })
        }
    };
    let outcome = perform(&data, &act)?;
    printer.data(&outcome, &text(&outcome))
}

fn init(data: &DataArgs, printer: &Printer) -> anyhow::Result<()> {
    let (authority, custody) = open_authority(
        &data.config()?,
        &data.data,
        data.passphrase()?,
        touchmark_element::TEST_ROOT_CERTIFICATE_PEM,
        crate::now,
    )?;
    printer.say(&format!("the authority's keys are kept {}", custody.kept));
    if let Some(weakness) = &custody.weakness {
        printer.say(&format!("warning: {weakness}"));
    }
    let (root, issuing) = (authority.root().certificate().pem()?, authority.issuing().certificate().pem()?);
    let text = [issuing.as_str(), root.as_str()].concat();
    printer.data(&Founded { schema: "touchmark.authority/1", root, issuing, keys: custody.kept }, &text)
}

fn text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Registered { token, .. } => token.clone(),
        Outcome::Changed { device, status, certificates, dry_run } => {
            let would = if *dry_run { "would be" } else { "is" };
            format!("{device} {would} {status}; certificates: {}", certificates.join(", "))
        }
        Outcome::ClassBroken { id, devices, dry_run } => {
            let would = if *dry_run { "would lower" } else { "lowers" };
            format!("{id} {would} {} devices:\n{}", devices.len(), devices.join("\n"))
        }
        Outcome::Inventory { devices } => {
            let mut table = format!(
                "{:<24} {:<12} {:<12} {:<24} {:<19} CERTIFICATES\n",
                "DEVICE", "TYPE", "STATUS", "ASSURANCE", "GRADE"
            );
            for device in devices {
                table.push_str(&row(device));
            }
            table
        }
        Outcome::Cases { cases } => cases.iter().map(case).collect(),
        Outcome::Journal { entries, head, newest } => {
            let mut text = format!("{entries} entries, whole; head {head}\n");
            for entry in newest {
                let field = |name: &str| entry.get(name).and_then(|v| v.as_str()).unwrap_or("-").to_owned();
                text.push_str(&format!("{}  {:<24} {}\n", field("at"), field("kind"), field("subject")));
            }
            text
        }
    }
}

fn case(case: &CaseView) -> String {
    let how = case.how.as_ref().map(|how| format!(" ({how})")).unwrap_or_default();
    let dry = if case.dry_run { ", dry run" } else { "" };
    let next = match (&case.next, case.due) {
        (Some(step), Some(due)) => format!(", next {step} at {due}"),
        (Some(step), None) => format!(", next {step}"),
        (None, _) => String::new(),
    };
    let mut text = format!(
        "{}  {}  {}{how}{next}{dry}  rule {:?}\n",
        case.finding,
        case.device.as_deref().unwrap_or("-"),
        case.state,
        case.rule
    );
    for act in &case.acts {
        let measure = act.measure.as_deref().unwrap_or("-");
        let detail = if act.detail.is_empty() { String::new() } else { format!(" ({})", act.detail) };
        text.push_str(&format!(
            "  {:>3}  {}  {:<7} {measure:<13} {:<9} {}{detail}\n",
            act.number, act.at, act.request, act.outcome, act.says
        ));
    }
    text
}

fn row(device: &InventoryEntry) -> String {
    let (assurance, grade) = device
        .keys
        .last()
        .map_or(("-".to_owned(), "-".to_owned()), |k| (k.assurance.summary(), k.grade.to_string()));
    let certificates: Vec<String> = device
        .certificates
        .iter()
        .map(|c| if c.successor.is_some() { format!("{} (renewed)", c.status) } else { c.status.clone() })
        .collect();
    format!(
        "{:<24} {:<12} {:<12} {assurance:<24} {grade:<19} {}\n",
        device.device,
        device.device_type,
        device.status,
        certificates.join(", ")
    )
}
