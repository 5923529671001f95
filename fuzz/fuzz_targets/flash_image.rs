//! A flash image that somebody has written to: pieces of four bytes are offset (three bytes) and value of changes to a
//! sound image.
//!
//! `fatfs` panics on some damage, and the key store contains that; so a panic inside of it is no finding here.
#![no_main]

use std::sync::LazyLock;
use std::{fs, panic, process};

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_keystore::software::flash::FlashImage;

static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("flash.img");
    let mut image = FlashImage::create(&path, 64 * 1024).expect("a new image");
    image.write("state.json", &[b'{'; 3000]).expect("room");
    image.write("certificate.pem", b"-----BEGIN").expect("room");
    fs::read(&path).expect("the image")
});

fn forgive_the_reader() {
    let finding = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("/fatfs-0.3")) {
            finding(panic);
            process::abort();
        }
    }));
}

fuzz_target!(init: forgive_the_reader(), |data: &[u8]| {
    let mut bytes = SOUND.clone();
    let size = bytes.len();
    for change in data.chunks_exact(4) {
        let offset = usize::from(change[0]) << 16 | usize::from(change[1]) << 8 | usize::from(change[2]);
        bytes[offset % size] = change[3];
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("flash.img");
    fs::write(&path, &bytes).expect("room");
    let mut image = FlashImage::open(&path).expect("any file opens");
    let _damaged = told(image.read("state.json"));
    let _damaged = told(image.read("missing"));
    if told(image.write("state.json", b"new")).is_some() {
        std::hint::black_box(told(image.read("state.json")));
    }
});
