//! One connection to a TPM for one operation: commands with their parameters and results by type.
//!
//! Here is how a command is sent, with its sessions and what a TPM may ask for first; the commands lie beside it by
//! subject.

mod nv;
mod objects;
mod policies;
mod reading;
mod statements;

use std::collections::BTreeMap;
use std::time::Duration;

use touchmark_identity::tpm::{AlgorithmId, Handle, Name, Reader, ResponseCode, TpmFormatError, Writer};
use zeroize::Zeroizing;

use super::command::{self, Answer, Authorisation, AuthorisationField, PART, Response, Spec};
use super::session::{Kind, Opening, PinnedSaltKey, Session, Use};
use super::template;
use super::transport::{Address, Transport};
use crate::StoreError;
pub(super) use nv::{NvAttributes, NvPublic};
pub(super) use objects::Created;

/// How often a command is sent again when the TPM asks for it.
const RETRIES: u32 = 10;
/// The wait before the first repetition; it doubles each time, to 10 seconds in all.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// `TPM_SU_CLEAR` (part 2, §6.10).
const STARTUP_CLEAR: u16 = 0;
/// The first handles of what may be left loaded: transient objects, HMAC and policy sessions (part 2, §7.2).
const LOADED_KINDS: [u32; 3] = [0x8000_0000, 0x0200_0000, 0x0300_0000];

/// The largest structure in a sized field of a response, in bytes.
const MAX_SIZED: usize = 2_048;
/// The largest Name, in bytes: an algorithm number and a SHA-512.
const MAX_NAME_BYTES: usize = 66;
/// The largest digest, in bytes.
const MAX_DIGEST_BYTES: usize = 64;

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
