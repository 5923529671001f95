//! Replacing a file so that neither a reader nor a power loss ever sees half of it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes a file whole: beside the old one, synced, renamed over it, and the directory synced. When it returns, the
/// new content survives a power loss; when it fails, the old content is there.
///
/// `mode` holds the permissions of a file that is made, such as `0o600`.
///
/// # Errors
/// What the operating system said of the first step that failed.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
