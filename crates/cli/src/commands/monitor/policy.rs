//! The policy file of a replay and of a rehearsal.

use std::path::Path;

use anyhow::Context;
use touchmark_monitor::Settings;
use touchmark_monitor::respond::Policy;
use touchmark_server::respond::PolicyFile;

use crate::failure::Usage;

/// What a replay uses, and what a rehearsal uses.
pub(super) fn read(path: &Path) -> anyhow::Result<(Settings, Policy)> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
    let file = PolicyFile::parse(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
    file.into_parts().with_context(|| format!("{} cannot be used", path.display()))
}
