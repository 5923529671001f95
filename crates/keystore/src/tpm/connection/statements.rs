//! What the TPM states of its objects, indexes and PCRs, and the credential that it opens.

use touchmark_identity::tpm::attest::write_selection;
use touchmark_identity::tpm::{AlgorithmId, Handle, PcrSelection, ResponseCode, TpmSignature, Writer};
use zeroize::Zeroizing;

use super::{Connection, MAX_SIZED, NvPublic, finish, read};
use crate::StoreError;
use crate::tpm::command::{self, Answer, Authorisation, Response, Spec};

/// `TPMS_ATTEST` and `TPMT_SIGNATURE`, as bytes.
pub(in crate::tpm) type Signed = (Vec<u8>, Vec<u8>);

impl Connection {
    /// Lets `signer` state that `object` is loaded in this TPM: `TPMS_ATTEST` and `TPMT_SIGNATURE`, as bytes.
    pub(in crate::tpm) fn certify(
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

    /// Lets `signer` state the digest of PCRs: `TPMS_ATTEST` and `TPMT_SIGNATURE`, as bytes.
    pub(in crate::tpm) fn quote(
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
    pub(in crate::tpm) fn certify_creation(
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
    pub(in crate::tpm) fn nv_certify(
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

    /// Opens a credential that was made for the object `activated`, with the key `ek`.
    pub(in crate::tpm) fn activate_credential(
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
}

/// A statement and its signature, with which all responses of attestation begin.
fn statement(spec: Spec, response: &Response) -> Result<Signed, StoreError> {
    read(spec, response, |reader| {
        let statement = reader.sized(MAX_SIZED)?.to_vec();
        Ok((statement, TpmSignature::read(reader)?.to_bytes()?))
    })
}
