//! What can be read without a key: capabilities, public areas, PCRs.

use touchmark_identity::tpm::attest::{read_selection, write_selection};
use touchmark_identity::tpm::{Handle, Name, PcrSelection, PublicArea, ResponseCode, TpmFormatError, Writer};

use super::{Connection, MAX_DIGEST_BYTES, MAX_NAME_BYTES, MAX_SIZED, finish, read};
use crate::StoreError;
use crate::tpm::command::{self, Answer};

/// `TPM_CAP_HANDLES` (part 2, §6.12).
const CAP_HANDLES: u32 = 1;
/// `TPM_CAP_TPM_PROPERTIES`.
const CAP_PROPERTIES: u32 = 6;
/// How many values are asked for at once.
const CAP_COUNT: u32 = 64;

impl Connection {
    fn capability(&mut self, capability: u32, first: u32) -> Result<Vec<(u32, u32)>, StoreError> {
        let spec = command::GET_CAPABILITY;
        let mut parameters = Writer::new(spec.name);
        parameters.u32(capability).u32(first).u32(CAP_COUNT);
        let response = self.run(spec, &[], &[], &finish(spec, parameters)?)?;
        read(spec, &response, |reader| {
            let (_more, answered, count) = (reader.u8()?, reader.u32()?, reader.u32()?);
            if answered != capability || count > CAP_COUNT {
                return Err(TpmFormatError::Value {
                    what: "capability",
                    expected: format!("{capability} with at most {CAP_COUNT} values"),
                    found: format!("{answered} with {count}"),
                });
            }
            (0..count)
                .map(|_| {
                    let first = reader.u32()?;
                    Ok((first, if capability == CAP_HANDLES { 0 } else { reader.u32()? }))
                })
                .collect()
        })
    }

    /// Handles in use, from `first` on, of the same kind; at most 64. Loaded sessions of both kinds are listed under the
    /// first one's numbers (part 2, §7.2: `TPM_HT_LOADED_SESSION`).
    pub(in crate::tpm) fn handles_from(&mut self, first: Handle) -> Result<Vec<Handle>, StoreError> {
        let kind = |handle: &Handle| if handle.0 >> 24 == 3 { 2 } else { handle.0 >> 24 };
        let same_kind = |handle: &Handle| kind(handle) == kind(&first);
        let values = self.capability(CAP_HANDLES, first.0)?;
        Ok(values.into_iter().map(|(handle, _)| Handle(handle)).filter(same_kind).collect())
    }

    /// Fixed properties (`TPM_PT`, part 2, §6.13) by number, from `first` on; at most 64.
    pub(in crate::tpm) fn properties_from(&mut self, first: u32) -> Result<Vec<(u32, u32)>, StoreError> {
        self.capability(CAP_PROPERTIES, first)
    }

    /// The public area of a loaded or persistent object; none where there is no such object.
    pub(in crate::tpm) fn read_public(&mut self, handle: Handle) -> Result<Option<PublicArea>, StoreError> {
        let spec = command::READ_PUBLIC;
        let response = match self.try_run(spec, &[handle], &[], &[])? {
            Answer::Success(response) => response,
            Answer::Refused(code) if is_absent(code) => return Ok(None),
            Answer::Refused(code) => return Err(command::refused(spec, code)),
        };
        let (area, name) = read(spec, &response, |reader| {
            Ok((reader.sized(MAX_SIZED)?.to_vec(), Name(reader.sized(MAX_NAME_BYTES)?.to_vec())))
        })?;
        let area = PublicArea::from_bytes(&area);
        self.learn_name(spec, handle, name, area.as_ref().ok().and_then(|area| area.name().ok()))?;
        area.map(Some).map_err(|cause| command::malformed(spec, &cause))
    }

    /// Reads a public area once more, in the connection's session: the HMAC covers the Name that the first reading gave,
    /// so a reading that was changed on its way is refused here. What is used in a later command needs no such check.
    pub(in crate::tpm) fn confirm_public(&mut self, handle: Handle) -> Result<(), StoreError> {
        self.run_secured(command::READ_PUBLIC, &[handle], &[]).map(|_| ())
    }

    /// The values of the selected PCRs, ascending.
    pub(in crate::tpm) fn pcr_read(
        &mut self,
        selection: &PcrSelection,
    ) -> Result<Vec<(u8, Vec<u8>)>, StoreError> {
        let spec = command::PCR_READ;
        let mut left = selection.registers();
        let mut values = Vec::new();
        // A TPM gives up to 8 values at once (part 3, §22.4).
        while !left.is_empty() {
            let mut parameters = Writer::new(spec.name);
            write_selection(&mut parameters, &[PcrSelection::of(selection.hash, &left)])
                .map_err(|cause| command::unsendable(spec, &cause))?;
            let parameters = finish(spec, parameters)?;
            let response = self.run(spec, &[], &[], &parameters)?;
            let given = read(spec, &response, |reader| {
                let (_counter, selected, count) = (reader.u32()?, read_selection(reader)?, reader.u32()?);
                let registers: Vec<u8> = selected.iter().flat_map(PcrSelection::registers).collect();
                if usize::try_from(count) != Ok(registers.len()) || registers.is_empty() {
                    return Err(TpmFormatError::Value {
                        what: "number of PCR values",
                        expected: format!(
                            "{}, and one at least: does the TPM have this bank?",
                            registers.len()
                        ),
                        found: count.to_string(),
                    });
                }
                registers
                    .into_iter()
                    .map(|register| Ok((register, reader.sized(MAX_DIGEST_BYTES)?.to_vec())))
                    .collect::<Result<Vec<_>, _>>()
            })?;
            let before = left.len();
            left.retain(|register| given.iter().all(|(other, _)| other != register));
            if left.len() == before {
                return Err(command::malformed(
                    spec,
                    &TpmFormatError::TooShort { what: spec.name, needed: 1, found: 0 },
                ));
            }
            values.extend(given);
        }
        values.sort_unstable();
        Ok(values)
    }
}

/// Part 3, §12.4 and §31.6: a handle that refers to nothing. Some TPMs answer with a warning in place of the error.
pub(super) fn is_absent(code: ResponseCode) -> bool {
    code.kind() == ResponseCode::HANDLE || code == ResponseCode::REFERENCE_H0
}
