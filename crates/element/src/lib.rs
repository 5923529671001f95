//! A secure element in software, for tests: a card runtime with an IoT identity applet.
//!
//! Place in the life of a credential: wherever a device or a factory would talk to a chip and there is none, in CI
//! and in trials. The applet answers SE05x-compatible commands (see
//! [`touchmark_identity::apdu::se05x`]); the state survives the death of the process at any moment; keys leave by no
//! command. **It is a TEST device**: its files can be copied, and its certificates stand under a TEST root whose
//! private key is public, so that no verifier takes it for silicon unless told to.
//!
//! Below the applet is a card manager after GlobalPlatform Card Specification 2.3.1: security domains, a registry, life
//! cycles.
//!
//! An [`Element`] is driven by calls ([`Element::transmit`]), over TCP ([`tcp::serve`]), as a card of
//! `pcscd` ([`vpcd::serve`]), or as a part on an I²C bus ([`t1`]).
//!
//! Deliberately absent, so far: authenticated sessions of the applet, algorithms other than ECDSA on P-256
//! with SHA-256. The interface follows NXP AN12413 for applet 3.x as NXP's host libraries show it; an element can be made with
//! the attested reads of applet 7.2 instead ([`Applet`]).
//!
//! ```
//! use touchmark_element::Element;
//! use touchmark_identity::apdu::se05x::{AID, Instruction};
//! use touchmark_identity::timestamp::Timestamp;
//!
//! let dir = std::env::temp_dir().join(format!("touchmark-element-doc-{}", std::process::id()));
//! let now: Timestamp = "2026-11-20T00:00:00Z".parse()?;
//! let mut element = Element::create(&dir, now)?;
//! let select = [&[0x00, 0xA4, 0x04, 0x00, 16], &AID[..], &[0x00]].concat();
//! assert_eq!(element.transmit(&select)[..3], [3, 1, 1]);
//! let version = Instruction::GetVersion.command(vec![]).encode()?;
//! assert!(element.transmit(&version).ends_with(&[0x90, 0x00]));
//! # drop(element);
//! # std::fs::remove_dir_all(dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod applet;
mod atr;
mod card;
mod certificate;
mod error;
mod fault;
mod flaw;
mod frames;
mod gp;
mod inspect;
mod iot;
mod journal;
mod notes;
mod object;
mod runtime;
mod scp;
mod served;
mod store;
pub mod t1;
pub mod tcp;
pub mod vpcd;

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use touchmark_identity::apdu::se05x::{
    ATTESTATION_CERTIFICATE, ATTESTATION_KEY, CHIP_ID_BYTES, Origin, Policy, SESSION_KEY, UNIQUE_ID, rule,
};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::timestamp::Timestamp;

pub use applet::{Applet, Class};
pub use atr::ATR;
pub use card::Session;
pub use certificate::TEST_ROOT_CERTIFICATE_PEM;
pub use error::ElementError;
pub use fault::{Effect, Fault, Point, Trigger};
pub use flaw::Flaw;
pub use inspect::{Inspection, InstanceRow, KeySetRow, ObjectRow, PolicyRow};
pub use runtime::Answer;
pub use served::Served;

use card::Card;
use gp::Gp;
use object::{Body, Object, Objects, State, public_point};
use store::StateDir;

/// A secure element in software. While it lives, no other process can open the same state.
pub struct Element {
    card: Card,
    session: Session,
}

impl Element {
    /// Makes a new element in `dir`, which is made where it is missing: a chip id, an attestation key, and its
    /// certificate under the TEST root, valid from `now`.
    ///
    /// # Errors
    /// [`ElementError::Exists`] when the directory holds an element: it is never overwritten.
    pub fn create(dir: &Path, now: Timestamp) -> Result<Self, ElementError> {
        Self::create_of_class(dir, now, Class::default())
    }

    /// The same, of another class of elements: with another applet, or with a flaw for the rehearsal of a recall.
    ///
    /// # Errors
    /// As for [`Element::create`].
    pub fn create_of_class(dir: &Path, now: Timestamp, class: Class) -> Result<Self, ElementError> {
        let Class { applet, flaw } = class;
        let mut store = StateDir::create(dir)?;
        let crypto = |operation| ElementError::Crypto { operation };
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|_| crypto("generating the attestation key"))?;
        let key =
            PublicKey::from_point(public_point(&pair)).map_err(|_| crypto("reading the attestation key"))?;
        let mut chip_id = [0; CHIP_ID_BYTES];
        chip_id.copy_from_slice(sha256(key.point()).split_at(CHIP_ID_BYTES).0);
        let certificate = certificate::issue(&chip_id, &applet.version(flaw), &key, now)?;

        // The attestation key vouches and is read; above all it does not sign what a host chooses.
        let provisioned = |rule, body| {
            let policies = vec![Policy { authentication: 0, rule, extension: Vec::new() }];
            Arc::new(Object::new(Origin::PROVISIONED, policies, body))
        };
        let sessions = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|_| crypto("generating the key for sessions"))?;
        let objects = Objects::from([
            (SESSION_KEY, provisioned(rule::READ, Body::KeyPair(sessions))),
            (UNIQUE_ID, provisioned(rule::READ, Body::Binary(chip_id.to_vec()))),
            (ATTESTATION_KEY, provisioned(rule::READ | rule::ATTEST, Body::KeyPair(pair))),
            (ATTESTATION_CERTIFICATE, provisioned(rule::READ, Body::Binary(certificate))),
        ]);
        let state = State { applet, ..State::new(chip_id, objects) };
        let gp = Arc::new(Gp { flaw, ..new_gp()? });
        store.commit(&state, &gp)?;
        Ok(Self { card: Card::new(state, gp, store), session: Session::default() })
    }

    /// Opens the element in `dir`, and counts the start.
    ///
    /// # Errors
    /// [`ElementError::Missing`] when there is none, [`ElementError::Locked`] when another process has it open,
    /// [`ElementError::Corrupt`] when its state cannot be understood: nothing is ever made anew.
    pub fn open(dir: &Path) -> Result<Self, ElementError> {
        let (mut store, mut state, gp) = StateDir::open(dir)?;
        let gp = gp.map_or_else(|| new_gp().map(Arc::new), Ok)?;
        state.boots = state.boots.saturating_add(1);
        store.commit(&state, &gp)?;
        Ok(Self { card: Card::new(state, gp, store), session: Session::default() })
    }

    /// Answers one APDU, in the element's own session. What the command changed is durable when this returns.
    ///
    /// The answer is empty when the element has no power: after a failed write, or a fault that a test armed. It then
    /// has to be opened anew.
    pub fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        self.card.transmit(&mut self.session, apdu).bytes
    }

    /// Answers one APDU in the given session: its logical channels, what is selected there, and what waits for GET
    /// RESPONSE.
    pub fn transmit_in(&mut self, session: &mut Session, apdu: &[u8]) -> Vec<u8> {
        self.card.transmit(session, apdu).bytes
    }

    /// The same, with the time that the card takes for it. The element has no clock: who carries the answer to the host
    /// waits so long before it does.
    pub fn answer(&mut self, session: &mut Session, apdu: &[u8]) -> Answer {
        self.card.transmit(session, apdu)
    }

    /// Whether the element answers.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        self.card.is_powered()
    }

    /// The chip's unique id, 18 bytes.
    #[must_use]
    pub fn chip_id(&self) -> [u8; CHIP_ID_BYTES] {
        self.card.state().chip_id
    }
}

/// The card manager of a new card.
fn new_gp() -> Result<Gp, ElementError> {
    Gp::new().ok_or(ElementError::Crypto { operation: "making the registry" })
}

impl std::fmt::Debug for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let chip_id = hex::encode(self.chip_id());
        f.debug_struct("Element").field("chip_id", &chip_id).finish_non_exhaustive()
    }
}
