//! Records of what a TPM states beside its keys (`crate::tpm::proof`), for the submodules of an envelope.

use ciborium::Value;

use super::EvidenceError;
use super::cbor::{Fields, bytes, numbered};
use crate::tpm::AlgorithmId;
use crate::tpm::proof::{CertifiedCounter, CertifiedCreation, PcrBank, PcrValue, Quote};

/// Media type of a [`Quote`]: a map of `TPMT_PUBLIC` of the attestation key (1), `TPMS_ATTEST` (2), `TPMT_SIGNATURE` (3),
/// the values of the PCRs (4), each an array of algorithm number, PCR and value, and the event log (5).
const QUOTE: &str = "application/vnd.touchmark.tpm2-quote+cbor";
/// Media type of a [`CertifiedCounter`]: `TPMT_PUBLIC` of the attestation key (1), `TPMS_NV_PUBLIC` (2), `TPMS_ATTEST` (3),
/// `TPMT_SIGNATURE` (4).
const COUNTER: &str = "application/vnd.touchmark.tpm2-nv-certify+cbor";
/// Media type of a [`CertifiedCreation`]: `TPMT_PUBLIC` of the attestation key (1) and of the key (2),
/// `TPMS_CREATION_DATA` (3), `TPMS_ATTEST` (4), `TPMT_SIGNATURE` (5).
const CREATION: &str = "application/vnd.touchmark.tpm2-certify-creation+cbor";
/// The most PCR values in one quote: 24 of each bank.
const MAX_VALUES: usize = 48;

/// Media type and body of a record.
pub(super) fn parts(record: &Value) -> Result<(&str, &[u8]), EvidenceError> {
    let Value::Array(parts) = record else { return Err(EvidenceError::NotAnEnvelope) };
    match parts.as_slice() {
        [Value::Text(kind), Value::Bytes(body)] => Ok((kind, body)),
        _ => Err(EvidenceError::NotAnEnvelope),
    }
}

/// A statement that travels as a record.
pub(super) trait Statement: Sized {
    const MEDIA_TYPE: &'static str;
    fn body(&self) -> Vec<u8>;
    fn read(fields: &Fields) -> Result<Self, EvidenceError>;

    fn record(&self) -> Value {
        Value::Array(vec![Value::Text(Self::MEDIA_TYPE.to_owned()), Value::Bytes(self.body())])
    }

    fn from_record(record: &Value) -> Result<Self, EvidenceError> {
        let (kind, body) = parts(record)?;
        if kind != Self::MEDIA_TYPE {
            return Err(EvidenceError::UnknownKind { found: kind.chars().take(80).collect() });
        }
        Self::read(&Fields::inside(body)?)
    }
}

impl Statement for Quote {
    const MEDIA_TYPE: &'static str = QUOTE;

    fn body(&self) -> Vec<u8> {
        numbered(vec![
            bytes(&self.ak_public),
            bytes(&self.statement),
            bytes(&self.signature),
            pcr_values(&self.pcrs),
            bytes(&self.event_log),
        ])
    }

    fn read(fields: &Fields) -> Result<Self, EvidenceError> {
        Ok(Self {
            schema: Self::SCHEMA.to_owned(),
            ak_public: fields.bytes(1, "AK public area")?,
            statement: fields.bytes(2, "statement")?,
            signature: fields.bytes(3, "signature")?,
            pcrs: fields.value(4).and_then(read_pcr_values).ok_or(EvidenceError::Field {
                key: 4,
                name: "PCR values",
                expected: "an array of algorithm, PCR and value",
            })?,
            event_log: fields.bytes(5, "event log")?,
        })
    }
}

/// PCR values as an array of arrays: `TPM_ALG_ID` of the bank, PCR, value.
pub(super) fn pcr_values(values: &[PcrValue]) -> Value {
    let each = |value: &PcrValue| {
        Value::Array(vec![
            Value::from(value.bank.algorithm().0),
            Value::from(value.pcr),
            Value::Bytes(value.value.clone()),
        ])
    };
    Value::Array(values.iter().map(each).collect())
}

pub(super) fn read_pcr_values(value: &Value) -> Option<Vec<PcrValue>> {
    let Value::Array(items) = value else { return None };
    if items.len() > MAX_VALUES {
        return None;
    }
    let one = |item: &Value| {
        let Value::Array(parts) = item else { return None };
        let [Value::Integer(bank), Value::Integer(pcr), Value::Bytes(value)] = parts.as_slice() else {
            return None;
        };
        Some(PcrValue {
            bank: PcrBank::of(AlgorithmId(u16::try_from(*bank).ok()?))?,
            pcr: u8::try_from(*pcr).ok()?,
            value: value.clone(),
        })
    };
    items.iter().map(one).collect()
}

impl Statement for CertifiedCounter {
    const MEDIA_TYPE: &'static str = COUNTER;

    fn body(&self) -> Vec<u8> {
        numbered(vec![
            bytes(&self.ak_public),
            bytes(&self.nv_public),
            bytes(&self.statement),
            bytes(&self.signature),
        ])
    }

    fn read(fields: &Fields) -> Result<Self, EvidenceError> {
        Ok(Self {
            ak_public: fields.bytes(1, "AK public area")?,
            nv_public: fields.bytes(2, "NV public area")?,
            statement: fields.bytes(3, "statement")?,
            signature: fields.bytes(4, "signature")?,
        })
    }
}

impl Statement for CertifiedCreation {
    const MEDIA_TYPE: &'static str = CREATION;

    fn body(&self) -> Vec<u8> {
        numbered(vec![
            bytes(&self.ak_public),
            bytes(&self.key_public),
            bytes(&self.creation_data),
            bytes(&self.statement),
            bytes(&self.signature),
        ])
    }

    fn read(fields: &Fields) -> Result<Self, EvidenceError> {
        Ok(Self {
            ak_public: fields.bytes(1, "AK public area")?,
            key_public: fields.bytes(2, "key public area")?,
            creation_data: fields.bytes(3, "creation data")?,
            statement: fields.bytes(4, "statement")?,
            signature: fields.bytes(5, "signature")?,
        })
    }
}
