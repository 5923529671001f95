//! Attested reads of applet 7.2 and later, which are bound to the command that asked for them.
//!
//! The answer has `41` the object's value (absent where it is not read), `42` the chip's id, `43` the attributes, `44` the
//! object's size, `4F` a time stamp and `52` the signature, in this order and each with a length of three bytes
//! (`82 hh ll`). Signed are the digest of the command and the TLVs `41` to `4F` as they are, so that no value can be cut
//! elsewhere, and the freshness value is signed as a field of the command.
//!
//! The command is taken as hosts send it: `80 22 P1 P2`, a length of three bytes (`00 hh ll`), the fields, no Le.
//!
//! # Source
//! NXP's host libraries: `Se05x_API_ReadObject_W_Attst_V2` and `nxECKey_VerifyAttestation` of Plug & Trust 04.07,
//! `ex_read_attst_object` of the nano package 1.5, and its program `se05x_ReadWithAttestation.c`. None of them says what a
//! chip digests of a command in the short form, and all of them digest with SHA-256.

use super::{
    CHIP_ID_BYTES, CLA, Instruction, TAG_1, TAG_2, TAG_3, TAG_4, TAG_SIGNATURE, TAG_TIMESTAMP,
    TIMESTAMP_BYTES,
};
use crate::apdu::ApduError;
use crate::apdu::tlv::{TlvError, Tlvs};
use crate::key::sha256;

/// The number of bytes of an object's size.
pub const SIZE_BYTES: usize = 2;
/// Tag and length of a TLV with a length of three bytes.
const HEADER_BYTES: usize = 4;

/// Why bytes are no answer of this layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// Not a sequence of TLVs, or a value of another length.
    #[error(transparent)]
    Tlv(#[from] TlvError),
    /// Other tags, another order, or a length in another form.
    #[error("expected the TLVs 41, 42, 43, 44 and 4F in this order, each with a length of three bytes")]
    Order,
    /// The signature is not the last TLV.
    #[error("the answer does not end with a signature")]
    NoSignature,
}

/// What an answer says, without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundRead<'a> {
    /// The object's value; absent where it is not read.
    pub data: Option<&'a [u8]>,
    /// The chip's unique id.
    pub chip_id: [u8; CHIP_ID_BYTES],
    /// The object's attributes, with a version ([`Attributes::parse_with_version`](super::Attributes::parse_with_version)).
    pub attributes: &'a [u8],
    /// The object's size, as ReadSize answers it; of an EC key, the bytes of its curve.
    pub size: u16,
    /// The chip's time stamp.
    pub timestamp: [u8; TIMESTAMP_BYTES],
}

impl<'a> BoundRead<'a> {
    /// Reads the TLVs that are signed: no other tag, no other order, no other form of a length.
    ///
    /// # Errors
    /// [`BoundError`] when they are others.
    pub fn parse(signed: &'a [u8]) -> Result<Self, BoundError> {
        let fields = Tlvs::parse(signed)?;
        let read = Self {
            data: fields.find(TAG_1),
            chip_id: fields.exact(TAG_2)?,
            attributes: fields.required(TAG_3)?,
            size: u16::from_be_bytes(fields.exact(TAG_4)?),
            timestamp: fields.exact(TAG_TIMESTAMP)?,
        };
        if read.encode()? == signed { Ok(read) } else { Err(BoundError::Order) }
    }

    /// The TLVs that are signed.
    ///
    /// # Errors
    /// [`TlvError::TooLong`] for a value over 65,535 bytes.
    pub fn encode(&self) -> Result<Vec<u8>, TlvError> {
        let mut out = Vec::new();
        if let Some(data) = self.data {
            push(&mut out, TAG_1, data)?;
        }
        push(&mut out, TAG_2, &self.chip_id)?;
        push(&mut out, TAG_3, self.attributes)?;
        push(&mut out, TAG_4, &self.size.to_be_bytes())?;
        push(&mut out, TAG_TIMESTAMP, &self.timestamp)?;
        Ok(out)
    }
}

/// Divides an answer into the TLVs that are signed, byte for byte, and the signature.
///
/// # Errors
/// [`BoundError`] when the answer has not this layout.
pub fn divide(answer: &[u8]) -> Result<(&[u8], &[u8]), BoundError> {
    let signature = Tlvs::parse(answer)?.required(TAG_SIGNATURE)?;
    let signed = answer.len().checked_sub(HEADER_BYTES + signature.len()).ok_or(BoundError::NoSignature)?;
    let (signed, last) = answer.split_at(signed);
    let mut expected = Vec::with_capacity(last.len());
    push(&mut expected, TAG_SIGNATURE, signature)?;
    if last != expected {
        return Err(BoundError::NoSignature);
    }
    BoundRead::parse(signed)?;
    Ok((signed, signature))
}

/// An answer: what is signed, and the signature.
///
/// # Errors
/// [`TlvError::TooLong`] for a signature over 65,535 bytes.
pub fn join(signed: &[u8], signature: &[u8]) -> Result<Vec<u8>, TlvError> {
    let mut out = signed.to_vec();
    push(&mut out, TAG_SIGNATURE, signature)?;
    Ok(out)
}

/// The bytes of a command that are digested, with these fields.
///
/// # Errors
/// [`ApduError::Range`] for more data than a command holds.
pub fn command_bytes(instruction: Instruction, data: &[u8]) -> Result<Vec<u8>, ApduError> {
    let spec = instruction.spec();
    let too_long = ApduError::Range { what: "Nc", most: 65_535, found: data.len() };
    let length = u16::try_from(data.len()).map_err(|_| too_long)?;
    let [high, low] = length.to_be_bytes();
    Ok([&[CLA, spec.ins, spec.p1, spec.p2, 0, high, low], data].concat())
}

/// What is signed: the digest of the command, and the answer's TLVs without the signature.
#[must_use]
pub fn statement(command_digest: &[u8], signed: &[u8]) -> Vec<u8> {
    [command_digest, signed].concat()
}

/// The same with SHA-256, for a signature by ECDSA with SHA-256.
#[must_use]
pub fn statement_sha256(command: &[u8], signed: &[u8]) -> Vec<u8> {
    statement(&sha256(command), signed)
}

/// Appends a TLV with a length of three bytes.
fn push(out: &mut Vec<u8>, tag: u8, value: &[u8]) -> Result<(), TlvError> {
    let length = u16::try_from(value.len()).map_err(|_| TlvError::TooLong { found: value.len() })?;
    let [high, low] = length.to_be_bytes();
    out.extend([tag, 0x82, high, low]);
    out.extend(value);
    Ok(())
}
