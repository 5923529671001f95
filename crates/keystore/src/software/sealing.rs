//! Sealing private keys under a passphrase.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::StoreError;

/// RFC 9106 §4, second recommended option: 64 MiB of memory, 3 passes, 4 lanes.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// Sealed beside the keys, so that a wrong passphrase is noticed in a store that has no key yet.
const CHECK: &[u8] = b"touchmark";
const CHECK_NAME: &str = "=check";
const NONCE_BYTES: usize = 12;

/// How private keys lie on the medium.
pub enum Protection {
    /// As they are: the plain flash mode, for the lab and for showing what flash extraction gives.
    PlainFlash,
    /// Sealed under this passphrase.
    Passphrase(Zeroizing<Vec<u8>>),
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PlainFlash => "PlainFlash",
            Self::Passphrase(_) => "Passphrase(redacted)",
        })
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SealingParameters {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    check: String,
}

pub(super) struct Sealing(RandomizedNonceKey);

const FAILED: StoreError = StoreError::Crypto { operation: "sealing" };

impl Sealing {
    /// Draws a salt and derives a key, where a passphrase was given.
    pub(super) fn create(
        protection: &Protection,
    ) -> Result<(Option<Self>, Option<SealingParameters>), StoreError> {
        let Protection::Passphrase(passphrase) = protection else { return Ok((None, None)) };
        let mut salt = [0; 16];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| FAILED)?;
        let mut parameters = SealingParameters {
            kdf: "argon2id".to_owned(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: hex::encode(salt),
            check: String::new(),
        };
        let sealing = Self::derive(&parameters, passphrase)?;
        parameters.check = sealing.seal(CHECK_NAME, CHECK)?;
        Ok((Some(sealing), Some(parameters)))
    }

    /// Derives the key of an existing store and checks it.
    pub(super) fn open(
        parameters: Option<&SealingParameters>,
        protection: &Protection,
        place: &str,
    ) -> Result<Option<Self>, StoreError> {
        match (parameters, protection) {
            (None, Protection::PlainFlash) => Ok(None),
            (Some(parameters), Protection::Passphrase(passphrase)) => {
                let sealing = Self::derive(parameters, passphrase)?;
                sealing.unseal(CHECK_NAME, &parameters.check, place)?;
                Ok(Some(sealing))
            }
            (Some(_), Protection::PlainFlash) => Err(StoreError::WrongSecret { store: place.to_owned() }),
            (None, Protection::Passphrase(_)) => Err(StoreError::Corrupt {
                path: place.to_owned(),
                detail: "a passphrase was given, and the keys lie there unsealed".to_owned(),
            }),
        }
    }

    fn derive(parameters: &SealingParameters, passphrase: &[u8]) -> Result<Self, StoreError> {
        let corrupt =
            |detail: &str| StoreError::Corrupt { path: "sealing".to_owned(), detail: detail.to_owned() };
        if parameters.kdf != "argon2id" || parameters.memory_kib > 1024 * 1024 || parameters.passes > 32 {
            return Err(corrupt("only argon2id with at most 1 GiB and 32 passes is known"));
        }
        let params = Params::new(parameters.memory_kib, parameters.passes, parameters.lanes, Some(32))
            .map_err(|_| corrupt("the Argon2 parameters are out of range"))?;
        let salt = hex::decode(&parameters.salt).map_err(|_| corrupt("the salt is not written in hex"))?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &salt, key.as_mut())
            .map_err(|_| corrupt("the salt is too short"))?;
        Ok(Self(RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| FAILED)?))
    }

    /// Nonce, ciphertext and tag, in hex. The name is authenticated, so that keys cannot be swapped.
    pub(super) fn seal(&self, name: &str, secret: &[u8]) -> Result<String, StoreError> {
        let mut buffer = secret.to_vec();
        let nonce =
            self.0.seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut buffer).map_err(|_| FAILED)?;
        Ok(hex::encode([nonce.as_ref(), buffer.as_slice()].concat()))
    }

    pub(super) fn unseal(
        &self,
        name: &str,
        sealed: &str,
        place: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let wrong = || StoreError::WrongSecret { store: place.to_owned() };
        let bytes = hex::decode(sealed).map_err(|_| wrong())?;
        let (nonce, body) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(wrong)?;
        let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(name.as_bytes()), body.as_mut())
            .map_err(|_| wrong())?
            .len();
        body.truncate(length);
        Ok(body)
    }
}
