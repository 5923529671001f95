//! A flash image with a FAT file system, as a device without a chip carries it on its board.
//!
//! The image is an ordinary file; other tools (`mdir`, `mtype`) read it too. A change is made on a copy in memory and
//! the image is replaced as a whole, so that it is never torn.
//!
//! Whoever had the device in hands may have written the image. A volume that claims more than the image holds is
//! refused before it is used, which also keeps it from being FAT32, whose root directory could be a circle of clusters;
//! no file is read beyond the image's size, whatever its chain of clusters says.

use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::medium::{Held, Medium, changed_by_another, file_error, hold, read_if_there, replace};
use crate::store::StoreError;

/// A flash image, held by one process at a time.
#[derive(Debug)]
pub struct FlashImage {
    path: PathBuf,
    bytes: Vec<u8>,
    _held: Held,
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
        // On a copy: a reader that gave up half-way leaves nothing behind.
        let mut copy = self.bytes.clone();
        contained(|| read_file(&mut copy, name)).map_err(failed)
    }

    /// Writes a file in the root directory, whole, and the image with it.
    ///
    /// # Errors
    /// [`StoreError::File`] when the flash is full, the image cannot be written, or another program has changed it since it
    /// was read; the image is then as before.
    pub fn write(&mut self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let failed = file_error("write the file system of", &self.path);
        let mut changed = self.bytes.clone();
        contained(|| write_file(&mut changed, name, content)).map_err(failed)?;
        if read_if_there(&self.path)?.as_ref() != Some(&self.bytes) {
            return Err(changed_by_another(&self.path));
        }
        replace(&self.path, &changed)?;
        self.bytes = changed;
        Ok(())
    }
}

/// Runs the file system over bytes that somebody else may have written. `fatfs` 0.3 computes with some of what it finds
/// there before it has checked it, and panics: that is a damaged file system like any other.
fn contained<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged("its reader gave up on it")))
}

fn damaged(says: impl Into<String>) -> io::Error {
    let says: String = says.into();
    io::Error::new(ErrorKind::InvalidData, format!("the file system is damaged: {says}"))
}

fn mount(bytes: &mut Vec<u8>) -> io::Result<fatfs::FileSystem<Cursor<&mut Vec<u8>>>> {
    let claimed = claimed_bytes(bytes).ok_or_else(|| damaged("it has no boot sector"))?;
    if claimed > bytes.len() as u64 {
        return Err(damaged(format!("the volume claims {claimed} bytes, the image has {}", bytes.len())));
    }
    fatfs::FileSystem::new(Cursor::new(bytes), fatfs::FsOptions::new())
}

/// Size of the volume as its boot sector says it: bytes in a sector (offset 11), and the number of sectors in two bytes
/// (offset 19) or, where these are zero, in four (offset 32); Microsoft FAT specification, "Boot Sector and BPB".
/// Little-endian.
fn claimed_bytes(image: &[u8]) -> Option<u64> {
    let short = |at: usize| Some(u64::from(u16::from_le_bytes(*image.get(at..)?.first_chunk()?)));
    let sectors = match short(19)? {
        0 => u64::from(u32::from_le_bytes(*image.get(32..)?.first_chunk()?)),
        sectors => sectors,
    };
    Some(short(11)? * sectors)
}

fn read_file(bytes: &mut Vec<u8>, name: &str) -> io::Result<Option<Vec<u8>>> {
    let most = bytes.len() as u64;
    let volume = mount(bytes)?;
    let root = volume.root_dir();
    let file = match root.open_file(name) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(damaged(format!("{name} is longer than the image")));
    }
    Ok(Some(content))
}

fn write_file(bytes: &mut Vec<u8>, name: &str, content: &[u8]) -> io::Result<()> {
    let volume = mount(bytes)?;
    {
        let mut file = volume.root_dir().create_file(name)?;
        file.truncate()?;
        file.write_all(content)?;
        file.flush()?;
    }
    volume.unmount()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    const SIZE: usize = 64 * 1024;

    /// A sound image with one file of three clusters' content.
    static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut image = FlashImage::create(&dir.path().join("flash.img"), SIZE).unwrap();
        image.write("state.json", &[b'x'; 1500]).unwrap();
        image.bytes
    });

    fn read(bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
        contained(|| read_file(&mut bytes.to_vec(), "state.json"))
    }

    /// Where the directory says what it says of the file: first cluster at 26, size at 28 ("FAT Directory Structure").
    fn entry(bytes: &[u8]) -> usize {
        bytes.windows(5).position(|window| window == b"STATE").unwrap()
    }

    fn says(bytes: &[u8]) -> String {
        let error = read(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        error.to_string()
    }

    #[test]
    fn a_cluster_that_cannot_be_is_damage_and_no_panic() {
        let mut bytes = SOUND.clone();
        let at = entry(&bytes) + 26;
        bytes[at..at + 2].copy_from_slice(&[1, 0]);
        assert!(says(&bytes).contains("damaged"));
    }

    #[test]
    fn a_volume_larger_than_its_image_is_refused() {
        assert_eq!(read(&SOUND).unwrap().map(|content| content.len()), Some(1500));
        let mut bytes = SOUND.clone();
        bytes[19..21].copy_from_slice(&[0xff, 0xff]);
        assert!(says(&bytes).contains("claims 33553920 bytes, the image has 65536"), "{}", says(&bytes));
        for end in [0, 12, 20, 35, 512, SIZE - 1] {
            assert!(says(&SOUND[..end]).contains("damaged"));
        }
    }

    #[test]
    fn a_circle_of_clusters_ends() {
        let mut bytes = SOUND.clone();
        let at = entry(&bytes);
        let first = usize::from(u16::from_le_bytes([bytes[at + 26], bytes[at + 27]]));
        bytes[at + 28..at + 32].copy_from_slice(&[0xff; 4]);
        let sector = usize::from(u16::from_le_bytes([bytes[11], bytes[12]]));
        let table = sector * usize::from(u16::from_le_bytes([bytes[14], bytes[15]]));
        // FAT12: two entries share three bytes; this one points at itself ("FAT Data Structure").
        let place = table + first + first / 2;
        let old = u16::from_le_bytes([bytes[place], bytes[place + 1]]);
        let own = u16::try_from(first).unwrap();
        let new = if first % 2 == 0 { (old & 0xf000) | own } else { (old & 0x000f) | (own << 4) };
        bytes[place..place + 2].copy_from_slice(&new.to_le_bytes());
        assert!(says(&bytes).contains("longer than the image"), "{}", says(&bytes));
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(changes in proptest::collection::vec((0..8192_usize, any::<u8>()), 1..20)) {
            let mut bytes = SOUND.clone();
            for (at, value) in changes {
                bytes[at] = value;
            }
            let _ = read(&bytes);
            let _ = contained(|| write_file(&mut bytes, "state.json", b"new"));
        }
    }
}
