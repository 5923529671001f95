//! What verbs read: files of the user's, and a server's data directory.

use std::path::Path;

use touchmark_economics::EconomicsError;
use touchmark_economics::error::Text;
use touchmark_economics::evidence::FleetFacts;
use touchmark_economics::input::Inputs;

use crate::failure::Usage;
use crate::input::read;

/// A text file of the user's, and its name.
pub(super) fn own_text(path: &Path) -> anyhow::Result<(String, String)> {
    let text = String::from_utf8(read(path)?)
        .map_err(|_| Usage(format!("{} is not UTF-8; save it as UTF-8", path.display())))?;
    Ok((path.display().to_string(), text))
}

/// Reads a file of the user's as what it is.
pub(super) fn read_text<T>(
    path: &Path,
    parse: impl FnOnce(Text<'_>) -> Result<T, EconomicsError>,
) -> anyhow::Result<T> {
    let (file, text) = own_text(path)?;
    Ok(parse(Text { file: &file, text: &text })?)
}

/// What a server's data directory says of its fleet.
pub(super) fn fleet_facts(directory: &Path, inputs: &Inputs) -> anyhow::Result<FleetFacts> {
    let days = inputs.get("evidence.expiry-days").map_or(0.0, |input| input.likely);
    Ok(touchmark_server::fleet::facts(directory, crate::now(), days)?)
}
