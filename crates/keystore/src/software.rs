//! Keys in a file: the storage class that this product exists to replace, and the one most fleets have.
//!
//! One TOML document holds keys, counters, floors and objects. Where it lies is a [`Medium`]: a file of its own, or a
//! file inside a flash image ([`flash`]). Keys are sealed under a passphrase (Argon2id, RFC 9106 §4, second
//! recommended option; AES-256-GCM, NIST SP 800-38D), or lie there as PKCS#8 in PEM, which is the *plain flash mode*:
//! what an attacker finds who reads the flash of a device without a chip. Counters and floors lie beside them, so
//! whoever can write the medium can rewind them.
//!
//! A store is held by one process at a time. Every change is complete on the medium before it is acknowledged. What another
//! program wrote beneath an open store is never overwritten: changes are refused from then on.

pub mod flash;
mod medium;
mod sealing;

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use der::pem::LineEnding;
use serde::{Deserialize, Serialize};
use touchmark_identity::assurance::Storage;
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::PublicKey;
use touchmark_identity::text::printable;
use zeroize::Zeroizing;

pub use medium::{FileMedium, Medium};
pub use sealing::Protection;

use crate::store::{ActivateCredential, Attest, Counters, KeyStore, Objects, Ratchet, StoreError, StoreInfo};
use sealing::{Sealing, SealingParameters};

const FORMAT: &str = "touchmark-software-store/1";
const PEM_LABEL: &str = "PRIVATE KEY";
/// An object is at most this long, in bytes.
pub const MAX_OBJECT_BYTES: usize = 16 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealing: Option<SealingParameters>,
    #[serde(default)]
    counters: BTreeMap<CounterName, u64>,
    #[serde(default)]
    floors: BTreeMap<CounterName, u64>,
    #[serde(default)]
    objects: BTreeMap<KeyName, String>,
    #[serde(default)]
    keys: BTreeMap<KeyName, StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    /// PKCS#8 in PEM (RFC 5958, RFC 7468 §10), in plain flash mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private_key: Option<String>,
    /// PKCS#8 in DER, sealed; hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredKey(redacted)")
    }
}

/// A key store in a file.
pub struct SoftwareStore {
    medium: Box<dyn Medium>,
    sealing: Option<Sealing>,
    document: Document,
    pairs: BTreeMap<KeyName, EcdsaKeyPair>,
}

impl std::fmt::Debug for SoftwareStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SoftwareStore({}, {} keys)", self.medium.place(), self.document.keys.len())
    }
}

impl SoftwareStore {
    /// Opens the store on a medium, or makes an empty one where there is none.
    ///
    /// # Errors
    /// [`StoreError::WrongSecret`] when the passphrase does not open it, or none was given and it is sealed;
    /// [`StoreError::Corrupt`] when the document cannot be read: it is never replaced by an empty one.
    pub fn open(mut medium: Box<dyn Medium>, protection: &Protection) -> Result<Self, StoreError> {
        let place = medium.place();
        let Some(bytes) = medium.load()? else {
            let (sealing, parameters) = Sealing::create(protection)?;
            let document = Document {
                format: FORMAT.to_owned(),
                sealing: parameters,
                counters: BTreeMap::new(),
                floors: BTreeMap::new(),
                objects: BTreeMap::new(),
                keys: BTreeMap::new(),
            };
            let mut store = Self { medium, sealing, document, pairs: BTreeMap::new() };
            store.save()?;
            return Ok(store);
        };
        let corrupt = |detail: String| StoreError::Corrupt { path: place.clone(), detail };
        let text =
            Zeroizing::new(String::from_utf8(bytes).map_err(|_| corrupt("it is not text".to_owned()))?);
        let document: Document = toml::from_str(&text).map_err(|e| corrupt(printable(e.message(), 200)))?;
        if document.format != FORMAT {
            return Err(corrupt(format!("format is {:?}, this program reads {FORMAT:?}", document.format)));
        }
        let sealing = Sealing::open(document.sealing.as_ref(), protection, &place)?;
        let mut pairs = BTreeMap::new();
        for (name, stored) in &document.keys {
            let pkcs8 = match (&sealing, &stored.private_key, &stored.sealed) {
                (None, Some(pem), None) => decode_pem(pem)
                    .ok_or_else(|| corrupt(format!("key {name} is not a PKCS#8 private key in PEM")))?,
                (Some(sealing), None, Some(sealed)) => sealing.unseal(name.as_str(), sealed, &place)?,
                _ => return Err(corrupt(format!("key {name} is sealed in another way than the store"))),
            };
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8)
                .map_err(|_| corrupt(format!("key {name} is not a P-256 key")))?;
            pairs.insert(name.clone(), pair);
        }
        Ok(Self { medium, sealing, document, pairs })
    }

    /// Takes over a P-256 key from outside, as PKCS#8 in DER: what a cloner does, and a factory that injects keys.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is a key of this name; [`StoreError::Corrupt`] when it is not a P-256 key.
    pub fn import(&mut self, key: &KeyName, pkcs8: &[u8]) -> Result<PublicKey, StoreError> {
        self.must_not_exist(key)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).map_err(|_| {
            StoreError::Corrupt {
                path: "the key to import".to_owned(),
                detail: "not PKCS#8 with P-256".to_owned(),
            }
        })?;
        self.insert(key, pair, pkcs8)
    }

    fn must_not_exist(&self, key: &KeyName) -> Result<(), StoreError> {
        if self.pairs.contains_key(key) {
            Err(StoreError::Exists { what: "key", name: key.to_string() })
        } else {
            Ok(())
        }
    }

    fn insert(&mut self, key: &KeyName, pair: EcdsaKeyPair, pkcs8: &[u8]) -> Result<PublicKey, StoreError> {
        let stored = match &self.sealing {
            None => StoredKey { private_key: Some(encode_pem(pkcs8)?), sealed: None },
            Some(sealing) => {
                StoredKey { private_key: None, sealed: Some(sealing.seal(key.as_str(), pkcs8)?) }
            }
        };
        let public = public_of(&pair)?;
        self.document.keys.insert(key.clone(), stored);
        if let Err(error) = self.save() {
            self.document.keys.remove(key);
            return Err(error);
        }
        self.pairs.insert(key.clone(), pair);
        Ok(public)
    }

    fn pair(&self, key: &KeyName) -> Result<&EcdsaKeyPair, StoreError> {
        self.pairs.get(key).ok_or_else(|| StoreError::NotFound { what: "key", name: key.to_string() })
    }

    fn save(&mut self) -> Result<(), StoreError> {
        let text = toml::to_string_pretty(&self.document)
            .map_err(|e| StoreError::Corrupt { path: self.medium.place(), detail: e.to_string() })?;
        self.medium.save(Zeroizing::new(text).as_bytes())
    }

    /// Changes the document and saves it; on failure the document is as before.
    fn change<V: Copy, K: Ord + Clone>(
        &mut self,
        table: fn(&mut Document) -> &mut BTreeMap<K, V>,
        name: &K,
        value: V,
    ) -> Result<(), StoreError> {
        let before = table(&mut self.document).insert(name.clone(), value);
        self.save().inspect_err(|_| {
            match before {
                Some(before) => table(&mut self.document).insert(name.clone(), before),
                None => table(&mut self.document).remove(name),
            };
        })
    }
}

fn public_of(pair: &EcdsaKeyPair) -> Result<PublicKey, StoreError> {
    PublicKey::from_point(pair.public_key().as_ref())
        .map_err(|_| StoreError::Crypto { operation: "key generation" })
}

fn decode_pem(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    match der::pem::decode_vec(pem.trim().as_bytes()) {
        Ok((PEM_LABEL, bytes)) => Some(Zeroizing::new(bytes)),
        _ => None,
    }
}

fn encode_pem(pkcs8: &[u8]) -> Result<String, StoreError> {
    der::pem::encode_string(PEM_LABEL, LineEnding::LF, pkcs8)
        .map_err(|_| StoreError::Crypto { operation: "PEM encoding" })
}

impl KeyStore for SoftwareStore {
    fn info(&mut self) -> Result<StoreInfo, StoreError> {
        Ok(StoreInfo {
            storage: Storage::Software,
            vendor: "Touchmark".to_owned(),
            model: if self.sealing.is_some() { "sealed key file" } else { "plain key file" }.to_owned(),
            firmware: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: vec!["counters", "objects", "ratchet"],
        })
    }

    fn generate(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        self.must_not_exist(key)?;
        let failed = |_| StoreError::Crypto { operation: "key generation" };
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(failed)?;
        self.insert(key, pair, pkcs8.as_ref())
    }

    fn public_key(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        public_of(self.pair(key)?)
    }

    fn sign_digest(&mut self, key: &KeyName, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        let failed = |_| StoreError::Crypto { operation: "signing" };
        let digest = Digest::import_less_safe(digest, &SHA256).map_err(failed)?;
        Ok(self.pair(key)?.sign_digest(&digest).map_err(failed)?.as_ref().to_vec())
    }

    fn delete(&mut self, key: &KeyName) -> Result<(), StoreError> {
        let Some(stored) = self.document.keys.remove(key) else {
            return Err(StoreError::NotFound { what: "key", name: key.to_string() });
        };
        if let Err(error) = self.save() {
            self.document.keys.insert(key.clone(), stored);
            return Err(error);
        }
        self.pairs.remove(key);
        Ok(())
    }

    fn attest(&mut self) -> Option<&mut dyn Attest> {
        None
    }

    fn activate_credential(&mut self) -> Option<&mut dyn ActivateCredential> {
        None
    }

    fn counters(&mut self) -> Option<&mut dyn Counters> {
        Some(self)
    }

    fn ratchet(&mut self) -> Option<&mut dyn Ratchet> {
        Some(self)
    }

    fn objects(&mut self) -> Option<&mut dyn Objects> {
        Some(self)
    }
}

impl Counters for SoftwareStore {
    fn read_counter(&mut self, counter: &CounterName) -> Result<u64, StoreError> {
        let missing = || StoreError::NotFound { what: "counter", name: counter.to_string() };
        self.document.counters.get(counter).copied().ok_or_else(missing)
    }

    fn increment_counter(&mut self, counter: &CounterName) -> Result<u64, StoreError> {
        let now = self.document.counters.get(counter).copied().unwrap_or(0);
        // TOML integers are signed 64-bit numbers.
        let next = now.checked_add(1).filter(|next| i64::try_from(*next).is_ok()).ok_or_else(|| {
            StoreError::Exhausted { what: "counts", detail: format!("counter {counter} stands at {now}") }
        })?;
        self.change(|d| &mut d.counters, counter, next)?;
        Ok(next)
    }
}

impl Ratchet for SoftwareStore {
    fn floor(&mut self, name: &CounterName) -> Result<u64, StoreError> {
        Ok(self.document.floors.get(name).copied().unwrap_or(0))
    }

    fn raise_floor(&mut self, name: &CounterName, to: u64) -> Result<(), StoreError> {
        let current = self.floor(name)?;
        if to < current {
            return Err(StoreError::WouldGoBack { name: name.to_string(), current, asked: to });
        }
        if i64::try_from(to).is_err() {
            let detail = format!("a floor is at most {}, {to} was asked for", i64::MAX);
            return Err(StoreError::Exhausted { what: "range", detail });
        }
        self.change(|d| &mut d.floors, name, to)
    }
}

impl Objects for SoftwareStore {
    fn read_object(&mut self, name: &KeyName) -> Result<Vec<u8>, StoreError> {
        let missing = || StoreError::NotFound { what: "object", name: name.to_string() };
        let text = self.document.objects.get(name).ok_or_else(missing)?;
        hex::decode(text).map_err(|_| StoreError::Corrupt {
            path: self.medium.place(),
            detail: format!("object {name} is not written in hex"),
        })
    }

    fn write_object(&mut self, name: &KeyName, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > MAX_OBJECT_BYTES {
            let detail =
                format!("an object has at most {MAX_OBJECT_BYTES} bytes, this one has {}", bytes.len());
            return Err(StoreError::Exhausted { what: "room", detail });
        }
        let before = self.document.objects.insert(name.clone(), hex::encode(bytes));
        self.save().inspect_err(|_| {
            match before {
                Some(before) => self.document.objects.insert(name.clone(), before),
                None => self.document.objects.remove(name),
            };
        })
    }
}

#[cfg(test)]
mod tests;
