//! A flash image with a FAT file system, as a device without a chip carries it on its board.
//!
//! The image is an ordinary file; other tools (`mdir`, `mtype`) read it too. A change is made on a copy in memory and
//! the image is replaced as a whole, so that it is never torn.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use super::medium::{Medium, file_error, hold, read_if_there, replace};
use crate::store::StoreError;

/// A flash image, held by one process at a time.
#[derive(Debug)]
pub struct FlashImage {
    path: PathBuf,
    bytes: Vec<u8>,
    _held: File,
}

impl FlashImage {
    /// Makes an erased flash (all bytes 0xFF) of `size_bytes` and formats it. 64 KiB to 4 MiB.
    ///
    /// # Errors
    /// [`StoreError::File`] when the image exists or cannot be written; [`StoreError::Exhausted`] for a size outside
    /// the range.
    pub fn create(path: &Path, size_bytes: usize) -> Result<Self, StoreError> {
        if !(64 * 1024..=4 * 1024 * 1024).contains(&size_bytes) {
            let detail = format!("a flash image has 64 KiB to 4 MiB, {size_bytes} bytes were asked for");
            return Err(StoreError::Exhausted { what: "range", detail });
        }
        if path.exists() {
            return Err(StoreError::Exists { what: "flash image", name: path.display().to_string() });
        }
        let held = hold(path)?;
        let mut bytes = vec![0xff; size_bytes];
        fatfs::format_volume(
            Cursor::new(&mut bytes),
            fatfs::FormatVolumeOptions::new().volume_label(*b"TOUCHMARK  "),
        )
        .map_err(file_error("format", path))?;
        replace(path, &bytes)?;
        Ok(Self { path: path.to_owned(), bytes, _held: held })
    }

    /// Opens an image.
    ///
    /// # Errors
    /// [`StoreError::File`] when it is missing, unreadable or held by another process.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let held = hold(path)?;
        let bytes = read_if_there(path)?
            .ok_or_else(|| file_error("read", path)(std::io::Error::from(std::io::ErrorKind::NotFound)))?;
        Ok(Self { path: path.to_owned(), bytes, _held: held })
    }

    /// Reads a file from the root directory; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError::File`] when the file system is damaged.
    pub fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let failed = file_error("read the file system of", &self.path);
        let volume =
            fatfs::FileSystem::new(Cursor::new(&mut self.bytes), fatfs::FsOptions::new()).map_err(&failed)?;
        let mut content = Vec::new();
        let root = volume.root_dir();
        match root.open_file(name) {
            Ok(mut file) => file.read_to_end(&mut content).map_err(&failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        Ok(Some(content))
    }

    /// Writes a file in the root directory, whole, and the image with it.
    ///
    /// # Errors
    /// [`StoreError::File`] when the flash is full or the image cannot be written; the image is then as before.
    pub fn write(&mut self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let failed = file_error("write the file system of", &self.path);
        let mut changed = self.bytes.clone();
        {
            let volume = fatfs::FileSystem::new(Cursor::new(&mut changed), fatfs::FsOptions::new())
                .map_err(&failed)?;
            {
                let mut file = volume.root_dir().create_file(name).map_err(&failed)?;
                file.truncate().map_err(&failed)?;
                file.write_all(content).map_err(&failed)?;
                file.flush().map_err(&failed)?;
            }
            volume.unmount().map_err(&failed)?;
        }
        replace(&self.path, &changed)?;
        self.bytes = changed;
        Ok(())
    }
}

/// A document that is a file inside a flash image.
#[derive(Debug)]
pub struct FlashMedium {
    image: FlashImage,
    name: String,
}

impl FlashMedium {
    /// The file `name` inside `image`.
    #[must_use]
    pub fn new(image: FlashImage, name: &str) -> Self {
        Self { image, name: name.to_owned() }
    }
}

impl Medium for FlashMedium {
    fn load(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        self.image.read(&self.name)
    }

    fn save(&mut self, document: &[u8]) -> Result<(), StoreError> {
        self.image.write(&self.name, document)
    }

    fn place(&self) -> String {
        format!("{}#{}", self.image.path.display(), self.name)
    }
}
