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
    power::step()?;
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&beside)?;
    power::step().inspect_err(|_| torn(&mut file, content))?;
    file.write_all(content)?;
    power::step()?;
    file.sync_all()?;
    power::step()?;
    std::fs::rename(&beside, path)?;
    power::step()?;
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()?;
    power::step()
}

/// What a loss of power in the middle of a write leaves.
fn torn(file: &mut File, content: &[u8]) {
    let (half, _) = content.split_at(content.len() / 2);
    let _lost = file.write_all(half);
}

/// Power is there, outside of tests.
#[cfg(not(test))]
mod power {
    pub(super) fn step() -> std::io::Result<()> {
        Ok(())
    }
}

/// A test takes the power away before one of the steps; it is gone then, until the test gives it back.
#[cfg(test)]
pub(crate) mod power {
    use std::cell::Cell;

    thread_local! {
        /// Steps until the power fails; 0 when it has failed.
        static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// The power of this thread fails at the `nth` step from now on.
    pub(crate) fn cut_at(nth: u64) {
        LEFT.set(Some(nth));
    }

    /// Gives the power back; whether it had failed.
    pub(crate) fn restore() -> bool {
        LEFT.take() == Some(0)
    }

    pub(super) fn step() -> std::io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(left @ 2..) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
            Some(_) => {
                LEFT.set(Some(0));
                Err(std::io::Error::other("the test took the power away"))
            }
        }
    }
}
