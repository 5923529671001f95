//! One interface for all formats.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use touchmark_identity::event::{Event, EventBody, MAX_LINE_BYTES, MAX_TEXT_BYTES};

use super::cloud::Azure;
use super::envoy::Envoy;
use super::fields::bare;
use super::mosquitto::Mosquitto;
use super::nginx::{Line, Nginx};
use super::syslog::Syslog;
use super::zeek::Zeek;
use super::{AdapterError, Unproven, cloud, cloudevents, haproxy, safe_example, siem};

/// A format that is read. As text: the name in kebab case, such as `aws-iot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `touchmark`: our own, `touchmark.event/1`.
    Touchmark,
    /// `cloud-events`: CloudEvents 1.0 around our own.
    CloudEvents,
    /// `nginx`: the shipped log format.
    Nginx,
    /// `haproxy`: the shipped log format.
    Haproxy,
    /// `envoy`: the shipped log format.
    Envoy,
    /// `mosquitto`: the broker's text log.
    Mosquitto,
    /// `emqx`: rule and webhook events.
    Emqx,
    /// `aws-iot`: life-cycle messages of AWS IoT Core.
    AwsIot,
    /// `azure-event-grid`: MQTT sessions of Event Grid, devices of IoT Hub.
    AzureEventGrid,
    /// `zeek`: `ssl` and `x509` records, JSON or TSV.
    Zeek,
    /// `syslog`: RFC 5424 or RFC 3164 around any of the others.
    Syslog,
    /// `ocsf-3002`: OCSF Authentication.
    #[serde(rename = "ocsf-3002")]
    Ocsf3002,
    /// `ecs`: Elastic Common Schema with `tls.client`.
    Ecs,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Touchmark,
        Self::CloudEvents,
        Self::Nginx,
        Self::Haproxy,
        Self::Envoy,
        Self::Mosquitto,
        Self::Emqx,
        Self::AwsIot,
        Self::AzureEventGrid,
        Self::Zeek,
        Self::Syslog,
        Self::Ocsf3002,
        Self::Ecs,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Touchmark => "touchmark",
            Self::CloudEvents => "cloud-events",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Mosquitto => "mosquitto",
            Self::Emqx => "emqx",
            Self::AwsIot => "aws-iot",
            Self::AzureEventGrid => "azure-event-grid",
            Self::Zeek => "zeek",
            Self::Syslog => "syslog",
            Self::Ocsf3002 => "ocsf-3002",
            Self::Ecs => "ecs",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no format; it is one of touchmark, cloud-events, nginx, haproxy, envoy, mosquitto, emqx, aws-iot, \
     azure-event-grid, zeek, syslog, ocsf-3002, ecs"
)]
pub struct UnknownFormat {
    found: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named = Self::ALL.into_iter().find(|format| format.as_str() == text);
        named.ok_or_else(|| UnknownFormat { found: text.chars().take(64).collect() })
    }
}

/// Reads the lines of one source in the order in which it wrote them.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    source: String,
    state: State,
}

/// What a format has to remember between lines.
#[derive(Debug)]
enum State {
    None,
    Nginx(Nginx),
    Envoy(Envoy),
    Mosquitto(Mosquitto),
    Azure(Azure),
    Zeek(Zeek),
    Syslog(Box<Syslog>),
}

impl Reader {
    /// A reader for one source; `source_name`, 1 to 512 bytes, is its name in the events. Formats whose lines name their source
    /// themselves (`touchmark`, `cloud-events`) keep that name.
    #[must_use]
    pub fn new(format: Format, source_name: &str) -> Self {
        let state = match format {
            Format::Nginx => State::Nginx(Nginx::new(source_name)),
            Format::Envoy => State::Envoy(Envoy::new()),
            Format::Mosquitto => State::Mosquitto(Mosquitto::new()),
            Format::AzureEventGrid => State::Azure(Azure::new()),
            Format::Zeek => State::Zeek(Zeek::new()),
            Format::Syslog => State::Syslog(Box::new(Syslog::new())),
            _ => State::None,
        };
        Self { format, source: source_name.to_owned(), state }
    }

    /// The format it reads.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Reads one line, at most 64 KiB (a batch of `cloud-events` or `azure-event-grid`: 1 MiB); a line end does not count.
    /// An empty line and one that is no event give none.
    ///
    /// # Errors
    /// [`AdapterError`], with the beginning of the line in printable characters; the next line can be read all the same.
    /// A batch with one bad entry is refused as a whole.
    pub fn read(&mut self, line: &[u8]) -> Result<Vec<Event>, AdapterError> {
        if line.trim_ascii().is_empty() {
            return Ok(Vec::new());
        }
        let source = self.source.as_str();
        let events = match (&mut self.state, self.format) {
            (State::Nginx(nginx), _) => match nginx.line(line)? {
                Line::Event(event) => vec![*event],
                Line::Refused { verify } => {
                    let reason =
                        if verify == "NONE" { Unproven::NoCertificate } else { Unproven::NotAccepted };
                    return Err(AdapterError::Refused {
                        reason,
                        detail: touchmark_identity::text::printable(&verify, 200),
                        example: safe_example(line),
                    });
                }
            },
            (State::Envoy(envoy), _) => envoy.read(line, source)?,
            (State::Mosquitto(mosquitto), _) => mosquitto.read(line, source)?,
            (State::Azure(azure), _) => azure.read(line, source)?,
            (State::Zeek(zeek), _) => zeek.read(line, source)?,
            (State::Syslog(syslog), _) => syslog.read(line, source)?,
            (State::None, Format::CloudEvents) => cloudevents::read(line, source)?,
            (State::None, Format::Haproxy) => haproxy::read(line, source)?,
            (State::None, Format::Emqx) => cloud::emqx(line, source)?,
            (State::None, Format::AwsIot) => cloud::aws(line, source)?,
            (State::None, Format::Ocsf3002) => siem::ocsf(line, source)?,
            (State::None, Format::Ecs) => siem::ecs(line, source)?,
            (State::None, _) => {
                let line = bare(line, MAX_LINE_BYTES)?;
                let event = Event::from_line(line)
                    .map_err(|source| AdapterError::Event { source, example: safe_example(line) })?;
                vec![event]
            }
        };
        for event in &events {
            if let Some((field, found)) = too_long(event) {
                return Err(AdapterError::Value {
                    field,
                    found: found.chars().take(64).collect(),
                    expected: "a text of at most 512 bytes",
                    example: safe_example(line),
                });
            }
        }
        Ok(events)
    }
}

/// A name that was made of several fields and is longer than an event may hold.
fn too_long(event: &Event) -> Option<(&'static str, &str)> {
    let session = match &event.body {
        EventBody::Authentication(body) => Some(body.session.as_str()),
        EventBody::SessionEnd(body) => Some(body.session.as_str()),
        EventBody::Heartbeat(body) => body.session.as_deref(),
        EventBody::Registry(_) => None,
    };
    let names = [
        ("source", Some(event.source.as_str())),
        ("event_id", event.event_id.as_deref()),
        ("session", session),
        ("common_name", event.identity.common_name.as_deref()),
        ("client_id", event.identity.client_id.as_deref()),
    ];
    names
        .into_iter()
        .find_map(|(field, text)| text.filter(|text| text.len() > MAX_TEXT_BYTES).map(|text| (field, text)))
}

#[cfg(test)]
mod tests;
