//! The file that holds a host's keys for a secure channel.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Deserialize;
use touchmark_identity::apdu::scp03::{AesKey, CounterRule, KeySet, Level, Scp03Error};
use zeroize::Zeroizing;

use crate::store::StoreError;

/// No key file is larger, in bytes.
const MAX_FILE_BYTES: u64 = 4096;

/// What opens a secure channel.
#[derive(Debug)]
pub struct ChannelKeys {
    /// The three static keys.
    pub set: KeySet,
    /// The key version number; 0 for the card's default set.
    pub version: u8,
    /// The security level to ask for. A card that does not offer it is refused.
    pub level: Level,
    /// Which commands the card counts; absent where its key and applet versions decide.
    pub counter: Option<CounterRule>,
}

/// The file: TOML, the keys in hex.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    enc: String,
    mac: String,
    dek: String,
    level: Option<String>,
    counter: Option<Counter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Counter {
    EveryCommand,
    CommandsWithData,
}

impl ChannelKeys {
    /// Reads the keys from a file: TOML with `enc`, `mac` and `dek`, 16, 24 or 32 bytes in hex, all of one length.
    /// Optional: `level`, by default `"33"`, and `counter`, `"every-command"` or `"commands-with-data"`. The file must be
    /// readable by its owner alone.
    ///
    /// # Errors
    /// [`StoreError::File`] when it cannot be read, [`StoreError::ChannelKeys`] when others may read it or it is no such
    /// file. The message never holds what stands in the file.
    pub fn read(path: &Path, version: u8) -> Result<Self, StoreError> {
        let name = || path.display().to_string();
        let failed = |source| StoreError::File { action: "read", path: name(), source };
        let bad = |detail: &str| StoreError::ChannelKeys { path: name(), detail: detail.to_owned() };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.mode() & 0o077 != 0 {
            return Err(bad("others than its owner may use it; set its mode to 0600"));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(bad("it is too large"));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
        // The parser's own message would quote the line.
        let written: Written = toml::from_str(&text).map_err(|_| {
            bad("it is not TOML with the texts enc, mac and dek, and at most level and counter besides")
        })?;
        let [enc, mac, dek] = [written.enc, written.mac, written.dek].map(Zeroizing::new);
        let key = |text: &str| -> Option<AesKey> {
            let bytes = Zeroizing::new(hex::decode(text).ok()?);
            AesKey::new(&bytes).ok()
        };
        let keys = key(&enc).zip(key(&mac)).zip(key(&dek));
        let ((enc, mac), dek) = keys.ok_or_else(|| bad("a key is not 16, 24 or 32 bytes in hex"))?;
        if enc.bits() != mac.bits() || enc.bits() != dek.bits() {
            return Err(bad("its keys have different lengths"));
        }
        let level = match written.level {
            None => Level::FULL,
            Some(text) => u8::from_str_radix(&text, 16)
                .map_err(|_| "its level is not two hex digits".to_owned())
                .and_then(|byte| Level::try_from(byte).map_err(|error: Scp03Error| error.to_string()))
                .map_err(|detail| bad(&detail))?,
        };
        let counter = written.counter.map(|counter| match counter {
            Counter::EveryCommand => CounterRule::EveryCommand,
            Counter::CommandsWithData => CounterRule::WithDataOnly,
        });
        Ok(Self { set: KeySet { enc, mac, dek }, version, level, counter })
    }
}
