mod bench;

use super::flash::{FlashImage, FlashMedium};
use super::*;

fn plain(path: &std::path::Path) -> SoftwareStore {
    SoftwareStore::open(Box::new(FileMedium::hold(path).unwrap()), &Protection::PlainFlash).unwrap()
}

fn passphrase(text: &str) -> Protection {
    Protection::Passphrase(Zeroizing::new(text.as_bytes().to_vec()))
}

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

#[test]
fn a_sealed_file_holds_no_private_key_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut store =
        SoftwareStore::open(Box::new(FileMedium::hold(&path).unwrap()), &passphrase("right")).unwrap();
    store.generate(&name("ca")).unwrap();
    let pkcs8 = store.pair(&name("ca")).unwrap().to_pkcs8v1().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("PRIVATE KEY"));
    // The private scalar stands at bytes 36 to 67 of a P-256 PKCS#8 document.
    assert!(!text.contains(&hex::encode(&pkcs8.as_ref()[36..68])));
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let _held = plain(&path);
    let error = FileMedium::hold(&path).unwrap_err();
    assert!(
        matches!(&error, StoreError::File { source, .. } if source.kind() == std::io::ErrorKind::ResourceBusy)
    );
}

#[test]
fn a_damaged_file_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    std::fs::write(&path, b"format = \"something else\"").unwrap();
    let refused = SoftwareStore::open(Box::new(FileMedium::hold(&path).unwrap()), &Protection::PlainFlash);
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"format = \"something else\"");
}

#[test]
fn a_full_flash_refuses_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flash.img");
    let mut image = FlashImage::create(&path, 64 * 1024).unwrap();
    image.write("small", b"kept").unwrap();
    assert!(image.write("large", &vec![0; 128 * 1024]).is_err());
    drop(image);
    assert_eq!(FlashImage::open(&path).unwrap().read("small").unwrap().unwrap(), b"kept");
}

#[test]
fn other_tools_read_the_flash_image() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flash.img");
    FlashImage::create(&path, 256 * 1024).unwrap().write("identity.toml", b"hello\n").unwrap();
    let Ok(out) = std::process::Command::new("mtype").arg("-i").arg(&path).arg("::identity.toml").output()
    else {
        assert!(std::env::var_os("CI").is_none(), "mtools is not installed");
        eprintln!("skipped: mtools is not installed");
        return;
    };
    assert_eq!(out.stdout, b"hello\n", "{}", String::from_utf8_lossy(&out.stderr));
}
