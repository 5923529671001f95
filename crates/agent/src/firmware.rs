//! Firmware offers: who signed them, and whether the anti-rollback floor lets them in.
//!
//! An offer is a JSON file `*.tmfw` in the update inbox:
//!
//! ```json
//! {"schema":"touchmark.firmware-offer/1","version":"2.3.0","security_version":2,"sha256":"…","signature":"…"}
//! ```
//!
//! `sha256` is the digest of the image, 64 hex digits. `signature` is hex of a DER `Ecdsa-Sig-Value` by the release key
//! over the SHA-256 of the *canonical bytes*, four lines of ASCII that each end with a line feed (0x0A):
//!
//! ```text
//! touchmark.firmware-offer/1
//! <version>
//! <security_version, decimal, no leading zero>
//! <sha256, 64 lower-case hex digits>
//! ```
//!
//! Whoever delivers an offer writes it under another name and renames it: the agent decides once, about what it finds.
//!
//! The floor is the key store's ratchet named `firmware`. A store without a ratchet leaves it to the agent's state, on
//! flash, where whoever writes the flash lowers it: such a device refuses honest mistakes, not attackers.
//!
//! Deliberately absent: transport and flashing of the image itself.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_keystore::{KeyStore, StoreError};

use crate::device::{SharedStore, replace};
use crate::error::{AgentError, quoted};

const SCHEMA: &str = "touchmark.firmware-offer/1";
const RESULT_SCHEMA: &str = "touchmark.firmware-result/1";
/// No offer is larger than this, in bytes.
const MAX_OFFER_BYTES: u64 = 8 * 1024;
/// At most this many files of the inbox are looked at in one poll.
const MAX_FILES: usize = 1024;

/// A firmware's version: 1 to 32 letters, digits, `.`, `-` and `+`. It orders nothing; the security version does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

/// A text that is not a firmware's version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a firmware version has 1 to 32 letters, digits, '.', '-' and '+'; found {text:?}")]
pub struct VersionError {
    /// What was read, at most 40 characters.
    pub text: String,
}

impl FromStr for Version {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+');
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(VersionError { text: text.chars().take(40).collect() })
        }
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a release says of itself, before or after it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its version.
    pub version: Version,
    /// Its security version: goes up with each release that closes a hole worth refusing the older ones for.
    pub security_version: u64,
    /// SHA-256 of the image.
    pub sha256: [u8; 32],
}

impl Release {
    /// The bytes that the release key signs; the module documentation lists them.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let (version, security_version) = (&self.version, self.security_version);
        format!("{SCHEMA}\n{version}\n{security_version}\n{}\n", hex::encode(self.sha256)).into_bytes()
    }

    /// Has the release key sign, and returns the offer's JSON.
    ///
    /// # Errors
    /// [`StoreError`] of the store that holds the release key.
    pub fn sign(&self, store: &mut dyn KeyStore, key: &KeyName) -> Result<String, StoreError> {
        let signature = store.sign_digest(key, &sha256(&self.canonical_bytes()))?;
        let offer = Offer {
            schema: SCHEMA.to_owned(),
            version: self.version.clone(),
            security_version: self.security_version,
            sha256: self.sha256,
            signature,
        };
        serde_json::to_string(&offer).map_err(|_| StoreError::Crypto { operation: "writing the offer" })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Offer {
    schema: String,
    version: Version,
    security_version: u64,
    #[serde(with = "hex::serde")]
    sha256: [u8; 32],
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
}

/// Why an offer is not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferRefusal {
    /// AG-0101, peer: not an offer.
    #[error("the file is not a firmware offer: {detail}")]
    Malformed {
        /// What was expected and found.
        detail: String,
    },
    /// AG-0102, caller: nobody is trusted to release firmware.
    #[error("no release key is configured; set release_key to accept firmware")]
    NoReleaseKey,
    /// AG-0103, policy: not signed by the release key.
    #[error("the signature of firmware {version} is not the release key's")]
    BadSignature {
        /// The version offered.
        version: Version,
    },
    /// AG-0104, policy: a downgrade below the floor.
    #[error("firmware {version} has security version {security_version}, the anti-rollback floor is {floor}")]
    BelowFloor {
        /// The version offered.
        version: Version,
        /// Its security version.
        security_version: u64,
        /// The floor.
        floor: u64,
    },
}

impl OfferRefusal {
    /// The stable code, as `docs/errors.md` lists it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "AG-0101",
            Self::NoReleaseKey => "AG-0102",
            Self::BadSignature { .. } => "AG-0103",
            Self::BelowFloor { .. } => "AG-0104",
        }
    }
}

/// A release that the release key has signed; made by [`verify`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified(Release);

impl Verified {
    /// What was signed.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.0
    }
}

/// A release that may be installed: signed, and not below the floor. Made by [`Verified::admit`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted(Release);

impl Admitted {
    /// What may be installed.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.0
    }
}

/// Reads an offer and checks its signature.
///
/// # Errors
/// [`OfferRefusal`] for anything but a complete offer signed by the release key.
pub fn verify(bytes: &[u8], release_key: Option<&PublicKey>) -> Result<Verified, OfferRefusal> {
    let malformed = |detail: String| OfferRefusal::Malformed { detail };
    if bytes.len() as u64 > MAX_OFFER_BYTES {
        return Err(malformed(format!("it is larger than {MAX_OFFER_BYTES} bytes")));
    }
    let offer: Offer =
        serde_json::from_slice(bytes).map_err(|error| malformed(quoted(&error.to_string())))?;
    crate::enrol::must_be(&offer.schema, SCHEMA).map_err(malformed)?;
    let release =
        Release { version: offer.version, security_version: offer.security_version, sha256: offer.sha256 };
    let key = release_key.ok_or(OfferRefusal::NoReleaseKey)?;
    match key.verify(&release.canonical_bytes(), &offer.signature) {
        Ok(()) => Ok(Verified(release)),
        Err(_) => Err(OfferRefusal::BadSignature { version: release.version }),
    }
}

impl Verified {
    /// Holds the release against the floor.
    ///
    /// # Errors
    /// [`OfferRefusal::BelowFloor`] for a downgrade.
    pub fn admit(self, floor: u64) -> Result<Admitted, OfferRefusal> {
        let Release { version, security_version, .. } = &self.0;
        if *security_version < floor {
            Err(OfferRefusal::BelowFloor {
                version: version.clone(),
                security_version: *security_version,
                floor,
            })
        } else {
            Ok(Admitted(self.0))
        }
    }
}

/// What came of an offer, as `<offer>.result.json` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferResult {
    /// `touchmark.firmware-result/1`.
    pub schema: &'static str,
    /// Whether the offer was installed.
    pub accepted: bool,
    /// The refusal's code, where it was refused.
    pub code: Option<&'static str>,
    /// Why.
    pub reason: String,
    /// The floor after the decision.
    pub floor: u64,
}

impl OfferResult {
    pub(crate) fn installed(release: &Release, floor: u64) -> Self {
        let Release { version, security_version, .. } = release;
        let reason = format!("firmware {version} with security version {security_version} was installed");
        Self { schema: RESULT_SCHEMA, accepted: true, code: None, reason, floor }
    }

    pub(crate) fn refused(refusal: &OfferRefusal, floor: u64) -> Self {
        Self {
            schema: RESULT_SCHEMA,
            accepted: false,
            code: Some(refusal.code()),
            reason: refusal.to_string(),
            floor,
        }
    }
}

/// The floor in the key store's ratchet; `None` where the store has none.
pub(crate) fn floor(store: &SharedStore) -> Result<Option<u64>, AgentError> {
    store.with("tell the anti-rollback floor", |store| {
        store.ratchet().map(|ratchet| ratchet.floor(&floor_name())).transpose()
    })
}

/// Raises the floor in the key store's ratchet, where it has one.
pub(crate) fn raise_floor(store: &SharedStore, to: u64) -> Result<(), AgentError> {
    store.with("raise the anti-rollback floor", |store| match store.ratchet() {
        Some(ratchet) => ratchet.raise_floor(&floor_name(), to),
        None => Ok(()),
    })
}

fn floor_name() -> CounterName {
    #[expect(clippy::expect_used, reason = "the literal is a valid name, and tests read the floor")]
    CounterName::new("firmware").expect("a valid name")
}

/// The offers in the inbox that have no result yet, in the order of their names.
pub(crate) fn waiting(inbox: &Path) -> Result<Vec<PathBuf>, AgentError> {
    let failed = AgentError::file("read", inbox);
    let entries = match fs::read_dir(inbox) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut offers = Vec::new();
    for entry in entries.take(MAX_FILES) {
        let path = entry.map_err(&failed)?.path();
        if path.extension().is_some_and(|e| e == "tmfw") && !result_path(&path).exists() {
            offers.push(path);
        }
    }
    offers.sort();
    Ok(offers)
}

/// Reads an offer, one byte beyond the bound, so that [`verify`] sees what is too large. What cannot be read is refused
/// like what cannot be parsed: an inbox does not stop a device.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, OfferRefusal> {
    let unreadable = |error: std::io::Error| OfferRefusal::Malformed { detail: error.to_string() };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_OFFER_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Writes `<offer>.result.json`.
pub(crate) fn write_result(offer: &Path, result: &OfferResult) -> Result<(), AgentError> {
    let json = serde_json::to_vec(result)
        .map_err(|error| AgentError::Internal { operation: "writing a result", detail: error.to_string() })?;
    replace(&result_path(offer), &json)
}

fn result_path(offer: &Path) -> PathBuf {
    let mut path = offer.as_os_str().to_owned();
    path.push(".result.json");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testpki::software;
    use proptest::prelude::*;

    fn release() -> Release {
        Release { version: "2.3.0".parse().unwrap(), security_version: 2, sha256: [0xab; 32] }
    }

    #[test]
    fn canonical_bytes_are_those_of_the_documentation() {
        let expected = format!("touchmark.firmware-offer/1\n2.3.0\n2\n{}\n", "ab".repeat(32));
        assert_eq!(release().canonical_bytes(), expected.as_bytes());
    }

    #[test]
    fn only_the_release_key_and_only_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let (store, key) = software(dir.path());
        let public = store.with("tell", |s| s.public_key(&key)).unwrap();
        let other = store.with("make", |s| s.generate(&KeyName::new("other").unwrap())).unwrap();
        let json = store.with("sign", |s| release().sign(s, &key)).unwrap();
        let verified = verify(json.as_bytes(), Some(&public)).unwrap();
        assert_eq!(verified.release(), &release());
        assert_eq!(verify(json.as_bytes(), None), Err(OfferRefusal::NoReleaseKey));
        assert_eq!(verify(json.as_bytes(), Some(&other)).unwrap_err().code(), "AG-0103");
        for (from, to) in [
            ("\"2.3.0\"", "\"2.3.1\""),
            ("\"security_version\":2", "\"security_version\":3"),
            ("abab", "abac"),
        ] {
            let changed = json.replacen(from, to, 1);
            assert_ne!(changed, json);
            assert_eq!(verify(changed.as_bytes(), Some(&public)).unwrap_err().code(), "AG-0103");
        }
        for end in 0..json.len() {
            assert_eq!(verify(&json.as_bytes()[..end], Some(&public)).unwrap_err().code(), "AG-0101");
        }
        // The floor lets an equal security version in, for it is no downgrade.
        assert!(verified.clone().admit(2).is_ok());
        assert_eq!(verified.admit(3).unwrap_err().code(), "AG-0104");
    }

    proptest! {
        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(verify(&bytes, None).is_err());
        }

        #[test]
        fn a_version_never_forges_a_line(text in "\\PC{0,40}") {
            if let Ok(version) = text.parse::<Version>() {
                let lines = Release { version, ..release() }.canonical_bytes();
                prop_assert_eq!(lines.iter().filter(|b| **b == b'\n').count(), 4);
            }
        }
    }
}
