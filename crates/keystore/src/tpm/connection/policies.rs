//! Policy sessions.

use touchmark_identity::tpm::attest::write_selection;
use touchmark_identity::tpm::{AlgorithmId, Handle, Name, PcrSelection, Writer};

use super::{Connection, MAX_DIGEST_BYTES, finish, read};
use crate::StoreError;
use crate::tpm::command::{self, Authorisation};
use crate::tpm::session::Kind;

impl Connection {
    /// A policy session that fulfils PolicyA of the EK Credential Profile: the endorsement hierarchy's password, empty.
    pub(in crate::tpm) fn endorsement_policy(
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
    pub(in crate::tpm) fn policy_digest(&mut self, session: Handle) -> Result<Vec<u8>, StoreError> {
        let spec = command::POLICY_GET_DIGEST;
        let response = self.run(spec, &[session], &[], &[])?;
        read(spec, &response, |reader| Ok(reader.sized(MAX_DIGEST_BYTES)?.to_vec()))
    }

    /// Takes the values that PCRs have now into a policy session. Policy commands are sent without an HMAC: changed ones
    /// lead to a policy that authorises nothing.
    pub(in crate::tpm) fn policy_pcr(
        &mut self,
        session: Handle,
        selection: &PcrSelection,
    ) -> Result<(), StoreError> {
        let spec = command::POLICY_PCR;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&[]);
        write_selection(&mut parameters, std::slice::from_ref(selection))
            .map_err(|cause| command::unsendable(spec, &cause))?;
        let parameters = finish(spec, parameters)?;
        self.run(spec, &[session], &[], &parameters).map(|_| ())
    }

    /// Asks for the authorisation value of the object as well.
    pub(in crate::tpm) fn policy_auth_value(&mut self, session: Handle) -> Result<(), StoreError> {
        self.run(command::POLICY_AUTH_VALUE, &[session], &[], &[])?;
        self.session(session)?.needs_auth_value();
        Ok(())
    }

    /// Puts what was approved in place of what happened, with the ticket of [`Connection::verify_signature`].
    pub(in crate::tpm) fn policy_authorize(
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
}
