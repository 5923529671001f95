//! A device, opened: its key store, and what the agent remembers beside it.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use touchmark_identity::ids::KeyName;
use touchmark_keystore::durable;
use touchmark_keystore::software::flash::FlashImage;
use touchmark_keystore::uri::{Secret, StoreUri};
use touchmark_keystore::{KeyStore, StoreError};

use crate::config::AgentConfig;
use crate::error::AgentError;
use crate::secret;

/// Size of a flash image that the agent makes, in bytes.
pub const FLASH_BYTES: usize = 256 * 1024;
/// No record of the agent is larger than this, in bytes.
const MAX_RECORD_BYTES: u64 = 64 * 1024;

/// Which record of the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// `state.json`: counters, continuity token, firmware, what waits for an answer.
    State,
    /// `certificate.pem`: the device's certificate, then its issuers.
    Certificate,
    /// `enrolment.json`: an enrolment that was begun; empty once it is over.
    Enrolment,
}

impl Record {
    /// The file's name on flash, and the object's name in a key store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "state.json",
            Self::Certificate => "certificate.pem",
            Self::Enrolment => "enrolment.json",
        }
    }
}

/// A key store that TLS and the agent share. One call at a time; every call blocks the thread for as long as the part
/// needs, which is the right thing for an agent that does nothing else.
#[derive(Clone)]
pub struct SharedStore(Arc<Mutex<Box<dyn KeyStore>>>);

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedStore")
    }
}

impl SharedStore {
    /// Shares a store.
    #[must_use]
    pub fn new(store: Box<dyn KeyStore>) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// Has the store do something; `action` is the verb for messages.
    ///
    /// # Errors
    /// [`AgentError::Store`] with what the store said; [`AgentError::Internal`] when an earlier call ended in a panic,
    /// after which nobody knows what the part is in the middle of.
    pub fn with<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut dyn KeyStore) -> Result<T, StoreError>,
    ) -> Result<T, AgentError> {
        let mut store = self.0.lock().map_err(|_| AgentError::Internal {
            operation: "using the key store",
            detail: "an earlier call ended in a panic; start the agent again".to_owned(),
        })?;
        work(store.as_mut()).map_err(AgentError::store(action))
    }
}

/// Where the records lie. Each is replaced whole: after a power loss the old one or the new one is there.
enum Place {
    /// Objects of the key store, which lies in the same flash image and holds it.
    Objects(SharedStore),
    /// Files in a flash image.
    Flash(Box<FlashImage>),
    /// Files in a directory.
    Directory(PathBuf),
}

/// A device: its key store, and its records.
///
/// The records lie on flash, in the clear. With a chip for a key store this is the point of the exercise: whoever reads
/// the flash gets certificate, token and state, everything but the key. With a key file in the same flash image they
/// are objects of that key store, since an image is held by one owner at a time.
pub struct Device {
    store: SharedStore,
    place: Place,
    path: PathBuf,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device(records in {})", self.path.display())
    }
}

impl Device {
    /// Opens the key store and the place of the records that the configuration names. A missing flash image is made
    /// with [`FLASH_BYTES`], a missing directory is made.
    ///
    /// # Errors
    /// [`AgentError::Store`] when the key store cannot be opened; [`AgentError::File`] when the place of the records
    /// cannot be made.
    pub fn open(config: &AgentConfig) -> Result<Self, AgentError> {
        if let Some(flash) = &config.flash
            && !flash.exists()
        {
            FlashImage::create(flash, FLASH_BYTES).map_err(AgentError::store("make the flash image"))?;
        }
        let passphrase = match &config.passphrase_file {
            Some(path) => Secret::Bytes(secret::read_file(path)?),
            None => Secret::None,
        };
        let store = config.store.open(passphrase).map_err(AgentError::store("open"))?;
        Self::with_store(config, store)
    }

    /// As [`Device::open`], with a key store that is open already: `config.store` then only says whether the store lies
    /// in the flash image of the records.
    ///
    /// # Errors
    /// [`AgentError::File`] or [`AgentError::Store`] when the place of the records cannot be opened or made.
    pub fn with_store(config: &AgentConfig, store: Box<dyn KeyStore>) -> Result<Self, AgentError> {
        let store = SharedStore::new(store);
        let (place, path) = match (&config.flash, &config.state_dir) {
            (Some(flash), _) if lies_in(&config.store, flash) => {
                (Place::Objects(store.clone()), flash.clone())
            }
            (Some(flash), _) => {
                let failed = AgentError::store("open the flash image");
                let image = if flash.exists() {
                    FlashImage::open(flash).map_err(failed)?
                } else {
                    FlashImage::create(flash, FLASH_BYTES).map_err(failed)?
                };
                (Place::Flash(Box::new(image)), flash.clone())
            }
            (None, Some(directory)) => {
                fs::create_dir_all(directory).map_err(AgentError::file("make", directory))?;
                (Place::Directory(directory.clone()), directory.clone())
            }
            (None, None) => {
                return Err(AgentError::Config {
                    path: format!("of device {}", config.device),
                    detail: "one of flash and state_dir says where the agent's state lies".to_owned(),
                });
            }
        };
        Ok(Self { store, place, path })
    }

    /// The key store.
    #[must_use]
    pub fn store(&self) -> &SharedStore {
        &self.store
    }

    /// Where a record lies, for messages.
    #[must_use]
    pub fn place_of(&self, record: Record) -> String {
        format!("{}#{}", self.path.display(), record.name())
    }

    /// Reads a record; `None` where there is none, or an empty one.
    ///
    /// # Errors
    /// [`AgentError::File`], [`AgentError::Store`] when the place cannot be read; [`AgentError::Corrupt`] above 64 KiB.
    pub fn read(&mut self, record: Record) -> Result<Option<Vec<u8>>, AgentError> {
        let found = match &mut self.place {
            Place::Objects(store) => store.with("read the agent's state", |store| {
                let Some(objects) = store.objects() else {
                    return Err(StoreError::NoCapability { capability: "keep objects" });
                };
                match objects.read_object(&object_name(record)) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(StoreError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            })?,
            Place::Flash(image) => {
                image.read(record.name()).map_err(AgentError::store("read the agent's state"))?
            }
            Place::Directory(directory) => read_file(&directory.join(record.name()))?,
        };
        match found {
            Some(bytes) if bytes.len() as u64 > MAX_RECORD_BYTES => Err(AgentError::Corrupt {
                place: self.place_of(record),
                detail: format!("it has {} bytes, at most {MAX_RECORD_BYTES} are read", bytes.len()),
            }),
            Some(bytes) if bytes.is_empty() => Ok(None),
            found => Ok(found),
        }
    }

    /// Replaces a record; it is durable when this returns.
    ///
    /// # Errors
    /// [`AgentError::File`], [`AgentError::Store`] when the place cannot be written; the old record is then still there.
    pub fn write(&mut self, record: Record, content: &[u8]) -> Result<(), AgentError> {
        match &mut self.place {
            Place::Objects(store) => store.with("keep the agent's state", |store| {
                let Some(objects) = store.objects() else {
                    return Err(StoreError::NoCapability { capability: "keep objects" });
                };
                objects.write_object(&object_name(record), content)
            }),
            Place::Flash(image) => {
                image.write(record.name(), content).map_err(AgentError::store("keep the agent's state"))
            }
            Place::Directory(directory) => replace(&directory.join(record.name()), content),
        }
    }
}

fn object_name(record: Record) -> KeyName {
    #[expect(clippy::expect_used, reason = "the three names are literals, and a test writes each of them")]
    KeyName::new(record.name()).expect("a valid name")
}

/// Whether the key store lies inside this flash image, whatever way the two paths are written.
fn lies_in(store: &StoreUri, flash: &Path) -> bool {
    match store {
        StoreUri::Software { path, inside: Some(_) } => match (path.canonicalize(), flash.canonicalize()) {
            (Ok(path), Ok(flash)) => path == flash,
            _ => path == flash,
        },
        _ => false,
    }
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, AgentError> {
    let failed = AgentError::file("read", path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_RECORD_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Replaces a file so that a reader, and a power loss, sees the old content or the new one, whole. Mode 0600.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), AgentError> {
    durable::replace(path, content, 0o600).map_err(AgentError::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testpki::config;

    #[test]
    fn records_survive_in_each_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let places = [
            (
                "the store's own image",
                format!("software:{}#identity.toml", at("a.img")),
                "flash",
                at("a.img"),
            ),
            ("another image", format!("software:{}", at("key.toml")), "flash", at("b.img")),
            ("a directory", format!("software:{}", at("key2.toml")), "state_dir", at("states")),
        ];
        for (what, store, key, place) in places {
            let config = config(&store, &format!("{key} = '{place}'"));
            let mut device = Device::open(&config).unwrap();
            for record in [Record::State, Record::Certificate, Record::Enrolment] {
                assert_eq!(device.read(record).unwrap(), None, "{what}");
                device.write(record, record.name().as_bytes()).unwrap();
            }
            device.write(Record::Enrolment, b"").unwrap();
            drop(device);
            let mut device = Device::open(&config).unwrap();
            assert_eq!(device.read(Record::State).unwrap().unwrap(), b"state.json", "{what}");
            assert_eq!(device.read(Record::Certificate).unwrap().unwrap(), b"certificate.pem", "{what}");
            assert_eq!(device.read(Record::Enrolment).unwrap(), None, "{what}");
        }
    }

    #[test]
    fn the_same_image_by_another_path_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let store = format!("software:{}#identity.toml", dir.path().join("a.img").display());
        let roundabout = dir.path().join("sub/../a.img");
        let config = config(&store, &format!("flash = '{}'", roundabout.display()));
        let mut device = Device::open(&config).unwrap();
        device.write(Record::State, b"x").unwrap();
    }

    #[test]
    fn a_record_beyond_bounds_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(
            &format!("software:{}", dir.path().join("key").display()),
            &format!("state_dir = '{}'", dir.path().display()),
        );
        let mut device = Device::open(&config).unwrap();
        fs::write(dir.path().join("state.json"), vec![b' '; 70_000]).unwrap();
        assert_eq!(device.read(Record::State).unwrap_err().code(), "AG-0012");
    }
}
