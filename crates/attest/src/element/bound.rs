//! Reads of applets from 7.2 on, bound to their command.

use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::se05x::bound::{self, BoundRead};
use touchmark_identity::apdu::se05x::{
    Attributes, ECDSA_SHA256, FRESHNESS_BYTES, Instruction, ReadLayout, TAG_1, TAG_5, TAG_6, TAG_7,
};
use touchmark_identity::apdu::tlv::{TlvError, Tlvs};
use touchmark_identity::evidence::{BoundReadEvidence, Evidence, Nonce};
use touchmark_identity::timestamp::Timestamp;

use super::{
    ATTESTED_OBJECT, ChipIdentity, POINT_BYTES, conclude, expect_fresh, expect_length, malformed_attributes,
    provenance,
};
use crate::{AppraisalError, Appraised, AttestedKey, ChainPurpose, Policy};

/// What the errors call the two halves of a statement.
const COMMAND: &str = "the command of the attested read";
const ANSWER: &str = "the answer of the attested read";
/// The tags of a command that reads all of an object.
const FIELDS: [u8; 4] = [TAG_1, TAG_5, TAG_6, TAG_7];

/// Appraises an attested read of an applet from 7.2 on: that a chip of a pinned maker holds the private half of the key,
/// and where it came from, as [`appraise`](super::appraise) does. An imported key may have policies here.
///
/// # Errors
/// [`AppraisalError`] for evidence that is not, in every field, what such a chip says to this nonce.
pub fn appraise_bound(
    evidence: &BoundReadEvidence,
    nonce: &Nonce,
    policy: &Policy,
    at: Timestamp,
) -> Result<Appraised<AttestedKey>, AppraisalError> {
    let purpose = ChainPurpose::ElementAttestation;
    let chain = policy.verify_chain(&evidence.chip_certificate, &evidence.chip_chain, at, purpose)?;
    let chip = ChipIdentity::read(&chain.leaf)?;
    let read = BoundRead::parse(&evidence.answer)
        .map_err(|error| AppraisalError::Malformed { what: ANSWER, detail: error.to_string() })?;

    chip.verify(&bound::statement_sha256(&evidence.command, &evidence.answer), &evidence.signature)?;
    let asked = Asked::read(&evidence.command)?;
    expect_fresh(&asked.freshness, nonce)?;
    chip.expect_id(&read.chip_id)?;
    let version = chip.applet_version(&evidence.applet_version, ReadLayout::Bound)?;

    let attributes = Attributes::parse_with_version(read.attributes).map_err(malformed_attributes)?;
    if attributes.object_id != asked.object_id {
        return Err(AppraisalError::WrongValue {
            what: "the id of the attested object",
            expected: format!("{:08x}, as in the command", asked.object_id),
            found: format!("{:08x}", attributes.object_id),
        });
    }
    let provenance = provenance(&attributes)?;
    let point = read.data.unwrap_or(&[]);
    expect_length(ATTESTED_OBJECT, point, POINT_BYTES)?;
    let evidence_sha256 = Evidence::BoundRead(evidence.clone()).sha256();
    conclude(&chip, chain, point, version, provenance, evidence_sha256, at)
}

/// What a command asks the chip to vouch for.
struct Asked {
    object_id: u32,
    freshness: [u8; FRESHNESS_BYTES],
}

impl Asked {
    /// Reads a command that asks for all of one object, with a signature by ECDSA with SHA-256.
    fn read(bytes: &[u8]) -> Result<Self, AppraisalError> {
        let malformed = |detail: String| AppraisalError::Malformed { what: COMMAND, detail };
        let command = Command::parse(bytes).map_err(|error| malformed(error.to_string()))?;
        let form = bound::command_bytes(Instruction::ReadObjectAttested, &command.data);
        if form.as_deref() != Ok(bytes) {
            return Err(malformed("it is none that reads an object".to_owned()));
        }
        let fields = Tlvs::parse(&command.data).map_err(|error| malformed(error.to_string()))?;
        if !fields.tags().eq(FIELDS) {
            let found: Vec<String> = fields.tags().map(|tag| format!("{tag:02x}")).collect();
            return Err(malformed(format!(
                "expected the fields 41, 45, 46 and 47, found {}",
                found.join(", ")
            )));
        }
        let tlv = |error: TlvError| AppraisalError::Malformed { what: COMMAND, detail: error.to_string() };
        let _attester: [u8; 4] = fields.exact(TAG_5).map_err(tlv)?;
        let [algorithm] = fields.exact(TAG_6).map_err(tlv)?;
        if algorithm != ECDSA_SHA256 {
            return Err(AppraisalError::UnsupportedAlgorithm {
                what: "the attested read".to_owned(),
                found: format!("algorithm {algorithm:#04x}"),
                accepted: "ECDSA on P-256 with SHA-256",
            });
        }
        let object_id = u32::from_be_bytes(fields.exact(TAG_1).map_err(tlv)?);
        Ok(Self { object_id, freshness: fields.exact(TAG_7).map_err(tlv)? })
    }
}
