//! Any PKCS#11 token (OASIS PKCS #11 v2.40 and later), by its module: the authority's keys in an HSM.
//!
//! A key is a pair of token objects with the key's name as `CKA_LABEL`; the private half is made with
//! `CKA_SENSITIVE` true and `CKA_EXTRACTABLE` false. Tokens offer no counters or floors that all of them share, so this back
//! end has none. Evidence it has where the token keeps a certificate of its own for the key. [`Profiled`] tells what a token can do.

mod attest;
mod probe;

pub use probe::{Profiled, Scp03Derivation, TokenMechanism, TokenProfile};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use der::asn1::{OctetString, UintRef};
use der::{Decode, Encode, Sequence};
use touchmark_identity::assurance::Storage;
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::PublicKey;
use zeroize::Zeroizing;

use crate::store::{ActivateCredential, Attest, Counters, KeyStore, Objects, Ratchet, StoreError, StoreInfo};

/// DER of the object identifier `prime256v1` (RFC 5480 §2.1.1.1): the form that `CKA_EC_PARAMS` takes.
const P256_PARAMS: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// `CKR_USER_NOT_LOGGED_IN` (PKCS #11 v2.40 §3.6).
const USER_NOT_LOGGED_IN: u32 = 0x101;

/// Modules by path: a module is loaded and initialised once in a process (PKCS #11 v2.40 §5.4, C_Initialize).
static MODULES: LazyLock<Mutex<BTreeMap<PathBuf, Pkcs11>>> = LazyLock::new(|| Mutex::new(BTreeMap::new()));

/// A token behind a PKCS#11 module.
pub struct Pkcs11Store {
    context: Pkcs11,
    slot: Slot,
    session: Session,
    token: String,
    /// The one key pair that is meant, by its `CKA_ID`.
    id: Option<Vec<u8>>,
    vendor: String,
    model: String,
    firmware: String,
}

impl std::fmt::Debug for Pkcs11Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pkcs11Store({})", self.token)
    }
}

#[derive(Sequence)]
struct EcdsaSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

impl Pkcs11Store {
    /// Opens the token with this label and logs in as its user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the module shows no such token; [`StoreError::WrongSecret`] for a wrong PIN,
    /// which burns one of the token's tries.
    pub fn open(module: &Path, token: &str, pin: &Zeroizing<String>) -> Result<Self, StoreError> {
        let context = load(module)?;
        let failed = refused("C_GetSlotList");
        for slot in context.get_slots_with_token().map_err(failed)? {
            let info = context.get_token_info(slot).map_err(refused("C_GetTokenInfo"))?;
            if info.label() != token {
                continue;
            }
            let session = context.open_rw_session(slot).map_err(refused("C_OpenSession"))?;
            match session.login(UserType::User, Some(&AuthPin::from(pin.as_str()))) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _)) => {
                    return Err(StoreError::WrongSecret { store: format!("token {token}") });
                }
                Err(error) => return Err(refused("C_Login")(error)),
            }
            return Ok(Self {
                context,
                slot,
                session,
                token: token.to_owned(),
                id: None,
                vendor: info.manufacturer_id().to_owned(),
                model: info.model().to_owned(),
                firmware: info.firmware_version().to_string(),
            });
        }
        Err(StoreError::NotFound { what: "token", name: token.to_owned() })
    }

    /// The same token with one key pair in it, the one with this `CKA_ID`; the names of keys no longer count.
    #[must_use]
    pub fn with_id(mut self, id: &[u8]) -> Self {
        self.id = Some(id.to_vec());
        self
    }

    /// Private objects are seen by the user alone (PKCS #11 v2.40 §4.4), and a login is the whole program's: where another
    /// part of it has logged out, no key would seem to be there.
    fn must_be_logged_in(&self) -> Result<(), StoreError> {
        let info = self.session.get_session_info().map_err(refused("C_GetSessionInfo"))?;
        match info.session_state() {
            SessionState::RwUser => Ok(()),
            state => Err(StoreError::Refused {
                part: "PKCS#11 token",
                command: "C_GetSessionInfo",
                code: USER_NOT_LOGGED_IN,
                meaning: format!("the user is not logged in any more ({state:?}); open the store anew"),
            }),
        }
    }

    fn find(&self, key: &KeyName, class: ObjectClass) -> Result<ObjectHandle, StoreError> {
        match self.find_all(key, class)?.as_slice() {
            [one] => Ok(*one),
            [] => Err(StoreError::NotFound { what: "key", name: key.to_string() }),
            several => Err(StoreError::Corrupt {
                path: format!("token {}", self.token),
                detail: format!("{} keys have the label {key}, one was expected", several.len()),
            }),
        }
    }

    fn find_all(&self, key: &KeyName, class: ObjectClass) -> Result<Vec<ObjectHandle>, StoreError> {
        self.must_be_logged_in()?;
        let template = [
            Attribute::Class(class),
            Attribute::KeyType(KeyType::EC),
            Attribute::Token(true),
            match &self.id {
                Some(id) => Attribute::Id(id.clone()),
                None => Attribute::Label(key.as_str().as_bytes().to_vec()),
            },
        ];
        self.session.find_objects(&template).map_err(refused("C_FindObjects"))
    }

    /// Destroys the public halves of this name.
    fn destroy_public_halves(&self, key: &KeyName) -> Result<(), StoreError> {
        for public in self.find_all(key, ObjectClass::PUBLIC_KEY)? {
            self.session.destroy_object(public).map_err(refused("C_DestroyObject"))?;
        }
        Ok(())
    }

    fn point(&self, handle: ObjectHandle) -> Result<PublicKey, StoreError> {
        let malformed = |detail: &str| StoreError::Malformed {
            part: "PKCS#11 token",
            command: "C_GetAttributeValue",
            detail: detail.to_owned(),
        };
        let attributes = self
            .session
            .get_attributes(handle, &[AttributeType::EcPoint])
            .map_err(refused("C_GetAttributeValue"))?;
        let [Attribute::EcPoint(encoded)] = attributes.as_slice() else {
            return Err(malformed("CKA_EC_POINT is missing"));
        };
        // CKA_EC_POINT is the DER of an OCTET STRING that holds the point (PKCS #11 v2.40 mechanisms §2.3.3).
        let point =
            OctetString::from_der(encoded).map_err(|_| malformed("CKA_EC_POINT is not an OCTET STRING"))?;
        PublicKey::from_point(point.as_bytes()).map_err(|e| malformed(&e.to_string()))
    }
}

fn load(module: &Path) -> Result<Pkcs11, StoreError> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(context) = modules.get(module) {
        return Ok(context.clone());
    }
    let context = Pkcs11::new(module).map_err(|error| StoreError::File {
        action: "load",
        path: module.display().to_string(),
        source: std::io::Error::other(error),
    })?;
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(refused("C_Initialize")(error)),
    }
    modules.insert(module.to_owned(), context.clone());
    Ok(context)
}

/// Keeps the token's own return value. The wrapper knows it by name, the number stands in its text.
fn refused(command: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| {
        let code = match &error {
            Error::Pkcs11(RvError::VendorDefined(code), _) => u32::try_from(*code).unwrap_or(u32::MAX),
            _ => 0,
        };
        StoreError::Refused { part: "PKCS#11 token", command, code, meaning: error.to_string() }
    }
}

impl KeyStore for Pkcs11Store {
    fn info(&mut self) -> Result<StoreInfo, StoreError> {
        let attests = !self.attestation_certificates()?.is_empty();
        Ok(StoreInfo {
            storage: Storage::SecureElement,
            vendor: self.vendor.clone(),
            model: self.model.clone(),
            firmware: self.firmware.clone(),
            capabilities: if attests { vec!["attest"] } else { vec![] },
        })
    }

    fn generate(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        if !self.find_all(key, ObjectClass::PRIVATE_KEY)?.is_empty() {
            return Err(StoreError::Exists { what: "key", name: key.to_string() });
        }
        // What a loss of power left behind of an earlier attempt; without a private half it is nobody's key.
        self.destroy_public_halves(key)?;
        let label = key.as_str().as_bytes().to_vec();
        let mut public = vec![
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::EcParams(P256_PARAMS.to_vec()),
            Attribute::Label(label.clone()),
        ];
        let mut private = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Label(label),
        ];
        if let Some(id) = &self.id {
            public.push(Attribute::Id(id.clone()));
            private.push(Attribute::Id(id.clone()));
        }
        let (public, _) = self
            .session
            .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
            .map_err(refused("C_GenerateKeyPair"))?;
        self.point(public)
    }

    fn public_key(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        // A public half alone is no key.
        self.find(key, ObjectClass::PRIVATE_KEY)?;
        self.point(self.find(key, ObjectClass::PUBLIC_KEY)?)
    }

    fn sign_digest(&mut self, key: &KeyName, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        let handle = self.find(key, ObjectClass::PRIVATE_KEY)?;
        let raw = self.session.sign(&Mechanism::Ecdsa, handle, digest).map_err(refused("C_Sign"))?;
        let malformed = || StoreError::Malformed {
            part: "PKCS#11 token",
            command: "C_Sign",
            detail: format!("a P-256 signature has 64 bytes, this one has {}", raw.len()),
        };
        // CKM_ECDSA returns r and s, each as long as the group order (PKCS #11 v2.40 mechanisms §2.3.1).
        let (r, s) = raw.split_at_checked(32).filter(|(_, s)| s.len() == 32).ok_or_else(malformed)?;
        let strip = |number: &'_ [u8]| number.iter().position(|b| *b != 0).unwrap_or(31);
        let signature = EcdsaSignature {
            r: UintRef::new(r.get(strip(r)..).unwrap_or_default()).map_err(|_| malformed())?,
            s: UintRef::new(s.get(strip(s)..).unwrap_or_default()).map_err(|_| malformed())?,
        };
        signature.to_der().map_err(|_| malformed())
    }

    fn delete(&mut self, key: &KeyName) -> Result<(), StoreError> {
        let private = self.find(key, ObjectClass::PRIVATE_KEY)?;
        self.session.destroy_object(private).map_err(refused("C_DestroyObject"))?;
        self.destroy_public_halves(key)
    }

    fn attest(&mut self) -> Option<&mut dyn Attest> {
        Some(self)
    }

    fn activate_credential(&mut self) -> Option<&mut dyn ActivateCredential> {
        None
    }

    fn counters(&mut self) -> Option<&mut dyn Counters> {
        None
    }

    fn ratchet(&mut self) -> Option<&mut dyn Ratchet> {
        None
    }

    fn objects(&mut self) -> Option<&mut dyn Objects> {
        None
    }

    fn profiled(&mut self) -> Option<&mut dyn Profiled> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
