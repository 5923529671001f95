//! A line into an observation.

use touchmark_identity::event::{Event, EventError, RawDigest};

use super::{Item, TextCache};

/// Reads one line without its line feed.
///
/// # Errors
/// As [`Event::from_line`].
pub(crate) fn read_line(line: &[u8], texts: &mut TextCache) -> Result<Item, EventError> {
    Ok(Item::of(Event::from_line(line)?, RawDigest::of(line), texts))
}
