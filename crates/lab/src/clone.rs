//! Cloning: a second device out of what was found in the first one's flash.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use touchmark_identity::ids::KeyName;
use touchmark_identity::key::PublicKey;
use touchmark_keystore::Objects;
use touchmark_keystore::software::flash::{FlashImage, FlashMedium};
use touchmark_keystore::software::{Protection, SoftwareStore};

use crate::error::LabError;

/// Size of a clone's flash image, in bytes.
pub const CLONE_FLASH_BYTES: usize = 256 * 1024;

/// Writes a copy of a flash image, byte for byte: the whole attack where the key lies in flash.
///
/// # Errors
/// [`LabError::File`] when the file exists or cannot be written.
pub fn copy_image(image: &[u8], to: &Path) -> Result<(), LabError> {
    let failed = |source| LabError::File { action: "write", path: to.display().to_string(), source };
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(to).map_err(failed)?;
    file.write_all(image).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// What a clone is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The extracted key, PKCS#8 in DER ([`crate::extract::Found::pkcs8`]).
    pub pkcs8: &'a [u8],
    /// The name under which the device's agent looks for it.
    pub key: &'a KeyName,
    /// The key file's name in the image, as the device's agent expects it (`identity.toml`).
    pub document: &'a str,
    /// What lies beside the key: `certificate.pem`, `state.json`.
    pub objects: &'a [(KeyName, Vec<u8>)],
}

/// Makes a new flash image with an extracted key in it. Returns the clone's public key, which is the victim's.
///
/// # Errors
/// [`LabError::Store`] when the image exists, or the key is no P-256 key.
pub fn build_image(to: &Path, parts: &Parts<'_>) -> Result<PublicKey, LabError> {
    let image =
        FlashImage::create(to, CLONE_FLASH_BYTES).map_err(LabError::store("make the clone's flash"))?;
    let medium = Box::new(FlashMedium::new(image, parts.document));
    let mut store = SoftwareStore::open(medium, &Protection::PlainFlash)
        .map_err(LabError::store("make the clone's key file"))?;
    let public = store.import(parts.key, parts.pkcs8).map_err(LabError::store("give the clone the key"))?;
    for (name, bytes) in parts.objects {
        store
            .write_object(name, bytes)
            .map_err(LabError::store("give the clone what lies beside the key"))?;
    }
    Ok(public)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract;
    use touchmark_keystore::KeyStore;

    fn open(path: &Path) -> SoftwareStore {
        let medium = Box::new(FlashMedium::new(FlashImage::open(path).unwrap(), "identity.toml"));
        SoftwareStore::open(medium, &Protection::PlainFlash).unwrap()
    }

    #[test]
    fn a_clone_signs_as_its_victim() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, copy, built) =
            (dir.path().join("v.img"), dir.path().join("c.img"), dir.path().join("b.img"));
        drop(FlashImage::create(&victim, CLONE_FLASH_BYTES).unwrap());
        let key = KeyName::new("identity").unwrap();
        let public = open(&victim).generate(&key).unwrap();

        let image = std::fs::read(&victim).unwrap();
        copy_image(&image, &copy).unwrap();
        assert_eq!(copy_image(&image, &copy).unwrap_err().code(), "LB-0001");

        let search = extract::search(&image, &public, &mut |_, _| {});
        let found = search.found.first().unwrap();
        let certificate = KeyName::new("certificate.pem").unwrap();
        let objects = [(certificate.clone(), b"public".to_vec())];
        let parts = Parts { pkcs8: &found.pkcs8, key: &key, document: "identity.toml", objects: &objects };
        assert_eq!(build_image(&built, &parts).unwrap(), public);

        for clone in [&copy, &built] {
            let digest = touchmark_identity::key::sha256(b"message");
            let signature = open(clone).sign_digest(&key, &digest).unwrap();
            assert_eq!(public.verify(b"message", &signature), Ok(()));
        }
        assert_eq!(open(&built).read_object(&certificate).unwrap(), b"public");
    }

    #[test]
    fn what_is_no_key_makes_no_clone() {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyName::new("identity").unwrap();
        let parts = Parts { pkcs8: b"no key", key: &key, document: "identity.toml", objects: &[] };
        assert_eq!(build_image(&dir.path().join("x.img"), &parts).unwrap_err().code(), "LB-0002");
    }
}
