//! The state directory: what survives a loss of power.
//!
//! The directory (mode 0700) holds `state` (mode 0600): one line with the format and the SHA-256 of the rest, then
//! the applet's state and the card manager's, each one line of JSON. Format 1 had the applet's alone: it is read, and
//! the card manager is that of a new card. A commit writes `state.new`, flushes it, renames it over `state` and flushes the directory; a
//! reader sees the old state or the new one, never a mixture, at whatever moment the process dies. `lock` is held
//! as long as the element is open.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use touchmark_identity::key::sha256;
use zeroize::Zeroizing;

use crate::error::ElementError;
use crate::fault::{Faults, OnWrite};
use crate::gp::Gp;
use crate::object::State;

/// Name of the state file.
const STATE: &str = "state";
/// Format and version of the state file.
const FORMAT: &str = "touchmark-element-state/2";
/// The format before there was a card manager.
const FORMAT_1: &str = "touchmark-element-state/1";
/// No state is larger, in bytes: the memory limit of the element in hex, with room for structure.
const MAX_STATE_BYTES: u64 = 4 * 1024 * 1024;

/// An open state directory.
pub(crate) struct StateDir {
    dir: PathBuf,
    _lock: File,
    /// What a test armed.
    pub(crate) faults: Faults,
}

impl StateDir {
    /// Makes the directory where there is none, and takes its lock.
    pub(crate) fn create(dir: &Path) -> Result<Self, ElementError> {
        let failed = |source| ElementError::File { action: "make", path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let store = Self::lock(dir)?;
        let exists = store.file().try_exists();
        if exists.map_err(|source| ElementError::File { action: "look for", path: store.file(), source })? {
            return Err(ElementError::Exists { path: dir.to_owned() });
        }
        Ok(store)
    }

    /// Takes the lock of a directory that holds a state, and reads it. There is no card manager's state in format 1.
    pub(crate) fn open(dir: &Path) -> Result<(Self, State, Option<Gp>), ElementError> {
        // Looked for before the lock is made, so that nothing is left in a directory that was named by mistake.
        if matches!(dir.join(STATE).try_exists(), Ok(false)) {
            return Err(ElementError::Missing { path: dir.to_owned() });
        }
        let store = Self::lock(dir)?;
        let (state, gp) = Self::read(dir)?;
        Ok((store, state, gp))
    }

    /// Reads the state, whoever has it open.
    pub(crate) fn read(dir: &Path) -> Result<(State, Option<Gp>), ElementError> {
        let path = dir.join(STATE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                return Err(ElementError::Missing { path: dir.to_owned() });
            }
            Err(source) => return Err(ElementError::File { action: "open", path, source }),
        };
        let length = file.metadata().map_or(0, |about| about.len());
        let corrupt = |detail: String| ElementError::Corrupt { path: path.clone(), detail };
        if length > MAX_STATE_BYTES {
            return Err(corrupt(format!("{length} bytes are over the limit of {MAX_STATE_BYTES}")));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
        let read = file.take(MAX_STATE_BYTES).read_to_end(&mut bytes);
        read.map_err(|source| ElementError::File { action: "read", path: path.clone(), source })?;
        let (objects, gp) = body(&bytes).map_err(corrupt)?;
        let state = State::decode(objects).map_err(corrupt)?;
        let gp = gp.map(Gp::decode).transpose().map_err(corrupt)?;
        Ok((state, gp))
    }

    fn lock(dir: &Path) -> Result<Self, ElementError> {
        let path = dir.join("lock");
        let failed = |source| ElementError::File { action: "lock", path: path.clone(), source };
        let mut options = OpenOptions::new();
        let lock =
            options.create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock, faults: Faults::open(dir)? }),
            Err(TryLockError::WouldBlock) => Err(ElementError::Locked { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.join(STATE)
    }

    /// Makes the state durable. After an error nobody knows which of the two states a reader finds, so the caller has
    /// to stop.
    pub(crate) fn commit(&mut self, state: &State, gp: &Gp) -> Result<(), ElementError> {
        let path = self.file();
        let corrupt = |detail| ElementError::Corrupt { path: path.clone(), detail };
        let objects = state.encode().map_err(corrupt)?;
        let gp = Zeroizing::new(serde_json::to_vec(gp).map_err(|error| corrupt(error.to_string()))?);
        let json = Zeroizing::new([objects.as_slice(), b"\n", gp.as_slice(), b"\n"].concat());
        let header = format!("{FORMAT} {}\n", hex::encode(sha256(&json)));
        let on_write = self.faults.on_write()?;
        if let OnWrite::Before(fault) = on_write {
            return Err(ElementError::PowerCut { fault });
        }

        let path = self.dir.join("state.new");
        let failed = |action| {
            let path = path.clone();
            move |source| ElementError::File { action, path, source }
        };
        let mut options = OpenOptions::new();
        let mut new = options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed("make"))?;
        new.write_all(header.as_bytes()).map_err(failed("write"))?;
        if let OnWrite::Torn(fault) = on_write {
            let (torn, _) = json.split_at(json.len() / 2);
            new.write_all(torn).map_err(failed("write"))?;
            return Err(ElementError::PowerCut { fault });
        }
        new.write_all(&json).map_err(failed("write"))?;
        new.sync_all().map_err(failed("flush"))?;
        fs::rename(&path, self.file()).map_err(failed("rename"))?;
        let flushed = File::open(&self.dir).and_then(|dir| dir.sync_all());
        flushed.map_err(|source| ElementError::File { action: "flush", path: self.dir.clone(), source })?;
        match on_write {
            OnWrite::After(fault) => Err(ElementError::PowerCut { fault }),
            _ => Ok(()),
        }
    }
}

/// The lines of JSON behind the header line, when they are what the header says: the applet's, and the card manager's.
fn body(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("there is no header line")?;
    let (header, rest) = bytes.split_at(end);
    let json = rest.get(1..).unwrap_or(&[]);
    let digest = hex::encode(sha256(json));
    if header == format!("{FORMAT_1} {digest}").as_bytes() {
        return Ok((json, None));
    }
    let expected = format!("{FORMAT} {digest}");
    if header != expected.as_bytes() {
        return Err(format!(
            "the header line is {:?}, expected {expected:?}",
            String::from_utf8_lossy(header)
        ));
    }
    let mut lines = json.split(|byte| *byte == b'\n');
    match (lines.next(), lines.next(), lines.next(), lines.next()) {
        (Some(objects), Some(gp), Some([]), None) => Ok((objects, Some(gp))),
        _ => Err("there are not two lines behind the header".to_owned()),
    }
}
