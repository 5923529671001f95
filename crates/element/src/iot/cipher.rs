//! AES in the modes of NIST SP 800-38A, at once and in parts.

use std::sync::Arc;

use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use touchmark_identity::apdu::se05x::{self, TAG_1, TAG_2, TAG_3, TAG_4};
use touchmark_identity::apdu::tlv::Tlvs;
use zeroize::Zeroizing;

use super::crypto_object::{self, Running};
use super::{answer, key};
use crate::card::{Card, Refusal};
use crate::object::{Body, Object};

const BLOCK: usize = 16;

/// How blocks follow each other, and how the last one is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Ecb,
    Cbc(Padding),
    Ctr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    None,
    Zeros,
    Bit,
    Pkcs5,
}

impl Mode {
    pub(crate) fn of(mode: u8) -> Result<Self, Refusal> {
        match mode {
            se05x::AES_ECB => Ok(Self::Ecb),
            se05x::AES_CBC => Ok(Self::Cbc(Padding::None)),
            se05x::AES_CBC_ISO9797_M1 => Ok(Self::Cbc(Padding::Zeros)),
            se05x::AES_CBC_ISO9797_M2 => Ok(Self::Cbc(Padding::Bit)),
            se05x::AES_CBC_PKCS5 => Ok(Self::Cbc(Padding::Pkcs5)),
            se05x::AES_CTR => Ok(Self::Ctr),
            _ => Err(Refusal::Field),
        }
    }

    fn padding(self) -> Padding {
        if let Self::Cbc(padding) = self { padding } else { Padding::None }
    }
}

/// A cipher under way: what came in and is no whole block yet waits.
pub(crate) struct Cipher {
    key: Zeroizing<Vec<u8>>,
    mode: Mode,
    encrypts: bool,
    chain: [u8; BLOCK],
    waiting: Zeroizing<Vec<u8>>,
}

impl Cipher {
    fn new(object: &Object, mode: Mode, encrypts: bool, fields: &Tlvs<'_>) -> Result<Self, Refusal> {
        let Body::Aes(key) = &object.body else { return Err(Refusal::NotSuited) };
        let chain = fields.optional(TAG_4)?.unwrap_or([0; BLOCK]);
        Ok(Self { key: key.clone(), mode, encrypts, chain, waiting: Zeroizing::default() })
    }

    /// Takes data and gives the blocks that are complete. Where padding has to be taken off, the last one waits.
    fn update(&mut self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.waiting.extend_from_slice(data);
        let keeps_last = !self.encrypts && self.mode.padding() != Padding::None;
        let ready = match self.waiting.len() {
            whole if keeps_last && whole.is_multiple_of(BLOCK) => whole.saturating_sub(BLOCK),
            length => length - length % BLOCK,
        };
        let rest = Zeroizing::new(self.waiting.split_off(ready));
        let mut blocks = std::mem::replace(&mut self.waiting, rest);
        self.run(&mut blocks)?;
        Ok(blocks.to_vec())
    }

    fn finish(mut self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut out = self.update(data)?;
        let mut last = std::mem::take(&mut self.waiting);
        if self.encrypts {
            let missing = BLOCK - last.len() % BLOCK;
            match self.mode.padding() {
                Padding::Zeros if missing < BLOCK => last.extend(std::iter::repeat_n(0, missing)),
                Padding::Bit => {
                    last.push(0x80);
                    last.extend(std::iter::repeat_n(0, missing - 1));
                }
                Padding::Pkcs5 => {
                    let filler = u8::try_from(missing).map_err(|_| Refusal::Crypto)?;
                    last.extend(std::iter::repeat_n(filler, missing));
                }
                Padding::None | Padding::Zeros => {}
            }
        }
        if self.mode != Mode::Ctr && !last.len().is_multiple_of(BLOCK) {
            return Err(Refusal::NotSuited);
        }
        self.run(&mut last)?;
        if !self.encrypts {
            unpad(self.mode.padding(), &mut last)?;
        }
        out.extend_from_slice(&last);
        Ok(out)
    }

    /// Carries whole blocks through, or with CTR the last bytes too, and keeps what the next ones follow.
    fn run(&mut self, data: &mut [u8]) -> Result<(), Refusal> {
        if data.is_empty() {
            return Ok(());
        }
        let crypto = |_| Refusal::Crypto;
        let algorithm = match self.key.len() {
            16 => &cipher::AES_128,
            24 => &cipher::AES_192,
            _ => &cipher::AES_256,
        };
        let key = UnboundCipherKey::new(algorithm, &self.key).map_err(crypto)?;
        let iv = self.chain;
        match (self.mode, self.encrypts) {
            (Mode::Ecb, true) => {
                let key = EncryptingKey::ecb(key).map_err(crypto)?;
                key.less_safe_encrypt(data, EncryptionContext::None).map_err(crypto)?;
            }
            (Mode::Ecb, false) => {
                let key = DecryptingKey::ecb(key).map_err(crypto)?;
                key.decrypt(data, DecryptionContext::None).map_err(crypto)?;
            }
            (Mode::Cbc(_), true) => {
                let context = EncryptionContext::Iv128(FixedLength::from(iv));
                let key = EncryptingKey::cbc(key).map_err(crypto)?;
                key.less_safe_encrypt(data, context).map_err(crypto)?;
                self.chain = last_block(data)?;
            }
            (Mode::Cbc(_), false) => {
                let next = last_block(data)?;
                let context = DecryptionContext::Iv128(FixedLength::from(iv));
                let key = DecryptingKey::cbc(key).map_err(crypto)?;
                key.decrypt(data, context).map_err(crypto)?;
                self.chain = next;
            }
            (Mode::Ctr, _) => {
                let context = EncryptionContext::Iv128(FixedLength::from(iv));
                let key = EncryptingKey::ctr(key).map_err(crypto)?;
                key.less_safe_encrypt(data, context).map_err(crypto)?;
                let blocks = u128::try_from(data.len().div_ceil(BLOCK)).map_err(|_| Refusal::Crypto)?;
                self.chain = u128::from_be_bytes(iv).wrapping_add(blocks).to_be_bytes();
            }
        }
        Ok(())
    }
}

fn last_block(data: &[u8]) -> Result<[u8; BLOCK], Refusal> {
    data.last_chunk::<BLOCK>().copied().ok_or(Refusal::Crypto)
}

/// Takes padding off. Zeros cannot be told from data, and stay.
fn unpad(padding: Padding, data: &mut Vec<u8>) -> Result<(), Refusal> {
    let kept = match padding {
        Padding::None | Padding::Zeros => return Ok(()),
        Padding::Bit => {
            let end = data.iter().rposition(|byte| *byte != 0).ok_or(Refusal::NotSuited)?;
            if data.get(end) != Some(&0x80) {
                return Err(Refusal::NotSuited);
            }
            end
        }
        Padding::Pkcs5 => {
            let filler = data.last().copied().filter(|filler| (1..=16).contains(filler));
            let filler = filler.ok_or(Refusal::NotSuited)?;
            let kept = data.len().checked_sub(usize::from(filler)).ok_or(Refusal::NotSuited)?;
            if !data.iter().skip(kept).all(|byte| *byte == filler) {
                return Err(Refusal::NotSuited);
            }
            kept
        }
    };
    data.truncate(kept);
    Ok(())
}

pub(super) fn one_shot(
    card: &Card,
    fields: &Tlvs<'_>,
    policy: u32,
    encrypts: bool,
) -> Result<Vec<u8>, Refusal> {
    let object: Arc<Object> = key(card, fields, policy)?;
    let [mode] = fields.exact(TAG_2)?;
    let cipher = Cipher::new(&object, Mode::of(mode)?, encrypts, fields)?;
    answer(&[(TAG_1, &cipher.finish(fields.required(TAG_3)?)?)])
}

pub(super) fn init(
    card: &mut Card,
    fields: &Tlvs<'_>,
    policy: u32,
    encrypts: bool,
) -> Result<Vec<u8>, Refusal> {
    let object = key(card, fields, policy)?;
    crypto_object::with(card, fields, se05x::CONTEXT_CIPHER, |running| {
        let cipher = Cipher::new(&object, Mode::of(running.algorithm)?, encrypts, fields)?;
        running.running = Running::Cipher(Box::new(cipher));
        Ok(Vec::new())
    })
}

pub(super) fn update(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let data = fields.required(TAG_3)?;
    crypto_object::with(card, fields, se05x::CONTEXT_CIPHER, |object| match &mut object.running {
        Running::Cipher(cipher) => answer(&[(TAG_1, &cipher.update(data)?)]),
        _ => Err(Refusal::NotSuited),
    })
}

pub(super) fn finish(card: &mut Card, fields: &Tlvs<'_>) -> Result<Vec<u8>, Refusal> {
    let data = fields.find(TAG_3).unwrap_or(&[]);
    crypto_object::with(card, fields, se05x::CONTEXT_CIPHER, |object| {
        match std::mem::take(&mut object.running) {
            Running::Cipher(cipher) => answer(&[(TAG_1, &cipher.finish(data)?)]),
            _ => Err(Refusal::NotSuited),
        }
    })
}
