//! The attacks, carried out: what a person with one device's flash in hands can do, per storage class.
//!
//! Place in the life of a credential: before the decision where keys shall live, and as the proof afterwards.
//! [`extract`] looks for the private key of a known public key in the bytes of a flash image; [`clone`] makes a second
//! device of what was found; [`rewind`] puts old state and a lower anti-rollback floor back; [`report`] says what fell
//! and what held, and on what evidence.
//!
//! An attack that held has held *this attempt*: flash access alone, with these searches. It says nothing about a probe
//! on the chip's pins, a side channel, or a host that lends the key out as a signing oracle.
//!
//! ```
//! use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
//! use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
//! use touchmark_identity::key::PublicKey;
//!
//! let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
//! let public = PublicKey::from_point(pair.public_key().as_ref())?;
//! let private: EcPrivateKeyBin = pair.private_key().as_be_bytes()?;
//!
//! let mut image = vec![0xff; 4096];
//! image.splice(1000..1032, private.as_ref().iter().copied());
//! let search = touchmark_lab::extract::search(&image, &public, &mut |_done, _total| {});
//! assert_eq!(search.found.first().map(|found| found.offset), Some(1000));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod clone;
pub mod extract;
pub mod report;
pub mod rewind;

mod error;

pub use error::LabError;
