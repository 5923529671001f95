//! One connection to a TPM for one operation: commands with their parameters and results by type.

use std::time::Duration;

use touchmark_identity::tpm::{
    AlgorithmId, Handle, PublicArea, Reader, ResponseCode, TpmFormatError, TpmSignature, Writer,
};
use zeroize::Zeroizing;

use super::command::{self, Answer, Authorisation, Response, Spec};
use super::transport::{Address, Transport};
use crate::StoreError;

/// How often a command is sent again when the TPM asks for it.
const RETRIES: u32 = 10;
/// The wait before the first repetition; it doubles each time, to 10 seconds in all.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// `TPM_SU_CLEAR` (part 2, §6.10).
const STARTUP_CLEAR: u16 = 0;
/// `TPM_CAP_HANDLES` (part 2, §6.12).
const CAP_HANDLES: u32 = 1;
/// `TPM_CAP_TPM_PROPERTIES`.
const CAP_PROPERTIES: u32 = 6;
/// How many values are asked for at once.
const CAP_COUNT: u32 = 64;
/// `TPM_SE_POLICY` (part 2, §6.11).
const SESSION_POLICY: u8 = 1;
/// The first handles of what may be left loaded: transient objects, HMAC and policy sessions (part 2, §7.2).
const LOADED_KINDS: [u32; 3] = [0x8000_0000, 0x0200_0000, 0x0300_0000];

/// Size of a nonce for a session that is not used for HMACs (part 3, §11.1: at least 16 bytes).
const NONCE_BYTES: u16 = 16;
/// The largest structure in a sized field of a response, in bytes.
const MAX_SIZED: usize = 2_048;

/// `TPMS_NV_PUBLIC` (part 2, §13.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NvPublic {
    pub(super) index: Handle,
    pub(super) attributes: NvAttributes,
    pub(super) policy: Vec<u8>,
    pub(super) size: u16,
}

/// `TPMA_NV` (part 2, §13.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NvAttributes(pub(super) u32);

impl NvAttributes {
    const OWNER_WRITE: u32 = 1 << 1;
    const AUTH_WRITE: u32 = 1 << 2;
    const OWNER_READ: u32 = 1 << 17;
    const AUTH_READ: u32 = 1 << 18;
    const NO_DA: u32 = 1 << 25;
    const OURS: u32 = Self::OWNER_WRITE | Self::AUTH_WRITE | Self::OWNER_READ | Self::AUTH_READ | Self::NO_DA;

    /// `TPM_NT_ORDINARY`: plain bytes.
    pub(super) const ORDINARY: Self = Self(Self::OURS);
    /// `TPM_NT_COUNTER`: 8 bytes that `TPM2_NV_Increment` alone changes.
    pub(super) const COUNTER: Self = Self(Self::OURS | (1 << 4));
    /// `TPM_NT_BITS`: 8 bytes whose bits `TPM2_NV_SetBits` sets and nothing clears.
    pub(super) const BITS: Self = Self(Self::OURS | (2 << 4));

    /// Who authorises reading: the index itself where it allows that, otherwise the owner.
    fn reader(self, index: Handle) -> Handle {
        if self.0 & Self::AUTH_READ != 0 { index } else { Handle::OWNER }
    }
}

/// An open connection, and what was loaded through it.
#[derive(Debug)]
pub(super) struct Connection {
    address: Address,
    transport: Transport,
    loaded: Vec<Handle>,
    /// True after a failed exchange: the next response would answer an older command.
    broken: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        while let Some(handle) = self.loaded.pop() {
            if self.broken {
                return;
            }
            // A handle that cannot be flushed is gone already, or is swept away when slots run out.
            let _best_effort = self.send(command::FLUSH_CONTEXT, &[], &[], &handle.0.to_be_bytes());
        }
    }
}

impl Connection {
    pub(super) fn open(address: &Address) -> Result<Self, StoreError> {
        let transport = address.connect()?;
        Ok(Self { address: address.clone(), transport, loaded: Vec::new(), broken: false })
    }

    /// One exchange, as it is.
    fn send(
        &mut self,
        spec: Spec,
        handles: &[Handle],
        authorisations: &[Authorisation],
        parameters: &[u8],
    ) -> Result<Answer, StoreError> {
        let bytes = command::encode(spec, handles, authorisations, parameters)
            .map_err(|cause| command::unsendable(spec, &cause))?;
        let response = self.transport.exchange(&bytes).map_err(|source| {
            self.broken = true;
            self.address.unreachable(source)
        })?;
        command::decode(spec, &response).map_err(|cause| command::malformed(spec, &cause))
    }

    /// One command, with what a TPM may ask for first: a start-up, patience, or free slots.
    fn try_run(
        &mut self,
        spec: Spec,
        handles: &[Handle],
        authorisations: &[Authorisation],
        parameters: &[u8],
    ) -> Result<Answer, StoreError> {
        let (mut started, mut swept, mut retries, mut wait) = (false, false, 0, FIRST_WAIT);
        loop {
            let code = match self.send(spec, handles, authorisations, parameters)? {
                Answer::Refused(code) => code,
                success @ Answer::Success(_) => return Ok(success),
            };
            if code == ResponseCode::INITIALIZE && !started {
                // A TPM in software may wait for its start-up. Somebody else may be faster, so the answer says nothing.
                self.send(command::STARTUP, &[], &[], &STARTUP_CLEAR.to_be_bytes())?;
                started = true;
            } else if code.asks_for_retry() && retries < RETRIES {
                std::thread::sleep(wait);
                wait = wait.saturating_mul(2);
                retries += 1;
            } else if code.is_out_of_slots() && !swept {
                self.sweep()?;
                swept = true;
            } else {
                return Ok(Answer::Refused(code));
            }
        }
    }

    fn run(
        &mut self,
        spec: Spec,
        handles: &[Handle],
        authorisations: &[Authorisation],
        parameters: &[u8],
    ) -> Result<Response, StoreError> {
        match self.try_run(spec, handles, authorisations, parameters)? {
            Answer::Success(response) => Ok(response),
            Answer::Refused(code) => Err(command::refused(spec, code)),
        }
    }

    /// Flushes what a process left loaded that died. Behind the kernel's resource manager nobody sees what others have
    /// loaded; a bare TPM serves one connection at a time, so nothing that is in use is hit.
    fn sweep(&mut self) -> Result<(), StoreError> {
        for first in LOADED_KINDS {
            for handle in self.handles_from(Handle(first))? {
                if !self.loaded.contains(&handle) {
                    self.send(command::FLUSH_CONTEXT, &[], &[], &handle.0.to_be_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// Remembers a handle of the response, to be flushed.
    fn loaded(&mut self, spec: Spec, response: &Response) -> Result<Handle, StoreError> {
        let handle = response.handle.ok_or_else(|| {
            let cause = TpmFormatError::TooShort { what: spec.name, needed: 4, found: 0 };
            command::malformed(spec, &cause)
        })?;
        self.loaded.push(handle);
        Ok(handle)
    }

    /// Leaves everything loaded, as a process does that dies.
    #[cfg(test)]
    pub(super) fn forget_loaded(&mut self) {
        self.loaded.clear();
    }

    /// Flushes an object before the connection ends, to make room.
    pub(super) fn flush(&mut self, handle: Handle) -> Result<(), StoreError> {
        if let Some(place) = self.loaded.iter().position(|loaded| *loaded == handle) {
            self.loaded.swap_remove(place);
            self.run(command::FLUSH_CONTEXT, &[], &[], &handle.0.to_be_bytes())?;
        }
        Ok(())
    }

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

    /// Handles in use, from `first` on, of the same kind; at most 64.
    pub(super) fn handles_from(&mut self, first: Handle) -> Result<Vec<Handle>, StoreError> {
        let same_kind = |handle: &Handle| handle.0 >> 24 == first.0 >> 24;
        let values = self.capability(CAP_HANDLES, first.0)?;
        Ok(values.into_iter().map(|(handle, _)| Handle(handle)).filter(same_kind).collect())
    }

    /// Fixed properties (`TPM_PT`, part 2, §6.13) by number, from `first` on; at most 64.
    pub(super) fn properties_from(&mut self, first: u32) -> Result<Vec<(u32, u32)>, StoreError> {
        self.capability(CAP_PROPERTIES, first)
    }

    /// The public area of a loaded or persistent object; none where there is no such object.
    pub(super) fn read_public(&mut self, handle: Handle) -> Result<Option<PublicArea>, StoreError> {
        let spec = command::READ_PUBLIC;
        let response = match self.try_run(spec, &[handle], &[], &[])? {
            Answer::Success(response) => response,
            Answer::Refused(code) if is_absent(code) => return Ok(None),
            Answer::Refused(code) => return Err(command::refused(spec, code)),
        };
        read(spec, &response, |reader| PublicArea::from_bytes(reader.sized(MAX_SIZED)?)).map(Some)
    }

    /// Makes a primary key in a hierarchy and loads it.
    pub(super) fn create_primary(
        &mut self,
        hierarchy: Handle,
        template: &PublicArea,
    ) -> Result<(Handle, PublicArea), StoreError> {
        let spec = command::CREATE_PRIMARY;
        let parameters = creation_parameters(spec, template)?;
        let response = self.run(spec, &[hierarchy], &[Authorisation::EmptyPassword], &parameters)?;
        let handle = self.loaded(spec, &response)?;
        let public = read(spec, &response, |reader| PublicArea::from_bytes(reader.sized(MAX_SIZED)?))?;
        Ok((handle, public))
    }

    /// Makes a key under a parent and loads it.
    pub(super) fn create_and_load(
        &mut self,
        parent: Handle,
        template: &PublicArea,
    ) -> Result<(Handle, PublicArea), StoreError> {
        let spec = command::CREATE;
        let parameters = creation_parameters(spec, template)?;
        let response = self.run(spec, &[parent], &[Authorisation::EmptyPassword], &parameters)?;
        let (private, public) = read(spec, &response, |reader| {
            Ok((reader.sized(MAX_SIZED)?.to_vec(), reader.sized(MAX_SIZED)?.to_vec()))
        })?;
        let area = PublicArea::from_bytes(&public).map_err(|cause| command::malformed(spec, &cause))?;

        let spec = command::LOAD;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&private).sized(&public);
        let parameters = finish(spec, parameters)?;
        let response = self.run(spec, &[parent], &[Authorisation::EmptyPassword], &parameters)?;
        Ok((self.loaded(spec, &response)?, area))
    }

    /// Stores a loaded object persistently at `to`, or with `object` equal to `to` removes it.
    pub(super) fn evict_control(&mut self, object: Handle, to: Handle) -> Result<(), StoreError> {
        let handles = [Handle::OWNER, object];
        self.run(command::EVICT_CONTROL, &handles, &[Authorisation::EmptyPassword], &to.0.to_be_bytes())?;
        Ok(())
    }

    /// ECDSA over a SHA-256 digest that the caller made, by an unrestricted key.
    pub(super) fn sign(&mut self, key: Handle, digest: &[u8; 32]) -> Result<TpmSignature, StoreError> {
        let spec = command::SIGN;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(digest).u16(AlgorithmId::ECDSA.0).u16(AlgorithmId::SHA256.0);
        // The null ticket (part 2, §10.7): nobody vouches for the digest, and an unrestricted key needs no voucher.
        parameters.u16(touchmark_identity::tpm::StructureTag::HASHCHECK.0).u32(Handle::NULL.0).sized(&[]);
        let parameters = finish(spec, parameters)?;
        let response = self.run(spec, &[key], &[Authorisation::EmptyPassword], &parameters)?;
        read(spec, &response, TpmSignature::read)
    }

    /// Lets `signer` state that `object` is loaded in this TPM: `TPMS_ATTEST` and `TPMT_SIGNATURE`, as bytes.
    pub(super) fn certify(
        &mut self,
        object: Handle,
        signer: Handle,
        qualifying_data: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
        let spec = command::CERTIFY;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(qualifying_data).u16(AlgorithmId::ECDSA.0).u16(AlgorithmId::SHA256.0);
        let parameters = finish(spec, parameters)?;
        let both = [Authorisation::EmptyPassword; 2];
        let response = self.run(spec, &[object, signer], &both, &parameters)?;
        read(spec, &response, |reader| {
            let statement = reader.sized(MAX_SIZED)?.to_vec();
            Ok((statement, TpmSignature::read(reader)?.to_bytes()?))
        })
    }

    /// Opens a credential that was made for the object `activated`, with the key `ek`.
    pub(super) fn activate_credential(
        &mut self,
        activated: Handle,
        ek: Handle,
        ek_authorisation: Authorisation,
        credential_blob: &[u8],
        encrypted_secret: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let spec = command::ACTIVATE_CREDENTIAL;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(credential_blob).sized(encrypted_secret);
        let parameters = finish(spec, parameters)?;
        let both = [Authorisation::EmptyPassword, ek_authorisation];
        let response = self.run(spec, &[activated, ek], &both, &parameters)?;
        if let Authorisation::Policy(session) = ek_authorisation {
            // The session ended with the command (part 1, §19: continueSession is clear).
            self.loaded.retain(|loaded| *loaded != session);
        }
        read(spec, &response, |reader| Ok(Zeroizing::new(reader.sized(MAX_SIZED)?.to_vec())))
    }

    /// A policy session that fulfils PolicyA of the EK Credential Profile: the endorsement hierarchy's password, empty.
    pub(super) fn endorsement_policy(&mut self, hash: AlgorithmId) -> Result<Authorisation, StoreError> {
        let spec = command::GET_RANDOM;
        let response = self.run(spec, &[], &[], &NONCE_BYTES.to_be_bytes())?;
        let nonce = read(spec, &response, |reader| Ok(reader.sized(usize::from(NONCE_BYTES))?.to_vec()))?;

        let spec = command::START_AUTH_SESSION;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&nonce).sized(&[]).u8(SESSION_POLICY).u16(AlgorithmId::NULL.0).u16(hash.0);
        let parameters = finish(spec, parameters)?;
        let response = self.run(spec, &[Handle::NULL, Handle::NULL], &[], &parameters)?;
        let session = self.loaded(spec, &response)?;

        let spec = command::POLICY_SECRET;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&[]).sized(&[]).sized(&[]).u32(0);
        let parameters = finish(spec, parameters)?;
        let handles = [Handle::ENDORSEMENT, session];
        self.run(spec, &handles, &[Authorisation::EmptyPassword], &parameters)?;
        Ok(Authorisation::Policy(session))
    }

    /// The public area of an NV index; none where it is not defined.
    pub(super) fn nv_read_public(&mut self, index: Handle) -> Result<Option<NvPublic>, StoreError> {
        let spec = command::NV_READ_PUBLIC;
        let response = match self.try_run(spec, &[index], &[], &[])? {
            Answer::Success(response) => response,
            Answer::Refused(code) if is_absent(code) => return Ok(None),
            Answer::Refused(code) => return Err(command::refused(spec, code)),
        };
        read(spec, &response, |reader| {
            let mut inner = Reader::new("TPMS_NV_PUBLIC", reader.sized(MAX_SIZED)?);
            let (index, _name_alg) = (Handle(inner.u32()?), inner.u16()?);
            let attributes = NvAttributes(inner.u32()?);
            let policy = inner.sized(64)?.to_vec();
            let size = inner.u16()?;
            inner.finish()?;
            Ok(NvPublic { index, attributes, policy, size })
        })
        .map(Some)
    }

    /// Defines an index with an empty password. The answer's code is left to the caller where it is an error.
    pub(super) fn nv_define(&mut self, public: &NvPublic) -> Result<Option<ResponseCode>, StoreError> {
        let spec = command::NV_DEFINE_SPACE;
        let mut inner = Writer::new("TPMS_NV_PUBLIC");
        inner.u32(public.index.0).u16(AlgorithmId::SHA256.0).u32(public.attributes.0);
        inner.sized(&public.policy).u16(public.size);
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&[]).sized(&finish(spec, inner)?);
        let parameters = finish(spec, parameters)?;
        match self.try_run(spec, &[Handle::OWNER], &[Authorisation::EmptyPassword], &parameters)? {
            Answer::Success(_) => Ok(None),
            Answer::Refused(code) => Ok(Some(code)),
        }
    }

    pub(super) fn nv_undefine(&mut self, index: Handle) -> Result<(), StoreError> {
        let handles = [Handle::OWNER, index];
        self.run(command::NV_UNDEFINE_SPACE, &handles, &[Authorisation::EmptyPassword], &[])?;
        Ok(())
    }

    /// Reads bytes of an index; none where it was never written. At most what the TPM reads at once.
    pub(super) fn nv_read(
        &mut self,
        public: &NvPublic,
        offset: u16,
        size: u16,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let spec = command::NV_READ;
        let parameters = [size.to_be_bytes(), offset.to_be_bytes()].concat();
        let handles = [public.attributes.reader(public.index), public.index];
        let response = match self.try_run(spec, &handles, &[Authorisation::EmptyPassword], &parameters)? {
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

    pub(super) fn nv_write(&mut self, index: Handle, offset: u16, bytes: &[u8]) -> Result<(), StoreError> {
        let spec = command::NV_WRITE;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(bytes).u16(offset);
        let parameters = finish(spec, parameters)?;
        self.run(spec, &[index, index], &[Authorisation::EmptyPassword], &parameters)?;
        Ok(())
    }

    pub(super) fn nv_increment(&mut self, index: Handle) -> Result<(), StoreError> {
        self.run(command::NV_INCREMENT, &[index, index], &[Authorisation::EmptyPassword], &[])?;
        Ok(())
    }

    pub(super) fn nv_set_bits(&mut self, index: Handle, bits: u64) -> Result<(), StoreError> {
        let authorisation = [Authorisation::EmptyPassword];
        self.run(command::NV_SET_BITS, &[index, index], &authorisation, &bits.to_be_bytes())?;
        Ok(())
    }
}

/// Part 3, §12.4 and §31.6: a handle that refers to nothing. Some TPMs answer with a warning in place of the error.
fn is_absent(code: ResponseCode) -> bool {
    code.kind() == ResponseCode::HANDLE || code == ResponseCode::REFERENCE_H0
}

fn finish(spec: Spec, writer: Writer) -> Result<Vec<u8>, StoreError> {
    writer.finish().map_err(|cause| command::unsendable(spec, &cause))
}

fn read<T>(
    spec: Spec,
    response: &Response,
    fields: impl FnOnce(&mut Reader<'_>) -> Result<T, TpmFormatError>,
) -> Result<T, StoreError> {
    fields(&mut Reader::new(spec.name, &response.parameters))
        .map_err(|cause| command::malformed(spec, &cause))
}

/// The parameters that TPM2_CreatePrimary and TPM2_Create share (part 3, §12.1 and §24.1): no password, no data of the
/// caller's, the template, no outside information, no PCRs.
fn creation_parameters(spec: Spec, template: &PublicArea) -> Result<Vec<u8>, StoreError> {
    let public = template.to_bytes().map_err(|cause| command::unsendable(spec, &cause))?;
    let mut parameters = Writer::new(spec.name);
    parameters.sized(&[0; 4]).sized(&public).sized(&[]).u32(0);
    finish(spec, parameters)
}
