//! Opening what the server needs to be trusted: the authority's key store and the Verifier's roots.

use std::path::Path;

use touchmark_attest::{Endorsers, PartFloor, Policy, Requirements};
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};
use touchmark_keystore::uri::{Secret, StoreUri, read_secret_file};
use touchmark_keystore::{KeyStore, durable};
use zeroize::Zeroizing;

use crate::config::{Attestation, Keys, PartMinimum};
use crate::error::ServerError;

/// How the authority's keys are kept, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custody {
    /// In one sentence.
    pub kept: String,
    /// What is weak about it, if anything.
    pub weakness: Option<String>,
}

/// Opens the key store that the configuration names, or the sealed key file in the data directory. A passphrase given
/// by the caller wins over files.
///
/// # Errors
/// [`ServerError::Store`] when it cannot be opened.
pub fn open_key_store(
    keys: &Keys,
    data: &Path,
    passphrase: Option<Zeroizing<Vec<u8>>>,
) -> Result<(Box<dyn KeyStore>, Custody), ServerError> {
    if let Some(text) = &keys.store {
        let uri: StoreUri = text.parse()?;
        let secret = match (passphrase, &keys.passphrase_file) {
            (Some(given), _) => Secret::Bytes(given),
            (None, Some(file)) => Secret::Bytes(read_secret_file(file)?),
            (None, None) => Secret::None,
        };
        let weakness = match (&uri, &secret) {
            (StoreUri::Software { .. }, Secret::None) => {
                Some("the keys lie in the file unsealed: whoever reads it is the authority".to_owned())
            }
            _ => None,
        };
        let kept = match &uri {
            StoreUri::Pkcs11 { token, .. } => format!("in PKCS#11 token {token}"),
            other => format!("in {other}"),
        };
        return Ok((uri.open(secret)?, Custody { kept, weakness }));
    }
    let (passphrase, weakness) = match (passphrase, &keys.passphrase_file) {
        (Some(given), _) => (given, None),
        (None, Some(file)) => (read_secret_file(file)?, None),
        (None, None) => (
            own_passphrase(&data.join("ca-keys.passphrase"))?,
            Some(
                "the passphrase lies beside the keys: whoever reads the data directory is the authority. Configure a \
                 PKCS#11 token, or give the passphrase by descriptor"
                    .to_owned(),
            ),
        ),
    };
    let medium = Box::new(FileMedium::hold(&data.join("ca-keys.toml"))?);
    let store = SoftwareStore::open(medium, &Protection::Passphrase(passphrase))?;
    let kept = "in a key file sealed with Argon2id and AES-256-GCM".to_owned();
    Ok((Box::new(store), Custody { kept, weakness }))
}

/// The passphrase that the server made for itself at its first start.
fn own_passphrase(path: &Path) -> Result<Zeroizing<Vec<u8>>, ServerError> {
    if !path.exists() {
        let mut bytes = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(bytes.as_mut())
            .map_err(|_| ServerError::Tls { detail: "no random bytes".to_owned() })?;
        let text = Zeroizing::new(hex::encode(bytes.as_ref()));
        // Complete before it is used: a torn passphrase would lock the keys away.
        durable::replace(path, text.as_bytes(), 0o600).map_err(|source| ServerError::File {
            action: "write",
            path: path.display().to_string(),
            source,
        })?;
    }
    Ok(read_secret_file(path)?)
}

/// The Verifier's policy: the roots in a directory, and the TEST root, which is refused unless the setting with the
/// ugly name is on.
///
/// # Errors
/// [`ServerError::Endorsers`] when a file is no certificate.
pub fn verifier_policy(attestation: &Attestation, test_root_pem: &str) -> Result<Policy, ServerError> {
    let mut files = Vec::new();
    if let Some(directory) = &attestation.endorsers_dir {
        files = read_pem_files(directory)?;
    }
    let place =
        attestation.endorsers_dir.as_ref().map_or("the program".to_owned(), |d| d.display().to_string());
    let unusable = |detail: String| ServerError::Endorsers { path: place.clone(), detail };
    let endorsers = Endorsers::from_pem(files)
        .and_then(|e| e.with_test_element_root(test_root_pem))
        .map_err(|e| unusable(e.to_string()))?;
    let floor = |minimum: &PartMinimum| PartFloor {
        vendor: minimum.vendor.clone(),
        model: minimum.model.clone(),
        firmware: minimum.firmware.clone(),
    };
    Ok(Policy {
        endorsers,
        dangerously_accept_test_endorsers: attestation.dangerously_accept_test_endorsers,
        requirements: Requirements {
            floors: attestation.minimum.iter().map(floor).collect(),
            listed_parts_only: attestation.listed_parts_only,
            boot: None,
        },
    })
}

/// Names and texts of the `*.pem` files in a directory, by name.
fn read_pem_files(directory: &Path) -> Result<Vec<(String, String)>, ServerError> {
    let unusable = |detail: std::io::Error| ServerError::Endorsers {
        path: directory.display().to_string(),
        detail: detail.to_string(),
    };
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .map_err(unusable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unusable)?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "pem"))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
            Ok((name, std::fs::read_to_string(&path).map_err(unusable)?))
        })
        .collect()
}
