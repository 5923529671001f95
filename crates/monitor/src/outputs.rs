//! Findings out: the forms that other systems read.
//!
//! Every form is one line of text without a line feed, made from one revision of a finding alone: equal findings give
//! equal bytes (with one table of countries: [`Context::geography`]). What a device chose (names, firmware, tokens) is data in every form; no character of it ends a field,
//! a line or a message. `docs/outputs.md` says which field goes where.
//!
//! - [`write()`]: one finding in one [`Form`].
//! - [`syslog`]: the envelope that carries any form to a syslog receiver.
//! - [`errand`]: what a response asks of people.
//! - [`explain`]: a finding as a text for people, with its weights added up.
//!
//! Deliberately absent: sending. `server` keeps what is owed to whom.

pub mod errand;
pub mod explain;
pub mod syslog;

mod cef;
mod cloudevents;
mod ecs;
mod ocsf;

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use touchmark_identity::finding::{Action, Certainty, Finding, Kind};
use touchmark_identity::timestamp::Timestamp;

use crate::geography::Geography;

pub use ocsf::SCHEMA_VERSION as OCSF_VERSION;

/// The vendor and product that every form names.
const PRODUCT: &str = "Touchmark";

/// How a finding is written down for somebody else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `native`: `touchmark.finding/1`, as the monitor writes it.
    #[default]
    Native,
    /// `ocsf`: Detection Finding (class 2004) of the Open Cybersecurity Schema Framework.
    Ocsf,
    /// `ecs`: Elastic Common Schema.
    Ecs,
    /// `cef`: ArcSight Common Event Format, version 0.
    Cef,
    /// `cloudevents`: CloudEvents 1.0, structured JSON, around the native form.
    CloudEvents,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 5] = [Self::Native, Self::Ocsf, Self::Ecs, Self::Cef, Self::CloudEvents];

    /// Its name in configuration and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
            Self::Cef => "cef",
            Self::CloudEvents => "cloudevents",
        }
    }

    /// The media type of one such document as the body of a request.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Native | Self::Ocsf | Self::Ecs => "application/json",
            Self::Cef => "text/plain; charset=utf-8",
            Self::CloudEvents => "application/cloudevents+json; charset=utf-8",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no form of a finding; write native, ocsf, ecs, cef or cloudevents")]
pub struct UnknownForm {
    /// What was read, at most 32 characters.
    pub text: String,
}

impl FromStr for Form {
    type Err = UnknownForm;

    fn from_str(text: &str) -> Result<Self, UnknownForm> {
        let known = Self::ALL.into_iter().find(|form| form.as_str() == text);
        known.ok_or_else(|| UnknownForm { text: text.chars().take(32).collect() })
    }
}

/// Who says it: the same for all findings of one deployment.
#[derive(Debug, Clone)]
pub struct Context {
    /// Version of the product.
    pub version: String,
    /// URI reference of the deployment; CloudEvents' `source`, unique together with the id of a delivery.
    pub source: String,
    /// Name of the machine, for syslog and CEF.
    pub host: String,
    /// In which country an instance's network is, for the forms that have a place for it.
    pub geography: Geography,
}

impl Context {
    /// A context of this version of the product, which knows no countries.
    #[must_use]
    pub fn new(source: &str, host: &str) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: source.to_owned(),
            host: host.to_owned(),
            geography: Geography::none(),
        }
    }

    /// The same with countries.
    #[must_use]
    pub fn with_geography(self, geography: Geography) -> Self {
        Self { geography, ..self }
    }
}

/// How bad it is, if it is true. Derived from grade and proposed action; the numbers are those of OCSF `severity_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth writing down.
    Informational = 1,
    /// Nothing about a device: a source is at fault.
    Low = 2,
    /// A person should look.
    Medium = 3,
    /// One device cannot do this.
    High = 4,
    /// As `High`, and to cut the identity's rights is proposed.
    Critical = 5,
}

impl Severity {
    /// The severity of a finding.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        match (finding.grade, finding.kind, finding.action) {
            (Certainty::Note, ..) => Self::Informational,
            (_, Kind::SourceFault, _) => Self::Low,
            (Certainty::Suspect, ..) | (_, Kind::InstallerDuplicate, _) => Self::Medium,
            (Certainty::Confirmed, _, Action::Quarantine) => Self::Critical,
            (Certainty::Confirmed, ..) => Self::High,
        }
    }

    /// Its caption in OCSF.
    #[must_use]
    pub fn caption(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

/// One finding in one form: one line without a line feed.
#[must_use]
pub fn write(finding: &Finding, form: Form, context: &Context) -> String {
    match form {
        Form::Native => one_line(&finding.to_line()),
        Form::Ocsf => one_line(&compact(ocsf::document(finding, context)).to_string()),
        Form::Ecs => one_line(&compact(ecs::document(finding, context)).to_string()),
        Form::Cef => cef::line(finding, context),
        Form::CloudEvents => one_line(&compact(cloudevents::envelope(finding, context)).to_string()),
    }
}

/// The same JSON with everything escaped at which some reader ends a line or turns it round. JSON itself demands that
/// of the characters below U+0020 alone, and all of these stand inside strings.
fn one_line(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_harmful(c) {
            // Writing into a `String` has no way to fail.
            let _infallible = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, line separators, and marks that reorder a line on a screen.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Names one delivery: the finding's id and revision. Who receives the same one twice may forget the second.
#[must_use]
pub fn delivery_id(finding: &Finding) -> String {
    format!("{}.{}", finding.id, finding.revision)
}

/// When this revision was concluded.
fn moment(finding: &Finding) -> Timestamp {
    finding.closed.unwrap_or(finding.detected)
}

/// When the last thing that it is about was seen.
fn last_seen(finding: &Finding) -> Timestamp {
    let seen = finding.branches.iter().filter_map(|branch| branch.last_seen).max();
    seen.unwrap_or(finding.detected).max(finding.first_event)
}

/// A name for the device: the registry's, else the strongest that its events gave.
fn subject(finding: &Finding) -> String {
    let identity = &finding.identity;
    let named = finding.device.clone().or_else(|| identity.common_name.clone());
    named
        .or_else(|| identity.spki_sha256.map(|name| name.to_string()))
        .or_else(|| identity.cert_sha256.as_ref().map(ToString::to_string))
        .or_else(|| identity.cert_sha1.as_ref().map(ToString::to_string))
        .or_else(|| identity.serial.as_ref().map(ToString::to_string))
        .or_else(|| identity.client_id.clone())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// What a kind means, as a headline.
fn headline(kind: Kind) -> &'static str {
    match kind {
        Kind::Clone => "Two instances answer under one copyable key",
        Kind::ConcurrentSession => "A key proven to live in a chip is used from two places at once",
        Kind::Takeover => "Another instance has taken over and the original is silent",
        Kind::Replay => "A recorded message came again",
        Kind::Downgrade => "Older firmware than allowed or reported before",
        Kind::Relocation => "The device is not where it is installed",
        Kind::Behaviour => "The device does not behave as it or its kind usually does",
        Kind::Transplant => "The chip works on another board",
        Kind::OracleUse => "The chip signs for somebody else",
        Kind::ReadOnlyClone => "A second instance listens and says nothing",
        Kind::InstallerDuplicate => "One image was put on several devices",
        Kind::FleetIncident => "Many devices changed together",
        Kind::SourceFault => "A source of events is at fault",
    }
}

/// What a proposed action asks for, as a sentence.
fn proposal(action: Action) -> &'static str {
    match action {
        Action::None => "Nothing is proposed.",
        Action::Watch => "Keep the identity under observation.",
        Action::WorkOrder => "Send somebody to the device.",
        Action::ChallengeBoth => {
            "Ask every instance for fresh proof, and for evidence where its class claims a chip. Do not revoke: that \
             hits the original as well."
        }
        Action::Quarantine => {
            "Cut the identity's rights until a person has decided. Do not revoke: that hits the original as well."
        }
    }
}

/// The digits of a network that is written as an autonomous system, such as `AS64500`.
fn as_number(network: &str) -> Option<u32> {
    network.strip_prefix("AS")?.parse().ok()
}

/// A record as JSON.
fn json_of(record: &impl Serialize) -> Value {
    #[expect(
        clippy::expect_used,
        reason = "a record of texts, numbers and finite floats always has a JSON form"
    )]
    serde_json::to_value(record).expect("a finding is plain data")
}

/// Without nulls, empty lists and empty objects: receivers' schemas have no place for them.
fn compact(value: Value) -> Value {
    fn is_empty(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        }
    }
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(compact).collect()),
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(name, value)| (name, compact(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
