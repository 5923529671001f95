//! Static keys, session keys and the transport of new keys (PUT KEY).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use super::{AesKey, BLOCK_BYTES, Scp03Error, derive};

/// Key type "AES" (GlobalPlatform Card Specification, table 11-16).
const KEY_TYPE_AES: u8 = 0x88;

/// Derivation constants (Amendment D, table 4-1).
const CARD_CRYPTOGRAM: u8 = 0x00;
const HOST_CRYPTOGRAM: u8 = 0x01;
const CARD_CHALLENGE: u8 = 0x02;
const S_ENC: u8 = 0x04;
const S_MAC: u8 = 0x06;
const S_RMAC: u8 = 0x07;
/// The chaining value that a channel starts with; of SE05x sessions with an EC key only.
const CHAINING_VALUE: u8 = 0x08;

/// The number of bytes of challenges, cryptograms and message authentication codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 8 bytes.
    S8,
    /// 16 bytes (Amendment D 1.2, option S16).
    S16,
}

impl Width {
    /// The number of bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::S8 => 8,
            Self::S16 => 16,
        }
    }

    /// The number of bits.
    fn bits(self) -> u16 {
        match self {
            Self::S8 => 64,
            Self::S16 => 128,
        }
    }

    /// The width that a challenge of so many bytes stands for.
    #[must_use]
    pub fn of(bytes: usize) -> Option<Self> {
        match bytes {
            8 => Some(Self::S8),
            16 => Some(Self::S16),
            _ => None,
        }
    }
}

/// The three static keys that host and card share.
#[derive(Debug)]
pub struct KeySet {
    /// Key-ENC: S-ENC and the card's challenge come from it.
    pub enc: AesKey,
    /// Key-MAC: S-MAC and S-RMAC come from it.
    pub mac: AesKey,
    /// Key-DEK: encrypts keys in PUT KEY.
    pub dek: AesKey,
}

/// The keys of one session.
#[derive(Debug)]
pub struct SessionKeys {
    pub(super) enc: AesKey,
    pub(super) mac: AesKey,
    pub(super) rmac: AesKey,
    pub(super) chaining: [u8; BLOCK_BYTES],
    pub(super) width: Width,
    /// Host challenge and card challenge.
    context: Vec<u8>,
}

impl SessionKeys {
    /// Derives the keys from a set and both challenges (Amendment D §6.2.1).
    ///
    /// # Errors
    /// [`Scp03Error::Challenge`] unless both challenges have 8, or both 16 bytes.
    pub fn derive(set: &KeySet, host_challenge: &[u8], card_challenge: &[u8]) -> Result<Self, Scp03Error> {
        let width =
            Width::of(host_challenge.len()).ok_or(Scp03Error::Challenge { found: host_challenge.len() })?;
        if card_challenge.len() != width.bytes() {
            return Err(Scp03Error::Challenge { found: card_challenge.len() });
        }
        let context = [host_challenge, card_challenge].concat();
        let session = |key: &AesKey, constant| AesKey::new(&derive(key, constant, key.bits(), &context)?);
        Ok(Self {
            enc: session(&set.enc, S_ENC)?,
            mac: session(&set.mac, S_MAC)?,
            rmac: session(&set.mac, S_RMAC)?,
            chaining: [0; BLOCK_BYTES],
            width,
            context,
        })
    }

    /// The keys of an SE05x session with an EC key: from the agreed master key, without challenges, S8; the chaining value
    /// starts with a derived one too.
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`].
    pub fn from_master(master: &AesKey) -> Result<Self, Scp03Error> {
        let bits = master.bits();
        let session = |constant| AesKey::new(&derive(master, constant, bits, &[])?);
        let chaining = derive(master, CHAINING_VALUE, 128, &[])?;
        Ok(Self {
            enc: session(S_ENC)?,
            mac: session(S_MAC)?,
            rmac: session(S_RMAC)?,
            chaining: chaining.as_slice().try_into().map_err(|_| Scp03Error::Crypto)?,
            width: Width::S8,
            context: Vec::new(),
        })
    }

    /// What proves to the host that the card holds the keys (Amendment D §6.2.2.2).
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`].
    pub fn card_cryptogram(&self) -> Result<Vec<u8>, Scp03Error> {
        self.cryptogram(CARD_CRYPTOGRAM)
    }

    /// What proves to the card that the host holds the keys (Amendment D §6.2.2.3).
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`].
    pub fn host_cryptogram(&self) -> Result<Vec<u8>, Scp03Error> {
        self.cryptogram(HOST_CRYPTOGRAM)
    }

    /// Host: checks the card's cryptogram, in constant time.
    ///
    /// # Errors
    /// [`Scp03Error::Cryptogram`] when it is another.
    pub fn check_card(&self, cryptogram: &[u8]) -> Result<(), Scp03Error> {
        verify_slices_are_equal(&self.card_cryptogram()?, cryptogram)
            .map_err(|_| Scp03Error::Cryptogram { whose: "card" })
    }

    /// Card: checks the host's cryptogram, in constant time.
    pub(super) fn check_host(&self, cryptogram: &[u8]) -> Result<(), Scp03Error> {
        verify_slices_are_equal(&self.host_cryptogram()?, cryptogram)
            .map_err(|_| Scp03Error::Cryptogram { whose: "host" })
    }

    /// The receipt of an SE05x session with an EC key: AES-CMAC under S-RMAC, 16 bytes.
    ///
    /// # Errors
    /// [`Scp03Error::Crypto`].
    pub fn receipt(&self, data: &[u8]) -> Result<[u8; BLOCK_BYTES], Scp03Error> {
        self.rmac.cmac(&[data])
    }

    /// The number of bytes of cryptograms and codes.
    #[must_use]
    pub fn width(&self) -> Width {
        self.width
    }

    fn cryptogram(&self, constant: u8) -> Result<Vec<u8>, Scp03Error> {
        Ok(derive(&self.mac, constant, self.width.bits(), &self.context)?.to_vec())
    }
}

/// The card's challenge where it is not random (option `10` of "i"; Amendment D §6.2.2.1): from the *static* Key-ENC, the
/// sequence counter and the AID of the application that was addressed.
///
/// # Errors
/// [`Scp03Error::Crypto`].
pub fn card_challenge(
    enc: &AesKey,
    sequence: [u8; 3],
    aid: &[u8],
    width: Width,
) -> Result<Vec<u8>, Scp03Error> {
    Ok(derive(enc, CARD_CHALLENGE, width.bits(), &[&sequence[..], aid].concat())?.to_vec())
}

/// One key as PUT KEY carries it (Amendment D §7.2.2.2): `88 ‖ length ‖ clear length ‖ AES-CBC(DEK, IV 0, key) ‖ 03 ‖ check
/// value`. A key of 24 bytes is filled with zeros to whole blocks.
///
/// # Errors
/// [`Scp03Error::Crypto`].
pub fn put_key_block(dek: &AesKey, key: &AesKey) -> Result<Vec<u8>, Scp03Error> {
    let clear = key.as_bytes();
    let mut cipher = Zeroizing::new(clear.to_vec());
    cipher.resize(clear.len().next_multiple_of(BLOCK_BYTES), 0);
    dek.cbc_encrypt([0; BLOCK_BYTES], &mut cipher)?;
    let length = |count: usize| u8::try_from(count).map_err(|_| Scp03Error::Crypto);
    let mut out = vec![KEY_TYPE_AES, length(1 + cipher.len())?, length(clear.len())?];
    out.extend_from_slice(&cipher);
    out.push(0x03);
    out.extend(key.check_value()?);
    Ok(out)
}

/// Reads one key of a PUT KEY data field, and checks its check value in constant time; `block` then begins behind it. For
/// AES-128 the form without the clear length is taken too.
///
/// # Errors
/// [`Scp03Error::KeyBlock`] when the bytes are no such block, or the check value is another.
pub fn read_key_block(dek: &AesKey, block: &mut &[u8]) -> Result<AesKey, Scp03Error> {
    let bad = |detail| Scp03Error::KeyBlock { detail };
    let (&[kind, length], rest) = block.split_first_chunk::<2>().ok_or(bad("they end inside a key"))?;
    if kind != KEY_TYPE_AES {
        return Err(bad("a key has another type than 88, AES"));
    }
    let (value, rest) = rest.split_at_checked(usize::from(length)).ok_or(bad("they end inside a key"))?;
    let (clear_length, cipher) = match value {
        cipher if cipher.len() == BLOCK_BYTES => (BLOCK_BYTES, cipher),
        [clear, cipher @ ..] => (usize::from(*clear), cipher),
        [] => return Err(bad("a key is empty")),
    };
    if clear_length.next_multiple_of(BLOCK_BYTES) != cipher.len() {
        return Err(bad("a key has another length than it says"));
    }
    let mut clear = Zeroizing::new(cipher.to_vec());
    dek.cbc_decrypt([0; BLOCK_BYTES], &mut clear)?;
    let key = clear.get(..clear_length).ok_or(bad("a key has another length than it says"))?;
    let key = AesKey::new(key).map_err(|_| bad("a key has none of 16, 24 and 32 bytes"))?;
    let (&[count, a, b, c], rest) =
        rest.split_first_chunk::<4>().ok_or(bad("a check value of three bytes is missing"))?;
    if count != 0x03 {
        return Err(bad("a check value of three bytes is missing"));
    }
    verify_slices_are_equal(&key.check_value()?, &[a, b, c])
        .map_err(|_| bad("the check value belongs to another key"))?;
    *block = rest;
    Ok(key)
}

/// The data field of PUT KEY for a whole set: the new key version, then ENC, MAC and DEK. Also gives what the card has to
/// answer: the version and the three check values.
///
/// # Errors
/// [`Scp03Error::Crypto`].
pub fn put_keys(dek: &AesKey, version: u8, new: &KeySet) -> Result<(Vec<u8>, Vec<u8>), Scp03Error> {
    let (mut data, mut receipt) = (vec![version], vec![version]);
    for key in [&new.enc, &new.mac, &new.dek] {
        data.extend(put_key_block(dek, key)?);
        receipt.extend(key.check_value()?);
    }
    Ok((data, receipt))
}

/// What a PUT KEY data field brings.
#[derive(Debug)]
pub struct NewKeys {
    /// The key version number of the new set.
    pub version: u8,
    /// The keys.
    pub set: KeySet,
    /// What the card answers: the version and the three check values.
    pub receipt: Vec<u8>,
}

/// Reads the data field of PUT KEY for a whole set of keys.
///
/// # Errors
/// [`Scp03Error::KeyBlock`].
pub fn read_put_keys(dek: &AesKey, data: &[u8]) -> Result<NewKeys, Scp03Error> {
    let (&version, mut rest) = data.split_first().ok_or(Scp03Error::KeyBlock { detail: "they are empty" })?;
    let set = KeySet {
        enc: read_key_block(dek, &mut rest)?,
        mac: read_key_block(dek, &mut rest)?,
        dek: read_key_block(dek, &mut rest)?,
    };
    if !rest.is_empty() {
        return Err(Scp03Error::KeyBlock { detail: "more follows the three keys" });
    }
    let mut receipt = vec![version];
    for key in [&set.enc, &set.mac, &set.dek] {
        receipt.extend(key.check_value()?);
    }
    Ok(NewKeys { version, set, receipt })
}
