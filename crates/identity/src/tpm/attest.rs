//! `TPMS_ATTEST` (part 2, §10.12): the statement that an attestation key signs.

use super::constants::{AlgorithmId, Handle, StructureTag, TPM_GENERATED_VALUE};
use super::public::{Name, PublicArea};
use super::wire::{Reader, TpmFormatError, Writer};

/// The largest Name, in bytes: an algorithm number and a SHA-512.
const MAX_NAME_BYTES: usize = 66;
/// The largest `TPM2B_DATA`, in bytes: a `TPMT_HA` with SHA-512 (part 2, §10.4).
const MAX_DATA_BYTES: usize = 66;
/// The largest digest, in bytes.
const MAX_DIGEST_BYTES: usize = 64;
/// The most PCR banks in a selection (part 2, §10.9, `HASH_COUNT` of the reference implementation).
const MAX_BANKS: u32 = 16;
/// The largest statement that is read, in bytes.
const MAX_ATTEST_BYTES: usize = 1024;

/// `TPMS_CLOCK_INFO` (part 2, §10.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockInfo {
    /// Milliseconds that the TPM has been powered.
    pub clock_ms: u64,
    /// How often the TPM was reset.
    pub reset_count: u32,
    /// How often the TPM was restarted or resumed since the last reset.
    pub restart_count: u32,
    /// True when no greater clock value was ever reported.
    pub safe: bool,
}

/// `TPMS_PCR_SELECTION` (part 2, §10.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrSelection {
    /// The bank.
    pub hash: AlgorithmId,
    /// One bit for each PCR, PCR 0 first: bit 0 of byte 0.
    pub bitmap: Vec<u8>,
}

/// The size of a bitmap for PCRs 0 to 23, in bytes.
const BITMAP_BYTES: usize = 3;

impl PcrSelection {
    /// Selects PCRs, 0 to 23, of a bank; higher numbers are left out.
    #[must_use]
    pub fn of(hash: AlgorithmId, registers: &[u8]) -> Self {
        let mut bitmap = vec![0u8; BITMAP_BYTES];
        for register in registers {
            if let Some(byte) = bitmap.get_mut(usize::from(register / 8)) {
                *byte |= 1 << (register % 8);
            }
        }
        Self { hash, bitmap }
    }

    /// The selected PCRs, in ascending order: the order in which their values are hashed.
    #[must_use]
    pub fn registers(&self) -> Vec<u8> {
        (0..=u8::MAX)
            .filter(|register| {
                let byte = self.bitmap.get(usize::from(register / 8));
                byte.is_some_and(|byte| byte & (1 << (register % 8)) != 0)
            })
            .collect()
    }
}

/// What a statement is about (`TPMU_ATTEST`, part 2, §10.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attested {
    /// `TPMS_CERTIFY_INFO`: an object with this Name is loaded in the TPM.
    Certify {
        /// Name of the certified object.
        name: Name,
        /// Its qualified name: with its parents up to the hierarchy.
        qualified_name: Name,
    },
    /// `TPMS_CREATION_INFO`: the TPM created this object.
    Creation {
        /// Name of the created object.
        name: Name,
        /// Digest of the creation data.
        creation_hash: Vec<u8>,
    },
    /// `TPMS_QUOTE_INFO`: the platform's measurements.
    Quote {
        /// Which registers.
        selection: Vec<PcrSelection>,
        /// Digest of their values.
        pcr_digest: Vec<u8>,
    },
    /// `TPMS_NV_CERTIFY_INFO`: what an NV index holds.
    Nv {
        /// Name of the index, over its attributes.
        index_name: Name,
        /// Where in the index the bytes begin.
        offset: u16,
        /// The bytes.
        contents: Vec<u8>,
    },
    /// A statement that is not read further.
    Other {
        /// Its kind.
        kind: StructureTag,
        /// Its bytes.
        body: Vec<u8>,
    },
}

/// `TPMS_ATTEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    /// Qualified name of the signing key.
    pub qualified_signer: Name,
    /// What the caller wanted signed along: the Verifier's nonce.
    pub extra_data: Vec<u8>,
    /// The TPM's clock.
    pub clock: ClockInfo,
    /// Firmware version, as the maker counts; obfuscated for keys outside the platform and endorsement hierarchies.
    pub firmware_version: u64,
    /// What is stated.
    pub attested: Attested,
}

impl Attest {
    /// Reads a `TPMS_ATTEST` that fills `bytes`.
    ///
    /// # Errors
    /// [`TpmFormatError::Value`] when it does not begin with `TPM_GENERATED_VALUE`, so that a TPM did not make it;
    /// other [`TpmFormatError`]s for another form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TpmFormatError> {
        if bytes.len() > MAX_ATTEST_BYTES {
            let (found, limit) = (bytes.len(), MAX_ATTEST_BYTES);
            return Err(TpmFormatError::TooLong { what: "TPMS_ATTEST", found, limit });
        }
        let mut reader = Reader::new("TPMS_ATTEST", bytes);
        let magic = reader.u32()?;
        if magic != TPM_GENERATED_VALUE {
            return Err(TpmFormatError::Value {
                what: "magic of TPMS_ATTEST",
                expected: format!("TPM_GENERATED_VALUE ({TPM_GENERATED_VALUE:#010x})"),
                found: format!("{magic:#010x}"),
            });
        }
        let kind = StructureTag(reader.u16()?);
        let qualified_signer = Name(reader.sized(MAX_NAME_BYTES)?.to_vec());
        let extra_data = reader.sized(MAX_DATA_BYTES)?.to_vec();
        let clock = ClockInfo {
            clock_ms: reader.u64()?,
            reset_count: reader.u32()?,
            restart_count: reader.u32()?,
            safe: match reader.u8()? {
                0 => false,
                1 => true,
                other => {
                    let (expected, found) = ("0 or 1".to_owned(), other.to_string());
                    return Err(TpmFormatError::Value {
                        what: "safe flag of TPMS_CLOCK_INFO",
                        expected,
                        found,
                    });
                }
            },
        };
        let firmware_version = reader.u64()?;
        let attested = match kind {
            StructureTag::ATTEST_CERTIFY => Attested::Certify {
                name: Name(reader.sized(MAX_NAME_BYTES)?.to_vec()),
                qualified_name: Name(reader.sized(MAX_NAME_BYTES)?.to_vec()),
            },
            StructureTag::ATTEST_CREATION => Attested::Creation {
                name: Name(reader.sized(MAX_NAME_BYTES)?.to_vec()),
                creation_hash: reader.sized(MAX_DIGEST_BYTES)?.to_vec(),
            },
            StructureTag::ATTEST_QUOTE => Attested::Quote {
                selection: read_selection(&mut reader)?,
                pcr_digest: reader.sized(MAX_DIGEST_BYTES)?.to_vec(),
            },
            StructureTag::ATTEST_NV => Attested::Nv {
                index_name: Name(reader.sized(MAX_NAME_BYTES)?.to_vec()),
                offset: reader.u16()?,
                contents: reader.sized(MAX_ATTEST_BYTES)?.to_vec(),
            },
            kind => {
                let body = reader.rest().to_vec();
                return Ok(Self {
                    qualified_signer,
                    extra_data,
                    clock,
                    firmware_version,
                    attested: Attested::Other { kind, body },
                });
            }
        };
        reader.finish()?;
        Ok(Self { qualified_signer, extra_data, clock, firmware_version, attested })
    }

    /// The firmware version, where the TPM states it plainly: for a signer that is a primary key of the endorsement
    /// hierarchy (part 1, on attestation: elsewhere it is obfuscated). Such a signer has a qualified name over the handle of that
    /// hierarchy (part 1, on qualified names).
    #[must_use]
    pub fn plain_firmware(&self, signer: &PublicArea) -> Option<u64> {
        let path = [&Handle::ENDORSEMENT.0.to_be_bytes()[..], &signer.name().ok()?.0].concat();
        let digest = super::hash(signer.name_alg, &path).ok()?;
        let qualified = [&signer.name_alg.0.to_be_bytes()[..], &digest].concat();
        (self.qualified_signer.0 == qualified).then_some(self.firmware_version)
    }

    /// The kind of the statement.
    #[must_use]
    pub fn kind(&self) -> StructureTag {
        match &self.attested {
            Attested::Certify { .. } => StructureTag::ATTEST_CERTIFY,
            Attested::Creation { .. } => StructureTag::ATTEST_CREATION,
            Attested::Quote { .. } => StructureTag::ATTEST_QUOTE,
            Attested::Nv { .. } => StructureTag::ATTEST_NV,
            Attested::Other { kind, .. } => *kind,
        }
    }

    /// The bytes of the `TPMS_ATTEST`: what a signature covers.
    ///
    /// # Errors
    /// [`TpmFormatError::TooLong`] when a field cannot be written with its size.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TpmFormatError> {
        let mut writer = Writer::new("TPMS_ATTEST");
        writer.u32(TPM_GENERATED_VALUE).u16(self.kind().0);
        writer.sized(&self.qualified_signer.0).sized(&self.extra_data);
        writer.u64(self.clock.clock_ms).u32(self.clock.reset_count).u32(self.clock.restart_count);
        writer.u8(u8::from(self.clock.safe)).u64(self.firmware_version);
        match &self.attested {
            Attested::Certify { name, qualified_name } => writer.sized(&name.0).sized(&qualified_name.0),
            Attested::Creation { name, creation_hash } => writer.sized(&name.0).sized(creation_hash),
            Attested::Quote { selection, pcr_digest } => {
                write_selection(&mut writer, selection)?;
                writer.sized(pcr_digest)
            }
            Attested::Nv { index_name, offset, contents } => {
                writer.sized(&index_name.0).u16(*offset).sized(contents)
            }
            Attested::Other { body, .. } => writer.bytes(body),
        };
        writer.finish()
    }
}

/// Appends a `TPML_PCR_SELECTION` (part 2, §10.9).
///
/// # Errors
/// [`TpmFormatError::TooLong`] when something cannot be written with its size.
pub fn write_selection(writer: &mut Writer, selection: &[PcrSelection]) -> Result<(), TpmFormatError> {
    let too_long =
        |limit| TpmFormatError::TooLong { what: "TPML_PCR_SELECTION", found: selection.len(), limit };
    writer.u32(u32::try_from(selection.len()).map_err(|_| too_long(16))?);
    for bank in selection {
        let size = u8::try_from(bank.bitmap.len()).map_err(|_| too_long(255))?;
        writer.u16(bank.hash.0).u8(size).bytes(&bank.bitmap);
    }
    Ok(())
}

/// Reads a `TPML_PCR_SELECTION` from the front of a longer byte string.
///
/// # Errors
/// [`TpmFormatError::Value`] for more than 16 banks, [`TpmFormatError::TooShort`] at the end.
pub fn read_selection(reader: &mut Reader<'_>) -> Result<Vec<PcrSelection>, TpmFormatError> {
    let banks = reader.u32()?;
    if banks > MAX_BANKS {
        return Err(TpmFormatError::Value {
            what: "number of PCR banks",
            expected: format!("at most {MAX_BANKS}"),
            found: banks.to_string(),
        });
    }
    (0..banks)
        .map(|_| {
            let hash = AlgorithmId(reader.u16()?);
            let size = usize::from(reader.u8()?);
            Ok(PcrSelection { hash, bitmap: reader.bytes(size)?.to_vec() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = Name> {
        vec(any::<u8>(), 0..=MAX_NAME_BYTES).prop_map(Name)
    }

    fn digest() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..=MAX_DIGEST_BYTES)
    }

    fn attest() -> impl Strategy<Value = Attest> {
        let bank = (any::<u16>(), vec(any::<u8>(), 0..=4))
            .prop_map(|(hash, bitmap)| PcrSelection { hash: AlgorithmId(hash), bitmap });
        let attested = prop_oneof![
            (name(), name()).prop_map(|(name, qualified_name)| Attested::Certify { name, qualified_name }),
            (name(), digest()).prop_map(|(name, creation_hash)| Attested::Creation { name, creation_hash }),
            (vec(bank, 0..=3), digest())
                .prop_map(|(selection, pcr_digest)| Attested::Quote { selection, pcr_digest }),
            (name(), any::<u16>(), digest()).prop_map(|(index_name, offset, contents)| Attested::Nv {
                index_name,
                offset,
                contents
            }),
        ];
        (name(), digest(), any::<(u64, u32, u32, bool, u64)>(), attested).prop_map(
            |(
                qualified_signer,
                extra_data,
                (clock_ms, reset_count, restart_count, safe, firmware),
                attested,
            )| {
                Attest {
                    qualified_signer,
                    extra_data,
                    clock: ClockInfo { clock_ms, reset_count, restart_count, safe },
                    firmware_version: firmware,
                    attested,
                }
            },
        )
    }

    #[test]
    fn registers_are_bits() {
        let selection = PcrSelection::of(AlgorithmId::SHA256, &[23, 0, 7, 8, 24]);
        assert_eq!(selection.bitmap, [0x81, 0x01, 0x80]);
        assert_eq!(selection.registers(), [0, 7, 8, 23]);
    }

    proptest! {
        #[test]
        fn round_trip(attest in attest()) {
            prop_assert_eq!(Attest::from_bytes(&attest.to_bytes().unwrap()).unwrap(), attest);
        }

        #[test]
        fn every_truncation_is_refused(attest in attest()) {
            let bytes = attest.to_bytes().unwrap();
            for end in 0..bytes.len() {
                prop_assert!(Attest::from_bytes(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..160), kind in 0x8014u16..0x801c) {
            let header = [&TPM_GENERATED_VALUE.to_be_bytes()[..], &kind.to_be_bytes()].concat();
            let _ = Attest::from_bytes(&[&header[..], &bytes].concat());
            let _ = Attest::from_bytes(&bytes);
        }
    }

    #[test]
    fn a_statement_that_no_tpm_made_is_refused() {
        let wrong = Attest::from_bytes(&[0xff, 0x54, 0x43, 0x48, 0x80, 0x17]).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "magic of TPMS_ATTEST is 0xff544348, expected TPM_GENERATED_VALUE (0xff544347)"
        );
    }
}
