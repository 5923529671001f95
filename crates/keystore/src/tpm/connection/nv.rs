//! NV indexes: their public areas, reading, writing, counting.

use touchmark_identity::tpm::{AlgorithmId, Handle, Name, Reader, ResponseCode, TpmFormatError, Writer};

use super::reading::is_absent;
use super::{Connection, MAX_NAME_BYTES, MAX_SIZED, finish, read};
use crate::StoreError;
use crate::tpm::command::{self, Answer, Spec};

/// `TPMS_NV_PUBLIC` (part 2, §13.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tpm) struct NvPublic {
    pub(in crate::tpm) index: Handle,
    pub(in crate::tpm) attributes: NvAttributes,
    pub(in crate::tpm) policy: Vec<u8>,
    pub(in crate::tpm) size: u16,
}

impl NvPublic {
    /// The bytes of the `TPMS_NV_PUBLIC`, with SHA-256 for the Name.
    pub(in crate::tpm) fn to_bytes(&self) -> Result<Vec<u8>, TpmFormatError> {
        let mut inner = Writer::new("TPMS_NV_PUBLIC");
        inner.u32(self.index.0).u16(AlgorithmId::SHA256.0).u32(self.attributes.0);
        inner.sized(&self.policy).u16(self.size);
        inner.finish()
    }
}

/// `TPMA_NV` (part 2, §13.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tpm) struct NvAttributes(pub(in crate::tpm) u32);

impl NvAttributes {
    const OWNER_WRITE: u32 = 1 << 1;
    const AUTH_WRITE: u32 = 1 << 2;
    const OWNER_READ: u32 = 1 << 17;
    const AUTH_READ: u32 = 1 << 18;
    const NO_DA: u32 = 1 << 25;
    const OURS: u32 = Self::OWNER_WRITE | Self::AUTH_WRITE | Self::OWNER_READ | Self::AUTH_READ | Self::NO_DA;

    /// `TPM_NT_ORDINARY`: plain bytes.
    pub(in crate::tpm) const ORDINARY: Self = Self(Self::OURS);
    /// `TPM_NT_COUNTER`: 8 bytes that `TPM2_NV_Increment` alone changes.
    pub(in crate::tpm) const COUNTER: Self = Self(Self::OURS | (1 << 4));
    /// `TPM_NT_BITS`: 8 bytes whose bits `TPM2_NV_SetBits` sets and nothing clears.
    pub(in crate::tpm) const BITS: Self = Self(Self::OURS | (2 << 4));

    /// Who authorises reading: the index itself where it allows that, otherwise the owner.
    pub(super) fn reader(self, index: Handle) -> Handle {
        if self.0 & Self::AUTH_READ != 0 { index } else { Handle::OWNER }
    }
}

impl Connection {
    /// The public area of an NV index; none where it is not defined.
    pub(in crate::tpm) fn nv_read_public(&mut self, index: Handle) -> Result<Option<NvPublic>, StoreError> {
        let spec = command::NV_READ_PUBLIC;
        let response = match self.try_run(spec, &[index], &[], &[])? {
            Answer::Success(response) => response,
            Answer::Refused(code) if is_absent(code) => {
                self.names.remove(&index.0);
                return Ok(None);
            }
            Answer::Refused(code) => return Err(command::refused(spec, code)),
        };
        let (public, name, computed) = read(spec, &response, |reader| {
            let area = reader.sized(MAX_SIZED)?;
            let mut inner = Reader::new("TPMS_NV_PUBLIC", area);
            let (index, name_alg) = (Handle(inner.u32()?), AlgorithmId(inner.u16()?));
            let computed = touchmark_identity::tpm::hash(name_alg, area)
                .ok()
                .map(|digest| Name([&name_alg.0.to_be_bytes()[..], &digest].concat()));
            let attributes = NvAttributes(inner.u32()?);
            let policy = inner.sized(64)?.to_vec();
            let size = inner.u16()?;
            inner.finish()?;
            let name = Name(reader.sized(MAX_NAME_BYTES)?.to_vec());
            Ok((NvPublic { index, attributes, policy, size }, name, computed))
        })?;
        self.learn_name(spec, index, name, computed)?;
        Ok(Some(public))
    }

    /// Defines an index with an empty password. The answer's code is left to the caller where it is an error.
    pub(in crate::tpm) fn nv_define(
        &mut self,
        public: &NvPublic,
    ) -> Result<Option<ResponseCode>, StoreError> {
        let spec = command::NV_DEFINE_SPACE;
        let inner = public.to_bytes().map_err(|cause| command::unsendable(spec, &cause))?;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&[]).sized(&inner);
        let parameters = finish(spec, parameters)?;
        match self.try_run_secured(spec, &[Handle::OWNER], &parameters)? {
            Answer::Success(_) => {
                self.names.remove(&public.index.0);
                Ok(None)
            }
            Answer::Refused(code) => Ok(Some(code)),
        }
    }

    pub(in crate::tpm) fn nv_undefine(&mut self, index: Handle) -> Result<(), StoreError> {
        let handles = [Handle::OWNER, index];
        self.run_secured(command::NV_UNDEFINE_SPACE, &handles, &[])?;
        self.names.remove(&index.0);
        Ok(())
    }

    /// Reads bytes of an index; none where it was never written. At most what the TPM reads at once.
    pub(in crate::tpm) fn nv_read(
        &mut self,
        public: &NvPublic,
        offset: u16,
        size: u16,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let spec = command::NV_READ;
        let parameters = [size.to_be_bytes(), offset.to_be_bytes()].concat();
        let handles = [public.attributes.reader(public.index), public.index];
        let response = match self.try_run_secured(spec, &handles, &parameters)? {
            Answer::Success(response) => response,
            Answer::Refused(ResponseCode::NV_UNINITIALIZED) => return Ok(None),
            Answer::Refused(code) => return Err(command::refused(spec, code)),
        };
        read(spec, &response, |reader| {
            let bytes = reader.sized(usize::from(size))?;
            if bytes.len() == usize::from(size) {
                Ok(Some(bytes.to_vec()))
            } else {
                Err(TpmFormatError::TooShort {
                    what: spec.name,
                    needed: usize::from(size),
                    found: bytes.len(),
                })
            }
        })
    }

    pub(in crate::tpm) fn nv_write(
        &mut self,
        index: Handle,
        offset: u16,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let spec = command::NV_WRITE;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(bytes).u16(offset);
        let parameters = finish(spec, parameters)?;
        self.change_index(spec, index, &parameters)
    }

    pub(in crate::tpm) fn nv_increment(&mut self, index: Handle) -> Result<(), StoreError> {
        self.change_index(command::NV_INCREMENT, index, &[])
    }

    pub(in crate::tpm) fn nv_set_bits(&mut self, index: Handle, bits: u64) -> Result<(), StoreError> {
        self.change_index(command::NV_SET_BITS, index, &bits.to_be_bytes())
    }

    fn change_index(&mut self, spec: Spec, index: Handle, parameters: &[u8]) -> Result<(), StoreError> {
        self.run_secured(spec, &[index, index], parameters)?;
        // The first change sets TPMA_NV_WRITTEN, and with it another Name.
        self.names.remove(&index.0);
        Ok(())
    }
}
