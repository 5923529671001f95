//! What a token can do: its mechanisms as it lists them, and what follows from them for personalising secure elements.
//!
//! Mechanism lists are claims, and tokens differ in what they mean by a mechanism. So the derivation of SCP03 keys is tried, with
//! a key that everybody knows and session objects alone: nothing of it stays in the token.

use std::num::NonZeroUsize;

use cryptoki::mechanism::kbkdf::{
    Endianness, KbkdfCounterFormat, KbkdfParams, PrfDataParam, PrfDataParamType,
};
use cryptoki::mechanism::{Mechanism, MechanismInfo, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use serde::Serialize;

use super::{Pkcs11Store, refused};
use crate::store::StoreError;

/// The example key of GlobalPlatform's tests. It protects nothing.
const KNOWN_KEY: [u8; 16] = *b"@ABCDEFGHIJKLMNO";
/// SCP03's derivation data for the session key of encryption (GlobalPlatform Amendment D §4.1.5): eleven zero bytes, the
/// constant 04, a zero byte, the length of 128 bits; then the counter; then both challenges.
const LABEL: [u8; 15] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0x80];
const CONTEXT: [u8; 16] =
    [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0xb4, 0x59, 0xd1, 0x4e, 0x29, 0xe4, 0xdd, 0x17];
/// The derived key: AES-CMAC over label, counter 1 and context, by OpenSSL.
const DERIVED: [u8; 16] =
    [0x2b, 0xd4, 0xd9, 0x2c, 0x38, 0x94, 0x22, 0xdb, 0xdf, 0x30, 0x79, 0x01, 0x71, 0x6d, 0x34, 0x99];
/// What the derived key encrypts to [`CHECK_VALUE`] in one block, as for a key check value.
const CHECK_BLOCK: [u8; 16] = [1; 16];
/// AES-128 of it, by OpenSSL.
const CHECK_VALUE: [u8; 16] =
    [0xac, 0xf1, 0xca, 0x66, 0x57, 0x98, 0x04, 0x1a, 0x14, 0x20, 0x33, 0x17, 0x08, 0x82, 0x58, 0xfc];

/// What a token is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenProfile {
    /// The module, as it describes itself.
    pub module: String,
    /// The version of PKCS #11 that it speaks.
    pub cryptoki: String,
    /// Whether keys of secure elements can be derived without leaving the token.
    pub scp03: Scp03Derivation,
    /// Whether that was tried with a known key, and gave the known result. False where only the mechanism is listed.
    pub scp03_tried: bool,
    /// The mechanisms that wrap keys, by name.
    pub wraps: Vec<String>,
    /// How many certificates lie in the token by which it says that it made a key itself.
    pub attestations: usize,
    /// All mechanisms, by number; those of vendors and of newer standards that nobody here has a name for are left out.
    pub mechanisms: Vec<TokenMechanism>,
}

/// One mechanism (`CK_MECHANISM_INFO`, PKCS #11 v2.40 §3.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenMechanism {
    /// The standard's name, such as `CKM_ECDSA`.
    pub name: String,
    /// The standard's number.
    pub number: u64,
    /// The smallest key, in bits or bytes as the standard has it for the mechanism.
    pub min_key_size: usize,
    /// The largest key.
    pub max_key_size: usize,
    /// What it is for: the standard's flags, without `CKF_`, in lower case.
    pub flags: Vec<&'static str>,
}

impl TokenMechanism {
    fn is_for(&self, name: MechanismType, flag: &str) -> bool {
        self.number == number(name) && self.flags.contains(&flag)
    }
}

/// Where the keys of secure elements come to be when a token derives them from a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scp03Derivation {
    /// In the token: it has the counter mode of SP 800-108 with AES-CMAC, in the order of SCP03.
    InToken,
    /// The token computes AES-CMAC, and what comes out is the key, in the memory of the host.
    CmacOutside,
    /// Neither: a master key would have to lie outside.
    None,
}

impl Scp03Derivation {
    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::InToken => "keys of secure elements can be derived and stay in the token",
            Self::CmacOutside => {
                "the master key can stay in the token, derived keys of secure elements pass through memory"
            }
            Self::None => "no derivation of keys of secure elements",
        }
    }
}

/// A token that can be asked for its profile.
pub trait Profiled {
    /// Asks, and tries what can be tried without leaving anything behind.
    ///
    /// # Errors
    /// [`StoreError`] when the token cannot be asked. A mechanism that does not work is no error.
    fn profile(&mut self) -> Result<TokenProfile, StoreError>;
}

impl Profiled for Pkcs11Store {
    fn profile(&mut self) -> Result<TokenProfile, StoreError> {
        let library = self.context.get_library_info().map_err(refused("C_GetInfo"))?;
        let listed = self.context.get_mechanism_list(self.slot).map_err(refused("C_GetMechanismList"))?;
        let mut mechanisms = Vec::new();
        for mechanism in listed {
            let info = self
                .context
                .get_mechanism_info(self.slot, mechanism)
                .map_err(refused("C_GetMechanismInfo"))?;
            mechanisms.push(TokenMechanism {
                name: mechanism.to_string(),
                number: number(mechanism),
                min_key_size: info.min_key_size(),
                max_key_size: info.max_key_size(),
                flags: flags(&info),
            });
        }
        mechanisms.sort_by_key(|mechanism| mechanism.number);
        let has = |name, flag| mechanisms.iter().any(|mechanism| mechanism.is_for(name, flag));
        let in_token = has(MechanismType::SP800_108_COUNTER_KDF, "derive");
        let cmac = has(MechanismType::AES_CMAC, "sign");
        let tried_in_token = in_token && trial(&self.session, derives_in_token);
        let tried_cmac = cmac && trial(&self.session, computes_cmac);
        let (scp03, scp03_tried) = match (in_token, cmac) {
            (true, _) if tried_in_token => (Scp03Derivation::InToken, true),
            (_, true) if tried_cmac => (Scp03Derivation::CmacOutside, true),
            // Some tokens take no key from outside, so that nothing can be compared.
            (true, _) if !takes_known_key(&self.session) => (Scp03Derivation::InToken, false),
            (_, true) if !takes_known_key(&self.session) => (Scp03Derivation::CmacOutside, false),
            _ => (Scp03Derivation::None, in_token || cmac),
        };
        Ok(TokenProfile {
            module: format!("{} {}", library.library_description(), library.library_version()),
            cryptoki: library.cryptoki_version().to_string(),
            scp03,
            scp03_tried,
            wraps: mechanisms
                .iter()
                .filter(|mechanism| mechanism.flags.contains(&"wrap"))
                .map(|mechanism| mechanism.name.clone())
                .collect(),
            attestations: self.attestation_certificates()?.len(),
            mechanisms,
        })
    }
}

#[expect(clippy::useless_conversion, reason = "CK_ULONG has 32 bits on other machines")]
fn number(mechanism: MechanismType) -> u64 {
    u64::from(*mechanism)
}

fn flags(info: &MechanismInfo) -> Vec<&'static str> {
    let all = [
        (info.hardware(), "hw"),
        (info.encrypt(), "encrypt"),
        (info.decrypt(), "decrypt"),
        (info.digest(), "digest"),
        (info.sign(), "sign"),
        (info.sign_recover(), "sign_recover"),
        (info.verify(), "verify"),
        (info.verify_recover(), "verify_recover"),
        (info.generate(), "generate"),
        (info.generate_key_pair(), "generate_key_pair"),
        (info.wrap(), "wrap"),
        (info.unwrap(), "unwrap"),
        (info.derive(), "derive"),
        (info.ec_f_p(), "ec_f_p"),
        (info.ec_from_oid(), "ec_oid"),
        (info.ec_uncompressed(), "ec_uncompress"),
        (info.message_encrypt(), "message_encrypt"),
        (info.message_decrypt(), "message_decrypt"),
        (info.encapsulate(), "encapsulate"),
        (info.decapsulate(), "decapsulate"),
    ];
    all.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
}

/// The known key as a session object.
fn known_key(session: &Session) -> Option<ObjectHandle> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Value(KNOWN_KEY.to_vec()),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sign(true),
        Attribute::Derive(true),
    ];
    session.create_object(&template).ok()
}

fn takes_known_key(session: &Session) -> bool {
    trial(session, |_, _| Some(true))
}

/// Runs a trial with the known key, which goes afterwards.
fn trial(session: &Session, run: fn(&Session, ObjectHandle) -> Option<bool>) -> bool {
    let Some(key) = known_key(session) else { return false };
    let held = run(session, key).unwrap_or(false);
    // A session object goes with the session at the latest.
    let _best_effort = session.destroy_object(key);
    held
}

fn computes_cmac(session: &Session, key: ObjectHandle) -> Option<bool> {
    let data = [&LABEL[..], &[1], &CONTEXT].concat();
    Some(session.sign(&Mechanism::AesCMac, key, &data).ok()? == DERIVED)
}

fn derives_in_token(session: &Session, key: ObjectHandle) -> Option<bool> {
    let counter = KbkdfCounterFormat::new(Endianness::Big, NonZeroUsize::new(8)?);
    let data = [
        PrfDataParam::new(PrfDataParamType::ByteArray(&LABEL)),
        PrfDataParam::new(PrfDataParamType::IterationVariable(Some(&counter))),
        PrfDataParam::new(PrfDataParamType::ByteArray(&CONTEXT)),
    ];
    let params = KbkdfParams::new(MechanismType::AES_CMAC, &data, None);
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(DERIVED.len().try_into().ok()?),
        Attribute::Token(false),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
    ];
    let derived = session.derive_key(&Mechanism::KbkdfCounter(params), key, &template).ok()?;
    let check = session.encrypt(&Mechanism::AesEcb, derived, &CHECK_BLOCK);
    let _best_effort = session.destroy_object(derived);
    Some(check.ok()? == CHECK_VALUE)
}

#[cfg(test)]
mod tests;
