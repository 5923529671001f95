//! The traits that back ends implement, and the one error that they return.

use touchmark_identity::assurance::Storage;
use touchmark_identity::evidence::{Evidence, Nonce};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::PublicKey;
use zeroize::Zeroizing;

use crate::pkcs11::Profiled;
use crate::tpm::Measured;

/// What a store says of itself. A claim for people and logs, never proof: the Verifier appraises evidence instead.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoreInfo {
    /// The kind of storage that the back end is made for.
    pub storage: Storage,
    /// Maker of the part, as the part or its driver names it.
    pub vendor: String,
    /// Model of the part.
    pub model: String,
    /// Firmware or applet version of the part.
    pub firmware: String,
    /// What the store can do beyond [`KeyStore`], by capability name, in alphabetical order.
    pub capabilities: Vec<&'static str>,
}

/// Why a key store did not do what it was asked to do, sorted by whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// KS-0001, caller: there is no key, counter or object of this name.
    #[error("there is no {what} named {name:?} in this store; make it first")]
    NotFound {
        /// `key`, `counter` or `object`.
        what: &'static str,
        /// The name asked for.
        name: String,
    },
    /// KS-0002, caller: a key of this name exists, and a key is never overwritten.
    #[error("a {what} named {name:?} exists in this store and is not overwritten; choose another name")]
    Exists {
        /// `key`, `counter` or `object`.
        what: &'static str,
        /// The name asked for.
        name: String,
    },
    /// KS-0003, policy: a monotonic value was asked to go down.
    #[error("the value {name:?} stands at {current} and cannot be lowered to {asked}")]
    WouldGoBack {
        /// The counter or ratchet.
        name: String,
        /// Where it stands.
        current: u64,
        /// What was asked for.
        asked: u64,
    },
    /// KS-0004, hardware: a counter, memory or number of objects is used up.
    #[error("the store has no more {what}: {detail}")]
    Exhausted {
        /// What ran out.
        what: &'static str,
        /// The numbers behind it.
        detail: String,
    },
    /// KS-0005, hardware: the part refused a command; its own code is kept.
    #[error("{part} refused {command} with code {code:#06x}: {meaning}")]
    Refused {
        /// Which part.
        part: &'static str,
        /// The command by its standard's name.
        command: &'static str,
        /// The part's own code.
        code: u32,
        /// What the standard says that the code means.
        meaning: String,
    },
    /// KS-0006, hardware: the answer does not have the form that the standard gives it.
    #[error("{part} answered {command} in a form that its standard does not allow: {detail}")]
    Malformed {
        /// Which part.
        part: &'static str,
        /// The command by its standard's name.
        command: &'static str,
        /// What was expected and found.
        detail: String,
    },
    /// KS-0007, transport: the part could not be reached, or the connection broke.
    #[error("cannot reach the key store at {address}; check that it runs and that the address is right")]
    Unreachable {
        /// The address tried.
        address: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// KS-0008, environment: a file of the store cannot be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// `read`, `write`, ...
        action: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// KS-0009, environment: a file of the store is damaged or has another format.
    #[error("{path} is not a key store of this kind: {detail}")]
    Corrupt {
        /// The file.
        path: String,
        /// What was expected and found.
        detail: String,
    },
    /// KS-0010, caller: the passphrase or PIN does not open the store.
    #[error("the passphrase or PIN does not open {store}")]
    WrongSecret {
        /// Which store.
        store: String,
    },
    /// KS-0011, caller: the address of the store is not one that is known.
    #[error("{uri:?} is not the address of a key store: {detail}")]
    BadUri {
        /// The text.
        uri: String,
        /// What is wrong, and what would be right.
        detail: String,
    },
    /// KS-0012, caller: this store has no such capability.
    #[error("this store cannot {capability}")]
    NoCapability {
        /// The verb.
        capability: &'static str,
    },
    /// KS-0020, caller: the part opens no secure channel with these keys.
    #[error("no secure channel to {part} with the keys of version {version:02X}: {detail}")]
    ChannelRefused {
        /// Which part.
        part: &'static str,
        /// The key version asked for; 0 is the part's default.
        version: u8,
        /// What the part answered, or what was wrong with it.
        detail: String,
    },
    /// KS-0021, peer: the secure channel broke. Whether the last command was carried out is not known, and nothing is sent
    /// in plain.
    #[error("the secure channel to {part} is broken, and nothing is sent without it: {detail}")]
    ChannelBroken {
        /// Which part.
        part: &'static str,
        /// Why.
        detail: String,
    },
    /// KS-0022, caller: the file with the keys of a secure channel is not taken.
    #[error("{path} does not serve as the keys of a secure channel: {detail}")]
    ChannelKeys {
        /// The file.
        path: String,
        /// What is wrong, never what stands in it.
        detail: String,
    },
    /// KS-0013, bug or platform: the cryptographic library failed without a cause.
    #[error("the cryptographic library failed in {operation}")]
    Crypto {
        /// The operation.
        operation: &'static str,
    },
    /// KS-0014, transport: what came over the bus is not what the part sent, or the command was changed on its way.
    #[error(
        "{command} was changed between this host and {part}: {detail}; nothing of it is used. Look for what sits on the \
         bus or the network between the two"
    )]
    Tampered {
        /// Which part.
        part: &'static str,
        /// The command by its standard's name.
        command: &'static str,
        /// What did not agree.
        detail: String,
    },
    /// KS-0015, policy: a secret is sealed to another state of the platform than the one it is in.
    #[error("the secret stays sealed: {detail}")]
    NotInState {
        /// What would be needed.
        detail: String,
    },
}

impl StoreError {
    /// The stable code, as listed in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "KS-0001",
            Self::Exists { .. } => "KS-0002",
            Self::WouldGoBack { .. } => "KS-0003",
            Self::Exhausted { .. } => "KS-0004",
            Self::Refused { .. } => "KS-0005",
            Self::Malformed { .. } => "KS-0006",
            Self::Unreachable { .. } => "KS-0007",
            Self::File { .. } => "KS-0008",
            Self::Corrupt { .. } => "KS-0009",
            Self::WrongSecret { .. } => "KS-0010",
            Self::BadUri { .. } => "KS-0011",
            Self::NoCapability { .. } => "KS-0012",
            Self::Crypto { .. } => "KS-0013",
            Self::Tampered { .. } => "KS-0014",
            Self::NotInState { .. } => "KS-0015",
            Self::ChannelRefused { .. } => "KS-0020",
            Self::ChannelBroken { .. } => "KS-0021",
            Self::ChannelKeys { .. } => "KS-0022",
        }
    }
}

/// A place that holds private keys. All methods block; none retries by itself.
///
/// Keys are ECDSA on P-256. After a power loss a generated key is either there completely or not at all.
pub trait KeyStore: Send {
    /// What the store says of itself.
    ///
    /// # Errors
    /// [`StoreError`] when the part cannot be asked.
    fn info(&mut self) -> Result<StoreInfo, StoreError>;

    /// Generates a P-256 key inside the store.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when a key of this name is there: a key is never overwritten.
    fn generate(&mut self, key: &KeyName) -> Result<PublicKey, StoreError>;

    /// The public half of a key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such key.
    fn public_key(&mut self, key: &KeyName) -> Result<PublicKey, StoreError>;

    /// Signs a SHA-256 digest, 32 bytes that the *caller* has hashed. Returns a DER `Ecdsa-Sig-Value`
    /// (RFC 3279 §2.2.3). Burns no counter and no try.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such key.
    fn sign_digest(&mut self, key: &KeyName, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError>;

    /// Destroys a key and what belongs to it; this cannot be undone.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such key.
    fn delete(&mut self, key: &KeyName) -> Result<(), StoreError>;

    /// Evidence about keys, where the part can give it.
    fn attest(&mut self) -> Option<&mut dyn Attest>;

    /// Credential activation, where the part is a TPM.
    fn activate_credential(&mut self) -> Option<&mut dyn ActivateCredential>;

    /// Counters that only go up.
    fn counters(&mut self) -> Option<&mut dyn Counters>;

    /// The anti-rollback floor.
    fn ratchet(&mut self) -> Option<&mut dyn Ratchet>;

    /// Small public objects such as certificates.
    fn objects(&mut self) -> Option<&mut dyn Objects>;

    /// Measurements of the platform's start, and secrets that depend on them, where the part is a TPM.
    fn measured(&mut self) -> Option<&mut dyn Measured> {
        None
    }

    /// What the token behind a PKCS#11 module can do, mechanism by mechanism.
    fn profiled(&mut self) -> Option<&mut dyn Profiled> {
        None
    }
}

/// Evidence with the key it speaks of.
#[derive(Debug, Clone)]
pub struct Attested {
    /// The key.
    pub key: PublicKey,
    /// The part's statement. Worth nothing until a Verifier has appraised it.
    pub evidence: Evidence,
}

/// A part that can vouch for its keys.
pub trait Attest {
    /// Asks the part to state where the key lives, bound to a nonce of the Verifier's.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such key, [`StoreError::NoCapability`] when the part can vouch for keys and
    /// not for this one.
    fn attest(&mut self, key: &KeyName, nonce: &Nonce) -> Result<Attested, StoreError>;
}

/// Who a TPM says it is, before anything is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndorsementIdentity {
    /// The EK certificate, DER.
    pub ek_certificate: Vec<u8>,
    /// Further certificates towards the maker's root, DER; may be empty.
    pub ek_chain: Vec<Vec<u8>>,
    /// `TPMT_PUBLIC` of the EK.
    pub ek_public: Vec<u8>,
    /// `TPMT_PUBLIC` of the attestation key.
    pub ak_public: Vec<u8>,
}

/// What `TPM2_MakeCredential` gives (TCG TPM 2.0 Library part 3, §12.6).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CredentialChallenge {
    /// `TPM2B_ID_OBJECT` without its size prefix.
    #[serde(with = "hex::serde")]
    pub credential_blob: Vec<u8>,
    /// `TPM2B_ENCRYPTED_SECRET` without its size prefix.
    #[serde(with = "hex::serde")]
    pub encrypted_secret: Vec<u8>,
}

/// Proof that an attestation key and an EK live in one TPM.
pub trait ActivateCredential {
    /// The EK with its certificate, and the attestation key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the TPM holds no EK certificate.
    fn endorsement_identity(&mut self) -> Result<EndorsementIdentity, StoreError>;

    /// `TPM2_ActivateCredential`: opens the Verifier's challenge.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the challenge was made for another TPM or another attestation key.
    fn activate(&mut self, challenge: &CredentialChallenge) -> Result<Zeroizing<Vec<u8>>, StoreError>;
}

/// Counters that only go up. A counter's first value is the part's choice; from there on each increment adds one, and
/// an incremented value survives power loss before it is returned.
pub trait Counters {
    /// Where the counter stands.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] before the first increment.
    fn read_counter(&mut self, counter: &CounterName) -> Result<u64, StoreError>;

    /// Adds one and returns the new value; makes the counter at its first use.
    ///
    /// # Errors
    /// [`StoreError::Exhausted`] at the end of the counter's budget.
    fn increment_counter(&mut self, counter: &CounterName) -> Result<u64, StoreError>;
}

/// An anti-rollback floor: starts at 0, only goes up, survives power loss.
pub trait Ratchet {
    /// The floor, 0 before it was first raised.
    ///
    /// # Errors
    /// [`StoreError`] when the part cannot be asked.
    fn floor(&mut self, name: &CounterName) -> Result<u64, StoreError>;

    /// Raises the floor to `to`; raising it to where it stands does nothing.
    ///
    /// # Errors
    /// [`StoreError::WouldGoBack`] when `to` is below the floor; [`StoreError::Exhausted`] above what the part holds.
    fn raise_floor(&mut self, name: &CounterName, to: u64) -> Result<(), StoreError>;
}

/// Small public objects that travel with the key, such as its certificate. Not secret, not authentic by themselves.
pub trait Objects {
    /// Reads an object.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such object.
    fn read_object(&mut self, name: &KeyName) -> Result<Vec<u8>, StoreError>;

    /// Writes an object, whole, in place of an older one of the same name.
    ///
    /// # Errors
    /// [`StoreError::Exhausted`] when the part has no room.
    fn write_object(&mut self, name: &KeyName, bytes: &[u8]) -> Result<(), StoreError>;
}
