//! HMAC and policy sessions (part 1, §18 to §21): commands and responses under an HMAC, first parameters encrypted.
//!
//! Each session is salted: its key comes from a random value that only the TPM with the salt key can decrypt. The Name
//! of that key is compared with the pinned one before anything is encrypted to it, so that nobody between host and TPM
//! can put a key of his own in its place.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::agreement::{self, PrivateKey};
use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{hmac, rand};
use touchmark_identity::tpm::{self, AlgorithmId, Handle, KeyParameters, Name, PublicArea, Writer};
use zeroize::Zeroizing;

use super::command::{self, Acknowledgement, AuthorisationField, PART, Response, Spec};
use crate::StoreError;

/// Labels of keys (part 1, §19.6.8, §21.3, B and C), without their zero byte.
const SECRET: &[u8] = b"SECRET";
const ATH: &[u8] = b"ATH";
const CFB: &[u8] = b"CFB";

/// `TPMA_SESSION` (part 2, §8.4).
const CONTINUE_SESSION: u8 = 0x01;
const DECRYPT: u8 = 0x20;
const ENCRYPT: u8 = 0x40;

/// `TPM_SE` (part 2, §6.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Authorises by the value of the entity.
    Hmac,
    /// Authorises by what happened in the session.
    Policy {
        /// Whether `TPM2_PolicyAuthValue` was among it: then the entity's value enters the HMAC as well.
        auth_value: bool,
    },
}

/// The Name of the salt key: given beforehand, or learned at the first use and kept from then on.
#[derive(Debug, Clone, Default)]
pub(super) struct PinnedSaltKey(Arc<OnceLock<Name>>);

impl PinnedSaltKey {
    pub(super) fn new(name: Option<Name>) -> Self {
        Self(Arc::new(name.map_or_else(OnceLock::new, OnceLock::from)))
    }

    /// The Name, once it is known.
    pub(super) fn name(&self) -> Option<&Name> {
        self.0.get()
    }

    fn check(&self, found: &Name) -> Result<(), StoreError> {
        let pinned = self.0.get_or_init(|| found.clone());
        if pinned == found {
            return Ok(());
        }
        Err(StoreError::Tampered {
            part: PART,
            command: command::CREATE_PRIMARY.name,
            detail: format!("the salt key has the name {found}, pinned is {pinned}"),
        })
    }
}

/// A session that is about to begin: what `TPM2_StartAuthSession` sends, and what only this side knows.
pub(super) struct Opening {
    kind: Kind,
    hash: AlgorithmId,
    nonce: Vec<u8>,
    salt: Zeroizing<Vec<u8>>,
    encrypted_salt: Vec<u8>,
}

impl Opening {
    /// `hash` is SHA-256 or SHA-384.
    pub(super) fn new(
        kind: Kind,
        hash: AlgorithmId,
        salt_key: &PublicArea,
        pinned: &PinnedSaltKey,
    ) -> Result<Self, StoreError> {
        let malformed = |cause| command::malformed(command::CREATE_PRIMARY, &cause);
        pinned.check(&salt_key.name().map_err(malformed)?)?;
        let mut nonce = vec![0; digest_bytes(hash)?];
        fill(&mut nonce)?;
        let (salt, encrypted_salt) = agree_on_salt(salt_key)?;
        Ok(Self { kind, hash, nonce, salt, encrypted_salt })
    }

    /// The parameters of `TPM2_StartAuthSession` (part 3, §11.1).
    pub(super) fn parameters(&self) -> Writer {
        let mut parameters = Writer::new(command::START_AUTH_SESSION.name);
        let kind = match self.kind {
            Kind::Hmac => 0,
            Kind::Policy { .. } => 1,
        };
        parameters.sized(&self.nonce).sized(&self.encrypted_salt).u8(kind);
        parameters.u16(AlgorithmId::AES.0).u16(128).u16(AlgorithmId::CFB.0).u16(self.hash.0);
        parameters
    }

    /// The session, with the TPM's answer. A session that is bound to an entity takes its value into the key.
    pub(super) fn finish(
        self,
        handle: Handle,
        nonce_tpm: Vec<u8>,
        bound: Option<(Name, &[u8])>,
    ) -> Result<Session, StoreError> {
        let value = bound.as_ref().map_or(&[][..], |(_, value)| without_trailing_zeros(value));
        let secret = Zeroizing::new([value, &self.salt].concat());
        // Part 1, §19.6.8.
        let key = kdfa(self.hash, &secret, ATH, &nonce_tpm, &self.nonce, digest_bytes(self.hash)?)?;
        Ok(Session {
            handle,
            kind: self.kind,
            hash: self.hash,
            key,
            nonce_caller: self.nonce,
            nonce_tpm,
            bound: bound.map(|(name, _)| name),
        })
    }
}

/// A session that runs. Both nonces change with each command.
pub(super) struct Session {
    pub(super) handle: Handle,
    kind: Kind,
    hash: AlgorithmId,
    key: Zeroizing<Vec<u8>>,
    nonce_caller: Vec<u8>,
    nonce_tpm: Vec<u8>,
    bound: Option<Name>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("handle", &self.handle)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What a session does in one command.
pub(super) struct Use<'a> {
    pub(super) auth_value: &'a [u8],
    /// Name of the entity that it authorises; absent for a session that protects alone.
    pub(super) entity: Option<&'a Name>,
    /// Whether it encrypts; the first session of a command does.
    pub(super) encrypts: bool,
}

impl Session {
    /// After `TPM2_PolicyAuthValue`.
    pub(super) fn needs_auth_value(&mut self) {
        self.kind = Kind::Policy { auth_value: true };
    }

    /// Whether the TPM ends the session with a command that succeeds.
    pub(super) fn ends(&self) -> bool {
        matches!(self.kind, Kind::Policy { .. })
    }

    fn attributes(&self, spec: Spec, encrypts: bool, authorises: bool) -> u8 {
        let continues = if self.ends() && authorises { 0 } else { CONTINUE_SESSION };
        let decrypt = if encrypts && spec.sized.in_command() { DECRYPT } else { 0 };
        let encrypt = if encrypts && spec.sized.in_response() { ENCRYPT } else { 0 };
        continues | decrypt | encrypt
    }

    /// Takes a fresh nonce, and encrypts the first parameter where this session does that. Comes before the HMACs of all
    /// sessions, which cover what is sent.
    pub(super) fn prepare(
        &mut self,
        spec: Spec,
        how: &Use<'_>,
        parameters: &mut [u8],
    ) -> Result<(), StoreError> {
        fill(&mut self.nonce_caller)?;
        if how.encrypts && spec.sized.in_command() {
            let (key, vector) = self.cipher(how.auth_value, &self.nonce_caller, &self.nonce_tpm)?;
            let content = first_content(parameters).ok_or(CRYPTO_FRAME)?;
            encrypt(&key, vector, content)?;
        }
        Ok(())
    }

    /// `TPMS_AUTH_COMMAND` (part 1, §19.6.5).
    pub(super) fn authorise(
        &self,
        spec: Spec,
        how: &Use<'_>,
        names: &[Name],
        parameters: &[u8],
    ) -> Result<AuthorisationField, StoreError> {
        let mut covered = spec.code.0.to_be_bytes().to_vec();
        names.iter().for_each(|name| covered.extend_from_slice(&name.0));
        covered.extend_from_slice(parameters);
        let attributes = self.attributes(spec, how.encrypts, how.entity.is_some());
        let hmac = self.hmac(how, &covered, &self.nonce_caller, &self.nonce_tpm, attributes)?;
        Ok(AuthorisationField {
            session: self.handle,
            nonce: self.nonce_caller.clone(),
            attributes,
            hmac: hmac.as_ref().to_vec(),
        })
    }

    /// Checks the TPM's HMAC over a response (part 1, §19.6.6) and takes its nonce.
    pub(super) fn acknowledge(
        &mut self,
        spec: Spec,
        how: &Use<'_>,
        parameters: &[u8],
        answer: &Acknowledgement,
    ) -> Result<(), StoreError> {
        // The response code is TPM_RC_SUCCESS, four zero bytes; any other has no sessions.
        let mut covered = Zeroizing::new([[0; 4], spec.code.0.to_be_bytes()].concat());
        covered.extend_from_slice(parameters);
        let expected = self.hmac(how, &covered, &answer.nonce, &self.nonce_caller, answer.attributes)?;
        verify_slices_are_equal(expected.as_ref(), &answer.hmac).map_err(|_| StoreError::Tampered {
            part: PART,
            command: spec.name,
            detail: "the HMAC over the response is wrong".to_owned(),
        })?;
        self.nonce_tpm.clone_from(&answer.nonce);
        Ok(())
    }

    /// Decrypts the first parameter of a response whose HMAC was right.
    pub(super) fn reveal(
        &self,
        spec: Spec,
        how: &Use<'_>,
        response: &mut Response,
    ) -> Result<(), StoreError> {
        if !(how.encrypts && spec.sized.in_response()) {
            return Ok(());
        }
        let (key, vector) = self.cipher(how.auth_value, &self.nonce_tpm, &self.nonce_caller)?;
        let content = first_content(&mut response.parameters).ok_or_else(|| StoreError::Malformed {
            part: PART,
            command: spec.name,
            detail: "the first parameter ends before its size".to_owned(),
        })?;
        decrypt(&key, vector, content)
    }

    /// Part 1, §19.6.5: HMAC over the hash of what is covered, both nonces, newer first, and the attributes.
    fn hmac(
        &self,
        how: &Use<'_>,
        covered: &[u8],
        newer: &[u8],
        older: &[u8],
        attributes: u8,
    ) -> Result<hmac::Tag, StoreError> {
        let bound = self.bound.is_some() && self.bound.as_ref() == how.entity;
        let with_value = match self.kind {
            Kind::Hmac => how.entity.is_some() && !bound,
            Kind::Policy { auth_value } => auth_value,
        };
        let value = if with_value { without_trailing_zeros(how.auth_value) } else { &[] };
        let key = Zeroizing::new([&self.key, value].concat());
        let mut context = hmac::Context::with_key(&hmac::Key::new(mac(self.hash)?, &key));
        context.update(&hash(self.hash, covered)?);
        context.update(newer);
        context.update(older);
        context.update(&[attributes]);
        Ok(context.sign())
    }

    /// Part 1, §21.3: key and vector for one parameter. The value of the entity always enters.
    fn cipher(
        &self,
        auth_value: &[u8],
        newer: &[u8],
        older: &[u8],
    ) -> Result<(Zeroizing<Vec<u8>>, [u8; 16]), StoreError> {
        let secret = Zeroizing::new([&self.key, without_trailing_zeros(auth_value)].concat());
        let both = kdfa(self.hash, &secret, CFB, newer, older, 32)?;
        let (key, vector) = both.split_at_checked(16).ok_or(crypto("KDFa"))?;
        let vector = <[u8; 16]>::try_from(vector).map_err(|_| crypto("KDFa"))?;
        Ok((Zeroizing::new(key.to_vec()), vector))
    }
}

const CRYPTO_FRAME: StoreError = StoreError::Crypto { operation: "finding the parameter to encrypt" };

fn crypto(operation: &'static str) -> StoreError {
    StoreError::Crypto { operation }
}

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    rand::fill(bytes).map_err(|_| crypto("drawing a nonce"))
}

fn hash(algorithm: AlgorithmId, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    tpm::hash(algorithm, bytes).map_err(|_| crypto("hashing a command"))
}

fn mac(hash: AlgorithmId) -> Result<hmac::Algorithm, StoreError> {
    match hash {
        AlgorithmId::SHA256 => Ok(hmac::HMAC_SHA256),
        AlgorithmId::SHA384 => Ok(hmac::HMAC_SHA384),
        _ => Err(crypto("choosing the hash of a session")),
    }
}

fn digest_bytes(hash: AlgorithmId) -> Result<usize, StoreError> {
    Ok(mac(hash)?.tag_len())
}

/// Part 1, §19.6.4.3 (authorisation values): trailing zeros do not count.
fn without_trailing_zeros(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    value.get(..end).unwrap_or_default()
}

/// The content of the `TPM2B` at the front, without its size.
fn first_content(parameters: &mut [u8]) -> Option<&mut [u8]> {
    let (size, content) = parameters.split_first_chunk_mut::<2>()?;
    content.split_at_mut_checked(usize::from(u16::from_be_bytes(*size))).map(|(content, _)| content)
}

fn encrypt(key: &[u8], vector: [u8; 16], content: &mut [u8]) -> Result<(), StoreError> {
    let key = UnboundCipherKey::new(&AES_128, key).map_err(|_| crypto("preparing an AES key"))?;
    EncryptingKey::cfb128(key)
        .and_then(|key| key.less_safe_encrypt(content, EncryptionContext::Iv128(FixedLength::from(vector))))
        .map(|_| ())
        .map_err(|_| crypto("AES-CFB encryption"))
}

fn decrypt(key: &[u8], vector: [u8; 16], content: &mut [u8]) -> Result<(), StoreError> {
    let key = UnboundCipherKey::new(&AES_128, key).map_err(|_| crypto("preparing an AES key"))?;
    let key = DecryptingKey::cfb128(key).map_err(|_| crypto("AES-CFB decryption"))?;
    key.decrypt(content, DecryptionContext::Iv128(FixedLength::from(vector)))
        .map(|_| ())
        .map_err(|_| crypto("AES-CFB decryption"))
}

/// Part 1, §11.4.10.2, KDFa: SP 800-108 in counter mode with HMAC.
fn kdfa(
    hash: AlgorithmId,
    key: &[u8],
    label: &[u8],
    newer: &[u8],
    older: &[u8],
    bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let bits = u32::try_from(bytes * 8).map_err(|_| crypto("KDFa"))?;
    let key = hmac::Key::new(mac(hash)?, key);
    let mut derived = Zeroizing::new(Vec::new());
    for counter in 1u32..=4 {
        if derived.len() >= bytes {
            break;
        }
        let mut context = hmac::Context::with_key(&key);
        for part in [&counter.to_be_bytes()[..], label, &[0], newer, older, &bits.to_be_bytes()] {
            context.update(part);
        }
        derived.extend_from_slice(context.sign().as_ref());
    }
    derived.truncate(bytes);
    Ok(derived)
}

/// Part 1, annex C.6.1 and §11.4.10.3, KDFe: a salt by one-pass Diffie-Hellman with an ephemeral key, and that key's point
/// as `TPMS_ECC_POINT`.
fn agree_on_salt(salt_key: &PublicArea) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), StoreError> {
    let KeyParameters::Ecc { x, .. } = &salt_key.key else { return Err(crypto("choosing a salt key")) };
    let point = salt_key.ecc_point().ok_or(crypto("choosing a salt key"))?;
    let ephemeral = PrivateKey::generate(&agreement::ECDH_P256).map_err(|_| crypto("generating a key"))?;
    let public = ephemeral.compute_public_key().map_err(|_| crypto("generating a key"))?;
    let (ephemeral_x, ephemeral_y) = public
        .as_ref()
        .split_first()
        .and_then(|(_, both)| both.split_at_checked(32))
        .ok_or(crypto("generating a key"))?;
    let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, &point);
    let salt = agreement::agree(&ephemeral, peer, crypto("agreeing with the salt key"), |shared| {
        let input = Zeroizing::new([&1u32.to_be_bytes()[..], shared, SECRET, &[0], ephemeral_x, x].concat());
        hash(salt_key.name_alg, &input).map(Zeroizing::new)
    })?;
    let mut encrypted = Writer::new("TPMS_ECC_POINT");
    encrypted.sized(ephemeral_x).sized(ephemeral_y);
    let encrypted = encrypted.finish().map_err(|_| crypto("writing a point"))?;
    Ok((salt, encrypted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST SP 800-38A, F.3.13 and F.3.14, CFB128-AES128, first two blocks.
    #[test]
    fn aes_cfb_agrees_with_its_standard() {
        let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap();
        let vector = <[u8; 16]>::try_from(hex::decode("000102030405060708090a0b0c0d0e0f").unwrap()).unwrap();
        let plain = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51").unwrap();
        let mut bytes = plain.clone();
        encrypt(&key, vector, &mut bytes).unwrap();
        assert_eq!(hex::encode(&bytes), "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b");
        decrypt(&key, vector, &mut bytes).unwrap();
        assert_eq!(bytes, plain);
        // A parameter of any length is encrypted as it is, without padding.
        let mut odd = plain[..5].to_vec();
        encrypt(&key, vector, &mut odd).unwrap();
        assert_eq!(hex::encode(odd), "3b3fd92eb7");
    }

    #[test]
    fn values_end_before_their_zeros() {
        assert_eq!(without_trailing_zeros(&[1, 0, 2, 0, 0]), [1, 0, 2]);
        assert!(without_trailing_zeros(&[0, 0]).is_empty());
    }

    #[test]
    fn a_parameter_that_ends_early_is_not_touched() {
        assert!(first_content(&mut [0]).is_none());
        assert!(first_content(&mut [0, 3, 1, 2]).is_none());
        assert_eq!(first_content(&mut [0, 1, 7, 8]), Some(&mut [7][..]));
    }

    #[test]
    fn another_salt_key_than_the_pinned_one_is_refused() {
        let pinned = PinnedSaltKey::new(None);
        pinned.check(&Name(vec![1])).unwrap();
        pinned.check(&Name(vec![1])).unwrap();
        let refused = pinned.check(&Name(vec![2])).unwrap_err();
        assert!(refused.to_string().contains("the name 02, pinned is 01"), "{refused}");
    }
}
