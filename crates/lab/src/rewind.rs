//! Rewinding: old state and a lower anti-rollback floor, put back by somebody who can write the flash.
//!
//! Where the floor lies in a key file on flash it is a number in a text, and is lowered like one. Where a chip holds it,
//! flash has nothing to rewrite but the agent's own state, and the floor in the chip then tells on it.

use std::path::Path;

use serde::Serialize;
use toml::{Table, Value};
use touchmark_identity::ids::CounterName;
use touchmark_keystore::software::flash::FlashImage;

use crate::error::LabError;

/// The agent's state on flash, as a file of the image or as an object of the key file.
const STATE: &str = "state.json";

/// What shall be rewound.
#[derive(Debug)]
pub struct Target<'a> {
    /// The key file's name in the image (`identity.toml`).
    pub document: &'a str,
    /// The floor's name (`firmware`).
    pub floor_name: &'a CounterName,
    /// What the floor shall be; a floor that is not above it is left as it is.
    pub floor: u64,
    /// The old `state.json`, where one was kept.
    pub state: Option<&'a [u8]>,
}

/// A floor that was lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lowered {
    /// Where it stood.
    pub from: u64,
    /// Where it stands.
    pub to: u64,
}

/// What flash access came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rewound {
    /// The floor that was found on flash, before anything was changed.
    pub floor_on_flash: Option<u64>,
    /// The floor, when it lay on flash and was lowered.
    pub lowered: Option<Lowered>,
    /// Whether an old state was put back.
    pub state_restored: bool,
    /// What was looked at, and what was found there.
    pub found: Vec<String>,
}

/// Rewinds a flash image in place.
///
/// # Errors
/// [`LabError::Store`] when the image cannot be read or written, or is held by a running device;
/// [`LabError::Document`] when there is a key file that is not TOML; [`LabError::Nothing`] when the image holds neither
/// a key file nor a state.
pub fn rewind(image: &Path, target: &Target<'_>) -> Result<Rewound, LabError> {
    let mut flash = FlashImage::open(image).map_err(LabError::store("open the flash image"))?;
    let mut rewound =
        Rewound { floor_on_flash: None, lowered: None, state_restored: false, found: Vec::new() };
    let document = flash.read(target.document).map_err(LabError::store("read the flash image"))?;
    let file = flash.read(STATE).map_err(LabError::store("read the flash image"))?;
    if document.is_none() && file.is_none() {
        return Err(LabError::Nothing {
            attack: "rewind",
            detail: format!("{} holds neither {} nor {STATE}", image.display(), target.document),
        });
    }
    match document {
        None => rewound.found.push(format!("{}: not on this flash, so no floor either", target.document)),
        Some(bytes) => {
            if let Some(changed) = rewind_document(&bytes, target, &mut rewound)? {
                flash
                    .write(target.document, changed.as_bytes())
                    .map_err(LabError::store("write the flash image"))?;
            }
        }
    }
    if file.is_some() {
        match target.state {
            Some(old) => {
                flash.write(STATE, old).map_err(LabError::store("write the flash image"))?;
                rewound.state_restored = true;
                rewound.found.push(format!("{STATE}: an older one was put back"));
            }
            None => rewound.found.push(format!("{STATE}: found, no older one to put back")),
        }
    }
    Ok(rewound)
}

fn rewind_document(
    bytes: &[u8],
    target: &Target<'_>,
    rewound: &mut Rewound,
) -> Result<Option<String>, LabError> {
    let unknown = |detail: String| LabError::Document { document: target.document.to_owned(), detail };
    let text = std::str::from_utf8(bytes).map_err(|_| unknown("it is not text".to_owned()))?;
    let mut document: Table = toml::from_str(text).map_err(|error| unknown(error.message().to_owned()))?;
    let mut changed = false;
    let name = target.floor_name.as_str();
    let floors = document.get_mut("floors").and_then(Value::as_table_mut);
    match floors.and_then(|floors| floors.get_mut(name)) {
        None => rewound.found.push(format!("{}: no floor named {name}", target.document)),
        Some(floor) => {
            let from = floor.as_integer().and_then(|floor| u64::try_from(floor).ok());
            let from = from.ok_or_else(|| unknown(format!("the floor {name} is not a number")))?;
            rewound.floor_on_flash = Some(from);
            let to =
                i64::try_from(target.floor).map_err(|_| unknown("a floor is at most 2^63 - 1".to_owned()))?;
            if from > target.floor {
                *floor = Value::Integer(to);
                changed = true;
                rewound.lowered = Some(Lowered { from, to: target.floor });
                rewound.found.push(format!("{}: the floor {name} went from {from} to {to}", target.document));
            } else {
                rewound.found.push(format!("{}: the floor {name} stands at {from} already", target.document));
            }
        }
    }
    let objects = document.get_mut("objects").and_then(Value::as_table_mut);
    if let (Some(old), Some(state)) = (target.state, objects.and_then(|objects| objects.get_mut(STATE))) {
        *state = Value::String(hex::encode(old));
        changed = true;
        rewound.state_restored = true;
        rewound.found.push(format!("{}: an older {STATE} was put back", target.document));
    }
    if !changed {
        return Ok(None);
    }
    toml::to_string_pretty(&document).map(Some).map_err(|error| unknown(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_identity::ids::KeyName;
    use touchmark_keystore::software::flash::FlashMedium;
    use touchmark_keystore::software::{Protection, SoftwareStore};
    use touchmark_keystore::{KeyStore, Objects, Ratchet};

    fn open(path: &Path) -> SoftwareStore {
        let medium = Box::new(FlashMedium::new(FlashImage::open(path).unwrap(), "identity.toml"));
        SoftwareStore::open(medium, &Protection::PlainFlash).unwrap()
    }

    fn firmware() -> CounterName {
        CounterName::new("firmware").unwrap()
    }

    #[test]
    fn a_floor_on_flash_goes_down_and_the_device_believes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flash.img");
        drop(FlashImage::create(&path, 256 * 1024).unwrap());
        let (key, state) = (KeyName::new("identity").unwrap(), KeyName::new(STATE).unwrap());
        let mut store = open(&path);
        let public = store.generate(&key).unwrap();
        store.raise_floor(&firmware(), 3).unwrap();
        store.write_object(&state, b"new").unwrap();
        drop(store);

        let name = firmware();
        let target = Target { document: "identity.toml", floor_name: &name, floor: 1, state: Some(b"old") };
        let rewound = rewind(&path, &target).unwrap();
        assert_eq!(rewound.lowered, Some(Lowered { from: 3, to: 1 }));
        assert_eq!(rewound.floor_on_flash, Some(3));
        assert!(rewound.state_restored);

        let mut store = open(&path);
        assert_eq!(store.floor(&firmware()).unwrap(), 1);
        assert_eq!(store.read_object(&state).unwrap(), b"old");
        assert_eq!(store.public_key(&key).unwrap(), public, "the rest is as it was");
        drop(store);
        assert_eq!(rewind(&path, &target).unwrap().lowered, None, "there is nothing left to lower");
    }

    #[test]
    fn without_a_key_file_there_is_no_floor_to_lower() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flash.img");
        let name = firmware();
        let target = Target { document: "identity.toml", floor_name: &name, floor: 1, state: Some(b"old") };
        FlashImage::create(&path, 256 * 1024).unwrap().write(STATE, b"new").unwrap();
        let rewound = rewind(&path, &target).unwrap();
        assert_eq!((rewound.floor_on_flash, rewound.lowered, rewound.state_restored), (None, None, true));
        assert_eq!(FlashImage::open(&path).unwrap().read(STATE).unwrap().unwrap(), b"old");
    }

    #[test]
    fn an_empty_flash_is_no_success_for_anybody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flash.img");
        let mut image = FlashImage::create(&path, 256 * 1024).unwrap();
        let name = firmware();
        let target = Target { document: "identity.toml", floor_name: &name, floor: 1, state: None };
        image.write("other", b"x").unwrap();
        assert_eq!(rewind(&path, &target).unwrap_err().code(), "LB-0002", "a running device holds its flash");
        drop(image);
        assert_eq!(rewind(&path, &target).unwrap_err().code(), "LB-0004");
        FlashImage::open(&path).unwrap().write("identity.toml", b"\xff").unwrap();
        assert_eq!(rewind(&path, &target).unwrap_err().code(), "LB-0003");
    }
}
