//! The policy file of a replay and of a rehearsal.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use touchmark_monitor::Settings;
use touchmark_monitor::respond::{self, Group, Rule};

use crate::failure::Usage;

/// The policy file. A replay uses `monitor`, a rehearsal the rest; both check all of it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PolicyFile {
    monitor: Settings,
    response: Vec<Rule>,
    groups: BTreeMap<String, Group>,
}

impl PolicyFile {
    pub(super) fn read(path: &Path) -> anyhow::Result<(Settings, respond::Policy)> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
        let file: Self = toml::from_str(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
        let policy = respond::Policy::new(file.response, file.groups)
            .with_context(|| format!("{} cannot be used", path.display()))?;
        Ok((file.monitor, policy))
    }
}
