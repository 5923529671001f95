//! What a TPM states beyond the certification of a key, as it travels from the device to the Verifier: JSON with a
//! schema name, bytes in lower-case hex.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::attest::PcrSelection;
use super::constants::AlgorithmId;

/// A PCR bank that is processed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PcrBank {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl PcrBank {
    /// The hash algorithm of the bank.
    #[must_use]
    pub fn algorithm(self) -> AlgorithmId {
        match self {
            Self::Sha256 => AlgorithmId::SHA256,
            Self::Sha384 => AlgorithmId::SHA384,
        }
    }

    /// The bank of an algorithm; none for SHA-1 and others.
    #[must_use]
    pub fn of(algorithm: AlgorithmId) -> Option<Self> {
        match algorithm {
            AlgorithmId::SHA256 => Some(Self::Sha256),
            AlgorithmId::SHA384 => Some(Self::Sha384),
            _ => None,
        }
    }
}

impl fmt::Display for PcrBank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
        })
    }
}

/// PCRs of one bank, written `sha256:0,2,7`: at least one, each 0 to 23, shown in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrList {
    /// The bank.
    pub bank: PcrBank,
    registers: Vec<u8>,
}

/// A text that selects no PCRs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} selects no PCRs; write a bank, sha256 or sha384, a colon, and numbers from 0 to 23: sha256:0,2,7"
)]
pub struct PcrListError {
    /// The text, cut to 100 characters.
    pub text: String,
}

impl PcrList {
    /// The PCRs, ascending.
    #[must_use]
    pub fn registers(&self) -> &[u8] {
        &self.registers
    }

    /// The same as a TPM takes it.
    #[must_use]
    pub fn selection(&self) -> PcrSelection {
        PcrSelection::of(self.bank.algorithm(), &self.registers)
    }
}

impl FromStr for PcrList {
    type Err = PcrListError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PcrListError { text: text.chars().take(100).collect() };
        let (bank, numbers) = text.split_once(':').ok_or_else(wrong)?;
        let bank = match bank {
            "sha256" => PcrBank::Sha256,
            "sha384" => PcrBank::Sha384,
            _ => return Err(wrong()),
        };
        let mut registers = numbers
            .split(',')
            .map(|number| number.parse::<u8>().ok().filter(|number| *number <= 23).ok_or_else(wrong))
            .collect::<Result<Vec<u8>, _>>()?;
        registers.sort_unstable();
        registers.dedup();
        Ok(Self { bank, registers })
    }
}

impl fmt::Display for PcrList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.registers.iter().map(ToString::to_string).collect();
        write!(f, "{}:{}", self.bank, numbers.join(","))
    }
}

impl Serialize for PcrList {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PcrList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The value of one PCR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcrValue {
    /// The bank.
    pub bank: PcrBank,
    /// The PCR, 0 to 23.
    pub pcr: u8,
    /// Its value, as long as the bank's digests.
    #[serde(with = "hex::serde")]
    pub value: Vec<u8>,
}

/// `TPM2_Quote` (part 3, §18.4) with the values behind its digest and, where there is one, the firmware's event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// `touchmark.quote/1`.
    pub schema: String,
    /// `TPMT_PUBLIC` of the attestation key.
    #[serde(with = "hex::serde")]
    pub ak_public: Vec<u8>,
    /// `TPMS_ATTEST`.
    #[serde(with = "hex::serde")]
    pub statement: Vec<u8>,
    /// `TPMT_SIGNATURE` over the statement.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
    /// The values, in the order in which the quote selects them.
    pub pcrs: Vec<PcrValue>,
    /// The event log, see [`super::event_log`]; empty where there is none.
    #[serde(with = "hex::serde")]
    pub event_log: Vec<u8>,
}

impl Quote {
    /// The name of this form.
    pub const SCHEMA: &'static str = "touchmark.quote/1";
}

/// `TPM2_NV_Certify` (part 3, §31.16) of a counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedCounter {
    /// `TPMT_PUBLIC` of the attestation key.
    #[serde(with = "hex::serde")]
    pub ak_public: Vec<u8>,
    /// `TPMS_NV_PUBLIC` of the counter's index.
    #[serde(with = "hex::serde")]
    pub nv_public: Vec<u8>,
    /// `TPMS_ATTEST`.
    #[serde(with = "hex::serde")]
    pub statement: Vec<u8>,
    /// `TPMT_SIGNATURE` over the statement.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

/// `TPM2_CertifyCreation` (part 3, §18.3): the TPM made this key, with this template, under this parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedCreation {
    /// `TPMT_PUBLIC` of the attestation key.
    #[serde(with = "hex::serde")]
    pub ak_public: Vec<u8>,
    /// `TPMT_PUBLIC` of the key that was made.
    #[serde(with = "hex::serde")]
    pub key_public: Vec<u8>,
    /// `TPMS_CREATION_DATA`.
    #[serde(with = "hex::serde")]
    pub creation_data: Vec<u8>,
    /// `TPMS_ATTEST`.
    #[serde(with = "hex::serde")]
    pub statement: Vec<u8>,
    /// `TPMT_SIGNATURE` over the statement.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

/// The PCRs that a statement selects, in the order in which their values are hashed; none where it selects some of a bank
/// that is not processed here.
#[must_use]
pub fn selected(selection: &[PcrSelection]) -> Option<Vec<(PcrBank, u8)>> {
    let mut all = Vec::new();
    for each in selection {
        let registers = each.registers();
        match PcrBank::of(each.hash) {
            Some(bank) => all.extend(registers.into_iter().map(|register| (bank, register))),
            None if registers.is_empty() => {}
            None => return None,
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_registers() {
        let list: PcrList = "sha256:7,0,7".parse().unwrap();
        assert_eq!((list.registers(), list.to_string().as_str()), (&[0, 7][..], "sha256:0,7"));
        assert_eq!(list.selection().bitmap, [0x81, 0, 0]);
        for wrong in ["", "sha256", "sha256:", "sha1:0", "sha256:24", "sha256:-1", "sha256:0,,1"] {
            assert!(wrong.parse::<PcrList>().is_err(), "{wrong}");
        }
    }
}
