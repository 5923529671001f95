//! The policy file (`docs/response.md`): one form for the server, a replay and a rehearsal.

use std::collections::BTreeMap;

use serde::Deserialize;
use touchmark_monitor::Settings;
use touchmark_monitor::respond::{Group, Policy, ResponseError, Rule};

/// A policy file. A replay uses `monitor`, the server and a rehearsal use the rest; all of them check all of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFile {
    /// Windows and tolerances of a replay. The server's own stand in its configuration.
    pub monitor: Settings,
    /// The rules.
    pub response: Vec<Rule>,
    /// Groups of devices by name.
    pub groups: BTreeMap<String, Group>,
}

impl PolicyFile {
    /// Reads TOML.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The rules and groups, checked, and the settings of a replay.
    ///
    /// # Errors
    /// [`ResponseError::Policy`].
    pub fn into_parts(self) -> Result<(Settings, Policy), ResponseError> {
        Ok((self.monitor, Policy::new(self.response, self.groups)?))
    }
}
