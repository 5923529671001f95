//! The findings log: one line for each revision of each finding, in a file that only grows.
//!
//! Ids are deterministic, so a monitor that repeats work after a crash finds the same; what is in the file already is not
//! written again. A line that a crash cut off is removed when the file is opened.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use touchmark_identity::finding::Finding;
use touchmark_identity::key::sha256;

use crate::error::ServerError;

/// The file's name in the data directory.
pub const FILE: &str = "findings.ndjson";

/// What names a revision of a finding: 16 bytes of a hash, so that the set stays small.
fn key(finding: &Finding) -> [u8; 16] {
    let mut key = [0; 16];
    let hash = sha256(format!("{}:{}", finding.id, finding.revision).as_bytes());
    key.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    key
}

/// The open file.
#[derive(Debug)]
pub struct FindingsLog {
    file: File,
    path: PathBuf,
    length: u64,
    known: HashSet<[u8; 16]>,
}

impl FindingsLog {
    /// Opens the file in a directory, or makes it.
    ///
    /// # Errors
    /// [`ServerError::File`] when it cannot be read or written, or holds a whole line that is no finding.
    pub fn open(directory: &Path) -> Result<Self, ServerError> {
        let path = directory.join(FILE);
        let failed = |source| ServerError::File { action: "open", path: path.display().to_string(), source };
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let (mut known, mut length) = (HashSet::new(), 0);
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let finding = Finding::from_line(&line).map_err(|error| {
                failed(std::io::Error::other(format!("at byte {length} is no finding: {error}")))
            })?;
            known.insert(key(&finding));
            length += u64::try_from(read).unwrap_or(0);
        }
        file.set_len(length).map_err(failed)?;
        // A new file is durable with its entry in the directory.
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(Self { file, path, length, known })
    }

    /// Writes those findings that are not in the file yet, and gives them; durable when it returns.
    ///
    /// # Errors
    /// [`ServerError::File`]; the file is as it was then.
    pub fn append(&mut self, findings: &[Finding]) -> Result<usize, ServerError> {
        let mut fresh = HashSet::new();
        let mut bytes = Vec::new();
        for finding in findings {
            let key = key(finding);
            if !self.known.contains(&key) && fresh.insert(key) {
                bytes.extend_from_slice(finding.to_line().as_bytes());
                bytes.push(b'\n');
            }
        }
        if fresh.is_empty() {
            return Ok(0);
        }
        let path = &self.path;
        let failed = |source| ServerError::File { action: "write", path: path.display().to_string(), source };
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(&bytes))
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line must not stand before the next one. What cannot be cut off now is overwritten by it.
            let _cut = self.file.set_len(self.length);
            return Err(failed(error));
        }
        self.length += u64::try_from(bytes.len()).unwrap_or(0);
        let number = fresh.len();
        self.known.extend(fresh);
        Ok(number)
    }

    /// How long the file is, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The lines from a place on, at most about `limit` bytes of them, and the place after them.
    ///
    /// # Errors
    /// [`ServerError::File`] when it cannot be read.
    pub fn from(&self, place: u64, limit: usize) -> Result<(Vec<Finding>, u64), ServerError> {
        let failed =
            |source| ServerError::File { action: "read", path: self.path.display().to_string(), source };
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(place)).map_err(failed)?;
        let mut reader = BufReader::new(file.take(self.length.saturating_sub(place)));
        let (mut found, mut read, mut line) = (Vec::new(), 0, Vec::new());
        while read < limit {
            line.clear();
            let taken = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if taken == 0 {
                break;
            }
            read += taken;
            found.push(Finding::from_line(&line).map_err(|error| failed(std::io::Error::other(error)))?);
        }
        Ok((found, place + u64::try_from(read).unwrap_or(0)))
    }
}
