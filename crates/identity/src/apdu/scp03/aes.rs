//! AES as SCP03 uses it: CMAC, CBC without padding, one block, and the key derivation.

use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::cmac;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use super::Scp03Error;

/// The number of bytes of an AES block.
pub const BLOCK_BYTES: usize = 16;

/// An AES key of 16, 24 or 32 bytes. It is wiped when dropped, and never printed.
pub struct AesKey(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for AesKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AesKey({} bits)", self.bits())
    }
}

impl AesKey {
    /// A key from its bytes.
    ///
    /// # Errors
    /// [`Scp03Error::KeyLength`] unless there are 16, 24 or 32.
    pub fn new(bytes: &[u8]) -> Result<Self, Scp03Error> {
        match bytes.len() {
            16 | 24 | 32 => Ok(Self(Zeroizing::new(bytes.to_vec()))),
            found => Err(Scp03Error::KeyLength { found }),
        }
    }

    /// The key itself, for who has to store it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The length in bits: 128, 192 or 256.
    #[must_use]
    pub fn bits(&self) -> u16 {
        match self.0.len() {
            16 => 128,
            24 => 192,
            _ => 256,
        }
    }

    /// AES-CMAC (NIST SP 800-38B) over the parts, one after the other.
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`].
    pub fn cmac(&self, parts: &[&[u8]]) -> Result<[u8; BLOCK_BYTES], Scp03Error> {
        let algorithm = match self.0.len() {
            16 => cmac::AES_128,
            24 => cmac::AES_192,
            _ => cmac::AES_256,
        };
        let mut context = cmac::Context::with_key(&cmac::Key::new(algorithm, &self.0)?);
        for part in parts {
            context.update(part)?;
        }
        context.sign()?.as_ref().try_into().map_err(|_| Scp03Error::Crypto)
    }

    /// One block through the cipher (ECB).
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`].
    pub fn encrypt_block(&self, mut block: [u8; BLOCK_BYTES]) -> Result<[u8; BLOCK_BYTES], Scp03Error> {
        EncryptingKey::ecb(self.unbound()?)?.less_safe_encrypt(&mut block, EncryptionContext::None)?;
        Ok(block)
    }

    /// Encrypts whole blocks in place (CBC).
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`], also for another length than whole blocks.
    pub fn cbc_encrypt(&self, iv: [u8; BLOCK_BYTES], data: &mut [u8]) -> Result<(), Scp03Error> {
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        EncryptingKey::cbc(self.unbound()?)?.less_safe_encrypt(data, context)?;
        Ok(())
    }

    /// Decrypts whole blocks in place (CBC).
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`], also for another length than whole blocks.
    pub fn cbc_decrypt(&self, iv: [u8; BLOCK_BYTES], data: &mut [u8]) -> Result<(), Scp03Error> {
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        DecryptingKey::cbc(self.unbound()?)?.decrypt(data, context)?;
        Ok(())
    }

    /// The key check value: the first three bytes of a block of `01` under the key (GlobalPlatform Card Specification
    /// §B.6).
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`].
    pub fn check_value(&self) -> Result<[u8; 3], Scp03Error> {
        let [a, b, c, ..] = self.encrypt_block([0x01; BLOCK_BYTES])?;
        Ok([a, b, c])
    }

    fn unbound(&self) -> Result<UnboundCipherKey, Scp03Error> {
        let algorithm = match self.0.len() {
            16 => &cipher::AES_128,
            24 => &cipher::AES_192,
            _ => &cipher::AES_256,
        };
        Ok(UnboundCipherKey::new(algorithm, &self.0)?)
    }
}

/// Derives `bits` bits, a multiple of eight up to 32,640 (Amendment D §4.1.5: NIST SP 800-108 in counter mode with
/// AES-CMAC). The constant says what the result is for.
///
/// # Errors
/// [`Scp03Error::Crypto`].
pub fn derive(
    key: &AesKey,
    constant: u8,
    bits: u16,
    context: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Scp03Error> {
    let length = usize::from(bits / 8);
    let [high, low] = bits.to_be_bytes();
    let mut out = Zeroizing::new(Vec::with_capacity(length + BLOCK_BYTES));
    for counter in 1..=u8::MAX {
        if out.len() >= length {
            break;
        }
        let block = Zeroizing::new(key.cmac(&[&[0; 11], &[constant, 0x00, high, low, counter], context])?);
        out.extend_from_slice(block.as_slice());
    }
    if out.len() < length {
        return Err(Scp03Error::Crypto);
    }
    out.truncate(length);
    Ok(out)
}
