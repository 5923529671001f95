//! The conformance suite over files and flash images, plain and sealed.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::conformance::{
    self, Adverse, Bench, Case, Exhaustion, PowerCut, Seen, WhichCounter, WrongKey, WrongSession,
};
use crate::durable::power;

/// The file inside a flash image.
const INSIDE: &str = "identity.toml";
const PASSPHRASE: &str = "correct horse";

/// Where a store is, and what it is sealed with.
#[derive(Clone)]
struct Place {
    path: PathBuf,
    flash: bool,
    sealed: bool,
}

impl Place {
    fn open(&self, passphrase: Option<&str>) -> Result<SoftwareStore, StoreError> {
        let medium: Box<dyn Medium> = if self.flash {
            Box::new(FlashMedium::new(FlashImage::open(&self.path)?, INSIDE))
        } else {
            Box::new(FileMedium::hold(&self.path)?)
        };
        let protection = passphrase.map_or(Protection::PlainFlash, super::passphrase);
        SoftwareStore::open(medium, &protection)
    }

    fn open_right(&self) -> SoftwareStore {
        self.open(self.sealed.then_some(PASSPHRASE)).unwrap()
    }

    /// Sets a counter in the document, as whoever can write the medium can.
    fn set_counter(&self, counter: &CounterName, value: i64) {
        let edit = |bytes: Vec<u8>| {
            let mut document: toml::Table = toml::from_str(&String::from_utf8(bytes).unwrap()).unwrap();
            document["counters"][counter.as_str()] = value.into();
            toml::to_string(&document).unwrap()
        };
        if self.flash {
            let mut image = FlashImage::open(&self.path).unwrap();
            let text = edit(image.read(INSIDE).unwrap().unwrap());
            image.write(INSIDE, text.as_bytes()).unwrap();
        } else {
            fs::write(&self.path, edit(fs::read(&self.path).unwrap())).unwrap();
        }
    }
}

struct SoftwareBench {
    dir: tempfile::TempDir,
    place: Place,
}

impl SoftwareBench {
    fn new(flash: bool, sealed: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { path: dir.path().join("store"), flash, sealed };
        if flash {
            drop(FlashImage::create(&place.path, 512 * 1024).unwrap());
        }
        Self { dir, place }
    }

    /// A writer that heeds no lock, beneath a store that is open.
    fn another_writer(&self, what: &'static str, write: impl Fn(&Path) + 'static) -> WrongSession {
        let (path, aside) = (self.place.path.clone(), self.dir.path().join("aside"));
        let (back, from) = (path.clone(), aside.clone());
        WrongSession {
            what,
            bring: Box::new(move || {
                fs::copy(&path, &aside).unwrap();
                write(&path);
            }),
            end: Box::new(move || fs::rename(&from, &back).unwrap()),
            // The keys were read when the store was opened.
            sign: Seen::Done,
            generate: Seen::Refused("KS-0008"),
            count: Seen::Refused("KS-0008"),
        }
    }
}

impl Bench for SoftwareBench {
    fn open(&mut self) -> Box<dyn KeyStore> {
        Box::new(self.place.open_right())
    }

    fn wrong_keys(&mut self) -> Case<WrongKey> {
        if !self.place.sealed {
            return Case::Absent("a plain key file lies open to whoever reads it");
        }
        let with = |what, passphrase: Option<&'static str>| {
            let place = self.place.clone();
            let attempt = Box::new(move || place.open(passphrase).map(drop));
            WrongKey { what, code: "KS-0010", attempt }
        };
        Case::Present(vec![with("another passphrase", Some("battery staple")), with("no passphrase", None)])
    }

    fn wrong_sessions(&mut self) -> Case<WrongSession> {
        // Another store with keys and counters of the same names.
        let other = Place { path: self.dir.path().join("other"), ..self.place.clone() };
        if other.flash {
            drop(FlashImage::create(&other.path, 512 * 1024).unwrap());
        }
        let mut store = other.open_right();
        store.generate(&name("conf-session")).unwrap();
        store.increment_counter(&CounterName::new("conf-session").unwrap()).unwrap();
        Case::Present(vec![
            self.another_writer("another program puts another store in its place", move |path| {
                fs::copy(&other.path, path).unwrap();
            }),
            self.another_writer("another program takes the file away", |path| fs::remove_file(path).unwrap()),
        ])
    }

    fn exhaustions(&mut self) -> Case<Exhaustion> {
        let place = self.place.clone();
        Case::Present(vec![Exhaustion {
            what: "a counter one below the largest number of the format",
            which: WhichCounter::This,
            left: 1,
            bring: Box::new(move |counter| place.set_counter(counter, i64::MAX - 1)),
            end: Box::new(|| {}),
        }])
    }

    fn power_cuts(&mut self) -> Case<Box<dyn PowerCut>> {
        Case::Present(vec![Box::new(Writer)])
    }
}

/// The writer dies between, or in the middle of, the steps of a replacement.
struct Writer;

impl PowerCut for Writer {
    fn what(&self) -> String {
        "the writer dies".to_owned()
    }

    fn arm(&mut self, nth: u64) {
        power::cut_at(nth);
    }

    fn restore(&mut self) -> bool {
        power::restore()
    }
}

#[test]
fn the_plain_file_conforms() {
    conformance::run(&mut SoftwareBench::new(false, false), &[Adverse::WrongKey]);
}

#[test]
fn the_sealed_file_conforms() {
    conformance::run(&mut SoftwareBench::new(false, true), &[]);
}

#[test]
fn the_flash_image_conforms() {
    conformance::run(&mut SoftwareBench::new(true, false), &[Adverse::WrongKey]);
}
