//! One connection to a TPM for one operation: commands with their parameters and results by type.

use std::collections::BTreeMap;
use std::time::Duration;

use touchmark_identity::tpm::attest::{read_selection, write_selection};
use touchmark_identity::tpm::{
    AlgorithmId, Handle, Name, PcrSelection, PublicArea, Reader, ResponseCode, TpmFormatError, TpmSignature,
    Writer,
};
use zeroize::Zeroizing;

use super::command::{self, Answer, Authorisation, AuthorisationField, PART, Response, Spec};
use super::session::{Kind, Opening, PinnedSaltKey, Session, Use};
use super::template;
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
/// The first handles of what may be left loaded: transient objects, HMAC and policy sessions (part 2, §7.2).
const LOADED_KINDS: [u32; 3] = [0x8000_0000, 0x0200_0000, 0x0300_0000];

/// The largest structure in a sized field of a response, in bytes.
const MAX_SIZED: usize = 2_048;
/// The largest Name, in bytes: an algorithm number and a SHA-512.
const MAX_NAME_BYTES: usize = 66;
/// The largest digest, in bytes.
const MAX_DIGEST_BYTES: usize = 64;

/// `TPMS_NV_PUBLIC` (part 2, §13.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NvPublic {
    pub(super) index: Handle,
    pub(super) attributes: NvAttributes,
    pub(super) policy: Vec<u8>,
    pub(super) size: u16,
}

impl NvPublic {
    /// The bytes of the `TPMS_NV_PUBLIC`, with SHA-256 for the Name.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, TpmFormatError> {
        let mut inner = Writer::new("TPMS_NV_PUBLIC");
        inner.u32(self.index.0).u16(AlgorithmId::SHA256.0).u32(self.attributes.0);
        inner.sized(&self.policy).u16(self.size);
        inner.finish()
    }
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
    /// The session that protects commands, once one needed it.
    secured: Option<Handle>,
    sessions: Vec<Session>,
    pinned: PinnedSaltKey,
    /// Names of objects and indexes, which the HMAC of a command covers.
    names: BTreeMap<u32, Name>,
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
    pub(super) fn open(address: &Address, pinned: &PinnedSaltKey) -> Result<Self, StoreError> {
        Ok(Self {
            address: address.clone(),
            transport: address.connect()?,
            loaded: Vec::new(),
            secured: None,
            sessions: Vec::new(),
            pinned: pinned.clone(),
            names: BTreeMap::new(),
            broken: false,
        })
    }

    /// One exchange. Sessions get fresh nonces each time.
    fn send(
        &mut self,
        spec: Spec,
        handles: &[Handle],
        authorisations: &[Authorisation<'_>],
        parameters: &[u8],
    ) -> Result<Answer, StoreError> {
        let names = if authorisations.is_empty() { Vec::new() } else { self.names_of(handles)? };
        let uses = uses(spec, authorisations, &names);
        let mut parameters = Zeroizing::new(parameters.to_vec());
        for (session, how) in uses.iter().flatten() {
            self.session(*session)?.prepare(spec, how, &mut parameters)?;
        }
        let mut fields = Vec::new();
        for each in &uses {
            fields.push(match each {
                Some((session, how)) => self.session(*session)?.authorise(spec, how, &names, &parameters)?,
                None => AuthorisationField::empty_password(),
            });
        }
        let bytes = command::encode(spec, handles, &fields, &parameters)
            .map_err(|cause| command::unsendable(spec, &cause))?;
        let response = self.transport.exchange(&bytes).map_err(|source| {
            self.broken = true;
            self.address.unreachable(source)
        })?;
        let answer = command::decode(spec, fields.len(), &response)
            .map_err(|cause| command::malformed(spec, &cause))?;
        let Answer::Success(mut response) = answer else { return Ok(answer) };
        let acknowledgements = std::mem::take(&mut response.acknowledgements);
        for (each, answer) in uses.iter().zip(&acknowledgements) {
            let Some((session, how)) = each else { continue };
            self.session(*session)?.acknowledge(spec, how, &response.parameters, answer)?;
        }
        for (session, how) in uses.iter().flatten() {
            let session = self.session(*session)?;
            session.reveal(spec, how, &mut response)?;
            if session.ends() && how.entity.is_some() {
                // Part 1, §19: continueSession is clear, so the session ended with the command.
                let ended = session.handle;
                self.loaded.retain(|loaded| *loaded != ended);
                self.sessions.retain(|session| session.handle != ended);
            }
        }
        Ok(Answer::Success(response))
    }

    fn session(&mut self, handle: Handle) -> Result<&mut Session, StoreError> {
        let found = self.sessions.iter_mut().find(|session| session.handle == handle);
        found.ok_or(StoreError::Crypto { operation: "finding a session" })
    }

    /// One command, with what a TPM may ask for first: a start-up, patience, or free slots.
    fn try_run(
        &mut self,
        spec: Spec,
        handles: &[Handle],
        authorisations: &[Authorisation<'_>],
        parameters: &[u8],
    ) -> Result<Answer, StoreError> {
        let (mut started, mut swept, mut retries, mut wait) = (false, false, 0, FIRST_WAIT);
        let mut renamed = false;
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
            } else if is_wrong_hmac(code) && !renamed && self.rename_indexes(handles)? {
                renamed = true;
            } else if is_wrong_hmac(code) {
                return Err(wrong_hmac(spec, code, authorisations));
            } else {
                return Ok(Answer::Refused(code));
            }
        }
    }

    /// An index changes its Name when it is first written, perhaps by another process. True when one has another Name
    /// than the command was sent with.
    fn rename_indexes(&mut self, handles: &[Handle]) -> Result<bool, StoreError> {
        let mut changed = false;
        for handle in handles.iter().filter(|handle| handle.is_nv_index()) {
            let before = self.names.remove(&handle.0);
            self.nv_read_public(*handle)?;
            changed |= before != self.names.get(&handle.0).cloned();
        }
        Ok(changed)
    }

    /// Part 1, §16: the Name of an object or index is a hash of its public area, that of anything else its handle.
    fn names_of(&mut self, handles: &[Handle]) -> Result<Vec<Name>, StoreError> {
        let mut names = Vec::new();
        for handle in handles {
            let hashed = handle.is_nv_index() || handle.is_persistent() || handle.is_transient();
            if hashed && !self.names.contains_key(&handle.0) {
                let absent = if handle.is_nv_index() {
                    self.nv_read_public(*handle)?.is_none()
                } else {
                    self.read_public(*handle)?.is_none()
                };
                if absent {
                    return Err(StoreError::NotFound { what: "TPM object", name: handle.to_string() });
                }
            }
            names.push(match self.names.get(&handle.0) {
                Some(name) => name.clone(),
                None => Name(handle.0.to_be_bytes().to_vec()),
            });
        }
        Ok(names)
    }

    /// Keeps the Name that the TPM gave, if it is the hash of the public area beside it, where that hash is known here.
    fn learn_name(
        &mut self,
        spec: Spec,
        handle: Handle,
        given: Name,
        computed: Option<Name>,
    ) -> Result<(), StoreError> {
        match computed {
            Some(computed) if computed != given => Err(StoreError::Tampered {
                part: PART,
                command: spec.name,
                detail: format!("the public area of {handle} has the name {computed}, given is {given}"),
            }),
            _ => {
                self.names.insert(handle.0, given);
                Ok(())
            }
        }
    }

    /// The authorisation by the empty value in the connection's session, which is started at the first use.
    pub(super) fn secured(&mut self) -> Result<Authorisation<'static>, StoreError> {
        let session = match self.secured {
            Some(session) => session,
            None => {
                let session = self.start_session(Kind::Hmac, AlgorithmId::SHA256, None)?;
                self.secured = Some(session);
                session
            }
        };
        Ok(Authorisation::Session { session, auth_value: &[] })
    }

    /// Starts a session that is salted to the storage primary key, and perhaps bound to an entity by its value.
    pub(super) fn start_session(
        &mut self,
        kind: Kind,
        hash: AlgorithmId,
        bound: Option<(Handle, &[u8])>,
    ) -> Result<Handle, StoreError> {
        let bound = match bound {
            Some((entity, value)) => {
                let name = self.names_of(&[entity])?.into_iter().next();
                name.map(|name| (entity, name, value))
            }
            None => None,
        };
        let (salt_key, public) = self.create_primary_by(
            Handle::OWNER,
            &template::storage_primary(),
            Authorisation::EmptyPassword,
        )?;
        let opening = Opening::new(kind, hash, &public, &self.pinned)?;
        let spec = command::START_AUTH_SESSION;
        let parameters = finish(spec, opening.parameters())?;
        let entity = bound.as_ref().map_or(Handle::NULL, |(entity, ..)| *entity);
        let response = self.run(spec, &[salt_key, entity], &[], &parameters)?;
        let handle = self.loaded(spec, &response)?;
        let nonce = read(spec, &response, |reader| Ok(reader.sized(64)?.to_vec()))?;
        self.sessions.push(opening.finish(handle, nonce, bound.map(|(_, name, value)| (name, value)))?);
        self.flush(salt_key)?;
        Ok(handle)
    }

    fn run(
        &mut self,
        spec: Spec,
        handles: &[Handle],
        authorisations: &[Authorisation<'_>],
        parameters: &[u8],
    ) -> Result<Response, StoreError> {
        match self.try_run(spec, handles, authorisations, parameters)? {
            Answer::Success(response) => Ok(response),
            Answer::Refused(code) => Err(command::refused(spec, code)),
        }
    }

    /// A command in the connection's session.
    fn run_secured(
        &mut self,
        spec: Spec,
        handles: &[Handle],
        parameters: &[u8],
    ) -> Result<Response, StoreError> {
        match self.try_run_secured(spec, handles, parameters)? {
            Answer::Success(response) => Ok(response),
            Answer::Refused(code) => Err(command::refused(spec, code)),
        }
    }

    /// A command in the connection's session; where it needs further authorisations, by empty passwords, which the
    /// session's HMAC does not cover and need not.
    fn try_run_secured(
        &mut self,
        spec: Spec,
        handles: &[Handle],
        parameters: &[u8],
    ) -> Result<Answer, StoreError> {
        let first = self.secured()?;
        let rest = spec.authorisations.saturating_sub(1);
        let all: Vec<_> =
            std::iter::once(first).chain(std::iter::repeat_n(Authorisation::EmptyPassword, rest)).collect();
        self.try_run(spec, handles, &all, parameters)
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
            self.names.remove(&handle.0);
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

    /// Handles in use, from `first` on, of the same kind; at most 64. Loaded sessions of both kinds are listed under the
    /// first one's numbers (part 2, §7.2: `TPM_HT_LOADED_SESSION`).
    pub(super) fn handles_from(&mut self, first: Handle) -> Result<Vec<Handle>, StoreError> {
        let kind = |handle: &Handle| if handle.0 >> 24 == 3 { 2 } else { handle.0 >> 24 };
        let same_kind = |handle: &Handle| kind(handle) == kind(&first);
        let values = self.capability(CAP_HANDLES, first.0)?;
        Ok(values.into_iter().map(|(handle, _)| Handle(handle)).filter(same_kind).collect())
    }

    /// Fixed properties (`TPM_PT`, part 2, §6.13) by number, from `first` on; at most 64.
    pub(super) fn properties_from(&mut self, first: u32) -> Result<Vec<(u32, u32)>, StoreError> {
        self.capability(CAP_PROPERTIES, first)
    }

    /// Reads a public area once more, in the connection's session: the HMAC covers the Name that the first reading gave,
    /// so a reading that was changed on its way is refused here. What is used in a later command needs no such check.
    pub(super) fn confirm_public(&mut self, handle: Handle) -> Result<(), StoreError> {
        self.run_secured(command::READ_PUBLIC, &[handle], &[]).map(|_| ())
    }

    /// The public area of a loaded or persistent object; none where there is no such object.
    pub(super) fn read_public(&mut self, handle: Handle) -> Result<Option<PublicArea>, StoreError> {
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

    /// Makes a primary key in a hierarchy and loads it.
    pub(super) fn create_primary(
        &mut self,
        hierarchy: Handle,
        template: &PublicArea,
    ) -> Result<(Handle, PublicArea), StoreError> {
        let secured = self.secured()?;
        self.create_primary_by(hierarchy, template, secured)
    }

    fn create_primary_by(
        &mut self,
        hierarchy: Handle,
        template: &PublicArea,
        authorisation: Authorisation<'_>,
    ) -> Result<(Handle, PublicArea), StoreError> {
        let spec = command::CREATE_PRIMARY;
        let parameters = creation_parameters(spec, template, &[], &[])?;
        let response = self.run(spec, &[hierarchy], &[authorisation], &parameters)?;
        let handle = self.loaded(spec, &response)?;
        let public = read(spec, &response, |reader| PublicArea::from_bytes(reader.sized(MAX_SIZED)?))?;
        let name = public.name().map_err(|cause| command::malformed(spec, &cause))?;
        self.names.insert(handle.0, name);
        Ok((handle, public))
    }

    /// Makes an object under a parent: a key, or with `data` a sealed object. Its authorisation value and the data are
    /// encrypted on their way.
    pub(super) fn create(
        &mut self,
        parent: Handle,
        template: &PublicArea,
        auth_value: &[u8],
        data: &[u8],
    ) -> Result<Created, StoreError> {
        let spec = command::CREATE;
        let parameters = creation_parameters(spec, template, auth_value, data)?;
        let response = self.run_secured(spec, &[parent], &parameters)?;
        read(spec, &response, |reader| {
            Ok(Created {
                private: reader.sized(MAX_SIZED)?.to_vec(),
                public: reader.sized(MAX_SIZED)?.to_vec(),
                creation_data: reader.sized(MAX_SIZED)?.to_vec(),
                creation_hash: reader.sized(MAX_DIGEST_BYTES)?.to_vec(),
                ticket: reader.clone().rest().to_vec(),
            })
        })
    }

    /// Loads an object under its parent.
    pub(super) fn load(
        &mut self,
        parent: Handle,
        private: &[u8],
        public: &[u8],
    ) -> Result<Handle, StoreError> {
        let spec = command::LOAD;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(private).sized(public);
        let parameters = finish(spec, parameters)?;
        let response = self.run_secured(spec, &[parent], &parameters)?;
        let handle = self.loaded(spec, &response)?;
        let name = read(spec, &response, |reader| Ok(Name(reader.sized(MAX_NAME_BYTES)?.to_vec())))?;
        self.names.insert(handle.0, name);
        Ok(handle)
    }

    /// Stores a loaded object persistently at `to`, or with `object` equal to `to` removes it.
    pub(super) fn evict_control(&mut self, object: Handle, to: Handle) -> Result<(), StoreError> {
        let handles = [Handle::OWNER, object];
        self.run_secured(command::EVICT_CONTROL, &handles, &to.0.to_be_bytes())?;
        self.names.remove(&to.0);
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
        let response = self.run_secured(spec, &[key], &parameters)?;
        read(spec, &response, TpmSignature::read)
    }

    /// Lets `signer` state that `object` is loaded in this TPM: `TPMS_ATTEST` and `TPMT_SIGNATURE`, as bytes.
    pub(super) fn certify(
        &mut self,
        object: Handle,
        signer: Handle,
        qualifying_data: &[u8],
    ) -> Result<Signed, StoreError> {
        let spec = command::CERTIFY;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(qualifying_data).u16(AlgorithmId::ECDSA.0).u16(AlgorithmId::SHA256.0);
        let parameters = finish(spec, parameters)?;
        let response = self.run_secured(spec, &[object, signer], &parameters)?;
        statement(spec, &response)
    }

    /// Opens a credential that was made for the object `activated`, with the key `ek`.
    pub(super) fn activate_credential(
        &mut self,
        activated: Handle,
        ek: Handle,
        ek_authorisation: Authorisation<'_>,
        credential_blob: &[u8],
        encrypted_secret: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let spec = command::ACTIVATE_CREDENTIAL;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(credential_blob).sized(encrypted_secret);
        let parameters = finish(spec, parameters)?;
        let both = [self.secured()?, ek_authorisation];
        let response = self.run(spec, &[activated, ek], &both, &parameters)?;
        read(spec, &response, |reader| Ok(Zeroizing::new(reader.sized(MAX_SIZED)?.to_vec())))
    }

    /// A policy session that fulfils PolicyA of the EK Credential Profile: the endorsement hierarchy's password, empty.
    pub(super) fn endorsement_policy(
        &mut self,
        hash: AlgorithmId,
    ) -> Result<Authorisation<'static>, StoreError> {
        let session = self.start_session(Kind::Policy { auth_value: false }, hash, None)?;
        let spec = command::POLICY_SECRET;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&[]).sized(&[]).sized(&[]).u32(0);
        let parameters = finish(spec, parameters)?;
        self.run_secured(spec, &[Handle::ENDORSEMENT, session], &parameters)?;
        Ok(Authorisation::Session { session, auth_value: &[] })
    }

    /// What a policy session holds so far.
    pub(super) fn policy_digest(&mut self, session: Handle) -> Result<Vec<u8>, StoreError> {
        let spec = command::POLICY_GET_DIGEST;
        let response = self.run(spec, &[session], &[], &[])?;
        read(spec, &response, |reader| Ok(reader.sized(MAX_DIGEST_BYTES)?.to_vec()))
    }

    /// Takes the values that PCRs have now into a policy session. Policy commands are sent without an HMAC: changed ones
    /// lead to a policy that authorises nothing.
    pub(super) fn policy_pcr(&mut self, session: Handle, selection: &PcrSelection) -> Result<(), StoreError> {
        let spec = command::POLICY_PCR;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&[]);
        write_selection(&mut parameters, std::slice::from_ref(selection))
            .map_err(|cause| command::unsendable(spec, &cause))?;
        let parameters = finish(spec, parameters)?;
        self.run(spec, &[session], &[], &parameters).map(|_| ())
    }

    /// Asks for the authorisation value of the object as well.
    pub(super) fn policy_auth_value(&mut self, session: Handle) -> Result<(), StoreError> {
        self.run(command::POLICY_AUTH_VALUE, &[session], &[], &[])?;
        self.session(session)?.needs_auth_value();
        Ok(())
    }

    /// Puts what was approved in place of what happened, with the ticket of [`Connection::verify_signature`].
    pub(super) fn policy_authorize(
        &mut self,
        session: Handle,
        approved: &[u8],
        reference: &[u8],
        key: &Name,
        ticket: &[u8],
    ) -> Result<(), StoreError> {
        let spec = command::POLICY_AUTHORIZE;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(approved).sized(reference).sized(&key.0).bytes(ticket);
        let parameters = finish(spec, parameters)?;
        self.run(spec, &[session], &[], &parameters).map(|_| ())
    }

    /// Loads a public key in the owner's hierarchy, so that its tickets can be used.
    pub(super) fn load_external(&mut self, public: &PublicArea) -> Result<(Handle, Name), StoreError> {
        let spec = command::LOAD_EXTERNAL;
        let bytes = public.to_bytes().map_err(|cause| command::unsendable(spec, &cause))?;
        let name = public.name().map_err(|cause| command::unsendable(spec, &cause))?;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&[]).sized(&bytes).u32(Handle::OWNER.0);
        let parameters = finish(spec, parameters)?;
        let response = self.run(spec, &[], &[], &parameters)?;
        let handle = self.loaded(spec, &response)?;
        self.names.insert(handle.0, name.clone());
        Ok((handle, name))
    }

    /// Verifies a signature over a SHA-256 digest; gives the TPM's ticket (`TPMT_TK_VERIFIED`) that it did.
    pub(super) fn verify_signature(
        &mut self,
        key: Handle,
        digest: &[u8; 32],
        signature: &TpmSignature,
    ) -> Result<Vec<u8>, StoreError> {
        let spec = command::VERIFY_SIGNATURE;
        let signature = signature.to_bytes().map_err(|cause| command::unsendable(spec, &cause))?;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(digest).bytes(&signature);
        let parameters = finish(spec, parameters)?;
        let response = self.run(spec, &[key], &[], &parameters)?;
        Ok(response.parameters.to_vec())
    }

    /// Gives back what is sealed in a loaded object; encrypted on its way.
    pub(super) fn unseal(
        &mut self,
        object: Handle,
        authorisation: Authorisation<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let spec = command::UNSEAL;
        let response = self.run(spec, &[object], &[authorisation], &[])?;
        read(spec, &response, |reader| Ok(Zeroizing::new(reader.sized(MAX_SIZED)?.to_vec())))
    }

    /// The values of the selected PCRs, ascending.
    pub(super) fn pcr_read(&mut self, selection: &PcrSelection) -> Result<Vec<(u8, Vec<u8>)>, StoreError> {
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

    /// Lets `signer` state the digest of PCRs: `TPMS_ATTEST` and `TPMT_SIGNATURE`, as bytes.
    pub(super) fn quote(
        &mut self,
        signer: Handle,
        qualifying_data: &[u8],
        selection: &PcrSelection,
    ) -> Result<Signed, StoreError> {
        let spec = command::QUOTE;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(qualifying_data).u16(AlgorithmId::ECDSA.0).u16(AlgorithmId::SHA256.0);
        write_selection(&mut parameters, std::slice::from_ref(selection))
            .map_err(|cause| command::unsendable(spec, &cause))?;
        let parameters = finish(spec, parameters)?;
        let response = self.run_secured(spec, &[signer], &parameters)?;
        statement(spec, &response)
    }

    /// Lets `signer` state that the TPM made `object`, as the ticket of its creation proves.
    pub(super) fn certify_creation(
        &mut self,
        signer: Handle,
        object: Handle,
        qualifying_data: &[u8],
        creation_hash: &[u8],
        ticket: &[u8],
    ) -> Result<Signed, StoreError> {
        let spec = command::CERTIFY_CREATION;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(qualifying_data).sized(creation_hash);
        parameters.u16(AlgorithmId::ECDSA.0).u16(AlgorithmId::SHA256.0).bytes(ticket);
        let parameters = finish(spec, parameters)?;
        let response = self.run_secured(spec, &[signer, object], &parameters)?;
        statement(spec, &response)
    }

    /// Lets `signer` state all that an index holds; none where it was never written.
    pub(super) fn nv_certify(
        &mut self,
        signer: Handle,
        public: &NvPublic,
        qualifying_data: &[u8],
    ) -> Result<Option<Signed>, StoreError> {
        let spec = command::NV_CERTIFY;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(qualifying_data).u16(AlgorithmId::ECDSA.0).u16(AlgorithmId::SHA256.0);
        parameters.u16(public.size).u16(0);
        let parameters = finish(spec, parameters)?;
        let handles = [signer, public.attributes.reader(public.index), public.index];
        match self.try_run_secured(spec, &handles, &parameters)? {
            Answer::Success(response) => statement(spec, &response).map(Some),
            Answer::Refused(ResponseCode::NV_UNINITIALIZED) => Ok(None),
            Answer::Refused(code) => Err(command::refused(spec, code)),
        }
    }

    /// The public area of an NV index; none where it is not defined.
    pub(super) fn nv_read_public(&mut self, index: Handle) -> Result<Option<NvPublic>, StoreError> {
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
    pub(super) fn nv_define(&mut self, public: &NvPublic) -> Result<Option<ResponseCode>, StoreError> {
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

    pub(super) fn nv_undefine(&mut self, index: Handle) -> Result<(), StoreError> {
        let handles = [Handle::OWNER, index];
        self.run_secured(command::NV_UNDEFINE_SPACE, &handles, &[])?;
        self.names.remove(&index.0);
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

    pub(super) fn nv_write(&mut self, index: Handle, offset: u16, bytes: &[u8]) -> Result<(), StoreError> {
        let spec = command::NV_WRITE;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(bytes).u16(offset);
        let parameters = finish(spec, parameters)?;
        self.change_index(spec, index, &parameters)
    }

    pub(super) fn nv_increment(&mut self, index: Handle) -> Result<(), StoreError> {
        self.change_index(command::NV_INCREMENT, index, &[])
    }

    pub(super) fn nv_set_bits(&mut self, index: Handle, bits: u64) -> Result<(), StoreError> {
        self.change_index(command::NV_SET_BITS, index, &bits.to_be_bytes())
    }

    fn change_index(&mut self, spec: Spec, index: Handle, parameters: &[u8]) -> Result<(), StoreError> {
        self.run_secured(spec, &[index, index], parameters)?;
        // The first change sets TPMA_NV_WRITTEN, and with it another Name.
        self.names.remove(&index.0);
        Ok(())
    }
}

/// `TPMS_ATTEST` and `TPMT_SIGNATURE`, as bytes.
pub(super) type Signed = (Vec<u8>, Vec<u8>);

/// What `TPM2_Create` gives. The private part is encrypted by the parent and means nothing outside of this TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Created {
    /// `TPM2B_PRIVATE` without its size.
    pub(super) private: Vec<u8>,
    /// `TPMT_PUBLIC`.
    pub(super) public: Vec<u8>,
    /// `TPMS_CREATION_DATA`.
    pub(super) creation_data: Vec<u8>,
    pub(super) creation_hash: Vec<u8>,
    /// `TPMT_TK_CREATION`.
    pub(super) ticket: Vec<u8>,
}

/// What the session of each authorisation does; none for a password.
fn uses<'a>(
    spec: Spec,
    authorisations: &[Authorisation<'a>],
    names: &'a [Name],
) -> Vec<Option<(Handle, Use<'a>)>> {
    let mut encrypts = true;
    let mut uses = Vec::new();
    for (place, authorisation) in authorisations.iter().enumerate() {
        uses.push(match authorisation {
            Authorisation::EmptyPassword => None,
            Authorisation::Session { session, auth_value } => {
                let entity = if place < spec.authorisations { names.get(place) } else { None };
                let how = Use { auth_value, entity, encrypts };
                encrypts = false;
                Some((*session, how))
            }
        });
    }
    uses
}

/// Part 3, §5.6: what a TPM answers when the HMAC of a session is not the one that it computes.
fn is_wrong_hmac(code: ResponseCode) -> bool {
    matches!(code.kind(), ResponseCode::AUTH_FAIL | ResponseCode::BAD_AUTH)
}

/// With an empty authorisation value an HMAC is wrong only if the command was changed on its way.
fn wrong_hmac(spec: Spec, code: ResponseCode, authorisations: &[Authorisation<'_>]) -> StoreError {
    let empty = |authorisation: &Authorisation<'_>| match authorisation {
        Authorisation::EmptyPassword => false,
        Authorisation::Session { auth_value, .. } => auth_value.is_empty(),
    };
    if authorisations.is_empty()
        || authorisations.contains(&Authorisation::EmptyPassword) && authorisations.len() == 1
    {
        return command::refused(spec, code);
    }
    if authorisations
        .iter()
        .any(|authorisation| !empty(authorisation) && *authorisation != Authorisation::EmptyPassword)
    {
        return StoreError::WrongSecret { store: "the sealed object".to_owned() };
    }
    StoreError::Tampered {
        part: PART,
        command: spec.name,
        detail: format!(
            "the TPM found a wrong HMAC over the command ({code}), or the passwords in it are not empty"
        ),
    }
}

/// Part 3, §12.4 and §31.6: a handle that refers to nothing. Some TPMs answer with a warning in place of the error.
fn is_absent(code: ResponseCode) -> bool {
    code.kind() == ResponseCode::HANDLE || code == ResponseCode::REFERENCE_H0
}

/// A statement and its signature, with which all responses of attestation begin.
fn statement(spec: Spec, response: &Response) -> Result<Signed, StoreError> {
    read(spec, response, |reader| {
        let statement = reader.sized(MAX_SIZED)?.to_vec();
        Ok((statement, TpmSignature::read(reader)?.to_bytes()?))
    })
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

/// The parameters that TPM2_CreatePrimary and TPM2_Create share (part 3, §12.1 and §24.1): authorisation value and data
/// of the caller's, the template, no outside information, no PCRs.
fn creation_parameters(
    spec: Spec,
    template: &PublicArea,
    auth_value: &[u8],
    data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let public = template.to_bytes().map_err(|cause| command::unsendable(spec, &cause))?;
    let mut sensitive = Writer::new("TPMS_SENSITIVE_CREATE");
    sensitive.sized(auth_value).sized(data);
    let sensitive = Zeroizing::new(finish(spec, sensitive)?);
    let mut parameters = Writer::new(spec.name);
    parameters.sized(&sensitive).sized(&public).sized(&[]).u32(0);
    finish(spec, parameters).map(Zeroizing::new)
}
