//! What comes in: files, stdin, secrets by descriptor or prompt, and the options that several commands share.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use touchmark_keystore::KeyStore;
use touchmark_keystore::uri::{Secret, StoreUri};
use touchmark_server::Config;
use zeroize::Zeroizing;

use crate::failure::Usage;

/// Nothing that is read whole is larger than this, in bytes.
const MAX_INPUT_BYTES: u64 = 16 * 1024 * 1024;

/// A key store and what opens it.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Where the store is: software:FILE, software:IMAGE#FILE, tpm:DEVICE or HOST:PORT, element:tcp:HOST:PORT,
    /// with a secure channel element:tcp:HOST:PORT?scp03=FILE&kvn=0B, pkcs11:… (RFC 7512).
    #[arg(long, value_name = "URI")]
    pub(crate) store: StoreUri,
    /// Read the store's passphrase or PIN from this file descriptor.
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
    /// Ask for the store's passphrase or PIN on the terminal.
    #[arg(long, conflicts_with = "passphrase_fd")]
    ask_passphrase: bool,
}

impl StoreArgs {
    pub(crate) fn open(&self) -> anyhow::Result<Box<dyn KeyStore>> {
        let secret = match (self.passphrase_fd, self.ask_passphrase) {
            (Some(fd), _) => Secret::Bytes(secret_from_fd(fd)?),
            (None, true) => {
                let text = rpassword::prompt_password("Passphrase or PIN: ")
                    .context("cannot ask on the terminal")?;
                Secret::Bytes(Zeroizing::new(text.into_bytes()))
            }
            (None, false) => Secret::None,
        };
        Ok(self.store.open(secret)?)
    }
}

/// The server's configuration and data directory.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Configuration file; without one, the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory.
    #[arg(long, value_name = "DIR", default_value = "touchmark-data")]
    pub(crate) data: PathBuf,
    /// Read the passphrase of the authority's key store from this file descriptor.
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
}

impl DataArgs {
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        Ok(match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        })
    }

    pub(crate) fn passphrase(&self) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
        self.passphrase_fd.map(secret_from_fd).transpose()
    }
}

/// A secret from a file descriptor, without its last line end.
pub(crate) fn secret_from_fd(fd: u32) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(format!("/proc/self/fd/{fd}"))
        .and_then(|file| file.take(64 * 1024).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read a secret from file descriptor {fd}"))?;
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(bytes)
}

/// Writes a line to a file descriptor that the caller opened.
pub(crate) fn line_to_fd(fd: u32, line: &str) -> anyhow::Result<()> {
    let mut file = File::options()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"))
        .with_context(|| format!("cannot write to file descriptor {fd}"))?;
    writeln!(file, "{line}").with_context(|| format!("cannot write to file descriptor {fd}"))
}

/// A whole file, or stdin for `-`.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let reading = || format!("cannot read {}", path.display());
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes).with_context(reading)?;
    } else {
        let file = File::open(path).map_err(|e| Usage(format!("cannot read {}: {e}", path.display())))?;
        file.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes).with_context(reading)?;
    }
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(Usage(format!("{} is larger than {MAX_INPUT_BYTES} bytes", path.display())).into());
    }
    Ok(bytes)
}

/// Bytes written in hex, as an option's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl std::str::FromStr for Hex {
    type Err = hex::FromHexError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare: String = text.chars().filter(|c| !matches!(c, ' ' | ':')).collect();
        hex::decode(bare).map(Self)
    }
}
