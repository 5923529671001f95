//! The operator's acts: one type for what may be asked, carried out here whether the server runs or not.
//!
//! While the server runs, requests come over a Unix socket in the data directory, mode 0600: who may write there is
//! the operator. While it does not, the command line opens the registry itself and calls [`execute`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use touchmark_authority::Authority;
use touchmark_authority::AuthorityError;
use touchmark_authority::registry::journal::JournalEntry;
use touchmark_authority::registry::{CertificateRecord, Device, KeyRecord, RevocationReason, chain};
use touchmark_identity::assurance::{ClassBreak, Grade, KeyAssurance, Storage};
use touchmark_identity::finding::FindingId;
use touchmark_identity::ids::{DeviceId, DeviceType};
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::respond::ReKeyRequest;

use crate::app::App;
use crate::error::ServerError;
use crate::respond::{CaseDecision, CaseView};

/// The name of the control socket in the data directory.
pub const SOCKET_NAME: &str = "control.sock";

/// Where the control socket is.
#[must_use]
pub fn socket(data: &Path) -> PathBuf {
    data.join(SOCKET_NAME)
}

/// What an operator may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// Register a device and get its enrolment token; with `again`, a new token for a device that is there.
    Register {
        /// The device.
        device: DeviceId,
        /// Its kind.
        device_type: DeviceType,
        /// For a device that is registered already.
        again: bool,
    },
    /// Put a device's certificates on hold.
    Quarantine {
        /// The device.
        device: DeviceId,
        /// Why, in a sentence.
        reason: String,
    },
    /// Take them off hold.
    Release {
        /// The device.
        device: DeviceId,
        /// Why, in a sentence.
        reason: String,
    },
    /// Revoke a device's certificates for good.
    Revoke {
        /// The device.
        device: DeviceId,
        /// What the CRL says.
        why: RevocationReason,
        /// Why, in a sentence.
        reason: String,
        /// The device's name once more: revocation cannot be undone.
        confirm: Option<String>,
        /// Say what would be done, and do nothing.
        dry_run: bool,
    },
    /// Record a flaw of a part, and lower the grade of every key on it.
    ClassBreak {
        /// Which parts.
        entry: ClassBreak,
        /// The class break's id once more: this cannot be undone.
        confirm: Option<String>,
        /// Say which devices would be hit, and do nothing.
        dry_run: bool,
    },
    /// List devices with their keys and certificates; one device, when named.
    Inventory {
        /// Only this device.
        device: Option<DeviceId>,
    },
    /// Recompute the journal's chain and list its newest entries.
    Journal {
        /// How many entries.
        newest: u32,
    },
    /// List the cases of findings: one device's, when named.
    Cases {
        /// Only this device.
        device: Option<DeviceId>,
    },
    /// Decide about a case.
    Decide {
        /// The finding.
        finding: FindingId,
        /// What was decided.
        decision: CaseDecision,
        /// For a revocation, the device's name: it cannot be undone.
        confirm: Option<String>,
    },
}

/// A device with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryEntry {
    /// The device.
    pub device: String,
    /// Its kind.
    pub device_type: String,
    /// Where it stands.
    pub status: String,
    /// Why it stands there.
    pub reason: Option<String>,
    /// Its keys, the newest last.
    pub keys: Vec<InventoryKey>,
    /// Its certificates, the newest first.
    pub certificates: Vec<InventoryCertificate>,
    /// The new key that a case asks for its likely original; only while the server runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekey: Option<ReKeyRequest>,
}

/// A key with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryKey {
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    pub spki_sha256: String,
    /// What the device claimed.
    pub claimed: Option<Storage>,
    /// What is known.
    pub assurance: KeyAssurance,
    /// What follows from it.
    pub grade: Grade,
    /// Whose root the evidence chains to.
    pub endorser: Option<String>,
    /// Why a claim was not proven.
    pub reasons: Vec<String>,
}

/// A certificate in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryCertificate {
    /// Serial number in hex.
    pub serial: String,
    /// `good`, `hold`, `revoked`, `intended` or `orphaned`.
    pub status: String,
    /// Why it is revoked or on hold.
    pub reason: Option<RevocationReason>,
    /// SHA-1 in hex, as nginx logs it.
    pub cert_sha1: Option<String>,
    /// Serial number of the certificate whose place it took, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<String>,
    /// Serial number of the certificate that took its place, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// Its link in the device's chain of certificates, hex: SHA-256 over the predecessor's link and its own DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// When it was first seen to be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_used: Option<Timestamp>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "schema")]
pub enum Outcome {
    /// A device was registered; the token is shown this once.
    #[serde(rename = "touchmark.registered/1")]
    Registered {
        /// The device.
        device: DeviceId,
        /// The one-time enrolment token.
        token: String,
    },
    /// A device changed its state, or would have.
    #[serde(rename = "touchmark.status-changed/1")]
    Changed {
        /// The device.
        device: DeviceId,
        /// Where it stands now, or would stand.
        status: String,
        /// Serial numbers of its certificates, in hex.
        certificates: Vec<String>,
        /// True when nothing was done.
        dry_run: bool,
    },
    /// A class break was recorded, or would have been.
    #[serde(rename = "touchmark.class-break/1")]
    ClassBroken {
        /// Its id.
        id: String,
        /// The devices on whose keys it bears.
        devices: Vec<String>,
        /// True when nothing was done.
        dry_run: bool,
    },
    /// The inventory.
    #[serde(rename = "touchmark.inventory/1")]
    Inventory {
        /// Devices by name.
        devices: Vec<InventoryEntry>,
    },
    /// The journal is whole.
    #[serde(rename = "touchmark.journal/1")]
    Journal {
        /// Number of entries.
        entries: u64,
        /// Hash of the newest entry, hex.
        head: String,
        /// The newest entries, as they stand.
        newest: Vec<serde_json::Value>,
    },
    /// Cases.
    #[serde(rename = "touchmark.cases/1")]
    Cases {
        /// The newest first.
        cases: Vec<CaseView>,
    },
}

/// Carries an act out that needs the authority alone; the server carries the others out ([`on_server`]).
///
/// # Errors
/// [`ServerError::NotConfirmed`] for a revocation without its confirmation; [`ServerError::NeedsServer`] for what needs
/// the running server; the authority's errors.
pub fn execute(authority: &mut Authority, act: &Act, now: Timestamp) -> Result<Outcome, ServerError> {
    match act {
        Act::Register { device, device_type, again } => {
            let token = if *again {
                authority.renew_token(device, now)?
            } else {
                authority.register(device, device_type, now)?
            };
            Ok(Outcome::Registered { device: device.clone(), token: token.to_string() })
        }
        Act::Quarantine { device, reason } => {
            authority.quarantine(device, reason, now)?;
            changed(authority, device, false)
        }
        Act::Release { device, reason } => {
            authority.release(device, reason, now)?;
            changed(authority, device, false)
        }
        Act::Revoke { device, why, reason, confirm, dry_run } => {
            authority.known(device)?;
            if *dry_run {
                return changed(authority, device, true);
            }
            if confirm.as_deref() != Some(device.as_str()) {
                return Err(ServerError::NotConfirmed { act: "revoking a device", name: device.to_string() });
            }
            authority.revoke(device, *why, reason, now)?;
            changed(authority, device, false)
        }
        Act::ClassBreak { entry, confirm, dry_run } => {
            let cohort = if *dry_run {
                authority.cohort(entry)?
            } else if confirm.as_deref() == Some(entry.id.as_str()) {
                authority.apply_class_break(entry, now)?
            } else {
                return Err(ServerError::NotConfirmed {
                    act: "applying a class break",
                    name: entry.id.to_string(),
                });
            };
            Ok(Outcome::ClassBroken {
                id: entry.id.to_string(),
                devices: cohort.iter().map(|key| key.device.to_string()).collect(),
                dry_run: *dry_run,
            })
        }
        Act::Inventory { device } => inventory(authority, device.as_ref()),
        Act::Cases { .. } | Act::Decide { .. } => Err(ServerError::NeedsServer),
        Act::Journal { newest } => {
            let registry = authority.registry();
            let entries = registry.verify_journal().map_err(AuthorityError::from)?;
            let from = entries.saturating_sub(u64::from(*newest)) + 1;
            let rows: Vec<JournalEntry> = registry.journal(from, *newest).map_err(AuthorityError::from)?;
            let head = registry.journal(entries, 1).map_err(AuthorityError::from)?;
            Ok(Outcome::Journal {
                entries,
                head: head.first().map(|e| hex::encode(e.hash)).unwrap_or_default(),
                newest: rows.iter().filter_map(|row| serde_json::to_value(row).ok()).collect(),
            })
        }
    }
}

/// Carries an act out in the running server, with what follows from it.
///
/// # Errors
/// Those of [`execute`] and [`App::decide_case`].
pub fn on_server(app: &App, act: &Act) -> Result<Outcome, ServerError> {
    match act {
        Act::Cases { device } => {
            Ok(Outcome::Cases { cases: app.cases(device.as_ref().map(DeviceId::as_str))? })
        }
        Act::Decide { finding, decision, confirm } => {
            let by = "an operator at the control socket";
            let case = app.decide_case(&finding.to_string(), *decision, confirm.as_deref(), by)?;
            Ok(Outcome::Cases { cases: vec![case] })
        }
        act => {
            let mut outcome = execute(&mut app.authority(), act, app.now())?;
            if let Outcome::Inventory { devices } = &mut outcome {
                for request in app.rekeys()? {
                    if let Some(entry) = devices.iter_mut().find(|entry| entry.device == request.device) {
                        entry.rekey = Some(request);
                    }
                }
            }
            Ok(outcome)
        }
    }
}

fn changed(authority: &mut Authority, device: &DeviceId, dry_run: bool) -> Result<Outcome, ServerError> {
    let status = if dry_run { "revoked".to_owned() } else { authority.known(device)?.status.to_string() };
    let certificates =
        authority.registry().certificates("device", Some(device)).map_err(AuthorityError::from)?;
    Ok(Outcome::Changed {
        device: device.clone(),
        status,
        certificates: certificates.iter().map(|c| hex::encode(&c.serial)).collect(),
        dry_run,
    })
}

fn inventory(authority: &mut Authority, only: Option<&DeviceId>) -> Result<Outcome, ServerError> {
    let devices: Vec<Device> = match only {
        Some(device) => vec![authority.known(device)?],
        None => authority.registry().devices().map_err(AuthorityError::from)?,
    };
    let keys = authority.registry().keys(only).map_err(AuthorityError::from)?;
    let certificates = authority.registry().certificates("device", only).map_err(AuthorityError::from)?;
    let entries = devices.iter().map(|device| entry(device, &keys, &certificates)).collect();
    Ok(Outcome::Inventory { devices: entries })
}

fn entry(device: &Device, keys: &[KeyRecord], certificates: &[CertificateRecord]) -> InventoryEntry {
    // Successors are looked for among the device's own, of which there are few.
    let own: Vec<CertificateRecord> =
        certificates.iter().filter(|c| c.device.as_ref() == Some(&device.id)).cloned().collect();
    InventoryEntry {
        device: device.id.to_string(),
        device_type: device.device_type.to_string(),
        status: device.status.to_string(),
        reason: device.reason.clone(),
        keys: keys
            .iter()
            .filter(|k| k.device == device.id)
            .map(|k| InventoryKey {
                spki_sha256: k.spki_sha256.to_string(),
                claimed: k.claimed,
                assurance: k.assurance.clone(),
                grade: k.assurance.grade(),
                endorser: k.endorser.clone(),
                reasons: k.reasons.clone(),
            })
            .collect(),
        certificates: own
            .iter()
            .map(|c| InventoryCertificate {
                serial: hex::encode(&c.serial),
                status: c.status.as_str().to_owned(),
                reason: c.reason,
                cert_sha1: c.cert_sha1.clone(),
                predecessor: c.predecessor.as_ref().map(hex::encode),
                successor: chain::successor(&own, &c.serial).map(|next| hex::encode(&next.serial)),
                link: c.link.map(hex::encode),
                first_used: c.first_used,
            })
            .collect(),
        rekey: None,
    }
}
