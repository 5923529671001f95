//! Where a key file lies.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use touchmark_identity::key::sha256;
use zeroize::Zeroizing;

use crate::durable;
use crate::store::StoreError;

/// No key file is larger than this, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A place that holds one document. Saving is atomic and durable: after a power loss the medium holds the old document
/// or the new one, whole, and the new one once [`Medium::save`] has returned.
pub trait Medium: Send {
    /// The document, or `None` where none was ever saved.
    ///
    /// # Errors
    /// [`StoreError::File`] when the medium cannot be read.
    fn load(&mut self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces the document.
    ///
    /// # Errors
    /// [`StoreError::File`] when the medium cannot be written, and when somebody else has written it since it was last
    /// loaded or saved: what he wrote is not overwritten.
    fn save(&mut self, document: &[u8]) -> Result<(), StoreError>;

    /// The place, for messages.
    fn place(&self) -> String;
}

/// A file of its own, mode 0600, held by one process at a time.
#[derive(Debug)]
pub struct FileMedium {
    path: PathBuf,
    /// SHA-256 of what it held when it was last loaded or saved.
    last: Option<[u8; 32]>,
    _held: Held,
}

impl FileMedium {
    /// Takes hold of a file, which need not exist yet.
    ///
    /// # Errors
    /// [`StoreError::File`] when another process holds it or its directory cannot be written.
    pub fn hold(path: &Path) -> Result<Self, StoreError> {
        let held = hold(path)?;
        Ok(Self { path: path.to_owned(), last: None, _held: held })
    }
}

impl Medium for FileMedium {
    fn load(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let found = read_if_there(&self.path)?;
        self.last = found.as_deref().map(sha256);
        Ok(found)
    }

    fn save(&mut self, document: &[u8]) -> Result<(), StoreError> {
        let found = read_if_there(&self.path)?.map(Zeroizing::new);
        if found.map(|found| sha256(&found)) != self.last {
            return Err(changed_by_another(&self.path));
        }
        replace(&self.path, document)?;
        self.last = Some(sha256(document));
        Ok(())
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }
}

pub(super) fn file_error(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> StoreError + use<> {
    let path = path.display().to_string();
    move |source| StoreError::File { action, path: path.clone(), source }
}

/// The lock keeps off whoever heeds it. Who does not, is noticed before anything of his is overwritten.
pub(super) fn changed_by_another(path: &Path) -> StoreError {
    let says = "another program has changed it since it was read; open the store anew";
    file_error("write", path)(std::io::Error::other(says))
}

/// A lock, given back at once when it is dropped: a child that another thread is just starting has a copy of the file until
/// it runs its program.
#[derive(Debug)]
pub(super) struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // Otherwise it ends with the last copy.
        let _unlocked = self.0.unlock();
    }
}

/// Locks `PATH.lock` for as long as the returned handle lives. The lock lies beside the file because saving replaces
/// the file itself.
pub(super) fn hold(path: &Path) -> Result<Held, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&beside)
        .map_err(file_error("open", &beside))?;
    lock.try_lock().map_err(|e| match e {
        std::fs::TryLockError::WouldBlock => StoreError::File {
            action: "open",
            path: path.display().to_string(),
            source: std::io::Error::new(
                std::io::ErrorKind::ResourceBusy,
                "another process uses this key store",
            ),
        },
        std::fs::TryLockError::Error(source) => file_error("lock", &beside)(source),
    })?;
    Ok(Held(lock))
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error("read", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(file_error("read", path))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(StoreError::Corrupt {
            path: path.display().to_string(),
            detail: format!("it is larger than {MAX_FILE_BYTES} bytes"),
        });
    }
    Ok(Some(bytes))
}

/// Writes a whole file that its owner alone may read.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    durable::replace(path, content, 0o600).map_err(file_error("write", path))
}
