//! The state directory: what survives a loss of power.
//!
//! The directory (mode 0700) holds `state` (mode 0600), a [journal](crate::journal) with a value for each object of the
//! applet, one for the rest of the applet's state, and two for the card manager's; `state.new` for a moment, when the
//! journal is written anew; and `fault`. `lock` is held as long as the element is open.
//!
//! Formats 1 and 2 were one line with the format and the SHA-256 of the rest, then the applet's state, and in format 2 the
//! card manager's, each one line of JSON. They are read, and the first commit writes a journal in their place.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use touchmark_identity::key::sha256;
use touchmark_identity::text::printable;
use zeroize::Zeroizing;

use crate::error::ElementError;
use crate::fault::Faults;
use crate::gp::{Gp, KeySet};
use crate::journal::{self, Batch, Journal, Values};
use crate::object::State;

/// Name of the state file.
const STATE: &str = "state";
/// Beginnings of the state files before there were journals: with a card manager, and without.
const FORMAT_2: &str = "touchmark-element-state/2";
const FORMAT_1: &str = "touchmark-element-state/1";

/// Keys in the journal: the applet's state without the objects, the card manager's without the key sets, the key sets,
/// and in front of an object's id.
const CHIP: &[u8] = b"chip";
const GP: &[u8] = b"gp";
const KEYS: &[u8] = b"gp/keys";
const OBJECT: &str = "object/";

/// An open state directory.
pub(crate) struct StateDir {
    _lock: Lock,
    /// What a test armed.
    pub(crate) faults: Faults,
    journal: Journal,
    /// The applet's state and the card manager's, as they are in the journal.
    last: Option<(State, Arc<Gp>)>,
}

impl StateDir {
    /// Makes the directory where there is none, and takes its lock.
    pub(crate) fn create(dir: &Path) -> Result<Self, ElementError> {
        let failed = |source| ElementError::File { action: "make", path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let lock = lock(dir)?;
        let path = dir.join(STATE);
        let failed = |source| ElementError::File { action: "look for", path: path.clone(), source };
        if path.try_exists().map_err(failed)? {
            return Err(ElementError::Exists { path: dir.to_owned() });
        }
        let faults = Faults::open(dir)?;
        Ok(Self { _lock: lock, faults, journal: Journal::new(path), last: None })
    }

    /// Takes the lock of a directory that holds a state, and reads it. There is no card manager's state in format 1.
    pub(crate) fn open(dir: &Path) -> Result<(Self, State, Option<Arc<Gp>>), ElementError> {
        // Looked for before the lock is made, so that nothing is left in a directory that was named by mistake.
        let path = dir.join(STATE);
        if matches!(path.try_exists(), Ok(false)) {
            return Err(ElementError::Missing { path: dir.to_owned() });
        }
        let lock = lock(dir)?;
        let bytes = journal::load(&path)?.ok_or_else(|| ElementError::Missing { path: dir.to_owned() })?;
        let faults = Faults::open(dir)?;
        if !journal::is_journal(&bytes) {
            let (state, gp) = read_old(&path, &bytes)?;
            let store = Self { _lock: lock, faults, journal: Journal::new(path), last: None };
            return Ok((store, state, gp.map(Arc::new)));
        }
        let journal = Journal::open(path.clone(), &bytes)?;
        let (state, gp) = decode(&path, journal.values())?;
        let gp = Arc::new(gp);
        let last = Some((state.clone(), Arc::clone(&gp)));
        Ok((Self { _lock: lock, faults, journal, last }, state, Some(gp)))
    }

    /// Reads the state, whoever has it open.
    pub(crate) fn read(dir: &Path) -> Result<(State, Option<Gp>), ElementError> {
        let path = dir.join(STATE);
        let bytes = journal::load(&path)?.ok_or_else(|| ElementError::Missing { path: dir.to_owned() })?;
        if !journal::is_journal(&bytes) {
            return read_old(&path, &bytes);
        }
        let (state, gp) = decode(&path, &journal::read(&path, &bytes)?)?;
        Ok((state, Some(gp)))
    }

    /// Makes the state durable. What is shared with the state before is not looked at. After an error nobody knows which of
    /// the two states a reader finds, so the caller has to stop.
    pub(crate) fn commit(&mut self, state: &State, gp: &Arc<Gp>) -> Result<(), ElementError> {
        let path = self.journal.path().to_owned();
        let corrupt = |detail| ElementError::Corrupt { path: path.clone(), detail };
        let mut batch = Batch::default();
        for (id, object) in &state.objects {
            let same = self.last.as_ref().is_some_and(|(last, _)| {
                let old = last.objects.get(id);
                old.is_some_and(|old| Arc::ptr_eq(old, object)) && last.failed(*id) == state.failed(*id)
            });
            if !same {
                batch.put(object_key(*id), state.encode_one(*id, object).map_err(corrupt)?);
            }
        }
        let old = self.last.iter().flat_map(|(last, _)| last.objects.keys());
        for id in old.filter(|id| !state.objects.contains_key(id)) {
            batch.delete(object_key(*id));
        }
        let mut rows = vec![(CHIP, state.encode_rest())];
        if self.last.as_ref().is_none_or(|(_, last)| !Arc::ptr_eq(last, gp)) {
            let without_keys = Gp { keys: Vec::new(), ..Gp::clone(gp) };
            rows.push((GP, json(&without_keys, without_keys.footprint())));
            rows.push((KEYS, json(&gp.keys, gp.footprint())));
        }
        for (key, value) in rows {
            let value = value.map_err(corrupt)?;
            if self.journal.values().get(key).is_none_or(|old| *old != value) {
                batch.put(key, value);
            }
        }
        self.journal.commit(batch, &mut self.faults)?;
        self.last = Some((state.clone(), Arc::clone(gp)));
        Ok(())
    }

    /// Lets the journal be written anew after each commit.
    #[cfg(test)]
    pub(crate) fn compact_always(&mut self) {
        self.journal.compact_always();
    }
}

/// A lock, given back at once when it is dropped: a child that another thread is just starting has a copy of the file until
/// it runs its program.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Otherwise it ends with the last copy.
        let _unlocked = self.0.unlock();
    }
}

fn lock(dir: &Path) -> Result<Lock, ElementError> {
    let path = dir.join("lock");
    let failed = |source| ElementError::File { action: "lock", path: path.clone(), source };
    let mut options = OpenOptions::new();
    let lock = options.create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(Lock(lock)),
        Err(TryLockError::WouldBlock) => Err(ElementError::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn object_key(id: u32) -> String {
    format!("{OBJECT}{id:08x}")
}

/// JSON in a buffer that is large enough not to be moved, which would leave a copy of the keys behind.
fn json(value: &impl Serialize, footprint: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut json = Zeroizing::new(Vec::with_capacity(1024 + 8 * footprint));
    serde_json::to_writer(&mut *json, value).map_err(|error| error.to_string())?;
    Ok(json)
}

/// A value from its JSON. Why it is none names what stands there, and a terminal shows that: nothing of it that a terminal
/// obeys, and not all of it.
pub(crate) fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| printable(&error.to_string(), 200))
}

/// The state from the values of a journal.
fn decode(path: &Path, values: &Values) -> Result<(State, Gp), ElementError> {
    let corrupt = |detail| ElementError::Corrupt { path: path.to_owned(), detail };
    let value = |key: &[u8]| {
        let name = || format!("it has no {}", String::from_utf8_lossy(key));
        values.get(key).ok_or_else(|| corrupt(name()))
    };
    let mut state = State::decode(value(CHIP)?).map_err(corrupt)?;
    for (key, value) in values.range(OBJECT.as_bytes().to_vec()..) {
        if !key.starts_with(OBJECT.as_bytes()) {
            break;
        }
        let id = state.decode_one(value).map_err(corrupt)?;
        if *key != object_key(id).as_bytes() {
            return Err(corrupt(format!("the object {id:08x} stands under another id")));
        }
    }
    let mut gp = Gp::decode(value(GP)?).map_err(corrupt)?;
    gp.keys = from_json::<Vec<KeySet>>(value(KEYS)?).map_err(corrupt)?;
    Ok((state, gp))
}

/// Reads a state of the formats 1 and 2.
fn read_old(path: &Path, bytes: &[u8]) -> Result<(State, Option<Gp>), ElementError> {
    let corrupt = |detail| ElementError::Corrupt { path: path.to_owned(), detail };
    let (objects, gp) = body(bytes).map_err(corrupt)?;
    let state = State::decode(objects).map_err(corrupt)?;
    let gp = gp.map(Gp::decode).transpose().map_err(corrupt)?;
    Ok((state, gp))
}

/// The lines of JSON behind the header line of the formats 1 and 2, when they are what the header says: the applet's, and
/// the card manager's.
fn body(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("there is no header line")?;
    let (header, rest) = bytes.split_at(end);
    let json = rest.get(1..).unwrap_or(&[]);
    let digest = hex::encode(sha256(json));
    if header == format!("{FORMAT_1} {digest}").as_bytes() {
        return Ok((json, None));
    }
    let expected = format!("{FORMAT_2} {digest}");
    if header != expected.as_bytes() {
        let line = printable(&String::from_utf8_lossy(header), 100);
        return Err(format!("its first line is {line:?}, of no known format"));
    }
    let mut lines = json.split(|byte| *byte == b'\n');
    match (lines.next(), lines.next(), lines.next(), lines.next()) {
        (Some(objects), Some(gp), Some([]), None) => Ok((objects, Some(gp))),
        _ => Err("there are not two lines behind the header".to_owned()),
    }
}
