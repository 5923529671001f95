//! What a device is told before it starts: one TOML file.

use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use touchmark_identity::assurance::Storage;
use touchmark_identity::ids::{DeviceId, DeviceType, KeyName};
use touchmark_identity::key::PublicKey;
use touchmark_keystore::uri::StoreUri;

use crate::error::{AgentError, quoted};
use crate::firmware::Version;
use crate::http::Endpoint;

/// No configuration is larger than this, in bytes.
const MAX_CONFIG_BYTES: u64 = 64 * 1024;
/// The shortest time between two heartbeats, in milliseconds.
const MIN_HEARTBEAT_MS: u64 = 10;
/// The longest time between two heartbeats, in milliseconds: one day.
const MAX_HEARTBEAT_MS: u64 = 86_400_000;

/// The configuration of one device. Unknown keys are refused. Paths are relative to the working directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The device's name; it becomes the certificate's common name.
    pub device: DeviceId,
    /// The kind of device.
    pub device_type: DeviceType,
    /// Where the key lives, as an address that [`StoreUri`] reads: `software:FILE`, `software:IMAGE#FILE`,
    /// `tpm:DEVICE`, `element:tcp:HOST:PORT`, `element:pcsc:READER`, `element:i2c:DEVICE`, `pkcs11:…`.
    #[serde(deserialize_with = "store_uri")]
    pub store: StoreUri,
    /// A file that holds the passphrase or PIN of the store. Default: none; a key file is then in plain flash mode.
    #[serde(default)]
    pub passphrase_file: Option<PathBuf>,
    /// The key's name in the store. Default: `identity`.
    #[serde(default = "default_key")]
    pub key: KeyName,
    /// The flash image that holds what the agent remembers (`state.json`, `certificate.pem`, `enrolment.json`); made
    /// with 256 KiB when it is missing. One of `flash` and `state_dir` is given. Default: none.
    #[serde(default)]
    pub flash: Option<PathBuf>,
    /// The directory that holds what the agent remembers, where there is no flash image. Default: none.
    #[serde(default)]
    pub state_dir: Option<PathBuf>,
    /// Base of the enrolment server, `https://HOST[:PORT][/PREFIX]`.
    pub server: Endpoint,
    /// Base of the telemetry gate, `https://HOST[:PORT][/PREFIX]`.
    pub telemetry: Endpoint,
    /// A PEM file with the roots of server and telemetry gate; no other root is believed.
    pub trust_anchors: PathBuf,
    /// A file that holds the one-time token. Default: none; enrolment then refuses to begin.
    #[serde(default)]
    pub enrol_token_file: Option<PathBuf>,
    /// The source address of every connection. Default: the operating system's choice.
    #[serde(default)]
    pub bind_address: Option<IpAddr>,
    /// Milliseconds between two heartbeats, 10 to 86,400,000. Default: 60,000.
    #[serde(default = "default_heartbeat_ms")]
    pub heartbeat_ms: u64,
    /// What the device says of its storage. Default: what the store says of itself.
    #[serde(default)]
    pub claims: Option<Storage>,
    /// Version of the firmware that the device runs at first.
    pub firmware: Version,
    /// Security version of that firmware, which anti-rollback compares.
    pub security_version: u64,
    /// The public key of firmware releases, hex of its DER `SubjectPublicKeyInfo`. Default: none; every offer is then
    /// refused.
    #[serde(default, deserialize_with = "release_key")]
    pub release_key: Option<PublicKey>,
    /// A directory in which firmware offers (`*.tmfw`) arrive. Default: none.
    #[serde(default)]
    pub update_inbox: Option<PathBuf>,
    /// Acknowledged heartbeats after which the agent stops by itself. Default: none, it runs until it is told to stop.
    #[serde(default)]
    pub max_heartbeats: Option<u64>,
}

fn default_key() -> KeyName {
    #[expect(clippy::expect_used, reason = "the literal is a valid name, and a test reads it")]
    KeyName::new("identity").expect("a valid name")
}

fn default_heartbeat_ms() -> u64 {
    60_000
}

fn store_uri<'de, D: Deserializer<'de>>(from: D) -> Result<StoreUri, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

fn release_key<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PublicKey>, D::Error> {
    let der = hex::decode(String::deserialize(from)?).map_err(serde::de::Error::custom)?;
    PublicKey::from_spki_der(&der).map(Some).map_err(serde::de::Error::custom)
}

impl AgentConfig {
    /// Reads a configuration from its text; `path` is for messages.
    ///
    /// # Errors
    /// [`AgentError::Config`] when the text is not TOML, has unknown keys, or values outside their ranges.
    pub fn parse(text: &str, path: &str) -> Result<Self, AgentError> {
        let unusable = |detail: String| AgentError::Config { path: path.to_owned(), detail };
        let config: Self = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| 1 + before.matches('\n').count());
            unusable(match line {
                Some(line) => format!("line {line}: {}", quoted(error.message())),
                None => quoted(error.message()),
            })
        })?;
        if !(MIN_HEARTBEAT_MS..=MAX_HEARTBEAT_MS).contains(&config.heartbeat_ms) {
            return Err(unusable(format!(
                "heartbeat_ms is {MIN_HEARTBEAT_MS} to {MAX_HEARTBEAT_MS}, found {}",
                config.heartbeat_ms
            )));
        }
        if config.flash.is_some() == config.state_dir.is_some() {
            return Err(unusable("one of flash and state_dir says where the agent's state lies".to_owned()));
        }
        Ok(config)
    }

    /// Reads a configuration from a file.
    ///
    /// # Errors
    /// [`AgentError::File`] when it cannot be read; [`AgentError::Config`] as for [`AgentConfig::parse`].
    pub fn load(path: &Path) -> Result<Self, AgentError> {
        let failed = AgentError::file("read", path);
        let mut text = String::new();
        let file = fs::File::open(path).map_err(&failed)?;
        file.take(MAX_CONFIG_BYTES + 1).read_to_string(&mut text).map_err(&failed)?;
        let name = path.display().to_string();
        if text.len() as u64 > MAX_CONFIG_BYTES {
            return Err(AgentError::Config {
                path: name,
                detail: format!("it is larger than {MAX_CONFIG_BYTES} bytes"),
            });
        }
        Self::parse(&text, &name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEAST: &str = "device = 'm1'\ndevice_type = 'meter'\nstore = 'tpm:/dev/tpmrm0'\nstate_dir = 's'\n\
        server = 'https://a'\ntelemetry = 'https://b:9443'\ntrust_anchors = 'r.pem'\nfirmware = '1.0'\n\
        security_version = 1\n";

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let config = AgentConfig::parse(LEAST, "c").unwrap();
        assert_eq!(config.key.as_str(), "identity");
        assert_eq!(config.heartbeat_ms, 60_000);
        assert!(config.release_key.is_none() && config.claims.is_none() && config.max_heartbeats.is_none());
    }

    #[test]
    fn says_what_is_wrong() {
        for (added, says) in [
            ("flsh = 'x'", "unknown field `flsh`"),
            ("flash = 'x'", "one of flash and state_dir"),
            ("heartbeat_ms = 9", "10 to 86400000, found 9"),
            ("claims = 'hardware'", "unknown variant `hardware`"),
            ("release_key = '00'", "not an uncompressed P-256"),
            ("bind_address = 'localhost'", "invalid IP address"),
        ] {
            let error = AgentConfig::parse(&format!("{LEAST}{added}\n"), "c").unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.code(), "AG-0001");
        }
        let error = AgentConfig::parse(&LEAST.replace("https://a", "http://a"), "c").unwrap_err().to_string();
        assert!(error.contains("line 5") && error.contains("https://"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,200}") {
            let _ = AgentConfig::parse(&text, "c");
            let _ = AgentConfig::parse(&format!("{LEAST}{text}"), "c");
        }
    }
}
