//! The little CBOR (RFC 8949) that evidence needs.

use ciborium::Value;

use super::EvidenceError;

/// No CBOR of ours nests deeper: tag, claims, submodules, submodule, wrapper, list, entry.
const MAX_NESTING: usize = 10;

pub(super) fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.to_vec())
}

pub(super) fn list(items: &[Vec<u8>]) -> Value {
    Value::Array(items.iter().map(|item| bytes(item)).collect())
}

/// A map with the keys 1, 2, …
pub(super) fn numbered(fields: Vec<Value>) -> Vec<u8> {
    write(&Value::Map((1u8..).map(Value::from).zip(fields).collect()))
}

pub(super) fn write(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing a `Value` without floats into memory has no way to fail.
    let _infallible = ciborium::into_writer(value, &mut out);
    out
}

/// Reads exactly one CBOR item; trailing bytes are refused, nesting is limited.
pub(super) fn read(bytes: &[u8]) -> Option<Value> {
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_NESTING).ok()?;
    rest.is_empty().then_some(value)
}

/// The entries of a map, by key.
pub(super) struct Fields(pub(super) Vec<(Value, Value)>);

impl Fields {
    /// A map inside a byte string.
    pub(super) fn inside(body: &[u8]) -> Result<Self, EvidenceError> {
        match read(body) {
            Some(Value::Map(map)) => Ok(Self(map)),
            _ => Err(EvidenceError::NotAnEnvelope),
        }
    }

    /// RFC 8949 §5.6: "The CBOR data model for maps does not allow ambiguous representation", so a key is there once.
    pub(super) fn without_doubles(map: Vec<(Value, Value)>) -> Result<Self, EvidenceError> {
        let double =
            map.iter().enumerate().any(|(place, (key, _))| map.iter().skip(place + 1).any(|(k, _)| k == key));
        if double { Err(EvidenceError::DoubleKey) } else { Ok(Self(map)) }
    }

    pub(super) fn value(&self, key: i64) -> Option<&Value> {
        self.0.iter().find(|(k, _)| *k == Value::from(key)).map(|(_, v)| v)
    }

    pub(super) fn bytes(&self, key: i64, name: &'static str) -> Result<Vec<u8>, EvidenceError> {
        match self.value(key) {
            Some(Value::Bytes(bytes)) => Ok(bytes.clone()),
            _ => Err(EvidenceError::Field { key, name, expected: "a byte string" }),
        }
    }

    pub(super) fn list(&self, key: i64, name: &'static str) -> Result<Vec<Vec<u8>>, EvidenceError> {
        let wrong = EvidenceError::Field { key, name, expected: "an array of byte strings" };
        let Some(Value::Array(items)) = self.value(key) else { return Err(wrong) };
        items
            .iter()
            .map(|item| match item {
                Value::Bytes(bytes) => Ok(bytes.clone()),
                _ => Err(wrong.clone()),
            })
            .collect()
    }
}
