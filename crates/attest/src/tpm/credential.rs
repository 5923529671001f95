//! `TPM2_MakeCredential` in software (part 1, §24): a secret that only the TPM with this EK gives back, and only while
//! an object with this Name is loaded in it.

use aws_lc_rs::agreement::{self, PrivateKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OaepPublicEncryptingKey, PublicEncryptingKey,
};
use touchmark_identity::tpm::{
    self, AlgorithmId, CurveId, KeyParameters, Name, PublicArea, Symmetric, TpmFormatError, Writer,
};
use zeroize::Zeroizing;

use super::{Challenge, EK, format_error};
use crate::error::AppraisalError;

/// The label of a seed that protects a credential; on the wire with a zero byte at its end (part 1, §24 and B.10.3).
const IDENTITY: &[u8] = b"IDENTITY\0";
/// Labels of the keys that come from the seed (part 1, §24), without their zero byte.
const STORAGE: &[u8] = b"STORAGE";
const INTEGRITY: &[u8] = b"INTEGRITY";

fn crypto(operation: &'static str) -> AppraisalError {
    AppraisalError::Crypto { operation }
}

fn unsupported(found: String) -> AppraisalError {
    AppraisalError::UnsupportedAlgorithm {
        what: EK.to_owned(),
        found,
        accepted: "RSA from 2048 bits, P-256 or P-384, with SHA-256 or SHA-384 and AES-128 or AES-256 in CFB mode",
    }
}

/// Makes the challenge. `random` is the seed for an RSA EK, of which as many bytes are used as the EK's Name has; an
/// elliptic-curve EK agrees on its seed with an ephemeral key, which the cryptographic library generates.
pub(super) fn make(
    ek: &PublicArea,
    name: &Name,
    secret: &[u8],
    random: &[u8; 48],
) -> Result<Challenge, AppraisalError> {
    let mac = match ek.name_alg {
        AlgorithmId::SHA256 => hmac::HMAC_SHA256,
        AlgorithmId::SHA384 => hmac::HMAC_SHA384,
        other => return Err(unsupported(format!("the name algorithm {other}"))),
    };
    let (seed, encrypted_secret) = match &ek.key {
        KeyParameters::Rsa { .. } => {
            let (seed, _) = random.split_at_checked(mac.tag_len()).ok_or(crypto("choosing a seed"))?;
            (Zeroizing::new(seed.to_vec()), encrypt_seed(ek, seed)?)
        }
        KeyParameters::Ecc { .. } => agree_on_seed(ek, mac.tag_len())?,
        KeyParameters::Sealed { .. } => return Err(unsupported("sealed bytes".to_owned())),
    };
    let credential_blob = protect(ek, mac, &seed, name, secret)?;
    Ok(Challenge { credential_blob, encrypted_secret })
}

/// Part 1, §24: the secret encrypted under a key from the seed and the Name, and an HMAC over it and the
/// Name.
fn protect(
    ek: &PublicArea,
    mac: hmac::Algorithm,
    seed: &[u8],
    name: &Name,
    secret: &[u8],
) -> Result<Vec<u8>, AppraisalError> {
    let wrong = |cause: TpmFormatError| format_error("the challenge", &cause);
    let (cipher, key_bytes) = match ek.symmetric() {
        Some(Symmetric { algorithm: AlgorithmId::AES, key_bits: 128, mode: AlgorithmId::CFB }) => {
            (&AES_128, 16)
        }
        Some(Symmetric { algorithm: AlgorithmId::AES, key_bits: 256, mode: AlgorithmId::CFB }) => {
            (&AES_256, 32)
        }
        Some(other) => {
            return Err(unsupported(format!(
                "{} with {} bits, {}",
                other.algorithm, other.key_bits, other.mode
            )));
        }
        None => return Err(unsupported("no cipher for what is under it".to_owned())),
    };
    let mut plain = Writer::new("credential");
    plain.sized(secret);
    let mut protected = Zeroizing::new(plain.finish().map_err(wrong)?);

    let key = kdfa(mac, seed, STORAGE, &name.0, key_bytes)?;
    let key = UnboundCipherKey::new(cipher, &key).map_err(|_| crypto("preparing an AES key"))?;
    // The vector of zeros is the specification's (part 1, §24); it is safe because the key is used once.
    let vector = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    EncryptingKey::cfb128(key)
        .and_then(|key| key.less_safe_encrypt(&mut protected, vector))
        .map_err(|_| crypto("AES-CFB encryption"))?;

    let key = kdfa(mac, seed, INTEGRITY, &[], mac.tag_len())?;
    let mut context = hmac::Context::with_key(&hmac::Key::new(mac, &key));
    context.update(&protected);
    context.update(&name.0);

    // TPMS_ID_OBJECT (part 2, §12.4): the HMAC, and the encrypted secret without a size of its own.
    let mut blob = Writer::new("TPMS_ID_OBJECT");
    blob.sized(context.sign().as_ref()).bytes(&protected);
    blob.finish().map_err(wrong)
}

/// Part 1, §11.4.10.2, KDFa: SP 800-108 in counter mode with HMAC. `bytes` is at most the size of one HMAC here.
fn kdfa(
    mac: hmac::Algorithm,
    key: &[u8],
    label: &[u8],
    context: &[u8],
    bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, AppraisalError> {
    let bits = u32::try_from(bytes * 8).map_err(|_| crypto("KDFa"))?;
    let mut hmac = hmac::Context::with_key(&hmac::Key::new(mac, key));
    hmac.update(&1u32.to_be_bytes());
    hmac.update(label);
    hmac.update(&[0]);
    hmac.update(context);
    hmac.update(&bits.to_be_bytes());
    let block = hmac.sign();
    let (derived, _) = block.as_ref().split_at_checked(bytes).ok_or(crypto("KDFa"))?;
    Ok(Zeroizing::new(derived.to_vec()))
}

/// Part 1, B.10.3: the seed encrypted with OAEP under the EK, with the hash algorithm of its Name.
fn encrypt_seed(ek: &PublicArea, seed: &[u8]) -> Result<Vec<u8>, AppraisalError> {
    let oaep = match ek.name_alg {
        AlgorithmId::SHA384 => &OAEP_SHA384_MGF1SHA384,
        _ => &OAEP_SHA256_MGF1SHA256,
    };
    let spki =
        ek.spki_der().ok_or_else(|| unsupported("an RSA key that has no SubjectPublicKeyInfo".to_owned()))?;
    let key = PublicEncryptingKey::from_der(&spki)
        .map_err(|rejected| unsupported(format!("an RSA key that is rejected: {rejected}")))?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| crypto("preparing an RSA key"))?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    let size = key
        .encrypt(oaep, seed, &mut encrypted, Some(IDENTITY))
        .map_err(|_| crypto("RSA-OAEP encryption"))?
        .len();
    encrypted.truncate(size);
    Ok(encrypted)
}

/// Part 1, annex C and §11.4.10.3, KDFe: one-pass Diffie-Hellman with an ephemeral key. Gives the seed, and the ephemeral
/// key's point as `TPMS_ECC_POINT`.
fn agree_on_seed(ek: &PublicArea, bytes: usize) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), AppraisalError> {
    let KeyParameters::Ecc { curve, .. } = &ek.key else { return Err(crypto("choosing an agreement")) };
    let algorithm = match *curve {
        CurveId::NIST_P256 => &agreement::ECDH_P256,
        CurveId::NIST_P384 => &agreement::ECDH_P384,
        other => return Err(unsupported(format!("the curve {other}"))),
    };
    let generated = || crypto("generating an ephemeral key");
    let ephemeral = PrivateKey::generate(algorithm).map_err(|_| generated())?;
    let ephemeral_public = ephemeral.compute_public_key().map_err(|_| generated())?;
    let ek_point = ek.ecc_point().ok_or_else(|| unsupported("a point that is too long".to_owned()))?;

    let (ephemeral_x, ephemeral_y) = coordinates(ephemeral_public.as_ref()).ok_or_else(generated)?;
    let (ek_x, _) = coordinates(&ek_point).ok_or_else(generated)?;
    let off_curve = || unsupported("a point that is not on its curve".to_owned());
    let peer = agreement::UnparsedPublicKey::new(algorithm, &ek_point);
    let seed = agreement::agree(&ephemeral, peer, off_curve(), |shared| {
        let input = [&1u32.to_be_bytes()[..], shared, IDENTITY, ephemeral_x, ek_x].concat();
        let input = Zeroizing::new(input);
        tpm::hash(ek.name_alg, &input).map_err(|cause| format_error("the EK", &cause))
    })?;
    let seed = Zeroizing::new(seed);
    if seed.len() != bytes {
        return Err(crypto("KDFe"));
    }
    let mut point = Writer::new("TPMS_ECC_POINT");
    point.sized(ephemeral_x).sized(ephemeral_y);
    Ok((seed, point.finish().map_err(|cause| format_error("the challenge", &cause))?))
}

/// The coordinates of an uncompressed point.
fn coordinates(point: &[u8]) -> Option<(&[u8], &[u8])> {
    let (form, both) = point.split_first()?;
    if *form != 4 || both.len() % 2 != 0 {
        return None;
    }
    both.split_at_checked(both.len() / 2)
}
