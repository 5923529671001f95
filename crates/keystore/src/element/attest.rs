//! Evidence for a key: an attested read, in the layout of the part's applet.

use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::se05x::bound::{self, BoundRead};
use touchmark_identity::apdu::se05x::{
    ATTESTATION_CERTIFICATE, ATTESTATION_KEY, AppletVersion, ECDSA_SHA256, Instruction, ReadLayout, TAG_1,
    TAG_2, TAG_3, TAG_4, TAG_5, TAG_6, TAG_7,
};
use touchmark_identity::apdu::tlv;
use touchmark_identity::evidence::{BoundReadEvidence, ElementEvidence, Evidence, Nonce};
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::PublicKey;

use super::{Effect, ElementStore, done, malformed, value};
use crate::store::{Attest, Attested, StoreError};

const READ: Instruction = Instruction::ReadObjectAttested;
/// With this Ne a command has lengths of three bytes, whatever it holds.
const EXTENDED_NE: u32 = 65_536;

impl Attest for ElementStore {
    fn attest(&mut self, key: &KeyName, nonce: &Nonce) -> Result<Attested, StoreError> {
        let slots = self.key(key)?;
        let chip_certificate = self.read_binary(ATTESTATION_CERTIFICATE)?;
        let applet_version = self.select()?;
        let fields: [(u8, &[u8]); 4] = [
            (TAG_1, &slots.first.to_be_bytes()),
            (TAG_5, &ATTESTATION_KEY.to_be_bytes()),
            (TAG_6, &[ECDSA_SHA256]),
            (TAG_7, &nonce.freshness16()),
        ];
        let layout = AppletVersion::parse(&applet_version).map(|version| version.read_layout());
        let applet_version = applet_version.to_vec();
        if layout == Some(ReadLayout::Bound) {
            let (point, read) = self.read_bound(&fields)?;
            let evidence = BoundReadEvidence { chip_certificate, applet_version, ..read };
            return Ok(Attested { key: public(&point)?, evidence: Evidence::BoundRead(evidence) });
        }
        let response = self.ask(READ, &fields, Effect::Reads)?;
        let field = |tag| value(READ, &response, tag);
        let data = field(TAG_1)?;
        let key = public(&data)?;
        let evidence = Evidence::Element(ElementEvidence {
            chip_certificate,
            chip_chain: Vec::new(),
            data,
            attributes: field(TAG_2)?,
            timestamp: field(TAG_3)?,
            freshness: field(TAG_4)?,
            chip_id: field(TAG_5)?,
            signature: field(TAG_6)?,
            applet_version,
        });
        Ok(Attested { key, evidence })
    }
}

impl ElementStore {
    /// A read that is bound to its command: the point, and the evidence without certificate and version.
    fn read_bound(&mut self, fields: &[(u8, &[u8])]) -> Result<(Vec<u8>, BoundReadEvidence), StoreError> {
        let name = READ.spec().name;
        let wrong = |detail: String| malformed(name, detail);
        let data = tlv::encode(fields).map_err(|error| wrong(error.to_string()))?;
        let command = bound::command_bytes(READ, &data).map_err(|error| wrong(error.to_string()))?;
        let sent = Command { le: Some(EXTENDED_NE), ..READ.command(data) };
        let response = self.send_command(name, &sent, Effect::Reads)?;
        done(name, response.sw)?;
        let (answer, signature) = bound::divide(&response.data).map_err(|error| wrong(error.to_string()))?;
        let read = BoundRead::parse(answer).map_err(|error| wrong(error.to_string()))?;
        let point = read.data.ok_or_else(|| wrong("the key was not read".to_owned()))?.to_vec();
        let evidence = BoundReadEvidence {
            chip_certificate: Vec::new(),
            chip_chain: Vec::new(),
            command,
            answer: answer.to_vec(),
            signature: signature.to_vec(),
            applet_version: Vec::new(),
        };
        Ok((point, evidence))
    }
}

fn public(point: &[u8]) -> Result<PublicKey, StoreError> {
    PublicKey::from_point(point).map_err(|error| malformed(READ.spec().name, error.to_string()))
}
