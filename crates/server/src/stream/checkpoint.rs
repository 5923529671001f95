//! Checkpoints: the monitor's state after a step, in a file of its own.
//!
//! Format: `TMC1`, the number of the step (8 bytes, little-endian), then a snapshot (`TMS3`). A file is written beside,
//! made durable and renamed, so there is none that is half there. Two are kept that could be read or were just written:
//! if the newest is damaged, the one before it and the log give the same state.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use touchmark_monitor::{Monitor, Settings, SnapshotError};

use crate::error::ServerError;

const MAGIC: [u8; 4] = *b"TMC1";
fn name(seq: u64) -> String {
    format!("checkpoint-{seq:020}.tmc")
}

/// The checkpoints in a directory, newest first.
fn all(directory: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("checkpoint-")?.strip_suffix(".tmc")?.parse::<u64>().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Writes the state after step `seq`.
///
/// # Errors
/// [`ServerError::File`]; the earlier ones are there still.
pub fn write(directory: &Path, seq: u64, monitor: &Monitor, settings: &Settings) -> Result<(), ServerError> {
    let (path, beside) = (directory.join(name(seq)), directory.join("checkpoint.new"));
    let failed = |source| ServerError::File { action: "write", path: path.display().to_string(), source };
    let written = File::create(&beside).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&MAGIC)?;
        out.write_all(&seq.to_le_bytes())?;
        monitor.snapshot(settings, &mut out)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&beside, &path)?;
        File::open(directory)?.sync_all()
    });
    if let Err(error) = written {
        // On a full disk, half a file would be in the way.
        let _removed = std::fs::remove_file(&beside);
        return Err(failed(error));
    }
    Ok(())
}

/// Removes all but these: older ones, damaged ones, and those of other settings.
///
/// # Errors
/// [`ServerError::File`]; some may be left then.
pub fn keep(directory: &Path, kept: &[u64]) -> Result<(), ServerError> {
    let failed = |source| ServerError::File { action: "tidy", path: directory.display().to_string(), source };
    for (_, old) in all(directory).map_err(failed)?.iter().filter(|(seq, _)| !kept.contains(seq)) {
        std::fs::remove_file(old).map_err(failed)?;
    }
    Ok(())
}

/// What was found in a directory.
#[derive(Debug)]
pub struct Restored {
    /// The state, and the step that it is the state after; none when there is no checkpoint that can be used.
    pub state: Option<(u64, Monitor)>,
    /// Checkpoints that could not be used: file and reason.
    pub unusable: Vec<(PathBuf, SnapshotError)>,
}

/// Takes back the newest checkpoint that can be used and is not of a later step than `newest`.
///
/// # Errors
/// [`ServerError::File`] when the directory cannot be read.
pub fn restore(
    directory: &Path,
    newest: u64,
    settings: &Settings,
    workers: NonZeroUsize,
) -> Result<Restored, ServerError> {
    let failed = |source| ServerError::File { action: "read", path: directory.display().to_string(), source };
    let mut unusable = Vec::new();
    for (seq, path) in all(directory).map_err(failed)?.into_iter().filter(|(seq, _)| *seq <= newest) {
        match read(&path, seq, settings, workers) {
            Ok(monitor) => return Ok(Restored { state: Some((seq, monitor)), unusable }),
            Err(error) => unusable.push((path, error)),
        }
    }
    Ok(Restored { state: None, unusable })
}

fn read(path: &Path, seq: u64, settings: &Settings, workers: NonZeroUsize) -> Result<Monitor, SnapshotError> {
    let mut from = BufReader::with_capacity(1 << 20, File::open(path).map_err(SnapshotError::Read)?);
    let mut head = [0; 12];
    from.read_exact(&mut head).map_err(SnapshotError::Read)?;
    let expected: Vec<u8> = MAGIC.into_iter().chain(seq.to_le_bytes()).collect();
    if head.as_slice() != expected {
        return Err(SnapshotError::Damaged {
            detail: format!("it does not begin with TMC1 and the number {seq}"),
        });
    }
    Monitor::restore(settings, workers, &mut from)
}
